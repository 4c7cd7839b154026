r"""Moments of an activation for many pairs of samples at once, from a small table of its derivative dual.

E phi'(u) phi'(v) is a smooth function of (log q1, log q2, acos c). It is tabulated at Chebyshev nodes, and Price's
theorem turns it into covariance and gap,

    centred = sqrt(q1 q2) int_0^c dual' dc,      gap = radial gap + sqrt(q1 q2) int_c^1 dual' dc,

each divided by its zero (c, 1 - c) before it is interpolated, so that relative precision survives there. A sample of
pairs is checked against quadrature. Kinks away from 0 make the derivative dual steep near c = 1 where the variances
differ, so only functions without such kinks and without jumps are tabulated.
"""

import numpy as np

from ibtheory import _quadrature, gaussian

_PAIRS = 150  # pairs of samples, per scale of the table, from which it pays
_ANGLES = (40, 120)  # the more, the larger the variances
_DIGITS = 25.0  # -log of the error of the interpolation in the scales
_CHECKED = 24
_TOLERANCE = 1e-9
_STEP = 1.4  # of the trapezoidal rule, times that for full precision: 1e-11
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def moments(phi, same, c, om):
    """(cov, gap) of phi for all pairs of samples with variances ``same`` (N,), correlations c and om = 1 - c (N, N).

    Returns None where a table is not right.
    """
    if same.min() <= 0 or any(phi.kinks) or np.any(phi.jumps):
        return None
    scales, basis = _scales(same)
    theta = 2 * np.arcsin(np.sqrt(np.clip(om, 0, 2) / 2))
    root, radial = np.sqrt(np.outer(same, same)), _radial(phi, scales, same, basis)
    for count in _ANGLES:
        angles = np.pi / 2 * (1 - chebyshev(count))
        slopes = _table(phi, scales, np.cos(angles), 2 * np.sin(angles / 2) ** 2)
        below, above = _integrals(angles)
        cov = root * c * _interpolate(slopes @ below.T, basis, theta, angles)
        gap = root * om * _interpolate(slopes @ above.T, basis, theta, angles) + radial
        if _right(phi, same, c, om, cov, gap):
            return cov, gap
    return None


def chebyshev(count):
    """Chebyshev points of the second kind on [-1, 1], ascending; 0 alone for one."""
    return -np.cos(np.pi * np.arange(count) / max(count - 1, 1)) if count > 1 else np.zeros(1)


def pays(same):
    """Whether the table for samples with variances ``same`` (N,) costs less than quadrature pair by pair."""
    return same.min() > 0 and len(same) ** 2 / 2 > _PAIRS * len(_scales(same)[0])


def _scales(same):
    """Variances of the table (K,) and the basis that interpolates from them to the samples (N, K).

    A few distinct variances are taken as they are; else Chebyshev points in their logarithm, in which moments are
    analytic in the strip |Im| < 2 pi/3.
    """
    logs = np.log(same)
    order = np.argsort(logs)
    distinct = np.concatenate([[True], np.diff(logs[order]) > 1e-13])
    half = (logs[order[-1]] - logs[order[0]]) / 2
    count = int(np.ceil(_DIGITS / np.arcsinh(2 * np.pi / 3 / max(half, 1e-3))))
    if distinct.sum() <= count:
        basis = np.zeros((len(same), distinct.sum()))
        basis[order, np.cumsum(distinct) - 1] = 1.0
        return same[order[distinct]], basis
    nodes = chebyshev(count)
    return np.exp(logs.min() + half * (1 + nodes)), barycentric(nodes, (logs - logs.min()) / half - 1)


def barycentric(nodes, x):
    """Values of the Lagrange polynomials of Chebyshev nodes at x: (x, nodes)."""
    weights = (-1.0) ** np.arange(len(nodes))
    weights[[0, -1]] /= 2
    difference = np.subtract.outer(x, nodes)
    hit = difference == 0
    ratio = weights / np.where(hit, 1.0, difference)
    values = ratio / ratio.sum(axis=-1, keepdims=True)
    return np.where(hit.any(axis=-1, keepdims=True), hit.astype(float), values)


