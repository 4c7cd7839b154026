"""A network compiled to a flat program: operation codes, places in one workspace, sizes and numbers.

Every step of the network becomes one or two operations and a RECORD of its statistics. Activations live in slots of
one flat workspace; slot 0 is the input. Operations work in place, except where the array they read is still needed:
the input, and the stream of a residual.
"""

from collections import namedtuple
from typing import NamedTuple

import numpy as np

from ibtheory.layers import (
    Activation,
    BatchNorm,
    Dense,
    GroupNorm,
    LayerNorm,
    Residual,
    RMSNorm,
    flatten,
)

# Operations on all samples at once; everything from TILED on works on a tile of rows.
DENSE, READOUT, BATCH, CALL = range(4)
TILED = 10
BIAS, SLOPES, ERF, TANH, GELU, ROWS, COLUMNS, AFFINE, ADD, RECORD = range(TILED, TILED + 10)

# Columns of the table of operations. OTHER: the place of the second summand. ARGUMENT: uniform weights, index of the
# callback, groups, row of the record. MORE: bands of a product, centred or not, counts dead features or not,
# accumulator of the last record plus one.
CODE, SOURCE, TARGET, OTHER, FAN_IN, UNITS, ARGUMENT, MORE = range(8)

_BANDS = 4  # leaves 5/8 of the product of a triangle

_KERNELS = {"activations.erf": ERF, "activations.tanh": TANH, "activations.gelu": GELU}

# What the compiled machine reads.
Tables = namedtuple("Tables", "operations numbers samples batch readouts outputs rows floor")


