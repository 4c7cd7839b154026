"""Blocks of networks on an executor: in order, the same bits whatever the executor, kept in a store or not."""

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager

from ibtheory import _blas, _check

_IN_FLIGHT = 64  # blocks, at least, on an executor that may not say how many workers it has


def check_seed(seed):
    """A seed, 0 to 2**64 - 1."""
    seed = _check.integer("seed", seed, 0)
    if seed >= 2**64:
        raise ValueError(f"seed must be below 2**64, got {seed}")
    return seed


def check_workers(workers, executor):
    """Number of threads."""
    if workers is not None and executor is not None:
        raise ValueError("give workers or an executor, not both; an executor has its own workers")
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}; of dask give "
            "client.get_executor(), of MPI mpi4py.futures.MPIPoolExecutor(), for threads of this process workers=4"
        )
    return _blas.cores() if workers is None else _check.integer("workers", workers, 1)


def ranges(networks, block):
    """(first, stop) of the blocks."""
    return [(first, min(first + block, networks)) for first in range(0, networks, block)]


@contextmanager
def pool(executor, workers):
    """(executor, number of blocks in flight): enough that no worker waits, few enough to be held in memory."""
    if executor is not None:
        yield executor, max(2 * _workers(executor), _IN_FLIGHT)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ibtheory") as threads:
        yield threads, 2 * workers


def _workers(executor):
    """Workers of an executor, 0 if it does not say; dask's has a client."""
    client = getattr(executor, "_client", None)
    return sum(client.nthreads().values()) if client else getattr(executor, "_max_workers", None) or 0


def shared(executor, task):
    """``task`` as an argument of every block: dask is given it once, and a worker fetches it once."""
    client = getattr(executor, "_client", None)
    return client.scatter(task, hash=False) if client else task


@contextmanager
def bar(progress, networks):
    """A function to call with the number of networks done."""
    if not progress:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=networks, unit=" networks") as shown:
        yield shown.update


def in_order(where, blocks, run, store=None, advance=lambda count: None):
    """Results of all blocks in the order of the networks, with few blocks waiting.

    ``where``: a :func:`pool`; ``run`` (first, stop): function and arguments for a block, which returns a named tuple
    of arrays; ``store``: has those that are done, and gets the others as soon as they are, in whatever order (dask's
    is not ours); ``advance`` is told how many networks are.
    """
    executor, window = where
    waiting = deque()

    def done(block):
        if store:
            store.write(block.first, block.stop, block.arrays)
        advance(block.stop - block.first)

    try:
        for first, stop in blocks:
            if len(waiting) == window:
                yield _next(waiting, done)
            kept = store.read(first, stop) if store else None
            if kept:
                advance(stop - first)
            waiting.append(_Block(first, stop, None if kept else executor.submit(*run(first, stop)), kept))
        while waiting:
            yield _next(waiting, done)
    finally:
        for block in waiting:
            block.cancel()


class _Block:
    """Networks ``first`` to ``stop``: a future, later its arrays."""

    def __init__(self, first, stop, future, arrays):
        self.first, self.stop, self.future, self.arrays = first, stop, future, arrays

    @property
    def open(self):
        """Whether it is still under way."""
        return self.future is not None and not self.future.done()

    def settle(self, done):
        """Take the arrays if they are there; a failure stays in the future until the block is in front."""
        future = self.future
        if self.open or future is None or future.cancelled() or future.exception():
            return
        self.arrays, self.future = future.result()._asdict(), None
        done(self)

    def cancel(self):
        if self.future is not None:
            self.future.cancel()


def _next(waiting, done):
    """Arrays of the block in front; what is done before it is kept meanwhile."""
    while waiting[0].open:
        wait([block.future for block in waiting if block.open], return_when=FIRST_COMPLETED)
        for block in waiting:
            block.settle(done)
    block = waiting.popleft()
    block.settle(done)
    return block.future.result() if block.future else block.arrays  # a future is left where it failed, and raises
