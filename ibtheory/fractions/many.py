r"""Laws of one fraction and of the largest one for more than three classes.

Given the means of its rivals the fraction of a class increases in its own mean, which is integrated in closed form:

.. math:: P(f_k \le x) = E\,\Phi(a(x)/s), \qquad P(f_{max} > x) = E\,\bar\Phi(\max(a, m_{(2)})/s) / \bar\Phi(m_{(2)}/s)

with f(a(x)) = x. From x = 1/2 on at most one class is larger, and the latter is C P(f_k > x). What is left is smooth in
the descending order statistics of the other means: of the C - 1 rivals for f_k, of the classes below the largest for
f_max. Up to 50 classes the mean of f_k is counted from the average of its rivals, which is independent of their
differences: both tails then keep their relative precision.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.special import ndtr

from ibtheory import _blas
from ibtheory.fractions import ordered, panels
from ibtheory.fractions.curve import Curve

FEW = ordered.FEW  # up to so many classes nothing but sampling errs in the law of f_k
_REPLICATES = 8
_POINTS = {"one": 2**13, "largest": 2**14, "many": 2**13}  # of a replicate, the last above ordered.FEW classes
_WANTED, _MORE = 1e-6, 4  # standard error of the cdf of f_k up to ordered.FEW classes, else so many times the points
_ACCURACY = 1e-8  # of what is not sampled
_LOWEST = -9.5  # of the trapezoid for f_max: its mean is not below the largest rival


def one(gamma, classes, square):
    """Law of f_k; ``square`` is the exact E f_k^2."""
    root, centred = np.sqrt(gamma), classes <= ordered.FEW
    spread = root * np.sqrt(classes / (classes - 1)) if centred else root
    heights, panel = panels.heights(classes), panels.one(gamma, classes)

    def tails(z, counts):
        base = z[:, :1] - (z.mean(axis=1, keepdims=True) if centred else 0.0)
        score = (heights.solve(root * (z[:, :1] - z), counts, panel.xi) + root * base) / spread
        return ndtr(score), ndtr(-score)

    moments = [(np.ones_like, 1 / classes), (lambda x: 2 * x, square)]
    known = [(panel.weights(g), mean - _base(panel, g)) for g, mean in moments]

    def tables(points):
        return _tables(ordered.draw(classes, points, _REPLICATES), tails, [panel], known)

    found = tables(_points("one", classes))
    if centred and np.max(np.std(found[0][0], axis=0, ddof=1)) > _WANTED * np.sqrt(_REPLICATES):
        found = tables(_MORE * _points("one", classes))
    return Curve([panel], found, _ACCURACY)


def largest(gamma, classes, mean, one):
    """Law of f_max; ``mean`` is its exact expectation, ``one`` the law of f_k where it is to be used from 1/2 on."""
    pieces = panels.largest(gamma, classes)
    below = [panel for panel in pieces if panel.start < 1 / 2 or one is None]
    tables, area = [], mean
    for panel in pieces[len(below) :]:
        sf = classes * one.rows(panel.probits())
        tables.append((1 - sf, sf))
        area = area - sf @ panel.weights(np.ones_like)
    if below:
        known = [(np.concatenate([p.weights(np.ones_like) for p in below]), area - _base(below[0], np.ones_like))]
        if tables:
            end = below[-1].values(below[-1].last)[0]
            nodes = sum(len(panel.xi) for panel in below)
            known.append((np.pad(end, (nodes - len(end), 0)), classes * one.rows(0.0)))
        tables = _sampled(gamma, classes, below, known) + tables
    return Curve(pieces, tables, _ACCURACY)


def _sampled(gamma, classes, pieces, known):
    """Tables of f_max by the classes below the largest."""
    root, heights = np.sqrt(gamma), panels.heights(classes, lowest=_LOWEST)
    scores = np.concatenate([panel.probits() for panel in pieces])

    def tails(z, counts):
        top = z[:, :1]
        tie = ndtr(-top)
        sf = ndtr(-top - np.maximum(heights.solve(root * (top - z), counts, scores), 0.0) / root)
        return (tie - sf) / tie, sf / tie

    samples = ordered.draw(classes, _points("largest", classes), _REPLICATES, below_largest=True)
    return _tables(samples, tails, pieces, known)


def _points(law, classes):
    return _POINTS[law if classes <= ordered.FEW else "many"]


def _tables(samples, tails, pieces, known):
    """(cdf, sf) at the nodes of each panel, (replicates, nodes) each, calibrated on known moments.

    tails : callable of a sample -> (cdf, sf), each (points, nodes)
    known : list of (weights of the nodes, sum of weights P(f > x)), the latter a number or (replicates,)

    The weights of the points are the smallest change of equal ones under which the known sums are exact.
    """
    weights = np.stack([weight for weight, _ in known], axis=1)
    targets = [np.broadcast_to(target, _REPLICATES) for _, target in known]
    splits = np.cumsum([len(panel.xi) for panel in pieces])[:-1]

    def table(sample, *target):
        cdf, sf = tails(*sample)
        controls = sf @ weights
        missing = target - controls.mean(axis=0)
        controls -= controls.mean(axis=0)
        spread = controls.T @ controls / len(controls) + _ACCURACY**2 * np.eye(len(known))
        share = (1 + controls @ np.linalg.solve(spread, missing)) / len(controls)
        return share @ cdf, share @ sf

    with _blas.one_thread(), ThreadPoolExecutor(_blas.cores()) as pool:
        rows = list(pool.map(table, samples, *targets))
    cdf, sf = (np.split(np.array(values), splits, axis=1) for values in zip(*rows, strict=True))
    return list(zip(cdf, sf, strict=True))


def _base(panel, g):
    """Integral of g below the tabulated shares, where sf is 1."""
    end = panel.share(panel.first)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    return 0.5 * end * float(weights @ g(0.5 * end * (1 + nodes)))
