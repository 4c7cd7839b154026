"""The way back: the operations of a program on a tape from the last to the first, each on the gradient of its target.

Within a tile of rows all operations between two matrix products are undone while the tile stays in the cache.
"""

import numpy as np

from ibtheory import _jit
from ibtheory._bundle import bundle
from ibtheory.simulation.machine import tile_rows
from ibtheory.simulation.ops import callback, moments, norms, pointwise, product, vectors
from ibtheory.simulation.program import (
    ADD,
    AFFINE,
    ARGUMENT,
    BACK,
    BATCH,
    BIAS,
    CALL,
    CODE,
    COLUMNS,
    DENSE,
    DROPOUT,
    ERF,
    FAN_IN,
    FORK,
    GELU,
    GRADIENT,
    MISH,
    MORE,
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
    UNITS,
)

# Memory of the way back. parameters: the gradient with respect to all parameters, laid out as they are; sums, products:
# of BatchNorm, per batch; derivative: of a user's activation; columns: scratch (3, units); moments (rows, 4): same,
# cross, gap and mean of the gradient at every layer, if the program takes records.
Gradients = bundle("Gradients", "parameters sums products derivative columns moments")


def gradients(program, dtype):
    """Allocate the memory of the way back of a program on a tape."""
    tables, units = program.tables, program.units
    batches = tables.samples // tables.batch
    return Gradients(
        parameters=np.zeros(program.weights, dtype),
        sums=np.zeros((batches, units)),
        products=np.zeros((batches, units)),
        derivative=np.zeros(tables.samples * units if program.calls else 0, dtype),
        columns=np.zeros((3, units), dtype),
        moments=np.full((tables.rows, 4), np.nan),
    )


@_jit.inner
def backward(tables, addresses, work, back):
    """From the gradient of the logits, which stands at its place, to those of the parameters."""
    operations = tables.operations
    k = np.int64(operations.shape[0] - 1)
    while k >= max(tables.stop, 0):
        code = operations[k, CODE]
        if code >= TILED:
            k = _tiled(tables, k, work, back)
            continue
        if code in (DENSE, READOUT):
            _dense(tables, k, addresses[0], work, back)
        elif code == BATCH:
            _batch(tables, k, work, back)
        elif code == CALL:
            size = tables.samples * operations[k, UNITS]
            x = work.space[operations[k, SOURCE] : operations[k, SOURCE] + size]
            slopes = back.derivative[:size]
            calls = (addresses.size - 1) // 2
            callback.call(addresses[1 + calls + operations[k, ARGUMENT]], x, slopes)
            pointwise.multiply(work.space[operations[k, GRADIENT] : operations[k, GRADIENT] + size], slopes)
        k -= 1


@_jit.inner
def _dense(tables, k, address, work, back):
    """Gradients with respect to the weights and, where it goes on, to the input."""
    operation, samples = tables.operations[k], tables.samples
    fan_in, units = operation[FAN_IN], operation[UNITS]
    transposed = operation[CODE] == READOUT
    x, gradient = work.space[operation[SOURCE] :], work.space[operation[GRADIENT] :]
    weights, target = work.weights[operation[PARAMETERS] :], back.parameters[operation[PARAMETERS] :]
    product.weight_gradient(address, x, gradient, transposed, target, samples, units, fan_in)
    if k > tables.stop:
        below = work.space[operation[BACK] :]
        product.multiply_back(address, gradient, weights, transposed, below, samples, units, fan_in)


