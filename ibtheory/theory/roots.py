"""Zeros and minima of many functions of one variable at once."""

import numpy as np


def root(function, low, high, lanes, tolerance=4e-16):
    """Zeros of function(x, lane) between low and high, one per lane, by Chandrupatla's method (1997).

    Where there is no change of sign the end with the smaller value is returned.
    """
    low, high = np.array(low, float), np.array(high, float)
    f_low, f_high = function(low, lanes), function(high, lanes)
    result = np.where(np.abs(f_low) < np.abs(f_high), low, high)
    active = np.flatnonzero(f_low * f_high < 0)
    a, b, fa, fb = high[active], low[active], f_high[active], f_low[active]
    t = np.full(active.size, 0.5)
    for _ in range(80):
        if active.size == 0:
            break
        x = a + t * (b - a)
        fx = function(x, lanes[active])
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        best = np.where(np.abs(fa) < np.abs(fb), a, b)
        result[active] = best
        limit = tolerance * np.abs(best) / np.maximum(np.abs(b - a), 1e-300)
        go = (limit < 0.5) & (fa != 0)
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        quadratic = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
        t = np.clip(np.where(quadratic, inverse, 0.5), limit, 1 - limit)
        active, a, b, fa, fb, t = (values[go] for values in (active, a, b, fa, fb, t))
    return result


def minimum(function, low, high):
    """Where a function of arrays is smallest between low and high, by golden section."""
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(40 if low.size else 0):
        left, right = high - golden * (high - low), low + golden * (high - low)
        smaller = function(left) < function(right)
        low, high = np.where(smaller, low, left), np.where(smaller, right, high)
    return (low + high) / 2
