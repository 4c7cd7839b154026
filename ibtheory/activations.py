"""Each activation once, as data: value, derivative, kinks, SymPy expression, closed forms, reference.

Everywhere in ibtheory an activation is a name of this catalogue or a record :class:`ActivationFunction`; a user's own
record comes from :func:`from_function` or :func:`from_sympy`.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy import special

from ibtheory import _check, _closed

__all__ = [
    "ActivationFunction",
    "abs",
    "catalogue",
    "erf",
    "from_function",
    "from_sympy",
    "gelu",
    "get",
    "leaky_relu",
    "linear",
    "relu",
    "tanh",
]

_absolute = abs  # the builtin, before the activation of that name hides it


@dataclass(frozen=True, eq=False, repr=False)
class ActivationFunction:
    """An activation phi, as data.

    Attributes
    ----------
    name : str
    function, derivative : callable
        Elementwise on arrays; the dtype is kept.
    kinks : tuple of float
        Where the value or the slope jumps; everywhere else the function is smooth.
    slopes : tuple of float or None
        (slope below 0, slope above 0) of a piecewise-linear phi through the origin: positively homogeneous.
    closed : ClosedForms or None
        Gaussian expectations in closed form.
    expression : callable or None
        Returns phi as a SymPy expression in ``Symbol("x", real=True)``.
    code : str
        Python that rebuilds the record, or "" where there is none (a user's function).
    reference : str

    Examples
    --------
    >>> from ibtheory import activations
    >>> activations.relu.function(np.array([-1.0, 2.0]))
    array([0., 2.])
    >>> activations.leaky_relu(0.1)
    activations.leaky_relu(0.1)
    """

    name: str
    function: Callable
    derivative: Callable
    kinks: tuple = ()
    slopes: tuple | None = None
    closed: _closed.ClosedForms | None = None
    expression: Callable | None = None
    code: str = ""
    reference: str = ""

    def __repr__(self):
        return self.code or f"<activation {self.name}>"

    def __eq__(self, other):
        if not isinstance(other, ActivationFunction):
            return NotImplemented
        return self._key == other._key

    def __hash__(self):
        return hash(self._key)

    @property
    def _key(self):
        return self.code or (self.name, self.function, self.derivative, self.kinks)

    def __reduce__(self):
        if self.code:
            return from_code, (self.code,)
        return from_function, (self.function, self.derivative, self.kinks, self.name)


def _symbol():
    import sympy

    return sympy.Symbol("x", real=True)


def _piecewise_linear(name, negative, positive, expression, code, reference):
    kinked = negative != positive
    return ActivationFunction(
        name=name,
        # + 0.0: relu of a negative number is 0, not -0
        function=lambda x: (np.where(x > 0, positive * x, negative * x) + 0.0).astype(np.result_type(x), copy=False),
        derivative=lambda x: np.where(x > 0, positive, negative).astype(np.result_type(x), copy=False),
        kinks=(0.0,) if kinked else (),
        slopes=(float(negative), float(positive)),
        closed=_closed.piecewise_linear(negative, positive),
        expression=expression,
        code=code,
        reference=reference,
    )


def _relu_expression(slope=0.0):
    import sympy

    x = _symbol()
    return sympy.Max(x, 0) + (sympy.nsimplify(slope) * sympy.Min(x, 0) if slope else 0)


def _sympy_function(name):
    def expression():
        import sympy

        return getattr(sympy, name)(_symbol())

    return expression


def _gelu_expression():
    import sympy

    x = _symbol()
    return x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2


_ARC_COSINE = "Cho and Saul, Kernel methods for deep learning, NeurIPS 2009, eq. 6"

relu = _piecewise_linear("relu", 0.0, 1.0, _relu_expression, "activations.relu", _ARC_COSINE)
abs = _piecewise_linear("abs", -1.0, 1.0, _sympy_function("Abs"), "activations.abs", _ARC_COSINE)
linear = _piecewise_linear(
    "linear",
    1.0,
    1.0,
    _symbol,
    "activations.linear",
    "Saxe, McClelland and Ganguli, arXiv:1312.6120 (deep linear networks)",
)
erf = ActivationFunction(
    name="erf",
    function=special.erf,
    derivative=lambda x: (2 / np.sqrt(np.pi) * np.exp(-x * x)).astype(np.result_type(x), copy=False),
    closed=_closed.erf,
    expression=_sympy_function("erf"),
    code="activations.erf",
    reference="Williams, Computing with infinite networks, NeurIPS 1996, eq. 11",
)
tanh = ActivationFunction(
    name="tanh",
    function=np.tanh,
    derivative=lambda x: 1 - np.tanh(x) ** 2,
    expression=_sympy_function("tanh"),
    code="activations.tanh",
    reference="LeCun, Bottou, Orr and Müller, Efficient backprop, 1998; moments by quadrature",
)
gelu = ActivationFunction(
    name="gelu",
    function=_closed.gelu_value,
    derivative=_closed.gelu_derivative,
    closed=_closed.gelu,
    expression=_gelu_expression,
    code="activations.gelu",
    reference="Hendrycks and Gimpel, Gaussian error linear units, arXiv:1606.08415, eq. 1; moments derived here",
)


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
    code = f"activations.leaky_relu({slope!r})"
    return _piecewise_linear(
        "leaky_relu", slope, 1.0, lambda: _relu_expression(slope), code, "Maas, Hannun and Ng, ICML 2013"
    )


_CATALOGUE = {
    "relu": lambda: relu,
    "leaky_relu": leaky_relu,
    "abs": lambda: abs,
    "linear": lambda: linear,
    "erf": lambda: erf,
    "tanh": lambda: tanh,
    "gelu": lambda: gelu,
}


def catalogue():
    """The catalogue: a dict from each name to its record (factories with their default parameters).

    Examples
    --------
    >>> sorted(catalogue())
    ['abs', 'erf', 'gelu', 'leaky_relu', 'linear', 'relu', 'tanh']
    """
    return {name: build() for name, build in _CATALOGUE.items()}


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
    return _CATALOGUE[_check.choice("activation", activation, _CATALOGUE, hint=hint)]()


def from_code(code):
    """The record that a repr such as "activations.leaky_relu(0.1)" names; nothing is executed.

    Raises
    ------
    ValueError
        If the text is not the repr of a record of the catalogue or of :func:`from_sympy`.

    Examples
    --------
    >>> from_code("activations.relu") is relu
    True
    """
    try:
        node = ast.parse(code, mode="eval").body
        arguments = [ast.literal_eval(value) for value in node.args] if isinstance(node, ast.Call) else []
        keywords = {k.arg: ast.literal_eval(k.value) for k in node.keywords} if isinstance(node, ast.Call) else {}
        target = node.func if isinstance(node, ast.Call) else node
        if target.value.id != "activations":
            raise ValueError
        name = target.attr
    except (SyntaxError, ValueError, AttributeError) as error:
        raise ValueError(f"not the code of an activation: {code!r}; expected e.g. 'activations.relu'") from error
    if name == "from_sympy":
        return from_sympy(*arguments, **keywords)
    if name == "leaky_relu":
        return leaky_relu(*arguments)
    return get(name)


_PROBE = np.concatenate([-np.logspace(0.9, -3, 24), np.logspace(-3, 0.9, 24)])


def from_function(f, derivative, kinks=(), name="user"):
    """An activation from two NumPy callables.

    Parameters
    ----------
    f, derivative : callable
        Elementwise on float arrays: phi and phi'. At a kink the derivative may return either side.
    kinks : sequence of float
        Every point where f or its slope jumps. Quadrature splits there, and refuses a function with a kink left out.
    name : str
        Used in tables and plots.

    Returns
    -------
    ActivationFunction

    Raises
    ------
    TypeError
        If f or derivative is not callable.
    ValueError
        If f does not return finite values of the input's shape, or if derivative disagrees with central
        differences of f away from the kinks.

    Examples
    --------
    >>> swish = from_function(lambda x: x / (1 + np.exp(-x)),
    ...                       lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2, name="swish")
    >>> swish
    <activation swish>
    """
    if not callable(f) or not callable(derivative):
        raise TypeError("f and derivative must be callables on arrays; give both, phi and phi'")
    kinks = tuple(sorted(_check.real("kink", float(k)) for k in kinks))
    if not isinstance(name, str) or not name:
        raise TypeError(f"name must be a non-empty string, got {name!r}")
    _check_values(f, derivative, kinks, name)
    return ActivationFunction(name, f, derivative, kinks, reference="given by the user")


def _check_values(f, derivative, kinks, name):
    points = _PROBE
    for kink in kinks:
        points = points[_absolute(points - kink) > 1e-4]
    step = 1e-5 * np.maximum(_absolute(points), 0.1)
    with np.errstate(all="ignore"):
        values = [np.asarray(g(x), float) for g, x in ((f, points + step), (f, points - step), (derivative, points))]
    if any(v.shape != points.shape or not np.all(np.isfinite(v)) for v in values):
        raise ValueError(
            f"activation {name!r}: f and derivative must return finite values of the input's shape on [-8, 8]"
        )
    upper, lower, slope = values
    numeric = (upper - lower) / (2 * step)
    # central differences: truncation (step^2 f''' / 6) plus rounding (eps f / step)
    scale = 1 + _absolute(slope) + np.maximum(_absolute(upper), _absolute(lower))
    wrong = _absolute(numeric - slope) > 1e-4 * scale
    if wrong.any():
        at = points[wrong][0]
        raise ValueError(
            f"activation {name!r}: derivative({at:.3g}) = {slope[wrong][0]:.6g} but central differences of f give "
            f"{numeric[wrong][0]:.6g}; correct the derivative, or name the kink near {at:.3g} in kinks"
        )


@lru_cache(maxsize=256)
def from_sympy(expression, name=None):
    """An activation from a SymPy expression in one real symbol (or from its text).

    The derivative is taken symbolically; kinks are the zeros of the arguments of Abs, sign, Heaviside, of the
    differences inside Max and Min, and the boundaries of Piecewise.

    Parameters
    ----------
    expression : sympy.Expr or str
        With exactly one free symbol.
    name : str, optional
        Default: the text of the expression.

    Returns
    -------
    ActivationFunction

    Raises
    ------
    ValueError
        If the number of free symbols is not one, or a kink cannot be found.

    Examples
    --------
    >>> from_sympy("x/(1 + exp(-x))").derivative(np.array([0.0]))
    array([0.5])
    >>> from_sympy("Max(x - 1, 0)").kinks
    (1.0,)
    """
    import sympy

    if isinstance(expression, str):
        _check_text(expression)
    try:
        parsed = sympy.sympify(expression)
    except (sympy.SympifyError, SyntaxError, TypeError) as error:
        raise ValueError(f"not a SymPy expression: {expression!r}; give e.g. 'x*erf(x)'") from error
    if len(parsed.free_symbols) != 1:
        raise ValueError(
            f"the expression must have exactly one free symbol, got {sorted(map(str, parsed.free_symbols))}; "
            "substitute numbers for parameters"
        )
    x = _symbol()
    parsed = parsed.xreplace({parsed.free_symbols.pop(): x})
    kinks = _kinks(parsed, x)
    derivative = parsed.diff(x).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    f, slope = (_compile(e, x) for e in (parsed, derivative))
    code = f"activations.from_sympy({str(parsed)!r}, {name!r})" if name else f"activations.from_sympy({str(parsed)!r})"
    name = name or str(parsed)
    _check_values(f, slope, kinks, name)
    return ActivationFunction(
        name, f, slope, kinks, expression=lambda: parsed, code=code, reference="given by the user as SymPy"
    )


_PLAIN = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Compare, ast.Tuple, ast.Constant, ast.Name)
_PLAIN += (ast.operator, ast.unaryop, ast.cmpop, ast.expr_context)


def _check_text(text):
    """Refuse text that is more than a formula: sympify evaluates it, and it may come from a file."""
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except SyntaxError as error:
        raise ValueError(f"not a formula: {text!r}; give e.g. 'x*erf(x)'") from error
    for node in nodes:
        text_constant = isinstance(node, ast.Constant) and not isinstance(node.value, int | float | bool)
        called = isinstance(node, ast.Call) and not isinstance(node.func, ast.Name)
        private = isinstance(node, ast.Name) and node.id.startswith("_")
        if not isinstance(node, _PLAIN) or text_constant or called or private or getattr(node, "keywords", None):
            raise ValueError(f"not a formula: {text!r}; numbers, one symbol, operators and function calls only")


def _kinks(expression, x):
    import sympy

    arguments = [e.args[0] for e in expression.atoms(sympy.Abs, sympy.sign, sympy.Heaviside)]
    for e in expression.atoms(sympy.Max, sympy.Min):
        arguments += [a - b for i, a in enumerate(e.args) for b in e.args[:i]]
    for e in expression.atoms(sympy.core.relational.Relational):
        arguments.append(e.lhs - e.rhs)
    points = set()
    for argument in arguments:
        try:
            roots = sympy.solveset(argument, x, sympy.S.Reals)
            points.update(float(root) for root in roots)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise ValueError(
                f"cannot find where {argument} changes sign; use from_function and name the kinks"
            ) from error
    return tuple(sorted(points))


def _compile(expression, x):
    import sympy

    raw = sympy.lambdify(x, expression, modules=["scipy", "numpy"])

    def function(values):
        values = np.asarray(values)
        return np.broadcast_to(raw(values), values.shape).astype(np.result_type(values, np.float32), copy=True)

    return function
