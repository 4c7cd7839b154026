"""Blocks of networks on an executor: in order, the same bits whatever the executor, kept in a store or not."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ibtheory import _blas, _check


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
    return _blas.cores() if workers is None else _check.integer("workers", workers, 1)


def ranges(networks, block):
    """(first, stop) of the blocks."""
    return [(first, min(first + block, networks)) for first in range(0, networks, block)]


@contextmanager
def pool(executor, workers):
    """(executor, number of blocks in flight)."""
    if executor is not None:
        yield executor, 64
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ibtheory") as threads:
        yield threads, 2 * workers


@contextmanager
def bar(progress, networks):
    """A function to call with the number of networks done."""
    if not progress:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=networks, unit=" networks") as shown:
        yield shown.update


def in_order(where, blocks, run, store=None):
    """Results of all blocks in the order of the networks, with few blocks waiting.

    ``where``: a :func:`pool`; ``run`` (first, stop): function and arguments for a block, which returns a named tuple
    of arrays; ``store``: has those that are done, and gets the others.
    """
    executor, window = where
    waiting = deque()
    try:
        for first, stop in blocks:
            if len(waiting) == window:
                yield _next(waiting, store)
            kept = store.read(first, stop) if store else None
            waiting.append((first, stop, kept or executor.submit(*run(first, stop))))
        while waiting:
            yield _next(waiting, store)
    finally:
        for _, _, pending in waiting:
            if not isinstance(pending, dict):
                pending.cancel()


def _next(waiting, store):
    first, stop, found = waiting.popleft()
    if isinstance(found, dict):
        return found
    arrays = found.result()._asdict()
    if store:
        store.write(first, stop, arrays)
    return arrays
