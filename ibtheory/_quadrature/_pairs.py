"""Averages over a pair of Gaussian variables, keeping relative precision where the result vanishes."""

from dataclasses import replace

import numpy as np

from ibtheory._quadrature import _differences, _pieces
from ibtheory._quadrature._rules import (
    LARGEST_STEP,
    chunks,
    density,
    edges_between,
    lattice,
    panels,
    scaled_kinks,
    take,
)
from ibtheory._quadrature._single import expectation, hermite, variance

SERIES = 0.5  # |c| up to which the Hermite series is summed: fast, and exact as c -> 0
_ORDERS = 57  # 0.5^57 is below rounding
_WIDE = 4000.0  # variance in squared steps from which the trapezoidal rule takes too many nodes
_CROSSING = np.array([-8.0, -2.7, 2.7, 8.0])


def dual(f, g, q1, q2, c, om):
    """E f(u) g(v) for arrays q1, q2, c, om = 1 - c of shape (n,)."""
    mean1, mean2 = expectation(f, q1), expectation(g, q2)
    return mean1 * mean2 + centred(f, g, q1, q2, c, om, (mean1, mean2))


def centred(f, g, q1, q2, c, om, means=None):
    """E f(u) g(v) - E f(u) E g(v), keeping its relative precision as c -> 0."""
    means = means or (expectation(f, q1), expectation(g, q2))
    value = np.zeros(c.size)
    alive = (q1 > 0) & (q2 > 0)
    near, far = alive & (np.abs(c) <= SERIES), alive & (np.abs(c) > SERIES)
    if near.any():
        a, b = (hermite(take(h, near), q[near], _ORDERS)[:, 1:] for h, q in ((f, q1), (g, q2)))
        value[near] = np.sum(a * b * c[near, None] ** np.arange(1, _ORDERS), axis=-1)
    if far.any() and f.pieces and g is f:
        shift = (mean[far] for mean in means)
        value[far] = _in_pieces(take(f, far), _pieces.product, q1[far], q2[far], c[far], om[far], *shift)
    elif far.any():
        first, second = (_less(take(h, far), mean[far]) for h, mean in zip((f, g), means, strict=True))
        value[far] = pair(first, second, np.multiply, q1[far], q2[far], c[far], om[far])
    return value


def gap(f, g, q1, q2, c, om):
    """E (f(u) - g(v))^2 / 2, keeping its relative precision as c -> 1."""
    value = np.empty(c.size)
    apart = np.abs(c) <= SERIES
    if apart.any():
        first, second, *pairs = take(f, apart), take(g, apart), q1[apart], q2[apart]
        m1, m2 = (expectation(h, q) for h, q in zip((first, second), pairs, strict=True))
        spread = sum(variance(h, q, m) for h, q, m in zip((first, second), pairs, (m1, m2), strict=True))
        spread += (m1 - m2) ** 2
        value[apart] = 0.5 * spread - centred(first, second, *pairs, c[apart], om[apart], (m1, m2))
    close = ~apart
    if f.pieces and g is f:
        value[close] = _in_pieces(take(f, close), _pieces.half_square, q1[close], q2[close], c[close], om[close])
        return value
    if f.derivative is not None:
        close &= _differences.apart(q1, q2, om) * f.reach < _differences.length(f)
        value[close] = _average(
            take(f, close), take(g, close), _differences.half_square(f), q1[close], q2[close], c[close], om[close]
        )
        close = ~apart & ~close
    value[close] = pair(take(f, close), take(g, close), half_square, q1[close], q2[close], c[close], om[close])
    return value


def _less(f, mean):
    """f less its mean."""

    def function(values, part):
        return f.function(values, part) - mean[part].reshape(-1, *[1] * (values.ndim - 1))

    return replace(f, function=function)


def pair(f, g, combine, q1, q2, c, om):
    """E combine(f(u), g(v)) for arrays q1, q2, c, om = 1 - c of shape (n,)."""

    def values(f, g, u, v, apart, part):
        return combine(f.function(u, part), g.function(v, part))

    return _average(f, g, values, q1, q2, c, om)


def half_square(a, b):
    """(a - b)^2 / 2, whose expectation is the gap."""
    return 0.5 * np.square(a - b)


def _average(f, g, combine, q1, q2, c, om):
    """E combine(f, g, u, v, u - v, part)."""
    if not (f.smooth and g.smooth):
        return _kinked(f, g, combine, q1, q2, c, om, g.kinks)
    result, largest = np.empty(q1.size), np.maximum(q1, q2)
    wide = largest * np.sqrt(om * (1 + c)) > _WIDE * min(f.step, g.step) ** 2
    for some, rule in ((~wide, _smooth), (wide, _graded)):
        if some.any():
            pairs = (values[some] for values in (q1, q2, c, om))
            result[some] = rule(take(f, some), take(g, some), combine, *pairs)
    return result


def _graded(f, g, combine, q1, q2, c, om):
    """Panels whose width grows from the scale of f on, for large variances."""
    scale = 8 * min(f.step, g.step)
    ladder = scale * 2.0 ** np.arange(np.ceil(np.log2(f.reach * np.sqrt(max(q1.max(), q2.max())) / scale)))
    edges = np.broadcast_to(np.concatenate([-ladder[::-1], [0.0], ladder]), (q1.size, 2 * ladder.size + 1))
    f, g = replace(f, kinks=edges), replace(g, kinks=edges)
    return _kinked(f, g, combine, q1, q2, c, om, np.zeros((q1.size, 1)))


