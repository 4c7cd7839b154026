"""The machine: runs a compiled program for a range of networks, without the GIL, over one workspace.

It draws the weights of a network, multiplies by BLAS, and passes over the activations in tiles of rows that stay in
the cache, in which all operations up to the next matrix product, and their statistics, are done.
"""

import numpy as np

from ibtheory import _jit
from ibtheory._bundle import bundle
from ibtheory.simulation import random
from ibtheory.simulation.ops import callback, moments, norms, orthogonal, pointwise, product, readout, vectors
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
    DROPOUT,
    ERF,
    FAN_IN,
    GELU,
    MISH,
    MORE,
    ORTHOGONAL,
    OTHER,
    PARAMETERS,
    POOL,
    READOUT,
    RECORD,
    ROWS,
    SAVED,
    SCALE,
    SIGMOID,
    SILU,
    SLOPES,
    SOFTPLUS,
    SOURCE,
    TANH,
    TARGET,
    TILED,
    UNIFORM,
    UNITS,
)

# Memory of one thread. space: activations; weights, bias: of one layer, or twice the array of all parameters; offsets,
# factors: of BatchNorm, per batch; running (2, features): its running means and variances; rows: scratch of the other
# norms; mean, squares, powers: accumulators of statistics; groups (samples,): the group of each sample; state, raw:
# random numbers; frame: scratch of orthogonal weights.
Workspace = bundle(
    "Workspace", "space weights bias ones offsets factors running rows mean squares powers groups state raw frame"
)

# What a range of networks hands over. layers (networks, rows, 4): same, cross, gap, mean; counts (networks, readouts,
# groups, classes); shape (networks, numbers): see readout.shape; dead (networks,): features; stop: row of the first
# layer that is not finite, minus that row if it is too small for the precision, or 0.
Outcome = bundle("Outcome", "layers counts shape dead stop")


def workspace(program, inputs, dtype, parameters=None, running=None, groups=None):
    """Allocate the memory of one thread; ``inputs`` (samples, columns) is copied to the first slot.

    ``parameters`` are all those of a network with their own places, ``running`` the running statistics, ``groups``
    (samples,) the group of each sample, by default the same for all.
    """
    dtype = np.dtype(dtype)
    tables, units = program.tables, program.units
    space = np.zeros(program.space, dtype)
    space[: inputs.size] = inputs.ravel()
    own = parameters is not None
    batches = tables.samples // tables.batch
    return Workspace(
        space=space,
        weights=parameters if own else np.empty(program.weights + random.SLACK, dtype),
        bias=parameters if own else np.empty(units + random.SLACK, dtype),
        ones=np.ones(units, dtype),
        offsets=np.empty((batches, units), dtype),
        factors=np.empty((batches, units), dtype),
        running=np.zeros((2, program.running)) if running is None else running,
        rows=np.empty((2, 32)),
        mean=np.zeros((program.records + 1, units)),
        squares=np.zeros((program.records + 1, units)),
        powers=np.empty((3, units)),
        groups=np.zeros(tables.samples - tables.training, np.int64) if groups is None else groups,
        state=np.zeros(random.WORDS, np.uint32),
        raw=np.empty(2 * random.CHUNK, np.uint32),
        frame=np.empty(program.frame),
    )


def outcome(program, networks, classes, groups=1):
    """Allocate the results of ``networks`` networks."""
    tables = program.tables
    return Outcome(
        layers=np.full((networks, tables.rows, 4), np.nan),
        counts=np.zeros((networks, tables.readouts, groups, classes), np.int64),
        shape=np.full((networks, len(readout.SHAPE) + readout.BINS), np.nan),
        dead=np.zeros(networks, np.int64),
        stop=np.zeros(networks, np.int64),
    )


@_jit.door
def run(tables, seed, first, addresses, given, work, out):
    """Run the program for networks ``first``, ``first`` + 1, ... as many as ``out`` holds.

    ``given`` (networks, parameters) replaces the random weights, in the order in which they are drawn, or is
    (0, 0). ``addresses``: of BLAS's gemm, then of the callbacks.
    """
    for i in range(out.stop.size):
        random.seed_lanes(work.state, seed, first + i)
        parameters = given[i] if given.shape[0] else given.reshape(-1)
        forward(tables, addresses, parameters, True, work, i, out)
        if out.stop[i] == 0:
            read(tables, work, i, out)


