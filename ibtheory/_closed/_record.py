"""What a closed form is, and what all of them share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClosedForms:
    """Functions of arrays that broadcast; (u, v) has variances q1, q2, correlation c = 1 - om.

    Attributes
    ----------
    mean, second : callable of q
        E phi(u), E phi(u)^2.
    dual, derivative_dual : callable of (q1, q2, c, om)
        E phi(u) phi(v), and its derivative by r = sqrt(q1 q2) c.
    gap : callable of (q1, q2, om) or None
        E (phi(u) - phi(v))^2 / 2, to full relative precision; None: it follows by Price's theorem.
    centred : callable of (q1, q2, c) or None
        E phi(u) phi(v) - E phi(u) E phi(v), likewise.
    radial : callable of (q1, q2) or None
        The gap at c = 1; None: by quadrature.
    rise : callable of (q1, q2, om) or None
        The gap less that at c = 1, to full relative precision; None: by Price's theorem.
    amplification : callable of (q1, q2)
        By what factor rounding errors exceed those of a sum of terms no larger than the result.
    costly : bool
        Gap and centred are double integrals.
    """

    mean: Callable
    second: Callable
    dual: Callable
    derivative_dual: Callable
    gap: Callable | None = None
    centred: Callable | None = None
    radial: Callable | None = None
    rise: Callable | None = None
    amplification: Callable = lambda q1, q2: 1.0
    costly: bool = False


def angle(om):
    """The angle acos(c), from om = 1 - c."""
    return 2 * np.arcsin(np.sqrt(np.clip(om, 0, 2) / 2))


def root_gap(q1, q2):
    """(sqrt q1 - sqrt q2)^2 / 2, the gap of a pair with correlation 1, formed from q1 - q2."""
    total = np.sqrt(q1) + np.sqrt(q2)
    return 0.5 * np.square((q1 - q2) / np.where(total == 0, 1.0, total))


def density(x):
    """The standard normal density."""
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def shifted(closed, constant):
    """The closed forms of phi + constant."""

    def mean(q):
        return closed.mean(q) + constant

    def second(q):
        return closed.centred(q, q, np.ones_like(q)) + mean(q) ** 2

    def dual(q1, q2, c, om):
        return closed.centred(q1, q2, c) + mean(q1) * mean(q2)

    return ClosedForms(mean, second, dual, closed.derivative_dual, closed.gap, closed.centred)
