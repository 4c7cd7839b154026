"""A law on [0, 1] known at nodes, interpolated in normal scores: how likely, as a function of how large.

Both the share x and its probability are replaced by normal scores: x lies at low + (high - low) Phi(xi) of its panel,
and P(f <= x) = Phi(eta(xi)). For two classes eta is a line; for more it is smooth, with both tails at its ends, so that
one polynomial gives cdf and sf with relative precision, the density by its slope and quantiles by its inverse.
"""

from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import ndtr, ndtri

from ibtheory.fractions.base import Law
from ibtheory.fractions.pairs import REACH, normal_density

_FINE = 2000  # points from which an inversion starts
_GAUSS, _PARTS = 12, 30  # of the integrals over a panel
_SMOOTH = 3.5  # score up to which the density is resolved below an inner edge
_WEIGHTLESS = 1e-300


def probit(share, rest):
    """Normal score of ``share``, accurate where share or rest = 1 - share is small."""
    share, rest = np.maximum(share, _WEIGHTLESS), np.maximum(rest, _WEIGHTLESS)
    return np.where(share < rest, ndtri(share), -ndtri(rest))


def rule(first, last):
    """Nodes and weights of Gauss-Legendre on equal parts."""
    nodes, weights = np.polynomial.legendre.leggauss(_GAUSS)
    edges = np.linspace(first, last, _PARTS + 1)
    half = 0.5 * (edges[1] - edges[0])
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), np.tile(half * weights, _PARTS)


class Panel:
    """The shares from ``start`` on, at low + (high - low) Phi(xi) with normal scores xi from ``first`` to ``last``.

    What is interpolated in xi is the normal score of P(f > x)/multiple: from x = 1/2 on the probability that f_max is
    larger is that of one fraction times C, and it is the latter that is smooth.
    """

    def __init__(self, start, low, high, first, last, density, multiple=1):
        self.start, self.low, self.high, self.first, self.last = start, low, high, float(first), float(last)
        self.multiple = multiple
        count = int(np.clip(np.ceil(density * (last - first)), 16 * density, 40 * density))
        self.xi = 0.5 * (first + last) + 0.5 * (last - first) * chebyshev.chebpts1(count)

    def share(self, xi):
        """The share at a normal score."""
        return self.low + (self.high - self.low) * ndtr(xi)

    def probits(self):
        """Normal scores of the shares themselves at the nodes."""
        return probit(self.share(self.xi), 1 - self.high + (self.high - self.low) * ndtr(-self.xi))

    def score(self, x):
        """The place of a share in the panel, up to its last node if another panel follows."""
        width = self.high - self.low
        xi = probit(np.clip((x - self.low) / width, 0, 1), np.clip((self.high - x) / width, 0, 1))
        return np.minimum(xi, self.last) if self.high < 1 else xi

    def unit(self, xi):
        return (2 * xi - self.first - self.last) / (self.last - self.first)

    def fit(self, cdf, sf):
        """Chebyshev coefficients (replicates, nodes) from the probabilities at the nodes (replicates, nodes)."""
        level = probit(cdf, sf) if self.multiple == 1 else -ndtri(sf / self.multiple)
        return chebyshev.chebfit(self.unit(self.xi), level.T, len(self.xi) - 1).T

    def line(self, xi, fit):
        """The polynomial and its slope; beyond the ends it goes on as a line."""
        inside = np.clip(xi, self.first, self.last)
        rate = chebyshev.chebval(self.unit(inside), chebyshev.chebder(fit)) * 2 / (self.last - self.first)
        rate = np.maximum(rate, _WEIGHTLESS)
        return chebyshev.chebval(self.unit(inside), fit) + rate * (xi - inside), rate

    def level(self, xi, fit):
        """(eta, d eta/d xi) at a normal score."""
        level, rate = self.line(xi, fit)
        if self.multiple == 1:
            return level, rate
        sf = np.minimum(self.multiple * ndtr(-level), 1.0)
        eta = -probit(sf, 1 - sf)
        return eta, rate * np.exp(np.log(self.multiple) + 0.5 * (eta**2 - level**2))

    def extent(self, fit):
        """Normal scores between which all but a rounding error of the mass lies, the ends of the table within."""
        (low, high), rates = self.line(np.array([self.first, self.last]), fit)
        first = self.first - max(low + REACH, 0.0) / rates[0]
        return first, self.last + max(REACH - high, 0.0) / rates[1]

    def values(self, xi):
        """w with sum_j w_j P(x_j) = P at each of ``xi``, P a polynomial in xi given at the nodes: (xi, nodes)."""
        basis = chebyshev.chebvander(self.unit(xi), len(self.xi) - 1)
        return basis @ np.linalg.inv(chebyshev.chebvander(self.unit(self.xi), len(self.xi) - 1))

    def weights(self, function):
        """w with sum_j w_j P(x_j) = integral of function(x) P(x) dx, likewise."""
        xi, weights = rule(self.first, self.last)
        return (weights * function(self.share(xi)) * normal_density(xi) * (self.high - self.low)) @ self.values(xi)


