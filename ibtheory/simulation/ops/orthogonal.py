"""Orthogonal weights: a random orthonormal frame, uniform by Haar's measure, as a product of reflections.

Column j of H_0 ... H_{k-1} D is uniform among the unit vectors orthogonal to the columns before it, where H_j reflects
a Gaussian vector x_j of the last m - j coordinates onto their first axis, and D_jj is the sign that takes the axis back
to +x_j. No matrix is factorized: half the work of the QR decomposition of a Gaussian matrix, and the same law.

Reference: Stewart, The efficient generation of random orthogonal matrices, SIAM J. Numer. Anal. 17 (1980).
"""

import numpy as np

from ibtheory import _jit, _math
from ibtheory.simulation import random


def scratch(rows, columns):
    """Float64 numbers that :func:`fill` needs for a matrix of this shape."""
    return rows * columns + max(rows, columns) + random.SLACK + min(rows, columns)


@_jit.door
def fill(out, rows, columns, std, space, state, raw):
    """Fill ``out`` with a (rows, columns) matrix whose entries have variance std^2, rows or columns orthogonal.

    The shorter of the two are: ``columns`` of them, of squared length rows std^2, if the matrix is not wide. Computed
    in float64 in ``space``, see :func:`scratch`; ``state`` and ``raw`` as in :func:`ibtheory.simulation.random.fill`.
    """
    tall = rows >= columns
    size, count = (rows, columns) if tall else (columns, rows)
    frame, rest = space[: size * count], space[size * count :]
    vector, products = rest[: size + random.SLACK], rest[size + random.SLACK :]
    frame[:] = 0.0
    for j in range(count - 1, -1, -1):
        random.fill(vector, size - j, 1.0, False, state, raw)
        frame[j * count + j] = -1.0 if vector[0] >= 0 else 1.0
        _reflect(vector[: size - j], frame[j * count :], count, j, products[: count - j])
    scale = std * np.sqrt(float(size))
    for i in range(size):
        for j in range(count):
            out[i * count + j if tall else j * size + i] = scale * frame[i * count + j]


@_jit.inner
def _reflect(x, frame, count, first, products):
    """Apply the reflection that takes ``x`` to its first axis to the columns from ``first`` on."""
    square = 0.0
    for i in range(x.size):
        square += x[i] * x[i]
    length = np.sqrt(square)
    factor = -1.0 / (length * (length + abs(x[0]))) if length > 0 else 0.0
    x[0] += length if x[0] >= 0 else -length
    products[:] = 0.0
    for i in range(x.size):
        _add(x[i], frame[i * count + first : (i + 1) * count], products)
    for i in range(x.size):
        _add(factor * x[i], products, frame[i * count + first : (i + 1) * count])


@_jit.inner
def _add(a, x, y):
    """y <- a x + y."""
    for j in range(y.size):
        y[j] = _math.fma(a, x[j], y[j])
