r"""Laws of one fraction and of the largest one for more than three classes.

Given the means of its rivals the fraction of a class increases in its own mean, which is integrated in closed form:

.. math:: P(f_k \le x) = E\,\Phi(a(x)/s), \qquad P(f_{max} > x) = E\,\bar\Phi(\max(a, m_{(2)})/s) / \bar\Phi(m_{(2)}/s)

with f(a(x)) = x. What is left is smooth in the descending order statistics of the other means: of the C - 1 rivals for
f_k, of the classes below the largest for f_max. Up to 50 classes the mean of f_k is counted from the average of its
rivals, which is independent of their differences: both tails then keep their relative precision.
"""

import numpy as np
from scipy.special import log_ndtr, ndtr

from ibtheory.fractions import ordered, panels
from ibtheory.fractions.curve import Curve

_REPLICATES = 8
_POINTS = {"one": 2**15, "largest": 2**14, "many": 2**13}  # of a replicate, the last above ordered.FEW classes
_ACCURACY = 1e-8  # of what is not sampled


def one(gamma, classes, square):
    """Law of f_k; ``square`` is the exact E f_k^2."""
    root, centred = np.sqrt(gamma), classes <= ordered.FEW
    spread = root * np.sqrt(classes / (classes - 1)) if centred else root
    heights, panel = panels.heights(classes), panels.one(gamma, classes)

    def tails(z, counts):
        base = z[:, :1] - (z.mean(axis=1, keepdims=True) if centred else 0.0)
        score = (heights.solve(root * (z[:, :1] - z), counts, panel.xi) + root * base) / spread
        return ndtr(score), ndtr(-score)

    samples = ordered.draw(classes, _points("one", classes), _REPLICATES)
    known = [(np.ones_like, 1 / classes), (lambda x: 2 * x, square)]
    return Curve([panel], _tables(samples, tails, [panel], known), _ACCURACY)


def largest(gamma, classes, mean):
    """Law of f_max; ``mean`` is its exact expectation."""
    root, heights, pieces = np.sqrt(gamma), panels.heights(classes), panels.largest(gamma, classes)
    scores = np.concatenate([panel.probits() for panel in pieces])

    def tails(z, counts):
        top = z[:, :1]
        score = top + np.maximum(heights.solve(root * (top - z), counts, scores), 0.0) / root
        log_sf = log_ndtr(-score) - log_ndtr(-top)
        return -np.expm1(log_sf), np.exp(log_sf)

    samples = ordered.draw(classes, _points("largest", classes), _REPLICATES, below_largest=True)
    return Curve(pieces, _tables(samples, tails, pieces, [(np.ones_like, mean)]), _ACCURACY)


def _points(law, classes):
    return _POINTS[law if classes <= ordered.FEW else "many"]


def _tables(samples, tails, pieces, known):
    """(cdf, sf) at the nodes of each panel, (replicates, nodes) each, calibrated on known moments.

    tails : callable of a sample -> (cdf, sf), each (points, nodes)
    known : list of (g, E G(f)) with G' = g and G(0) = 0

    The weights of the points are the smallest change of equal ones under which the known moments are exact.
    """
    weights = [np.concatenate([panel.weights(g) for panel in pieces]) for g, _ in known]
    splits = np.cumsum([len(panel.xi) for panel in pieces])[:-1]
    rows = []
    for sample in samples:
        cdf, sf = tails(*sample)
        controls = np.stack([sf @ weight for weight in weights], axis=1)
        missing = np.array([mean - _base(pieces[0], g) for g, mean in known]) - controls.mean(axis=0)
        controls -= controls.mean(axis=0)
        spread = controls.T @ controls / len(controls) + _ACCURACY**2 * np.eye(len(known))
        share = (1 + controls @ np.linalg.solve(spread, missing)) / len(controls)
        rows.append((share @ cdf, share @ sf))
    cdf, sf = (np.split(np.array(values), splits, axis=1) for values in zip(*rows, strict=True))
    return list(zip(cdf, sf, strict=True))


def _base(panel, g):
    """Integral of g below the tabulated shares, where sf is 1."""
    end = panel.share(panel.first)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    return 0.5 * end * float(weights @ g(0.5 * end * (1 + nodes)))
