"""Elementwise maps of a flat array in place: one array, so that no test for overlap forbids vector instructions."""

from ibtheory import _jit, _math


@_jit.inner
def copy(x, y):
    for i in range(x.size):
        y[i] = x[i]


@_jit.inner
def slopes(x, negative, positive):
    """Piecewise-linear activation through the origin."""
    for i in range(x.size):
        x[i] = x[i] * (positive if x[i] > 0 else negative)


@_jit.inner
def slopes_back(g, x, negative, positive):
    """The gradient ``g`` goes back through the activation, given its input, or its output where that has the sign."""
    for i in range(g.size):
        g[i] = g[i] * (positive if x[i] > 0 else negative)


@_jit.inner
def erf(x):
    for i in range(x.size):
        x[i] = _math.erf(x[i])


@_jit.inner
def erf_back(g, x):
    """d erf / dx = 2 / sqrt(pi) exp(-x^2), x the input."""
    factor = g.dtype.type(1.1283791670955126)
    for i in range(g.size):
        g[i] = g[i] * factor * _math.exp(-x[i] * x[i])


@_jit.inner
def tanh(x):
    for i in range(x.size):
        x[i] = _math.tanh(x[i])


@_jit.inner
def tanh_back(g, y):
    """d tanh / dx = 1 - y^2, y the output."""
    one = g.dtype.type(1)
    for i in range(g.size):
        g[i] = g[i] * (one - y[i] * y[i])


@_jit.inner
def gelu(x):
    """x Phi(x), Phi the Gaussian distribution function."""
    half, root, one = x.dtype.type(0.5), x.dtype.type(0.7071067811865476), x.dtype.type(1)
    for i in range(x.size):
        x[i] = half * x[i] * (one + _math.erf(root * x[i]))


@_jit.inner
def gelu_back(g, x):
    """Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi), x the input."""
    kind = g.dtype.type
    half, root, one, density = kind(0.5), kind(0.7071067811865476), kind(1), kind(0.3989422804014327)
    for i in range(g.size):
        slope = half * (one + _math.erf(root * x[i])) + density * x[i] * _math.exp(-half * x[i] * x[i])
        g[i] = g[i] * slope


@_jit.inner
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    one = x.dtype.type(1)
    for i in range(x.size):
        x[i] = one / (one + _math.exp(-x[i]))


@_jit.inner
def sigmoid_back(g, y):
    """y (1 - y), y the output."""
    one = g.dtype.type(1)
    for i in range(g.size):
        g[i] = g[i] * y[i] * (one - y[i])


@_jit.inner
def silu(x):
    """x / (1 + exp(-x))."""
    one = x.dtype.type(1)
    for i in range(x.size):
        x[i] = x[i] / (one + _math.exp(-x[i]))


@_jit.inner
def silu_back(g, x):
    """s (1 + x (1 - s)), s the logistic function of the input x."""
    one = g.dtype.type(1)
    for i in range(g.size):
        s = one / (one + _math.exp(-x[i]))
        g[i] = g[i] * s * _math.fma(x[i], one - s, one)


@_jit.inner
def softplus(x):
    """ln(1 + exp(x)), as max(x, 0) + ln(1 + exp(-|x|))."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        positive = x[i] if x[i] > zero else zero
        x[i] = positive + _math.log1p(_math.exp(-abs(x[i])))


@_jit.inner
def softplus_back(g, x):
    """The logistic function of the input x."""
    one = g.dtype.type(1)
    for i in range(g.size):
        g[i] = g[i] / (one + _math.exp(-x[i]))


@_jit.inner
def mish(x):
    """x tanh(ln(1 + e)) = x n / (n + 2), n = e (e + 2), e = exp(x); beyond 20 the factor is 1 in every digit."""
    kind = x.dtype.type
    two, end = kind(2), kind(20)
    for i in range(x.size):
        e = _math.exp(x[i] if x[i] < end else end)
        n = e * (e + two)
        x[i] = x[i] * (n / (n + two))


@_jit.inner
def mish_back(g, x):
    """t + x s (1 - t^2) with t = n / (n + 2), s = e / (1 + e), 1 - t^2 = 4 (1 + e)^2 / (n + 2)^2, x the input."""
    kind = g.dtype.type
    one, two, four, end = kind(1), kind(2), kind(4), kind(20)
    for i in range(g.size):
        z = x[i] if x[i] < end else end
        e = _math.exp(z)
        n = e * (e + two)
        inverse = one / (n + two)
        g[i] = g[i] * _math.fma(z, four * e * (one + e) * inverse * inverse, n * inverse)


@_jit.inner
def affine(x, scale, shift):
    for i in range(x.size):
        x[i] = _math.fma(x[i], scale, shift)


@_jit.inner
def affine_rows(x, scale, shift):
    """Every row of the flat array ``x`` times ``scale`` plus ``shift``, feature by feature."""
    for start in range(0, x.size, scale.size):
        _affine_row(x[start : start + scale.size], scale, shift)


@_jit.inner
def scale_rows(x, scale):
    """Every row times ``scale``: what affine_rows does to a gradient."""
    for start in range(0, x.size, scale.size):
        _scale_row(x[start : start + scale.size], scale)


@_jit.inner
def _scale_row(x, scale):
    for j in range(x.size):
        x[j] *= scale[j]


@_jit.inner
def multiply(x, other):
    for i in range(x.size):
        x[i] *= other[i]


@_jit.inner
def _affine_row(x, scale, shift):
    for j in range(x.size):
        x[j] = _math.fma(x[j], scale[j], shift[j])


@_jit.inner
def pool(x, size, reduction):
    """Each block of ``size`` neighbors becomes its largest (0), its mean (1) or its smallest (2)."""
    for start in range(0, x.size, size):
        value = x[start]
        for j in range(start + 1, start + size):
            if reduction == 1:
                value += x[j]
            elif (x[j] > value) == (reduction == 0):
                value = x[j]
        if reduction == 1:
            value /= x.dtype.type(size)
        x[start : start + size] = value


@_jit.inner
def pool_back(g, x, size, reduction):
    """The gradient of a block is shared by its features, or goes to the first that was chosen, x the input."""
    for start in range(0, g.size, size):
        chosen, total = start, g[start]
        for j in range(start + 1, start + size):
            total += g[j]
            better = x[j] > x[chosen] if reduction == 0 else x[j] < x[chosen]
            chosen = j if better else chosen
        g[start : start + size] = total / g.dtype.type(size) if reduction == 1 else g.dtype.type(0)
        if reduction != 1:
            g[chosen] = total


@_jit.inner
def add(x, other):
    """The sum of a residual."""
    for i in range(x.size):
        x[i] += other[i]
