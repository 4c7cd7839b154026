r"""Moments of features pooled in blocks: the largest, the mean or the smallest of ``size`` independent neurons.

For a nondecreasing phi, max phi(u_i) = phi(M) with M the largest of the Gaussians. Over a pair of samples, H being the
bivariate normal distribution function, (M, M') has the distribution function H^k and the density

    k H^(k-1) H_st + k (k-1) H^(k-2) H_s H_t:

the largest are the same neuron, or two different ones. For two neurons and a piecewise-linear phi through the origin,
E grad . grad' is one integral over the angle between two correlated vectors of the plane, and Price's theorem gives
covariance and gap.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, owens_t

from ibtheory import _closed, _quadrature
from ibtheory.layers import FeaturePool
from ibtheory.theory import pointwise
from ibtheory.theory.state import Affine, GaussianField, correlation

_NARROWEST = 0.03
_STEP = 0.25  # of the trapezoidal rule, at which normal distribution functions have converged
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_PANELS = ((0.0, np.pi / 4, 8), (np.pi / 4, 3 * np.pi / 4, 2), (3 * np.pi / 4, np.pi, 1))


@dataclass(frozen=True)
class PooledField:
    """A neuron is ``chain`` applied to the largest or smallest of ``pool.size`` independent neurons of ``base``.

    Of an average, ``base`` is already the Gaussian field of the mean.
    """

    base: GaussianField
    pool: FeaturePool
    chain: tuple = ()


def obstacle(pool, field):
    """Why a field cannot be pooled, in words that follow the name of the pool, or "" if it can."""
    if isinstance(field, PooledField):
        return "pools features that are pooled already, which are equal in pairs"
    if pool.reduction == "average":
        return ""
    if not isinstance(field, GaussianField):
        return "needs the law of the neurons it compares, and only their moments are known here"
    if not all(isinstance(link, Affine) or _nondecreasing(link) for link in field.chain):
        return "has theory for nondecreasing activations, which it commutes with, and this one is not"
    return ""


def moments(field):
    """(mean, cov, gap) over groups of a :class:`PooledField`."""
    if field.pool.reduction == "average":
        return pointwise.moments(GaussianField(field.base.cov, field.base.gap, field.chain))
    same = _variances(field.base)
    c, om = correlation(same, field.base.cov, field.base.gap)
    upper = np.triu_indices(len(same))
    mean, _ = singles(field, np.arange(len(same)), same)
    cov, gap = pairs(field, *upper, same, c[upper], om[upper])
    return mean, pointwise.symmetric(cov, upper), pointwise.symmetric(gap, upper)


def _variances(field):
    """Of its Gaussian, per group; or per setting, where moments are given for each by itself."""
    total = field.cov + field.gap
    return np.diagonal(total) if total.ndim == 2 else total


def singles(field, groups, same):
    """(mean, second moment) of each of ``groups``; ``same`` are the variances of the base's Gaussian."""
    closed, sign = _closed_forms(field)
    q = same[groups]
    if closed:
        return sign * closed.mean(q), closed.second(q)
    f, density = _standard(field, groups, same), _largest(field.pool.size)
    mean, second = (
        _quadrature.expectation(f, np.ones(len(q)), lambda values, z, power=power: values**power * density(z))
        for power in (1, 2)
    )
    return mean, second


def slopes(field, groups, same):
    """E (d phi/du)^2 of each of ``groups``, summed over the pooled neurons, u the neurons of the base's Gaussian."""
    closed, _ = _closed_forms(field)
    if closed:
        return np.full(len(groups), closed.derivative_dual(1.0, 1.0, 1.0, 0.0))
    f, density = _standard(field, groups, same, derivative=True), _largest(field.pool.size)
    return _quadrature.expectation(f, np.ones(len(groups)), lambda values, z: values**2 * density(z))


def pairs(field, first, second, same, c, om):
    """(cov, gap) of the pairs of groups with correlations c and om = 1 - c of the base's Gaussian."""
    closed, _ = _closed_forms(field)
    q1, q2 = same[first], same[second]
    if closed:
        return closed.centred(q1, q2, c), closed.gap(q1, q2, om)
    f, g = _standard(field, first, same), _standard(field, second, same)
    cov = _expect_pair(f, g, np.multiply, c, om, field.pool.size)
    cov -= singles(field, first, same)[0] * singles(field, second, same)[0]
    return cov, _expect_pair(f, g, _quadrature.half_square, c, om, field.pool.size)


