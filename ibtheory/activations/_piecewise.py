"""Activations made of straight lines and powers between kinks, and of exponentials below one."""

import math
from functools import cache

import numpy as np

from ibtheory import _check, _closed
from ibtheory.activations._record import ActivationFunction, keep, symbol

_MEAN_AT_2 = 1 / math.sqrt(math.pi)  # of relu at variance 2
_ARC_COSINE = "Cho and Saul, Kernel methods for deep learning, NeurIPS 2009, eq. 6"


def _homogeneous(name, negative, positive, expression, code, reference):
    """A piecewise-linear activation through the origin, from its two slopes."""
    return ActivationFunction(
        name=name,
        # + 0.0: relu of a negative number is 0, not -0
        function=lambda x: keep(x, np.where(x > 0, positive * x, negative * x) + 0.0),
        derivative=lambda x: keep(x, np.where(x > 0, positive, negative)),
        kinks=(0.0,) if negative != positive else (),
        slopes=(float(negative), float(positive)),
        closed=_closed.two_slopes(negative, positive),
        expression=expression,
        code=code,
        reference=reference,
    )


def _sympy(build):
    """An expression that is made by ``build(sympy, x)`` when it is asked for."""

    def expression():
        import sympy

        return build(sympy, symbol())

    return expression


def _exact(sympy, number):
    """A parameter as a rational number where it is a short one."""
    return sympy.nsimplify(number, rational=True)


relu = _homogeneous("relu", 0.0, 1.0, _sympy(lambda sympy, x: sympy.Max(x, 0)), "activations.relu", _ARC_COSINE)
absolute = _homogeneous("abs", -1.0, 1.0, _sympy(lambda sympy, x: sympy.Abs(x)), "activations.abs", _ARC_COSINE)
linear = _homogeneous("linear", 1.0, 1.0, symbol, "activations.linear", "Saxe, McClelland and Ganguli, arXiv:1312.6120")


@cache
def leaky_relu(slope=0.01):
    """The leaky rectifier max(x, 0) + slope min(x, 0).

    Parameters
    ----------
    slope : float
        Slope below 0; -1 is abs, 0 relu, 1 linear.

    Returns
    -------
    ActivationFunction

    Examples
    --------
    >>> leaky_relu(0.5).slopes
    (0.5, 1.0)
    """
    slope = _check.real("slope", slope)
    expression = _sympy(lambda sympy, x: sympy.Max(x, 0) + _exact(sympy, slope) * sympy.Min(x, 0))
    code = f"activations.leaky_relu({slope!r})"
    return _homogeneous("leaky_relu", slope, 1.0, expression, code, "Maas, Hannun and Ng, ICML 2013")


@cache
def relu_power(n=2):
    """A power of the rectifier, max(x, 0)^n.

    Parameters
    ----------
    n : int
        At least 1; 1 is relu itself.

    Returns
    -------
    ActivationFunction

    Examples
    --------
    >>> relu_power(3).function(np.array([-1.0, 2.0]))
    array([0., 8.])
    """
    n = _check.integer("n", n, 1, hint="n = 0 is activations.step")
    if n == 1:
        return relu
    return ActivationFunction(
        name=f"relu^{n}",
        function=lambda x: np.maximum(x, 0) ** n,
        derivative=lambda x: n * np.maximum(x, 0) ** (n - 1),
        kinks=(0.0,),
        closed=_closed.arc_cosine(n),
        expression=_sympy(lambda sympy, x: sympy.Max(x, 0) ** n),
        code=f"activations.relu_power({n})",
        reference="Cho and Saul, NeurIPS 2009, eq. 4; n = 2: So et al., Primer, arXiv:2109.08668",
    )


@cache
def shifted_relu(shift=_MEAN_AT_2):
    """The rectifier less a constant, max(x, 0) - shift: the control without drift.

    Parameters
    ----------
    shift : float
        1/sqrt(pi), the default, is the mean of relu at variance 2: under He initialization without a norm, inputs of
        unit variance, the first layer makes no drift of unrelated inputs.

    Returns
    -------
    ActivationFunction

    Examples
    --------
    >>> from ibtheory import gaussian
    >>> print(abs(gaussian.mean(shifted_relu(), 2.0)) < 1e-15)
    True
    """
    shift = _check.real("shift", shift)
    return ActivationFunction(
        name="shifted_relu",
        function=lambda x: np.maximum(x, 0) - shift,
        derivative=relu.derivative,
        kinks=(0.0,),
        closed=_closed.shifted(relu.closed, -shift),
        expression=_sympy(lambda sympy, x: sympy.Max(x, 0) - _exact(sympy, shift)),
        code=f"activations.shifted_relu({shift!r})",
        reference="Francazi, Lucchi and Baity-Jesi, Initial guessing bias, arXiv:2306.00809 (bias-free control)",
    )


