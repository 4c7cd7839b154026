"""Analytic activations, written so that values and derivatives are accurate for every argument."""

import numpy as np
from scipy import special

from ibtheory import _closed
from ibtheory.activations._record import ActivationFunction, keep, symbol

_FAR = 40.0  # exp(-40^2) is 0 in double precision


def _record(name, function, derivative, expression, reference, closed=None):
    def build():
        import sympy

        return expression(sympy, symbol())

    return ActivationFunction(
        name=name,
        function=function,
        derivative=derivative,
        closed=closed,
        expression=build,
        code=f"activations.{name}",
        reference=reference,
    )


def _bell(x):
    """exp(-x^2) without overflow of the square."""
    clipped = np.clip(x, -_FAR, _FAR)
    return np.exp(-clipped * clipped)


def _gelu_derivative(x):
    """Phi(x) + x phi(x)."""
    return special.ndtr(x) + np.clip(x, -_FAR, _FAR) * _bell(x * np.sqrt(0.5)) / np.sqrt(2 * np.pi)


def _sech_squared(x):
    decay = np.exp(-2 * np.abs(x))
    return 4 * decay / (1 + decay) ** 2


def _silu_derivative(x):
    inside = np.clip(x, -750, 750)  # x expit(-x) is 0 beyond
    return special.expit(x) * (1 + inside * special.expit(-inside))


_CUBE = 0.044715  # of the argument of gelu_tanh
_ROOT = np.sqrt(8 / np.pi)


def _gelu_tanh_argument(x):
    """2 sqrt(2/pi) (x + 0.044715 x^3), whose logistic function is (1 + tanh of half of it)/2."""
    x = np.clip(x, -_FAR, _FAR)
    return float(_ROOT) * (x + _CUBE * x * x * x)


def _gelu_tanh_derivative(x):
    inside = np.clip(x, -_FAR, _FAR)
    z = _gelu_tanh_argument(x)
    slope = float(_ROOT) * (1 + 3 * _CUBE * inside * inside)
    return special.expit(z) * (1 + inside * slope * special.expit(-z))


def _mish_gate(x):
    """(t, 1 - t^2) of t = tanh(log(1 + e^x)), from e^-|x|."""
    e, above = np.exp(-np.abs(x)), x > 0
    denominator = np.where(above, 1 + 2 * e * (1 + e), e * (e + 2) + 2)
    numerator = np.where(above, 1 + 2 * e, e * (e + 2))
    rest = 4 * (1 + e) ** 2 * np.where(above, e * e, 1) / denominator**2
    return numerator / denominator, rest


def _mish_derivative(x):
    gate, rest = _mish_gate(x)
    return gate + np.clip(x, -750, 750) * rest * special.expit(x)


erf = _record(
    "erf",
    special.erf,
    lambda x: 2 / float(np.sqrt(np.pi)) * _bell(x),
    lambda sympy, x: sympy.erf(x),
    "Williams, Computing with infinite networks, NeurIPS 1996, eq. 11",
    _closed.erf,
)
gelu = _record(
    "gelu",
    lambda x: x * special.ndtr(x),
    lambda x: keep(x, _gelu_derivative(x)),
    lambda sympy, x: x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
    "Hendrycks and Gimpel, Gaussian error linear units, arXiv:1606.08415, eq. 1; moments derived here",
    _closed.gelu,
)
gelu_tanh = _record(
    "gelu_tanh",
    lambda x: x * special.expit(_gelu_tanh_argument(x)),
    _gelu_tanh_derivative,
    lambda sympy, x: x * (1 + sympy.tanh(sympy.sqrt(2 / sympy.pi) * (x + sympy.Rational(44715, 10**6) * x**3))) / 2,
    "Hendrycks and Gimpel, arXiv:1606.08415, the approximation by tanh; moments by quadrature",
)
tanh = _record(
    "tanh",
    np.tanh,
    _sech_squared,
    lambda sympy, x: sympy.tanh(x),
    "LeCun, Bottou, Orr and Müller, Efficient backprop, 1998; moments by quadrature",
)
sigmoid = _record(
    "sigmoid",
    special.expit,
    lambda x: special.expit(x) * special.expit(-x),
    lambda sympy, x: 1 / (1 + sympy.exp(-x)),
    "Rumelhart, Hinton and Williams, Nature 1986; moments by quadrature",
)
silu = _record(
    "silu",
    lambda x: x * special.expit(x),
    _silu_derivative,
    lambda sympy, x: x / (1 + sympy.exp(-x)),
    "Elfwing, Uchibe and Doya, arXiv:1702.03118 (also called swish); moments by quadrature",
)
softplus = _record(
    "softplus",
    lambda x: keep(x, np.logaddexp(0, x)),
    special.expit,
    lambda sympy, x: sympy.log(1 + sympy.exp(x)),
    "Dugas et al., NeurIPS 2000; moments by quadrature",
)
mish = _record(
    "mish",
    lambda x: x * _mish_gate(x)[0],
    _mish_derivative,
    lambda sympy, x: x * sympy.tanh(sympy.log(1 + sympy.exp(x))),
    "Misra, arXiv:1908.08681; moments by quadrature",
)
cubic = _record(
    "cubic",
    lambda x: x * x * x,
    lambda x: 3 * x * x,
    lambda sympy, x: x**3,
    "Isserlis 1918: E u^3 v^3 = 9 q1 q2 r + 6 r^3",
    _closed.cubic,
)
sin = _record(
    "sin",
    np.sin,
    np.cos,
    lambda sympy, x: sympy.sin(x),
    "Sitzmann et al., arXiv:2006.09661; Pearce et al., Expressive priors, UAI 2019",
    _closed.sin,
)
cos = _record(
    "cos",
    np.cos,
    lambda x: -np.sin(x),
    lambda sympy, x: sympy.cos(x),
    "Rahimi and Recht, Random features, NeurIPS 2007",
    _closed.cos,
)
exp = _record(
    "exp",
    np.exp,
    np.exp,
    lambda sympy, x: sympy.exp(x),
    "Daniely, Frostig and Singer, arXiv:1602.05897, table 1",
    _closed.exp,
)
gaussian = _record(
    "gaussian",
    _bell,
    lambda x: -2 * np.clip(x, -_FAR, _FAR) * _bell(x),
    lambda sympy, x: sympy.exp(-(x**2)),
    "Williams, Computing with infinite networks, NeurIPS 1996, eq. 13",
    _closed.gaussian,
)
