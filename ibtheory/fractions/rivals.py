r"""The fraction of one class as a function of its mean, given the means of its rivals.

.. math:: f(a) = \int \phi(t - a) \, G(t) \, dt, \qquad G(t) = \prod_j \Phi(t - m_j)

increases in a. Heights are measured from the largest of the rivals; ``gaps`` (rows, rivals) are how far each lies below
it, ``counts`` (rivals,) how many rivals each column stands for. Small values of f are integrals of G and small values
of 1 - f are integrals of 1 - G, so both keep their relative precision.
"""

from math import comb, factorial

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr

from ibtheory.fractions.curve import probit
from ibtheory.fractions.pairs import normal_density

_LOWEST, _HIGHEST = -26.0, 9.25  # of t: G is below 1e-148 before, 1 - G below 1e-19 behind
_REACH = -44.0, 16.0  # of a: f is 1e-213 with one rival below, 1 - f is 1e-22 with a million above
_CORE = 6.0  # within it the nodes in a are evenly spaced, beyond it they spread
_PHASES, _TERMS = 4, 6  # of the Taylor table of log Phi: relative error 3e-7 at t = 8, 1e-12 below t = 2
_CHUNK = 2**12  # rows at a time


class Heights:
    """Solves f(a) = x for many rows of rivals and many shares x at once.

    Parameters
    ----------
    step : float
        Of the trapezoid in t.
    spacing : float
        Of the nodes in a between which a quintic is inverted; the error of a solution is about 3e-5 spacing^6.
    lowest : float
        Where the trapezoid begins: some 9 below the least a that counts.
    """

    def __init__(self, step, spacing=0.35, lowest=_LOWEST):
        self._step, self._spacing = step, spacing
        self._t = np.arange(lowest, _HIGHEST, step)
        self._table = _taylor(self._t, step)

    def solve(self, gaps, counts, scores):
        """a with f(a) = Phi(score), shape (rows, scores), for increasing ``scores``."""
        from ibtheory.fractions import kernels

        nodes = self._nodes(gaps, counts, scores)
        below = int(np.sum(nodes <= 0))
        low, high = self._matrices(nodes[:below]), self._matrices(nodes[below:])
        targets = log_ndtr(scores) - log_ndtr(-scores)
        result = np.empty((len(gaps), len(scores)))
        work = np.empty((3, len(nodes)))
        for start in range(0, len(gaps), _CHUNK):
            part = slice(start, start + _CHUNK)
            log_wins = self._log_wins(gaps[part], counts)
            values = np.concatenate([np.exp(log_wins) @ low, -np.expm1(log_wins) @ high], axis=2)
            kernels.invert(nodes, below, values, targets, work, result[part])
        return result

    def score(self, gaps, counts, a):
        """Normal score of f(a), one ``a`` for each row; beyond _REACH that of the nearest a within."""
        a = np.clip(a, *_REACH)
        log_wins = self._log_wins(gaps, counts)
        weights = self._step * normal_density(self._t - np.reshape(a, (-1, 1)))
        return probit(np.sum(weights * np.exp(log_wins), axis=1), np.sum(weights * -np.expm1(log_wins), axis=1))

    def _log_wins(self, gaps, counts):
        """log G at the nodes in t."""
        from ibtheory.fractions import kernels

        result = np.empty((len(gaps), len(self._t)))
        kernels.log_products(np.ascontiguousarray(gaps, dtype=float), counts, self._table, self._step, result)
        return result

    def _nodes(self, gaps, counts, scores):
        """Heights between which all solutions lie: a single rival or all at the height of the best bound f."""
        tied = np.zeros((1, 1)), np.array([counts.sum()])

        def level(score):
            return brentq(lambda a: self.score(*tied, a)[0] - score, *_REACH, xtol=1e-15)

        low, high = self.score(*tied, _REACH[0])[0], self.score(*tied, _REACH[1])[0]
        first, last = (level(np.clip(score, low, high)) for score in (scores[0], scores[-1]))
        first = max(np.sqrt(2) * scores[0], first - gaps.max(), _REACH[0])
        margin = 1e-3 * (last - first)
        ends = _CORE * np.arcsinh(np.array([first - margin, last + margin]) / _CORE)
        count = max(40, int(np.ceil((ends[1] - ends[0]) / self._spacing)))
        return _CORE * np.sinh(np.linspace(*ends, count + 1) / _CORE)

    def _matrices(self, nodes):
        """Trapezoid for an integral against phi(t - a) and its two derivatives in a: (3, t, nodes)."""
        distance = self._t[:, None] - nodes
        weights = self._step * normal_density(distance)
        return np.stack([weights, weights * distance, weights * (distance**2 - 1)])


def _taylor(t, step):
    """Coefficients of log Phi about t + phase step/phases: (phases, terms, t)."""
    x = t + step * np.arange(_PHASES)[:, None] / _PHASES
    hazard = [np.exp(-0.5 * x * x - log_ndtr(x)) / np.sqrt(2 * np.pi)]  # h = phi/Phi, h' = -x h - h^2
    for n in range(_TERMS - 2):
        product = sum(comb(n, i) * hazard[i] * hazard[n - i] for i in range(n + 1))
        hazard.append(-x * hazard[n] - (n * hazard[n - 1] if n else 0.0) - product)
    return np.ascontiguousarray(np.stack([log_ndtr(x), *(h / factorial(n + 1) for n, h in enumerate(hazard))], axis=1))
