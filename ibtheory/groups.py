"""What an untrained network does with the classes of labelled data, group by group."""

from dataclasses import dataclass
from typing import final

import numpy as np

from ibtheory import _check
from ibtheory.fractions import profile

__all__ = ["GroupFractions", "label_groups"]

MOST = 64  # labels; more are no classes, but names or numbers


def label_groups(y, samples):
    """(sorted labels, index of each sample's label), or (None, zeros) without labels or with more than 64 of them."""
    if y is not None:
        labels, index = np.unique(y, return_inverse=True)
        if len(labels) <= MOST:
            return labels, index.astype(np.int64)
    return None, np.zeros(samples, np.int64)


def finite_covariance(covariance, classes, samples):
    """Covariance (G, G) of the observed shares among ``samples`` (G,) of each group, from that of many samples."""
    finite = np.array(covariance)
    own = (1 - 1 / classes) / classes
    np.fill_diagonal(finite, (1 - 1 / samples) * np.diagonal(covariance) + own / samples)
    return finite


@final
@dataclass(frozen=True, eq=False)
class GroupFractions:
    r"""Law of the fractions f_{k|g}: which share of group g, the samples of one label, goes to class k.

    Over networks the classes are alike: E f_{k|g} = 1/C, and with n_g samples in group g

    .. math:: \operatorname{Cov}(f_{k|g}, f_{k|g'}) = \frac{1}{n_g n_{g'}} \sum_{a \in g, b \in g'}
        \frac{S_C(c_{ab})}{C} - \frac{1}{C^2}, \qquad
        \operatorname{Cov}(f_{j|g}, f_{k|g'}) = - \frac{\operatorname{Cov}(f_{k|g}, f_{k|g'})}{C - 1},

    exact at infinite width for any data; c_aa = 1. The joint law takes the samples of a group to be exchangeable, with
    the correlation c_gg' that has the same covariance: M_kg ~ N(0, c) over groups, independent over classes, and

    .. math:: f_{k|g} = \int \phi(t) \prod_{j \ne k} \Phi\left(t + \frac{M_{kg} - M_{jg}}{\sqrt{1 - c_{gg}}}\right) dt.

    Attributes
    ----------
    labels : (G,) array
        The label of each group, sorted.
    weights : (G,) array
        Share of each group in the data.
    samples : (G,) array or None
        Samples in each group; None for the population of a law.
    classes : int
        C, of the network.
    covariance : (G, G) array
        Of f_{k|g} and f_{k|g'}, for the samples at hand.
    correlation : (G, G) array
        Effective correlation of the logits of two distinct samples, one of each group: S_C of it is the mean of S_C
        over the pairs. NaN inside a group of one sample.

    Examples
    --------
    >>> import ibtheory as ib
    >>> x = ib.Blobs(separation=40.0, features=100)
    >>> groups = ib.predict(ib.mlp(50, 1, norm="layer"), x).groups
    >>> groups.covariance.round(4)
    array([[ 0.1341, -0.0702],
           [-0.0702,  0.1341]])
    >>> fractions = groups.joint_rvs(5, seed=0)
    >>> fractions.shape, fractions.sum(axis=2).round(12).tolist()[0]
    ((5, 2, 2), [1.0, 1.0])
    """

    labels: np.ndarray
    weights: np.ndarray
    samples: np.ndarray | None
    classes: int
    covariance: np.ndarray
    correlation: np.ndarray

    @property
    def across_classes(self):
        """Cov(f_{j|g}, f_{k|g'}) of two different classes, (G, G)."""
        return -self.covariance / (self.classes - 1)

    @property
    def total_variance(self):
        """Var f_k over all samples: the weighted sum of :attr:`covariance`."""
        return float(self.weights @ self.covariance @ self.weights)

    @property
    def accuracy_variance(self):
        """Variance over networks of the share of right predictions, the mean being 1/C.

        Raises
        ------
        ValueError
            Unless there are as many labels as classes; label and class go by their order.
        """
        if len(self.labels) != self.classes:
            raise ValueError(
                f"an accuracy needs one class per label, but there are {len(self.labels)} labels and "
                f"{self.classes} classes; build the network with classes={len(self.labels)}"
            )
        shares = self.weights[:, None] * self.weights * self.covariance
        same = np.trace(shares)
        return float(same - (shares.sum() - same) / (self.classes - 1))

    def joint_rvs(self, size, seed=None):
        """All fractions of ``size`` independent networks on many samples of each group, (size, G, C).

        Parameters
        ----------
        size : int
            Number of networks.
        seed : int or numpy.random.Generator, optional
            Seed of the draws; fresh entropy without it.
        """
        size = _check.integer("size", size, 0)
        generator = np.random.default_rng(seed)
        value, vector = np.linalg.eigh(np.where(np.isnan(self.correlation), 1.0, self.correlation))
        root = vector * np.sqrt(np.clip(value, 0.0, None))
        means = np.einsum("gr,nrc->ngc", root, generator.standard_normal((size, len(root), self.classes)))
        spread = np.sqrt(np.clip(1 - np.sum(root**2, axis=1), 1e-12, None))
        flat = (means / spread[:, None]).reshape(-1, self.classes)
        return profile.fractions_of(flat).reshape(means.shape)

    def to_dict(self):
        """Plain data (JSON): inverse of :meth:`from_dict`."""
        arrays = ("labels", "weights", "samples", "covariance", "correlation")
        values = {name: getattr(self, name) for name in arrays}
        return {name: None if v is None else v.tolist() for name, v in values.items()} | {"classes": self.classes}

    @classmethod
    def from_dict(cls, data):
        """The record that :meth:`to_dict` described."""
        return cls(**{name: np.array(v) if isinstance(v, list) else v for name, v in data.items()})
