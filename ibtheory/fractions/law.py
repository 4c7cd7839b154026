"""The law of the class fractions of one network, and the word for it."""

import math
import numbers
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import entr, ndtr

from ibtheory import _check
from ibtheory.fractions import binary, finite, many, profile, three
from ibtheory.fractions.base import Discrete
from ibtheory.fractions.pairs import agreement, agreement_excess, class_count

_POINT = 1e-24  # below it all networks have the same fractions to double precision


def regime(gamma, tolerance=0.0):
    """The word for a drift ratio: "unbiased", "neutral", "prejudiced" or "deeply prejudiced".

    Parameters
    ----------
    gamma : float
        Drift ratio, inf allowed; unbiased estimates may be negative.
    tolerance : float
        Up to this gamma a network is called unbiased (0: only where gamma vanishes).

    Returns
    -------
    str
        "neutral" below 1 and "prejudiced" from 1 on (arXiv 2505.12096). Say the number beside the word.

    Examples
    --------
    >>> regime(0.0), regime(0.467), regime(1.0), regime(float("inf"))
    ('unbiased', 'neutral', 'prejudiced', 'deeply prejudiced')
    """
    gamma = _gamma(gamma, -math.inf)
    if gamma <= _check.real("tolerance", tolerance, 0.0):
        return "unbiased"
    if gamma < 1:
        return "neutral"
    return "prejudiced" if gamma < math.inf else "deeply prejudiced"


def _gamma(gamma, minimum):
    if isinstance(gamma, numbers.Real) and not isinstance(gamma, bool) and gamma == math.inf:
        return math.inf
    return _check.real("gamma", gamma, minimum, hint="Infinity is allowed: the limit of deep prejudice.")


