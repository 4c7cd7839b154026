"""Empirical averages over the neurons of a finite layer for pairs of samples: mean shifts and covariances."""

from dataclasses import dataclass

import numpy as np

from ibtheory import _quadrature, fractions
from ibtheory.layers import LayerNorm

_LEGENDRE = np.polynomial.legendre.leggauss(20)
_HERMITE = np.polynomial.hermite_e.hermegauss(40)
_ENTRIES = ((0, 0), (1, 1), (0, 1))  # which second moment each entry of a kernel is


@dataclass(frozen=True)
class Kernel:
    """Kernel (aa, bb, ab) of pairs: infinite-width value, shift of the mean, covariance; (P, 3), (P, 3), (P, 3, 3)."""

    value: np.ndarray
    shift: np.ndarray
    cov: np.ndarray

    def affine(self, weight, bias):
        """The kernel behind a dense layer."""
        return Kernel(weight * self.value + bias, weight * self.shift, weight**2 * self.cov)


@dataclass(frozen=True)
class Averages:
    """Averages (h_a^2, h_b^2, h_a h_b, h_a, h_b) over neurons: value, shift (P, 5), covariance (P, 5, 5).

    The covariance is ``carried`` from the kernel below plus the ``noise`` of finitely many neurons.
    """

    value: np.ndarray
    shift: np.ndarray
    carried: np.ndarray
    noise: np.ndarray

    @property
    def cov(self):
        return self.carried + self.noise

    @property
    def kernel(self):
        return Kernel(self.value[:, :3], self.shift[:, :3], self.cov[:, :3, :3])


def averages(phi, kernel, width, normed=None):
    """Averages of phi over ``width`` neurons whose kernel is random; ``normed``: the norm just before, or None."""
    nodes = _Nodes(phi, kernel.value)
    h = phi.function(nodes.u), phi.function(nodes.v)
    x = np.stack([h[0] ** 2, h[1] ** 2, h[0] * h[1], *h], axis=1)  # (P, 5, M)
    value = nodes.mean(x)
    slope = nodes.product(x, nodes.first())  # (P, 5, 3)
    noise = (nodes.product(x, x) - value[:, :, None] * value[:, None, :]) / width
    spread = kernel.cov
    if normed is not None:
        # neurons on the Stiefel manifold: their second moments do not fluctuate
        wishart = _wishart(kernel.value) / width
        spread = spread - wishart
        noise = noise - _sandwich(slope, wishart)
        if normed is LayerNorm:
            drift = nodes.product(x, nodes.scores)  # derivative by a shift of u, v: (P, 5, 2)
            noise = noise - _sandwich(drift, _matrix(kernel.value) / width)
    shift = np.einsum("pik,pk->pi", slope, kernel.shift) + 0.5 * nodes.mean(x * nodes.second(spread)[:, None])
    return Averages(value, shift, _sandwich(slope, kernel.cov), noise)


def _sandwich(slope, cov):
    return slope @ cov @ slope.transpose(0, 2, 1)


def normalized_before(kernel, width):
    """Correlation of the ``width`` neurons at hand: the Wishart spread joins that of the kernel."""
    return normalized(Kernel(kernel.value, kernel.shift, kernel.cov + _wishart(kernel.value) / width))


def normalized(kernel):
    """(1, 1, K_ab / sqrt(K_aa K_bb)) by the delta method."""
    a, b, r = kernel.value.T
    root = np.sqrt(a * b)
    c = r / root
    slope = np.stack([-c / (2 * a), -c / (2 * b), 1 / root], axis=-1)
    bend = np.zeros((len(a), 3, 3))
    bend[:, 0, 0], bend[:, 1, 1] = 0.75 * c / a**2, 0.75 * c / b**2
    bend[:, 0, 1] = bend[:, 1, 0] = c / (4 * a * b)
    bend[:, 0, 2] = bend[:, 2, 0] = -1 / (2 * a * root)
    bend[:, 1, 2] = bend[:, 2, 1] = -1 / (2 * b * root)
    value, shift, cov = np.ones_like(kernel.value), np.zeros_like(kernel.value), np.zeros_like(kernel.cov)
    value[:, 2] = c
    shift[:, 2] = np.sum(slope * kernel.shift, axis=-1) + 0.5 * np.einsum("pij,pij->p", bend, kernel.cov)
    cov[:, 2, 2] = np.einsum("pi,pij,pj->p", slope, kernel.cov, slope)
    return Kernel(value, shift, cov)


