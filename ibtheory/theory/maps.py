r"""What a block does to one exchangeable population in large batches, for many settings at once.

The population is known by (mean, same, gap): m = E h, q = E h^2 and gap = E (h - h')^2 / 2 of two samples, arrays of
one number per setting. ``near`` is the factor by which the gap of two nearly equal samples has grown: the mean squared
singular value of the Jacobian, chi_1 of a whole block. Unlike :mod:`ibtheory.theory.forward`, which follows all pairs
of groups of one network, the rules here act on each setting by itself.
"""

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from ibtheory import _quadrature, gaussian
from ibtheory.layers import Activation, BatchNorm, Dense, FeaturePool, GroupNorm, LayerNorm, Residual, RMSNorm
from ibtheory.theory import octaves, pointwise, pooling
from ibtheory.theory.forward import Refusal
from ibtheory.theory.state import Affine, GaussianField


@dataclass(frozen=True)
class Population:
    """One exchangeable population per setting.

    Attributes
    ----------
    mean, same, gap, near : ndarray (n,)
    field : GaussianField, PooledField or None
        How a neuron is distributed over samples, its ``cov`` and ``gap`` of shape (n,); None: only moments are known.
    start : ndarray (n,)
        ``near`` of the Gaussian of the field.
    """

    mean: np.ndarray
    same: np.ndarray
    gap: np.ndarray
    near: np.ndarray
    field: object
    start: np.ndarray


@dataclass(frozen=True)
class Variances:
    """Weight and bias variances of the settings, arrays (n,), in the place of those of every Dense layer; None: own."""

    weight: np.ndarray | None = None
    bias: np.ndarray | None = None

    def of(self, layer, fan_in):
        """(sigma_w^2, sigma_b^2) of a Dense layer."""
        own = layer.variances(fan_in)
        if self.weight is None:
            return own
        weight, bias = replace(layer, weight_variance=1.0, bias_variance=1.0).variances(fan_in)
        return weight * self.weight, bias * self.bias


def gaussian_population(same, gap, near=1.0):
    """Centred Gaussian neurons of mean square ``same``."""
    same, gap, near = (np.array(x, float) for x in np.broadcast_arrays(same, gap, near))
    return Population(np.zeros(same.shape), same, gap, near, GaussianField(same - gap, gap), near)


def through(steps, population, variances):
    """The population behind some steps of a network."""
    for step in steps:
        if isinstance(step.layer, Residual):
            if not isinstance(step.branch[-1].layer, Dense):
                raise Refusal(f"at {step.name}: the branch must end in Dense, so that it is independent of the stream")
            population = add(population, through(step.branch, population, variances))
        elif isinstance(step.layer, Dense):
            weight, bias = variances.of(step.layer, step.fan_in)
            population = gaussian_population(
                weight * population.same + bias, weight * population.gap, weight * population.near
            )
        else:
            population = act(step.layer, population)
    return population


def add(stream, branch):
    """The sum of a stream and a branch that ends in Dense and is therefore independent of it, with mean 0."""
    same, gap, near = stream.same + branch.same, stream.gap + branch.gap, stream.near + branch.near
    if is_gaussian(stream.field):
        return gaussian_population(same, gap, near)
    return Population(stream.mean, same, gap, near, None, near)


def is_gaussian(field):
    """Whether a neuron is a Gaussian, without a function behind it."""
    return isinstance(field, GaussianField) and not field.chain


@singledispatch
def act(layer, population):
    """The population behind a layer without weights."""
    raise NotImplementedError(f"no rule for {type(layer).__name__} with many settings at once")


@act.register
def _(layer: Activation, population):
    field = population.field
    if field is None:
        raise Refusal(f"{layer.function.name} follows an output whose law over neurons is not known")
    field = replace(field, chain=(*field.chain, layer.function))
    mean, same, gap, slope = _moments(field)
    return Population(mean, same, gap, population.start * slope, field, population.start)