def _table(phi, scales, c, om):
    """E phi'(u) phi'(v) at all pairs of scales and all angles: (K, K, T).

    For an analytic phi, given x, the inner mean over y is shared by all u = sqrt(q1) x: a matrix product per angle
    does the rest.
    """
    if phi.kinks:
        return gaussian.derivative_dual(phi, scales[:, None, None], scales[:, None], c, om)
    root, step = np.sqrt(scales), _STEP * gaussian.step_of(phi)
    x, wx = _grid(step / root.max())
    outer = wx * phi.derivative(root[:, None] * x)
    table = np.empty((len(scales), len(scales), len(c)))
    for t, (cosine, gap) in enumerate(zip(c, om, strict=True)):
        sine = np.sqrt(gap * (1 + cosine))
        inner = []
        for r in root:
            y, wy = _grid(step / max(r * sine, 1e-300))
            inner.append(phi.derivative(r * (cosine * x[:, None] + sine * y)) @ wy)
        table[:, :, t] = outer @ np.array(inner).T
    return (table + table.transpose(1, 0, 2)) / 2


def _grid(step):
    """Nodes and weights of the trapezoidal rule for a standard normal variable."""
    h = min(0.45, step)
    x = h * np.arange(-int(_quadrature.REACH / h), int(_quadrature.REACH / h) + 1)
    return x, h * _quadrature.density(x)


def _integrals(angles):
    """Matrices from values at the angles to (int_0^c dual' dc)/c and (int_c^1 dual' dc)/(1 - c) at the angles."""
    c, om = np.cos(angles), 2 * np.sin(angles / 2) ** 2
    below, above = [], []
    for cosine, gap in zip(c, om, strict=True):
        rest = np.arcsin(cosine)  # integrated over the angle, in which the root of a kink at c = 1 is smooth
        weights = _WEIGHTS * np.cos(rest * _NODES) / np.sinc(rest / np.pi)
        below.append(weights @ barycentric(angles, np.pi / 2 - rest * _NODES))
        within = 2 * np.arcsin(np.sqrt(gap / 2) * _NODES)  # 1 - c runs over [0, gap] as gap times the square
        above.append((2 * _WEIGHTS * _NODES) @ barycentric(angles, within))
    return np.array(below), np.array(above)


def _interpolate(table, basis, theta, angles):
    """The table (K, K, T), known at ``angles``, at every pair of samples with basis (N, K) and angles theta (N, N)."""
    weights = (-1.0) ** np.arange(len(angles))
    weights[[0, -1]] /= 2
    total, norm = np.zeros_like(theta), np.zeros_like(theta)
    exact = np.full_like(theta, np.nan)
    for t, (angle, weight) in enumerate(zip(angles, weights, strict=True)):
        value = basis @ table[:, :, t] @ basis.T
        difference = theta - angle
        hit = difference == 0
        ratio = weight / np.where(hit, 1.0, difference)
        total += ratio * value
        norm += ratio
        exact[hit] = value[hit]
    return np.where(np.isnan(exact), total / norm, exact)


def _radial(phi, scales, same, basis):
    """E(phi(sqrt q1 z) - phi(sqrt q2 z))^2 / 2 for all pairs, as (sqrt q1 - sqrt q2)^2 / 2 times a smooth ratio."""
    slopes = gaussian.integrand(phi, len(scales), derivative=True, largest=scales.max())
    ratio = np.diag(_quadrature.expectation(slopes, scales, lambda values, u: (u * values) ** 2) / scales)
    k, other = np.nonzero(~np.eye(len(scales), dtype=bool))
    ratio[k, other] = gaussian.gap(phi, scales[k], scales[other], one_minus_c=0.0) / _between(scales)[k, other]
    return _between(same) * (basis @ ratio @ basis.T)


def _between(q):
    """(sqrt q1 - sqrt q2)^2 / 2 of all pairs."""
    root = np.sqrt(q)
    return 0.5 * np.square(np.subtract.outer(q, q) / np.add.outer(root, root))


def _right(phi, same, c, om, cov, gap):
    """Whether a sample of pairs agrees with quadrature to the tolerance."""
    rng = np.random.default_rng(len(same))
    i, j = rng.integers(len(same), size=(2, _CHECKED))
    scale = np.sqrt(gaussian.second(phi, same[i]) * gaussian.second(phi, same[j]))
    exact = gaussian.centred(phi, same[i], same[j], c=c[i, j])
    if np.any(np.abs(cov[i, j] - exact) > _TOLERANCE * scale):
        return False
    exact = gaussian.gap(phi, same[i], same[j], one_minus_c=om[i, j])
    return bool(np.all(np.abs(gap[i, j] - exact) <= _TOLERANCE * scale * np.maximum(om[i, j], 1e-6)))