@_jit.inner
def forward(tables, addresses, parameters, drawing, work, i, out):
    """All operations, for network ``i`` of ``out``; ``drawing`` its parameters, or with those in the workspace."""
    operations = tables.operations
    taken = k = np.int64(0)  # a literal 0 would compile everything below twice
    while k < operations.shape[0] and out.stop[i] == 0:
        code = operations[k, CODE]
        if code >= TILED:
            k = _tiled(tables, k, work, i, out)
            continue
        if code in (DENSE, READOUT):
            if drawing:
                taken = draw(tables, k, parameters, taken, work)
            _multiply(tables, operations[k], addresses[0], work)
        elif code == BATCH:
            _batch(tables, k, work)
        elif code == CALL:
            size = tables.samples * operations[k, UNITS]
            x = work.space[operations[k, SOURCE] : operations[k, SOURCE] + size]
            y = work.space[operations[k, TARGET] : operations[k, TARGET] + size]
            callback.call(addresses[1 + operations[k, ARGUMENT]], x, y)
        k += 1


@_jit.inner
def _parameters(out, count, std, uniform, parameters, taken, work):
    """Draw or take ``count`` parameters into ``out``; return how many have been taken in all."""
    if parameters.size:
        for j in range(count):
            out[j] = parameters[taken + j]
        return taken + count
    random.fill(out, count, std, uniform, work.state, work.raw)
    return taken


@_jit.inner
def draw(tables, k, parameters, taken, work):
    """Weights and biases of a layer; the readouts one after the other, each (outputs, fan_in)."""
    operation, std = tables.operations[k], tables.numbers[k]
    fan_in, units, uniform = operation[FAN_IN], operation[UNITS], operation[ARGUMENT] == UNIFORM
    parts = tables.readouts if operation[CODE] == READOUT else 1
    each = units // parts
    rows, columns = (each, fan_in) if operation[CODE] == READOUT else (fan_in, each)
    for part in range(parts):
        weights = work.weights[operation[PARAMETERS] + part * each * fan_in :]
        if operation[ARGUMENT] == ORTHOGONAL and parameters.size == 0:
            orthogonal.fill(weights, rows, columns, std[0], work.frame, work.state, work.raw)
        else:
            taken = _parameters(weights, each * fan_in, std[0], uniform, parameters, taken, work)
        if std[2] > 0:
            bias = work.bias[tables.operations[k + 1, PARAMETERS] + part * each :]
            if std[1] > 0 or parameters.size > 0:
                taken = _parameters(bias, each, std[1], uniform, parameters, taken, work)
            else:
                bias[:each] = 0
    return taken


@_jit.inner
def _multiply(tables, operation, address, work):
    """The matrix product; a triangular input in bands of rows, each without the columns that are 0 in all of it."""
    fan_in, units, bands = operation[FAN_IN], operation[UNITS], operation[MORE]
    x, y = work.space[operation[SOURCE] :], work.space[operation[TARGET] :]
    transposed = operation[CODE] == READOUT
    for band in range(bands):
        first, last = band * tables.samples // bands, (band + 1) * tables.samples // bands
        used = fan_in if bands == 1 else min(last, fan_in)
        rows, target = x[first * fan_in :], y[first * units :]
        weights = work.weights[operation[PARAMETERS] :]
        product.multiply(address, rows, fan_in, used, weights, transposed, target, last - first, units)


