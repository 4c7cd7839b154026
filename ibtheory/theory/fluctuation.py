r"""How the kernel of samples that are all alike varies around its mean at finite width, to order 1/width.

Of N exchangeable samples the kernel fluctuates by

    dK_aa = mu_1 + alpha_a,      dK_ab = mu_2 + eta_a + eta_b + omega_ab,

with parts that every sample shares, parts of one sample, and a part of each pair that averages to 0 over either sample.
Different parts are uncorrelated, and every layer maps each to itself: with F the map of the kernel,

    mu_1 -> F1 mu_1,  mu_2 -> F3 mu_2 + 2 F2 mu_1,   alpha -> F1 alpha,  eta -> F3 eta + F2 alpha,   omega -> F3 omega,

F1 = dF_aa/dK_aa, F2 = dF_ab/dK_aa, F3 = dF_ab/dK_ab, plus the noise of finitely many neurons.
"""

from dataclasses import dataclass

import numpy as np

from ibtheory import _quadrature, gaussian
from ibtheory.layers import Activation, BatchNorm, Dense, LayerNorm

_STEP = 1e-4  # relative, of the derivatives by the variance
_COMMON = 0.1 * np.arange(-80, 81)  # values of the part of a neuron that all samples share
_OWN = 0.02 * np.arange(-400, 401)  # and of the part of one sample


@dataclass(frozen=True)
class Fluctuation:
    """Covariances of (mu_1, mu_2) and of (alpha, eta), each (2, 2), and the variance of omega."""

    common: np.ndarray
    individual: np.ndarray
    pair: float

    def mapped(self, same, mixed, cross):
        """Behind a map with the slopes F1, F2, F3."""
        common, individual = np.array([[same, 0], [2 * mixed, cross]]), np.array([[same, 0], [mixed, cross]])
        return Fluctuation(
            common @ self.common @ common.T, individual @ self.individual @ individual.T, cross**2 * self.pair
        )

    def __add__(self, other):
        return Fluctuation(self.common + other.common, self.individual + other.individual, self.pair + other.pair)

    def centred(self):
        """Behind centring over the data: variances of the (shared, own) part of K_aa, of the pair."""
        shared, own = np.array([1.0, -1.0]), np.array([1.0, -2.0])
        return shared @ self.common @ shared, own @ self.individual @ own, self.pair

    def same(self):
        """Variance of K_aa."""
        return self.common[0, 0] + self.individual[0, 0]


def of_inputs(moments, features):
    """Of a law with finitely many iid Gaussian features around a fixed common part; none for a dataset."""
    if not moments.exchangeable:
        return Fluctuation(np.zeros((2, 2)), np.zeros((2, 2)), 0.0)
    weights = moments.weights
    common, spread = weights @ np.diagonal(moments.cross), weights @ np.diagonal(moments.gap)
    own = np.array([[4 * common * spread + 2 * spread**2, 2 * common * spread], [2 * common * spread, common * spread]])
    return Fluctuation(np.zeros((2, 2)), own / features, spread**2 / features)


def through(blocks, averages, start):
    """Fluctuation of the kernel of the logits.

    Parameters
    ----------
    blocks : list
        Of :func:`ibtheory.theory.finite.blocks_of`.
    averages : list of tuple
        (same, cross, gap, mean) of the input and behind every layer.
    start : Fluctuation
        Of the inputs.
    """
    now, row = start, 0
    for block in blocks:
        normed = None
        for index, (layer, step) in enumerate(block):
            same, cross, gap, mean = averages[row]
            row += 1
            if isinstance(layer, Dense):
                weight, _ = layer.variances(step.fan_in)
                now = now.mapped(weight, 0.0, weight)
            elif isinstance(layer, BatchNorm):
                _, own, pair = now.centred()
                now = Fluctuation(np.zeros((2, 2)), np.diag([own, 0.0]) / gap**2, pair / gap**2)
            elif isinstance(layer, Activation):
                centre = any(isinstance(later, LayerNorm) for later, _ in block[index + 1 :])
                now = _activated(layer.function, now, same, max(cross, 0.0), centre, normed, step.units)
            else:
                normed = type(layer)
                square = mean**2 if normed is LayerNorm else 0.0
                same, cross = same - square, cross - square
                now = now.mapped(0.0, -cross / (2 * same**2), 1 / same)
    return now


def _activated(phi, now, q, r, centre, normed, units):
    """Behind phi; ``centre``: about its mean over neurons; ``normed``: the norm over features just before, or None."""
    c, m = min(r / q, 1.0), gaussian.mean(phi, q) if centre else 0.0

    def second(q):
        return gaussian.second(phi, q) - (gaussian.mean(phi, q) ** 2 if centre else 0.0)

    def cross(q):
        return gaussian.centred(phi, q, c=c) + (0.0 if centre else gaussian.mean(phi, q) ** 2)

    radial, joint = ((f(q * (1 + _STEP)) - f(q * (1 - _STEP))) / (2 * _STEP) for f in (second, cross))
    slope = gaussian.derivative_dual(phi, q, q, c)
    slopes = radial / q, (joint - slope * r) / (2 * q), slope
    noise = _noise(lambda u: phi.function(u) - m, q, r, None if normed is None else (radial, joint), normed)
    return now.mapped(*slopes) + Fluctuation(noise.common / units, noise.individual / units, noise.pair / units)


def _noise(f, q, r, radial, normed):
    """Of one neuron f(u), u = sqrt(r) Z + sqrt(q - r) e with Z shared by all samples.

    A norm over features just before takes out what follows the mean square, and for LayerNorm the mean, of the neurons.
    """
    weights = [0.1 * _quadrature.density(_COMMON), 0.02 * _quadrature.density(_OWN)]
    u = np.sqrt(r) * _COMMON[:, None] + np.sqrt(q - r) * _OWN
    h = f(u)

    def own(values):
        return values @ weights[1]

    first = own(h)
    square, linear = h * h, np.zeros_like(h)  # K_aa and the part of K_ab that is a sum over its two samples
    if normed is not None:
        excess = u * u / q - 1
        square = square - excess * radial[0]
        linear = -excess * radial[1] / 2
    if normed is LayerNorm:
        square = square - u * (weights[0] @ own(h * h * u)) / q
        linear = linear - u * (weights[0] @ (first * own(h * u))) / (q + r)
    shared = np.stack([own(square), first**2 + 2 * own(linear)])
    around = h - first[:, None]
    single = [square - shared[0][:, None], first[:, None] * around + linear - own(linear)[:, None]]
    shared = shared - (shared @ weights[0])[:, None]
    individual = [[weights[0] @ own(a * b) for b in single] for a in single]
    return Fluctuation((shared * weights[0]) @ shared.T, np.array(individual), weights[0] @ own(around**2) ** 2)
