"""A block of networks as a task: picklable, the same bits wherever it runs."""

import threading
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from ibtheory import _blas
from ibtheory.layers import Network
from ibtheory.simulation import machine, probe
from ibtheory.simulation.backward import gradients
from ibtheory.simulation.ops.callback import Callback
from ibtheory.simulation.ops.product import gemm_address
from ibtheory.simulation.program import Layout, compile_network
from ibtheory.simulation.random import SLACK

# What a block hands over when gradients are asked for.
Probed = namedtuple("Probed", (*machine.Outcome._fields, "gradients", "weight_gradients"))

_local = threading.local()
_MARGIN = 1e8  # above the smallest normal number, so that squares of differences keep their precision


@dataclass(frozen=True, eq=False)
class Task:
    """What every block of a run shares.

    ``inputs`` (samples, columns) in the precision of the run, or a triangle in their place; ``features`` is the
    number of columns before. The first ``training`` rows are training batches of running statistics, the others belong
    to ``groups`` (samples,).
    ``token`` tells runs apart, so that a worker keeps its workspace from block to block.
    """

    network: Network
    inputs: np.ndarray
    groups: np.ndarray
    features: int
    batch: int
    readouts: int
    seed: int
    token: str
    triangular: bool = False
    explicit: bool = False
    training: int = 0
    gradients: str | None = None

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
            training=self.training,
            layout=Layout(own=True, tape=True) if self.gradients else None,
        )


class _Worker:
    """Program, workspace and callbacks of one thread."""

    def __init__(self, task):
        self.token = task.token
        self.program = task.program()
        dtype, back = task.inputs.dtype, task.gradients is not None
        parameters = np.zeros(self.program.weights + SLACK, dtype) if back else None
        self.work = machine.workspace(self.program, task.inputs, dtype, parameters, groups=task.groups)
        self.callbacks = callbacks(self.program, dtype, back=back)
        if back:
            outputs = self.program.shapes[-1][1] * task.readouts
            residual = np.full(len(task.inputs) * outputs, 1 / np.sqrt(outputs), dtype)
            self.residual = residual if task.gradients == "common" else residual[:0]
            spans = [(place.start, place.stop) for place in self.program.places if place.kind == "weights"]
            self.memory = self.work, gradients(self.program, dtype), np.array(spans, np.int64)
        called = [callback.address for callback in self.callbacks]
        self.addresses = np.array([gemm_address(task.inputs.dtype), *called], np.int64)


def callbacks(program, dtype, *, back):
    """Callbacks of the activations of a program, then of their derivatives if it goes back."""
    kinds = (False, True) if back else (False,)
    return [Callback(record, dtype, derivative=kind) for kind in kinds for record in program.calls]


def run_block(task, first, stop, given=None):
    """Outcome or Probed of the networks ``first`` to ``stop``; ``given`` (networks, parameters) replaces drawn ones.

    Raises
    ------
    ValueError
        If a layer is not finite or too small for the precision, or if a user's activation fails.
    """
    worker = getattr(_local, "worker", None)
    if worker is None or worker.token != task.token:
        worker = _local.worker = _Worker(task)
    dtype = task.inputs.dtype
    out = machine.outcome(worker.program, stop - first, task.network.classes, int(task.groups.max()) + 1)
    given = np.zeros((0, 0), dtype) if given is None else given
    setting = worker.program.tables, np.uint64(task.seed), first, worker.addresses, given
    with _blas.one_thread():
        if task.gradients is None:
            machine.run(*setting, worker.work, out)
        else:
            probed = probe.probed(worker.program, stop - first)
            probe.run(*setting, worker.residual, worker.memory, (out, probed))
    _raise_failures(worker, out, first, dtype)
    return out if task.gradients is None else Probed(*out, probed.layers, probed.weights)


def raise_callback_failures(callbacks, dtype):
    """Raise what a user's activation raised."""
    for callback in callbacks:
        if callback.failures:
            error = callback.failures[0]
            callback.failures.clear()
            raise ValueError(
                f"activation {callback.record.name!r} failed in the simulation: {error}. It receives a flat {dtype} "
                "array and must return finite values of the same shape"
            ) from error


def _raise_failures(worker, out, first, dtype):
    raise_callback_failures(worker.callbacks, dtype)
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