def normalized_after(x, centred):
    """The norm over features behind the activation: LayerNorm takes the means away first."""
    if not centred:
        return normalized(x.kernel)
    m, n = x.value[:, 3], x.value[:, 4]
    value = x.value[:, :3] - np.stack([m * m, n * n, m * n], axis=-1)
    slope = np.zeros((len(m), 3, 5))
    slope[:, [0, 1, 2], [0, 1, 2]] = 1
    slope[:, 0, 3], slope[:, 1, 4] = -2 * m, -2 * n
    slope[:, 2, 3], slope[:, 2, 4] = -n, -m
    square = np.stack([x.cov[:, 3, 3], x.cov[:, 4, 4], x.cov[:, 3, 4]], axis=-1)
    shift = np.einsum("pik,pk->pi", slope, x.shift) - square
    return normalized(Kernel(value, shift, _sandwich(slope, x.cov)))


def agreement_shift(kernel, classes):
    """E S_C(c) - S_C(c_infinite) of each pair, c = K_ab / sqrt(K_aa K_bb), to order 1/width: (P,)."""
    correlation = normalized(kernel)
    c, shift, variance = correlation.value[:, 2], correlation.shift[:, 2], correlation.cov[:, 2, 2]
    # in t = arcsin c, where S_C is smooth up to c = 1
    cosine = np.sqrt(np.clip(1 - c * c, 1e-300, None))
    t, h = np.arcsin(np.clip(c, -1, 1)), 1e-3
    t = np.clip(t, -np.pi / 2 + h, np.pi / 2 - h)
    low, middle, high = (fractions.agreement(np.sin(t + k * h), classes) for k in (-1, 0, 1))
    slope, bend = (high - low) / (2 * h), (high - 2 * middle + low) / h**2
    mean = shift / cosine + 0.5 * c * variance / cosine**3
    return slope * mean + 0.5 * bend * variance / cosine**2


def row(weights, kernel):
    """Shift of (same, cross, gap, mean), averaged over pairs with these weights."""
    same = weights @ (kernel.shift[:, 0] + kernel.shift[:, 1]) / 2
    cross = weights @ kernel.shift[:, 2]
    return np.array([same, cross, same - cross, 0.0])


def _matrix(value):
    """The 2 x 2 kernel of each pair."""
    a, b, r = value.T
    return np.stack([np.stack([a, r], -1), np.stack([r, b], -1)], -2)


def _wishart(value):
    """n times the covariance of the empirical second moments of n Gaussian pairs: K_ik K_jl + K_il K_jk."""
    K = _matrix(value)
    rows = [[K[:, i, k] * K[:, j, l] + K[:, i, l] * K[:, j, k] for k, l in _ENTRIES] for i, j in _ENTRIES]
    return np.array(rows).transpose(2, 0, 1)


