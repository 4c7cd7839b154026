"""A network compiled to a flat program: operation codes, places in one workspace, sizes and numbers.

Every step of the network becomes one or two operations and a RECORD of its statistics. Activations live in slots of
one flat workspace; slot 0 is the input. Operations work in place, except where the array they read is still needed:
the input, the stream of a residual, and on a tape what the way back reads.

The way back reads the same operations from the last to the first: gradients of activations live in slots of the same
workspace, each operation turns that of its target into that of its source.
"""

from typing import NamedTuple

import numpy as np

from ibtheory._bundle import bundle
from ibtheory.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    FeaturePool,
    GroupNorm,
    LayerNorm,
    Residual,
    RMSNorm,
    flatten,
)
from ibtheory.simulation.layout import Layout, Place
from ibtheory.simulation.ops import orthogonal
from ibtheory.simulation.random import SLACK

# Operations on all samples at once; everything from TILED on works on a tile of rows.
DENSE, READOUT, BATCH, CALL = range(4)
TILED = 10
BIAS, SLOPES, ROWS, COLUMNS, AFFINE, SCALE, FORK, ADD, RECORD, POOL, DROPOUT = range(TILED, TILED + 11)
ERF, TANH, GELU, SIGMOID, SILU, SOFTPLUS, MISH = range(DROPOUT + 1, DROPOUT + 8)  # activations, see ops.pointwise

# Columns of the table of operations. OTHER: the place of the second summand. ARGUMENT: law of the weights, index of the
# callback, groups, size of a pool, row of the record, batches in running statistics, number of a Dropout. MORE: bands
# of a product, centred or not, counts dead features or not, accumulator of the last record plus one, index of
# REDUCTIONS. PARAMETERS: their place; of BATCH that of its running statistics. SAVED: the place of a mask, or of the
# factors of a norm, or -1. GRADIENT, BACK: the places of the gradients of target and source.
CODE, SOURCE, TARGET, OTHER, FAN_IN, UNITS, ARGUMENT, MORE, PARAMETERS, SAVED, GRADIENT, BACK = range(12)

_BANDS = 4  # leaves 5/8 of the product of a triangle

LAWS = ("normal", "uniform", "orthogonal")  # of weights
_, UNIFORM, ORTHOGONAL = range(3)

REDUCTIONS = ("max", "average", "min")

_KERNELS = {
    "activations.erf": ERF,
    "activations.tanh": TANH,
    "activations.gelu": GELU,
    "activations.sigmoid": SIGMOID,
    "activations.silu": SILU,
    "activations.softplus": SOFTPLUS,
    "activations.mish": MISH,
}

# What the compiled machine reads. stop: the first operation with parameters, where the way back ends, or -1 if the
# gradient of the input is wanted. momentum: weight of a batch in the running statistics of BatchNorm, 0 to leave them;
# running: whether BatchNorm uses them. training: the first so many samples are training batches that only the running
# statistics of BatchNorm in evaluation mode see.
Tables = bundle("Tables", "operations numbers samples batch readouts outputs rows floor stop momentum running training")


class Program(NamedTuple):
    """A compiled network.

    Attributes
    ----------
    tables : Tables
        ``operations`` (K, 12) int64, ``numbers`` (K, 3) float64, and sizes.
    names : tuple of str
        Rows of statistics: "input", the layers in order, "logits".
    calls : tuple of ActivationFunction
        Activations that are called back in Python.
    space, weights, units, records, running, frame : int
        Sizes of the workspace: activations, the largest weight matrix (or all parameters that have their own place),
        columns, records between two matrix products, features with running statistics, scratch of orthogonal weights.
    shapes : tuple of (int, int)
        (fan_in, units) of the dense layers in order.
    places : tuple of Place
        Of parameters with their own place, in the order in which they are drawn.
    flops : int
        Of the hidden layers of one network.
    """

    tables: Tables
    names: tuple
    calls: tuple
    space: int
    weights: int
    units: int
    records: int
    running: int
    frame: int
    shapes: tuple
    places: tuple
    flops: int


