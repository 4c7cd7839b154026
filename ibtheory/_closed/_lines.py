r"""Broken lines: phi(x) = b + a x + sum_j s_j max(x - t_j, 0), with kinks t_j anywhere.

With h = t_j/sqrt(q1), k = t_k/sqrt(q2) the dual is a sum of truncated moments E (x - h)_+ (y - k)_+, in closed form by
Owen's T. Since phi'' is a sum of delta functions, Price's theorem applied twice gives what cancels there:

    centred = r E phi' E phi' + sqrt(q1 q2) sum_jk s_j s_k int_0^c (c - c') f_hk(c') dc',
    gap     = radial + sqrt(q1 q2) ((1 - c) E phi'(sqrt(q1) z) phi'(sqrt(q2) z)
                                    - sum_jk s_j s_k int_c^1 (c' - c) f_hk(c') dc'),

f_hk(c) the density at (h, k) of a standard normal pair of correlation c.
"""

from itertools import pairwise, product

import numpy as np
from scipy.special import ndtr, owens_t

from ibtheory._closed._record import ClosedForms, density

_REACH = 9.0
_ZERO = 1e-200  # a kink at 0, whose limit Owen's T takes without a case of its own
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_SINE = 0.25  # below it, sin(acos c) is small enough for the expansion of the gap
_POINTS = 0.5 - 0.5 * np.cos(np.pi * (np.arange(8) + 0.5) / 8)
_TO_POWERS = np.linalg.inv(np.vander(_POINTS, increasing=True))
_CHUNK = 20_000  # pairs whose nodes are held at a time


def broken_line(intercept, slope, kinks, changes):
    """The closed forms of intercept + slope x + sum of changes max(x - kinks, 0)."""
    line = _Line(intercept, slope, np.array(kinks, float), np.array(changes, float))
    return ClosedForms(
        mean=line.mean,
        second=line.second,
        dual=line.dual,
        derivative_dual=line.derivative_dual,
        gap=line.gap,
        centred=line.centred,
        radial=line.radial,
        amplification=line.amplification,
    )


