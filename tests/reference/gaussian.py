"""Gaussian expectations from their definitions, to more digits than double precision; imports nothing of the package.

Analytic functions: the trapezoidal rule in extended precision (64 bits), the series of Hermite coefficients as c -> 0,
differences by the integral of the derivative as c -> 1. Functions of pieces x^n and e^x: the inner expectation over a
piece in closed form, Gauss-Legendre over the outer variable, in 40 digits, so that gaps may be formed by subtraction.
"""

from functools import cache
from itertools import pairwise

import mpmath as mp
import numpy as np

_DIGITS = 40
_L = np.longdouble
_PI = _L("3.14159265358979323846264338327950288")


@cache
def _gauss(count):
    """Gauss-Legendre nodes and weights on [0, 1] in extended precision."""
    pairs = sorted((float(x), x, w) for x, w in _legendre(count))
    nodes, weights = ([_L(mp.nstr(p[i], 25)) for p in pairs] for i in (1, 2))
    return (np.array(nodes) + 1) / 2, np.array(weights) / 2


def _density(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * _PI)


def _erf(x):
    """2 x/sqrt(pi) times the mean of exp(-x^2 t^2) over [0, 1]."""
    x = np.clip(x, -7, 7)
    nodes, weights = _gauss(60)
    return 2 * x / np.sqrt(_PI) * sum(w * np.exp(-((x * t) ** 2)) for t, w in zip(nodes, weights, strict=True))


def _gate(x):
    """1/(1 + e^-x)."""
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1, e) / (1 + e)


def _gelu(x):
    normal = (1 + _erf(x / np.sqrt(_L(2)))) / 2
    return x * normal, normal + x * _density(x)


def _gelu_tanh(x):
    z = np.sqrt(8 / _PI) * (x + _L("0.044715") * x**3)
    slope = np.sqrt(8 / _PI) * (1 + 3 * _L("0.044715") * x**2)
    return x * _gate(z), _gate(z) * (1 + x * slope * _gate(-z))


def _mish(x):
    t = np.tanh(np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0))
    return x * t, t + x * (1 - t * t) * _gate(x)


# name -> x -> (value, derivative), and the distance of the nearest singularity from the real line
SMOOTH = {
    "erf": (lambda x: (_erf(x), 2 / np.sqrt(_PI) * np.exp(-x * x)), 1.5),
    "gelu": (_gelu, 2.0),
    "gelu_tanh": (_gelu_tanh, 1.2),
    "tanh": (lambda x: (np.tanh(x), 1 / np.cosh(x) ** 2), 1.5),
    "sigmoid": (lambda x: (_gate(x), _gate(x) * _gate(-x)), 3.0),
    "silu": (lambda x: (x * _gate(x), _gate(x) * (1 + x * _gate(-x))), 3.0),
    "softplus": (lambda x: (np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0), _gate(x)), 3.0),
    "mish": (_mish, 1.5),
    "sin": (lambda x: (np.sin(x), np.cos(x)), 3.0),
    "cos": (lambda x: (np.cos(x), -np.sin(x)), 3.0),
    "gaussian": (lambda x: (np.exp(-x * x), -2 * x * np.exp(-x * x)), 1.5),
}

_INF = mp.inf
_SELU = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")


def _unit(scale, alpha):
    return [(-_INF, 0, {0: -scale * alpha}, scale * alpha), (0, _INF, {1: scale}, 0)]


