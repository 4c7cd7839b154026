"""The drift ratios at which the law of the class fractions changes its shape."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from ibtheory.fractions.pairs import class_count, midpoints, normal_density, reach


class Thresholds(NamedTuple):
    """Drift ratios above which a density of the class fractions diverges, or is no longer largest at f = 1/C.

    Attributes
    ----------
    vertex : float
        2/C: above it the joint density diverges where one class takes everything.
    uniform : float
        gamma_u(C): above it f = (1/C, ..., 1/C) is no longer a local maximum of the joint density.
    zero : float
        1: above it the density of f_k diverges at 0.
    one : float
        2 (C - 1)/C: above it the densities of f_k and f_max diverge at 1.
    """

    vertex: float
    uniform: float
    zero: float
    one: float


def thresholds(classes):
    r"""The four thresholds of gamma; for two classes all are 1.

    The first is that of the joint density on the simplex, p(f) ~ e^{(C - 1)(a - 1)}, a = 2/(gamma C), where all losers
    have the share e. Densities of one fraction are integrals of it, and diverge later:
    P(f_k < e) ~ e^{1/gamma}, P(1 - f_k < e) ~ e^{(C - 1) a}, up to powers of log 1/e that hide the threshold for many
    classes: say P(f_max > x) rather than the threshold there.

    Parameters
    ----------
    classes : int
        C, at least 2.

    Returns
    -------
    Thresholds

    Examples
    --------
    >>> print(*(round(x, 4) for x in thresholds(10)))
    0.2 0.3925 1.0 1.8
    """
    classes = class_count(classes)
    return Thresholds(2 / classes, 1 / _curvature(classes), 1.0, 2 * (classes - 1) / classes)


def _curvature(classes):
    r"""b of log p = const - (1/gamma - b) |m|^2/2 near f = 1/C, m the means without their average.

    The density of f is that of m over the determinant of df/dm, a Laplacian with the weights
    w_ij = \int phi(t - m_i) phi(t - m_j) prod_k Phi(t - m_k) dt, expanded to second order in m.
    """
    c = float(classes)

    def integral(function, densities):
        """int function(t) phi^densities Phi^(C - densities) dt."""
        return np.sum(width * function(t) * normal_density(t) ** densities * np.exp((c - densities) * log_ndtr(t)))

    t, width = midpoints(-9.0, reach(classes), 0.02)
    kappa = integral(np.ones_like, 2)
    first = integral(lambda t: t, 2) + integral(np.ones_like, 3)
    same, pair = integral(lambda t: t * t - 1, 2), integral(lambda t: t * t, 2)
    mixed, four = -integral(lambda t: t, 3), integral(np.ones_like, 4)
    second = 2 * same * (c - 1) - 2 * pair + mixed * (c - 2) * (c - 5) - four * (c - 2) * (c - 3)
    return float(-second / (c * kappa) + first**2 * (c - 2) / (c * kappa**2))