@_jit.inner
def _batch(tables, k, work, back):
    """BatchNorm, given the sums that the way back through COLUMNS took."""
    operation, batch = tables.operations[k], tables.batch
    units, saved = operation[UNITS], operation[SAVED]
    mean, along = back.columns[0, :units], back.columns[1, :units]
    for index in range(tables.samples // batch):
        for j in range(units):
            mean[j] = back.sums[index, j] / batch
            along[j] = back.products[index, j] / batch
        first, last = index * batch * units, (index + 1) * batch * units
        g = work.space[operation[GRADIENT] + first : operation[GRADIENT] + last]
        z = work.space[operation[TARGET] + first : operation[TARGET] + last]
        factor = work.space[saved + index * units : saved + (index + 1) * units]
        norms.batch_back(g, z, units, factor, mean, along)


@_jit.inner
def _tiled(tables, last, work, back):
    """All operations from ``last`` down to the one after the next on all samples; return the index of that one."""
    operations = tables.operations
    units = operations[last, UNITS]
    first = last
    records = np.int64(0)
    while first > max(tables.stop, 0) and operations[first - 1, CODE] >= TILED:
        first -= 1
    for k in range(first, last + 1):
        _clear(operations[k], work, back, records)
        records += operations[k, CODE] == RECORD
    tile = tile_rows(units)
    for row in range(0, tables.samples, tile):
        stop = min(row + tile, tables.samples)
        record = 0
        for k in range(last, first - 1, -1):
            start = operations[k, GRADIENT] + row * units
            g = work.space[start : start + (stop - row) * units]
            if operations[k, CODE] == RECORD:
                vectors.merge_moments(g, stop - row, units, work.mean[record], work.squares[record], row)
                record += 1
            else:
                _apply(tables, k, work, back, row, g)
    record = 0
    for k in range(last, first - 1, -1):
        if operations[k, CODE] == RECORD:
            layer = back.moments[operations[k, ARGUMENT]]
            moments.summarize(work.mean[record], work.squares[record], tables.samples, units, layer)
            record += 1
    return first - 1


@_jit.inner
def _clear(operation, work, back, record):
    """Let sums over tiles start at 0."""
    code, place, units = operation[CODE], operation[PARAMETERS], operation[UNITS]
    if code == BIAS:
        back.parameters[place : place + units] = 0
    elif code == SCALE:
        back.parameters[place : place + 2 * units] = 0
    elif code == COLUMNS:
        back.sums[:] = 0.0
        back.products[:] = 0.0
    elif code == RECORD:
        moments.clear(work.mean[record], work.squares[record])


@_jit.inner
def _apply(tables, k, work, back, first, g):
    """Take the gradient ``g`` of the target, on the rows from ``first`` on, back through one operation."""
    operation, numbers = tables.operations[k], tables.numbers[k]
    units, code, kind = operation[UNITS], operation[CODE], g.dtype.type
    rows, place = g.size // units, operation[PARAMETERS]
    x = work.space[operation[SOURCE] + first * units : operation[SOURCE] + first * units + g.size]
    y = work.space[operation[TARGET] + first * units : operation[TARGET] + first * units + g.size]
    if code == SLOPES:
        pointwise.slopes_back(g, y if operation[MORE] == 1 else x, kind(numbers[0]), kind(numbers[1]))
    elif code == ROWS:
        groups = operation[ARGUMENT]
        start = operation[SAVED] + first * groups
        factors = work.space[start : start + rows * groups]
        norms.rows_back(g, y, units // groups, operation[MORE] == 1, factors, work.rows)
    elif code == COLUMNS:
        norms.batch_sums(g, y, units, first, tables.batch, back.sums, back.products)
    elif code == BIAS:
        target, unused = back.parameters[place : place + units], back.columns[2, :units]
        vectors.add_columns(g, g, np.int64(0), rows, units, target, unused)
    elif code == POOL:
        pointwise.pool_back(g, x, operation[ARGUMENT], operation[MORE])
    elif code == DROPOUT:
        start = operation[SAVED] + first * units
        pointwise.multiply(g, work.space[start : start + g.size])
    elif code == AFFINE:
        pointwise.affine(g, kind(numbers[0]), kind(0))
    elif code == SCALE:
        scale, shift = back.parameters[place : place + units], back.parameters[place + units : place + 2 * units]
        vectors.add_columns(g, x, np.int64(0), rows, units, shift, scale)
        pointwise.scale_rows(g, work.weights[place : place + units])
    elif code in (ADD, FORK):
        below = work.space[operation[BACK] + first * units : operation[BACK] + first * units + g.size]
        if code == ADD:
            pointwise.copy(g, below)
        else:
            pointwise.add(below, g)
    else:
        _activate_back(code, g, x, y)


@_jit.inner
def _activate_back(code, g, x, y):
    """Through an activation, given its input and its output."""
    if code == ERF:
        pointwise.erf_back(g, x)
    elif code == TANH:
        pointwise.tanh_back(g, y)
    elif code == GELU:
        pointwise.gelu_back(g, x)
    elif code == SIGMOID:
        pointwise.sigmoid_back(g, y)
    elif code == SILU:
        pointwise.silu_back(g, x)
    elif code == SOFTPLUS:
        pointwise.softplus_back(g, x)
    elif code == MISH:
        pointwise.mish_back(g, x)
