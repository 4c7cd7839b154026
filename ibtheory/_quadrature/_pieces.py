"""Piecewise polynomials: the average over one variable of a pair is in closed form, given the other one.

With u = sqrt(q1) x and v = sqrt(q2) (c x + s y) the moments of v, or of v - u, between kinks follow by recurrence from
the normal distribution function and density at the kinks.
"""

import numpy as np
from scipy.special import ndtr

from ibtheory._quadrature._rules import density


def product(f, u, v_mean, v_spread):
    """(f(u), E f(v)) for v normal with that mean and standard deviation."""
    average = sum(_moment(coefficients, low, high, v_mean, v_spread) for coefficients, low, high in _intervals(f, 0.0))
    return _values(f, u), average


def half_square(f, u, mean, spread):
    """E (f(u) - f(v))^2 / 2 for v - u normal with that mean and standard deviation."""
    own, total = _values(f, u), 0.0
    for coefficients, low, high in _intervals(f, u):
        apart = [_taylor(coefficients, u, k) for k in range(len(coefficients))]
        apart[0] = apart[0] - own
        square = [0.0] * (2 * len(apart) - 1)
        for i, a in enumerate(apart):
            for j, b in enumerate(apart):
                square[i + j] = square[i + j] + 0.5 * a * b
        total = total + _moment(square, low, high, mean, spread)
    return total


def _intervals(f, origin):
    """(coefficients, low, high) of the pieces, the ends counted from ``origin``."""
    edges = [-np.inf, *(kink - origin for kink in f.kinks[0]), np.inf]
    return zip(f.pieces, edges[:-1], edges[1:], strict=True)


def _values(f, u):
    """f(u), each value formed as its piece forms it."""
    which = np.searchsorted(f.kinks[0], u)
    return np.choose(which, [_taylor(coefficients, u, 0) for coefficients in f.pieces])


def _taylor(coefficients, u, order):
    """The Taylor coefficient of a polynomial about u."""
    powers = np.polynomial.polynomial.polyder(coefficients, order) / np.prod(np.arange(1.0, order + 1))
    return np.polynomial.polynomial.polyval(u, powers)


def _moment(coefficients, low, high, mean, spread):
    """E of sum_k coefficients[k] w^k over low < w < high, w normal."""
    spread = np.maximum(spread, 1e-300)
    with np.errstate(over="ignore"):
        a, b = (low - mean) / spread, (high - mean) / spread
    previous, current = 0.0, np.where(a > 0, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))
    below, above = (spread * density(np.clip(edge, -1e3, 1e3)) for edge in (a, b))
    low, high = (np.where(np.isinf(end), 0.0, end) for end in (low, high))
    total = coefficients[0] * current
    for k in range(1, len(coefficients)):
        previous, current = current, mean * current + (k - 1) * spread**2 * previous + below - above
        below, above = below * low, above * high
        total = total + coefficients[k] * current
    return total
