"""Gaussian expectations in closed form; gap and centred by Price's theorem where a family leaves them out."""

import numpy as np

from ibtheory import _quadrature
from ibtheory.gaussian._integrand import integrand

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_NEAR_ZERO = 0.5  # |c| below which the integral beats the difference
_CHUNK = 2000  # pairs at a time


def mean(phi, q):
    return phi.closed.mean(q)


def second(phi, q):
    return phi.closed.second(q)


def dual(phi, q1, q2, c, om):
    return phi.closed.dual(q1, q2, c, om)


def derivative_dual(phi, q1, q2, c, om):
    return phi.closed.derivative_dual(q1, q2, c, om)


def gap(phi, q1, q2, c, om):
    """The gap at c = 1 plus the integral of derivative_dual from c to 1."""
    closed = phi.closed
    if closed.gap:
        return closed.gap(q1, q2, om)
    if closed.rise:
        return radial(phi, q1, q2) + closed.rise(q1, q2, om)
    value = 0.5 * (closed.second(q1) + closed.second(q2)) - closed.dual(q1, q2, c, om)
    near = near_one(q1, q2, om)
    q1, q2, om = q1[near], q2[near], om[near]
    within = om[:, None] * _NODES**2  # 1 - c runs over [0, om]; the square resolves the end at c = 1
    value[near] = radial(phi, q1, q2) + om * _integral(closed, q1, q2, 1 - within, within, 2 * _NODES * _WEIGHTS)
    return value


def near_one(q1, q2, om):
    """Where the integral beats the difference: the correlation that a large variance still feels is close to 1."""
    return om * (1 + np.sqrt(q1 * q2)) < 0.1


def radial(phi, q1, q2):
    """The gap at c = 1."""
    if phi.closed.radial:
        return phi.closed.radial(q1, q2)
    value = np.zeros_like(q1)
    differs = q1 != q2
    if differs.any():
        f = integrand(phi, differs.sum(), largest=max(q1.max(), q2.max()))
        value[differs] = _quadrature.radial(f, q1[differs], q2[differs])
    return value


def centred(phi, q1, q2, c, om):
    """The integral of derivative_dual from 0 to r."""
    closed = phi.closed
    if closed.centred:
        return closed.centred(q1, q2, c)
    value = closed.dual(q1, q2, c, om) - closed.mean(q1) * closed.mean(q2)
    near = np.abs(c) < _NEAR_ZERO
    along = c[near, None] * _NODES
    value[near] = c[near] * _integral(closed, q1[near], q2[near], along, 1 - along, _WEIGHTS)
    return value


def _integral(closed, q1, q2, c, om, weights):
    """sqrt(q1 q2) times the weighted sum of derivative_dual over the last axis of c."""
    value = np.empty(q1.size)
    for start in range(0, q1.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        slopes = closed.derivative_dual(q1[part, None], q2[part, None], c[part], om[part])
        value[part] = np.sqrt(q1[part] * q2[part]) * (slopes @ weights)
    return value
