"""The updates of :mod:`ibtheory.optimizers`, on flat arrays in place."""

import numpy as np

from ibtheory import _jit, _math

SGD, ADAM, ADAMW = range(3)


@_jit.inner
def square(g):
    """Sum of squares, in float64 and in order."""
    total = 0.0
    for j in range(g.size):
        total += float(g[j]) * float(g[j])
    return total


@_jit.inner
def shrink(g, factor):
    factor = g.dtype.type(factor)
    for j in range(g.size):
        g[j] = g[j] * factor


@_jit.inner
def sgd(w, g, v, rate, numbers):
    """``numbers``: momentum, 1 for Nesterov's, weight decay."""
    kind = w.dtype.type
    rate, momentum, decay = kind(rate), kind(numbers[0]), kind(numbers[2])
    ahead, behind = (momentum, kind(1)) if numbers[1] > 0 else (kind(1), kind(0))
    for j in range(w.size):
        d = _math.fma(decay, w[j], g[j])
        v[j] = _math.fma(momentum, v[j], d)
        w[j] = w[j] - rate * _math.fma(behind, d, ahead * v[j])


@_jit.inner
def adam(w, g, m, v, rate, numbers, step, decoupled):
    """``numbers``: beta1, beta2, epsilon, weight decay."""
    kind = w.dtype.type
    beta1, beta2, epsilon = kind(numbers[0]), kind(numbers[1]), kind(numbers[2])
    rest1, rest2 = kind(1.0 - numbers[0]), kind(1.0 - numbers[1])
    pace = kind(rate / (1.0 - numbers[0] ** step))
    inverse = kind(1.0 / np.sqrt(1.0 - numbers[1] ** step))
    keep = kind(1.0 - rate * numbers[3] if decoupled else 1.0)
    decay = kind(0.0 if decoupled else numbers[3])
    for j in range(w.size):
        d = _math.fma(decay, w[j], g[j])
        m[j] = _math.fma(beta1, m[j], rest1 * d)
        v[j] = _math.fma(beta2, v[j], rest2 * d * d)
        w[j] = keep * w[j] - pace * m[j] / _math.fma(np.sqrt(v[j]), inverse, epsilon)
