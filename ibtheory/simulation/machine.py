"""The machine: runs a compiled program for a range of networks, without the GIL, over one workspace.

It draws the weights of a network, multiplies by BLAS, and passes over the activations in tiles of rows that stay in
the cache, in which all operations up to the next matrix product, and their statistics, are done.
"""

from collections import namedtuple

import numpy as np

from ibtheory import _jit
from ibtheory.simulation import random
from ibtheory.simulation.ops import callback, moments, norms, pointwise, product, readout, vectors
from ibtheory.simulation.program import (
    ADD,
    AFFINE,
    ARGUMENT,
    BATCH,
    BIAS,
    CALL,
    CODE,
    COLUMNS,
    DENSE,
    ERF,
    FAN_IN,
    GELU,
    MORE,
    OTHER,
    READOUT,
    RECORD,
    ROWS,
    SLOPES,
    SOURCE,
    TANH,
    TARGET,
    TILED,
    UNITS,
)

# Memory of one thread. space: activations; weights, bias: of one layer; offsets, factors: of BatchNorm, per batch;
# rows: scratch of the other norms; mean, squares, powers: accumulators of statistics; state, raw: random numbers.
Workspace = namedtuple("Workspace", "space weights bias ones offsets factors rows mean squares powers state raw")

# What a range of networks hands over. layers (networks, rows, 4): same, cross, gap, mean; counts (networks, readouts,
# classes); shape (networks, 2): skewness and kurtosis; dead (networks,): features; stop: row of the first layer that
# is not finite, minus that row if it is too small for the precision, or 0.
Outcome = namedtuple("Outcome", "layers counts shape dead stop")


def workspace(program, inputs, dtype):
    """Allocate the memory of one thread; ``inputs`` (samples, columns) is copied to the first slot."""
    dtype = np.dtype(dtype)
    tables, units = program.tables, program.units
    space = np.zeros(program.space, dtype)
    space[: inputs.size] = inputs.ravel()
    batches = tables.samples // tables.batch
    return Workspace(
        space=space,
        weights=np.empty(program.weights + random.SLACK, dtype),
        bias=np.empty(units + random.SLACK, dtype),
        ones=np.ones(units, dtype),
        offsets=np.empty((batches, units), dtype),
        factors=np.empty((batches, units), dtype),
        rows=np.empty((2, 32)),
        mean=np.zeros((program.records + 1, units)),
        squares=np.zeros((program.records + 1, units)),
        powers=np.empty((2, units)),
        state=np.zeros(random.WORDS, np.uint32),
        raw=np.empty(2 * random.CHUNK, np.uint32),
    )


def outcome(program, networks, classes):
    """Allocate the results of ``networks`` networks."""
    tables = program.tables
    return Outcome(
        layers=np.full((networks, tables.rows, 4), np.nan),
        counts=np.zeros((networks, tables.readouts, classes), np.int64),
        shape=np.full((networks, 2), np.nan),
        dead=np.zeros(networks, np.int64),
        stop=np.zeros(networks, np.int64),
    )


@_jit.door()
def run(tables, seed, first, addresses, given, work, out):
    """Run the program for networks ``first``, ``first`` + 1, ... as many as ``out`` holds.

    ``given`` (networks, parameters) replaces the random weights, in the order in which they are drawn, or is
    (0, 0). ``addresses``: of BLAS's gemm, then of the callbacks.
    """
    operations = tables.operations
    for i in range(out.stop.size):
        random.seed_lanes(work.state, seed, first + i)
        parameters = given[i] if given.shape[0] else given.reshape(-1)
        taken = k = np.int64(0)  # a literal 0 would compile everything below twice
        while k < operations.shape[0] and out.stop[i] == 0:
            code = operations[k, CODE]
            if code >= TILED:
                k = _tiled(tables, k, work, i, out)
                continue
            if code in (DENSE, READOUT):
                taken = _dense(tables, k, addresses[0], parameters, taken, work)
            elif code == BATCH:
                _batch(tables, k, work)
            elif code == CALL:
                size = tables.samples * operations[k, UNITS]
                x = work.space[operations[k, SOURCE] : operations[k, SOURCE] + size]
                y = work.space[operations[k, TARGET] : operations[k, TARGET] + size]
                callback.call(addresses[1 + operations[k, ARGUMENT]], x, y)
            k += 1
        if out.stop[i] == 0:
            _read(tables, work, i, out)


@_jit.inner()
def _parameters(out, count, std, uniform, parameters, taken, work):
    """Draw or take ``count`` parameters into ``out``; return how many have been taken in all."""
    if parameters.size:
        for j in range(count):
            out[j] = parameters[taken + j]
        return taken + count
    random.fill(out, count, std, uniform, work.state, work.raw)
    return taken


@_jit.inner()
def _dense(tables, k, address, parameters, taken, work):
    """Weights of a layer and the matrix product; the readouts one after the other, each (outputs, fan_in)."""
    operation, std = tables.operations[k], tables.numbers[k]
    fan_in, units, uniform = operation[FAN_IN], operation[UNITS], operation[ARGUMENT] == 1
    last = operation[CODE] == READOUT
    parts = tables.readouts if last else 1
    each = units // parts
    has_bias = std[1] > 0 or parameters.size > 0
    for part in range(parts):
        weights = work.weights[part * each * fan_in :]
        taken = _parameters(weights, each * fan_in, std[0], uniform, parameters, taken, work)
        if has_bias:
            bias = work.bias[part * each :]
            taken = _parameters(bias, each, std[1], uniform, parameters, taken, work)
    _multiply(tables, operation, address, work)
    return taken