def _line(name, function, derivative, intercept, slope, bends, expression, reference):
    """A broken line intercept + slope x + sum over (kink, change of slope) in ``bends``."""
    kinks, changes = zip(*bends, strict=True)
    return ActivationFunction(
        name=name,
        function=function,
        derivative=lambda x: keep(x, derivative(x)),
        kinks=kinks,
        closed=_closed.broken_line(intercept, slope, kinks, changes),
        expression=expression,
        code=f"activations.{name}",
        reference=reference,
    )


hard_tanh = _line(
    "hard_tanh",
    lambda x: np.clip(x, -1, 1),
    lambda x: np.abs(x) < 1,
    -1.0,
    0.0,
    ((-1.0, 1.0), (1.0, -1.0)),
    _sympy(lambda sympy, x: sympy.Min(sympy.Max(x, -1), 1)),
    "Collobert, Large scale machine learning, 2004; moments derived here",
)
relu6 = _line(
    "relu6",
    lambda x: np.clip(x, 0, 6),
    lambda x: (x > 0) & (x < 6),
    0.0,
    0.0,
    ((0.0, 1.0), (6.0, -1.0)),
    _sympy(lambda sympy, x: sympy.Min(sympy.Max(x, 0), 6)),
    "Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010; moments derived here",
)
hard_swish = ActivationFunction(
    name="hard_swish",
    function=lambda x: x * np.clip(x + 3, 0, 6) / 6,
    derivative=lambda x: keep(x, np.where(x < -3, 0, np.where(x > 3, 1, (2 * x + 3) / 6))),
    kinks=(-3.0, 3.0),
    expression=_sympy(lambda sympy, x: x * sympy.Min(sympy.Max(x + 3, 0), 6) / 6),
    code="activations.hard_swish",
    reference="Howard et al., Searching for MobileNetV3, arXiv:1905.02244; moments by quadrature over one variable",
)
sign = ActivationFunction(
    name="sign",
    function=np.sign,
    derivative=np.zeros_like,
    kinks=(0.0,),
    closed=_closed.sign,
    expression=_sympy(lambda sympy, x: sympy.sign(x)),
    code="activations.sign",
    reference="Sheppard 1899: P(u v > 0) = 1 - arccos(c)/pi; Cho and Saul 2009, n = 0",
)
step = ActivationFunction(
    name="step",
    function=lambda x: keep(x, x > 0),
    derivative=np.zeros_like,
    kinks=(0.0,),
    closed=_closed.step,
    expression=_sympy(lambda sympy, x: sympy.Heaviside(x, 0)),
    code="activations.step",
    reference="Cho and Saul, NeurIPS 2009, eq. 4, n = 0",
)


def _exponential_unit(name, scale, alpha, code, expression, reference):
    """scale (x above 0, alpha (e^x - 1) below)."""
    return ActivationFunction(
        name=name,
        function=lambda x: keep(x, scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))),
        derivative=lambda x: keep(x, scale * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))),
        kinks=(0.0,),
        closed=_closed.exponential_unit(scale, alpha),
        expression=expression,
        code=code,
        reference=reference,
    )


def _elu_expression(scale, alpha):
    def build(sympy, x):
        factor, height = (sympy.Float(number) if number != int(number) else int(number) for number in (scale, alpha))
        return factor * sympy.Piecewise((x, x > 0), (height * (sympy.exp(x) - 1), True))

    return _sympy(build)


@cache
def elu(alpha=1.0):
    """The exponential linear unit: x above 0, alpha (e^x - 1) below.

    Parameters
    ----------
    alpha : float

    Returns
    -------
    ActivationFunction

    Examples
    --------
    >>> elu(2.0).function(np.array([-np.inf, 3.0]))
    array([-2.,  3.])
    """
    alpha = _check.real("alpha", alpha)
    return _exponential_unit(
        "elu",
        1.0,
        alpha,
        f"activations.elu({alpha!r})",
        _elu_expression(1.0, alpha),
        "Clevert, Unterthiner and Hochreiter, arXiv:1511.07289, eq. 15; moments derived here",
    )


_SELU = (1.0507009873554804934193349852946, 1.6732632423543772848170429916717)

selu = _exponential_unit(
    "selu",
    *_SELU,
    "activations.selu",
    _elu_expression(*_SELU),
    "Klambauer et al., Self-normalizing neural networks, arXiv:1706.02515, eq. 2; moments derived here",
)
