"""What the logits of pairs of samples say: agreement of predictions, label by label, and in how many directions."""

from typing import NamedTuple

import numpy as np

from ibtheory import fractions
from ibtheory.groups import GroupFractions, finite_covariance
from ibtheory.theory.state import correlation

GAUSSIAN = 15.0  # participation ratio from which on the deviations of logits over the data are as good as Gaussian
_PAIRS = 2**20  # at a time


class Agreement(NamedTuple):
    """Means over pairs of distinct samples, for L labels or, without any, one.

    Attributes
    ----------
    excess, missed : ndarray (L, L)
        Mean of S_C - 1/C and of 1 - S_C over the pairs of two labels; 0 where there is no pair.
    participation_ratio, norm_heterogeneity : float
        See :class:`ibtheory.Prediction`.
    """

    excess: np.ndarray
    missed: np.ndarray
    participation_ratio: float
    norm_heterogeneity: float


def indicator(data):
    """(L, indices): which indices have each label; one label for all where there is none."""
    labels = np.zeros(len(data.weights), int) if data.labels is None else data.labels
    return (labels == np.arange(labels.max() + 1)[:, None]).astype(float)


def label_shares(data):
    """Share of the pairs of distinct samples in each pair of labels, (L, L)."""
    chosen = indicator(data)
    return chosen @ data.pairs @ chosen.T


def labels_of(moments, data):
    """The label of each group of the moments of the inputs."""
    groups = len(moments.mean)
    if data.labels is None:
        return np.zeros(groups, int)
    return np.arange(groups) if moments.exchangeable else data.labels[data.training :]


def by_label(values, weights, first, second, shares):
    """Means (L, L) of the values of some pairs by the labels of both samples, with the weighted mean of all values.

    Where no pair has the labels the mean of all stands in.
    """
    mean = weights @ values
    total, count = np.zeros_like(shares), np.zeros_like(shares)
    for a, b in ((first, second), (second, first)):
        np.add.at(total, (a, b), weights * values)
        np.add.at(count, (a, b), weights)
    means = np.where(count > 0, _ratio(total, count), mean)
    return means + (mean - np.sum(shares * means))


def agreement(logits, classes, count):
    """The :class:`Agreement` of the logits, a state of ``count`` samples (None: of a population)."""
    data, same, cross = logits.data, logits.same, logits.cross
    chosen = indicator(data)
    excess, missed, distance = (np.zeros((len(chosen), len(chosen))) for _ in range(3))
    square, rows = 0.0, np.zeros(len(same))  # of 1 - c: mean square, and sums over each row
    step = max(1, _PAIRS // len(same))
    for first in range(0, len(same), step):
        part = slice(first, first + step)
        c, om = correlation(same, cross, logits.gap, part)
        pairs = data.pairs[part]
        excess += chosen[:, part] @ (pairs * fractions.agreement_excess(c, classes, one_minus_rho=om)) @ chosen.T
        missed += chosen[:, part] @ (pairs * fractions.disagreement(c, classes, one_minus_rho=om)) @ chosen.T
        distance += chosen[:, part] @ (pairs * om) @ chosen.T
        rows[part] = np.sum(pairs * om, axis=1)
        square += np.sum(pairs * om**2)
    shares = label_shares(data)
    if count is None:  # many samples of each label: what varies within one uses infinitely many directions
        ratio = _participation(distance.sum(), _squared(distance, shares), distance.sum(axis=1), shares.sum(axis=1))
    else:
        kept = 1 - 1 / count
        ratio = _participation(kept * distance.sum(), kept * square, kept * rows, data.pairs.sum(axis=1))
    heterogeneity = _squared_variation(np.sqrt(same), data.weights)
    return Agreement(_ratio(excess, shares), _ratio(missed, shares), ratio, heterogeneity)


def _ratio(total, share):
    return np.divide(total, share, out=np.zeros_like(total), where=share > 0)


def _squared(total, share):
    """Mean of the squares of total/share, with weights ``share``."""
    return float(np.sum(total * _ratio(total, share)))


def _participation(distance, square, rows, weights):
    """(tr)^2 / tr(^2) of the centred matrix of correlations, from the means of 1 - c: all, squared, and in each row."""
    trace = square - 2 * _squared(rows, weights) + distance**2
    return float(distance**2 / trace) if trace > 1e-12 * distance**2 else np.inf


def _squared_variation(values, weights):
    """(standard deviation / mean)^2."""
    mean = weights @ values
    return float(weights @ (values - mean) ** 2 / mean**2) if mean > 0 else 0.0


def few_directions(ratio):
    """The note on a participation ratio below ``GAUSSIAN``."""
    return (
        f"the centred correlations of the logits have a participation ratio of {ratio:.3g}, below {GAUSSIAN:g}: a "
        "logit is not Gaussian over the data, so that the law of class fractions is approximate; their variance is not"
    )


def group_fractions(names, data, agreements, classes, count):
    """The :class:`GroupFractions` of replicas of an :class:`Agreement`, and the standard error of its covariance."""
    weights = indicator(data) @ data.weights
    samples = None if count is None else np.rint(count * weights).astype(int)
    covariances = np.array([each.excess / classes for each in agreements])
    if samples is not None:
        covariances = np.array([finite_covariance(each, classes, samples) for each in covariances])
    excess, missed = (np.mean([getattr(each, name) for each in agreements], axis=0) for name in ("excess", "missed"))
    gamma = fractions.gamma_from_agreement(excess, missed, classes)
    with np.errstate(invalid="ignore"):
        correlations = np.where(np.isinf(gamma), 1.0, gamma / (1 + gamma))
    alone = label_shares(data) == 0
    record = GroupFractions(
        labels=names,
        weights=weights,
        samples=samples,
        classes=classes,
        covariance=covariances.mean(axis=0),
        correlation=np.where(alone, np.nan, correlations),
    )
    return record, covariances.std(axis=0, ddof=1) / np.sqrt(len(agreements)) if len(agreements) > 1 else None