def compile_network(
    network, features, samples, *, batch, readouts=1, columns=None, floor=0.0, explicit=False, layout=None, training=0
):
    """Compile ``network`` for ``samples`` inputs of ``features`` features.

    ``columns`` is given if the inputs are a triangle (samples, columns) instead, with the same Gram matrix.
    Mean squares below ``floor`` stop the machine. ``explicit``: every layer has biases, also where they start at 0.
    ``batch``: samples per BatchNorm statistic; the first ``training`` samples are training batches. ``layout``: a
    :class:`Layout`, by default the one of a plain forward run.
    """
    layout = layout or Layout()
    steps = network.steps(features, training=layout.dropout)
    names = ("input", *(step.name for step in flatten(steps)))
    compiler = _Compiler(names, (samples, batch), readouts, columns or features, explicit, layout)
    if columns and len(steps) > 1:
        compiler.bands = min(_BANDS, samples)
    compiler.compile(steps)
    operations = np.array([line.ints for line in compiler.lines], np.int64)
    operations[:, [GRADIENT, BACK]] = compiler.gradients(operations)
    slots = [SOURCE, TARGET, OTHER, SAVED, GRADIENT, BACK]
    operations[:, slots] = compiler.offsets(operations[:, slots])
    numbers = np.array([line.floats for line in compiler.lines], np.float64)
    stop = int(np.argmax((operations[:, CODE] == SCALE) | (operations[:, CODE] <= READOUT)))
    sizes = (samples, batch, readouts, network.outputs, len(names), floor, stop)
    tables = Tables(operations, numbers, *sizes, momentum=0.0, running=0, training=training)
    dense = [step for step in flatten(steps) if isinstance(step.layer, Dense)]
    shapes = tuple((step.fan_in, step.units) for step in dense)
    real = [(compiler.columns if i == 0 and columns else a, b) for i, (a, b) in enumerate(shapes)]
    real[-1] = (real[-1][0], real[-1][1] * readouts)
    return Program(
        tables,
        names,
        tuple(compiler.calls),
        compiler.space,
        max(compiler.parameters, *(a * b for a, b in real)),
        max(compiler.columns, *(b for _, b in real)),
        compiler.records,
        compiler.running,
        compiler.frame,
        shapes,
        tuple(compiler.places),
        2 * samples * sum(a * b for a, b in real[:-1]),
    )


class _Line(NamedTuple):
    ints: tuple
    floats: tuple


