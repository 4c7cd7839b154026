"""sin, cos, exp and the cube: exponentials of the second moments."""

import numpy as np

from ibtheory._closed._record import ClosedForms, root_gap

# With D = E (u - v)^2/2 and S = E (u + v)^2/2: E e^(i(u -+ v)) = e^-D, e^-S. Differences are formed by expm1.


def _difference(q1, q2, om):
    """D = E (u - v)^2 / 2 = (q1 + q2)/2 - r."""
    return root_gap(q1, q2) + np.sqrt(q1 * q2) * om


def _sum(q1, q2, c):
    return root_gap(q1, q2) + np.sqrt(q1 * q2) * (1 + c)


def _unequal(q1, q2):
    """(e^(-2 q1) + e^(-2 q2))/2 - e^-(q1 + q2)."""
    return 0.5 * np.exp(-2 * np.minimum(q1, q2)) * np.expm1(-np.abs(q1 - q2)) ** 2


def _sin_dual(q1, q2, c, om):
    """(e^-D - e^-S)/2 = e^(-(q1 + q2)/2) sinh r."""
    nearer = np.where(c > 0, _difference(q1, q2, om), _sum(q1, q2, c))
    return -0.5 * np.sign(c) * np.exp(-nearer) * np.expm1(-2 * np.sqrt(q1 * q2) * np.abs(c))


def _cos_dual(q1, q2, c, om):
    return 0.5 * (np.exp(-_difference(q1, q2, om)) + np.exp(-_sum(q1, q2, c)))


def _sin_gap(q1, q2, om):
    D, S = _difference(q1, q2, om), _sum(q1, q2, 1 - om)
    return 0.5 * (-np.expm1(-D) * (1 + np.exp(-S)) - _unequal(q1, q2))


def _cos_gap(q1, q2, om):
    D, S = _difference(q1, q2, om), _sum(q1, q2, 1 - om)
    return 0.5 * (np.expm1(-D) * np.expm1(-S) + _unequal(q1, q2))


def _cos_centred(q1, q2, c):
    """e^(-(q1 + q2)/2) (cosh r - 1)."""
    nearer = np.where(c > 0, _difference(q1, q2, 1 - c), _sum(q1, q2, c))
    return 0.5 * np.exp(-nearer) * np.expm1(-np.sqrt(q1 * q2) * np.abs(c)) ** 2


sin = ClosedForms(
    mean=np.zeros_like,
    second=lambda q: -0.5 * np.expm1(-2 * q),
    dual=_sin_dual,
    derivative_dual=_cos_dual,
    gap=_sin_gap,
    centred=lambda q1, q2, c: _sin_dual(q1, q2, c, 1 - c),
)
cos = ClosedForms(
    mean=lambda q: np.exp(-0.5 * q),
    second=lambda q: 0.5 * (1 + np.exp(-2 * q)),
    dual=_cos_dual,
    derivative_dual=_sin_dual,
    gap=_cos_gap,
    centred=_cos_centred,
)


def _exp_dual(q1, q2, c, om):
    return np.exp(_sum(q1, q2, c))


def _exp_gap(q1, q2, om):
    unequal = 0.5 * np.exp(2 * np.maximum(q1, q2)) * np.expm1(-np.abs(q1 - q2)) ** 2
    return unequal - np.exp(q1 + q2) * np.expm1(-_difference(q1, q2, om))


exp = ClosedForms(
    mean=lambda q: np.exp(0.5 * q),
    second=lambda q: np.exp(2 * q),
    dual=_exp_dual,
    derivative_dual=_exp_dual,
    gap=_exp_gap,
    centred=lambda q1, q2, c: np.exp(0.5 * (q1 + q2)) * np.expm1(np.sqrt(q1 * q2) * c),
    amplification=lambda q1, q2: 1 + (q1 + q2) / 8,
)


def _cubic_gap(q1, q2, om):
    """15 (q1^(3/2) - q2^(3/2))^2 / 2 at c = 1, and 9 (1 - c) + 6 (1 - c^3) times (q1 q2)^(3/2)."""
    root1, root2 = np.sqrt(q1), np.sqrt(q2)
    c = 1 - om
    radial = root_gap(q1, q2) * np.square(q1 + root1 * root2 + q2)
    return 15 * radial + (q1 * q2) ** 1.5 * om * (9 + 6 * (1 + c + c * c))


def _cubic_dual(q1, q2, c, om):
    return (q1 * q2) ** 1.5 * c * (9 + 6 * c * c)


cubic = ClosedForms(
    mean=np.zeros_like,
    second=lambda q: 15 * q**3,
    dual=_cubic_dual,
    derivative_dual=lambda q1, q2, c, om: q1 * q2 * (9 + 18 * c * c),
    gap=_cubic_gap,
    centred=lambda q1, q2, c: _cubic_dual(q1, q2, c, None),
)
