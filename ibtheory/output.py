r"""The law of a logit: over the data for one untrained network, and over networks.

Given the hidden layers a logit z(x) is Gaussian over readouts, with the variance K(x, x) of its sample. Over samples
and networks that variance varies, so that z is a scale mixture of Gaussians: symmetric, with tails that are heavier the
more the variance varies. Over the data z(x) = mu + delta(x): the mean mu is one number per network, N(0, r), and delta
has variance q - r.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betainc, log_ndtr, ndtr

from ibtheory import _check

__all__ = ["EDGES", "Output", "ScaleMixture", "sample_kurtosis", "unbiased_kurtosis"]

EDGES = np.linspace(-5.0, 5.0, 41)  # of the bins of a logit over the data, in its standard deviations about its mean

_GAUSS_HERMITE = np.polynomial.hermite_e.hermegauss(15)
_SMALLEST = 1e-300  # stands for the standard deviation of a sample without variance
_GRID = np.linspace(-8.5, 8.5, 341)
_CHUNK = 2**22


class ScaleMixture:
    """Gaussian of mean 0 whose variance is itself random: ``variances`` with ``weights``, times a log-normal factor.

    The methods are those of a frozen distribution of scipy.stats; all are elementwise.

    Parameters
    ----------
    variances : (m,) array_like
        At least 0, not all of them 0.
    weights : (m,) array_like, optional
        At least 0, normalized to sum 1; equal by default.
    spread : float
        Variance of the logarithm of the factor, whose mean is 1.

    Raises
    ------
    ValueError
        For a negative or non-finite variance, weight or spread.

    Examples
    --------
    >>> law = ScaleMixture([1.0, 3.0])
    >>> print(law.var(), law.kurtosis(), round(law.beyond(3.0), 5))
    2.0 0.75 0.00716
    """

    def __init__(self, variances, weights=None, spread=0.0):
        variances = np.atleast_1d(np.asarray(variances, float))
        weights = np.ones(variances.size) if weights is None else np.atleast_1d(np.asarray(weights, float))
        if variances.ndim != 1 or variances.shape != weights.shape or not variances.size:
            raise ValueError(f"variances and weights must have one shape (m,), got {variances.shape}, {weights.shape}")
        for name, values in (("variances", variances), ("weights", weights)):
            if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
                raise ValueError(f"{name} must be finite, at least 0 and not all 0, got {values}")
        self.spread = _check.real("spread", spread, 0.0)
        self.variances, index = np.unique(variances, return_inverse=True)
        self.weights = np.bincount(index, weights / weights.sum())

    @cached_property
    def _parts(self):
        """(standard deviations, weights) with the log-normal factor resolved."""
        if self.spread == 0:
            return np.sqrt(self.variances).clip(_SMALLEST), self.weights
        nodes, weights = _GAUSS_HERMITE
        factors = np.exp(math.sqrt(self.spread) * nodes - self.spread / 2)
        variances = np.multiply.outer(self.variances, factors).ravel()
        return np.sqrt(variances).clip(_SMALLEST), np.outer(self.weights, weights / weights.sum()).ravel()

    def mean_of(self, function, x):
        """Average of function(x / scale, scale) over the mixture, of the shape of x."""
        x = np.asarray(x, float)
        flat, (scale, weights) = x.ravel(), self._parts
        result = np.empty(flat.size)
        step = max(_CHUNK // scale.size, 1)
        for start in range(0, flat.size, step):
            part = flat[start : start + step, None]
            result[start : start + step] = function(part / scale, scale) @ weights
        return result.reshape(x.shape)[()]

    def pdf(self, x):
        """Density at x."""
        return self.mean_of(lambda t, scale: np.exp(-0.5 * t * t) / (math.sqrt(2 * math.pi) * scale), x)

    def logpdf(self, x):
        """Logarithm of the density at x."""
        with np.errstate(divide="ignore"):
            return np.log(self.pdf(x))

    def cdf(self, x):
        """P(z <= x)."""
        return self.mean_of(lambda t, scale: ndtr(t), x)

    def sf(self, x):
        """P(z > x), accurate in the upper tail."""
        return self.cdf(-np.asarray(x, float))

    def ppf(self, p):
        """Quantile: where :meth:`cdf` is p in [0, 1]; NaN outside."""
        p = np.asarray(p, float)
        tail = np.minimum(p, 1 - p)
        low, high = np.full(p.shape, -40.0 * self._parts[0].max()), np.zeros(p.shape)
        for _ in range(100):
            middle = (low + high) / 2
            above = self.cdf(middle) >= tail
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        x = np.where(p <= 0.5, high, -high)
        x = np.where(tail == 0, np.copysign(np.inf, p - 0.5), x)
        return np.where((p >= 0) & (p <= 1), x, np.nan)[()]

    def isf(self, p):
        """Where :meth:`sf` is p."""
        return -self.ppf(p)

    def rvs(self, size=None, seed=0):
        """Random numbers of shape ``size`` from an integer ``seed``."""
        rng = np.random.default_rng(_check.integer("seed", seed, 0))
        variance = rng.choice(self.variances, size, p=self.weights)
        factor = np.exp(math.sqrt(self.spread) * rng.standard_normal(size) - self.spread / 2)
        return np.sqrt(variance * factor) * rng.standard_normal(size)

    def mean(self):
        """0."""
        return 0.0

    median = mean

    def var(self):
        """Variance."""
        return float(self.weights @ self.variances)

    def std(self):
        """Standard deviation."""
        return math.sqrt(self.var())

    def moment(self, order):
        """E z^order, for an integer order of at least 0."""
        order = _check.integer("order", order, 0)
        if order % 2:
            return 0.0
        half = order // 2
        powers = self.weights @ self.variances**half * math.exp(self.spread * half * (half - 1) / 2)
        return float(powers * math.prod(range(1, order, 2)))

    def kurtosis(self):
        """Excess kurtosis: 3 Var(variance) / variance^2, 0 for a Gaussian and never negative."""
        relative = self.weights @ np.square(self.variances / self.var())
        return max(3 * (float(relative) * math.exp(self.spread) - 1), 0.0)

    def interval(self, confidence):
        """(low, high): central interval of probability ``confidence``."""
        return self.ppf((1 - confidence) / 2), self.ppf((1 + confidence) / 2)

    def support(self):
        """(-inf, inf)."""
        return -np.inf, np.inf

    def beyond(self, t):
        """P(\\|z\\| > t standard deviations); 2 Phi(-t) for a Gaussian."""
        return 2 * self.sf(np.asarray(t, float) * self.std())

    def leads(self, margin, classes):
        """P(the largest of ``classes`` logits leads all others by more than ``margin``), for one sample.

        The logits of a sample are independent given its variance v:
        C E int phi(t) Phi(t - margin / sqrt v)^(C - 1) dt.
        """
        classes = _check.integer("classes", classes, 2, hint="A lead needs another class.")
        margin = _check.real("margin", margin, 0.0)
        scale, weights = self._parts
        ahead = np.exp((classes - 1) * log_ndtr(_GRID[:, None] - margin / scale)) @ weights
        density = np.exp(-0.5 * _GRID**2) / math.sqrt(2 * math.pi)
        return float(classes * (_GRID[1] - _GRID[0]) * density @ ahead)

    def to_dict(self):
        """Plain data (JSON), the arguments that rebuild it."""
        return {"variances": self.variances.tolist(), "weights": self.weights.tolist(), "spread": self.spread}


@dataclass(frozen=True, eq=False)
class Output:
    r"""Law of one logit z(x) = mu + delta(x) of an untrained network; in :attr:`ibtheory.Prediction.output`.

    Attributes
    ----------
    data : ScaleMixture
        Law of delta: what is left of a logit when its mean over the data is taken away.
    networks : ScaleMixture
        Law of z over networks and data.
    mean_variance : float
        Variance of mu over networks; mu is Gaussian with mean 0.
    kurtosis : float
        Excess kurtosis over the data in one network, E kappa_4 / E kappa_2^2 over networks, both without bias. Below
        that of ``data`` where the centred kernel has few ``directions``.
    skewness_spread : float
        Size of the skewness over the data in one network, sqrt(E m_3^2 / (E m_2)^3). Its mean is 0: a network and its
        mirror image are equally likely. At infinite width, for infinitely many samples.
    directions : float
        (tr K)^2 / tr K^2 of the kernel centred over the data: the number of comparable directions of delta, of which a
        finite width leaves fewer. The law of delta in one network is near that of ``data`` from about 15 on.
    width_terms : {"none", "leading", "approximate"}
        Whether the spread of the kernel over finite networks is in. "approximate": as if all samples were alike (a
        dataset, several groups) and batches large (BatchNorm, whose batch shortens heavy tails by some kurtosis/batch).

    Notes
    -----
    The variance of a sample is taken to be log-normal over networks, for its factors multiply from layer to layer.

    References
    ----------
    Francazi, Pinto, Lucchi, Baity-Jesi, arXiv:2505.11312, ask how the placement of the norm changes this law.
    """

    data: ScaleMixture
    networks: ScaleMixture
    mean_variance: float
    kurtosis: float
    skewness_spread: float = 0.0
    directions: float = math.inf
    width_terms: str = "none"

    @property
    def skewness(self):
        """Mean skewness over the data: 0 by symmetry."""
        return 0.0

    @property
    def variance(self):
        """Variance over the data in one network, mean over networks: q - r."""
        return self.data.var()

    @property
    def total_variance(self):
        """Variance over networks and data: q."""
        return self.networks.var()

    @property
    def network_kurtosis(self):
        """Excess kurtosis over networks and data."""
        return self.networks.kurtosis()

    def tail(self, t, samples=None):
        """Share of the data with \\|z - mean\\| > t standard deviations, in one network, mean over networks.

        Parameters
        ----------
        t : float or array_like
            In standard deviations of that network's own logit.
        samples : int, optional
            Number of samples that mean and deviation come from; None for many.

        Notes
        -----
        In units of a network's own deviation, samples in d directions (or N of them, d = N - 1) are the coordinates
        of points on a sphere instead of Gaussian numbers: 3 d/(d + 2) is the ratio of the two kurtoses, and the square
        of a coordinate over d has a Beta(1/2, (d - 1)/2) law. The scales of ``data`` multiply it.

        References
        ----------
        Thompson, The Annals of Mathematical Statistics 6 (1935), for one population.
        """
        lost = self._lost(samples)
        dimension = -6 / lost - 2 if lost < -1e-9 else math.inf
        return self.data.mean_of(lambda t, scale: _beyond_on_sphere(t, dimension), np.asarray(t) * self.data.std())

    def shares(self, samples=None):
        """Shares of the data below, between and above :data:`EDGES`, (42,): what :meth:`tail` says of bins."""
        upper = EDGES[EDGES.size // 2 :]
        above = np.append(self.tail(upper, samples) / 2, 0.0)
        half = above[:-1] - above[1:]
        return np.concatenate([half[::-1], half])

    def tail_error(self, t, samples=None):
        """Size of what :meth:`tail` leaves out: the next terms of Edgeworth's series, of the kurtosis squared."""
        t = np.asarray(t, float)
        density = np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
        fifth, seventh = (np.abs(np.polynomial.hermite_e.hermeval(t, [0] * k + [1])) for k in (5, 7))
        return self._lost(samples) ** 2 * (seventh / 576 + fifth / 54) * density

    def _lost(self, samples):
        """Excess kurtosis of what is multiplied by the scales of ``data``, at most 0."""
        kurtosis = self.kurtosis if samples is None else sample_kurtosis(self.kurtosis, samples)
        return min(3 * (kurtosis + 3) / (self.data.kurtosis() + 3) - 3, 0.0)

    def leads(self, margin, classes):
        """P(the largest logit of a sample leads all others by more than ``margin``), over networks and data."""
        return self.networks.leads(margin, classes)

    def describe(self):
        """The numbers by name, without the variances of single samples."""
        names = ("variance", "mean_variance", "total_variance", "kurtosis", "network_kurtosis", "skewness_spread")
        numbers = {name: getattr(self, name) for name in (*names, "directions", "width_terms")}
        return numbers | {"tail_2": float(self.tail(2.0)), "tail_3": float(self.tail(3.0))}

    def to_dict(self):
        """Plain data (JSON); :meth:`from_dict` reads it back."""
        laws = {"data": self.data.to_dict(), "networks": self.networks.to_dict()}
        names = ("mean_variance", "kurtosis", "skewness_spread", "directions", "width_terms")
        return laws | {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, values):
        """The record that :meth:`to_dict` wrote."""
        return cls(**values | {name: ScaleMixture(**values[name]) for name in ("data", "networks")})

    def __str__(self):
        rows = [
            ("variance", self.variance, "over the data, in one network"),
            ("mean variance", self.mean_variance, "of the mean over the data, from network to network"),
            ("kurtosis", self.kurtosis, "over the data, in excess of a Gaussian"),
            ("network kurtosis", self.network_kurtosis, "over networks and data"),
            ("beyond 2 sigma", self.tail(2.0), "share of the data (Gaussian: 0.0455)"),
            ("beyond 3 sigma", self.tail(3.0), "share of the data (Gaussian: 0.0027)"),
            ("directions", self.directions, "in which the data spreads comparably"),
        ]
        lines = ["Law of a logit: symmetric over networks, a Gaussian mean and a scale mixture around it"]
        return "\n".join([*lines, *(f"  {name:<18}{value:<11.4g}{words}" for name, value, words in rows)])


