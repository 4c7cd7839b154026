"""Elementwise maps of a flat array in place: one array, so that no test for overlap forbids vector instructions."""

from ibtheory import _jit, _math


@_jit.inner()
def copy(x, y):
    for i in range(x.size):
        y[i] = x[i]


@_jit.inner()
def slopes(x, negative, positive):
    """Piecewise-linear activation through the origin."""
    for i in range(x.size):
        x[i] = x[i] * (positive if x[i] > 0 else negative)


@_jit.inner()
def erf(x):
    for i in range(x.size):
        x[i] = _math.erf(x[i])


@_jit.inner()
def tanh(x):
    for i in range(x.size):
        x[i] = _math.tanh(x[i])


@_jit.inner()
def gelu(x):
    """x Phi(x), Phi the Gaussian distribution function."""
    half, root, one = x.dtype.type(0.5), x.dtype.type(0.7071067811865476), x.dtype.type(1)
    for i in range(x.size):
        x[i] = half * x[i] * (one + _math.erf(root * x[i]))


@_jit.inner()
def affine(x, scale, shift):
    for i in range(x.size):
        x[i] = _math.fma(x[i], scale, shift)


@_jit.inner()
def add(x, other):
    """The sum of a residual."""
    for i in range(x.size):
        x[i] += other[i]
