"""Averages of terms over one Gaussian variable or two, by three rules.

Factors exp(a x^2 + b x) change the measure (a tilt), powers of x are taken off by Stein's lemma
E x_i F = mean_i E F + sum_j cov_ij E dF/dx_j, and the derivative of a ramp, a bell, conditions the other variables on
a noisy observation. What is left are orthants: 1, Phi, or the bivariate :class:`Phi2`.
"""

from functools import cache, lru_cache

import numpy as np
from scipy.special import ndtr, owens_t

from ibtheory.symbolic.terms import NotClosed, distribution
from ibtheory.symbolic.tidy import algebraic


def __getattr__(name):
    if name == "Phi2":  # made when first used, and found here again by pickle
        return _phi2()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _phi2():
    import sympy

    class Phi2(sympy.Function):
        """P(X <= h, Y <= k) of two standard normal variables of correlation rho."""

        nargs = 3

        @classmethod
        def eval(cls, h, k, rho):
            if h == 0 and k == 0:
                return sympy.Rational(1, 4) + sympy.asin(rho) / (2 * sympy.pi)
            if rho == 0:
                return distribution(h) * distribution(k)
            for one, other in ((h, k), (k, h)):
                if one == sympy.oo:
                    return distribution(other)
                if one == -sympy.oo:
                    return sympy.Integer(0)
            if rho == 1 and (h - k).is_extended_nonnegative is not None:
                return distribution(sympy.Min(h, k))
            if rho == -1 and (h + k).is_extended_nonpositive:
                return sympy.Integer(0)
            if sympy.default_sort_key(k) < sympy.default_sort_key(h):
                return cls(k, h, rho)
            return None

        def fdiff(self, argindex=1):
            h, k, rho = self.args
            rest = sympy.sqrt(1 - rho**2)
            if argindex == 3:
                inner = (h**2 - 2 * rho * h * k + k**2) / (1 - rho**2)
                return sympy.exp(-inner / 2) / (2 * sympy.pi * rest)
            one, other = (h, k) if argindex == 1 else (k, h)
            return sympy.exp(-(one**2) / 2) / sympy.sqrt(2 * sympy.pi) * distribution((other - rho * one) / rest)

        def _eval_evalf(self, precision):
            import mpmath

            with mpmath.workprec(precision + 20):
                h, k, rho = (sympy.N(a, mpmath.mp.dps)._to_mpmath(precision + 20) for a in self.args)

                # Price: the density of the pair is the derivative by the correlation, rho = sin t
                def slope(t):
                    return mpmath.exp(-(h * h - 2 * h * k * mpmath.sin(t) + k * k) / (2 * mpmath.cos(t) ** 2))

                value = mpmath.ncdf(h) * mpmath.ncdf(k)
                value += mpmath.quad(slope, [0, mpmath.asin(rho)]) / (2 * mpmath.pi)
            return sympy.Float._new(value._mpf_, precision)

        def _latex(self, printer, exp=None):
            body = r"\Phi_2\left({}, {}; {}\right)".format(*map(printer._print, self.args))
            return body if exp is None else f"{body}^{{{exp}}}"

    Phi2.__module__, Phi2.__qualname__ = __name__, "Phi2"
    return Phi2


def phi2_value(h, k, rho):
    """Phi2 of arrays: by Owen's T, and in the tail by an integral that keeps its relative precision."""
    h, k, rho = np.broadcast_arrays(*(np.asarray(a, float) for a in (h, k, rho)))
    shape = h.shape
    h, k, rho = np.minimum(h, k).ravel(), np.maximum(h, k).ravel(), rho.ravel()
    h, k = np.where(h == 0, 1e-200, h), np.where(k == 0, 1e-200, k)  # T(0, +-inf) is the limit meant
    rest = np.sqrt((1 - rho) * (1 + rho))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        first, second = np.nan_to_num((k - rho * h) / rest), np.nan_to_num((h - rho * k) / rest)  # 0/0: h = k, rho = 1
        value = 0.5 * (ndtr(h) + ndtr(k)) - 0.5 * ((h < 0) != (k < 0))
        value -= owens_t(h, first / h) + owens_t(k, second / k)
    tail = (h < -1.5) & (rest > 0)
    h, k, first, second = h[tail], k[tail], first[tail], second[tail]
    value[tail] = _beyond(-h, -first) - np.sign(k) * _beyond(np.abs(k), -second)
    return value.reshape(shape)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_NODES = np.concatenate([(2 * panel + 1 + _NODES) / 6 for panel in range(3)])
_WEIGHTS = np.tile(_WEIGHTS / 6, 3)


def _beyond(h, d):
    """Half the normal tail beyond h less Owen's T(h, d/h), as it is integrated.

    That is (1/2 pi) times the integral of h exp(-(h^2 + y^2)/2)/(h^2 + y^2) over y > d.
    """
    low = np.maximum(d, -9.0)[:, None]
    length = np.sqrt(low**2 + 80) - low
    y, square = low + length * _NODES, np.square(h)[:, None]
    total = np.exp(-(square + y**2) / 2) / np.maximum(square + y**2, 1e-300) @ _WEIGHTS
    return h * length[:, 0] * total / (2 * np.pi)


