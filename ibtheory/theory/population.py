"""Neurons drawn from the kernel of concrete samples: the rule for BatchNorm on correlated data, and for any order.

At infinite width the pre-activations of a neuron over N samples are Gaussian with the N x N kernel of the layer. The
batch variance of a neuron differs from neuron to neuron when samples are correlated, so that BatchNorm is no function
of the kernel alone; an average over drawn neurons is exact up to its sampling error, which independent replicas show.
"""

from functools import singledispatch

import numpy as np
from scipy import linalg

from ibtheory.layers import Activation, BatchNorm, GroupNorm, LayerNorm, RMSNorm
from ibtheory.theory.state import Particles, apply_chain

VALUES = 2**22  # numbers held for the neurons of one replica
LEAST, MOST = 2**12, 2**15  # neurons of one replica


def draw(field, data, rng):
    """Neurons of a GaussianField over concrete samples, as Particles.

    Drawn in antithetic pairs and rescaled so that their second moments are the kernel's to rounding, which removes
    the largest part of the sampling error.
    """
    count = field.cov.shape[0]
    root = _root(field.cov)
    rank = root.shape[1]
    pairs = max(2 * count, min(max(VALUES // count, LEAST), MOST)) // 2
    noise = rng.standard_normal((pairs, rank))
    lower = linalg.cholesky(noise.T @ noise / pairs, lower=True)
    values = noise @ linalg.solve_triangular(lower, root.T, lower=True, trans="T")
    values = np.concatenate([values, -values])
    return Particles(apply_chain(field.chain, values.T, np.arange(count)).T)


def _root(kernel):
    """R with R R^T the kernel, which may be singular: pivoted Cholesky, (N, rank)."""
    factor, pivot, rank, _ = linalg.lapack.dpstrf(kernel, lower=1)
    root = np.zeros((len(kernel), max(rank, 1)))
    root[pivot - 1] = np.tril(factor)[:, : max(rank, 1)]
    return root


def moments(values):
    """(mean, cov, gap) of the samples over neurons (neurons, samples)."""
    mean = values.mean(axis=0)
    deviation = values - mean
    cov = deviation.T @ deviation / len(values)
    variance = np.diagonal(cov)
    gap = np.add.outer(variance, variance) / 2 - cov + np.square(np.subtract.outer(mean, mean)) / 2
    np.fill_diagonal(gap, 0.0)
    return mean, cov, np.clip(gap, 0.0, None)


@singledispatch
def act(layer, values, batch):
    """What a layer does to neurons (neurons, samples)."""
    raise NotImplementedError(f"the population rule does not cover {type(layer).__name__}")


@act.register
def _(layer: Activation, values, batch):
    return layer.function.function(values)


@act.register
def _(layer: BatchNorm, values, batch):
    if layer.mode == "running":
        return layer.scale * values / np.sqrt(1 + layer.epsilon) + layer.shift
    blocks = values.reshape(len(values), -1, int(batch))
    return _normalize(blocks, 2, layer).reshape(values.shape)


@act.register
def _(layer: LayerNorm, values, batch):
    return _normalize(values, 0, layer)


@act.register
def _(layer: GroupNorm, values, batch):
    return _normalize(values, 0, layer)  # a group has infinitely many neurons, like the layer


@act.register
def _(layer: RMSNorm, values, batch):
    return layer.scale * _divide(values, np.mean(values**2, axis=0, keepdims=True), layer.epsilon)


def _normalize(values, axis, layer):
    centred = values - values.mean(axis=axis, keepdims=True)
    variance = np.mean(centred**2, axis=axis, keepdims=True)
    return layer.scale * _divide(centred, variance, layer.epsilon) + layer.shift


def _divide(values, variance, epsilon):
    """values / sqrt(variance + epsilon), 0 where that is 0/0."""
    total = variance + epsilon
    return values * np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)
