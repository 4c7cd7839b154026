"""A block of networks as a task: picklable, the same bits wherever it runs."""

import threading
from dataclasses import dataclass

import numpy as np

from ibtheory import _blas
from ibtheory.layers import Network
from ibtheory.simulation import machine
from ibtheory.simulation.ops.callback import Callback
from ibtheory.simulation.ops.product import gemm_address
from ibtheory.simulation.program import compile_network

_local = threading.local()
_MARGIN = 1e8  # above the smallest normal number, so that squares of differences keep their precision


@dataclass(frozen=True, eq=False)
class Task:
    """What every block of a run shares.

    ``inputs`` (samples, columns) in the precision of the run, or a triangle in their place; ``features`` is the
    number of columns before.
    ``token`` tells runs apart, so that a worker keeps its workspace from block to block.
    """

    network: Network
    inputs: np.ndarray
    features: int
    batch: int
    readouts: int
    seed: int
    token: str
    triangular: bool = False
    explicit: bool = False

    def program(self):
        samples, columns = self.inputs.shape
        floor = float(np.finfo(self.inputs.dtype).tiny) * _MARGIN
        return compile_network(
            self.network,
            self.features,
            samples,
            batch=self.batch,
            readouts=self.readouts,
            columns=columns if self.triangular else None,
            floor=floor,
            explicit=self.explicit,
        )


class _Worker:
    """Program, workspace and callbacks of one thread."""

    def __init__(self, task):
        self.token = task.token
        self.program = task.program()
        self.work = machine.workspace(self.program, task.inputs, task.inputs.dtype)
        self.callbacks = [Callback(record, task.inputs.dtype) for record in self.program.calls]
        called = [callback.address for callback in self.callbacks]
        self.addresses = np.array([gemm_address(task.inputs.dtype), *called], np.int64)


def run_block(task, first, stop, given=None):
    """Outcome of the networks ``first`` to ``stop``; ``given`` (networks, parameters) replaces drawn weights.

    Raises
    ------
    ValueError
        If a layer is not finite or too small for the precision, or if a user's activation fails.
    """
    worker = getattr(_local, "worker", None)
    if worker is None or worker.token != task.token:
        worker = _local.worker = _Worker(task)
    dtype = task.inputs.dtype
    out = machine.outcome(worker.program, stop - first, task.network.classes)
    given = np.zeros((0, 0), dtype) if given is None else given
    with _blas.one_thread():
        machine.run(worker.program.tables, np.uint64(task.seed), first, worker.addresses, given, worker.work, out)
    _raise_failures(worker, out, first, dtype)
    return out


def _raise_failures(worker, out, first, dtype):
    for callback in worker.callbacks:
        if callback.failures:
            error = callback.failures[0]
            callback.failures.clear()
            raise ValueError(
                f"activation {callback.record.name!r} failed in the simulation: {error}. It receives a flat {dtype} "
                "array and must return finite values of the same shape"
            ) from error
    if out.stop.any():
        index = int(np.flatnonzero(out.stop)[0])
        row = int(out.stop[index])
        name, number = worker.program.names[abs(row)], first + index
        remedy = 'use dtype="float64", ' if dtype == np.float32 else ""
        if row > 0:
            raise ValueError(
                f"the values of layer {name!r} overflow {dtype} in network {number}: {remedy}"
                "a smaller weight_variance, fewer layers, or a norm"
            )
        raise ValueError(
            f"the values of layer {name!r} are too small for {dtype} in network {number}: {remedy}"
            "a larger weight_variance, fewer layers, or a norm"
        )
