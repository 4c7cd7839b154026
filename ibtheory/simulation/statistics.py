"""From networks to estimates: means over networks, with the network as the unit of every standard error."""

import numpy as np

from ibtheory import fractions

QUANTITIES = ("agreement", "max_fraction", "class_fraction_variance", "skewness", "kurtosis", "dead")
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
    """All scalar quantities of each network, (networks, 4 rows + 6): layers, then QUANTITIES."""
    shares = fractions_of(outcome.counts)
    around = shares - 1 / shares.shape[2]  # classes are exchangeable: the mean over networks is exactly 1/C
    scalars = [
        agreement_of(outcome.counts),
        shares.max(axis=2).mean(axis=1),
        (around**2).mean(axis=(1, 2)),
        outcome.shape[:, 0],
        outcome.shape[:, 1],
        outcome.dead / width,
    ]
    return np.concatenate([outcome.layers.reshape(len(shares), -1), np.stack(scalars, axis=1)], axis=1)


class Moments:
    """Running mean, centred squares, and centred products of (cross, gap), over networks in their order.

    Chan, Golub and LeVeque, The American Statistician 37 (1983); NaN (a constant logit has no skewness) is left out.
    """

    def __init__(self, rows):
        self.rows = rows
        size = 4 * rows + len(QUANTITIES)
        self.count, self.mean, self.squares = (np.zeros(size) for _ in range(3))
        self.products = np.zeros(rows)
        self._pending = np.empty((0, size))

    def add(self, values):
        """Add the values (networks, quantities) of the next networks."""
        pending = np.concatenate([self._pending, values])
        full = len(pending) // CHUNK * CHUNK
        for start in range(0, full, CHUNK):
            self._update(pending[start : start + CHUNK])
        self._pending = pending[full:]

    def close(self):
        """Add what is left over."""
        if len(self._pending):
            self._update(self._pending)
        self._pending = self._pending[:0]
        return self

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