def _smooth(f, g, combine, q1, q2, c, om):
    """The trapezoidal rule in rotated variables, for pairs that need steps of about the same size together.

    With a^2 = (1 + c)/2 and b^2 = (1 - c)/2: u = sqrt(q1) (a x + b y), v = sqrt(q2) (a x - b y), so that a function of
    u - v keeps its relative precision as c -> 1 (b comes from om = 1 - c).
    """
    a, b = np.sqrt(np.clip(1 - om / 2, 0, 1)), np.sqrt(np.clip(om / 2, 0, 1))
    root1, root2 = np.sqrt(q1), np.sqrt(q2)
    difference = _differences.root_difference(q1, q2)
    density = np.maximum(np.maximum(root1, root2) * np.stack([a, b]) / min(f.step, g.step), 1 / LARGEST_STEP)
    density, back = np.unique(2 ** (np.ceil(2 * np.log2(density)) / 2), axis=1, return_inverse=True)
    reach = max(f.reach, g.reach)
    result = np.empty(q1.size)
    for index, (along_density, across_density) in enumerate(density.T):
        x, y, w = _disc(1 / along_density, 1 / across_density, reach)
        members = np.flatnonzero(back == index)
        for slot in chunks(members.size, x.size):
            part = members[slot]
            column = (part, None)
            along, across = a[column] * x, b[column] * y
            u, v = root1[column] * (along + across), root2[column] * (along - across)
            apart = difference[column] * along + (root1 + root2)[column] * across
            result[part] = combine(f, g, u, v, apart, part) @ w
    return result


def _disc(step_x, step_y, reach):
    """Nodes and weights of the trapezoidal rule for two standard normal variables, up to the distance ``reach``."""
    (x, wx), (y, wy) = lattice(step_x, reach), lattice(step_y, reach)
    i, j = np.nonzero(np.add.outer(x * x, y * y) <= reach * reach)
    return x[i], y[j], wx[i] * wy[j]


def _kinked(f, g, combine, q1, q2, c, om, crossed):
    """Panels between the kinks, and around those of ``g`` that v crosses as x changes.

    u = sqrt(q1) x, v = sqrt(q2) (c x + s y). Given x, the kinks of ``g`` cut the inner integral over y; as functions
    of x they cross the range of y within a few s/|c| of kink/(sqrt(q2) c), where the outer panels are refined.
    """
    reach, fine = max(f.reach, g.reach), f.fine
    spread = np.sqrt(np.clip(om * (1 + c), 0, 1))
    difference = _differences.root_difference(q1, q2) + np.sqrt(q2) * om
    result = np.empty(q1.size)
    for part in chunks(q1.size, 20 * _outer_panels(f, crossed) * 20 * (4 + g.kinks.shape[1])):
        root1, root2 = np.sqrt(q1[part])[:, None], np.sqrt(q2[part])[:, None]
        cos, sin = c[part][:, None], spread[part][:, None]
        x, wx = _outer(f, reach, crossed, part, root1, root2, cos, sin)
        middle = (cos * x)[..., None]
        cut = scaled_kinks(scaled_kinks(g.kinks[part], root2)[:, None, :] - middle, sin[..., None])
        y, wy = panels(edges_between(reach, cut), fine)
        u = np.broadcast_to((root1 * x)[..., None], y.shape)
        across = (root2 * sin)[..., None] * y
        v = root2[..., None] * middle + across
        apart = (difference[part][:, None] * x)[..., None] - across
        inside = np.sum(wy * density(y) * combine(f, g, u, v, apart, part), axis=-1)
        result[part] = np.sum(wx * density(x) * inside, axis=-1)
    return result


def _outer_panels(f, crossed):
    return 4 + f.kinks.shape[1] + _CROSSING.size * crossed.shape[1]


def _outer(f, reach, crossed, part, root1, root2, cos, sin):
    """Nodes and weights in x: between the kinks of f, denser where v crosses one."""
    width = scaled_kinks(sin, np.abs(cos))
    crossing = scaled_kinks(crossed[part], root2 * cos)[..., None]
    with np.errstate(invalid="ignore"):
        near = np.nan_to_num(crossing + width[..., None] * _CROSSING, nan=np.inf).reshape(len(cos), -1)
    return panels(edges_between(reach, scaled_kinks(f.kinks[part], root1), near), f.fine)


def _in_pieces(f, average, q1, q2, c, om, *means):
    """As :func:`_kinked` for a piecewise polynomial, whose ``average`` over y is in closed form."""
    spread = np.sqrt(np.clip(om * (1 + c), 0, 1))
    difference = _differences.root_difference(q1, q2) + np.sqrt(q2) * om
    result = np.empty(q1.size)
    for part in chunks(q1.size, 20 * _outer_panels(f, f.kinks)):
        root1, root2 = np.sqrt(q1[part])[:, None], np.sqrt(q2[part])[:, None]
        cos, sin = c[part][:, None], spread[part][:, None]
        x, w = _outer(f, f.reach, f.kinks, part, root1, root2, cos, sin)
        if means:
            first, second = average(f, root1 * x, root2 * cos * x, root2 * sin)
            values = (first - means[0][part][:, None]) * (second - means[1][part][:, None])
        else:
            values = average(f, root1 * x, -difference[part][:, None] * x, root2 * sin)
        result[part] = np.sum(w * density(x) * values, axis=-1)
    return result
