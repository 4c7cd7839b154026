"""Empirical averages over the neurons of a finite layer for pairs of samples: mean shifts and covariances."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ibtheory import _quadrature, fractions
from ibtheory.layers import LayerNorm

_LEGENDRE = np.polynomial.legendre.leggauss(20)
_HERMITE = np.polynomial.hermite_e.hermegauss(40)
_ENTRIES = ((0, 0), (1, 1), (0, 1))  # which second moment each entry of a kernel is
_DEGREE, _FACTOR = (0, 2, 1), np.array([0.5, 0.5, 1.0])  # of y in an entry, of its Hermite polynomial in d/dK
_WISHART = np.diag([2.0, 2.0, 1.0])  # n times the covariance of the second moments of n pairs of standard normals
_CHUNK = 2**14  # nodes at a time, which fit in the cache


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
    """Averages of phi over ``width`` neurons whose kernel is random; ``normed``: the norm just before, or None.

    Kernels are changed to the coordinates of standard normals x, y in which the pair is L (x, y), K = L L^T; there the
    Wishart covariance is diagonal and derivatives of averages are averages against Hermite polynomials.
    """
    whiten, moments, squares = _whitened(kernel.value), *_expectations(phi, kernel.value)
    value, drift, slope = moments[..., 0], moments[..., 1:3], moments[..., 3:6] * _FACTOR
    noise = (squares - value[:, :, None] * value[:, None, :]) / width
    spread = _sandwich(whiten, kernel.cov)
    if normed is not None:
        # neurons on the Stiefel manifold: their second moments do not fluctuate
        spread = spread - _WISHART / width
        noise = noise - _sandwich(slope, _WISHART / width)
        if normed is LayerNorm:
            noise = noise - drift @ drift.transpose(0, 2, 1) / width
    slope = slope @ whiten
    shift = np.einsum("pik,pk->pi", slope, kernel.shift) + 0.5 * np.einsum(
        "pim,pm->pi", moments[..., 6:], _fourth(spread)
    )
    return Averages(value, shift, _sandwich(slope, kernel.cov), noise)


def _whitened(value):
    """The change of kernel entries (P, 3, 3) that takes the kernel itself to (1, 1, 0)."""
    a, _, r = value.T
    p, rest = 1 / np.sqrt(a), np.sqrt(_rest(value))
    s, q = 1 / rest, -r / (a * rest)
    change = np.zeros((len(a), 3, 3))
    change[:, 0, 0] = p * p
    change[:, 1] = np.stack([q * q, s * s, 2 * q * s], axis=-1)
    change[:, 2, 0], change[:, 2, 2] = p * q, p * s
    return change


def _rest(value):
    """Variance of the second of a pair given the first."""
    a, b, r = value.T
    return np.clip(b - r * r / a, 1e-300, None)


def _fourth(spread):
    """Coefficients (P, 5) of He_(4-k)(x) He_k(y) in the second derivative along a spread (P, 3, 3) of kernels."""
    coefficients = np.zeros((len(spread), 5))
    for s, t in np.ndindex(3, 3):
        coefficients[:, _DEGREE[s] + _DEGREE[t]] += _FACTOR[s] * _FACTOR[t] * spread[:, s, t]
    return coefficients


def _expectations(phi, value):
    """Means of h = (h_a^2, h_b^2, h_a h_b, h_a, h_b) against Hermite polynomials (P, 5, 11), of h h^T (P, 5, 5)."""
    moments, squares = np.empty((len(value), 5, 11)), np.empty((len(value), 5, 5))
    size = max(1, _CHUNK // _grid(phi, value[:1])[0].size)
    for start in range(0, len(value), size):
        part = slice(start, start + size)
        x, y, weights = _grid(phi, value[part])
        a, _, r = value[part].T[:, :, None]
        f, g = phi.function(np.sqrt(a) * x), phi.function(r / np.sqrt(a) * x + np.sqrt(_rest(value[part]))[:, None] * y)
        h = np.stack([f * f, g * g, f * g, f, g], axis=1)
        weighted = h * weights[:, None]
        moments[part] = weighted @ _polynomials(x, y).transpose(0, 2, 1)
        squares[part] = weighted @ h.transpose(0, 2, 1)
    return moments, squares


def _polynomials(x, y):
    """1, x, y; He_2(x), He_2(y), x y; He_(4-k)(x) He_k(y) for k = 0 to 4: (P, 11, M)."""
    x2, y2 = x * x, y * y
    second = x2 - 1, y2 - 1, x * y
    fourth = (x2 - 6) * x2 + 3, (x2 - 3) * second[2], second[0] * second[1], (y2 - 3) * second[2], (y2 - 6) * y2 + 3
    return np.stack([np.ones_like(x), x, y, *second, *fourth], axis=1)


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


def _grid(phi, value):
    """Standard normal nodes x, y and weights, each (P, M): polar for a kink at 0, else a product rule."""
    if phi.kinks == (0.0,):
        return _polar(value, *(_radial_gauss() if phi.slopes else _radial()))
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


def _radial():
    """Nodes and weights for radii up to 10 of a standard normal pair."""
    r, w = _panels(np.array([0.0, 3.0, 10.0]))
    return r, w * r * np.exp(-0.5 * r * r) / (2 * np.pi)


@cache
def _radial_gauss():
    """Four nodes, exact up to degree 7: a homogeneous function leaves polynomials of degree 6 in the radius."""
    r, w = _radial()
    basis, _ = np.linalg.qr(np.sqrt(w)[:, None] * r[:, None] ** np.arange(4))
    nodes, vectors = np.linalg.eigh(basis.T * r @ basis)
    return nodes, w.sum() * vectors[0] ** 2


def _polar(value, radius, radial):
    """Nodes and weights at angles cut where u = 0 or v = 0, from those of the radius."""
    a, b, r = value.T
    turn = np.arccos(np.clip(r / np.sqrt(a * b), -1, 1))  # v is largest at this angle
    right = np.full_like(turn, np.pi / 2)
    edges = np.sort(np.stack([-right, right, turn - right, turn + right], axis=-1), axis=-1)
    angle, weight = _panels(np.concatenate([edges, edges[:, :1] + 2 * np.pi], axis=-1))
    nodes = [(f(angle)[:, :, None] * radius).reshape(len(a), -1) for f in (np.cos, np.sin)]
    return *nodes, (weight[:, :, None] * radial).reshape(len(a), -1)
