"""Laws on [0, 1] behind ClassFraction: point masses, the binary closed forms, and weighted samples.

Each law answers what a frozen distribution of scipy.stats does; a subclass gives cdf, ppf, pdf, mean and var.
"""

from functools import cached_property

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from ibtheory import _check
from ibtheory._agreement import REACH, midpoints, normal_density
from ibtheory._profile import complements

_BINS = 4096  # of the probit coordinate, before a kernel smooths it: 40 times finer than any bandwidth used


class Law:
    """What follows from cdf, ppf, pdf, mean and var."""

    def sf(self, x):
        """P(f > x), elementwise."""
        return 1.0 - self.cdf(x)

    def isf(self, probability):
        """Inverse of ``sf``."""
        return self.ppf(1.0 - np.asarray(probability, dtype=float))

    def logpdf(self, x):
        """Log density, elementwise."""
        with np.errstate(divide="ignore"):
            return np.log(self.pdf(x))

    def std(self):
        """Standard deviation."""
        return float(np.sqrt(self.var()))

    def median(self):
        """The point that half the mass lies below."""
        return float(self.ppf(0.5))

    def interval(self, confidence):
        """Equal-tailed interval that holds ``confidence`` of the mass."""
        tail = 0.5 * (1.0 - _check.real("confidence", confidence, 0.0, 1.0))
        return float(self.ppf(tail)), float(self.isf(tail))

    def rvs(self, size=None, random_state=None):
        """Independent draws; ``random_state`` is a seed or a numpy Generator."""
        return self.ppf(np.random.default_rng(random_state).random(size))

    def cdf_error(self, x):
        """Standard error of ``cdf`` and ``sf``: 0 for a law known in closed form."""
        return np.zeros(np.shape(x))[()]


class Discrete(Law):
    """Masses on increasing points: the laws at gamma = 0 and in the limit gamma = inf."""

    def __init__(self, points, masses):
        self._points, self._masses = np.asarray(points, dtype=float), np.asarray(masses, dtype=float)

    def cdf(self, x):
        x = np.asarray(x, dtype=float)
        levels = np.append(0.0, np.cumsum(self._masses))
        return np.where(np.isnan(x), np.nan, levels[np.searchsorted(self._points, x, side="right")])[()]

    def ppf(self, probability):
        probability = np.asarray(probability, dtype=float)
        index = np.searchsorted(np.cumsum(self._masses), probability)
        inside = (probability >= 0) & (probability <= 1)
        return np.where(inside, self._points[np.minimum(index, len(self._points) - 1)], np.nan)[()]

    def pdf(self, x):
        """Infinite at the points, 0 elsewhere."""
        return np.where(np.isin(np.asarray(x, dtype=float), self._points), np.inf, 0.0)[()]

    def mean(self):
        return float(self._masses @ self._points)

    def var(self):
        return float(self._masses @ (self._points - self.mean()) ** 2)

    def entropy(self):
        """Differential entropy: minus infinity, for there is no density."""
        return -np.inf

    def support(self):
        return float(self._points[0]), float(self._points[-1])


