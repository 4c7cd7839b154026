r"""Moments of an activation for many pairs of samples at once, from a small table of its derivative dual.

E phi'(u) phi'(v) is a smooth function of (log q1, log q2, acos c). It is tabulated at Chebyshev nodes, and Price's
theorem turns it into covariance and gap,

    centred = sqrt(q1 q2) int_0^c dual' dc,      gap = radial gap + sqrt(q1 q2) int_c^1 dual' dc,

each divided by its zero (c, 1 - c) before it is interpolated, so that relative precision survives there. A sample of
pairs is checked against quadrature. Kinks away from 0 make the derivative dual steep near c = 1 where the variances
differ, so only analytic functions are tabulated.
"""

import numpy as np

from ibtheory import _quadrature, gaussian

ENOUGH = 4000  # pairs from which the table pays
_ANGLES = 40
_SCALES = 20
_CHECKED = 24
_TOLERANCE = 1e-9
_STEP = 1.4  # of the trapezoidal rule, times that for full precision: 1e-11
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def moments(phi, same, c, om):
    """(cov, gap) of phi for all pairs of samples with variances ``same`` (N,), correlations c and om = 1 - c (N, N).

    Returns None where a table is not right.
    """
    if same.min() <= 0 or phi.kinks:
        return None
    scales, basis = _scales(same)
    angles = np.pi / 2 * (1 - _chebyshev(_ANGLES))
    slopes = _table(phi, scales, np.cos(angles), 2 * np.sin(angles / 2) ** 2)
    below, above = _integrals(angles)
    theta = 2 * np.arcsin(np.sqrt(np.clip(om, 0, 2) / 2))
    cov = _interpolate(slopes @ below.T, basis, theta)
    gap = _interpolate(slopes @ above.T, basis, theta)
    root = np.sqrt(np.outer(same, same))
    cov, gap = root * c * cov, root * om * gap + _radial(phi, scales, same, basis)
    return (cov, gap) if _right(phi, same, c, om, cov, gap) else None


def _chebyshev(count):
    """Chebyshev points of the second kind on [-1, 1], ascending; 0 alone for one."""
    return -np.cos(np.pi * np.arange(count) / max(count - 1, 1)) if count > 1 else np.zeros(1)


def _scales(same):
    """Variances of the table (K,) and the basis that interpolates from them to the samples (N, K)."""
    low, high = np.log(same.min()), np.log(same.max())
    if high - low < 1e-14:
        return same[:1], np.ones((len(same), 1))
    nodes = (low + high) / 2 + (high - low) / 2 * _chebyshev(_SCALES)
    return np.exp(nodes), _barycentric(nodes, np.log(same))


def _barycentric(nodes, x):
    """Values of the Lagrange polynomials of Chebyshev nodes at x: (x, nodes)."""
    weights = (-1.0) ** np.arange(len(nodes))
    weights[[0, -1]] /= 2
    difference = np.subtract.outer(x, nodes)
    hit = difference == 0
    ratio = weights / np.where(hit, 1.0, difference)
    values = ratio / ratio.sum(axis=-1, keepdims=True)
    return np.where(hit.any(axis=-1, keepdims=True), hit.astype(float), values)


def _table(phi, scales, c, om):
    """E phi'(u) phi'(v) at all pairs of scales and all angles: (K, K, T), for an analytic phi.

    Given x, the inner mean over y is shared by all u = sqrt(q1) x: a matrix product per angle does the rest.
    """
    root, step = np.sqrt(scales), _STEP * gaussian.step_of(phi)
    x, wx = _grid(step / root.max())
    outer = wx * phi.derivative(root[:, None] * x)
    table = np.empty((len(scales), len(scales), len(c)))
    for t, (cosine, gap) in enumerate(zip(c, om, strict=True)):
        sine = np.sqrt(gap * (1 + cosine))
        y, wy = _grid(step / max(root.max() * sine, 1e-300))
        inner = [phi.derivative(r * (cosine * x[:, None] + sine * y)) @ wy for r in root]
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
        below.append(_WEIGHTS @ _barycentric(angles, np.arccos(cosine * _NODES)))
        within = 2 * np.arcsin(np.sqrt(gap / 2) * _NODES)  # 1 - c runs over [0, gap] as gap times the square
        above.append((2 * _WEIGHTS * _NODES) @ _barycentric(angles, within))
    return np.array(below), np.array(above)


def _interpolate(table, basis, theta):
    """The table (K, K, T) at every pair of samples with basis (N, K) and angles theta (N, N)."""
    angles = np.pi / 2 * (1 - _chebyshev(_ANGLES))
    weights = (-1.0) ** np.arange(_ANGLES)
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
    z, w = _grid(_STEP * gaussian.step_of(phi) / np.sqrt(scales.max()))
    root = np.sqrt(scales)
    values = phi.function(root[:, None] * z)
    ratio = np.diag(z**2 * phi.derivative(root[:, None] * z) ** 2 @ w)  # its limit at equal variances
    for k in range(len(scales)):
        for other in range(k):
            chord = (values[k] - values[other]) / (root[k] - root[other])
            ratio[k, other] = ratio[other, k] = chord**2 @ w
    between = 0.5 * np.square(np.subtract.outer(same, same) / np.add.outer(np.sqrt(same), np.sqrt(same)))
    return between * (basis @ ratio @ basis.T)


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