def gaps(field, groups, same, om):
    """The gap alone of pairs of samples of one group each, correlation 1 - om of the base's Gaussian."""
    closed, _ = _closed_forms(field)
    if closed:
        return closed.gap(same[groups], same[groups], om)
    f = _standard(field, groups, same)
    return _expect_pair(f, f, _quadrature.half_square, 1 - om, om, field.pool.size)


def average(state, size):
    """Moments of the mean of ``size`` independent neurons with the moments of ``state``."""
    return state.mean, state.cov / size, state.gap / size + (1 - 1 / size) * _between(state.mean)


def _between(mean):
    return np.square(np.subtract.outer(mean, mean)) / 2


@lru_cache(maxsize=256)
def _nondecreasing(phi):
    """Whether an activation never falls, as far as float64 shows on [-40, 40]."""
    values = phi.function(np.linspace(-40, 40, 8001))
    return bool(np.all(np.diff(values) >= -1e-14 * np.abs(values).max()))


def _largest(size):
    """Density of the largest of ``size`` standard normal variables, over that of one."""
    return lambda z: size * ndtr(z) ** (size - 1)


def _standard(field, groups, same, derivative=False):
    """The function of the largest standard normal variable that each of ``groups`` takes, as an integrand.

    The smallest of u is minus the largest of -u.
    """
    base = GaussianField(field.base.cov, field.base.gap, (*field.base.chain, *field.chain))
    sign = 1.0 if field.pool.reduction == "max" else -1.0
    f = pointwise.integrand(base, groups, same, derivative=derivative)
    root = sign * np.sqrt(same[groups])

    def function(z, part):
        return f.function(root[part].reshape(-1, *[1] * (z.ndim - 1)) * z, part)

    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = np.nan_to_num(f.kinks / root[:, None], nan=np.inf, neginf=np.inf)
    step = min(f.step / max(np.abs(root).max(initial=0.0), 1e-300), _STEP)
    return _quadrature.Integrand(function, kinks, step, np.arange(len(groups)))


def _expect_pair(f, g, combine, c, om, size):
    """E combine(f(M), g(M')), M and M' the largest of ``size`` pairs of correlated standard normal variables."""
    sigma = np.sqrt(np.clip(om * (1 + c), 1e-300, 1))
    # for c -> -1 the distribution function turns into an edge; below -.9995 it is resolved less well
    step = np.where(c < 0, np.maximum(sigma, _NARROWEST), 1.0).min(initial=1.0)
    f, g = (_tagged(h, step) for h in (f, g))
    ones = np.ones(c.size)

    def same_neuron(a, b):
        (s, value, part), (t, other, _) = a, b
        joint = _distribution(s, t, _column(c, part, s), _column(om, part, s))
        return size * joint ** (size - 1) * combine(value, other)

    total = _quadrature.pair(f, g, same_neuron, ones, ones, c, om)
    # two different neurons: s and t are close together where c is large; drawn with ratio kappa of their variances
    kappa = np.where(c > 0, sigma**2 / (2 + sigma**2), 1.0)
    variance, narrow = (1 + kappa) / 2, 2 * kappa / (1 + kappa)

    def two_neurons(a, b):
        (s, value, part), (t, other, _) = a, b
        cosine, gap, width, ratio = (_column(x, part, s) for x in (c, om, sigma, kappa))
        apart = t - s
        weight = np.sqrt(ratio) * np.exp(np.square(apart) * (1 / ratio - 1) / 4)
        weight *= ndtr((apart + gap * s) / width) * ndtr((gap * t - apart) / width)
        if size > 2:
            weight *= _distribution(s, t, cosine, gap) ** (size - 2)
        return size * (size - 1) * weight * combine(value, other)

    return total + _quadrature.pair(f, g, two_neurons, variance, variance, 1 - narrow, narrow)


def _tagged(f, step):
    """The integrand together with its argument and the part of the pairs in hand, for weights that need them."""
    return replace(f, function=lambda z, part: (z, f.function(z, part), part), step=f.step * step)


def _column(values, part, like):
    return values[part].reshape(-1, *[1] * (like.ndim - 1))


def _distribution(h, k, c, om):
    """P(X <= h, Y <= k) of standard normal variables with correlation c, om = 1 - c (Owen 1956)."""
    h, k = (np.where(x == 0, 1e-300, x) for x in (h, k))
    sigma = np.sqrt(np.clip(om * (1 + c), 1e-30, None))
    apart = k - h
    joint = (ndtr(h) + ndtr(k)) / 2 - owens_t(h, (apart + om * h) / (h * sigma))
    joint -= owens_t(k, (om * k - apart) / (k * sigma)) + np.where((h > 0) != (k > 0), 0.5, 0.0)
    return np.clip(joint, 0.0, 1.0)


