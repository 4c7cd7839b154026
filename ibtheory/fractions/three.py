r"""Three classes: what remains to be averaged is one-dimensional, and the trapezoid is exact to 1e-11.

With x = m_1 - (m_2 + m_3)/2 of variance 3 gamma/2 and d = |m_2 - m_3| of variance 2 gamma, P(f_1 <= x) is the average
over d of Phi(a(x; d)/sqrt(3 gamma/2)). The largest fraction is below x where x lies between d/2, the tie with the
larger rival, and a(x; d): below x = 1/2 only for d up to the one at which two classes have x each.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from ibtheory.fractions import panels
from ibtheory.fractions.curve import Curve
from ibtheory.fractions.pairs import REACH, normal_density
from ibtheory.fractions.rivals import Heights

_ACCURACY = 1e-11
_TABLE = {"density": 6, "tail": 30.0}
_COUNTS = np.ones(2)
_HEIGHTS = Heights(0.125, spacing=0.1)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def one(gamma):
    """Law of f_k."""
    panel = panels.one(gamma, 3, **_TABLE)
    d, weights = _distances(gamma)
    score = (_heights(d, panel.xi) + d[:, None] / 2) / np.sqrt(1.5 * gamma)
    return Curve([panel], [((weights @ ndtr(score))[None], (weights @ ndtr(-score))[None])], _ACCURACY)


def largest(gamma):
    """Law of f_max."""
    tables, pieces = [], panels.largest(gamma, 3, **_TABLE)
    for panel in pieces:
        scores = panel.probits()
        if panel.start < 0.5:
            cdf, sf = np.array([_below_half(gamma, score) for score in scores]).T
        else:
            d, weights = _distances(gamma)
            sf = 3 * weights @ ndtr(-(_heights(d, scores) + d[:, None] / 2) / np.sqrt(1.5 * gamma))
            cdf = 1 - sf
        tables.append((cdf[None], sf[None]))
    return Curve(pieces, tables, _ACCURACY)


def _below_half(gamma, score):
    """(P(f_max <= x), P(f_max > x)) at the normal score of an x between 1/3 and 1/2."""
    both = brentq(lambda d: _HEIGHTS.score(np.array([[0.0, d]]), _COUNTS, 0.0)[0] - score, 0.0, 60.0, xtol=1e-14)
    reach, spread = REACH * np.sqrt(2 * gamma), np.sqrt(1.5 * gamma)
    d, weights = _distances_between(gamma, 0.0, min(both, reach))
    above = ndtr(-(_heights(d, np.array([score]))[:, 0] + d / 2) / spread)
    tie = ndtr(-d / 2 / spread)
    further, rest = _distances_between(gamma, both, both + min(reach, 80 * gamma / both))
    return 3 * weights @ (tie - above), 3 * (weights @ above + rest @ ndtr(-further / 2 / spread))


def _heights(d, scores):
    """Heights above the larger of two rivals that are d apart: (d, scores)."""
    return _HEIGHTS.solve(np.stack([np.zeros_like(d), d], axis=1), _COUNTS, scores)


def _distances(gamma):
    """Nodes and weights of the law of d, even in v where d = sinh v: fine at the scale 1 and at the scale of d."""
    top = np.arcsinh(REACH * np.sqrt(2 * gamma))
    v = np.linspace(0.0, top, max(100, int(top / 0.05)))
    weights = _density(np.sinh(v), gamma) * np.cosh(v) * v[1]
    weights[0] /= 2
    return np.sinh(v), weights


def _distances_between(gamma, low, high):
    d = low + 0.5 * (high - low) * (1 + _NODES)
    return d, 0.5 * (high - low) * _WEIGHTS * _density(d, gamma)


def _density(d, gamma):
    return np.sqrt(2 / gamma) * normal_density(d / np.sqrt(2 * gamma))
