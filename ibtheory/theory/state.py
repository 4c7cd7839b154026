"""What the theory carries from layer to layer: moments to full relative precision, and how far they determine the law.

Indices g, g' run over groups of exchangeable samples (one group for iid data, one group per sample for a concrete
dataset). Averages are over neurons and over networks, at infinite width.
"""

from dataclasses import dataclass, replace

import numpy as np

_BLOCK = 2**17  # numbers that stay in cache


@dataclass(frozen=True)
class Data:
    """What the indices of a state stand for.

    Attributes
    ----------
    weights : ndarray (G,)
        Share of the samples in each group.
    pairs : ndarray (G, G)
        Share of the pairs of distinct samples that lie in each pair of groups.
    batch : float
        Samples per BatchNorm statistic; inf in the limit of a large batch.
    concrete : bool
        Each group is one sample.
    by_batch : bool
        The groups are batches of one exchangeable population: g = g' means "in the same batch".
    training : int
        The first so many indices are training batches, which only running statistics see: their weight is 0.
    labels : ndarray (G,) of int, or None
        To which class of the data each index belongs.
    """

    weights: np.ndarray
    pairs: np.ndarray
    batch: float
    concrete: bool
    by_batch: bool = True
    training: int = 0
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Affine:
    """x -> scale x + shift, per group: what a norm over features does to a neuron."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class GaussianField:
    """A neuron is ``chain`` applied to a centred Gaussian with moments cov and gap over the groups.

    ``chain`` is a tuple of activation records and :class:`Affine` maps; () is the Gaussian itself.
    """

    cov: np.ndarray
    gap: np.ndarray
    chain: tuple = ()


@dataclass(frozen=True)
class SphereField:
    """A neuron is ``chain`` applied to a batch of ``batch`` values, centred, normalized, of uniform direction."""

    batch: int
    chain: tuple = ()


def row_blocks(values):
    """Slices of rows whose numbers stay in cache."""
    step = max(1, _BLOCK // values[0].size)
    return [slice(first, first + step) for first in range(0, len(values), step)]


@dataclass(frozen=True)
class Particles:
    """Neurons drawn one by one over concrete samples: values of shape (neurons, samples)."""

    values: np.ndarray

    def over_neurons(self, values):
        """Means over neurons, one per sample."""
        return values.mean(axis=0, keepdims=True)

    def over_batches(self, values, data):
        """Means over each batch, (neurons, batches)."""
        return values.reshape(len(values), -1, int(data.batch)).mean(axis=2)

    def spread(self, numbers, data):
        """Numbers of each batch (neurons, batches), at its samples."""
        return np.repeat(numbers, int(data.batch), axis=1)

    def moments(self):
        """(mean, cov, gap) of the samples."""
        mean = self.values.mean(axis=0)
        cov = np.zeros((len(mean), len(mean)))
        for part in row_blocks(self.values):
            deviation = self.values[part] - mean
            cov += deviation.T @ deviation
        cov /= len(self.values)
        variance = np.diagonal(cov)
        gap = np.add.outer(variance, variance) / 2 - cov + np.square(np.subtract.outer(mean, mean)) / 2
        np.fill_diagonal(gap, 0.0)
        return mean, cov, np.clip(gap, 0.0, None)


@dataclass(frozen=True)
class GroupParticles:
    """Neurons drawn by their group means, in large batches; within a group a neuron varies over the samples.

    ``values`` (neurons, G, nodes) of each neuron at the nodes of a quadrature over the samples of each group, whose
    ``weights`` (neurons, nodes) sum to 1.
    """

    values: np.ndarray
    weights: np.ndarray

    def within(self, values):
        """Means over the samples of each group, (neurons, G)."""
        return np.einsum("ngk,nk->ng", values, self.weights)

    def over_neurons(self, values):
        """Means over neurons, one per group."""
        return self.within(values).mean(axis=0)[None, :, None]

    def over_batches(self, values, data):
        """Means over the training batch, if there is one, and over the data, (neurons, 1 or 2)."""
        shares = data.weights[data.training :]
        return (self.within(values).reshape(len(values), -1, len(shares)) * shares).sum(axis=2)

    def spread(self, numbers, data):
        """Numbers of the training batch and of the data, at their groups."""
        return np.repeat(numbers, len(data.weights) - data.training, axis=1)[:, :, None]

    def moments(self):
        """(mean, cov, gap) of the groups."""
        centers = self.within(self.values)
        variance = self.within((self.values - centers[:, :, None]) ** 2).mean(axis=0)
        mean = centers.mean(axis=0)
        deviation = centers - mean
        cov = deviation.T @ deviation / len(deviation)
        between = np.add.outer(np.diagonal(cov), np.diagonal(cov)) / 2 - cov
        between += np.square(np.subtract.outer(mean, mean)) / 2
        np.fill_diagonal(between, 0.0)
        return mean, cov, np.add.outer(variance, variance) / 2 + np.clip(between, 0.0, None)


DRAWN = (Particles, GroupParticles)


@dataclass(frozen=True)
class State:
    """Moments of a layer's output.

    Attributes
    ----------
    mean : ndarray (G,)
        m = E h, over neurons.
    cov : ndarray (G, G)
        E h h' - m m' for two distinct samples.
    gap : ndarray (G, G)
        E (h - h')^2 / 2 for two distinct samples, never formed by a subtraction of second moments.
    field : GaussianField, SphereField, Particles, GroupParticles or None
        How a neuron is distributed over samples; None: only the moments are known.
    data : Data
    """

    mean: np.ndarray
    cov: np.ndarray
    gap: np.ndarray
    field: object
    data: Data

    @property
    def cross(self):
        """E h h' of two distinct samples, (G, G)."""
        cross = np.outer(self.mean, self.mean)
        cross += self.cov
        return cross

    @property
    def same(self):
        """E h^2 of one sample, (G,)."""
        return np.diagonal(self.cov) + self.mean**2 + np.diagonal(self.gap)

    def correlation(self):
        """Correlations c = cross/sqrt(same same') of distinct samples and 1 - c, each (G, G), both accurate."""
        return correlation(self.same, self.cross, self.gap)

    def average(self):
        """(same, cross, gap, mean) averaged over samples and over pairs of distinct samples."""
        pairs, weights = self.data.pairs, self.data.weights
        cov, gap = (np.sum(np.einsum("ij,ij->i", pairs, values)) for values in (self.cov, self.gap))
        return weights @ self.same, cov + self.mean @ pairs @ self.mean, gap, weights @ self.mean

    def with_moments(self, mean, cov, gap, field):
        return replace(self, mean=mean, cov=cov, gap=gap, field=field)


def without_particles(state):
    """The moments alone where neurons were drawn: they are large, and used up once the walk is over."""
    return replace(state, field=None) if isinstance(state.field, DRAWN) else state


def correlation(same, cross, gap, rows=slice(None)):
    """c and 1 - c of pairs from second moments and gaps, in some rows; 0 where a sample has no variance."""
    root = np.sqrt(np.outer(same[rows], same))
    alive = root > 0
    safe = np.where(alive, root, 1.0)
    spread = np.add.outer(np.sqrt(same[rows]), np.sqrt(same))
    radial = 0.5 * np.square(np.subtract.outer(same[rows], same) / np.where(spread > 0, spread, 1.0))
    c = np.where(alive, np.clip(cross[rows] / safe, -1, 1), 0.0)
    om = np.where(alive, np.clip((gap[rows] - radial) / safe, 0, 2), 1.0)
    return c, om


def apply_chain(chain, values, groups):
    """The value of a chain at ``values`` of shape (groups, ...), the parameters taken at ``groups``."""
    column = (slice(None), *[None] * (values.ndim - 1))
    for link in chain:
        if isinstance(link, Affine):
            values = link.scale[groups][column] * values + link.shift[groups][column]
        else:
            values = link.function(values)
    return values
