"""The forward reading: one rule per kind of layer, ``forward(layer, state, fan_in, rng) -> state``.

A rule relies only on what the form of the state assures, and refuses with the remedy where that is not enough.
"""

from dataclasses import replace
from functools import singledispatch

import numpy as np
from scipy.special import ndtr

from ibtheory import _quadrature
from ibtheory.layers import Activation, BatchNorm, Dense, FeaturePool, GroupNorm, LayerNorm, RMSNorm
from ibtheory.theory import pointwise, pooling, population, sphere
from ibtheory.theory.state import DRAWN, Affine, GaussianField, Particles, SphereField


class Refusal(NotImplementedError):
    """A rule needs more of the state than is known; the message says what to do instead."""


@singledispatch
def forward(layer, state, fan_in, rng):
    """The state after a layer.

    Parameters
    ----------
    layer : a layer of :mod:`ibtheory.layers`
    state : State
    fan_in : int
        Features that come in.
    rng : numpy.random.Generator
        For the rules that draw neurons.

    Raises
    ------
    Refusal
        Where the form of the state does not determine the result.
    """
    kinds = ", ".join(sorted(kind.__name__ for kind in forward.registry if kind is not object))
    raise NotImplementedError(f"no forward rule for {type(layer).__name__}; there are rules for {kinds}")


@forward.register
def _(layer: Dense, state, fan_in, rng):
    weight, bias = layer.variances(fan_in)
    cov, gap = state.cross, weight * state.gap
    cov *= weight
    cov += bias
    return state.with_moments(np.zeros_like(state.mean), cov, gap, GaussianField(cov, gap))


@forward.register
def _(layer: Activation, state, fan_in, rng):
    field = state.field
    if field is None:
        raise Refusal(
            f"{layer.function.name} follows an output whose law over neurons is not known (BatchNorm after an "
            'activation, or a sum with one); predict(..., closure="sampled") draws neurons instead, or simulate'
        )
    if isinstance(field, DRAWN):
        return _particles(layer, state)
    if isinstance(field, SphereField):
        field = SphereField(field.batch, (*field.chain, layer.function))
        return _on_sphere(state, field)
    if isinstance(field, pooling.PooledField):
        field = replace(field, chain=(*field.chain, layer.function))
        return state.with_moments(*pooling.moments(field), field)
    field = GaussianField(field.cov, field.gap, (*field.chain, layer.function))
    return state.with_moments(*pointwise.moments(field), field)


@forward.register
def _(layer: FeaturePool, state, fan_in, rng):
    field = state.field
    if isinstance(field, DRAWN):
        return _particles(layer, state)
    reason = pooling.obstacle(layer, field)
    if reason:
        raise Refusal(f"{layer!r} {reason}; simulate instead")
    if layer.reduction == "average":
        mean, cov, gap = pooling.average(state, layer.size)
        field = pooling.PooledField(GaussianField(cov, gap), layer) if _is_gaussian(state) else None
        return state.with_moments(mean, cov, gap, field)
    field = pooling.PooledField(field, layer)
    return state.with_moments(*pooling.moments(field), field)


@forward.register(LayerNorm)
@forward.register(GroupNorm)
def _(layer, state, fan_in, rng):
    """At infinite width a group of features is as good as all of them."""
    if isinstance(state.field, DRAWN):
        return _particles(layer, state)
    gap = state.gap - np.square(np.subtract.outer(state.mean, state.mean)) / 2  # of the centred neurons
    variance = np.diagonal(state.cov) + np.diagonal(state.gap)
    scale = _inverse_root(variance, layer.epsilon)
    new = _rescale(np.zeros_like(state.mean), state.cov, gap, variance, scale)
    return _affine(state, state.field, new, scale, -scale * state.mean, layer.scale, layer.shift)


