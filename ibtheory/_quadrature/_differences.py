"""f(u) - f(v) of close u and v from the derivative, so that no constant in f costs precision."""

import numpy as np

from ibtheory._quadrature._rules import chunks, density, edges_between, lattice, panels, scaled_kinks

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def root_difference(q1, q2):
    """sqrt(q1) - sqrt(q2), formed from q1 - q2."""
    total = np.sqrt(q1) + np.sqrt(q2)
    return (q1 - q2) / np.where(total > 0, total, 1.0)


def apart(q1, q2, om):
    """A scale of u - v, per standard deviation."""
    return np.abs(root_difference(q1, q2)) + np.sqrt(2 * om * np.maximum(q1, q2))


def length(f):
    """Distance of u and v up to which 4 nodes of the derivative suffice."""
    return 0.5 * (f.step if f.smooth else 0.25)


def half_square(f):
    """(f(u) - f(v))^2 / 2 as what :mod:`ibtheory._quadrature._pairs` averages; ``f`` holds the derivative."""

    def combine(_f, _g, u, v, apart, part):
        return 0.5 * np.square(difference(f, v, apart))

    return combine


def difference(f, v, apart):
    """f(v + apart) - f(v): the mean slope in between, piece by piece where a kink lies there, and the jumps."""
    value = apart * _mean_slope(f, v, apart)
    for kink, jump in zip(f.kinks[0], f.jumps, strict=True):
        inside = (v - kink) * (v + apart - kink) < 0
        value[inside] = _across(f, kink, v[inside], apart[inside]) + jump * np.sign(apart[inside])
    return value


def _across(f, kink, v, apart):
    """The part of a difference that the slopes on both sides of one kink make."""
    before, behind = kink - v, v + apart - kink
    return before * _mean_slope(f, v, before) + behind * _mean_slope(f, kink, behind)


def _mean_slope(f, start, length):
    return sum(w * f.derivative(start + t * length) for t, w in zip(_NODES, _WEIGHTS, strict=True))


def radial(f, q1, q2):
    """E (f(sqrt(q1) z) - f(sqrt(q2) z))^2 / 2, the gap at c = 1, of arrays (n,)."""
    value = np.zeros(q1.size)
    scale = apart(q1, q2, 0.0)
    close = (scale > 0) & (scale * f.reach < length(f))
    for some, differ in ((close, True), ((scale > 0) & ~close, False)):
        if some.any():
            value[some] = _radial(f, q1[some], q2[some], differ)
    return value


def _radial(f, q1, q2, close):
    root1, root2, between = np.sqrt(q1)[:, None], np.sqrt(q2)[:, None], root_difference(q1, q2)[:, None]
    result = np.empty(q1.size)
    if f.smooth:
        lattice_of = lattice(f.step / max(root1.max(), root2.max()), f.reach)
        size = lattice_of[0].size
    else:
        kinks = np.broadcast_to(f.kinks[:1], (q1.size, f.kinks.shape[1]))
        size = 28 * (8 + 2 * f.kinks.shape[1])
    for part in chunks(q1.size, 4 * size):
        if f.smooth:
            z, w = lattice_of
        else:
            cuts = (scaled_kinks(kinks[part], root[part]) for root in (root1, root2))
            z, w = panels(edges_between(f.reach, *cuts), f.fine)
            w = w * density(z)
        v, apart = root2[part] * z, between[part] * z
        values = difference(f, v, apart) if close else f.function(root1[part] * z, part) - f.function(v, part)
        result[part] = np.sum(0.5 * w * values**2, axis=-1)
    return result
