"""Expectations over one and two Gaussians of functions given as callables, smooth or kinked.

An :class:`Integrand` maps an array of shape (pairs, ...) to values of that shape, so that each pair may bring its own
parameters. Every routine works on the standardized variables x, y ~ N(0, 1) with u = sqrt(q1) x and
v = sqrt(q2) (c x + s y), s^2 = 1 - c^2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

REACH = 9.0  # the Gaussian density beyond is 1e-18
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_CHUNK = 2_000_000  # function values held at a time
_ALL = slice(None)


@dataclass(frozen=True)
class Integrand:
    """A function of a Gaussian variable.

    Attributes
    ----------
    function : callable
        (values (pairs, ...), part) -> values; ``part`` is the slice of the pairs in hand.
    kinks : ndarray (pairs, k)
        Where it is not smooth, padded with inf; k = 0 for an analytic function.
    step : float
        Step of the trapezoidal rule per unit of the argument, for an analytic function.
    groups : ndarray (pairs,) of int or None
        Pairs of one group share function and variance; None: all share the function.
    """

    function: Callable
    kinks: np.ndarray
    step: float
    groups: np.ndarray | None = None

    @property
    def smooth(self):
        return self.kinks.shape[1] == 0


def expectation(f, q, transform=lambda values, u: values, degree=0):
    """E transform(f(u), u), u ~ N(0, q), for q of shape (n,); ``degree`` of a polynomial factor in the transform.

    What many pairs have in common is integrated once.
    """
    key = q if f.groups is None else f.groups
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    f, q = take(f, first), q[first]

    def function(u):
        return transform(f.function(u, _ALL), u)

    if f.smooth:
        # a polynomial of degree k oscillates on the scale 1/sqrt(k)
        return trapezoid(function, q, f.step / np.sqrt(1 + degree))[back]
    return single(function, q, f.kinks)[back]


def pair(f, g, combine, q1, q2, c, om):
    """E combine(f(u), g(v)) for arrays q1, q2, c, om = 1 - c of shape (n,)."""
    if f.smooth and g.smooth:
        return smooth_pair(f.function, g.function, combine, q1, q2, c, om, min(f.step, g.step))
    return kinked_pair(f.function, g.function, combine, q1, q2, c, om, f.kinks, g.kinks)


def half_square(a, b):
    """(a - b)^2 / 2, whose expectation is the gap."""
    return 0.5 * np.square(a - b)


def hermite(f, q, orders):
    """Normalized Hermite coefficients of z -> f(sqrt(q) z) for each of the orders: (n, orders)."""
    key = q if f.groups is None else f.groups
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    f, root = take(f, first), np.sqrt(q[first])

    def scaled(values, part):
        return f.function(root[part].reshape(-1, *[1] * (values.ndim - 1)) * values, part)

    kinks = f.kinks / root[:, None]
    unit = Integrand(scaled, kinks, f.step / max(root.max(), 1e-300), np.arange(len(first)))
    ones = np.ones(len(first))

    def weighted(k):
        return lambda values, z: values * hermite_polynomial(z, k)

    return np.stack([expectation(unit, ones, weighted(k), degree=k) for k in orders], axis=-1)[back]


def hermite_polynomial(z, k):
    """He_k(z)/sqrt(k!) by its stable recurrence."""
    previous, current = np.zeros_like(z), np.ones_like(z)
    for j in range(k):
        previous, current = current, (z * current - np.sqrt(j) * previous) / np.sqrt(j + 1)
    return current


def centred(f, g, q1, q2, c, om):
    """E f(u) g(v) - E f(u) E g(v), keeping its relative precision as c -> 0: there by its Hermite series."""
    value = np.zeros(c.size)
    near = (np.abs(c) < 0.2) & (q1 > 0) & (q2 > 0)
    far = ~near & (q1 > 0) & (q2 > 0)
    if near.any():
        orders = np.arange(1, 25)  # 0.2^24 is below rounding
        a, b = (hermite(take(h, near), q[near], orders) for h, q in ((f, q1), (g, q2)))
        value[near] = np.sum(a * b * c[near, None] ** orders, axis=-1)
    if far.any():
        f, g, q1, q2 = take(f, far), take(g, far), q1[far], q2[far]
        product = pair(f, g, np.multiply, q1, q2, c[far], om[far])
        value[far] = product - expectation(f, q1) * expectation(g, q2)
    return value


def take(f, index):
    """The integrand of some of the pairs, given by index or as a mask."""
    index = np.arange(len(f.kinks))[index]
    groups = None if f.groups is None else f.groups[index]
    return Integrand(lambda values, part: f.function(values, index[part]), f.kinks[index], f.step, groups)


def density(x):
    """The standard normal density."""
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def _panels(edges):
    """Gauss-Legendre nodes and weights on the panels between sorted edges: (..., e) -> (..., 20 (e - 1))."""
    half = np.diff(edges, axis=-1) / 2
    middle = (edges[..., 1:] + edges[..., :-1]) / 2
    nodes = middle[..., None] + half[..., None] * _NODES
    weights = half[..., None] * _WEIGHTS
    shape = (*edges.shape[:-1], -1)
    return nodes.reshape(shape), weights.reshape(shape)


def _edges(*breaks):
    """Sorted panel edges within the reach, from arrays (..., k) of break points."""
    fixed = np.array([-REACH, -4.5, -1.5, 1.5, 4.5, REACH])
    shape = np.broadcast_shapes(*(b.shape[:-1] for b in breaks))
    parts = [np.broadcast_to(fixed, (*shape, fixed.size))]
    parts += [np.broadcast_to(b, (*shape, b.shape[-1])) for b in breaks]
    return np.sort(np.clip(np.concatenate(parts, axis=-1), -REACH, REACH), axis=-1)


def single(function, q, kinks):
    """E function(sqrt(q) x) for q of shape (n,), kinks (n, k): panels between the kinks."""
    root = np.sqrt(q)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, w = _panels(_edges(np.nan_to_num(kinks / root, nan=np.inf)))
    return np.sum(w * density(x) * function(root * x), axis=-1)


def trapezoid(function, q, step):
    """E function(sqrt(q) x) of an analytic function, q of shape (n,): the trapezoidal rule of step ``step``/sqrt q."""
    h = min(0.45, step / max(np.sqrt(q.max(initial=0.0)), 1e-300))
    x = h * np.arange(-int(REACH / h), int(REACH / h) + 1)
    return h * function(np.sqrt(q)[:, None] * x) @ density(x)


def chunks(count, nodes):
    """Slices of ``count`` pairs that hold at most a few million values at ``nodes`` nodes each."""
    size = max(1, _CHUNK // nodes)
    return [slice(start, start + size) for start in range(0, count, size)]


def smooth_pair(first, second, combine, q1, q2, c, om, step):
    """E combine(first(u), second(v)) of analytic functions, by the trapezoidal rule in rotated variables.

    With a^2 = (1 + c)/2 and b^2 = (1 - c)/2: u = sqrt(q1) (a x + b y), v = sqrt(q2) (a x - b y), so that a function of
    u - v keeps its relative precision as c -> 1 (b comes from om = 1 - c).
    """
    a, b = np.sqrt(np.clip(1 - om / 2, 0, 1)), np.sqrt(np.clip(om / 2, 0, 1))
    scale = np.sqrt(max(q1.max(initial=0.0), q2.max(initial=0.0), 1e-300))
    grids = []
    for factor in (a.max(initial=0.0), b.max(initial=0.0)):
        h = min(0.45, step / (scale * max(factor, 1e-300)))
        x = h * np.arange(-int(REACH / h), int(REACH / h) + 1)
        grids.append((x, h * density(x)))
    (x, wx), (y, wy) = grids
    result = np.empty(q1.size)
    for part in chunks(q1.size, x.size * y.size):
        column = (part, None, None)
        along, across = a[column] * x[:, None], b[column] * y
        u, v = np.sqrt(q1)[column] * (along + across), np.sqrt(q2)[column] * (along - across)
        values = combine(first(u, part), second(v, part))
        result[part] = np.einsum("pxy,x,y->p", values, wx, wy, optimize=True)
    return result


def kinked_pair(first, second, combine, q1, q2, c, om, kinks1, kinks2):
    """E combine(first(u), second(v)) of functions that are smooth between their kinks.

    Given x, the kinks of ``second`` cut the inner integral over y; as functions of x they cross the range of y within
    a few s/|c| of kink/(sqrt(q2) c), where the outer panels are refined.
    """
    result = np.empty(q1.size)
    outer = 6 + kinks1.shape[1] + 7 * kinks2.shape[1] - 1
    inner = 6 + kinks2.shape[1] - 1
    for part in chunks(q1.size, 400 * outer * inner):
        root1, root2 = np.sqrt(q1[part])[:, None], np.sqrt(q2[part])[:, None]
        cos, spread = c[part][:, None], np.sqrt(np.clip(om[part] * (1 + c[part]), 0, 1))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.nan_to_num(kinks1[part] / root1, nan=np.inf)
            crossing = np.nan_to_num(kinks2[part] / (root2 * cos), nan=np.inf)
            width = np.nan_to_num(np.abs(spread / cos), nan=np.inf, posinf=1e9)
            offsets = width[..., None] * np.array([-8.0, -3.5, -1.0, 0.0, 1.0, 3.5, 8.0])
            near = (crossing[..., None] + offsets).reshape(len(cos), -1)
            x, wx = _panels(_edges(own, np.nan_to_num(near, nan=np.inf)))
            cut = (kinks2[part][:, None, :] / root2[..., None] - (cos * x)[..., None]) / spread[..., None]
            y, wy = _panels(_edges(np.nan_to_num(cut, nan=np.inf)))
        u = np.broadcast_to((root1 * x)[..., None], y.shape)
        v = root2[..., None] * ((cos * x)[..., None] + spread[..., None] * y)
        values = combine(first(u, part), second(v, part))
        inside = np.sum(wy * density(y) * values, axis=-1)
        result[part] = np.sum(wx * density(x) * inside, axis=-1)
    return result
