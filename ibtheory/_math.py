"""Elementary functions that the compiler can vectorize: polynomials without branches or calls.

In float32 a call of libm costs 3 to 18 ns and forbids SIMD; these cost 0.3 to 0.6 ns per element. In float64
angles are polynomials too, and the other functions those of libm, accurate to the last bits. Coefficients: weighted
minimax fits (Lawson's iteration in 40 digits; for angles interpolation at Chebyshev points) with the ranges and errors
stated at each function; tests measure them.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from ibtheory import _jit

_f = np.float32


@intrinsic
def _float_bits(typingctx, x):
    """The bits of a float32, as int32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def _bits_float(typingctx, bits):
    """The float32 that has these bits."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a b + c with one rounding, of three numbers of the same type."""

    def codegen(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, a, a), codegen


_ONE, _HALF = _f(1), _f(0.5)
_LN2 = _f(math.log(2))
_LOG = tuple(
    _f(c)
    for c in (
        0.333333167,
        -0.250008104,
        0.200022861,
        -0.166245531,
        0.141811961,
        -0.131287677,
        0.128816224,
        -0.0785954578,
    )
)
_SIN = tuple(_f(c) for c in (1.57079632, -0.645963479, 0.0796802281, -0.00460217699))
_COS = tuple(_f(c) for c in (1.0, -1.23370054, 0.253669204, -0.0208600713, 0.000903631707))
_TANH_P = tuple(
    _f(c)
    for c in (
        0.999999993,
        0.130840084,
        0.00310395438,
        1.11542903e-05,
        -2.02251601e-08,
        5.27792048e-11,
        -8.48864754e-14,
    )
)
_TANH_Q = tuple(_f(c) for c in (1.0, 0.464173355, 0.024495171, 0.000254614263))
_TANH_END = _f(9.0)
_ERF_P = tuple(
    _f(c)
    for c in (
        1.1283791,
        0.202584754,
        0.050923506,
        0.00380792234,
        0.000143811393,
        -1.95091166e-06,
        1.96038184e-08,
    )
)
_ERF_Q = tuple(_f(c) for c in (1.0, 0.512867574, 0.116095277, 0.0145759088, 0.000979866641))
_ERF_END = _f(3.95)
_EXP = tuple(
    _f(c) for c in (0.50000001201, 0.16666665459, 0.041665795894, 0.0083334519073, 0.0013981999507, 0.00019875691500)
)
_EXP_END = _f(87.0)
_LOG2E, _LN2_HIGH, _LN2_LOW = _f(1.44269504089), _f(0.693359375), _f(-2.12194440e-4)
_ASIN = (
    1.0,
    0.16666666666664986917,
    0.075000000004018160935,
    0.044642856762615003393,
    0.030381963396751828528,
    0.022371584779320352979,
    0.017364281439103528205,
    0.013803445895891979809,
    0.013191002571753903599,
    -0.0026015378482996879209,
    0.078716113570021266284,
    -0.29687054306898242672,
    1.0082016650534187439,
    -2.4908808126226116979,
    4.6420689099888433638,
    -6.2292998753979857686,
    5.7579408313146987445,
    -3.2789331567398122711,
    0.88929043676386879885,
)
_TO_QUARTER = _f(2.0**-22)
_TO_UNIT = _f(2.0**-24)
_TO_SYMMETRIC = _f(2.0**-23)


@_jit.inner
def _log(x):
    """ln x of a positive normal float32; relative error below 2e-7, also at x -> 1."""
    bits = _float_bits(x)
    exponent = np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23)  # x / 2**exponent in [sqrt(1/2), sqrt(2))
    f = _bits_float(np.int32(bits - np.int32(exponent << np.int32(23)))) - _ONE
    p = fma(_LOG[7], f, _LOG[6])
    p = fma(p, f, _LOG[5])
    p = fma(p, f, _LOG[4])
    p = fma(p, f, _LOG[3])
    p = fma(p, f, _LOG[2])
    p = fma(p, f, _LOG[1])
    p = fma(p, f, _LOG[0])
    small = fma(f * f, fma(p, f, -_HALF), f)
    return fma(_f(exponent), _LN2, small)


@_jit.inner
def gaussian_pair(first, second):
    """Two independent standard normal float32 from two random uint32 (Box and Muller 1958), at most 5.77.

    The radius is sqrt(-2 ln u) with u = k / 2**24, k = 1 ... 2**24. The angle takes 22 bits for a quarter turn
    around an axis; two more bits choose the axis and the sign along it.
    """
    u = (_f(np.int32(first >> np.uint32(8))) + _ONE) * _TO_UNIT
    radius = np.sqrt(_f(-2) * _log(u))
    r = _f(np.int32(second >> np.uint32(10)) - np.int32(0x200000)) * _TO_QUARTER  # in [-1/2, 1/2)
    z = r * r
    s = radius * (r * fma(fma(fma(_SIN[3], z, _SIN[2]), z, _SIN[1]), z, _SIN[0]))
    c = radius * fma(fma(fma(fma(_COS[4], z, _COS[3]), z, _COS[2]), z, _COS[1]), z, _COS[0])
    sign = np.int32(np.int32(second) << np.int32(30)) & np.int32(-0x80000000)
    c = _bits_float(np.int32(_float_bits(c) ^ sign))
    swap = (second & np.uint32(1)) == 0
    return (s, c) if swap else (c, s)


