"""Closed forms of Gaussian expectations, one set per family of activations.

For (u, v) a centred Gaussian pair with variances q1, q2 and correlation c, ``om`` = 1 - c given apart so that
nothing is lost near c = 1. ``gap`` is E(phi(u) - phi(v))^2 / 2, ``centred`` is E phi(u) phi(v) - E phi(u) E phi(v);
where a family leaves them out, :mod:`ibtheory.gaussian` integrates ``derivative_dual`` (Price's theorem).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr


@dataclass(frozen=True)
class ClosedForms:
    """Functions of arrays that broadcast: mean(q), second(q), dual(q1, q2, c, om), ..."""

    mean: Callable
    second: Callable
    dual: Callable
    derivative_dual: Callable
    gap: Callable | None = None
    centred: Callable | None = None


def sine_minus_angle_cosine(theta):
    """sin(t) - t cos(t), accurate for small t (t^3/3 to leading order), for t in [0, pi]."""
    theta = np.asarray(theta, float)
    square = theta * theta
    series = np.zeros_like(square)
    for k in range(9, 0, -1):  # sum over k of (-1)^(k+1) 2k t^(2k+1) / (2k+1)!
        series = 2 * k * (-1) ** (k + 1) / _FACTORIAL[2 * k + 1] + square * series
    return np.where(theta < 1.0, series * square * theta, np.sin(theta) - theta * np.cos(theta))


_FACTORIAL = np.cumprod(np.concatenate([[1.0], np.arange(1.0, 21.0)]))


def angle(om):
    """The angle acos(c), from om = 1 - c."""
    return 2 * np.arcsin(np.sqrt(np.clip(om, 0, 2) / 2))


def root_gap(q1, q2):
    """(sqrt q1 - sqrt q2)^2 / 2, the gap of a pair with correlation 1, formed from q1 - q2."""
    total = np.sqrt(q1) + np.sqrt(q2)
    return 0.5 * np.square((q1 - q2) / np.where(total == 0, 1.0, total))


def piecewise_linear(negative, positive):
    """phi(x) = negative x below 0 and positive x above: relu (0, 1), abs (-1, 1), linear (1, 1).

    With phi(x) = a x + b |x|; arc-cosine kernel of order 1 (Cho and Saul 2009, eq. 6).
    """
    a, b = (positive + negative) / 2, (positive - negative) / 2

    def dual(q1, q2, c, om):
        theta = angle(om)
        # E|u||v| = (2/pi) sqrt(q1 q2) (sin t + (pi/2 - t) cos t)
        absolute = c + (2 / np.pi) * sine_minus_angle_cosine(theta)
        return np.sqrt(q1 * q2) * (a * a * c + b * b * absolute)

    def derivative_dual(q1, q2, c, om):
        return a * a + b * b * (1 - 2 * angle(om) / np.pi)

    def gap(q1, q2, om):
        folded = om - (2 / np.pi) * sine_minus_angle_cosine(angle(om))  # 1 - E|u||v| at unit variance
        return np.sqrt(q1 * q2) * (a * a * om + b * b * folded) + (a * a + b * b) * root_gap(q1, q2)

    def centred(q1, q2, c):
        arc = np.arcsin(np.clip(c, -1, 1))
        fold = c * arc - c * c / (1 + np.sqrt(np.clip(1 - c * c, 0, None)))
        return np.sqrt(q1 * q2) * (a * a * c + b * b * (2 / np.pi) * fold)

    return ClosedForms(
        mean=lambda q: b * np.sqrt(2 * q / np.pi),
        second=lambda q: (a * a + b * b) * q,
        dual=dual,
        derivative_dual=derivative_dual,
        gap=gap,
        centred=centred,
    )


def _arcsine_difference(first, second, squares):
    """arcsin(first) - arcsin(second) for first >= 0, from squares = first^2 - second^2."""
    denominator = first * np.sqrt(1 - second * second) + second * np.sqrt(1 - first * first)
    near = (second > 0) & (denominator > 0)
    sine = np.where(near, squares / np.where(near, denominator, 1.0), 0.0)
    return np.where(near, np.arcsin(np.clip(sine, -1, 1)), np.arcsin(first) - np.arcsin(second))


def _erf_dual(q1, q2, c, om):
    r = np.sqrt(q1 * q2) * c
    return (2 / np.pi) * np.arcsin(2 * r / np.sqrt((1 + 2 * q1) * (1 + 2 * q2)))


def _erf_derivative_dual(q1, q2, c, om):
    # (1 + 2 q1)(1 + 2 q2) - 4 r^2 without cancellation at c = 1
    return (4 / np.pi) / np.sqrt(1 + 2 * q1 + 2 * q2 + 4 * q1 * q2 * om * (1 + c))


def _erf_gap(q1, q2, om):
    c = 1 - om
    pair = 2 * np.sqrt(q1 * q2) * c / np.sqrt((1 + 2 * q1) * (1 + 2 * q2))

    def half(qa, qb):
        same = 2 * qa / (1 + 2 * qa)
        squares = (4 * qa / (1 + 2 * qa)) * (
            (qa - qb) / ((1 + 2 * qa) * (1 + 2 * qb)) + qb * om * (1 + c) / (1 + 2 * qb)
        )
        return _arcsine_difference(same, pair, squares)

    return (half(q1, q2) + half(q2, q1)) / np.pi


erf = ClosedForms(
    mean=lambda q: np.zeros_like(np.asarray(q, float)),
    second=lambda q: (2 / np.pi) * np.arcsin(2 * q / (1 + 2 * q)),
    dual=_erf_dual,
    derivative_dual=_erf_derivative_dual,
    gap=_erf_gap,
    centred=lambda q1, q2, c: _erf_dual(q1, q2, c, None),
)


def _gelu_terms(q1, q2, c, om):
    product = q1 * q2
    r = np.sqrt(product) * c
    spread = product * om * (1 + c)  # q1 q2 - r^2
    determinant = 1 + q1 + q2 + spread  # (1 + q1)(1 + q2) - r^2
    t = 1 / (1 + q1) + 1 / (1 + q2)
    arc = np.arcsin(np.clip(r / np.sqrt((1 + q1) * (1 + q2)), -1, 1))
    return r, determinant, t, spread + r * r * t, arc


def _gelu_dual(q1, q2, c, om):
    r, determinant, _, numerator, arc = _gelu_terms(q1, q2, c, om)
    return r / 4 + (r * arc + numerator / np.sqrt(determinant)) / (2 * np.pi)


def _gelu_derivative_dual(q1, q2, c, om):
    r, determinant, t, numerator, arc = _gelu_terms(q1, q2, c, om)
    fraction = r * (2 * t - 1) / np.sqrt(determinant) + r * numerator / determinant**1.5
    return 0.25 + (arc + fraction) / (2 * np.pi)


def _gelu_second(q):
    return q / 4 + q * np.arcsin(q / (1 + q)) / (2 * np.pi) + q * q / (np.pi * (1 + q) * np.sqrt(1 + 2 * q))


gelu = ClosedForms(
    mean=lambda q: q / np.sqrt(2 * np.pi * (1 + q)),
    second=_gelu_second,
    dual=_gelu_dual,
    derivative_dual=_gelu_derivative_dual,
)


def gelu_value(x):
    """x Phi(x)."""
    return x * ndtr(x)


def gelu_derivative(x):
    """Phi(x) + x phi(x)."""
    return (ndtr(x) + x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)).astype(np.result_type(x), copy=False)
