"""Activations of the user: functions, formulas, compositions."""

import ast
from functools import lru_cache

import numpy as np

from ibtheory import _check
from ibtheory.activations._record import ActivationFunction, symbol

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
        points = points[np.abs(points - kink) > 1e-4]
    step = 1e-5 * np.maximum(np.abs(points), 0.1)
    with np.errstate(all="ignore"):
        values = [np.asarray(g(x), float) for g, x in ((f, points + step), (f, points - step), (derivative, points))]
    if any(v.shape != points.shape or not np.all(np.isfinite(v)) for v in values):
        raise ValueError(
            f"activation {name!r}: f and derivative must return finite values of the input's shape on [-8, 8]"
        )
    upper, lower, slope = values
    numeric = (upper - lower) / (2 * step)
    # central differences: truncation (step^2 f''' / 6) plus rounding (eps f / step)
    scale = 1 + np.abs(slope) + np.maximum(np.abs(upper), np.abs(lower))
    wrong = np.abs(numeric - slope) > 1e-4 * scale
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
    x = symbol()
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