class _Line:
    def __init__(self, intercept, slope, kinks, changes):
        self.intercept, self.slope, self.kinks, self.changes = intercept, slope, kinks, changes
        self.slopes = slope + np.concatenate([[0.0], np.cumsum(changes)])  # of the pieces between kinks
        self.heights = intercept - np.concatenate([[0.0], np.cumsum(changes * kinks)])

    def scaled(self, q):
        """Kinks of the standardized variable, one array per kink; _ZERO for 0."""
        root = np.sqrt(q)
        with np.errstate(divide="ignore"):
            return [t / root if t else np.full_like(root, _ZERO) for t in self.kinks]

    def pieces(self, q):
        """(height, slope, P, E z, E z^2) of each piece, the moments restricted to it."""
        edges = [np.full_like(q, -np.inf), *self.scaled(q), np.full_like(q, np.inf)]
        for index, (low, high) in enumerate(pairwise(edges)):
            mass = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
            first = density(low) - density(high)
            yield self.heights[index], self.slopes[index], mass, first, mass + _times(low) - _times(high)

    def mean(self, q):
        return sum(height * mass + slope * np.sqrt(q) * z for height, slope, mass, z, _ in self.pieces(q))

    def second(self, q):
        root = np.sqrt(q)
        return sum(a * a * mass + 2 * a * b * root * z + b * b * q * zz for a, b, mass, z, zz in self.pieces(q))

    def mean_slope(self, q):
        return sum(slope * mass for _, slope, mass, _, _ in self.pieces(q))

    def pairs(self, q1, q2):
        """(s_j s_k, h, k) of all pairs of kinks."""
        yield from (
            (s * t, h, k)
            for (s, h), (t, k) in product(
                zip(self.changes, self.scaled(q1), strict=True), zip(self.changes, self.scaled(q2), strict=True)
            )
        )

    def dual(self, q1, q2, c, om):
        a, b, root = self.slope, self.intercept, np.sqrt(q1 * q2)
        total = b * (self.mean(q1) + self.mean(q2) - b) + a * root * c * (self.mean_slope(q1) + self.mean_slope(q2) - a)
        for weight, h, k in self.pairs(q1, q2):
            total = total + weight * root * _both_above(h, k, c, om)
        return np.where(root > 0, total, self.mean(q1) * self.mean(q2))

    def derivative_dual(self, q1, q2, c, om):
        total = self.slope * (self.mean_slope(q1) + self.mean_slope(q2) - self.slope)
        for weight, h, k in self.pairs(q1, q2):
            total = total + weight * _quadrant(h, k, *_sides(h, k, c, om))
        return total

    def centred(self, q1, q2, c):
        c, q1, q2 = np.broadcast_arrays(c, q1, q2)
        value = np.empty(c.shape)
        near = np.abs(c) < 0.5
        value[near] = self._centred_near(q1[near], q2[near], c[near])
        q1, q2, c = q1[~near], q2[~near], c[~near]
        value[~near] = self.dual(q1, q2, c, 1 - c) - self.mean(q1) * self.mean(q2)
        return value

    def _centred_near(self, q1, q2, c):
        along = np.expand_dims(c, -1) * _NODES
        weights = np.expand_dims(c * c, -1) * (1 - _NODES) * _WEIGHTS / (2 * np.pi * np.sqrt(1 - along**2))
        bend = 0.0
        for weight, h, k in self.pairs(q1, q2):
            bend = bend + weight * np.sum(weights * _height(h, k, along), axis=-1)
        return np.sqrt(q1 * q2) * (c * self.mean_slope(q1) * self.mean_slope(q2) + bend)

    def gap(self, q1, q2, om):
        om, q1, q2 = np.broadcast_arrays(om, q1, q2)
        value = np.empty(om.shape)
        near = (om < 1) & (om * (2 - om) < _SINE**2)
        value[near] = self._gap_near(q1[near], q2[near], om[near])
        q1, q2, om = q1[~near], q2[~near], om[~near]
        value[~near] = 0.5 * (self.second(q1) + self.second(q2)) - self.dual(q1, q2, 1 - om, om)
        return value

    def _gap_near(self, q1, q2, om):
        bend = 0.0
        for weight, h, k in self.pairs(q1, q2):
            bend = bend + weight * _bend(h, k, om)
        slope = self.derivative_dual(q1, q2, np.ones_like(om), np.zeros_like(om))
        return self.radial(q1, q2) + np.sqrt(q1 * q2) * (om * slope - bend)

    def radial(self, q1, q2):
        """E (phi(sqrt q1 z) - phi(sqrt q2 z))^2 / 2, between the kinks of either."""
        q1, q2 = np.broadcast_arrays(q1, q2)
        value = np.zeros(q1.shape)
        differs = np.flatnonzero(q1.ravel() != q2.ravel())
        for start in range(0, differs.size, _CHUNK):
            part = differs[start : start + _CHUNK]
            value.ravel()[part] = self._radial(q1.ravel()[part], q2.ravel()[part])
        return value

    def _radial(self, q1, q2):
        edges = [np.full_like(q1, x) for x in (-_REACH, -4.0, 0.0, 4.0, _REACH)] + self.scaled(q1) + self.scaled(q2)
        edges = np.sort(np.clip(np.stack(edges, axis=-1), -_REACH, _REACH), axis=-1)[..., None]
        z = (edges[:, :-1] + (edges[:, 1:] - edges[:, :-1]) * _NODES).reshape(q1.size, -1)
        weights = ((edges[:, 1:] - edges[:, :-1]) * _WEIGHTS).reshape(q1.size, -1)
        root1, root2 = np.sqrt(q1)[:, None], np.sqrt(q2)[:, None]
        u, v, apart = root1 * z, root2 * z, (q1 - q2)[:, None] / (root1 + root2) * z
        difference = self.slope * apart
        for kink, change in zip(self.kinks, self.changes, strict=True):
            both = np.where((u > kink) & (v > kink), apart, np.maximum(u - kink, 0) - np.maximum(v - kink, 0))
            difference = difference + change * both
        return 0.5 * np.sum(weights * density(z) * difference**2, axis=-1)

    def amplification(self, q1, q2):
        """The ramps may be much larger than their sum."""
        factors = [np.where(q > 0, self._ramps(q) ** 2 / np.where(q > 0, self.second(q), 1.0), 1.0) for q in (q1, q2)]
        return 1 + np.sqrt(factors[0] * factors[1]) / 8

    def _ramps(self, q):
        """Size of the terms of phi within reach of the Gaussian."""
        root = np.sqrt(q)
        sizes = (
            abs(s) * (root + max(-t, 0.0)) * (t < _REACH * root) for s, t in zip(self.changes, self.kinks, strict=True)
        )
        return abs(self.intercept) + sum(sizes)


