"""Closed forms of Gaussian expectations, one set per family of activations.

For (u, v) a centred Gaussian pair with variances q1, q2 and correlation c, ``om`` = 1 - c given apart so that
nothing is lost near c = 1. Where a family leaves ``gap`` and ``centred`` out, :mod:`ibtheory.gaussian` integrates
``derivative_dual`` (Price's theorem).
"""

from ibtheory._closed._lines import broken_line
from ibtheory._closed._powers import arc_cosine, sign, step, two_slopes
from ibtheory._closed._record import ClosedForms, root_gap, shifted
from ibtheory._closed._units import exponential_unit
from ibtheory._closed._waves import cos, cubic, exp, sin
from ibtheory._closed._wider import erf, gaussian, gelu

__all__ = [
    "ClosedForms",
    "arc_cosine",
    "broken_line",
    "cos",
    "cubic",
    "erf",
    "exp",
    "exponential_unit",
    "gaussian",
    "gelu",
    "root_gap",
    "shifted",
    "sign",
    "sin",
    "step",
    "two_slopes",
]