class Curve(Law):
    """The law with the normal scores ``levels`` of P(f <= x) at the nodes of its panels.

    Parameters
    ----------
    panels : list of Panel, upwards, each beginning where the one before ends
    tables : list of (cdf, sf), each (replicates, nodes), one pair for each panel
        Independent estimates at the nodes; the law is their mean, errors come from their scatter.
    accuracy : float
        Absolute error of the cdf that interpolation and inversion may leave: the least that ``cdf_error`` says.
    """

    def __init__(self, panels, tables, accuracy):
        self._panels, self._accuracy = panels, accuracy
        self._replicates = len(tables[0][0])
        fits = [panel.fit(*table) for panel, table in zip(panels, tables, strict=True)]
        self._fits = [np.vstack([fit.mean(axis=0), fit]) for fit in fits]
        self._stops = [*(panel.start for panel in panels[1:]), 1.0]
        self._starts = np.array([self._eta(i, panel.first)[0] for i, panel in enumerate(panels)])

    def _eta(self, i, xi, row=0):
        """Normal score of the probability at the score xi of a panel, and its slope."""
        return self._panels[i].level(np.asarray(xi), self._fits[i][row])

    def _score(self, x, row=0):
        """Normal score of P(f <= x), -inf and inf outside the support."""
        x = np.asarray(x, dtype=float)
        eta = np.full(x.shape, np.nan)
        for i, (panel, stop) in enumerate(zip(self._panels, self._stops, strict=True)):
            inside = (x >= panel.start) & (x < stop)
            eta[inside] = self._eta(i, panel.score(x[inside]), row)[0]
        low, high = self.support()
        eta[x <= low], eta[x >= high] = -np.inf, np.inf
        return eta

    def support(self):
        return self._panels[0].start, 1.0

    def cdf(self, x):
        return ndtr(self._score(x))[()]

    def sf(self, x):
        return ndtr(-self._score(x))[()]

    def cdf_error(self, x):
        rows = np.stack([self._score(x, row) for row in range(1, self._replicates + 1)])
        error = np.full(rows.shape[1:], self._accuracy)
        if self._replicates > 1:
            spread = np.where(rows < 0, ndtr(rows), -ndtr(-rows)).std(axis=0, ddof=1)
            spread = np.minimum(ndtr(rows).std(axis=0, ddof=1), spread)
            error = np.hypot(error, spread / np.sqrt(self._replicates))
        return np.where(np.isfinite(rows[0]), error, 0.0)[()]

    def rows(self, scores):
        """P(f > x) of each replicate at shares of these normal scores, of a law with one panel from 0 to 1."""
        return np.stack([ndtr(-self._eta(0, scores, row)[0]) for row in range(1, self._replicates + 1)])

    def logpdf(self, x):
        x = np.asarray(x, dtype=float)
        density = np.full(x.shape, -np.inf)
        density[np.isnan(x)] = np.nan
        for i, (panel, stop) in enumerate(zip(self._panels, self._stops, strict=True)):
            inside = (x >= panel.start) & (x < stop) & (x > self._panels[0].start)
            xi = np.minimum(panel.score(x[inside]), _SMOOTH if stop < 1 else np.inf)
            eta, rate = self._eta(i, xi)
            density[inside] = 0.5 * (xi**2 - eta**2) + np.log(rate / (panel.high - panel.low))
        return density[()]

    def pdf(self, x):
        with np.errstate(over="ignore"):
            return np.exp(self.logpdf(x))

    def ppf(self, probability):
        probability = np.asarray(probability, dtype=float)
        with np.errstate(invalid="ignore"):
            return self._quantile(ndtri(probability))[()]

    def isf(self, probability):
        with np.errstate(invalid="ignore"):
            return self._quantile(-ndtri(np.asarray(probability, dtype=float)))[()]

    def _quantile(self, eta):
        """Share at a normal score of its probability; nan stays."""
        x = np.full(eta.shape, np.nan)
        which = np.clip(np.searchsorted(self._starts, eta, side="right") - 1, 0, None)
        for i, panel in enumerate(self._panels):
            mine = (which == i) & ~np.isnan(eta)
            x[mine] = panel.share(self._invert(i, eta[mine]))
        return x

    def _invert(self, i, eta):
        panel = self._panels[i]
        grid = np.linspace(panel.first, panel.last, _FINE)
        levels, _ = self._eta(i, grid)
        xi = np.interp(eta, levels, grid)
        outside = (eta < levels[0]) | (eta > levels[-1])
        with np.errstate(invalid="ignore"):
            for _ in range(3):
                level, rate = self._eta(i, xi)
                step = (level - eta) / rate
                xi = np.where(outside, xi - step, np.clip(xi - step, panel.first, panel.last))
        return np.where(np.isinf(eta), eta, xi)

    def average(self, function):
        """(mean, standard error) of function(f)."""
        return self._integrate(lambda panel, xi, eta, rate: function(panel.share(xi)))

    def entropy(self):
        """Differential entropy in nats."""
        return self._integrate(
            lambda panel, xi, eta, rate: 0.5 * (eta**2 - xi**2) - np.log(rate / (panel.high - panel.low))
        )[0]

    def mean(self):
        return self.average(lambda x: x)[0]

    def var(self):
        mean = self.mean()
        return self.average(lambda x: (x - mean) ** 2)[0]

    def _integrate(self, function):
        values = np.array([self._integral(function, row) for row in range(self._replicates + 1)])
        if self._replicates == 1:
            return float(values[0]), self._accuracy
        return float(values[0]), float(values[1:].std(ddof=1) / np.sqrt(self._replicates))

    def _integral(self, function, row):
        """Over panels, the lines beyond the outer ends and what is left at the edges between panels."""
        total, last = 0.0, len(self._panels) - 1
        for i, panel in enumerate(self._panels):
            lowest, highest = panel.extent(self._fits[i][row])
            ends = [lowest] * (i == 0) + [panel.first, panel.last] + [highest] * (i == last)
            for first, stop in pairwise(ends):
                xi, weights = rule(first, stop)
                eta, rate = self._eta(i, xi, row)
                total += np.sum(weights * normal_density(eta) * rate * function(panel, xi, eta, rate))
            if i < last:
                eta, rate = self._eta(i, panel.last, row)
                lump = ndtr(self._eta(i + 1, self._panels[i + 1].first, row)[0]) - ndtr(eta)
                total += lump * function(panel, panel.last, eta, rate)
        return total
