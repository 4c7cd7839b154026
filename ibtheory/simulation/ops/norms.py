"""Norms over features (row by row) and over the batch (column by column), in place. A variance of 0 gives 0."""

import numpy as np

from ibtheory import _jit, _math
from ibtheory.simulation.ops import vectors


@_jit.inner
def inverse_root(variance):
    """variance^(-1/2), and 0 for 0."""
    return 1.0 / np.sqrt(variance) if variance != 0 else 0.0


@_jit.inner
def rows(x, size, centred, numbers, scratch, saved):
    """Normalize each block of ``size`` neighbors: a sample (LayerNorm, RMSNorm) or a group of it (GroupNorm).

    Sums are taken of differences from the first number, in one pass: exactly 0 for a constant block, and a relative
    error of at most ``size`` roundings where the first number stands far out. ``scratch`` (2, K) float64 lets K
    blocks be summed, then their roots be taken, then be normalized: so none waits for the root of another.
    ``numbers``: epsilon, scale and shift; ``saved``: (blocks,) for the factors, or empty.
    """
    epsilon, scale, shift = numbers[0], numbers[1], numbers[2]
    blocks = x.size // size
    for start in range(0, blocks, scratch.shape[1]):
        count = min(scratch.shape[1], blocks - start)
        part = x[start * size : (start + count) * size]
        totals, squares = scratch[0, :count], scratch[1, :count]
        vectors.row_sums(part, size, centred, totals, squares)
        _roots(totals, squares, size, centred, epsilon, scale)
        for block in range(count):
            first = block * size
            pivot = part[first] if centred else x.dtype.type(0)
            center, factor = x.dtype.type(pivot + totals[block]), x.dtype.type(squares[block])
            if saved.size:
                saved[start + block] = factor
            _apply(part[first : first + size], center, factor, x.dtype.type(shift))


@_jit.inner
def _roots(totals, squares, size, centred, epsilon, scale):
    """Totals become means, squares become factors."""
    inverse = 1.0 / size
    for block in range(totals.size):
        mean = totals[block] * inverse if centred else 0.0
        variance = squares[block] * inverse - mean * mean
        variance = 0.0 if variance < 0 else variance
        totals[block] = mean
        squares[block] = scale * inverse_root(variance + epsilon)


@_jit.inner
def _apply(x, center, factor, shift):
    for j in range(x.size):
        x[j] = _math.fma(x[j] - center, factor, shift)


@_jit.inner
def rows_back(g, z, size, centred, factors, scratch):
    """g <- factor (g - mean g - z mean(g z)) in each block, z the normalized numbers; without mean g if not centred."""
    blocks = g.size // size
    for start in range(0, blocks, scratch.shape[1]):
        count = min(scratch.shape[1], blocks - start)
        first, last = start * size, (start + count) * size
        totals, products = scratch[0, :count], scratch[1, :count]
        vectors.row_products(g[first:last], z[first:last], size, totals, products)
        for block in range(count):
            mean = g.dtype.type(totals[block] / size if centred else 0.0)
            along = g.dtype.type(products[block] / size)
            begin = first + block * size
            _project(g[begin : begin + size], z[begin : begin + size], factors[start + block], mean, along)


@_jit.inner
def _project(g, z, factor, mean, along):
    for j in range(g.size):
        g[j] = factor * (g[j] - _math.fma(z[j], along, mean))


@_jit.inner
def batch_statistics(mean, squares, batch, epsilon, scale, offset, factor):
    """From mean and centred sum of squares of each feature over a batch: what is added and what is multiplied."""
    for j in range(offset.size):
        offset[j] = -mean[j]
        factor[j] = scale * inverse_root(squares[j] / batch + epsilon)


@_jit.inner
def follow(mean, squares, batch, momentum, running_mean, running_variance):
    """Move running statistics towards those of a batch, as torch.nn.BatchNorm1d does; momentum 1 copies them.

    The variance of a part of the data is the unbiased one, that of all of it (momentum 1) is not.
    """
    count = batch - 1.0 if momentum < 1 else batch
    for j in range(running_mean.size):
        running_mean[j] += momentum * (mean[j] - running_mean[j])
        running_variance[j] += momentum * (squares[j] / count - running_variance[j])


@_jit.inner
def initial_weight(batches, momentum):
    """Weight of mean 0 and variance 1 in running statistics behind ``batches``; momentum 0: the mean of all."""
    return (1.0 - momentum) ** batches if momentum > 0 else 0.0


@_jit.inner
def running_weight(index, blocks, batches, momentum):
    """Weight of block ``index`` in the running statistics of ``batches``, which are the ``blocks`` in turn."""
    weight = 0.0
    for batch in range(index, batches, blocks):
        weight += momentum * (1.0 - momentum) ** (batches - 1 - batch) if momentum > 0 else 1.0 / batches
    return weight


@_jit.inner
def add_weighted(mean, squares, count, weight, running_mean, running_variance):
    """Add the statistics of a batch, with a weight, to the running ones."""
    for j in range(running_mean.size):
        running_mean[j] += weight * mean[j]
        running_variance[j] += weight * squares[j] / count


@_jit.inner
def batch_apply(x, columns, first, batch, offsets, factors, shift):
    """Normalize some rows, of which the first is row ``first`` of the data, each with the numbers of its batch."""
    rows = x.size // columns
    row = np.int64(0)
    while row < rows:
        index = (first + row) // batch
        count = min(rows - row, (index + 1) * batch - first - row)
        shift_ = x.dtype.type(shift)
        vectors.affine_columns(x, row * columns, count, columns, offsets[index], factors[index], shift_)
        row += count


@_jit.inner
def batch_sums(g, z, columns, first, batch, sums, products):
    """Add g and g z of some rows, the first of which is row ``first`` of the data, to the sums of their batch."""
    rows = g.size // columns
    row = np.int64(0)
    while row < rows:
        index = (first + row) // batch
        count = min(rows - row, (index + 1) * batch - first - row)
        vectors.add_columns(g, z, row * columns, count, columns, sums[index], products[index])
        row += count


@_jit.inner
def batch_back(g, z, columns, factor, mean, along):
    """g <- factor (g - mean - z along) for all rows of a batch: with mean g, mean(g z) the way back of BatchNorm."""
    vectors.project_columns(g, z, g.size // columns, columns, factor, mean, along)