@forward.register
def _(layer: RMSNorm, state, fan_in, rng):
    if isinstance(state.field, DRAWN):
        return _particles(layer, state)
    scale = _inverse_root(state.same, layer.epsilon)
    new = _rescale(scale * state.mean, state.cov, state.gap, state.same, scale)
    return _affine(state, state.field, new, scale, np.zeros_like(scale), layer.scale, 0.0)


@forward.register
def _(layer: BatchNorm, state, fan_in, rng):
    data = state.data
    if isinstance(state.field, DRAWN):
        return _particles(layer, state)
    if layer.fresh:  # mean 0, variance 1
        ones = np.full_like(state.mean, 1 / np.sqrt(1 + layer.epsilon))
        new = _rescale(ones * state.mean, state.cov, state.gap, state.same, ones)
        return _affine(state, state.field, new, ones, np.zeros_like(ones), layer.scale, layer.shift)
    population = data.by_batch and not data.concrete
    if layer.mode == "batch" and population:
        return _batch_norm(layer, state)
    if layer.mode == "running" and not data.training:
        raise Refusal("no training batches are known here for the running statistics of BatchNorm; simulate instead")
    if layer.mode == "running" and population and _is_gaussian(state):
        return _running(layer, state)
    return _particles(layer, sample(state, "BatchNorm", rng))


def _batch_norm(layer, state):
    """One exchangeable population: over a batch each neuron has mean 0 and mean square 1, whatever its law."""
    batch, size = state.data.batch, len(state.mean)
    squared = _shrunk(np.diagonal(state.gap), layer.epsilon) * (1 - _dead(state))
    inside = 1 / (batch - 1) if np.isfinite(batch) else 0.0
    cov = -inside * np.diag(squared)
    gap = np.add.outer(squared, squared) / 2 - cov
    field = None
    if _is_gaussian(state) and np.isfinite(batch):
        field = SphereField(int(batch), () if np.all(squared == 1) else (Affine(np.sqrt(squared), np.zeros(size)),))
    elif _is_gaussian(state):
        field = GaussianField(cov, gap)
    new = (np.zeros(size), cov, gap)
    ones, zeros = np.ones(size), np.zeros(size)
    return _affine(state, field, new, ones, zeros, layer.scale, layer.shift)


def _shrunk(variance, epsilon):
    """variance / (variance + epsilon), 0 for 0/0."""
    total = variance + epsilon
    return np.where(total > 0, variance / np.where(total > 0, total, 1.0), 0.0)


def _running(layer, state):
    """One population in large batches: each neuron less a share of its mean over the training batches, then scaled.

    The first index is a training batch, the second one the data.
    """
    _, initial = layer.running_weights()
    variance = np.diagonal(state.gap)
    scale = _inverse_root(np.array([variance[0], initial + (1 - initial) * variance[0]]), layer.epsilon)
    centring = np.array([[0.0, 0.0], [initial - 1, 1.0]])
    cov = np.outer(scale, scale) * (centring @ state.cov @ centring.T)
    variance = scale**2 * variance
    second = np.diagonal(cov) + variance
    gap = np.where(np.eye(2, dtype=bool), variance, np.add.outer(second, second) / 2 - cov)
    ones, zeros = np.ones(2), np.zeros(2)
    return _affine(state, GaussianField(cov, gap), (zeros, cov, gap), ones, zeros, layer.scale, layer.shift)


def _dead(state):
    """Probability that a rectified neuron is off on its whole batch: its output there is 0/0 = 0."""
    field, batch = state.field, state.data.batch
    rectified = (
        isinstance(field, GaussianField)
        and len(field.chain) == 1
        and getattr(field.chain[0], "slopes", None) is not None
        and 0.0 in field.chain[0].slopes
    )
    if not rectified or not np.isfinite(batch):
        return 0.0
    ratio = np.sqrt(max(field.cov[0, 0], 0.0) / field.gap[0, 0]) if field.gap[0, 0] > 0 else np.inf
    h = 0.02
    z = h * np.arange(-450, 451)
    return float(h * _quadrature.density(z) @ ndtr(-ratio * z) ** batch)


