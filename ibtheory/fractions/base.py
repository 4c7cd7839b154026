"""What every law on [0, 1] answers, as a frozen distribution of scipy.stats does, and the laws of point masses."""

import numpy as np

from ibtheory import _check


class Law:
    """What follows from cdf, ppf, pdf, mean and var, which a subclass gives."""

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