@_jit.inner()
def _multiply(tables, operation, address, work):
    """The matrix product; a triangular input in bands of rows, each without the columns that are 0 in all of it."""
    fan_in, units, bands = operation[FAN_IN], operation[UNITS], operation[MORE]
    x, y = work.space[operation[SOURCE] :], work.space[operation[TARGET] :]
    transposed = operation[CODE] == READOUT
    for band in range(bands):
        first, last = band * tables.samples // bands, (band + 1) * tables.samples // bands
        used = fan_in if bands == 1 else last
        rows, target = x[first * fan_in :], y[first * units :]
        product.multiply(address, rows, fan_in, used, work.weights, transposed, target, last - first, units)


@_jit.inner()
def _batch(tables, k, work):
    """Statistics of BatchNorm; those of the whole data are known if they have just been recorded."""
    operation, numbers = tables.operations[k], tables.numbers[k]
    units, batch, known = operation[UNITS], tables.batch, operation[MORE] - 1
    source = operation[SOURCE]
    for index in range(tables.samples // batch):
        accumulator = known
        if known < 0 or batch < tables.samples:
            accumulator = work.mean.shape[0] - 1
            x = work.space[source + index * batch * units : source + (index + 1) * batch * units]
            moments.collect(x, units, _tile(units), work.mean[accumulator], work.squares[accumulator])
        mean, squares = work.mean[accumulator], work.squares[accumulator]
        offset, factor = work.offsets[index, :units], work.factors[index, :units]
        norms.batch_statistics(mean, squares, float(batch), numbers[0], numbers[1], offset, factor)


@_jit.inner()
def _tile(units):
    """Rows of a tile: about 16 kB of float32."""
    return max(16, min(128, 4096 // units // 8 * 8))


@_jit.inner()
def _tiled(tables, first, work, network, out):
    """All operations from ``first`` up to the next one on all samples; return its index."""
    operations = tables.operations
    units = operations[first, UNITS]
    last = first
    records = 0
    while last < operations.shape[0] and operations[last, CODE] >= TILED:
        if operations[last, CODE] == RECORD:
            moments.clear(work.mean[records], work.squares[records])
            records += 1
        last += 1
    tile = _tile(units)
    for row in range(0, tables.samples, tile):
        stop = min(row + tile, tables.samples)
        record = 0
        for k in range(first, last):
            start = operations[k, TARGET] + row * units
            x = work.space[start : start + (stop - row) * units]
            if operations[k, CODE] == RECORD:
                mean, squares = work.mean[record], work.squares[record]
                vectors.merge_moments(x, stop - row, units, mean, squares, row)
                record += 1
            else:
                _apply(tables, k, work, row, x)
    _close(tables, first, last, work, network, out)
    return last


@_jit.inner()
def _apply(tables, k, work, first, x):
    """One operation on the rows from ``first`` on, which are to stand in ``x``."""
    operation, numbers = tables.operations[k], tables.numbers[k]
    units, code, kind = operation[UNITS], operation[CODE], x.dtype.type
    if operation[SOURCE] != operation[TARGET]:
        start = operation[SOURCE] + first * units
        pointwise.copy(work.space[start : start + x.size], x)
    if code == SLOPES:
        pointwise.slopes(x, kind(numbers[0]), kind(numbers[1]))
    elif code == ROWS:
        size, centred = units // operation[ARGUMENT], operation[MORE] == 1
        norms.rows(x, size, centred, numbers[0], numbers[1], numbers[2], work.rows)
    elif code == COLUMNS:
        norms.batch_apply(x, units, first, tables.batch, work.offsets, work.factors, numbers[2])
    elif code == BIAS:
        vectors.affine_columns(x, np.int64(0), x.size // units, units, work.bias, work.ones, kind(0))
    elif code == ERF:
        pointwise.erf(x)
    elif code == TANH:
        pointwise.tanh(x)
    elif code == GELU:
        pointwise.gelu(x)
    elif code == AFFINE:
        pointwise.affine(x, kind(numbers[0]), kind(numbers[1]))
    elif code == ADD:
        start = operation[OTHER] + first * units
        pointwise.add(x, work.space[start : start + x.size])


@_jit.inner()
def _close(tables, first, last, work, network, out):
    """Turn the accumulators of the records into statistics; stop at the first that is not finite."""
    operations = tables.operations
    record = 0
    for k in range(first, last):
        if operations[k, CODE] != RECORD:
            continue
        units, row = operations[k, UNITS], operations[k, ARGUMENT]
        layer = out.layers[network, row]
        moments.summarize(work.mean[record], work.squares[record], tables.samples, units, layer)
        if not np.isfinite(layer[0]) or 0 < layer[0] < tables.floor:
            out.stop[network] = -row if layer[0] < tables.floor else row
            return
        if operations[k, MORE] == 1:
            out.dead[network] = moments.constant(work.squares[record], units)
        record += 1


@_jit.inner()
def _read(tables, work, network, out):
    """Predictions and shape of the logits, which the last operation recorded in the first accumulator."""
    k = tables.operations.shape[0] - 1
    units = tables.operations[k, UNITS]
    start, size = tables.operations[k, TARGET], tables.samples * units
    logits = work.space[start : start + size].reshape((tables.samples, units))
    readout.count(logits, tables.outputs, out.counts[network])
    skewness, kurtosis = readout.shape(logits, work.mean[0], work.squares[0], work.powers[0], work.powers[1])
    out.shape[network, 0], out.shape[network, 1] = skewness, kurtosis