@_jit.inner
def symmetric_uniform(bits):
    """A float32 uniform on (-1, 1), symmetric, from a random uint32."""
    return (_f(np.int32(bits >> np.uint32(8))) + _HALF) * _TO_SYMMETRIC - _ONE


@_jit.inner
def _clip(x, end):
    x = end if x > end else x
    return -end if x < -end else x


@_jit.inner
def _tanh(x):
    x = _clip(x, _TANH_END)
    z = x * x
    p = fma(_TANH_P[6], z, _TANH_P[5])
    p = fma(p, z, _TANH_P[4])
    p = fma(p, z, _TANH_P[3])
    p = fma(p, z, _TANH_P[2])
    p = fma(p, z, _TANH_P[1])
    p = fma(p, z, _TANH_P[0])
    q = fma(fma(fma(_TANH_Q[3], z, _TANH_Q[2]), z, _TANH_Q[1]), z, _TANH_Q[0])
    return _clip(x * p / q, _ONE)


@_jit.inner
def _erf(x):
    x = _clip(x, _ERF_END)
    z = x * x
    p = fma(_ERF_P[6], z, _ERF_P[5])
    p = fma(p, z, _ERF_P[4])
    p = fma(p, z, _ERF_P[3])
    p = fma(p, z, _ERF_P[2])
    p = fma(p, z, _ERF_P[1])
    p = fma(p, z, _ERF_P[0])
    q = fma(fma(fma(fma(_ERF_Q[4], z, _ERF_Q[3]), z, _ERF_Q[2]), z, _ERF_Q[1]), z, _ERF_Q[0])
    return _clip(x * p / q, _ONE)


@_jit.inner
def _exp(x):
    x = _clip(x, _EXP_END)
    turns = x * _LOG2E
    power = np.int32(turns + (_HALF if turns > 0 else -_HALF))
    n = _f(power)
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    p = fma(_EXP[5], r, _EXP[4])
    p = fma(p, r, _EXP[3])
    p = fma(p, r, _EXP[2])
    p = fma(p, r, _EXP[1])
    p = fma(p, r, _EXP[0])
    return fma(r * r, p, r + _ONE) * _bits_float(np.int32((power + np.int32(127)) << np.int32(23)))


@_jit.inner
def _log1p(x):
    """ln(1 + x) of a float32 in [0, 1]: what is lost in 1 + x is given back (Kahan)."""
    u = _ONE + x
    lost = u - _ONE
    return x if lost == 0 else _log(u) * (x / lost)


@_jit.inner
def _asin_ratio(y):
    """asin(x)/x at y = x^2 in [0, 1/2], in float64."""
    p = _ASIN[18]
    for k in range(17, -1, -1):
        p = fma(p, y, _ASIN[k])
    return p


@_jit.inner
def angle(om):
    """The angle acos(c) of om = 1 - c in [0, 2], in float64; relative error below 4e-16, also at c -> 1."""
    far = om > 1.0
    y = 0.5 * (2.0 - om if far else om)  # sin(t/2)^2, or cos(t/2)^2 beyond a right angle
    half = np.sqrt(y) * _asin_ratio(y)
    return np.pi - 2.0 * half if far else 2.0 * half


@_jit.inner
def arcsine(c, om):
    """asin(c), in float64, for om = 1 - c; relative error below 4e-16, also at c -> 0 and c -> 1."""
    near = c * c <= 0.5
    y = c * c if near else 0.5 * (om if c > 0.0 else 2.0 - om)
    x = c if near else np.sqrt(y)
    value = x * _asin_ratio(y)
    far = 0.5 * np.pi - 2.0 * value
    return value if near else (far if c > 0.0 else -far)


def tanh(x):
    """The hyperbolic tangent; relative error below 4e-7 in float32 (7 by 4 rational, |x| <= 9), libm in float64."""
    return math.tanh(x)


def erf(x):
    """The error function; relative error below 5e-7 in float32 (7 by 5 rational, |x| <= 3.95), libm in float64."""
    return math.erf(x)


def exp(x):
    """The exponential; relative error below 3e-7 in float32 for |x| <= 87, where it ends (Cephes), libm in float64."""
    return math.exp(x)


def log1p(x):
    """ln(1 + x); relative error below 4e-7 in float32 for x in [0, 1], libm in float64."""
    return math.log1p(x)


@overload(tanh)
def _overload_tanh(x):
    return (lambda x: _tanh(x)) if x == types.float32 else (lambda x: math.tanh(x))


@overload(erf)
def _overload_erf(x):
    return (lambda x: _erf(x)) if x == types.float32 else (lambda x: math.erf(x))


@overload(exp)
def _overload_exp(x):
    return (lambda x: _exp(x)) if x == types.float32 else (lambda x: math.exp(x))


@overload(log1p)
def _overload_log1p(x):
    return (lambda x: _log1p(x)) if x == types.float32 else (lambda x: math.log1p(x))