class _Compiler:
    """Walks the steps once; ``slot`` is where the current activations are, ``held`` the slots still needed.

    ``fixed``: the way back reads the current slot.
    """

    def __init__(self, names, samples, readouts, columns, explicit, layout):
        self.row = {name: index for index, name in enumerate(names)}
        self.readouts, self.columns, self.explicit, self.layout = readouts, columns, explicit, layout
        self.samples, self.batch = samples
        self.lines, self.calls, self.places = [], [], []
        self.slot, self.held, self.fixed = 0, [0], False
        self.sizes = [columns]
        self.records = self.run = self.parameters = self.running = self.frame = self.dropouts = 0
        self.bands = 1
        self.dead_row = None

    def compile(self, steps):
        hidden = flatten(steps[:-1])
        activations = [step.name for step in hidden if isinstance(step.layer, Activation)]
        before = [step.name for step in hidden]
        self.dead_row = self.row[(activations or before or ["input"])[-1]]
        self._sequence(steps[:-1])
        self._dense(steps[-1], READOUT)
        self._record(steps[-1], steps[-1].units * self.readouts)

    def gradients(self, operations):
        """Slots of the gradients of (target, source) of all operations: two per depth of residuals, in turn.

        Where they are to stay apart, a new one behind every matrix product and for every branch.
        """
        slots, known, waiting = np.zeros((len(operations), 2), np.int64), {}, []
        if not self.layout.tape:
            return slots
        current = level, turn = 0, 0
        for k in range(len(operations) - 1, -1, -1):
            code, fan_in, units = operations[k, [CODE, FAN_IN, UNITS]]
            slots[k, 0] = self._gradient(known, current, units)
            if code in (DENSE, READOUT):
                turn = k if self.layout.apart else 1 - turn
            elif code == ADD:
                waiting.append((level, turn))
                level, turn = level + 1, k if self.layout.apart else 0
            elif code == FORK:
                level, turn = waiting.pop()
            current = level, turn
            slots[k, 1] = self._gradient(known, current, fan_in)
        return slots

    def _gradient(self, known, key, columns):
        if key not in known:
            known[key] = len(self.sizes)
            self.sizes.append(0)
        self.sizes[known[key]] = max(self.sizes[known[key]], columns)
        return known[key]

    def offsets(self, slots):
        """Places of slots in the flat workspace, in units of elements."""
        starts = np.concatenate([[0], np.cumsum([self._length(columns) for columns in self.sizes])])
        return np.where(slots < 0, -1, starts[slots])

    @property
    def space(self):
        return sum(self._length(columns) for columns in self.sizes)

    def _length(self, columns):
        return -(-self.samples * columns // 64) * 64

    def _sequence(self, steps):
        for step in steps:
            EMIT[type(step.layer)](self, step)
            self._record(step, step.units)

    def _record(self, step, columns):
        if self.layout.records:
            row = self.row[step.name]
            self._emit(RECORD, columns, columns, argument=row, more=int(row == self.dead_row))

    def _emit(self, code, fan_in, units, floats=(), *, source=None, other=0, argument=0, more=0, place=0, saved=-1):
        if code == RECORD:
            self.run += 1
            self.records = max(self.records, self.run)
        elif code < TILED:
            self.run = 0
        source = self.slot if source is None else source
        ints = (code, source, self.slot, other, fan_in, units, argument, more, place, saved, 0, 0)
        self.lines.append(_Line(ints, (*floats, 0.0, 0.0, 0.0)[:3]))

    def _move(self, columns, *, reads="nothing"):
        """Make ``slot`` one that may be written with ``columns`` columns; return where the current data are.

        ``reads``: what the way back of the operation needs, "nothing", its "input" or its "output".
        """
        source, tape = self.slot, self.layout.tape
        kept = tape and (self.fixed or reads == "input")
        self.fixed = reads == "output"
        if source in self.held or kept:
            self.slot = self._free({source, *self.held})
        self.sizes[self.slot] = max(self.sizes[self.slot], columns)
        return source

    def _free(self, taken):
        """A slot that nobody needs; on a tape all are needed."""
        slots = range(0 if not self.layout.tape else len(self.sizes), len(self.sizes))
        slot = next((s for s in slots if s not in taken), len(self.sizes))
        if slot == len(self.sizes):
            self.sizes.append(0)
        return slot

    def _saved(self, elements):
        """A slot for numbers that the way back needs."""
        if not self.layout.tape:
            return -1
        self.sizes.append(-(-elements // self.samples))
        return len(self.sizes) - 1

    def _place(self, step, kind, count, gap=0):
        """The place of ``count`` parameters."""
        if not self.layout.own:
            return 0
        start = self.parameters + gap
        self.parameters = start + count
        self.places.append(Place(step.name, kind, start, self.parameters))
        return start

    def _dense(self, step, code=DENSE):
        layer = step.layer
        weight, bias = layer.variances(step.fan_in)
        columns = step.units * (self.readouts if code == READOUT else 1)
        fan_in = self.columns if self.slot == 0 else step.fan_in
        bands = self.bands if self.slot == 0 else 1
        source = self.slot
        self.slot, self.fixed = self._free({source, *self.held}), False
        self.sizes[self.slot] = max(self.sizes[self.slot], columns)
        has_bias = bias > 0 or self.explicit
        numbers = (np.sqrt(weight / step.fan_in), np.sqrt(bias), float(has_bias))
        law = LAWS.index(layer.distribution)
        if law == ORTHOGONAL:
            self.frame = max(self.frame, orthogonal.scratch(step.fan_in, step.units))
        place = self._place(step, "weights", fan_in * columns)
        self._emit(code, fan_in, columns, numbers, source=source, argument=law, more=bands, place=place)
        if has_bias:
            # drawing the last of several readouts writes a little beyond its weights
            place = self._place(step, "bias", columns, gap=SLACK if self.readouts > 1 else 0)
            self._emit(BIAS, columns, columns, numbers, place=place)

    def _activation(self, step):
        record, units = step.layer.function, step.units
        code, numbers, reads, argument = CALL, (), "input", 0
        if record.slopes is not None:
            code, numbers = SLOPES, record.slopes
            reads = "output" if numbers[0] >= 0 and numbers[1] > 0 else "input"
        elif record.code in _KERNELS:
            code = _KERNELS[record.code]
            reads = "output" if code in (TANH, SIGMOID) else "input"
        else:
            if record not in self.calls:
                self.calls.append(record)
            argument = self.calls.index(record)
        source = self._move(units, reads=reads)
        self._emit(code, units, units, numbers, source=source, argument=argument, more=int(reads == "output"))

    def _norm(self, step):
        layer, units = step.layer, step.units
        numbers = (layer.epsilon, layer.scale, getattr(layer, "shift", 0.0))
        if self.layout.own:
            numbers = (layer.epsilon, 1.0, 0.0)
        if isinstance(layer, BatchNorm) and layer.fresh:
            source = self._move(units)
            self._emit(AFFINE, units, units, (numbers[1] / np.sqrt(1 + layer.epsilon), numbers[2]), source=source)
        elif isinstance(layer, BatchNorm):
            fresh = self.lines and self.lines[-1].ints[CODE] == RECORD
            source = self._move(units, reads="output")
            place, saved = self.running, self._saved(units * (self.samples // self.batch))
            self.running += units
            more = self.run if fresh else 0
            ints = {"argument": layer.batches, "more": more, "place": place, "saved": saved}
            self._emit(BATCH, units, units, (*numbers[:2], layer.momentum or 0.0), source=source, **ints)
            self._emit(COLUMNS, units, units, numbers, source=source)
        else:
            source = self._move(units, reads="output")
            groups = getattr(layer, "groups", 1)
            centred, saved = int(not isinstance(layer, RMSNorm)), self._saved(groups * self.samples)
            self._emit(ROWS, units, units, numbers, source=source, argument=groups, more=centred, saved=saved)
        if self.layout.own:
            self._scale_and_shift(step)

    def _scale_and_shift(self, step):
        layer, units = step.layer, step.units
        numbers = (layer.scale, getattr(layer, "shift", 0.0))
        if self.layout.affine:
            source = self._move(units, reads="input")
            place = self._place(step, "scale", units)
            self._place(step, "shift" if hasattr(layer, "shift") else "zero", units)
            self._emit(SCALE, units, units, numbers, source=source, place=place)
        elif numbers != (1.0, 0.0):
            self._emit(AFFINE, units, units, numbers, source=self._move(units))

    def _pool(self, step):
        layer, units = step.layer, step.units
        source = self._move(units, reads="input")
        more = REDUCTIONS.index(layer.reduction)
        self._emit(POOL, units, units, source=source, argument=layer.size, more=more)

    def _dropout(self, step):
        source, saved = self._move(step.units), self._saved(step.units * self.samples)
        ints = {"argument": self.dropouts, "saved": saved}
        self._emit(DROPOUT, step.units, step.units, (step.layer.rate,), source=source, **ints)
        self.dropouts += 1

    def _residual(self, step):
        stream, units = self.slot, step.units
        self.held.append(stream)
        if self.layout.tape:
            self._emit(FORK, units, units)
        self._sequence(step.branch)
        source = self._move(units)
        self.held.remove(stream)
        self._emit(ADD, units, units, source=source, other=stream)


EMIT = {
    Dense: _Compiler._dense,
    Activation: _Compiler._activation,
    BatchNorm: _Compiler._norm,
    LayerNorm: _Compiler._norm,
    RMSNorm: _Compiler._norm,
    GroupNorm: _Compiler._norm,
    FeaturePool: _Compiler._pool,
    Dropout: _Compiler._dropout,
    Residual: _Compiler._residual,
}
