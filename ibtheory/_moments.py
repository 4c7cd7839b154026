"""Moments of inputs: what theory needs to know of them."""

from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """What theory needs to know of the inputs; h is a feature, averages run over features.

    Attributes
    ----------
    mean : (G,) array
        Mean feature of a sample of group g.
    cov : (G, G) array
        E h h' - mean mean' of two distinct samples; for groups of one sample, cov[g, g] is its variance.
    gap : (G, G) array
        E (h - h')^2 / 2 of two distinct samples, from differences; gap[g, g] = 0 for groups of one sample.
    weights : (G,) array
        Share of each group in the data; they sum to 1.
    exchangeable : bool
        True: each group holds many iid samples (a law). False: each group is one sample (a dataset).
    fluctuation : float
        Variance of the correlation of two samples of a group around its mean, because features are finitely
        many; 0 for a dataset, whose Gram matrix is exact.
    """

    mean: np.ndarray
    cov: np.ndarray
    gap: np.ndarray
    weights: np.ndarray
    exchangeable: bool
    fluctuation: float = 0.0

    @property
    def cross(self):
        """(G, G): E h h' of two distinct samples."""
        return self.cov + np.outer(self.mean, self.mean)

    @property
    def same(self):
        """(G,): E h^2 of one sample."""
        return np.diagonal(self.cov) + self.mean**2 + np.diagonal(self.gap)


def fluctuation_of(correlation, features):
    """Variance of the correlation of h = s + e and h' = s + e', e iid Gaussian, at a fixed common part s.

    To leading order in 1/features, by the delta method on (h.h', |h|^2, |h'|^2).
    """
    return (1 - correlation) ** 2 * (1 + 2 * correlation - correlation**2) / features