@_jit.inner
def _batch(tables, k, work):
    """Statistics of BatchNorm; those of the whole data are known if they have just been recorded."""
    operation, numbers = tables.operations[k], tables.numbers[k]
    units, batch, known = operation[UNITS], tables.batch, operation[MORE] - 1
    source, saved, place = operation[SOURCE], operation[SAVED], operation[PARAMETERS]
    running_mean, running_variance = work.running[0, place : place + units], work.running[1, place : place + units]
    if tables.running:
        offset, factor = work.offsets[0, :units], work.factors[0, :units]
        norms.batch_statistics(running_mean, running_variance, 1.0, numbers[0], numbers[1], offset, factor)
        return
    evaluates, training = operation[ARGUMENT] > 0, tables.training // batch
    if evaluates:
        running_mean[:] = 0.0
        running_variance[:] = norms.initial_weight(operation[ARGUMENT], numbers[2])
    for index in range(training if evaluates else tables.samples // batch):
        accumulator = known
        if known < 0 or batch < tables.samples:
            accumulator = work.mean.shape[0] - 1
            x = work.space[source + index * batch * units : source + (index + 1) * batch * units]
            moments.collect(x, units, tile_rows(units), work.mean[accumulator], work.squares[accumulator])
        mean, squares = work.mean[accumulator], work.squares[accumulator]
        offset, factor = work.offsets[index, :units], work.factors[index, :units]
        norms.batch_statistics(mean, squares, float(batch), numbers[0], numbers[1], offset, factor)
        if saved >= 0:
            start = saved + index * units
            pointwise.copy(factor, work.space[start : start + units])
        if tables.momentum > 0:
            norms.follow(mean, squares, float(batch), tables.momentum, running_mean, running_variance)
        if evaluates:
            weight = norms.running_weight(index, training, operation[ARGUMENT], numbers[2])
            norms.add_weighted(mean, squares, batch - 1.0, weight, running_mean, running_variance)
    for index in range(training, tables.samples // batch if evaluates else training):
        offset, factor = work.offsets[index, :units], work.factors[index, :units]
        norms.batch_statistics(running_mean, running_variance, 1.0, numbers[0], numbers[1], offset, factor)


@_jit.inner
def tile_rows(units):
    """Rows of a tile: about 16 kB of float32."""
    return max(16, min(128, 4096 // units // 8 * 8))


@_jit.inner
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
    tile = tile_rows(units)
    row = np.int64(0)
    while row < tables.samples:
        stop = min(row + tile, tables.samples if row >= tables.training else tables.training)
        record = 0
        for k in range(first, last):
            start = operations[k, TARGET] + row * units
            x = work.space[start : start + (stop - row) * units]
            if operations[k, CODE] != RECORD:
                _apply(tables, k, work, row, x)
            elif row >= tables.training:
                mean, squares = work.mean[record], work.squares[record]
                vectors.merge_moments(x, stop - row, units, mean, squares, row - tables.training)
                record += 1
        row = stop
    _close(tables, first, last, work, network, out)
    return last


@_jit.inner
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
        start = operation[SAVED] + first * operation[ARGUMENT]
        saved = work.space[start : start + x.size // size] if operation[SAVED] >= 0 else x[:0]
        norms.rows(x, size, centred, numbers, work.rows, saved)
    elif code == COLUMNS:
        norms.batch_apply(x, units, first, tables.batch, work.offsets, work.factors, numbers[2])
    elif code == BIAS:
        vectors.affine_columns(
            x, np.int64(0), x.size // units, units, work.bias[operation[PARAMETERS] :], work.ones, kind(0)
        )
    elif code == AFFINE:
        pointwise.affine(x, kind(numbers[0]), kind(numbers[1]))
    elif code == SCALE:
        scale = work.weights[operation[PARAMETERS] : operation[PARAMETERS] + 2 * units]
        pointwise.affine_rows(x, scale[:units], scale[units:])
    elif code == POOL:
        pointwise.pool(x, operation[ARGUMENT], operation[MORE])
    elif code == DROPOUT:
        start = operation[SAVED] + first * units
        pointwise.multiply(x, work.space[start : start + x.size])
    elif code == ADD:
        start = operation[OTHER] + first * units
        pointwise.add(x, work.space[start : start + x.size])
    else:
        _activate(code, x)


@_jit.inner
def _activate(code, x):
    """An activation with a kernel of its own."""
    if code == ERF:
        pointwise.erf(x)
    elif code == TANH:
        pointwise.tanh(x)
    elif code == GELU:
        pointwise.gelu(x)
    elif code == SIGMOID:
        pointwise.sigmoid(x)
    elif code == SILU:
        pointwise.silu(x)
    elif code == SOFTPLUS:
        pointwise.softplus(x)
    elif code == MISH:
        pointwise.mish(x)


@_jit.inner
def _close(tables, first, last, work, network, out):
    """Turn the accumulators of the records into statistics; stop at the first that is not finite."""
    operations = tables.operations
    record = 0
    for k in range(first, last):
        if operations[k, CODE] != RECORD:
            continue
        units, row = operations[k, UNITS], operations[k, ARGUMENT]
        layer = out.layers[network, row]
        samples = tables.samples - tables.training
        moments.summarize(work.mean[record], work.squares[record], samples, units, layer)
        if not np.isfinite(layer[0]) or 0 < layer[0] < tables.floor:
            out.stop[network] = -row if layer[0] < tables.floor else row
            return
        if operations[k, MORE] == 1:
            out.dead[network] = moments.constant(work.squares[record], units)
        record += 1


@_jit.inner
def read(tables, work, network, out):
    """Predictions and shape of the logits, which the last operation recorded in the first accumulator."""
    k = tables.operations.shape[0] - 1
    units = tables.operations[k, UNITS]
    start, stop = tables.operations[k, TARGET] + tables.training * units, tables.operations[k, TARGET]
    stop += tables.samples * units
    logits = work.space[start:stop].reshape((tables.samples - tables.training, units))
    readout.count(logits, tables.outputs, work.groups, out.counts[network])
    readout.shape(logits, work.mean[0, :units], work.squares[0, :units], work.powers, out.shape[network])