def _times(x):
    """x times the normal density, 0 at infinity."""
    finite = np.where(np.isinf(x), 0.0, x)
    return finite * density(finite)


def _sides(h, k, c, om):
    """(k - c h)/s and (h - c k)/s with s^2 = 1 - c^2: where the other variable is cut, given the one at its kink."""
    s = np.sqrt(np.clip(om * (1 + c), 0, None))
    with np.errstate(divide="ignore", invalid="ignore"):
        over_h, over_k = ((b - a + a * om) / s for a, b in ((h, k), (k, h)))
    return np.nan_to_num(over_h, nan=0.0, posinf=np.inf, neginf=-np.inf), np.nan_to_num(
        over_k, nan=0.0, posinf=np.inf, neginf=-np.inf
    )


def _quadrant(h, k, over_h, over_k):
    """P(x > h, y > k) by Owen's T."""
    with np.errstate(over="ignore", invalid="ignore"):
        tails = owens_t(h, np.nan_to_num(over_h / h, nan=0.0, posinf=np.inf, neginf=-np.inf))
        tails = tails + owens_t(k, np.nan_to_num(over_k / k, nan=0.0, posinf=np.inf, neginf=-np.inf))
    return np.clip(0.5 * (ndtr(-h) + ndtr(-k)) - tails - 0.5 * (h * k < 0), 0.0, None)


def _both_above(h, k, c, om):
    """E (x - h)_+ (y - k)_+ of a standard normal pair."""
    over_h, over_k = _sides(h, k, c, om)
    finite = np.isfinite(h) & np.isfinite(k)
    h, k = np.where(finite, h, 0.0), np.where(finite, k, 0.0)
    s = np.sqrt(np.clip(om * (1 + c), 0, None))
    value = (c + h * k) * _quadrant(h, k, over_h, over_k)
    value = value - h * density(k) * ndtr(-over_k) - k * density(h) * ndtr(-over_h)
    corner = s * density(h) * np.exp(-0.5 * np.square(over_h)) / np.sqrt(2 * np.pi)
    return np.where(finite, value + corner, 0.0)


def _height(h, k, c):
    """exp(-(h^2 - 2 h k c + k^2)/(2 (1 - c^2))): 2 pi sqrt(1 - c^2) times the density at (h, k); 0 far out."""
    h, k = (np.expand_dims(np.where(np.isinf(x), 1e3, x), -1) for x in (h, k))
    return np.exp(-0.5 * np.square(h - k) / (1 - c * c) - h * k / (1 + c))


def _bend(h, k, om):
    """int_c^1 (c' - c) f_hk(c') dc' for c close to 1.

    With x = sqrt(1 - c'^2) the integrand is exp(-(h - k)^2/(2 x^2)) times a power series in x^2, which is fitted at 8
    points and integrated term by term.
    """
    h, k = (np.where(np.isinf(x), 1e3, x) for x in (h, k))
    far = np.sqrt(om * (2 - om))  # x at c
    safe = np.where(far > 0, far, 1.0)
    cosine = np.sqrt(1 - np.square(safe)[..., None] * _POINTS)
    smooth = (1 - _POINTS) / ((cosine + (1 - om)[..., None]) * cosine)  # (c' - c)/c' over x(c)^2
    smooth = smooth * np.exp(-(h * k)[..., None] / (1 + cosine))
    powers = smooth @ _TO_POWERS.T
    ratio = np.abs(h - k) / safe
    edge = np.exp(-0.5 * ratio**2)
    moment = edge - np.sqrt(2 * np.pi) * ratio * ndtr(-ratio)  # int_0^1 exp(-ratio^2/(2 y^2)) dy
    total = powers[..., 0] * moment
    for n in range(1, _POINTS.size):
        moment = (edge - ratio**2 * moment) / (2 * n + 1)  # the same with y^(2 n)
        total = total + powers[..., n] * moment
    return np.where(far > 0, far**3 * total / (2 * np.pi), 0.0)