def _moments(field):
    """(mean, second moment, gap, E slope^2) of a chain that ends with an activation."""
    base = _base(field)
    q, groups = base.cov + base.gap, np.arange(base.gap.size)
    om = np.where(q > 0, base.gap / np.where(q > 0, q, 1.0), 0.0)
    apart = np.flatnonzero(om > 0)
    gap = np.zeros(q.shape)
    if isinstance(field, pooling.PooledField) and field.pool.reduction != "average":
        mean, same = pooling.singles(field, groups, q)
        slope = pooling.slopes(field, groups, q)
        for part in _alike(q, apart):
            gap[part] = _gap(field, q[part], om[part], part)
        return mean, same, gap, slope
    f, phi = _integrand(field, groups, q), field.chain[0]
    if len(field.chain) == 1 and phi.closed:
        mean, same, slope = (
            gaussian.mean(phi, q),
            gaussian.second(phi, q),
            gaussian.derivative_dual(phi, q, q, 1.0, 0.0),
        )
    else:
        slope = _quadrature.expectation(_integrand(field, groups, q, derivative=True), q, lambda values, _: values**2)
        mean, same = (_quadrature.expectation(f, q, lambda values, _, power=power: values**power) for power in (1, 2))
    for part in _alike(q, apart):
        if len(field.chain) == 1:
            gap[part] = _gap(field, q[part], om[part], part)
        else:
            g, variance = _quadrature.take(f, part), q[part]
            gap[part] = _quadrature.pair(g, g, _quadrature.half_square, variance, variance, 1 - om[part], om[part])
    return mean, same, gap, slope


def _gap(field, q, om, part):
    """Gaps of settings ``part``, whose variances share an octave: from a table where one activation alone acts."""
    pooled = isinstance(field, pooling.PooledField) and field.pool.reduction != "average"
    links = (*field.base.chain, *field.chain) if pooled else field.chain
    alone = len(links) == 1 and not isinstance(links[0], Affine)

    def exact(q, om):
        if not pooled:
            return gaussian.gap(links[0], q, one_minus_c=om)
        lanes = np.arange(q.size) if alone else part
        variances = q if alone else field.base.cov + field.base.gap
        return pooling.gaps(field, lanes, variances, om)

    closed = alone and links[0].closed and not links[0].closed.costly
    if not alone or (closed and (links[0].slopes or not pooled)):
        return exact(q, om)
    return octaves.gap((links[0], field.pool if pooled else None), exact, q, om)


def _base(field):
    return field.base if isinstance(field, pooling.PooledField) else field


def _integrand(field, groups, q, derivative=False):
    """The chain as an integrand; that of one function is shared, so that equal variances are done once."""
    f = pointwise.integrand(field, groups, q, derivative=derivative)
    return replace(f, groups=None) if len(field.chain) == 1 else f


def _alike(q, chosen):
    """``chosen`` in parts whose variances share an octave, for the largest of a part sets the nodes of all."""
    order = chosen[np.argsort(q[chosen], kind="stable")]
    level = np.floor(np.log2(np.maximum(q[order], 1e-300)))
    return np.split(order, np.flatnonzero(np.diff(level)) + 1) if order.size else []


@act.register(LayerNorm)
@act.register(GroupNorm)
def _(layer, population):
    scale = _inverse_root(population.same - population.mean**2, layer.epsilon)
    return _affine(population, layer.scale * scale, layer.shift - layer.scale * scale * population.mean)


@act.register
def _(layer: RMSNorm, population):
    return _affine(population, layer.scale * _inverse_root(population.same, layer.epsilon), 0.0)


