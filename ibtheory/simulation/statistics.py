"""From networks to estimates: means over networks, with the network as the unit of every standard error."""

import numpy as np

from ibtheory import fractions
from ibtheory.output import EDGES, unbiased_kurtosis
from ibtheory.simulation.ops.readout import BINS, SHAPE

QUANTITIES = ("agreement", "max_fraction", "class_fraction_variance", "dead")
_COLUMNS = len(SHAPE) + BINS
CHUNK = 64  # networks per update of the running sums: fixed, so that the bits do not depend on the blocks


def fractions_of(counts):
    """Class fractions (networks, readouts, classes)."""
    return counts / counts.sum(axis=2, keepdims=True)


def agreement_of(counts):
    """Share of pairs of distinct samples given the same class, mean over readouts: (networks,)."""
    samples = counts.sum(axis=2)
    pairs = (counts * (counts - 1)).sum(axis=2)
    return (pairs / (samples * (samples - 1.0))).mean(axis=1)


def network_values(outcome, width):
    """All scalar quantities of each network, (networks, columns): layers, four each, QUANTITIES, groups, SHAPE."""
    counts = outcome.counts.sum(axis=2)
    shares = fractions_of(counts)
    around = shares - 1 / shares.shape[2]  # classes are exchangeable: the mean over networks is exactly 1/C
    scalars = [
        agreement_of(counts),
        shares.max(axis=2).mean(axis=1),
        (around**2).mean(axis=(1, 2)),
        outcome.dead / width,
    ]
    shape = np.where(np.isfinite(outcome.shape).all(axis=1, keepdims=True), outcome.shape, np.nan)
    parts = outcome.layers.reshape(len(shares), -1), np.stack(scalars, axis=1), _group_products(outcome.counts), shape
    return np.concatenate(parts, axis=1)


def _group_products(counts):
    """Products of f_{k|g} - 1/C and f_{k|g'} - 1/C, mean over readouts and classes, (networks, pairs of groups)."""
    around = counts / counts.sum(axis=3, keepdims=True) - 1 / counts.shape[3]
    products = np.einsum("nrgk,nrhk->ngh", around, around) / (counts.shape[1] * counts.shape[3])
    return products[:, *np.triu_indices(counts.shape[2])]


def square(values, groups):
    """The symmetric (groups, groups) matrix of values of the pairs of groups."""
    matrix = np.empty((groups, groups))
    upper = np.triu_indices(groups)
    matrix[upper] = matrix[upper[::-1]] = values
    return matrix


class _Running:
    """Values of networks in their order, CHUNK at a time however they arrive (Chan, Golub and LeVeque)."""

    def __init__(self):
        self._pending = []

    def add(self, values):
        """Add the values (networks, quantities) of the next networks."""
        pending = np.concatenate([*self._pending, values])
        full = len(pending) // CHUNK * CHUNK
        for start in range(0, full, CHUNK):
            self._update(pending[start : start + CHUNK])
        self._pending = [pending[full:]]

    def close(self):
        """Add what is left over."""
        for values in self._pending:
            if len(values):
                self._update(values)
        self._pending = []
        return self