class Binary(Law):
    """f_0 = Phi(sqrt(gamma) Z): the Vasicek law with p = 1/2, 0 < gamma < inf."""

    def __init__(self, gamma):
        self._gamma, self._root = gamma, np.sqrt(gamma)

    def cdf(self, x):
        return ndtr(ndtri(np.clip(x, 0.0, 1.0)) / self._root)

    def sf(self, x):
        return ndtr(-ndtri(np.clip(x, 0.0, 1.0)) / self._root)

    def ppf(self, probability):
        return ndtr(self._root * ndtri(probability))

    def isf(self, probability):
        return ndtr(-self._root * ndtri(probability))

    def logpdf(self, x):
        x = np.asarray(x, dtype=float)
        score = ndtri(np.clip(x, 0.0, 1.0))
        slope = 0.5 * (1.0 - 1.0 / self._gamma)
        bend = slope * score**2 if slope else np.zeros_like(score)  # uniform: 0 times infinity at the ends is 0
        return np.where((x < 0) | (x > 1), -np.inf, bend - 0.5 * np.log(self._gamma))[()]

    def pdf(self, x):
        with np.errstate(over="ignore"):
            return np.exp(self.logpdf(x))

    def mean(self):
        return 0.5

    def var(self):
        return float(np.arctan2(self._gamma, np.sqrt(1 + 2 * self._gamma)) / (2 * np.pi))  # arcsin c

    def moment(self, order):
        """E f^order: the probability that ``order`` exchangeable normals of correlation c are all positive."""
        if order == 0:
            return 1.0
        if self._gamma > 1:
            return 0.5 * (1.0 - self.average(lambda x: -np.expm1(order * log_ndtr(x)) - np.exp(order * log_ndtr(-x))))
        z, width = midpoints(-REACH, REACH, 0.05)
        return float(np.sum(width * normal_density(z) * np.exp(order * log_ndtr(self._root * z))))

    def average(self, function, step=0.05):
        """E function(sqrt(gamma) Z) for an even function that vanishes where Phi is 0 or 1 to rounding."""
        x, width = midpoints(0.0, REACH * min(1.0, self._root), step * min(1.0, self._root))
        return float(np.sum(2 * width * normal_density(x / self._root) / self._root * function(x)))

    def entropy(self):
        return float(0.5 * (1.0 - self._gamma + np.log(self._gamma)))

    def support(self):
        return 0.0, 1.0


class Larger(Law):
    """max(f, 1 - f) of the binary law."""

    def __init__(self, gamma):
        self._binary, self._root = Binary(gamma), np.sqrt(gamma)

    def cdf(self, x):
        return 1.0 - self.sf(x)

    def sf(self, x):
        return np.where(np.asarray(x) < 0.5, 1.0, 2 * self._binary.sf(np.maximum(x, 0.5)))[()]

    def ppf(self, probability):
        probability = np.asarray(probability, dtype=float)
        return ndtr(self._root * ndtri(0.5 + 0.5 * probability))

    def isf(self, probability):
        return ndtr(-self._root * ndtri(0.5 * np.asarray(probability, dtype=float)))

    def logpdf(self, x):
        return np.where(np.asarray(x) < 0.5, -np.inf, np.log(2) + self._binary.logpdf(x))[()]

    def pdf(self, x):
        with np.errstate(over="ignore"):
            return np.exp(self.logpdf(x))

    def mean(self):
        return float(0.5 + np.arctan(self._root) / np.pi)

    def var(self):
        """E max^2 = E f^2 + E|2 f - 1|/2."""
        half = np.arctan(self._root) / np.pi
        return float(max(self._binary.var() - half**2, 0.0))

    def support(self):
        return 0.5, 1.0


