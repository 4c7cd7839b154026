"""What the theory carries from layer to layer: moments to full relative precision, and how far they determine the law.

Indices g, g' run over groups of exchangeable samples (one group for iid data, one group per sample for a concrete
dataset). Averages are over neurons and over networks, at infinite width.
"""

from dataclasses import dataclass, replace

import numpy as np


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
    """

    weights: np.ndarray
    pairs: np.ndarray
    batch: float
    concrete: bool
    by_batch: bool = True


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


@dataclass(frozen=True)
class Particles:
    """Neurons drawn one by one: values of shape (neurons, samples)."""

    values: np.ndarray


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
    field : GaussianField, SphereField, Particles or None
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
        return self.cov + np.outer(self.mean, self.mean)

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
        return weights @ self.same, np.sum(pairs * self.cross), np.sum(pairs * self.gap), weights @ self.mean

    def with_moments(self, mean, cov, gap, field):
        return replace(self, mean=mean, cov=cov, gap=gap, field=field)


def without_particles(state):
    """The moments alone where neurons were drawn: they are large, and used up once the walk is over."""
    return replace(state, field=None) if isinstance(state.field, Particles) else state


def correlation(same, cross, gap):
    """c and 1 - c of pairs from second moments and gaps; 0 where a sample has no variance."""
    root = np.sqrt(np.outer(same, same))
    alive = root > 0
    safe = np.where(alive, root, 1.0)
    spread = np.add.outer(np.sqrt(same), np.sqrt(same))
    radial = 0.5 * np.square(np.subtract.outer(same, same) / np.where(spread > 0, spread, 1.0))
    c = np.where(alive, np.clip(cross / safe, -1, 1), 0.0)
    om = np.where(alive, np.clip((gap - radial) / safe, 0, 2), 1.0)
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
