"""erf, GELU and exp(-x^2): functions whose averages are those of a wider Gaussian."""

import numpy as np

from ibtheory._closed._record import ClosedForms


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


def _erf_rise(q1, q2, om):
    product, c = (1 + 2 * q1) * (1 + 2 * q2), 1 - om
    together = 2 * np.sqrt(q1 * q2 / product)
    return (2 / np.pi) * _arcsine_difference(together, together * c, 4 * q1 * q2 * om * (1 + c) / product)


erf = ClosedForms(
    mean=lambda q: np.zeros_like(np.asarray(q, float)),
    second=lambda q: (2 / np.pi) * np.arcsin(2 * q / (1 + 2 * q)),
    dual=_erf_dual,
    derivative_dual=_erf_derivative_dual,
    rise=_erf_rise,
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


def _bell_determinant(q1, q2, c, om):
    """(1 + 2 q1)(1 + 2 q2) - 4 r^2."""
    return 1 + 2 * q1 + 2 * q2 + 4 * q1 * q2 * om * (1 + c)


def _bell_gap(q1, q2, om):
    """Half the sum of (1 + 4 q)^(-1/2) - B^(-1/2) over both variances, B the determinant, by conjugate roots."""
    spread, difference = 4 * q1 * q2 * om * (2 - om), q1 - q2
    root = np.sqrt(1 + 2 * q1 + 2 * q2 + spread)
    root1, root2 = np.sqrt(1 + 4 * q1), np.sqrt(1 + 4 * q2)
    g1, g2 = (1 / (r * root * (r + root)) for r in (root1, root2))
    unequal = 8 * difference**2 * root * (root + root1 + root2) / (root1 + root2) * g1 * g2
    return 0.5 * (spread * (g1 + g2) + unequal)


def _bell_centred(q1, q2, c):
    square = 4 * q1 * q2 * c * c
    apart = (1 + 2 * q1) * (1 + 2 * q2)
    root, together = np.sqrt(apart), np.sqrt(_bell_determinant(q1, q2, c, 1 - c))
    return square / (root * together * (root + together))


def _bell_derivative_dual(q1, q2, c, om):
    return 4 * np.sqrt(q1 * q2) * c / _bell_determinant(q1, q2, c, om) ** 1.5


gaussian = ClosedForms(
    mean=lambda q: 1 / np.sqrt(1 + 2 * q),
    second=lambda q: 1 / np.sqrt(1 + 4 * q),
    dual=lambda q1, q2, c, om: 1 / np.sqrt(_bell_determinant(q1, q2, c, om)),
    derivative_dual=_bell_derivative_dual,
    gap=_bell_gap,
    centred=_bell_centred,
)