@dataclass(frozen=True)
class ClassFraction:
    r"""Law of the fraction f_k of the data that an untrained network gives to class k, over random networks.

    .. math:: f_k = \int \phi(t - m_k) \prod_{j \ne k} \Phi(t - m_j) \, dt, \qquad m_k = \sqrt\gamma Z_k

    The methods of a frozen distribution of scipy.stats speak of one fraction f_k; ``max`` is the law of the
    largest one. For any number of classes ``mean``, ``var``, ``covariance``, ``moment`` up to 2, ``expected_max`` and
    ``ordered_means`` are exact (1e-12). The distribution functions are in closed form for two classes (the Vasicek law
    with p = 1/2) and quadratures for three (1e-11). For more they are averages over scrambled Sobol points of the
    descending order statistics of the other classes, calibrated on the exact moments, with their standard error
    ``cdf_error``: about 1e-6; for ``max`` below 1e-5 from x = 1/2 on and below 1e-4 before. They are made at the
    first call, in one to four seconds for ten classes, and interpolated from then on.

    Parameters
    ----------
    gamma : float
        Effective drift ratio, from 0 (each fraction is 1/C) to inf (one class takes everything).
    classes : int
        C, at least 2.

    Notes
    -----
    Infinitely many samples of one exchangeable law; ``finite_max`` and ``finite_variance`` are for N of them.

    References
    ----------
    Francazi, Lucchi, Baity-Jesi, "Initial Guessing Bias", arXiv 2306.00809.

    Examples
    --------
    >>> law = ClassFraction(1.0)  # the uniform law
    >>> print(round(law.cdf(0.3), 12), round(law.var(), 12), round(law.expected_max(), 12))
    0.3 0.083333333333 0.75
    >>> print(ClassFraction(1.0, classes=10).ordered_means().round(4)[:3])
    [0.4318 0.2141 0.1303]
    """

    gamma: float
    classes: int = 2

    def __post_init__(self):
        object.__setattr__(self, "gamma", _gamma(self.gamma, 0.0))
        object.__setattr__(self, "classes", class_count(self.classes))

    def __reduce__(self):
        return ClassFraction, (self.gamma, self.classes)  # the cached laws are made again where they are needed

    @cached_property
    def _law(self):
        if self._point:
            return Discrete([1 / self.classes], [1.0])
        if self.gamma == math.inf:
            return Discrete([0.0, 1.0], [1 - 1 / self.classes, 1 / self.classes])
        if self.classes == 2:
            return binary.Binary(self.gamma)
        if self.classes == 3:
            return three.one(self.gamma)
        return many.one(self.gamma, self.classes, self.moment(2))

    @cached_property
    def max(self):
        """Law of the largest fraction: cdf sf ppf isf pdf rvs mean var std median interval support, cdf_error."""
        if self._point:
            return Discrete([1 / self.classes], [1.0])
        if self.gamma == math.inf:
            return Discrete([1.0], [1.0])
        if self.classes == 2:
            return binary.Larger(self.gamma)
        if self.classes == 3:
            return three.largest(self.gamma)
        one = self._law if self.classes <= many.FEW else None
        return many.largest(self.gamma, self.classes, self.expected_max(), one)

    @property
    def _point(self):
        return self.gamma == 0 or (self.classes > 2 and self.gamma < _POINT)

    def pdf(self, x):
        """Density of f_k, elementwise: the derivative of ``cdf``."""
        return self._law.pdf(x)

    def logpdf(self, x):
        """Log density of f_k, elementwise."""
        return self._law.logpdf(x)

    def cdf(self, x):
        """P(f_k <= x), elementwise."""
        return self._law.cdf(x)

    def cdf_error(self, x):
        """Standard error of ``cdf`` and ``sf``: 0 for two classes, a bound for three."""
        return self._law.cdf_error(x)

    def sf(self, x):
        """P(f_k > x), elementwise."""
        return self._law.sf(x)

    def ppf(self, q):
        """Quantile function, elementwise; NaN outside [0, 1]."""
        return self._law.ppf(q)

    def isf(self, q):
        """Inverse of ``sf``, elementwise."""
        return self._law.isf(q)

    def rvs(self, size=None, random_state=None):
        """Independent draws of one fraction, each of another network; `joint_rvs` gives all classes of a network.

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the result; a float without it.
        random_state : int or numpy.random.Generator, optional
            Seed of the draws; fresh entropy without it.
        """
        if self.classes == 2 or self.gamma in (0, math.inf):
            return self._law.rvs(size, random_state)
        count = 1 if size is None else int(np.prod(size))
        draws = self.joint_rvs(count, random_state)[:, 0]
        return draws[0] if size is None else draws.reshape(size)

    def mean(self):
        """1/C."""
        return 1 / self.classes

    def median(self):
        """The fraction that half of the networks stay below."""
        return self._law.median()

    def var(self):
        """Var f_k = (S_C(c) - 1/C)/C, c = gamma/(1 + gamma); exact."""
        if self.gamma == math.inf:
            return (1 - 1 / self.classes) / self.classes
        rest = 1 / (1 + self.gamma)
        return float(agreement_excess(1.0 if rest < 0.5**60 else self.gamma * rest, self.classes, rest) / self.classes)

    def std(self):
        """Standard deviation of f_k; exact."""
        return math.sqrt(self.var())

    def covariance(self):
        """Cov(f_j, f_k), shape (C, C): var on the diagonal, -var/(C - 1) beside it; exact, its rows sum to 0."""
        variance = self.var()
        matrix = np.full((self.classes, self.classes), -variance / (self.classes - 1))
        np.fill_diagonal(matrix, variance)
        return matrix

    def moment(self, order, error=False):
        """E f_k^order.

        Parameters
        ----------
        order : int
            At least 0; up to 2 the moment is exact, as it is for two classes.
        error : bool
            Return (value, standard error).
        """
        order = _check.integer("order", order, 0)
        value, spread = self._moment(order)
        return (value, spread) if error else value

    def _moment(self, order):
        if order <= 2 or self._point:
            mean = 1 / self.classes
            return (1.0, mean, self.var() + mean**2)[order] if order <= 2 else float(self.classes) ** -order, 0.0
        if self.gamma == math.inf:
            return 1 / self.classes, 0.0
        if self.classes == 2:
            return self._law.moment(order), 0.0
        return self._law.average(lambda x: x**order)

    def interval(self, confidence):
        """Equal-tailed interval that holds ``confidence`` of the networks."""
        return self._law.interval(confidence)

    def entropy(self):
        """Differential entropy of f_k in nats: (1 - gamma + log gamma)/2 for two classes; -inf for a law of points.

        Not to be confused with `expected_entropy`, the entropy of the fractions of one network.
        """
        return self._law.entropy()

    def support(self):
        """(lowest, highest) fraction."""
        return self._law.support()

    def expected_max(self):
        """E max_k f_k = S_C(sqrt c), exact; 1/C would be unbiased."""
        if self.gamma in (0, math.inf):
            return 1.0 if self.gamma else 1 / self.classes
        rest, root = 1 / (1 + self.gamma), math.sqrt(1 - 1 / (1 + self.gamma))
        return float(agreement(math.sqrt(self.gamma * rest), self.classes, rest / (1 + root)))

    def exceeds(self, share):
        """P(max_k f_k > share), the networks that give more than ``share`` of the data to one class; see ``max``."""
        if 3 < self.classes <= many.FEW and 0 < self.gamma < math.inf and np.all(np.asarray(share) >= 0.5):
            return np.minimum(self.classes * self._law.sf(share), 1.0)[()]  # made sooner than the law of f_max
        return self.max.sf(share)

    def ordered_means(self):
        """E f_(r), shape (C,), decreasing: the mean share of the r-th most predicted class of a network; exact.

        The absolute error is below 1e-12; up to 1000 classes take milliseconds, a million some seconds.
        """
        if self.gamma == 0:
            return np.full(self.classes, 1 / self.classes)
        if self.gamma == math.inf:
            return np.eye(1, self.classes)[0]
        return profile.ordered_means(self.gamma, self.classes)

    def joint_rvs(self, size, seed=None):
        """All fractions of ``size`` independent networks, (size, C); each row is exact for its draw and sums to 1.

        Parameters
        ----------
        size : int
            Number of networks.
        seed : int or numpy.random.Generator, optional
            Seed of the draws; fresh entropy without it.
        """
        size = _check.integer("size", size, 0)
        generator = np.random.default_rng(seed)
        if self.gamma == 0:
            return np.full((size, self.classes), 1 / self.classes)
        if self.gamma == math.inf:
            return np.eye(self.classes)[generator.integers(self.classes, size=size)]
        if self.classes == 2:
            score = math.sqrt(self.gamma) * generator.standard_normal(size)
            return np.stack([ndtr(score), ndtr(-score)], axis=1)
        return profile.fractions_of(math.sqrt(self.gamma) * generator.standard_normal((size, self.classes)))

    def expected_entropy(self, error=False):
        """E of -sum_k f_k log f_k in nats, between 0 and log C: how evenly one network spreads its predictions.

        Parameters
        ----------
        error : bool
            Return (value, standard error); the error is 0 for two classes, a bound for three.
        """
        value, spread = self._expected_entropy()
        return (value, spread) if error else value

    def _expected_entropy(self):
        if self._point or self.gamma == math.inf:
            return math.log(self.classes) if self._point else 0.0, 0.0
        if self.classes == 2:
            return self._law.average(lambda x: entr(ndtr(x)) + entr(ndtr(-x))), 0.0
        value, spread = self._law.average(entr)
        return self.classes * value, self.classes * spread

    def effective_classes(self, order=1):
        """How many equally likely classes are as diverse as those that one network predicts: between 1 and C.

        Parameters
        ----------
        order : {1, 2}
            1: exp of the expected entropy; 2: 1/E sum_k f_k^2, exact.
        """
        if _check.choice("order", str(order), ("1", "2")) == "2":
            return 1 / (self.classes * self.moment(2))
        return math.exp(self.expected_entropy())

    def finite_variance(self, samples):
        """Variance of the observed share of class k among N = ``samples`` data: (1 - 1/N) var + (1/C)(1 - 1/C)/N."""
        samples = _check.integer("samples", samples, 1)
        return (1 - 1 / samples) * self.var() + (1 - 1 / self.classes) / self.classes / samples

    def finite_max(self, samples):
        """E of the largest observed share max_k n_k/N among N = ``samples`` data.

        Parameters
        ----------
        samples : int
            N, at least 1: the data that one network classifies.

        Returns
        -------
        value, error : float
            The expectation and its standard error, 0 for two classes.
        """
        samples = _check.integer("samples", samples, 1)
        if self.gamma == math.inf or samples == 1:
            return 1.0, 0.0
        if self.classes == 2:
            return finite.two_classes(self._law if self.gamma else None, samples), 0.0
        return finite.many_classes(self.gamma, self.classes, samples, self.expected_max())
