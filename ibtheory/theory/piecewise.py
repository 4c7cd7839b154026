"""Piecewise-linear activations on many pairs of samples: the arc-cosine kernel (Cho and Saul 2009), compiled.

The same closed forms as those of the activation's record, in float64 and to the same precision at correlations near 0
and 1, but without branches, so that the compiler can vectorize them: a few nanoseconds a pair.
"""

import numpy as np

from ibtheory import _jit, _math


def moments(slopes, cov, gap, same):
    """(cov, gap) of phi(x) = slopes[0] x below 0, slopes[1] x above, for centred Gaussians; all (N, N), same (N,)."""
    a, b = (slopes[1] + slopes[0]) / 2, (slopes[1] - slopes[0]) / 2
    new_cov, new_gap = np.empty_like(cov), np.empty_like(gap)
    cov, gap = np.ascontiguousarray(cov), np.ascontiguousarray(gap)
    _map(cov, gap, np.ascontiguousarray(same), np.sqrt(same), a * a, b * b, new_cov, new_gap, np.empty((4, len(same))))
    return new_cov, new_gap


@_jit.door
def _map(cov, gap, same, root, linear, folded, new_cov, new_gap, work):
    """phi(x) = a x + b |x|; ``linear`` = a^2, ``folded`` = b^2."""
    for i in range(same.size):
        _correlations(i, cov[i], gap[i], same, root, work[0], work[1], work[2])
        _covariances(work[0], work[1], work[2], linear, folded, work[3], new_cov[i])
        _gaps(i, work[1], work[2], same, root, linear, folded, work[3], new_gap[i])


@_jit.inner
def _correlations(i, cov, gap, same, root, c, om, product):
    for j in range(c.size):
        product[j] = root[i] * root[j]
        safe = product[j] if product[j] > 0.0 else 1.0
        radial = _difference(same[i], same[j], root[i], root[j])
        value = cov[j] / safe
        value = value if value < 1.0 else 1.0
        c[j] = value if value > -1.0 else -1.0
        value = (gap[j] - 0.5 * radial * radial) / safe
        value = value if value > 0.0 else 0.0
        om[j] = (value if value < 2.0 else 2.0) if product[j] > 0.0 else 1.0


@_jit.inner
def _difference(first, second, root, other):
    """sqrt(first) - sqrt(second), formed from first - second."""
    total = root + other
    return (first - second) / (total if total > 0.0 else 1.0)


@_jit.inner
def _covariances(c, om, product, linear, folded, work, cov):
    """E|u||v| - E|u| E|v| = (2/pi) (c asin c + sqrt(1 - c^2) - 1) at unit variances."""
    for j in range(c.size):
        work[j] = _math.arcsine(c[j], om[j])
    for j in range(c.size):
        fold = c[j] * work[j] - c[j] * c[j] / (1.0 + np.sqrt(om[j] * (2.0 - om[j])))
        cov[j] = product[j] * (linear * c[j] + folded * (2 / np.pi) * fold)


@_jit.inner
def _gaps(i, om, product, same, root, linear, folded, work, gap):
    """1 - E|u||v| = 1 - c - (2/pi) (sin t - t cos t) at unit variances and c = cos t, and what norms add."""
    for j in range(om.size):
        work[j] = _math.angle(om[j])
    for j in range(om.size):
        t, square = work[j], work[j] * work[j]
        far = np.sqrt(om[j] * (2.0 - om[j])) - t * (1.0 - om[j])
        lune = far if t > 1.0 else t * square * _lune(square)
        radial = _difference(same[i], same[j], root[i], root[j])
        gap[j] = product[j] * (linear * om[j] + folded * (om[j] - (2 / np.pi) * lune))
        gap[j] += 0.5 * (linear + folded) * radial * radial


@_jit.inner
def _lune(square):
    """(sin t - t cos t)/t^3 as a series in t^2, for t <= 1: sum over k of (-1)^(k+1) 2k t^(2k-2) / (2k+1)!."""
    series = 18.0 / 121645100408832000.0
    series = _math.fma(series, square, -16.0 / 355687428096000.0)
    series = _math.fma(series, square, 14.0 / 1307674368000.0)
    series = _math.fma(series, square, -12.0 / 6227020800.0)
    series = _math.fma(series, square, 10.0 / 39916800.0)
    series = _math.fma(series, square, -8.0 / 362880.0)
    series = _math.fma(series, square, 6.0 / 5040.0)
    series = _math.fma(series, square, -4.0 / 120.0)
    return _math.fma(series, square, 2.0 / 6.0)
