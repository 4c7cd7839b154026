"""Two classes: the Vasicek law with p = 1/2 and that of the larger fraction, in closed form."""

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from ibtheory.fractions.base import Law
from ibtheory.fractions.pairs import REACH, midpoints, normal_density


class Binary(Law):
    """f_0 = Phi(sqrt(gamma) Z): the Vasicek law with p = 1/2, 0 < gamma < inf."""

    def __init__(self, gamma):
        self.gamma, self._root = gamma, np.sqrt(gamma)

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
        slope = 0.5 * (1.0 - 1.0 / self.gamma)
        bend = slope * score**2 if slope else np.zeros_like(score)  # uniform: 0 times infinity at the ends is 0
        return np.where((x < 0) | (x > 1), -np.inf, bend - 0.5 * np.log(self.gamma))[()]

    def pdf(self, x):
        with np.errstate(over="ignore"):
            return np.exp(self.logpdf(x))

    def mean(self):
        return 0.5

    def var(self):
        return float(np.arctan2(self.gamma, np.sqrt(1 + 2 * self.gamma)) / (2 * np.pi))  # arcsin c

    def moment(self, order):
        """E f^order: the probability that ``order`` exchangeable normals of correlation c are all positive."""
        if order == 0:
            return 1.0
        if self.gamma > 1:
            return 0.5 * (1.0 - self.average(lambda x: -np.expm1(order * log_ndtr(x)) - np.exp(order * log_ndtr(-x))))
        z, width = midpoints(-REACH, REACH, 0.05)
        return float(np.sum(width * normal_density(z) * np.exp(order * log_ndtr(self._root * z))))

    def average(self, function, step=0.05):
        """E function(sqrt(gamma) Z) for an even function that vanishes where Phi is 0 or 1 to rounding."""
        x, width = midpoints(0.0, REACH * min(1.0, self._root), step * min(1.0, self._root))
        return float(np.sum(2 * width * normal_density(x / self._root) / self._root * function(x)))

    def entropy(self):
        return float(0.5 * (1.0 - self.gamma + np.log(self.gamma)))

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