def sample(state, why, rng):
    """The same moments, with neurons drawn; ``why`` names the layer that needs them."""
    if isinstance(state.field, DRAWN):
        return state
    if not isinstance(state.field, GaussianField):
        raise Refusal(f"{why}: the neurons of this layer cannot be drawn, only its moments are known; simulate instead")
    if state.data.concrete:
        particles = population.draw(state.field, state.data, rng)
    elif np.isinf(state.data.batch):
        particles = population.draw_groups(state.field, rng)
    else:
        raise Refusal(f'{why} needs drawn neurons: predict(..., closure="sampled"), or give a Dataset')
    return replace(state, field=particles)


def add(stream, branch, ends_dense, closure, rng):
    """The sum of a residual stream and its branch, which its last dense layer makes independent of the stream."""
    if isinstance(stream.field, Particles) or isinstance(branch.field, Particles):
        if ends_dense:
            stream, branch = sample(stream, "Residual", rng), sample(branch, "Residual", rng)
        if not (isinstance(stream.field, Particles) and isinstance(branch.field, Particles)):
            raise Refusal("the branch of a Residual must end in Dense here; simulate instead")
        particles = Particles(stream.field.values + branch.field.values)
        return stream.with_moments(*particles.moments(), particles)
    if not ends_dense:
        raise Refusal(
            "the branch of a Residual must end in Dense, so that it is independent of the stream; "
            "scale inside the branch, or simulate"
        )
    if closure == "sampled" and stream.data.concrete and not _is_gaussian(stream):
        return add(sample(stream, "Residual", rng), branch, ends_dense, closure, rng)
    mean, cov, gap = stream.mean + branch.mean, stream.cov + branch.cov, stream.gap + branch.gap
    # the gap of the sum: the two are independent and the branch has mean 0
    field = GaussianField(cov, gap) if _is_gaussian(stream) else None
    return stream.with_moments(mean, cov, gap, field)


def _is_gaussian(state):
    return isinstance(state.field, GaussianField) and not state.field.chain


def _particles(layer, state):
    particles = population.behind(layer, state.field, state.data)
    return state.with_moments(*particles.moments(), particles)


def _on_sphere(state, field):
    mean, inside, gap, variance = sphere.moments(field)
    size = len(state.mean)
    own = np.eye(size, dtype=bool)
    cov = np.where(own, inside, 0.0)
    return state.with_moments(np.full(size, mean), cov, np.where(own, gap, variance), field)


def _inverse_root(variance, epsilon):
    total = variance + epsilon
    return np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)


def _rescale(mean, cov, gap, variance, scale):
    """Moments of scale[g] h[g], for E h^2 = variance: (mean, cov, gap) with the gap in terms of gaps."""
    pair = np.outer(scale, scale)
    # E (a h - b h')^2 / 2 = a b gap + (a - b)(a v - b v') / 2
    drift = 0.5 * np.subtract.outer(scale, scale) * np.subtract.outer(scale * variance, scale * variance)
    return mean, pair * cov, pair * gap + drift


def _affine(state, field, moments, scale, shift, gain, offset):
    """The state with ``moments``, then gain and offset; its field: scale, shift, gain, offset joined to the chain."""
    mean, cov, gap = moments
    mean, cov, gap = gain * mean + offset, gain**2 * cov, gain**2 * gap
    link = Affine(gain * scale, gain * shift + offset)
    if isinstance(field, GaussianField):
        if not field.chain and not link.shift.any():
            field = GaussianField(cov, gap)
        else:
            field = GaussianField(field.cov, field.gap, (*field.chain, link))
    elif isinstance(field, pooling.PooledField):
        field = replace(field, chain=(*field.chain, link))
    elif isinstance(field, SphereField) and not (np.all(link.scale == 1) and not link.shift.any()):
        field = SphereField(field.batch, (*field.chain, link))
    return state.with_moments(mean, cov, gap, field)
