"""Bounds of the error of each route: what the rule leaves out, and rounding.

Rounding is taken as a multiple of machine precision times the size of the terms that the result is made of.
"""

import numpy as np

from ibtheory.gaussian import _closed_route, _quadrature_route, _series_route

_ROUNDING = 32 * np.finfo(float).eps
_SAFETY = 10  # times the change by a finer rule


def closed(quantity, phi, arguments, value):
    variances = arguments[:2] if len(arguments) > 1 else arguments * 2
    return _ROUNDING * phi.closed.amplification(*variances) * _size(_closed_route, quantity, phi, arguments, value)


def quadrature(quantity, phi, arguments, value):
    fine = getattr(_quadrature_route, quantity)(phi, *arguments, fine=True)
    size = _size(_quadrature_route, quantity, phi, arguments, value)
    if quantity == "gap":
        size = size + np.sqrt(2 * np.abs(value) * _second(_quadrature_route, phi, *arguments[:2])) / 4
    if quantity == "centred":
        size = size + _cross(phi, *arguments[:3])
    return _SAFETY * np.abs(value - fine) + _ROUNDING * size


def hermite(quantity, phi, arguments, value):
    rounding = _ROUNDING * _size(_quadrature_route, quantity, phi, arguments, value)
    if quantity == "mean":
        return rounding
    if quantity == "second":
        return rounding + _series_route.left(phi, *arguments)
    q1, q2, c, _ = arguments
    if quantity == "gap":
        rounding = rounding + _ROUNDING * _second(_quadrature_route, phi, q1, q2)
    if quantity == "centred":
        rounding = rounding + _ROUNDING * _cross(phi, q1, q2, c)
    return rounding + _series_route.tail(phi, q1, q2, c, quantity == "derivative_dual")


def _size(route, quantity, phi, arguments, value):
    """Size of the terms that a result is made of."""
    if quantity in ("mean", "second"):
        second = route.second(phi, *arguments)
        return second if quantity == "second" else np.sqrt(second)
    q1, q2, c, om = arguments
    slopes = np.sqrt(_slope(route, phi, q1) * _slope(route, phi, q2))
    if quantity == "derivative_dual":
        return np.where(np.isfinite(slopes), slopes, np.abs(value))
    root = np.sqrt(q1 * q2)
    whole = np.sqrt(route.second(phi, q1) * route.second(phi, q2))
    if quantity == "dual":
        return whole
    if quantity == "gap":
        whole = _second(route, phi, q1, q2) / 2
    lever = np.where(np.isfinite(slopes), root * slopes, whole) * (om if quantity == "gap" else np.abs(c))
    if quantity == "gap" and route is _closed_route and not (phi.closed.gap or phi.closed.rise):
        return np.where(_closed_route.near_one(q1, q2, om), np.abs(value) + lever, whole)
    return np.abs(value) + np.minimum(lever, whole)


def _second(route, phi, q1, q2):
    return route.second(phi, q1) + route.second(phi, q2)


def _cross(phi, q1, q2, c):
    """Size of phi at one variable times its spread at the other, Var phi <= q E phi'^2 (Poincare)."""
    sizes = [_quadrature_route.second(phi, q) for q in (q1, q2)]
    spreads = [np.fmin(size, q * _slope(_quadrature_route, phi, q)) for size, q in zip(sizes, (q1, q2), strict=True)]
    return np.abs(c) * (np.sqrt(sizes[0] * spreads[1]) + np.sqrt(sizes[1] * spreads[0])) / 4


def _slope(route, phi, q):
    """E phi'^2, infinite for a phi that jumps."""
    if np.any(phi.jumps):
        return np.full_like(q, np.inf)
    if route is _closed_route:
        return phi.closed.derivative_dual(q, q, np.ones_like(q), np.zeros_like(q))
    return _quadrature_route.derivative_second(phi, q)
