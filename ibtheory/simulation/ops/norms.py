"""Norms over features (row by row) and over the batch (column by column), in place. A variance of 0 gives 0."""

import numpy as np

from ibtheory import _jit, _math
from ibtheory.simulation.ops import vectors


@_jit.inner()
def inverse_root(variance):
    """variance^(-1/2), and 0 for 0."""
    return 1.0 / np.sqrt(variance) if variance != 0 else 0.0


@_jit.inner()
def rows(x, size, centred, epsilon, scale, shift, scratch):
    """Normalize each block of ``size`` neighbors: a sample (LayerNorm, RMSNorm) or a group of it (GroupNorm).

    Sums are taken of differences from the first number, in one pass: exactly 0 for a constant block, and a relative
    error of at most ``size`` roundings where the first number stands far out. ``scratch`` (2, K) float64 lets K
    blocks be summed, then their roots be taken, then be normalized: so none waits for the root of another.
    """
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
            _apply(part[first : first + size], center, factor, x.dtype.type(shift))


@_jit.inner()
def _roots(totals, squares, size, centred, epsilon, scale):
    """Totals become means, squares become factors."""
    inverse = 1.0 / size
    for block in range(totals.size):
        mean = totals[block] * inverse if centred else 0.0
        variance = squares[block] * inverse - mean * mean
        variance = 0.0 if variance < 0 else variance
        totals[block] = mean
        squares[block] = scale * inverse_root(variance + epsilon)


@_jit.inner()
def _apply(x, center, factor, shift):
    for j in range(x.size):
        x[j] = _math.fma(x[j] - center, factor, shift)


@_jit.inner()
def batch_statistics(mean, squares, batch, epsilon, scale, offset, factor):
    """From mean and centred sum of squares of each feature over a batch: what is added and what is multiplied."""
    for j in range(offset.size):
        offset[j] = -mean[j]
        factor[j] = scale * inverse_root(squares[j] / batch + epsilon)


@_jit.inner()
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
