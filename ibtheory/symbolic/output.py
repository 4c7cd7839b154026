"""What is done with expressions: series at the ends of the correlation, functions of arrays, and LaTeX."""

from ibtheory import _check
from ibtheory.symbolic.averages import near_one
from ibtheory.symbolic.normal import phi2_value
from ibtheory.symbolic.notation import symbols
from ibtheory.symbolic.tidy import tidy


def expansion(expression, at=0, order=3):
    r"""Series of an expression in c at c = 0 or at c = 1.

    Parameters
    ----------
    expression : sympy.Expr
        In the symbol c.
    at : {0, 1}
        At 1 the series is in s = 1 - c, with half-integer powers where the activation has a kink.
    order : int
        Terms below the power ``order`` are kept.

    Returns
    -------
    sympy.Expr
        With its remainder ``O(...)``; ``removeO()`` leaves it out.

    Raises
    ------
    ValueError
        For an expression with unevaluated integrals.

    Examples
    --------
    >>> from ibtheory.symbolic import c_map
    >>> expansion(1 - c_map("relu"), at=1, order=2)
    s - 2*sqrt(2)*s**(3/2)/(3*pi) + O(s**2)
    >>> expansion(c_map("relu", norm="layer"), order=3)
    pi*c/(2*(-1 + pi)) + c**2/(2*(-1 + pi)) + O(c**3)
    """
    import sympy

    S = symbols()
    order = _check.integer("order", order, 1)
    if at not in (0, 1):
        raise ValueError(f"at must be 0 or 1, the ends of the correlation; got {at!r}")
    _refuse_integrals(expression)
    if at == 0:
        return _series(expression, S.c, order, lambda power: S.c**power)
    near = tidy(near_one(expression))
    if not any(
        isinstance(power.exp, sympy.Rational) and power.exp.q == 2
        for power in near.atoms(sympy.Pow)
        if power.base == S.s
    ):
        return _series(near, S.s, order, lambda power: S.s**power)
    root = sympy.Symbol("t", positive=True)  # sqrt(1 - c): in it everything is analytic
    return _series(near.subs(S.s, root**2), root, 2 * order, lambda power: S.s ** sympy.Rational(power, 2))


def _series(expression, variable, order, power):
    """Taylor's series by differentiation."""
    import sympy

    total, derivative = sympy.Integer(0), expression
    for k in range(order):
        value = derivative.subs(variable, 0)
        if not value.is_finite and value.has(sympy.nan, sympy.zoo, sympy.oo):
            raise NotImplementedError(
                "the expression has no series there: kinks away from 0 leave terms like exp(-1/(1 - c)); expand at 0"
            )
        total += sympy.factor(tidy(value)) / sympy.factorial(k) * power(k)
        derivative = derivative.diff(variable)
    return total + sympy.Order(power(order), *power(1).free_symbols)


def _refuse_integrals(expression):
    import sympy

    if expression.has(sympy.Integral):
        raise ValueError(
            "the expression has integrals without closed form; evaluate it by .evalf(), or use ibtheory.gaussian, "
            "which integrates numerically"
        )


def lambdify(variables, expression):
    """A function of arrays from an expression.

    Parameters
    ----------
    variables : sympy.Symbol or sequence of sympy.Symbol
        The arguments, in their order.
    expression : sympy.Expr

    Returns
    -------
    callable
        Of numbers or arrays, which are broadcast; it returns a float array.

    Raises
    ------
    ValueError
        For integrals without closed form, or a symbol of the expression that is not among the variables.

    Notes
    -----
    Near c = 1 expressions in s = 1 - c keep their digits: see :func:`ibtheory.symbolic.gap`.

    Examples
    --------
    >>> from ibtheory.symbolic import c_map
    >>> print(lambdify(symbols().c, c_map("relu"))(0.5).round(10))
    0.608997781
    """
    import numpy as np
    import sympy

    variables = (variables,) if isinstance(variables, sympy.Symbol) else tuple(variables)
    expression = sympy.sympify(expression)
    _refuse_integrals(expression)
    missing = expression.free_symbols - set(variables)
    if missing:
        raise ValueError(
            f"the expression has the symbols {sorted(map(str, missing))}, which are not among the variables; add them, "
            "or substitute numbers"
        )
    raw = sympy.lambdify(variables, expression, modules=[{"Phi2": phi2_value}, "scipy", "numpy"], cse=True)

    def function(*arguments):
        arrays = np.broadcast_arrays(*(np.asarray(a, float) for a in arguments))
        with np.errstate(divide="ignore", over="ignore"):
            return np.broadcast_to(np.asarray(raw(*arrays), float), arrays[0].shape).copy()[()]

    return function


def latex(expression, name=None):
    r"""LaTeX of an expression, of an equation, or of aligned equations.

    Parameters
    ----------
    expression : sympy.Expr or dict
        A dict from left-hand sides (LaTeX) to expressions gives an ``aligned`` environment.
    name : str, optional
        Left-hand side.

    Returns
    -------
    str

    Examples
    --------
    >>> from ibtheory.symbolic import gamma
    >>> print(latex(gamma("relu", norm="batch", placement="before"), r"\gamma"))
    \gamma = \frac{1}{-1 + \pi}
    """
    import sympy

    if isinstance(expression, dict):
        rows = (f"{left} &= {latex(right)}" for left, right in expression.items())
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"
    text = sympy.latex(expression, inv_trig_style="full")
    return text if name is None else f"{name} = {text}"
