"""Statistics of features over samples, to full relative precision.

Samples arrive in tiles of rows. Within a tile, sums are taken of differences from its first row, in the precision of
the data; tiles are merged in float64 by the update of Chan, Golub and LeVeque, The American Statistician 37 (1983).
A feature that is constant over the data gets a variance of exactly 0.
"""

from ibtheory import _jit
from ibtheory.simulation.ops import vectors


@_jit.inner
def clear(mean, squares):
    """Start anew."""
    for j in range(mean.size):
        mean[j] = squares[j] = 0.0


@_jit.inner
def collect(x, columns, tile, mean, squares):
    """Mean and centred sum of squares of each column of the flat array ``x``, ``tile`` rows at a time."""
    clear(mean, squares)
    rows = x.size // columns
    for start in range(0, rows, tile):
        stop = min(start + tile, rows)
        vectors.merge_moments(x[start * columns : stop * columns], stop - start, columns, mean, squares, start)


@_jit.inner
def summarize(mean, squares, samples, columns, out):
    """same, cross, gap and mean of ``columns`` features over ``samples`` samples into ``out[0:4]``.

    gap = sum |h - hbar|^2 / (n (N - 1)); cross = |hbar|^2 / n - gap / N, the unbiased average over distinct pairs;
    same = cross + gap.
    """
    total = square = spread = 0.0
    for j in range(columns):
        total += mean[j]
        square += mean[j] * mean[j]
        spread += squares[j]
    gap = spread / (columns * (samples - 1.0))
    cross = square / columns - gap / samples
    out[0], out[1], out[2], out[3] = cross + gap, cross, gap, total / columns


@_jit.inner
def constant(squares, columns):
    """Number of features without any variance."""
    number = 0
    for j in range(columns):
        number += squares[j] == 0.0
    return number
