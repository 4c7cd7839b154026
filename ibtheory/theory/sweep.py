"""Passes over all pairs of a dataset, some rows at a time, compiled: angles, their moments, functions of them.

Every function works on the rows from ``start`` to ``stop`` of the upper triangle, diagonal included, of a table (N, N).
"""

import numpy as np

from ibtheory import _jit, _math

DEGREES = 20  # Chebyshev polynomials on a panel of angles
CHUNK = 256  # pairs handled at once
_BLOCK = 64  # of rows and columns whose numbers fit the cache
_NEAR = 0.01  # gap over mean square, both about the center of the data, below which a gap is summed from differences


@_jit.inner
def _half_square(x, y):
    """|x - y|^2 / 2 in eight lanes."""
    a = b = c = d = e = f = g = h = 0.0
    whole = x.size - x.size % 8
    for k in range(0, whole, 8):
        a += (x[k] - y[k]) ** 2
        b += (x[k + 1] - y[k + 1]) ** 2
        c += (x[k + 2] - y[k + 2]) ** 2
        d += (x[k + 3] - y[k + 3]) ** 2
        e += (x[k + 4] - y[k + 4]) ** 2
        f += (x[k + 5] - y[k + 5]) ** 2
        g += (x[k + 6] - y[k + 6]) ** 2
        h += (x[k + 7] - y[k + 7]) ** 2
    for k in range(whole, x.size):
        a += (x[k] - y[k]) ** 2
    return (((a + e) + (c + g)) + ((b + f) + (d + h))) / 2


@_jit.door
def angles(table, start, stop, centred, spread, root, inverse, weight):
    """Turn inner products of ``centred`` (N, features) into angles between samples behind a dense layer.

    Parameters
    ----------
    table : (N, N) array
        Overwritten.
    spread : (N,) array
        Mean squares of the rows of ``centred``.
    root, inverse : (N,) array
        Root mean squares behind the dense layer, above 0, and their inverses.
    weight : float
        Weight variance of the layer, which multiplies gaps.
    """
    for i in range(start, stop):
        line = table[i, i:]
        near = _gaps(line, spread[i:], centred.shape[1])
        if near > 1:  # the sample itself is one
            _gaps_from_differences(line, centred[i:], spread[i:])
        _to_angles(line, root[i:], inverse[i:], weight)
        line[0] = 0.5 * np.pi  # nobody reads the diagonal; here it costs no panel


@_jit.inner
def _gaps(line, spread, features):
    """Turn inner products with the first of some samples into gaps; how many of them are too small to be precise."""
    share, first, near = 1.0 / features, spread[0], 0
    for k in range(line.size):
        mean = 0.5 * (first + spread[k])
        line[k] = mean - share * line[k]
        near += line[k] < _NEAR * mean
    return near


@_jit.inner
def _gaps_from_differences(line, centred, spread):
    for k in range(1, line.size):
        if line[k] < _NEAR * 0.5 * (spread[0] + spread[k]):
            line[k] = _half_square(centred[0], centred[k]) / centred.shape[1]


@_jit.inner
def _to_angles(line, root, inverse, weight):
    """Turn gaps in front of the dense layer into angles behind it."""
    first, scale = root[0], inverse[0]
    for k in range(line.size):
        radial = first - root[k]
        om = (weight * line[k] - 0.5 * radial * radial) * (scale * inverse[k])
        om = om if om > 0.0 else 0.0
        line[k] = _math.angle(om if om < 2.0 else 2.0)


@_jit.door
def mirror(table, start, stop):
    """Copy some rows of the upper triangle to columns of the lower one, in blocks that stay in cache."""
    for left in range(start, len(table), _BLOCK):
        right = min(left + _BLOCK, len(table))
        for j in range(left, right):
            for i in range(start, min(stop, j)):
                table[j, i] = table[i, j]


@_jit.inner
def _panels(edges, t):
    """(first, last) panel that angles t lie in."""
    low = high = t[0]
    for k in range(1, t.size):
        low = t[k] if t[k] < low else low
        high = t[k] if t[k] > high else high
    first, last = 0, edges.size - 2
    while first < last and low >= edges[first + 1]:
        first += 1
    while last > first and high < edges[last]:
        last -= 1
    return first, last


@_jit.door
def mark(table, start, stop, edges, used):
    """Set ``used`` (panels,) where a panel holds an angle; ``edges`` (panels + 1,), the last one above all angles."""
    for i in range(start, stop):
        for left in range(i, len(table), CHUNK):
            t = table[i, left : min(left + CHUNK, len(table))]
            first, last = _panels(edges, t)
            used[first] = used[last] = True
            if last > first + 1:
                for k in range(t.size):
                    p = first
                    while t[k] >= edges[p + 1]:
                        p += 1
                    used[p] = True