class Means(_Running):
    """Means over networks and their errors."""

    def __init__(self):
        super().__init__()
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def _update(self, values):
        count, mean = len(values), values.mean(axis=0)
        total, delta = self.count + count, mean - self.mean
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0) + delta**2 * (self.count * count / total)
        self.mean, self.count = self.mean + delta * (count / total), total

    def estimates(self):
        """(means, standard errors); NaN errors for one network."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.mean, np.sqrt(self.squares / np.float64(self.count - 1) / self.count)


class Moments(_Running):
    """Running mean, centred squares, and centred products of (cross, gap) and of SHAPE, over networks in their order.

    Chan, Golub and LeVeque, The American Statistician 37 (1983); NaN (a constant logit has no skewness) is left out.
    """

    def __init__(self, rows, groups):
        super().__init__()
        self.rows = rows
        size = 4 * rows + len(QUANTITIES) + groups * (groups + 1) // 2 + _COLUMNS
        self.count, self.mean, self.squares = (np.zeros(size) for _ in range(3))
        self.products = np.zeros(rows)
        self.joint = np.zeros((_COLUMNS, _COLUMNS))

    def _update(self, values):
        valid = np.isfinite(values)
        count = valid.sum(axis=0)
        pivot = np.where(valid, values, 0)[np.argmax(valid, axis=0), np.arange(values.shape[1])]
        around = np.where(valid, values - pivot, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = np.where(count > 0, around.sum(axis=0) / np.maximum(count, 1), 0.0)
            around = np.where(valid, around - shift, 0.0)
            delta = np.where(count > 0, pivot + shift - self.mean, 0.0)
            total = np.maximum(self.count + count, 1)
            cross = self.count * count / total
        a, b = self._columns(around)
        delta_a, delta_b = self._columns(delta)
        self.products += (a * b).sum(axis=0) + delta_a * delta_b * self._columns(cross)[0]
        shape, shift = around[:, -_COLUMNS:], delta[-_COLUMNS:]
        with np.errstate(over="ignore", invalid="ignore"):  # squares of fourth moments of huge logits
            self.joint += shape.T @ shape + np.outer(shift, shift) * cross[-1]
            self.squares += (around**2).sum(axis=0) + delta**2 * cross
        self.mean += delta * count / total
        self.count += count

    def _columns(self, values):
        layers = values[..., : 4 * self.rows].reshape(*values.shape[:-1], self.rows, 4)
        return layers[..., 1], layers[..., 2]

    def estimates(self):
        """(means, standard errors), both (quantities,); NaN errors for one network."""
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt(self.squares / (self.count - 1) / self.count)
            return np.where(self.count > 0, self.mean, np.nan), np.where(self.count > 1, error, np.nan)

    def gamma(self):
        """(gamma, its error) per layer: ratio of means over networks, error by the delta method."""
        cross, gap = self._columns(self.mean)
        square_cross, square_gap = self._columns(self.squares)
        networks = self._columns(self.count)[0]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            gamma = cross / gap
            spread = square_cross - 2 * gamma * self.products + gamma**2 * square_gap
            error = np.sqrt(np.maximum(spread, 0) / (networks - 1) / networks) / gap
        return gamma, np.where(networks > 1, error, np.nan)

    def shape(self, samples):
        """(value, error) by name of what the law of a logit looks like, see :func:`shape_of`; delta method."""
        count, mean = self.count[-1], np.where(self.count[-1] > 0, self.mean[-_COLUMNS:], np.nan)
        cov = self.joint / (count - 1) / count if count > 1 else np.full(self.joint.shape, np.nan)
        values = shape_of(mean, np.diagonal(cov), samples)
        steps = np.diag(1e-4 * np.where(mean != 0, mean, 1.0))
        pairs = [[shape_of(mean + sign * step, np.diagonal(cov), samples) for sign in (1, -1)] for step in steps]
        estimates = {}
        for name, value in values.items():
            slopes = [(up[name] - down[name]) / 2 / step.sum() for (up, down), step in zip(pairs, steps, strict=True)]
            estimates[name] = float(value), float(np.sqrt(max(np.dot(slopes, cov @ slopes), 0.0)))
        return estimates


def shape_of(mean, variance, samples):
    """Estimates by name from the means of SHAPE over networks and the variances of these means.

    Ratios are ratios of means over networks, which have a theory; means of ratios have none. Without bias are the
    skewness (0 by symmetry), the tails, numerator and denominator of the kurtosis over the data, and, by taking its
    variance away, the squared mean below the kurtosis over networks.
    """
    (skewness, m2, m22, m33, m4, z2, z4), bins = mean[: len(SHAPE)], mean[len(SHAPE) :]
    square = z2**2 - np.nan_to_num(variance[SHAPE.index("z^2")])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "skewness": skewness,
            "skewness_spread": np.sqrt(m33 / m2**3),
            "kurtosis": unbiased_kurtosis(m4, m22, samples),
            "network_kurtosis": z4 / square - 3,
            "tail_2": _beyond(bins, 2.0),
            "tail_3": _beyond(bins, 3.0),
        }


def _beyond(bins, t):
    """Share of the samples further than t standard deviations from the mean."""
    return bins[: np.searchsorted(EDGES, -t) + 1].sum() + bins[np.searchsorted(EDGES, t) + 1 :].sum()


def effective(agreement, error, classes):
    """(gamma_effective, its error) from the mean pair agreement: S_C(c) = agreement, gamma = c / (1 - c)."""
    missed = 1 - agreement
    if missed <= 0:
        return np.inf, np.nan

    def gamma(missed):
        return float(fractions.gamma_from_agreement(1 - missed - 1 / classes, missed, classes))

    step = 1e-4 * missed
    slope = (gamma(missed - step) - gamma(missed + step)) / (2 * step)
    return gamma(missed), slope * error