class Program(NamedTuple):
    """A compiled network.

    Attributes
    ----------
    tables : Tables
        ``operations`` (K, 8) int64, ``numbers`` (K, 3) float64, and sizes.
    names : tuple of str
        Rows of statistics: "input", the layers in order, "logits".
    calls : tuple of ActivationFunction
        Activations that are called back in Python.
    space, weights, units, records : int
        Sizes of the workspace: activations, the largest weight matrix, columns, records between two matrix products.
    shapes : tuple of (int, int)
        (fan_in, units) of the dense layers in order.
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
    shapes: tuple
    flops: int


def compile_network(network, features, samples, *, batch, readouts, columns=None, floor=0.0, explicit=False):
    """Compile ``network`` for ``samples`` inputs of ``features`` features.

    ``columns`` is given if the inputs are a triangle (samples, columns) instead, with the same Gram matrix.
    Mean squares below ``floor`` stop the machine. ``explicit``: parameters will be given, biases among them.
    """
    steps = network.steps(features)
    names = ("input", *(step.name for step in flatten(steps)))
    compiler = _Compiler(names, samples, readouts, columns or features, explicit)
    if columns and len(steps) > 1:
        compiler.bands = min(_BANDS, samples)
    compiler.compile(steps)
    operations = np.array([line.ints for line in compiler.lines], np.int64)
    places = [SOURCE, TARGET, OTHER]
    operations[:, places] = compiler.offsets(operations[:, places])
    numbers = np.array([line.floats for line in compiler.lines], np.float64)
    tables = Tables(operations, numbers, samples, batch, readouts, network.outputs, len(names), floor)
    dense = [step for step in flatten(steps) if isinstance(step.layer, Dense)]
    shapes = tuple((step.fan_in, step.units) for step in dense)
    real = [(compiler.columns if i == 0 and columns else a, b) for i, (a, b) in enumerate(shapes)]
    real[-1] = (real[-1][0], real[-1][1] * readouts)
    return Program(
        tables,
        names,
        tuple(compiler.calls),
        compiler.space,
        max(a * b for a, b in real),
        max(compiler.columns, *(b for _, b in real)),
        compiler.records,
        shapes,
        2 * samples * sum(a * b for a, b in real[:-1]),
    )


class _Line(NamedTuple):
    ints: tuple
    floats: tuple


class _Compiler:
    """Walks the steps once; ``slot`` is where the current activations are, ``held`` the slots still needed."""

    def __init__(self, names, samples, readouts, columns, explicit):
        self.row = {name: index for index, name in enumerate(names)}
        self.samples, self.readouts, self.columns, self.explicit = samples, readouts, columns, explicit
        self.lines, self.calls = [], []
        self.slot, self.held = 0, [0]
        self.sizes = [columns]
        self.records = self.run = 0
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

    def offsets(self, slots):
        """Places of slots in the flat workspace, in units of elements."""
        starts = np.concatenate([[0], np.cumsum([self._length(columns) for columns in self.sizes])])
        return starts[slots]

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
        row = self.row[step.name]
        self._emit(RECORD, columns, columns, row, (), more=int(row == self.dead_row))

    def _emit(self, code, fan_in, units, argument, floats, *, source=None, other=0, more=0):
        if code == RECORD:
            self.run += 1
            self.records = max(self.records, self.run)
        elif code < TILED:
            self.run = 0
        source = self.slot if source is None else source
        ints = (code, source, self.slot, other, fan_in, units, argument, more)
        self.lines.append(_Line(ints, (*floats, 0.0, 0.0, 0.0)[:3]))

    def _move(self, columns, *, in_place):
        """Make ``slot`` one that may be written with ``columns`` columns; return where the current data are."""
        source = self.slot
        if in_place and source not in self.held:
            return source
        taken = {source, *self.held}
        self.slot = next((s for s in range(len(self.sizes)) if s not in taken), len(self.sizes))
        if self.slot == len(self.sizes):
            self.sizes.append(0)
        self.sizes[self.slot] = max(self.sizes[self.slot], columns)
        return source

    def _dense(self, step, code=DENSE):
        layer = step.layer
        weight, bias = layer.variances(step.fan_in)
        columns = step.units * (self.readouts if code == READOUT else 1)
        fan_in = self.columns if self.slot == 0 else step.fan_in
        bands = self.bands if self.slot == 0 else 1
        source = self._move(columns, in_place=False)
        numbers = (np.sqrt(weight / step.fan_in), np.sqrt(bias))
        uniform = int(layer.distribution == "uniform")
        self._emit(code, fan_in, columns, uniform, numbers, source=source, more=bands)
        if bias > 0 or self.explicit:
            self._emit(BIAS, columns, columns, 0, numbers)

    def _activation(self, step):
        record = step.layer.function
        source = self._move(step.units, in_place=True)
        if record.slopes is not None:
            self._emit(SLOPES, step.units, step.units, 0, record.slopes, source=source)
        elif record.code in _KERNELS:
            self._emit(_KERNELS[record.code], step.units, step.units, 0, (), source=source)
        else:
            if record not in self.calls:
                self.calls.append(record)
            self._emit(CALL, step.units, step.units, self.calls.index(record), (), source=source)

    def _norm(self, step):
        layer = step.layer
        numbers = (layer.epsilon, layer.scale, getattr(layer, "shift", 0.0))
        source = self._move(step.units, in_place=True)
        if isinstance(layer, BatchNorm) and layer.mode == "running":
            numbers = (layer.scale / np.sqrt(1 + layer.epsilon), layer.shift)
            self._emit(AFFINE, step.units, step.units, 0, numbers, source=source)
        elif isinstance(layer, BatchNorm):
            fresh = self.lines and self.lines[-1].ints[CODE] == RECORD
            self._emit(BATCH, step.units, step.units, 0, numbers, source=source, more=self.run if fresh else 0)
            self._emit(COLUMNS, step.units, step.units, 0, numbers, source=source)
        else:
            groups = getattr(layer, "groups", 1)
            centred = int(not isinstance(layer, RMSNorm))
            self._emit(ROWS, step.units, step.units, groups, numbers, source=source, more=centred)

    def _residual(self, step):
        stream = self.slot
        self.held.append(stream)
        self._sequence(step.branch)
        source = self._move(step.units, in_place=True)
        self.held.remove(stream)
        self._emit(ADD, step.units, step.units, 0, (), source=source, other=stream)


EMIT = {
    Dense: _Compiler._dense,
    Activation: _Compiler._activation,
    BatchNorm: _Compiler._norm,
    LayerNorm: _Compiler._norm,
    RMSNorm: _Compiler._norm,
    GroupNorm: _Compiler._norm,
    Residual: _Compiler._residual,
}