@act.register
def _(layer: BatchNorm, population):
    """In a large batch a neuron loses its mean over the data; what is left are its deviations, of variance gap."""
    if layer.fresh:
        return _affine(population, layer.scale / np.sqrt(1 + layer.epsilon), layer.shift)
    if layer.mode == "running":
        raise Refusal("BatchNorm with running statistics of training batches has no map of one population")
    squared = np.square(layer.scale * _inverse_root(population.gap, layer.epsilon))
    gap, near = squared * population.gap, squared * population.near
    if not _alike_neurons(population.field):
        near = layer.scale**2 * _near_by_neuron(population, layer.epsilon)
    if is_gaussian(population.field):
        normed = gaussian_population(gap, gap, near)
        return _affine(normed, 1.0, layer.shift) if layer.shift else normed
    shift = np.full(gap.shape, layer.shift)
    return Population(shift, gap + shift**2, gap, near, None, near)


def _alike_neurons(field):
    """Whether all neurons have the same variance over the data: those of a Gaussian, or without means of their own."""
    return is_gaussian(field) or (field is not None and np.all(np.abs(_base(field).cov) <= 1e-15 * _base(field).gap))


def _near_by_neuron(population, epsilon):
    """E (slope^2 / (variance + epsilon)), averaged over the means Z ~ N(0, cov) of the neurons; NaN if not known."""
    field = population.field
    if not isinstance(field, GaussianField):
        return np.full(population.gap.shape, np.nan)
    near = np.empty(field.gap.shape)
    for part in _alike(field.cov + field.gap, np.arange(field.gap.size)):
        near[part] = _over_neurons(field, part, epsilon)
    return population.start * near


def _over_neurons(field, part, epsilon):
    """E (slope^2 / (variance + epsilon)) of settings ``part``, by the trapezoidal rule over Z."""
    step = 0.2
    z = step * np.arange(-45, 46)
    lane = np.repeat(part, z.size)
    center = (np.sqrt(np.maximum(field.cov[part], 0.0))[:, None] * z).ravel()
    variance = field.gap[lane]
    chains = (_integrand(field, lane, field.cov + field.gap, derivative=slope) for slope in (False, True))
    value, slope = (_shifted(f, center) for f in chains)
    mean, second = (_quadrature.expectation(value, variance, lambda v, _, k=k: v**k) for k in (1, 2))
    square = _quadrature.expectation(slope, variance, lambda v, _: v**2)
    spread = np.maximum(second - mean**2, 0.0) + epsilon
    ratio = np.where(spread > 0, square / np.where(spread > 0, spread, 1.0), 0.0).reshape(len(part), -1)
    return step * ratio @ _quadrature.density(z)


def _shifted(f, center):
    """The integrand around ``center``, which differs from lane to lane."""

    def function(values, part):
        return f.function(values + center[part].reshape(-1, *[1] * (values.ndim - 1)), part)

    return _quadrature.Integrand(function, f.kinks - center[:, None], f.step, np.arange(center.size))


def _affine(population, scale, shift):
    """Every neuron times scale plus shift."""
    scale, shift = (np.broadcast_to(x, population.same.shape) for x in (scale, shift))
    mean = scale * population.mean + shift
    same = scale**2 * (population.same - population.mean**2) + mean**2
    gap, near = scale**2 * population.gap, scale**2 * population.near
    field = population.field
    if is_gaussian(field) and not shift.any():
        return gaussian_population(same, gap, near)
    if field is not None:
        field = replace(field, chain=(*field.chain, Affine(scale, shift)))
    return Population(mean, same, gap, near, field, population.start)


@act.register
def _(layer: FeaturePool, population):
    reason = pooling.obstacle(layer, population.field)
    if reason:
        raise Refusal(f"{layer!r} {reason}")
    if layer.reduction == "average":
        mean, size = population.mean, layer.size
        same = (population.same - mean**2) / size + mean**2
        gap, near = population.gap / size, population.near / size
        if not is_gaussian(population.field):
            return Population(mean, same, gap, near, None, near)
        return Population(mean, same, gap, near, pooling.PooledField(GaussianField(same - gap, gap), layer), near)
    field = pooling.PooledField(population.field, layer)
    mean, same, gap, slope = _moments(field)
    return Population(mean, same, gap, population.start * slope, field, population.start)


def _inverse_root(variance, epsilon):
    total = variance + epsilon
    return np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)
