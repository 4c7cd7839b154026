"""A block of networks to train as a task: picklable, the same bits wherever it runs."""

import threading
from dataclasses import dataclass

import numpy as np

from ibtheory import _blas, losses, optimizers
from ibtheory.layers import Dropout, Network, flatten
from ibtheory.simulation import backward, descent, machine, random
from ibtheory.simulation.blocks import callbacks, raise_callback_failures
from ibtheory.simulation.layout import Layout
from ibtheory.simulation.ops import updates
from ibtheory.simulation.ops.product import gemm_address
from ibtheory.simulation.program import compile_network

_local = threading.local()


@dataclass(frozen=True, eq=False)
class Lesson:
    """What every block of a training shares.

    ``inputs`` and ``held_inputs`` in the precision of the run, the latter (0, features) without held-out samples;
    ``statistics``: of BatchNorm in the notes, see :func:`ibtheory.train`; ``token`` tells runs apart.
    """

    network: Network
    inputs: np.ndarray
    labels: np.ndarray
    held_inputs: np.ndarray
    held_labels: np.ndarray
    weights: np.ndarray
    optimizer: object
    rates: np.ndarray
    loss: str
    times: np.ndarray
    batch: int
    clip: float
    statistics: str
    biases: bool | None
    affine: bool
    seed: int
    token: str

    @property
    def shared(self):
        """Whether a batch is all of the data and its logits serve the notes."""
        return self.batch == len(self.inputs) and self.statistics != "running" and not self.dropout

    @property
    def dropout(self):
        """Whether the network that learns is not the one that is evaluated."""
        steps = flatten(self.network.steps(self.inputs.shape[1], training=True))
        return any(isinstance(step.layer, Dropout) for step in steps)

    def program(self, samples, *, tape=False):
        layout = Layout(records=False, own=True, tape=tape, affine=self.affine, dropout=tape)
        features = self.inputs.shape[1]
        return compile_network(
            self.network, features, samples, batch=samples, explicit=self.biases is True, layout=layout
        )

    def rule(self):
        optimizer, whole = self.optimizer, self.batch == len(self.inputs)
        if isinstance(optimizer, optimizers.SGD):
            kind, numbers = updates.SGD, (optimizer.momentum, float(optimizer.nesterov), optimizer.weight_decay, 0.0)
        else:
            kind = updates.ADAMW if isinstance(optimizer, optimizers.AdamW) else updates.ADAM
            numbers = (optimizer.beta1, optimizer.beta2, optimizer.epsilon, optimizer.weight_decay)
        return descent.Rule(
            kind, np.array(numbers), self.rates, self.clip, losses.get(self.loss), self.times, whole, self.shared
        )


class _Worker:
    """Programs and memory of one thread."""

    def __init__(self, lesson):
        self.token = lesson.token
        dtype, classes = lesson.inputs.dtype, lesson.network.classes
        self.program = lesson.program(lesson.batch, tape=True)
        notes = [lesson.program(len(X)) if len(X) else None for X in (lesson.inputs, lesson.held_inputs)]
        size = self.program.weights
        self.parameters = np.zeros(size + random.SLACK, dtype)
        running = np.zeros((2, self.program.running))
        learning, training, holding = (
            machine.workspace(program, X, dtype, self.parameters, running) if program else None
            for program, X in zip(
                (self.program, *notes),
                (lesson.inputs[: lesson.batch], lesson.inputs, lesson.held_inputs),
                strict=True,
            )
        )
        self.callbacks = callbacks(self.program, dtype, back=True)
        called = [callback.address for callback in self.callbacks]
        self.trainer = descent.Trainer(
            tables=_tables(lesson, self.program, *notes),
            works=(learning, training, holding or training),
            back=backward.gradients(self.program, dtype),
            addresses=np.array([gemm_address(dtype), *called], np.int64),
            start=np.zeros(size, dtype),
            first=np.zeros(size, dtype),
            second=np.zeros(size, dtype),
            order=np.zeros(len(lesson.inputs), np.int64),
            labels=np.zeros(lesson.batch, np.int64),
            blank=machine.outcome(self.program, 1, classes),
            nothing=np.zeros(0, dtype),
        )
        self.layers = [(p.start, p.stop) for p in self.program.places if p.kind == "weights"]
        self.data = descent.Data(
            inputs=lesson.inputs,
            labels=lesson.labels,
            held_labels=lesson.held_labels,
            weights=lesson.weights,
            spans=np.array(_trained(self.program, lesson.biases), np.int64),
            layers=np.array(self.layers, np.int64),
        )
        self.rule = lesson.rule()


def _tables(lesson, program, train, held):
    """Tables of learning and of the two kinds of notes, which differ in the statistics that BatchNorm uses."""
    learn, train = program.tables, train.tables
    held = held.tables if held else train
    if lesson.statistics == "running":
        return learn._replace(momentum=0.1), train._replace(running=1), held._replace(running=1)
    if lesson.statistics == "train":
        following = learn._replace(momentum=1.0) if lesson.shared else learn
        return following, train._replace(momentum=1.0), held._replace(running=1)
    return learn, train, held


def _trained(program, biases):
    """Spans of the trained parameters; neighbors are one."""
    spans = []
    for place in program.places:
        if place.kind == "zero" or (place.kind == "bias" and biases is False):
            continue
        if spans and spans[-1][1] == place.start:
            spans[-1] = (spans[-1][0], place.stop)
        else:
            spans.append((place.start, place.stop))
    return spans


def run_block(lesson, first, stop):
    """Notes on the networks ``first`` to ``stop``.

    Raises
    ------
    ValueError
        If a user's activation fails.
    """
    worker = getattr(_local, "worker", None)
    if worker is None or worker.token != lesson.token:
        worker = _local.worker = _Worker(lesson)
    held = len(lesson.held_inputs) > 0
    out = descent.trained(stop - first, len(lesson.times), lesson.network.classes, len(worker.layers), held)
    with _blas.one_thread():
        descent.train(worker.trainer, worker.data, worker.rule, np.uint64(lesson.seed), first, out)
    raise_callback_failures(worker.callbacks, lesson.inputs.dtype)
    return out