def _closed_forms(field):
    """(closed forms of a pair of neurons with a piecewise-linear function, sign of its mean) or (None, 1)."""
    links = (*field.base.chain, *field.chain)
    if field.pool.size != 2 or any(isinstance(link, Affine) or link.slopes is None for link in links):
        return None, 1.0
    negative, positive = 1.0, 1.0
    for link in links:
        low, high = link.slopes
        negative = negative * (low if negative > 0 else high)
        positive = positive * (high if positive > 0 else low)
    if field.pool.reduction == "max":
        return piecewise_linear(negative, positive), 1.0
    return piecewise_linear(positive, negative), -1.0  # min phi(u) = - max of -phi(-.) at -u


@lru_cache(maxsize=64)
def piecewise_linear(negative, positive):
    """Closed forms of phi(max(u_1, u_2)), phi(x) = negative x below 0 and positive x above."""
    half, density = 0.5 / np.sqrt(np.pi), 1 / np.sqrt(2 * np.pi)
    mean = positive * (half + density) + negative * (half - density)
    second = positive**2 * (0.75 + 0.5 / np.pi) + negative**2 * (0.25 - 0.5 / np.pi)

    def derivative_dual(q1, q2, c, om):
        return _planar(np.asarray(c, float), np.asarray(om, float), negative, positive)

    def gap(q1, q2, om):
        inside = om[..., None] * _NODES**2  # the slope has a root singularity at c = 1
        along = derivative_dual(1.0, 1.0, 1 - inside, inside) @ (2 * _NODES * _WEIGHTS)
        return np.sqrt(q1 * q2) * om * along + second * _closed.root_gap(q1, q2)

    def centred(q1, q2, c):
        inside = np.where(np.abs(c) < 0.5, c, 0.0)[..., None] * _NODES
        near = c * (derivative_dual(1.0, 1.0, inside, 1 - inside) @ _WEIGHTS)
        far = second - mean**2 - gap(1.0, 1.0, 1 - c)
        return np.sqrt(q1 * q2) * np.where(np.abs(c) < 0.5, near, far)

    return _closed.ClosedForms(
        mean=lambda q: mean * np.sqrt(q),
        second=lambda q: second * q,
        dual=lambda q1, q2, c, om: centred(q1, q2, c) + mean**2 * np.sqrt(q1 * q2),
        derivative_dual=derivative_dual,
        gap=gap,
        centred=centred,
    )


def _planar(c, om, negative, positive):
    """E grad . grad' of phi(max(u_1, u_2)): 2 int p(psi) A(psi), psi the angle between u and u' in the plane.

    p = (1 - c^2) J_1(t) / (2 pi sin(t)^3), cos t = c cos psi, J_1 the arc-cosine kernel; A is the autocorrelation of
    the slope with respect to u_1 as a function of the direction of u.
    """
    flip = c < 0
    c, om = np.abs(c), np.where(flip, 2 - om, om)
    sigma = np.sqrt(np.clip(om * (1 + c), 1e-24, 1))[..., None]
    total = np.zeros(c.shape)
    for low, high, panels in _PANELS:
        start, stop = np.arcsinh(low / sigma), np.arcsinh(high / sigma)
        share = (np.arange(panels)[:, None] + _NODES).ravel() / panels
        x = start + (stop - start) * share
        psi = sigma * np.sinh(x)
        sine = np.sqrt(np.square(sigma * np.cos(psi)) + np.square(np.sin(psi)))
        cosine = c[..., None] * np.cos(psi)
        kernel = sine + (np.pi - np.arctan2(sine, cosine)) * cosine
        density = sigma**2 * kernel / (2 * np.pi * sine**3) * sigma * np.cosh(x) * (stop - start) / panels
        overlap = _overlap(np.where(flip[..., None], np.pi - psi, psi), negative, positive)
        total += (density * overlap) @ np.tile(_WEIGHTS, panels)
    return 4 * total


def _overlap(psi, negative, positive):
    """Autocorrelation A(psi): slope ``positive`` over 3 pi/4 of directions, ``negative`` over the next pi/4, else 0."""
    short = np.clip(0.75 * np.pi - psi, 0, None)
    cross = short + np.minimum(0.75 * np.pi, np.pi - psi)
    more = positive - negative
    return (negative**2 * (np.pi - psi) + more**2 * short + negative * more * cross) / (2 * np.pi)