class _Nodes:
    """Quadrature nodes for pairs: values u, v (P, M), weights, and the scores K^-1 (u, v)."""

    def __init__(self, phi, value):
        x, y, self.weights = _grid(phi, value)
        a, b, r = value.T[:, :, None]
        self.u = np.sqrt(a) * x
        self.v = r / np.sqrt(a) * x + np.sqrt(np.clip(b - r * r / a, 1e-300, None)) * y
        self.inverse = np.linalg.inv(_matrix(value))
        self.scores = np.einsum("pij,pjm->pim", self.inverse, np.stack([self.u, self.v], axis=1))

    def mean(self, values):
        """Means over the nodes, the last axis of values (P, k, M)."""
        return np.einsum("pkm,pm->pk", values, self.weights)

    def product(self, left, right):
        """Means of the products of (P, k, M) and (P, l, M): (P, k, l)."""
        return (left * self.weights[:, None]) @ right.transpose(0, 2, 1)

    def first(self):
        """Polynomials whose averages with f are d/dK of E f: (P, 3, M)."""
        p, P = self.scores, self.inverse
        entries = [p[:, i] * p[:, j] - P[:, i, j, None] for i, j in _ENTRIES]
        return np.stack([entries[0] / 2, entries[1] / 2, entries[2]], axis=1)

    def second(self, spread):
        """The polynomial whose average with f is (d^2/dK^2 E f) : spread, (P, M)."""
        p, P = self.scores, self.inverse[..., None]
        factor = (0.5, 0.5, 1.0)
        total = np.zeros_like(self.u)
        for s, first in enumerate(_ENTRIES):
            for t, second in enumerate(_ENTRIES):
                total += factor[s] * factor[t] * spread[:, s, t, None] * _fourth(p, P, *first, *second)
        return total


def _fourth(p, P, i, j, k, l):
    """The fourth Hermite polynomial of a Gaussian with scores p and inverse covariance P."""
    pairings = (
        P[:, i, j] * p[:, k] * p[:, l]
        + P[:, k, l] * p[:, i] * p[:, j]
        + P[:, i, k] * p[:, j] * p[:, l]
        + P[:, i, l] * p[:, j] * p[:, k]
        + P[:, j, k] * p[:, i] * p[:, l]
        + P[:, j, l] * p[:, i] * p[:, k]
    )
    constant = P[:, i, j] * P[:, k, l] + P[:, i, k] * P[:, j, l] + P[:, i, l] * P[:, j, k]
    return p[:, i] * p[:, j] * p[:, k] * p[:, l] - pairings + constant


def _grid(phi, value):
    """Standard normal nodes x, y and weights, each (P, M): polar for a kink at 0, else a product rule."""
    if phi.kinks == (0.0,):
        return _polar(value)
    x, w = _panels(np.linspace(-8, 8, 13)) if phi.kinks else _HERMITE
    w = w * _quadrature.density(x) if phi.kinks else w / np.sqrt(2 * np.pi)
    shape = (len(value), x.size**2)
    return tuple(np.broadcast_to(z, shape) for z in (np.repeat(x, x.size), np.tile(x, x.size), np.outer(w, w).ravel()))


def _panels(edges):
    """Gauss-Legendre nodes and weights on panels (..., e): (..., 20 (e - 1))."""
    half, middle = np.diff(edges) / 2, (edges[..., 1:] + edges[..., :-1]) / 2
    shape = (*edges.shape[:-1], -1)
    nodes = middle[..., None] + half[..., None] * _LEGENDRE[0]
    return nodes.reshape(shape), (half[..., None] * _LEGENDRE[1]).reshape(shape)


def _polar(value):
    """Angles cut where u = 0 or v = 0, radii up to 10."""
    a, b, r = value.T
    turn = np.arccos(np.clip(r / np.sqrt(a * b), -1, 1))  # v is largest at this angle
    right = np.full_like(turn, np.pi / 2)
    edges = np.sort(np.stack([-right, right, turn - right, turn + right], axis=-1), axis=-1)
    angle, weight = _panels(np.concatenate([edges, edges[:, :1] + 2 * np.pi], axis=-1))
    radius, radial = _panels(np.array([0.0, 3.0, 10.0]))
    radial = radial * radius * np.exp(-0.5 * radius**2) / (2 * np.pi)
    nodes = [(f(angle)[:, :, None] * radius).reshape(len(a), -1) for f in (np.cos, np.sin)]
    return *nodes, (weight[:, :, None] * radial).reshape(len(a), -1)
