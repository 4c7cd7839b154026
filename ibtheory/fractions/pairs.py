"""P(two correlated Gaussian score vectors have the same argmax): the numbers behind every law of class fractions.

S_C(rho) = C E[Phi_2(U, V; rho)^(C-1)], (U, V) bivariate normal with correlation rho. Three forms of it are kept apart,
because each is small where another one is not, and none may be formed by subtraction there: S itself, the excess
S - 1/C (near rho = 0) and the disagreement 1 - S (near rho = 1).
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from scipy.interpolate import PPoly
from scipy.special import log_ndtr, ndtr, ndtri, owens_t

from ibtheory import _check

REACH = 8.6  # beyond it a standard normal holds less than 1e-17
_SMALL_CORRELATION = 0.1  # below it the excess comes from a polynomial: subtracting 1/C would cost digits
_SMALL_ANGLE = 2e-3  # below it (arccos rho) the disagreement comes from its series, for the same reason
_FEW = 24  # up to so many correlations the quadrature is cheaper than the table
_INTERVALS, _DEGREE = 128, 9  # the table's pieces: even, so that rho = 0 is a breakpoint


def normal_density(x):
    """Density of a standard normal."""
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def midpoints(low, high, step):
    """Midpoints of equal intervals no longer than ``step`` that tile [low, high], and their length."""
    count = max(1, int(np.ceil((high - low) / step)))
    width = (high - low) / count
    return low + width * (np.arange(count) + 0.5), width


def reach(classes):
    """Beyond it the largest of C standard normals holds less than 1e-17."""
    return float(-ndtri(1e-17 / classes))


def outside(h, k, over_h, over_k):
    """P(X > h or Y > k) = 1 - Phi_2(h, k; rho), accurate relative to itself, by Owen's T.

    ``over_h`` is (k - rho h)/sqrt(1 - rho^2) and ``over_k`` the same with h and k exchanged.
    """
    h, k = np.where(h == 0, 1e-200, h), np.where(k == 0, 1e-200, k)  # T(0, +-inf) is the limit meant
    with np.errstate(over="ignore"):
        tails = owens_t(h, over_h / h) + owens_t(k, over_k / k)
    tails += 0.5 * (ndtr(-h) + ndtr(-k)) + 0.5 * (h * k < 0)
    return np.clip(tails, np.maximum(ndtr(-h), ndtr(-k)), 1.0)


def _step(classes):
    return 0.1 if classes <= 1000 else 0.05


def quadrature(angle, classes):
    """S_C(cos angle) for one angle = arccos(rho) in (0, pi), by the trapezoid in sum and difference of (U, V)."""
    step = _step(classes)
    s, width = midpoints(-REACH, reach(classes), step)
    d, other = midpoints(0.0, reach(classes), step)  # the integrand is even in d: U and V may be exchanged
    s, d = s[:, None], d[None, :]
    plus, minus = np.cos(angle / 2), np.sin(angle / 2)  # sqrt((1 + rho)/2), sqrt((1 - rho)/2)
    h, k = plus * s + minus * d, plus * s - minus * d
    missed = outside(h, k, (minus * h - d) / plus, (minus * k + d) / plus)
    with np.errstate(divide="ignore"):
        powers = np.exp((classes - 1) * np.log1p(-missed))
    weights = 2 * width * other * normal_density(s) * normal_density(d)
    return classes * float(np.sum(weights * powers))


def _series(angle, classes):
    """1 - S_C(cos angle) for a small angle, every term positive: C E[Phi(U)^(C-1) - Phi_2(U, V)^(C-1)]."""
    step = _step(classes)
    s, width = midpoints(-reach(classes), reach(classes), step)
    d = s[None, :]
    s = s[:, None]
    ratio = np.tan(angle / 2)
    # Phi(U) - Phi_2(U, V) = int_0^inf phi(d - w) [Phi(s + ratio w) - Phi(s - ratio w)] dw, expanded in ratio
    moments = [ndtr(d), d * ndtr(d) + normal_density(d)]  # int_0^inf w^n phi(d - w) dw
    for n in range(2, 8):
        moments.append(d * moments[-1] + (n - 1) * moments[-2])
    s2 = s * s
    hermite = (1.0, s2 - 1, s2 * s2 - 6 * s2 + 3, s2**3 - 15 * s2 * s2 + 45 * s2 - 15)
    terms = zip((1, 3, 5, 7), (1, 6, 120, 5040), hermite, strict=True)
    missed = 2 * normal_density(s) * sum(he * ratio**n / factorial * moments[n] for n, factorial, he in terms)
    log_first = log_ndtr(np.cos(angle / 2) * s + np.sin(angle / 2) * d)
    missed = np.clip(missed * np.exp(-log_first), 0.0, 0.5)
    drop = -np.exp((classes - 1) * log_first) * np.expm1((classes - 1) * np.log1p(-missed))
    return classes * float(np.sum(width**2 * normal_density(s) * normal_density(d) * drop))


@lru_cache(maxsize=64)
def _ratio_polynomial(classes):
    """Chebyshev coefficients of (S_C(rho) - 1/C)/rho on |rho| <= 2 _SMALL_CORRELATION."""
    edge, count = 2 * _SMALL_CORRELATION, 14  # an even count has no node at 0; the nearest pair costs 2 digits at most
    nodes = edge * chebyshev.chebpts1(count)
    ratios = [(quadrature(np.arccos(rho), classes) - 1 / classes) / rho for rho in nodes]
    return chebyshev.chebfit(nodes / edge, ratios, count - 1)


def excess_once(rho, angle, classes):
    """S_C - 1/C for one correlation (its ``angle`` is arccos rho)."""
    if abs(rho) < _SMALL_CORRELATION:
        return rho * float(chebyshev.chebval(rho / (2 * _SMALL_CORRELATION), _ratio_polynomial(classes)))
    return (1 - 1 / classes) - disagreement_once(angle, classes)


def disagreement_once(angle, classes):
    """1 - S_C for one angle = arccos(rho)."""
    if angle <= 0:
        return 0.0
    if angle >= np.pi:
        return 1.0
    return _series(angle, classes) if angle < _SMALL_ANGLE else 1 - quadrature(angle, classes)


class Table:
    """S_C over arrays: piecewise polynomials in the angle, in which S_C is smooth up to both ends.

    S is interpolated globally at Chebyshev points, differentiated, and integrated again from rho = 0 (the excess) and
    from rho = 1 (the disagreement): near either anchor each keeps its relative precision.
    """

    def __init__(self, classes):
        count = 80  # from 3 to 1e6 classes the coefficients reach rounding before the 64th
        nodes = chebyshev.chebpts1(count) * np.pi / 2  # of theta = arcsin(rho)
        values = [quadrature(np.pi / 2 - theta, classes) for theta in nodes]
        slope = chebyshev.chebder(chebyshev.chebfit(nodes / (np.pi / 2), values, count - 1)) / (np.pi / 2)
        edges = np.linspace(-1.0, 1.0, _INTERVALS + 1) * np.pi / 2
        self._excess = _integral(lambda theta: chebyshev.chebval(theta / (np.pi / 2), slope), edges, _INTERVALS // 2)
        self._disagreement = _integral(
            lambda angle: chebyshev.chebval(1 - angle / (np.pi / 2), slope), edges + np.pi / 2, 0
        )

    def excess(self, theta):
        """S - 1/C at theta = arcsin(rho)."""
        return self._excess(theta)

    def disagreement(self, angle):
        """1 - S at angle = arccos(rho)."""
        return self._disagreement(angle)

    def excess_inverse(self, value):
        """theta = arcsin(rho) with the excess ``value``."""
        return _invert(self._excess, value)

    def disagreement_inverse(self, value):
        """angle = arccos(rho) with the disagreement ``value``."""
        return _invert(self._disagreement, value)


def _integral(function, edges, anchor):
    """Piecewise polynomial whose derivative is ``function`` and that is exactly 0 at ``edges[anchor]``."""
    unit = 0.5 * (1 + chebyshev.chebpts1(_DEGREE + 1))
    width = edges[1] - edges[0]
    values = function(edges[:-1, None] + width * unit)
    powers = np.linalg.solve(np.vander(unit, increasing=True), values.T)  # in units of an interval
    powers = powers / width ** np.arange(_DEGREE + 1)[:, None]
    slope = PPoly(powers[::-1], edges)
    steps = slope.antiderivative().c[:-1]
    lengths = width ** np.arange(_DEGREE + 1, 0, -1)
    jumps = lengths @ steps
    levels = np.concatenate([-np.cumsum(jumps[:anchor][::-1])[::-1], [0.0], np.cumsum(jumps[anchor:])])
    return PPoly(np.vstack([steps, levels[:-1]]), edges)


def _invert(curve, value):
    """x with curve(x) = value for an increasing curve: interpolation between the edges, then Newton inside."""
    levels = curve(curve.x)
    x = np.interp(value, levels, curve.x)
    slope = curve.derivative()
    for _ in range(5):
        x = np.clip(x - (curve(x) - value) / np.maximum(slope(x), 1e-300), curve.x[0], curve.x[-1])
    return np.where(value <= levels[0], curve.x[0], np.where(value >= levels[-1], curve.x[-1], x))


@lru_cache(maxsize=32)
def table(classes):
    """The table of a number of classes, built once."""
    return Table(classes)


def class_count(classes):
    return _check.integer("classes", classes, 2, hint="A single logit decides between 2 classes.")


def _angles(rho, one_minus_rho):
    """(rho, arccos rho), accurate near rho = 1 where 1 - rho is given."""
    rho = np.clip(np.asarray(rho, dtype=float), -1.0, 1.0)
    if one_minus_rho is None:
        return rho, np.arccos(rho)
    gap = np.clip(np.asarray(one_minus_rho, dtype=float), 0.0, 2.0)
    rho, gap = np.broadcast_arrays(rho, gap)
    return rho, 2 * np.arcsin(np.sqrt(gap / 2))


def _pointwise(function, *arrays):
    return np.vectorize(function, otypes=[float])(*arrays)


def agreement(rho, classes, one_minus_rho=None):
    r"""S_C(rho): the probability that two correlated Gaussian score vectors have the same argmax.

    .. math:: S_C(\rho) = C \, E[\Phi_2(U, V; \rho)^{C-1}], \qquad S_2(\rho) = 1/2 + \arcsin(\rho)/\pi

    Parameters
    ----------
    rho : array_like (...)
        Correlation of the scores of the same class, in [-1, 1] (rounding beyond it is clipped).
    classes : int
        C, at least 2.
    one_minus_rho : array_like (...), optional
        1 - rho, where the caller knows it better than ``rho`` does (near 1).

    Returns
    -------
    float or ndarray (...)
        Between S_C(-1) = 0 and S_C(1) = 1, exact at both; S_C(0) = 1/C. Absolute error about 1e-14.

    See Also
    --------
    agreement_excess, disagreement : S - 1/C and 1 - S to full relative precision.

    Examples
    --------
    >>> print(agreement(0.5, 2).round(12), agreement(0.5, 10).round(12))
    0.666666666667 0.293809866435
    """
    rho, angle = _angles(rho, one_minus_rho)
    classes = class_count(classes)
    near, far = 1 - _disagreement(angle, classes), 1 / classes + _excess(rho, angle, classes)
    return np.where(angle <= np.pi / 2, near, far)[()]


def agreement_excess(rho, classes, one_minus_rho=None):
    """S_C(rho) - 1/C with full relative precision near rho = 0; see `agreement`.

    Examples
    --------
    >>> print(f"{agreement_excess(1e-20, 2):.12g}")
    3.18309886184e-21
    """
    rho, angle = _angles(rho, one_minus_rho)
    return _excess(rho, angle, class_count(classes))[()]


def disagreement(rho, classes, one_minus_rho=None):
    """1 - S_C(rho), the probability of two different argmaxes, with full relative precision near rho = 1.

    Examples
    --------
    >>> print(disagreement(1.0, 10, one_minus_rho=5e-11))
    8.68146396...e-06
    """
    _, angle = _angles(rho, one_minus_rho)
    return _disagreement(angle, class_count(classes))[()]


def _excess(rho, angle, classes):
    if classes == 2:
        return np.asarray(np.arcsin(rho) / np.pi)
    if rho.size <= _FEW:
        return _pointwise(lambda r, a: excess_once(r, a, classes), rho, angle)
    return table(classes).excess(np.arcsin(rho))


def _disagreement(angle, classes):
    if classes == 2:
        return np.asarray(angle / np.pi)
    if angle.size <= _FEW:
        return _pointwise(lambda a: disagreement_once(a, classes), angle)
    return table(classes).disagreement(angle)


def agreement_inverse(value, classes):
    """Correlation rho with S_C(rho) = value, increasing; values outside [0, 1] are clipped to rho = -1 or 1.

    Parameters
    ----------
    value : array_like (...)
        Probabilities of agreement; below 1/C the correlation is negative.
    classes : int
        C, at least 2.

    Returns
    -------
    float or ndarray (...)

    Examples
    --------
    >>> print(agreement_inverse([agreement(0.3, 10), -0.1], 10).round(12))
    [ 0.3 -1. ]
    """
    classes = class_count(classes)
    value = np.asarray(value, dtype=float)
    return np.sin(_theta(value - 1 / classes, 1 - value, classes)[0])[()]


def _theta(excess, missed, classes):
    """(arcsin rho, arccos rho) from the excess and the disagreement, each from the one that is accurate."""
    excess, missed = np.broadcast_arrays(np.asarray(excess, dtype=float), np.asarray(missed, dtype=float))
    if classes == 2:
        low, angle = np.pi * np.clip(excess, -0.5, 0.5), np.pi * np.clip(missed, 0.0, 1.0)
    else:
        curves = table(classes)
        low, angle = curves.excess_inverse(excess), curves.disagreement_inverse(missed)
    near_one = missed < 0.25
    return np.where(near_one, np.pi / 2 - angle, low), np.where(near_one, angle, np.pi / 2 - low)


def gamma_from_agreement(excess, missed, classes):
    """gamma = rho/(1 - rho) of the rho with S_C(rho) - 1/C = ``excess`` and 1 - S_C(rho) = ``missed``.

    Both are asked for because each is accurate where the other one is not; values outside the range of S_C are clipped.

    Examples
    --------
    >>> print(gamma_from_agreement(agreement_excess(0.5, 10), disagreement(0.5, 10), 10).round(12))
    1.0
    """
    theta, angle = _theta(excess, missed, class_count(classes))
    with np.errstate(divide="ignore"):
        return (np.sin(theta) / (2 * np.sin(angle / 2) ** 2))[()]


def effective_gamma(rho, classes, one_minus_rho=None, weights=None):
    """gamma_effective of many correlations: S_C(c_eff) = (weighted) mean of S_C(c_ab), gamma = c_eff/(1 - c_eff).

    Parameters
    ----------
    rho, one_minus_rho : array_like (...)
        Correlations of the pairs, as in `agreement`.
    classes : int
        C, at least 2.
    weights : array_like (...), optional
        Weights of the pairs, not negative; they need not sum to 1. All equal if not given.

    Returns
    -------
    float
        Full relative precision both for small and for large gamma.

    Examples
    --------
    >>> round(effective_gamma([0.5, 0.5], 10), 12)
    1.0
    """
    classes = class_count(classes)
    rho, angle = _angles(rho, one_minus_rho)
    excess = np.average(_excess(rho, angle, classes), weights=weights)
    return float(gamma_from_agreement(excess, np.average(_disagreement(angle, classes), weights=weights), classes))
