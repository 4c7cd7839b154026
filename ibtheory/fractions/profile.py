"""Fractions of many classes: from the means of the logits, and their expectations by rank."""

from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import log_ndtr, ndtr, ndtri, owens_t

from ibtheory.fractions.pairs import REACH, midpoints, normal_density, reach

_CHUNK = 2**17  # elements of a temporary array
_DIRECT = 300  # up to so many classes each rank has its own quadrature
_EDGE = 16  # ranks at either end that always have
_NODES = 120  # of the interpolation over the ranks between


def fractions_of(means, step=None):
    """f_k = int phi(t - m_k) prod_{j != k} Phi(t - m_j) dt of means (samples, C): the fractions (samples, C).

    The trapezoid around the largest mean, accurate to 1e-12; ``step`` 0.3 is accurate to 1e-10 for 10 classes, 1e-7
    for 1000, and takes half the time. Rows are divided by their sum.
    """
    step = step or (0.2 if means.shape[1] <= 50 else 0.1)
    offsets = np.arange(-7.0, 8.1, step)
    rows = max(1, _CHUNK // (means.shape[1] * len(offsets)))
    edges = [*range(0, len(means), rows), len(means)]
    parts = [_fractions(means[start:stop], offsets) for start, stop in pairwise(edges)]
    return np.concatenate(parts) if parts else np.empty(means.shape)


def _fractions(means, offsets):
    distance = (means.max(axis=1, keepdims=True) - means)[:, :, None] + offsets  # at least -7: Phi is never 0
    below = ndtr(distance)
    win = np.prod(below, axis=1, keepdims=True)
    hazard = np.exp(-0.5 * distance**2) / below
    fractions = np.einsum("nct,nt->nc", hazard, win[:, 0])
    return fractions / fractions.sum(axis=1, keepdims=True)


def ordered_means(gamma, classes):
    """E f_(r) for r = 1..C, 0 < gamma < inf.

    E f_(r) = E Binomial(r - 1; C - 1, w), w the chance that a rival below in one score is above in the other one:
    w = 1 - Phi_2(U, V)/Phi(U), weighted by C Phi(U)^(C-1). The binomial sharpens as 1/sqrt(C), so does the grid.
    Between the ends r E f_(r) is analytic in the log odds of the rank, and is interpolated.
    """
    grid = _rank_grid(gamma, classes)
    if classes <= _DIRECT:
        return np.array([_ranked(rank, classes, grid) for rank in range(1, classes + 1)])
    ranks = np.arange(1.0, classes + 1)
    low, high = (np.log(rank / (classes + 1 - rank)) for rank in (_EDGE + 1, classes - _EDGE))
    odds = low + (high - low) * 0.5 * (1 + chebyshev.chebpts2(_NODES))
    nodes = (classes + 1) / (1 + np.exp(-odds))
    values = [node * _ranked(node, classes, grid) for node in nodes]
    polynomial = chebyshev.Chebyshev.fit(odds, values, _NODES - 1, domain=[low, high])
    profile = polynomial(np.log(ranks / (classes + 1 - ranks))) / ranks
    for rank in (*range(1, _EDGE + 1), *range(classes - _EDGE + 1, classes + 1)):
        profile[rank - 1] = _ranked(rank, classes, grid)
    return np.minimum.accumulate(np.maximum(profile, 0.0))


def _rank_grid(gamma, classes):
    """(w, log w, log(1 - w), weight) on the grid of (U, D), V = rho U + sqrt(1 - rho^2) D, rho^2 = c."""
    angle = np.arctan2(1.0, np.sqrt(gamma))
    rho, rest = np.cos(angle), np.sin(angle)
    u, width = midpoints(max(-REACH, ndtri(np.exp(-40 / classes))), reach(classes), 0.1 if classes <= 1000 else 0.05)
    d, other = midpoints(-REACH, REACH, min(0.1, 1 / (rest * np.sqrt(classes))))
    u, d = u[:, None], d[None, :]
    v = rho * u + rest * d
    v = np.where(v == 0, 1e-200, v)
    with np.errstate(over="ignore"):
        above = owens_t(u, d / u) + owens_t(v, (rest * u - rho * d) / v)
    above += 0.5 * (ndtr(-v) - ndtr(-u)) + 0.5 * (u * v < 0)
    weight = width * other * classes * normal_density(d) * normal_density(u)
    weight = weight * np.exp((classes - 1) * log_ndtr(u))
    keep = weight > 1e-22
    w = np.clip((above / ndtr(u))[keep], 1e-300, 1 - 1e-16)
    return w, np.log(w), np.log1p(-w), weight[keep]


def _ranked(rank, classes, grid):
    """E f_(rank); the rank need not be an integer."""
    w, log_w, log_rest, weight = grid
    n, k = classes - 1, rank - 1
    small = min(k, n - k)
    if small < _EDGE - 0.5:  # an integer: ranks between integers are asked for in the middle only
        log_choose = np.sum(np.log((n - np.arange(small)) / (1 + np.arange(small))))
        return float(weight @ np.exp(log_choose + k * log_w + (n - k) * log_rest))
    # n p = k: the deviance is formed from w - p, for its two halves cancel to their last digits at w = p
    p = k / n
    with np.errstate(divide="ignore"):  # log 0: a rank that this point never has
        deviance = -k * np.log1p((w - p) / p) - (n - k) * np.log1p((p - w) / (1 - p))
    peak = _stirling(n) - _stirling(k) - _stirling(n - k) - 0.5 * np.log(2 * np.pi * k * (1 - p))
    return float(weight @ np.exp(peak - deviance))


def _stirling(n):
    """log n! - [n log n - n + log(2 pi n)/2], for n of at least 16."""
    m = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * m)) / m) / m) / m) / n
