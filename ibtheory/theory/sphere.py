"""Moments of pointwise functions of a batch-normalized Gaussian batch, exact for every batch size.

A batch of B iid Gaussian values, centred and normalized, is uniform on the sphere of radius sqrt(B) in the B - 1
dimensions orthogonal to (1, ..., 1): each coordinate is sqrt(B - 1) w with density ~ (1 - w^2)^((B - 4)/2), two of them
have correlation -1/(B - 1).
"""

from functools import lru_cache

import numpy as np

from ibtheory.theory.state import Affine, apply_chain

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_LEVELS = np.array([0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0])  # panel edges in standard deviations


def moments(field):
    """(mean, cov, gap, variance): of one value, of two in the same batch; ``variance`` is the gap across batches."""
    return _moments(field.batch, _Frozen(field.chain))


class _Frozen:
    """A chain of one group as a hashable key, so that equal blocks of a network are integrated once."""

    def __init__(self, chain):
        self.chain = chain
        self.key = tuple(
            (float(link.scale[0]), float(link.shift[0])) if isinstance(link, Affine) else link for link in chain
        )

    def __hash__(self):
        return hash(self.key)

    def __eq__(self, other):
        return self.key == other.key

    def __call__(self, values):
        flat = np.asarray(values, float).reshape(1, -1)
        return apply_chain(self.chain, flat, np.zeros(1, int)).reshape(np.shape(values))

    def kinks(self, reach):
        """Where the chain is not smooth on [-reach, reach]; found on a grid where it is a composition."""
        found = []
        for index, link in enumerate(self.chain):
            for kink in getattr(link, "kinks", ()):
                found += self._solve(index, kink, reach)
        return np.unique(found)

    def _solve(self, index, level, reach):
        if index == 0:
            return [level]
        inner = _Frozen(self.chain[:index])
        x = np.linspace(-reach, reach, 1202)
        sign = np.sign(inner(x) - level)
        at = np.nonzero(sign[:-1] * sign[1:] < 0)[0]
        low, high, rising = x[at], x[at + 1], sign[at + 1]
        for _ in range(60):
            middle = (low + high) / 2
            beyond = (inner(middle) - level) * rising > 0
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return list(low)


@lru_cache(maxsize=256)
def _moments(batch, chain):
    if batch == 2:  # the two values are +1 and -1
        values = chain(np.array([1.0, -1.0]))
        mean = values.mean()
        variance = np.mean((values - mean) ** 2)
        return mean, np.prod(values - mean), 0.5 * np.diff(values)[0] ** 2, variance
    dimension = batch - 1
    kinks = chain.kinks(np.sqrt(dimension))
    x, w = _marginal(dimension, kinks)
    mean = w @ chain(x)
    variance = w @ (chain(x) - mean) ** 2
    u, v, w = _pair(dimension, kinks)
    first, second = chain(u), chain(v)
    cov = w @ ((first - mean) * (second - mean))
    return mean, cov, w @ (0.5 * (first - second) ** 2), variance


def _panels(edges):
    edges = np.unique(edges)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * _NODES).ravel(), (half[:, None] * _WEIGHTS).ravel()


def _marginal(dimension, kinks):
    """Nodes and weights for one coordinate sqrt(d) sin(t): density ~ cos(t)^(d - 2)."""
    root = np.sqrt(dimension)
    cuts = np.concatenate([-_LEVELS, _LEVELS, kinks]) / root
    t, w = _panels(np.concatenate([np.arcsin(np.clip(cuts, -1, 1)), [-np.pi / 2, np.pi / 2]]))
    w = w * np.cos(t) ** (dimension - 2)
    return root * np.sin(t), w / w.sum()


def _pair(dimension, kinks):
    """Nodes and weights for two coordinates: radius sin(p) in their plane, uniform angle a."""
    root = np.sqrt(dimension)
    between = np.arccos(-1 / dimension)
    if dimension == 2:
        radii, radial = np.ones(1), np.ones(1)
    else:
        cuts = np.concatenate([_LEVELS, np.abs(kinks)]) / root
        p, radial = _panels(np.concatenate([np.arcsin(np.clip(cuts, 0, 1)), [0, np.pi / 2]]))
        # the radius has density ~ rho (1 - rho^2)^((d - 4)/2)
        with np.errstate(divide="ignore"):
            density = np.log(np.sin(p)) + (dimension - 3) * np.log(np.cos(p))
        radii, radial = np.sin(p), radial * np.exp(density - density.max())
    us, vs, ws = [], [], []
    for rho, weight in zip(radii, radial / radial.sum(), strict=True):
        turn = np.arccos(np.clip(kinks / (root * rho), -1, 1))
        cuts = np.concatenate([turn, -turn, between + turn, between - turn, np.arange(8) * np.pi / 4]) % (2 * np.pi)
        a, w = _panels(np.concatenate([cuts, [0, 2 * np.pi]]))
        us.append(root * rho * np.cos(a))
        vs.append(root * rho * np.cos(a - between))
        ws.append(weight * w / (2 * np.pi))
    return np.concatenate(us), np.concatenate(vs), np.concatenate(ws)
