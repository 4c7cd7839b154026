"""Neurons drawn from the kernel of a layer: the rule for BatchNorm on correlated data, and for any order.

At infinite width the pre-activations of a neuron over N samples are Gaussian with the N x N kernel of the layer. The
batch variance of a neuron differs from neuron to neuron when samples are correlated, so that BatchNorm is no function
of the kernel alone; an average over drawn neurons is exact up to its sampling error, which independent replicas show.

Over groups of exchangeable samples and large batches a neuron is drawn by its group means Z ~ N(0, cov) alone. Its
variance over the data is that within the groups plus that of the Z_g,

    s^2 = sum_g p_g (gap_gg + Z_g^2) - (sum_g p_g Z_g)^2,

random from neuron to neuron; what varies within a group is integrated at nodes.
"""

from dataclasses import fields, replace
from functools import singledispatch

import numpy as np
from scipy import linalg
from scipy.special import ndtri
from scipy.stats import qmc

from ibtheory import _quadrature
from ibtheory.layers import Activation, BatchNorm, FeaturePool, GroupNorm, LayerNorm, RMSNorm
from ibtheory.theory.state import GroupParticles, Particles, apply_chain, row_blocks

VALUES = 2**22  # numbers held for the neurons of one replica
LEAST, MOST = 2**12, 2**15  # neurons of one replica
STEP = 0.2  # between the nodes within a group, in standard deviations


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


def draw_groups(field, rng):
    """Neurons of a GaussianField over groups, as GroupParticles.

    The group means come from a shifted Sobol sequence. The nodes within a group are those of the trapezoid rule, moved
    by a random offset of each neuron, so that its error at a kink averages out.
    """
    size = len(field.cov)
    root = _spectral_root(field.cov)
    nodes = np.arange(-_quadrature.REACH, _quadrature.REACH, STEP)
    count = 2 ** int(np.log2(max(VALUES // (2 * size * len(nodes)), LEAST // 4)))
    points = qmc.Sobol(root.shape[1] + 1, scramble=False).random(count) + rng.random(root.shape[1] + 1)
    points = np.clip(points % 1.0, 2.0**-40, 1 - 2.0**-40)
    x = nodes + STEP * points[:, -1:]
    weights = _quadrature.density(x)
    weights /= weights.sum(axis=1, keepdims=True)
    means, deviations = root @ ndtri(points[:, :-1]).T, np.sqrt(np.diagonal(field.gap))
    values = apply_chain(field.chain, means[:, :, None] + deviations[:, None, None] * x, np.arange(size))
    return GroupParticles(np.ascontiguousarray(values.swapaxes(0, 1)), weights)


def _spectral_root(cov):
    """R with R R^T = cov, its columns from the largest eigenvalue down, (G, rank)."""
    value, vector = np.linalg.eigh(cov)
    kept = value > 1e-14 * max(value[-1], 1e-300)
    return (vector[:, kept] * np.sqrt(value[kept]))[:, ::-1]


def behind(layer, particles, data):
    """Drawn neurons behind a layer; a few at a time where it treats each by itself, which spares memory."""
    if not isinstance(layer, Activation | BatchNorm):
        return replace(particles, values=act(layer, particles, data))
    values = np.empty_like(particles.values)
    for part in row_blocks(values):
        some = {f.name: getattr(particles, f.name)[part] for f in fields(particles)}
        values[part] = act(layer, type(particles)(**some), data)
    return replace(particles, values=values)


@singledispatch
def act(layer, particles, data):
    """What a layer does to drawn neurons: their values behind it."""
    raise NotImplementedError(f"the population rule does not cover {type(layer).__name__}")


@act.register
def _(layer: Activation, particles, data):
    return layer.function.function(particles.values)


@act.register
def _(layer: BatchNorm, particles, data):
    values = particles.values
    if layer.fresh:
        return layer.scale * values / np.sqrt(1 + layer.epsilon) + layer.shift
    mean = particles.over_batches(values, data)
    variance = particles.over_batches((values - particles.spread(mean, data)) ** 2, data)
    if layer.mode == "running":
        _run(layer, mean, variance, data)
    mean, variance = particles.spread(mean, data), particles.spread(variance, data)
    return layer.scale * _divide(values - mean, variance, layer.epsilon) + layer.shift


def _run(layer, mean, variance, data):
    """Running statistics in the place of those of the batches behind the training batches, in turn."""
    training = mean.shape[1] * data.training // len(data.weights)
    weights, initial = layer.running_weights()
    share = np.bincount(np.arange(len(weights)) % training, weights, training)
    unbiased = data.batch / (data.batch - 1) if np.isfinite(data.batch) else 1.0
    mean[:, training:] = (mean[:, :training] @ share)[:, None]
    variance[:, training:] = (initial + unbiased * variance[:, :training] @ share)[:, None]


@act.register(LayerNorm)
@act.register(GroupNorm)
def _(layer, particles, data):
    """A group of features has infinitely many neurons, like the layer."""
    centred = particles.values - particles.over_neurons(particles.values)
    variance = particles.over_neurons(centred**2)
    return layer.scale * _divide(centred, variance, layer.epsilon) + layer.shift


@act.register
def _(layer: RMSNorm, particles, data):
    variance = particles.over_neurons(particles.values**2)
    return layer.scale * _divide(particles.values, variance, layer.epsilon)


@act.register
def _(layer: FeaturePool, particles, data):
    if not isinstance(particles, Particles):
        raise NotImplementedError(
            f"{layer!r} does not act on neurons drawn by group means; give a Dataset, or simulate"
        )
    values = particles.values
    blocks = values[: len(values) // layer.size * layer.size].reshape(-1, layer.size, values.shape[1])
    reduce = {"max": np.max, "average": np.mean, "min": np.min}[layer.reduction]
    return np.repeat(reduce(blocks, axis=1), layer.size, axis=0)


def _divide(values, variance, epsilon):
    """values / sqrt(variance + epsilon), 0 where that is 0/0."""
    total = variance + epsilon
    return values * np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)