@_jit.door
def moments(table, start, stop, edges, basis, values, line, total):
    """Add moments of angles to ``total``: sums over pairs i < j of basis_k(i) basis_l(j) T_n(t_ij), by panels.

    Parameters
    ----------
    table : (N, N) array
    edges : (panels + 1,) array
        The last one above all angles.
    basis : (N, K) array
    values : (DEGREES,) array
        Workspace.
    line : (panels, K, DEGREES) array
        Workspace of zeros.
    total : (panels, K, K, DEGREES) array
    """
    scales = basis.shape[1]
    for i in range(start, min(stop, len(table) - 1)):
        t = table[i, i + 1 :]
        first, last = _panels(edges, t)
        for k in range(t.size):
            p = first
            while t[k] >= edges[p + 1]:
                p += 1
            _chebyshev((2.0 * t[k] - edges[p] - edges[p + 1]) / (edges[p + 1] - edges[p]), values)
            for m in range(scales):
                share, sums = basis[i + 1 + k, m], line[p, m]
                for n in range(DEGREES):
                    sums[n] = _math.fma(share, values[n], sums[n])
        for p in range(first, last + 1):
            for k in range(scales):
                for m in range(scales):
                    for n in range(DEGREES):
                        total[p, k, m, n] += basis[i, k] * line[p, m, n]
            line[p] = 0.0


@_jit.inner
def _chebyshev(x, values):
    """Fill ``values`` (DEGREES,) with the Chebyshev polynomials at x."""
    values[0], values[1] = 1.0, x
    for n in range(2, DEGREES):
        values[n] = _math.fma(2.0 * x, values[n - 1], -values[n - 2])


@_jit.door
def evaluate(table, start, stop, edges, basis, scale, coefficients, work, line):
    """Turn angles into scale_i scale_j sum over k, l, n of basis_k(i) basis_l(j) coefficients x_ij^n.

    Parameters
    ----------
    table : (N, N) array
        Overwritten.
    edges : (panels + 1,) array
        The last one above all angles.
    basis : (K, N) array
    scale : (N,) array
    coefficients : (panels, K, K, DEGREES) array
        Of powers of x, which runs from -1 to 1 on a panel.
    work : (2, CHUNK) array
    line : (panels, K, DEGREES) array
        Workspaces.
    """
    for i in range(start, stop):
        t = table[i, i:]
        first, last = _panels(edges, t)
        _contract(basis[:, i], coefficients, first, last, line)
        for left in range(0, t.size, CHUNK):
            right = min(left + CHUNK, t.size)
            values = work[0, : right - left]
            _sum_panels(t[left:right], edges, line, basis[:, i + left : i + right], values, work[1, : right - left])
            for k in range(values.size):
                t[left + k] = scale[i] * scale[i + left + k] * values[k]


@_jit.inner
def _contract(shares, coefficients, first, last, line):
    """The coefficients of some panels, summed over the first sample with its ``shares`` (K,)."""
    for p in range(first, last + 1):
        line[p] = 0.0
        for k in range(shares.size):
            for m in range(shares.size):
                for n in range(DEGREES):
                    line[p, m, n] += shares[k] * coefficients[p, k, m, n]


@_jit.inner
def _sum_panels(t, edges, line, shares, values, work):
    """The polynomials of ``line`` at angles t, weighted by ``shares`` (K, size), into ``values``."""
    first, last = _panels(edges, t)
    values[:] = 0.0
    for p in range(first, last + 1):
        for m in range(shares.shape[0]):
            _polynomial(line[p, m], edges[p], edges[p + 1], t, work)
            _add(shares[m], work, values)


@_jit.inner
def _polynomial(coefficients, low, high, t, values):
    """Sum over n of coefficients_n x^n, x from -1 to 1 on the panel [low, high), 0 outside, at angles t."""
    slope = 2.0 / (high - low)
    for k in range(t.size):
        x = slope * (t[k] - low) - 1.0
        value = coefficients[DEGREES - 1]
        for n in range(DEGREES - 2, -1, -1):
            value = _math.fma(value, x, coefficients[n])
        values[k] = value if (t[k] >= low) & (t[k] < high) else 0.0


@_jit.inner
def _add(shares, values, sums):
    for k in range(sums.size):
        sums[k] = _math.fma(shares[k], values[k], sums[k])
