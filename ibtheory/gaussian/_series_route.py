"""Gaussian expectations by the Hermite series E phi(u) phi(v) = sum_k a_k(q1) a_k(q2) c^k, and its tail."""

import numpy as np

from ibtheory import _quadrature
from ibtheory.gaussian import _quadrature_route
from ibtheory.gaussian._integrand import integrand

ORDERS = 80  # terms
_EPSILON = np.finfo(float).eps


def coefficients(phi, q, count, derivative=False):
    """a_0 .. of z -> phi(sqrt(q) z), or of phi', for q of shape (n,): (n, count)."""
    values = np.zeros((q.size, count))
    function = phi.derivative if derivative else phi.function
    values[:, 0] = function(np.zeros_like(q))  # at q = 0 the function is a constant
    some = q > 0
    if some.any():
        f = integrand(phi, some.sum(), derivative, q.max())
        values[some] = _quadrature.hermite(f, q[some], count)
    return values


def mean(phi, q):
    return coefficients(phi, q, 1)[:, 0]


def second(phi, q):
    return np.sum(coefficients(phi, q, ORDERS) ** 2, axis=-1)


def dual(phi, q1, q2, c, om):
    return _sum(phi, q1, q2, c, False, 0)


def derivative_dual(phi, q1, q2, c, om):
    _quadrature_route.refuse_jumps(phi)
    return _sum(phi, q1, q2, c, True, 0)


def centred(phi, q1, q2, c, om):
    return _sum(phi, q1, q2, c, False, 1)


def gap(phi, q1, q2, c, om):
    """Sum of (a_k - b_k)^2/2 + a_k b_k (1 - c^k), plus half of the E phi^2 that the terms leave."""
    a, b = (coefficients(phi, q, ORDERS) for q in (q1, q2))
    orders = np.arange(ORDERS)
    with np.errstate(divide="ignore", invalid="ignore"):
        positive = -np.expm1(orders * np.log1p(-om[:, None]))
    missing = np.where((c > 0)[:, None], positive, 1 - c[:, None] ** orders)
    missing[:, 0] = 0.0
    terms = 0.5 * (a - b) ** 2 + a * b * missing
    return terms.sum(axis=-1) + 0.5 * (left(phi, q1) + left(phi, q2))


def left(phi, q, derivative=False):
    """E phi^2 (or E phi'^2) less the sum of squares of the coefficients."""
    return np.clip(_total(phi, q, derivative) - np.sum(coefficients(phi, q, ORDERS, derivative) ** 2, axis=-1), 0, None)


def tail(phi, q1, q2, c, derivative=False):
    """Bound of what the series leaves out: |c|^n times the root of what is left of both second moments."""
    rests = (left(phi, q, derivative) + 8 * _EPSILON * _total(phi, q, derivative) for q in (q1, q2))
    return np.abs(c) ** ORDERS * np.sqrt(np.prod(list(rests), axis=0))


def _total(phi, q, derivative):
    return _quadrature_route.derivative_second(phi, q) if derivative else _quadrature_route.second(phi, q)


def _sum(phi, q1, q2, c, derivative, first):
    a, b = (coefficients(phi, q, ORDERS, derivative)[:, first:] for q in (q1, q2))
    return np.sum(a * b * c[:, None] ** np.arange(first, ORDERS), axis=-1)