# name -> pieces (low, high, coefficients of powers of x, coefficient of e^x)
PIECES = {
    "relu": [(0, _INF, {1: 1}, 0)],
    "leaky_relu": [(-_INF, 0, {1: mp.mpf(0.01)}, 0), (0, _INF, {1: 1}, 0)],
    "abs": [(-_INF, 0, {1: -1}, 0), (0, _INF, {1: 1}, 0)],
    "linear": [(-_INF, _INF, {1: 1}, 0)],
    "cubic": [(-_INF, _INF, {3: 1}, 0)],
    "exp": [(-_INF, _INF, {}, 1)],
    "relu_power": [(0, _INF, {2: 1}, 0)],
    "shifted_relu": [(-_INF, 0, {0: -1 / mp.sqrt(mp.pi)}, 0), (0, _INF, {0: -1 / mp.sqrt(mp.pi), 1: 1}, 0)],
    "hard_tanh": [(-_INF, -1, {0: -1}, 0), (-1, 1, {1: 1}, 0), (1, _INF, {0: 1}, 0)],
    "relu6": [(0, 6, {1: 1}, 0), (6, _INF, {0: 6}, 0)],
    "hard_swish": [(-3, 3, {1: mp.mpf(1) / 2, 2: mp.mpf(1) / 6}, 0), (3, _INF, {1: 1}, 0)],
    "elu": _unit(mp.mpf(1), mp.mpf(1)),
    "selu": _unit(*_SELU),
    "sign": [(-_INF, 0, {0: -1}, 0), (0, _INF, {0: 1}, 0)],
    "step": [(0, _INF, {0: 1}, 0)],
}
ALL = (*SMOOTH, *PIECES)


def moments(name, q1, q2, c, om):
    """[mean, second] at q1, and [dual, derivative_dual, gap, centred] of the pair; om = 1 - c is used if below 1/2."""
    if name in SMOOTH:
        return _smooth(*SMOOTH[name], *map(_L, (q1, q2, c, om)))
    with mp.workdps(_DIGITS):
        q1, q2 = mp.mpf(q1), mp.mpf(q2)
        c = 1 - mp.mpf(om) if om < 0.5 else mp.mpf(c)
        (m1, second1), (m2, second2) = _piece_single(name, q1), _piece_single(name, q2)
        dual, derivative_dual = _piece_pair(name, q1, q2, c)
        return [m1, second1, dual, derivative_dual, (second1 + second2) / 2 - dual, dual - m1 * m2]


def _lattice(scale, strip, reach=10):
    """Nodes and weights of the trapezoidal rule, good to about 1e-20."""
    h = min(_L("0.3"), _L(strip) / 8 / max(scale, _L(1e-10)))
    x = h * np.arange(-int(reach / h), int(reach / h) + 1)
    return x, h * _density(x)


def _coefficients(f, strip, q, count=64):
    """Hermite coefficients of z -> f(sqrt(q) z)."""
    x, w = _lattice(3 + np.sqrt(q), strip, reach=18)
    values = w * f(np.sqrt(q) * x)[0]
    previous, current, result = np.zeros_like(x), np.ones_like(x), []
    for k in range(count):
        result.append(np.sum(values * current))
        previous, current = current, (x * current - np.sqrt(_L(k)) * previous) / np.sqrt(_L(k + 1))
    return np.array(result)


def _smooth(f, strip, q1, q2, c, om):
    om, c = (om, 1 - om) if om < 0.5 else (1 - c, c)
    root1, root2, a, b = np.sqrt(q1), np.sqrt(q2), np.sqrt(1 - om / 2), np.sqrt(om / 2)
    first, second = _coefficients(f, strip, q1), _coefficients(f, strip, q2)
    (x, wx), (y, wy) = (_lattice(max(root1, root2) * factor, strip) for factor in (a, b))
    x, w = x[:, None], wx[:, None] * wy
    apart = (q1 - q2) / (root1 + root2) * a * x + (root1 + root2) * b * y
    v = root2 * (a * x - b * y)
    value1, slope1 = f(v + apart)
    value2, slope2 = f(v)
    difference = value1 - value2
    if np.max(np.abs(apart)) < 1:
        nodes, weights = _gauss(24)
        difference = apart * sum(g * f(v + t * apart)[1] for t, g in zip(nodes, weights, strict=True))
    if abs(c) < 0.5:
        centred = np.sum((first * second * c ** np.arange(64))[1:])
    else:
        centred = np.sum(w * (value1 - first[0]) * (value2 - second[0]))
    dual = first[0] * second[0] + centred
    x, w1 = _lattice(root1, strip)
    square = np.sum(w1 * f(root1 * x)[0] ** 2)
    return [first[0], square, dual, np.sum(w * slope1 * slope2), np.sum(w * difference**2) / 2, centred]


@cache
def _legendre(count=24):
    """Nodes and weights on [-1, 1] in 40 digits."""
    with mp.workdps(_DIGITS + 10):
        return [_legendre_node(count, i) for i in range(count)]


