"""Each activation once, as data: value, derivative, kinks, SymPy expression, closed forms, reference.

Everywhere in ibtheory an activation is a name of this catalogue or a record :class:`ActivationFunction`; a user's own
record comes from :func:`from_function`, :func:`from_sympy` or :func:`compose`.
"""

import ast

from ibtheory import _check
from ibtheory.activations._compose import composition
from ibtheory.activations._own import from_function, from_sympy
from ibtheory.activations._piecewise import (
    absolute,
    elu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    linear,
    relu,
    relu6,
    relu_power,
    selu,
    shifted_relu,
    sign,
    step,
)
from ibtheory.activations._record import ActivationFunction
from ibtheory.activations._smooth import (
    cos,
    cubic,
    erf,
    exp,
    gaussian,
    gelu,
    gelu_tanh,
    mish,
    sigmoid,
    silu,
    sin,
    softplus,
    tanh,
)

__all__ = [
    "ActivationFunction",
    "abs",
    "catalogue",
    "compose",
    "cos",
    "cubic",
    "elu",
    "erf",
    "exp",
    "from_code",
    "from_function",
    "from_sympy",
    "gaussian",
    "gelu",
    "gelu_tanh",
    "get",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "relu_power",
    "selu",
    "shifted_relu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "step",
    "tanh",
]

abs = absolute

_RECORDS = (
    relu,
    abs,
    linear,
    hard_tanh,
    relu6,
    hard_swish,
    sign,
    step,
    selu,
    erf,
    gelu,
    gelu_tanh,
    tanh,
    sigmoid,
    silu,
)
_RECORDS += (softplus, mish, cubic, sin, cos, exp, gaussian)
_FACTORIES = {f.__name__: f for f in (leaky_relu, relu_power, shifted_relu, elu)}


def catalogue():
    """The catalogue: a dict from each name to its record (factories with their default parameters).

    Examples
    --------
    >>> len(catalogue())
    26
    """
    return {record.name: record for record in _RECORDS} | {name: build() for name, build in _FACTORIES.items()}


_CATALOGUE = catalogue()


def get(activation):
    """The record of an activation given as a name or as a record.

    Raises
    ------
    ValueError
        For a name that is not in the catalogue.
    TypeError
        For anything else.

    Examples
    --------
    >>> get("tanh").name
    'tanh'
    """
    if isinstance(activation, ActivationFunction):
        return activation
    hint = "Your own function: activations.from_function(f, derivative, kinks=...)."
    return _CATALOGUE[_check.choice("activation", activation, _CATALOGUE, hint=hint)]


def compose(outer, inner):
    """The activation x -> outer(inner(x)).

    Its kinks are those of ``inner`` and the points where ``inner`` crosses a kink of ``outer``, solved for on
    [-1e4, 1e4].

    Parameters
    ----------
    outer, inner : str or ActivationFunction

    Returns
    -------
    ActivationFunction

    Examples
    --------
    >>> compose("hard_tanh", "cubic")
    activations.compose(activations.hard_tanh, activations.cubic)
    >>> compose("relu", shifted_relu(0.5)).kinks
    (0.0, 0.5)
    """
    return composition(get(outer), get(inner))


_CALLS = {**_FACTORIES, "from_sympy": from_sympy, "compose": compose}


def from_code(code):
    """The record that a repr such as "activations.leaky_relu(0.1)" names; nothing is executed.

    Raises
    ------
    ValueError
        If the text is not the repr of a record of the catalogue, of :func:`from_sympy` or of :func:`compose`.

    Examples
    --------
    >>> from_code("activations.relu") is relu
    True
    """
    try:
        node = ast.parse(code, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"not the code of an activation: {code!r}; expected e.g. 'activations.relu'") from error
    return _built(node, code)


def _built(node, code):
    """The record of a syntax tree that names records and calls of this module, and literals."""
    target = node.func if isinstance(node, ast.Call) else node
    known = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    if not known or target.value.id != "activations":
        raise ValueError(f"not the code of an activation: {code!r}; expected e.g. 'activations.relu'")
    if not isinstance(node, ast.Call):
        return get(target.attr)
    call = _CALLS[_check.choice("activation", target.attr, _CALLS)]

    def value(argument):
        try:
            return ast.literal_eval(argument)
        except ValueError:
            return _built(argument, code)

    return call(*map(value, node.args), **{keyword.arg: value(keyword.value) for keyword in node.keywords})