def average(factors, mean, cov):
    """E of a product of sums of terms, factor i a function of variable i, over a Gaussian vector.

    Parameters
    ----------
    factors : tuple of tuple of Term
    mean, cov : nested tuples of sympy.Expr
    """
    import sympy

    total = sympy.Integer(0)
    if len(factors) == 1:
        products = [(term,) for term in factors[0]]
    else:
        products = [(first, second) for first in factors[0] for second in factors[1]]
    for product in products:
        total += _product(product, mean, cov)
    return total


@lru_cache(maxsize=4096)
def _product(product, mean, cov):
    import sympy

    weight = sympy.Integer(1)
    for i, term in enumerate(product):
        weight *= term.coefficient
        if term.linear != 0:
            weight *= sympy.exp(term.linear * mean[i] + term.linear**2 * cov[i][i] / 2)
            mean = tuple(m + term.linear * row[i] for m, row in zip(mean, cov, strict=True))
        if term.quadratic != 0:
            scale, mean, cov = _narrow(i, term.quadratic, mean, cov)
            weight *= scale
        if term.point is not None:
            scale, mean, cov = _observe(i, term.point, 0, mean, cov)
            weight *= scale
    ramps = tuple((i, ramp) for i, term in enumerate(product) for ramp in term.ramps)
    if ramps and any(entry.has(sympy.I) for entry in map(sympy.sympify, mean)):
        raise NotClosed("a sine or cosine times a step or an error function")
    return weight * _powers(mean, cov).value(tuple(term.power for term in product), ramps)


def _tidy(entry):
    import sympy

    return sympy.factor(entry)


def _matrix(size, entry):
    return tuple(tuple(_tidy(entry(j, k)) for k in range(size)) for j in range(size))


def _narrow(i, a, mean, cov):
    """Weight, mean and covariance behind the factor exp(a x_i^2)."""
    import sympy

    scale = 1 - 2 * a * cov[i][i]
    weight = sympy.exp(_tidy(a * mean[i] ** 2 / scale)) / sympy.sqrt(scale)
    gain = [2 * a * row[i] / scale for row in cov]
    size = len(mean)
    return (
        weight,
        tuple(_tidy(m + g * mean[i]) for m, g in zip(mean, gain, strict=True)),
        _matrix(size, lambda j, k: cov[j][k] + gain[j] * cov[i][k]),
    )


def _observe(i, t, width, mean, cov):
    """Density of x_i + width noise at t, and mean and covariance given that it is t."""
    import sympy

    total = _tidy(cov[i][i] + width**2)
    density = sympy.exp(-_tidy((t - mean[i]) ** 2 / (2 * total))) / sympy.sqrt(2 * sympy.pi * total)
    gain = [row[i] / total for row in cov]
    return (
        density,
        tuple(_tidy(m + g * (t - mean[i])) for m, g in zip(mean, gain, strict=True)),
        _matrix(len(mean), lambda j, k: cov[j][k] - gain[j] * cov[i][k]),
    )


class _Powers:
    """E of powers times ramps over one Gaussian vector, by Stein's lemma."""

    def __init__(self, mean, cov):
        self.mean, self.cov, self.known, self.given = mean, cov, {}, {}

    def value(self, powers, ramps):
        key = powers, ramps
        if key not in self.known:
            self.known[key] = self._reduce(powers, ramps) if any(powers) else _orthant(self.mean, self.cov, ramps)
        return self.known[key]

    def _reduce(self, powers, ramps):
        i = next(j for j, power in enumerate(powers) if power)
        rest = _lower(powers, i)
        total = self.mean[i] * self.value(rest, ramps) if self.mean[i] != 0 else 0
        for j, power in enumerate(rest):
            if power:
                total += self.cov[i][j] * power * self.value(_lower(rest, j), ramps)
        for index, (j, ramp) in enumerate(ramps):
            others = ramps[:index] + ramps[index + 1 :]
            density, given = self._bell(j, ramp)
            total += ramp.sign * self.cov[i][j] * density * given.value(rest, others)
        return total

    def _bell(self, j, ramp):
        """Density of the observation that a ramp's derivative is, and the averages given it."""
        key = j, ramp.threshold, ramp.width
        if key not in self.given:
            density, mean, cov = _observe(j, ramp.threshold, ramp.width, self.mean, self.cov)
            self.given[key] = density, _powers(mean, cov)
        return self.given[key]


@lru_cache(maxsize=256)
def _powers(mean, cov):
    return _Powers(mean, cov)


def _lower(powers, i):
    return (*powers[:i], powers[i] - 1, *powers[i + 1 :])


def _orthant(mean, cov, ramps):
    """E of a product of ramps: P(all x_i + width noise beyond their thresholds)."""
    import sympy

    if not ramps:
        return sympy.Integer(1)
    if len(ramps) > 2:
        raise NotClosed("an orthant of more than two variables")
    spread = [sympy.sqrt(_tidy(cov[i][i] + ramp.width**2)) for i, ramp in ramps]
    if any(s == 0 for s in spread):
        raise NotClosed("a step at a point")
    heights = [
        algebraic(ramp.sign * (mean[i] - ramp.threshold) / s) for (i, ramp), s in zip(ramps, spread, strict=True)
    ]
    if len(ramps) == 1:
        return distribution(heights[0])
    (i, first), (j, second) = ramps
    rho = algebraic(first.sign * second.sign * cov[i][j] / (spread[0] * spread[1]))
    return _phi2()(*heights, rho)