def _legendre_node(count, i):
    """The i-th node by Newton's method."""
    x = mp.cos(mp.pi * (i + mp.mpf(3) / 4) / (count + mp.mpf(1) / 2))
    for _ in range(8):
        p, before = x, mp.mpf(1)
        for k in range(2, count + 1):
            p, before = ((2 * k - 1) * x * p - (k - 1) * before) / k, p
        slope = count * (x * p - before) / (x * x - 1)
        x -= p / slope
    return x, 2 / ((1 - x * x) * slope**2)


def _derivative(pieces):
    return [(low, high, {n - 1: n * a for n, a in powers.items() if n}, e) for low, high, powers, e in pieces]


def _value(pieces, x):
    for low, high, powers, e in pieces:
        if low < x < high:
            return sum((a * x**n for n, a in powers.items()), mp.mpf(0)) + e * mp.exp(x)
    return mp.mpf(0)


def _conditional(pieces, middle, sigma, square=False):
    """E phi(v), v ~ N(middle, sigma^2); of phi^2 if asked for."""
    total = mp.mpf(0)
    for low, high, powers, e in pieces:
        alpha, beta = (low - middle) / sigma, (high - middle) / sigma
        terms = [(a, n, 0) for n, a in powers.items()] + ([(e, 0, 1)] if e else [])
        if square:
            terms = [(a * b, n + m, r + s) for a, n, r in terms for b, m, s in terms]
        for factor, power, rate in terms:
            # e^(rate v) shifts the Gaussian by rate sigma^2
            shift = rate * sigma
            scale = mp.exp(rate * middle + shift**2 / 2)
            total += factor * scale * _truncated(alpha - shift, beta - shift, middle + shift * sigma, sigma, power)
    return total


def _truncated(alpha, beta, middle, sigma, power):
    """E (middle + sigma z)^power over alpha < z < beta."""
    raw = [mp.ncdf(beta) - mp.ncdf(alpha) if alpha < 0 else mp.ncdf(-alpha) - mp.ncdf(-beta)]
    for n in range(1, power + 1):
        edges = sum(sign * x ** (n - 1) * mp.npdf(x) for sign, x in ((1, alpha), (-1, beta)) if not mp.isinf(x))
        raw.append(edges + (n - 1) * (raw[n - 2] if n > 1 else 0))
    return sum(mp.binomial(power, n) * middle ** (power - n) * sigma**n * raw[n] for n in range(power + 1))


def _piece_single(name, q):
    pieces, root = PIECES[name], mp.sqrt(q)
    return _conditional(pieces, mp.mpf(0), root), _conditional(pieces, mp.mpf(0), root, square=True)


def _piece_pair(name, q1, q2, c):
    pieces = PIECES[name]
    slopes = _derivative(pieces)
    root1, root2, s = mp.sqrt(q1), mp.sqrt(q2), mp.sqrt(1 - c * c)
    kinks = {x for low, high, *_ in pieces for x in (low, high) if not mp.isinf(x)}
    reach = 14 + (2 * (root1 + root2) if name == "exp" else 0)
    edges = {mp.mpf(x) for x in range(-int(reach), int(reach) + 1, 2)} | {k / root1 for k in kinks}
    for kink in kinks:
        edges |= {(kink / root2 + s * offset) / c for offset in (-15, -9, -5, -2, 0, 2, 5, 9, 15)}
    edges = sorted(x for x in edges if abs(x) <= reach)
    dual = slope = mp.mpf(0)
    for low, high in pairwise(edges):
        for t, w in _legendre():
            x = (low + high) / 2 + (high - low) / 2 * t
            w = w * (high - low) / 2 * mp.npdf(x)
            value, rate = _value(pieces, root1 * x), _value(slopes, root1 * x)
            if value:
                dual += w * value * _conditional(pieces, root2 * c * x, root2 * s)
            if rate:
                slope += w * rate * _conditional(slopes, root2 * c * x, root2 * s)
    if name in ("sign", "step"):  # delta functions at 0
        jump = 2 if name == "sign" else 1
        slope = jump**2 / (2 * mp.pi * root1 * root2 * s)
    return dual, slope
