"""What the laws of class fractions become near the vertices of the simplex and for many classes."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, log_ndtr, ndtri

from ibtheory import _check
from ibtheory.fractions.pairs import class_count, midpoints, normal_density

_REACH = 9.0


class Exponents(NamedTuple):
    """Exponents of P(f_k < e), P(1 - f_k < e) and the joint density for e -> 0; see `exponents`."""

    zero: float
    one: float
    vertex: float


def exponents(gamma, classes):
    r"""Powers of e by which the law of the class fractions vanishes, or diverges, at its ends.

    .. math:: P(f_k < e) \sim e^{1/\gamma}, \qquad P(1 - f_k < e) \sim e^{(C-1)a}, \qquad
              p(\text{all losers at } e) \sim e^{(C-1)(a-1)}, \qquad a = \frac{2}{\gamma C}

    Each is multiplied by a power of log 1/e: local exponents converge only logarithmically, that at one being
    (C - 1) a - (C - 1)(a - 1)/(2 log 1/e). A density diverges where the exponent of its probability is below 1.

    Parameters
    ----------
    gamma : float
        Drift ratio, positive.
    classes : int
        C, at least 2.

    Returns
    -------
    Exponents
        zero, one, vertex.

    Examples
    --------
    >>> print(*(round(x, 3) for x in exponents(1.0, 10)))
    1.0 1.8 -7.2
    """
    gamma, classes = _positive(gamma), class_count(classes)
    a = 2 / (gamma * classes)
    return Exponents(1 / gamma, (classes - 1) * a, (classes - 1) * (a - 1))


def vertex_density(rest, gamma, classes):
    r"""Density of f_k at 1 - ``rest`` for rest -> 0, to leading order.

    There the shares of the losers follow a Dirichlet law with the parameters a = 2/(gamma C) and the density

    .. math:: C^{-1/2} (2\pi\gamma)^{-(C-1)/2} (2/D)^{C-1} (\sqrt\pi D)^{(C-1)a}
              \prod_{j} f_j^{a-1}, \qquad \frac{rest}{C-1} = \frac{e^{-D^2/4}}{\sqrt\pi D},

    D being the distance of the winner's mean from those of the others. It converges slowly, with log 1/rest.

    Parameters
    ----------
    rest : array_like (...)
        1 - f_k, between 0 and 0.1.
    gamma : float
        Drift ratio, positive.
    classes : int
        C, at least 2.

    Returns
    -------
    float or ndarray (...)

    Examples
    --------
    >>> print(vertex_density(0.001, 1.0, 2).round(6))  # the uniform law
    1.0
    """
    gamma, classes = _positive(gamma), class_count(classes)
    rest = np.asarray(rest, dtype=float)
    if not np.all((rest > 0) & (rest <= 0.1)):
        raise ValueError("rest must lie in (0, 0.1], got values outside. It is 1 - f_k, near the vertex f_k = 1.")
    losers, a = classes - 1, 2 / (gamma * classes)
    distance = np.vectorize(_distance, otypes=[float])(np.log(rest / losers))
    log_density = -0.5 * np.log(classes) - 0.5 * losers * np.log(2 * np.pi * gamma) + losers * np.log(2 / distance)
    log_density += losers * a * np.log(np.sqrt(np.pi) * distance)
    log_density += losers * gammaln(a) - gammaln(losers * a) + (losers * a - 1) * np.log(rest)
    return np.exp(log_density)[()]


def _distance(log_share):
    """D with exp(-D^2/4)/(sqrt(pi) D) = exp(log_share)."""
    return brentq(lambda d: -d * d / 4 - np.log(np.sqrt(np.pi) * d) - log_share, 1e-3, 2 + 2 * np.sqrt(-log_share))


def agreement_many_classes(rho, classes):
    r"""S_C(rho) for C -> inf at a fixed rho.

    .. math:: S_C(\rho) \simeq \frac{\Gamma(1/(1+\rho))^2}{C \sqrt{1-\rho^2}} \exp\frac{b^2\rho}{1+\rho},
              \qquad b = \Phi^{-1}(1 - 1/C)

    It decreases as C^{-(1 - rho)/(1 + rho)} up to logarithms. `agreement` is exact and cheap for up to a million
    classes; this one shows how it scales.

    Parameters
    ----------
    rho : array_like (...)
        In (-1, 1).
    classes : int
        C, at least 2.

    Returns
    -------
    float or ndarray (...)

    Examples
    --------
    >>> print(agreement_many_classes(0.5, 10**6).round(5))
    0.00395
    """
    rho, classes = _correlations(rho), class_count(classes)
    b = ndtri(1 / classes)
    log_value = 2 * gammaln(1 / (1 + rho)) - np.log(classes) - 0.5 * np.log1p(-(rho**2)) + b * b * rho / (1 + rho)
    return np.exp(log_value)[()]


def agreement_near_one(rho, classes):
    r"""S_C(rho) for C -> inf while rho -> 1, so that (1 - rho) log C stays: the law of Huesler and Reiss.

    .. math:: S_C(\rho) \simeq \int \frac{\phi(s + l) \, ds}{\Phi(l + s) + e^{-2ls} \Phi(l - s)}, \qquad
              l = b \sqrt{\frac{1-\rho}{1+\rho}}, \quad b = \Phi^{-1}(1 - 1/C)

    Only l, hence gamma/log C, matters: for a fixed gamma every fraction goes to 0 with many classes, and deep prejudice
    needs gamma much larger than log C.

    Parameters
    ----------
    rho : array_like (...)
        In (-1, 1).
    classes : int
        C, at least 3.

    Returns
    -------
    float or ndarray (...)

    References
    ----------
    Huesler, Reiss, "Maxima of normal random vectors: between independence and complete dependence", 1989.

    Examples
    --------
    >>> print(agreement_near_one(0.5, 10**6).round(5))
    0.00465
    """
    rho, classes = _correlations(rho), class_count(classes)
    distance = -ndtri(1 / classes) * np.sqrt((1 - rho) / (1 + rho))[..., None]
    s, width = midpoints(-_REACH, _REACH, 0.05)
    s = s - distance
    both = np.logaddexp(log_ndtr(distance + s), log_ndtr(distance - s) - 2 * distance * s)
    return np.sum(width * normal_density(s + distance) * np.exp(-both), axis=-1)[()]


def many_class_exponents(gamma):
    r"""(of E sum_k f_k^2, of E f_max): both decrease as powers of C, up to logarithms, at a fixed gamma.

    .. math:: E \sum_k f_k^2 \sim C^{-1/(1+2\gamma)}, \qquad E f_{max} \sim C^{-(\sqrt{1+\gamma}-\sqrt\gamma)^2}

    Examples
    --------
    >>> print(*(round(x, 4) for x in many_class_exponents(1.0)))
    0.3333 0.1716
    """
    gamma = _check.real("gamma", gamma, 0.0)
    return 1 / (1 + 2 * gamma), 1 / (np.sqrt(1 + gamma) + np.sqrt(gamma)) ** 2


def _positive(gamma):
    return _check.real("gamma", gamma, 0.0, open_minimum=True)


def _correlations(rho):
    rho = np.asarray(rho, dtype=float)
    if not np.all(np.abs(rho) < 1):
        raise ValueError("rho must lie in (-1, 1), got values outside. Use agreement, exact up to both ends.")
    return rho