def _beyond_on_sphere(t, dimension):
    """P(|sqrt(d) u| > t) for one coordinate u of a random point on the unit sphere in d dimensions."""
    if dimension == math.inf:
        return 2 * ndtr(-np.abs(t))
    return betainc((dimension - 1) / 2, 0.5, np.clip(1 - t * t / dimension, 0.0, 1.0))


def unbiased_kurtosis(fourth, squared, samples):
    r"""Excess kurtosis kappa_4 / kappa_2^2 from the averages of m_4 and m_2^2 of ``samples`` numbers.

    m_k are central moments with divisor N. Both cumulants are without bias for independent samples: k_4 is Fisher's
    k-statistic, and E (N - 1)/(N + 1) (k_2^2 - k_4 / N) = kappa_2^2. NaN below four samples.

    Examples
    --------
    >>> n = 10  # of a Gaussian: E m_4 = 3 ((n - 1)/n)^2, E m_2^2 = (n^2 - 1)/n^2
    >>> print(round(unbiased_kurtosis(3 * (1 - 1 / n) ** 2, 1 - 1 / n**2, n), 12) + 0.0)
    0.0
    """
    n = samples
    if n < 4:
        return math.nan
    k4 = n**2 * ((n + 1) * fourth - 3 * (n - 1) * squared) / ((n - 1) * (n - 2) * (n - 3))
    square = (n - 1) / (n + 1) * (squared * (n / (n - 1)) ** 2 - k4 / n)
    return k4 / square if square > 0 else math.nan


def sample_kurtosis(kurtosis, samples):
    """E m_4 / E m_2^2 - 3 of ``samples`` independent numbers with this excess kurtosis; -6/(N + 1) for a Gaussian.

    >>> round(sample_kurtosis(0.0, 11), 12)
    -0.5
    """
    n = _check.integer("samples", samples, 2)
    squared = ((n - 1) / n) ** 2 * (kurtosis / n + (n + 1) / (n - 1))
    fourth = ((n - 1) * (n - 2) * (n - 3) * kurtosis / n**2 + 3 * (n - 1) * squared) / (n + 1)
    return fourth / squared - 3
