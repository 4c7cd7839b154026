"""References for phases and pools: mpmath integrals, plain recursions, Monte Carlo; imports nothing of the package."""

import mpmath as mp
import numpy as np


def expectation(function, q):
    """E function(sqrt(q) z) in 20 digits, split at 0."""
    with mp.workdps(20):
        root = mp.sqrt(q)
        density = lambda z: mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)  # noqa: E731
        return mp.quad(lambda z: function(root * z) * density(z), [-9, -3, 0, 3, 9])


def kappa(c):
    """The arc-cosine kernel of order 1, normalized."""
    return (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi


def relu_correlation(c, layers):
    """c after so many layers of He-initialized relu, in 60 digits."""
    with mp.workdps(60):
        c = mp.mpf(c)
        for _ in range(layers):
            c = (mp.sqrt(1 - c * c) + (mp.pi - mp.acos(c)) * c) / mp.pi
        return float(c), float((1 - c) * layers**2)


def pooled(function, q, c, reduce, size, draws, seed):
    """(mean, covariance, gap) of pooled pairs, each with its standard error, by Monte Carlo."""
    rng = np.random.default_rng(seed)
    z, noise = rng.standard_normal((2, draws, size))
    u, v = np.sqrt(q) * z, np.sqrt(q) * (c * z + np.sqrt(1 - c * c) * noise)
    a, b = reduce(function(u), axis=1), reduce(function(v), axis=1)
    center = (a.mean() + b.mean()) / 2
    columns = (a + b) / 2, (a - center) * (b - center), (a - b) ** 2 / 2
    return [(column.mean(), column.std() / np.sqrt(draws)) for column in columns]


def batch_near(function, slope, weight, bias, draws, seed):
    """E over neurons of weight E[slope^2]/Var[function] given the bias of the neuron, by the midpoint rule in z."""
    rng = np.random.default_rng(seed)
    z = (np.arange(4000) + 0.5) / 4000 * 18 - 9
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (18 / 4000)
    values = np.sqrt(weight) * z + np.sqrt(bias) * rng.standard_normal((draws, 1))
    h = function(values)
    mean, square = h @ density, h**2 @ density
    ratio = weight * (slope(values) ** 2 @ density) / (square - mean**2)
    return ratio.mean(), ratio.std() / np.sqrt(draws)
