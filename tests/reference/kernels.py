"""References for the theory in plain loops, mpmath and Monte Carlo; imports nothing of the package."""

import mpmath as mp
import numpy as np


def relu_gamma(depth, c, weight, bias, norm=None, digits=60):
    """gamma of the logits of a bias-aware ReLU network, from the arc-cosine recursion in ``digits`` digits.

    ``norm``: None, or "layer after". Inputs of unit variance and correlation c.
    """
    with mp.workdps(digits):
        q, r = mp.mpf(1), mp.mpf(c)
        for _ in range(depth):
            q, r = weight * q + bias, weight * r + bias
            rho = r / q
            r = q * (mp.sqrt(1 - rho**2) + rho * (mp.pi - mp.acos(rho))) / (2 * mp.pi)
            m2 = q / (2 * mp.pi)
            q = q / 2
            if norm == "layer after":
                q, r = mp.mpf(1), (r - m2) / (q - m2)
        q, r = weight * q + bias, weight * r + bias
        return float(r / (q - r))


def batch_norm_relu(kernel, nodes=48):
    """E relu(u) relu(u)^T of a batch-normalized Gaussian with this N x N kernel, over the whole batch.

    1/v = int exp(-t v) dt tilts the Gaussian: G = int det(I + 2 t K/N)^(-1/2) J(K (I + 2 t K/N)^-1) dt.
    """
    count = len(kernel)
    centring = np.eye(count) - 1 / count
    kernel = centring @ kernel @ centring
    kernel = kernel * count / np.trace(kernel)
    value, vector = np.linalg.eigh(kernel)
    value = np.clip(value, 0, None)
    x, weights = np.polynomial.legendre.leggauss(nodes)
    total = np.zeros_like(kernel)
    for u, w in zip((x + 1) / 2, weights / 2, strict=True):
        shrink = 1 / (1 + 2 * u / (1 - u) * value / count)
        tilted = (vector * (value * shrink)) @ vector.T
        total += w / (1 - u) ** 2 * np.sqrt(np.prod(shrink)) * arc_cosine(tilted)
    return total


def arc_cosine(kernel):
    """E relu(z) relu(z)^T of a Gaussian with this kernel."""
    root = np.sqrt(np.diagonal(kernel))
    product = np.outer(root, root)
    c = np.clip(kernel / np.where(product > 0, product, 1), -1, 1)
    return product * (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / (2 * np.pi)


def batch_averages(function, batch, draws, seed):
    """(mean, second, product within the batch) of function(BatchNorm(z)), z iid Gaussian, and standard errors."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((draws, batch))
    z = z - z.mean(axis=1, keepdims=True)
    h = function(z / np.sqrt(np.mean(z**2, axis=1, keepdims=True)))
    inside = (h.sum(axis=1) ** 2 - (h**2).sum(axis=1)) / (batch * (batch - 1))
    columns = h.mean(axis=1), (h**2).mean(axis=1), inside
    return [(column.mean(), column.std() / np.sqrt(draws)) for column in columns]


def batch_norm_relu_groups(cross, within, shares, nodes=64):
    """(E h^2 (G,), E h h' (G, G)) of h = relu(BatchNorm(z)) over groups of many samples in a large batch.

    ``cross`` (G, G) is E z z' of distinct samples, ``within`` (G,) the variance inside a group. Given its group means
    Z ~ N(0, cross) a neuron has variance within + Z^T A Z, A = diag(p) - p p^T; 1/variance = int exp(-t variance) dt
    tilts Z, with cross (I + 2 t A cross)^-1 in the place of cross.
    """
    count, mean_within = len(shares), shares @ within
    centring = np.eye(count) - shares
    spread = np.diag(shares) - np.outer(shares, shares)
    x, weights = np.polynomial.legendre.leggauss(nodes)
    same, total = np.zeros(count), np.zeros((count, count))
    for u, w in zip((x + 1) / 2, weights / 2, strict=True):
        t = u / (1 - u) / mean_within
        tilt = np.eye(count) + 2 * t * spread @ cross
        centred = centring @ cross @ np.linalg.inv(tilt) @ centring.T
        factor = w / (1 - u) ** 2 / mean_within * np.exp(-t * mean_within) / np.sqrt(np.linalg.det(tilt))
        second = np.diagonal(centred) + within
        kernel = centred.copy()
        root = np.sqrt(second)
        c = np.clip(kernel / np.outer(root, root), -1, 1)
        total += factor * np.outer(root, root) * (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / (2 * np.pi)
        same += factor * second / 2
    return same, total


def relu_pair(a, b, depth, digits=60):
    """(kernel of the logits, E (z_a - z_b)^2 / 2) of two samples, for a bias-free ReLU network with He weights."""
    with mp.workdps(digits):

        def product(u, v):
            return mp.fsum(mp.mpf(float(x)) * mp.mpf(float(y)) for x, y in zip(u, v, strict=True)) / len(u)

        same = product(a, a), product(b, b)
        root = mp.sqrt(same[0] * same[1])
        c = product(a, b) / root
        for _ in range(depth):
            c = min(max(c, mp.mpf(-1)), mp.mpf(1))
            c = (mp.sqrt(1 - c * c) + c * (mp.pi - mp.acos(c))) / mp.pi
        return float(2 * root * c), float(same[0] + same[1] - 2 * root * c)


def correlations(K):
    """A kernel over the roots of its diagonal, which is exactly 1 then."""
    root = np.sqrt(np.diagonal(K))
    c = np.clip(K / np.outer(root, root), -1, 1)
    np.fill_diagonal(c, 1.0)
    return c