class Sampled(Law):
    """A law known by samples of exchangeable fractions, its weights calibrated on exactly known means.

    draw : callable, called when the samples are first needed -> (values, complements, joint)
        the fractions (samples, draws), 1 - them, and the `Joint` of the weights; a row is one independent sample
    low : lower end of the support (the upper one is 1)
    mean : the exact mean
    """

    def __init__(self, draw, low, mean):
        self._draw, self._low, self._mean = draw, low, mean

    @cached_property
    def _samples(self):
        return self._draw()

    @cached_property
    def _sorted(self):
        """(values, weights, cumulative weights from 0 to 1, scores): the scores are probits within the support."""
        values, rest, joint = self._samples
        order = np.argsort(values, axis=None)
        weights = np.repeat(joint.weights / values.shape[1], values.shape[1])[order]
        levels = np.append(0.0, np.cumsum(weights))
        levels[-1] = 1.0
        share = np.stack([values - self._low, rest]).reshape(2, -1)[:, order] / (1 - self._low)
        share = np.clip(share, 1e-300, 1.0)
        scores = np.where(share[0] < 0.5, ndtri(share[0]), -ndtri(share[1]))
        return values.ravel()[order], weights, levels, scores

    @cached_property
    def _kernel(self):
        """Centers, masses and bandwidth of the density of the scores."""
        _, weights, levels, scores = self._sorted
        mean = weights @ scores
        spread = np.sqrt(weights @ (scores - mean) ** 2)
        low, high = np.interp([0.25, 0.75], levels[1:], scores)
        samples = len(self._samples[0])
        bandwidth = max(0.9 * min(spread, (high - low) / 1.349) * samples**-0.2, 1e-12)
        masses, edges = np.histogram(scores, bins=_BINS, weights=weights)
        return 0.5 * (edges[1:] + edges[:-1]), masses, bandwidth

    def cdf(self, x):
        x = np.asarray(x, dtype=float)
        values, _, levels, _ = self._sorted
        return np.where(np.isnan(x), np.nan, levels[np.searchsorted(values, x, side="right")])[()]

    def ppf(self, probability):
        probability = np.asarray(probability, dtype=float)
        values, weights, levels, _ = self._sorted
        inner = np.interp(probability, levels[1:] - 0.5 * weights, values)
        inner = np.where(probability <= 0, self._low, np.where(probability >= 1, 1.0, inner))
        return np.where((probability >= 0) & (probability <= 1), inner, np.nan)[()]

    def cdf_error(self, x):
        """Standard error of ``cdf`` and ``sf`` at x, at least the weight of one sample inside the support."""
        x = np.asarray(x, dtype=float)
        rows, _, joint = self._samples
        errors = [joint.error(np.mean(rows <= point, axis=1)) for point in x.ravel()]
        inside = (x > self._low) & (x < 1)
        return np.where(inside, np.maximum(np.reshape(errors, x.shape), 1 / len(rows)), 0.0)[()]

    def pdf(self, x):
        """Density: a Gaussian kernel on the probit scale, where the ends of the support lie at infinity."""
        x = np.asarray(x, dtype=float)
        inside = (x > self._low) & (x < 1)
        scores = ndtri(np.where(inside, (x - self._low) / (1 - self._low), 0.5))
        centers, masses, bandwidth = self._kernel
        heights = [masses @ normal_density((score - centers) / bandwidth) for score in scores.ravel()]
        density = np.reshape(heights, x.shape) / bandwidth / normal_density(scores) / (1 - self._low)
        return np.where(inside, density, 0.0)[()]

    def mean(self):
        return self._mean

    def var(self):
        values, weights, _, _ = self._sorted
        return float(weights @ (values - self._mean) ** 2)

    def support(self):
        return self._low, 1.0


class Joint:
    """Joint samples (samples, C) of the fractions, calibrated on the exact E f_max and E sum_k f_k^2.

    The weights are the smallest change of equal ones under which both means are exact (a regression estimator): what
    the two explain of any other quantity no longer adds to its error.
    """

    def __init__(self, fractions, expected_max, expected_square):
        self.fractions, self.largest_share = fractions, fractions.max(axis=1)
        controls = np.stack([self.largest_share, np.sum(fractions**2, axis=1)], axis=1)
        self._controls = controls - controls.mean(axis=0)
        spread = self._controls.T @ self._controls / len(controls)
        missing = np.array([expected_max, expected_square]) - controls.mean(axis=0)
        self.weights = (1 + self._controls @ np.linalg.lstsq(spread, missing, rcond=1e-10)[0]) / len(controls)

    def mean(self, values):
        """(calibrated mean, standard error) of values (samples,)."""
        return float(self.weights @ values), self.error(values)

    def error(self, values):
        """Standard error of the calibrated mean of values (samples,)."""
        centred = values - values.mean()
        residual = centred - self._controls @ np.linalg.lstsq(self._controls, centred, rcond=1e-10)[0]
        return float(np.sqrt(np.mean(residual**2) / len(values)))

    def every(self):
        """(values, complements, self) of all fractions."""
        return self.fractions, complements(self.fractions), self

    def largest(self):
        """(values, complements, self) of the largest one."""
        top = self.fractions.argmax(axis=1)[:, None]
        rest = complements(self.fractions)
        return (*(np.take_along_axis(table, top, axis=1) for table in (self.fractions, rest)), self)
