"""A block of networks as a task: picklable, the same bits wherever it runs."""

import threading
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from ibtheory import _blas
from ibtheory.layers import Network
from ibtheory.simulation import machine, probe
from ibtheory.simulation.backward import gradients
from ibtheory.simulation.layout import Layout
from ibtheory.simulation.ops.callback import Callback
from ibtheory.simulation.ops.product import gemm_address
from ibtheory.simulation.program import compile_network
from ibtheory.simulation.random import SLACK

# What a block hands over when gradients or a tangent kernel are asked for; tangent (networks, 4): KERNEL_NUMBERS.
Probed = namedtuple("Probed", (*machine.Outcome._fields, "gradients", "weight_gradients", "tangent"))
KERNEL_NUMBERS = ("same", "cross", "gap", "lambda_max")

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
    tangent: int | None = None

    @property
    def back(self):
        """Whether networks are run back too."""
        return self.gradients is not None or self.tangent is not None

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
            layout=Layout(own=True, tape=True, apart=self.tangent is not None) if self.back else None,
        )


class _Worker:
    """Program, workspace and callbacks of one thread."""

    def __init__(self, task):
        self.token = task.token
        self.program = task.program()
        dtype = task.inputs.dtype
        parameters = np.zeros(self.program.weights + SLACK, dtype) if task.back else None
        self.work = machine.workspace(self.program, task.inputs, dtype, parameters, groups=task.groups)
        self.callbacks = callbacks(self.program, dtype, back=task.back)
        if task.back:
            self.asked = probe.question(self.program, dtype, task.gradients, task.tangent)
            self.memory = probe.memory(self.program, self.work, gradients(self.program, dtype), self.asked)
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
    with _blas.one_thread():
        if task.back:
            out = _probe(worker, task, first, given, out)
        else:
            machine.run(worker.program.tables, np.uint64(task.seed), first, worker.addresses, given, worker.work, out)
    _raise_failures(worker, out, first, dtype)
    return out


def _probe(worker, task, first, given, outcome):
    """Run the networks forward and back, one by one where each leaves a kernel."""
    networks = len(outcome.stop)
    probed, numbers = probe.probed(worker.program, networks), np.full((networks, 4), np.nan)
    setting = worker.program.tables, np.uint64(task.seed)
    step = networks if task.tangent is None else 1
    for start in range(0, networks, step):
        part = slice(start, start + step)
        out = tuple(type(whole)(*(array[part] for array in whole)) for whole in (outcome, probed))
        probe.run(*setting, first + start, worker.addresses, given[part], worker.asked, worker.memory, out)
        if task.tangent is not None and not outcome.stop[start]:
            numbers[start] = kernel_numbers(probe.kernel(worker.program, worker.memory, worker.addresses[0]))
    return Probed(*outcome, *probed, numbers)


def kernel_numbers(theta):
    """KERNEL_NUMBERS of a kernel: means over samples, over pairs, their difference, largest eigenvalue."""
    samples = len(theta)
    same = np.trace(theta) / samples
    cross = (theta.sum() - np.trace(theta)) / (samples * (samples - 1))
    return same, cross, same - cross, np.linalg.eigvalsh(theta)[-1]


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
