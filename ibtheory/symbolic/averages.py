"""Gaussian averages of an activation as SymPy expressions, derived from the activation's own expression."""

from functools import lru_cache
from typing import NamedTuple

from ibtheory import _check
from ibtheory.symbolic.arguments import correlation, exact, phi, variance
from ibtheory.symbolic.normal import average
from ibtheory.symbolic.notation import symbols
from ibtheory.symbolic.terms import NotClosed, Term, differentiate, piecewise_polynomial, terms, times
from ibtheory.symbolic.tidy import tidy


class Moments(NamedTuple):
    """E phi(u) and E phi(u)^2; see :func:`moments`."""

    mean: object
    second: object


def moments(activation, q=None):
    r"""Mean and second moment of an activation, :math:`\mathrm E\,\varphi(u)` and :math:`\mathrm E\,\varphi(u)^2`.

    Parameters
    ----------
    activation : str, ActivationFunction or sympy.Expr
    q : number or sympy.Expr, optional
        Variance of u; the symbol q without it.

    Returns
    -------
    Moments
        Named tuple (mean, second).

    Raises
    ------
    ValueError
        If the activation has no expression, or q is negative.

    Notes
    -----
    Piecewise combinations of polynomials, exponentials of at most quadratic decay, sines, cosines and error
    functions are averaged by rule: exponentials change the measure, powers are taken off by Stein's lemma, steps and
    error functions leave Gaussian orthants. What is none of these stays an unevaluated ``Integral``, which ``.evalf()``
    computes.

    Examples
    --------
    >>> moments("relu")
    Moments(mean=sqrt(2)*sqrt(q)/(2*sqrt(pi)), second=q/2)
    >>> moments("relu", 1).mean
    sqrt(2)/(2*sqrt(pi))
    """
    return Moments(mean(activation, q), second(activation, q))


def mean(activation, q=None):
    r""":math:`\mathrm E\,\varphi(u)`, u of variance q; see :func:`moments`.

    Examples
    --------
    >>> mean("gelu")
    sqrt(2)*q/(2*sqrt(pi)*sqrt(q + 1))
    """
    return _at(_mean(phi(activation)), {symbols().q: variance("q", q)})


def second(activation, q=None):
    r""":math:`\mathrm E\,\varphi(u)^2`, u of variance q; see :func:`moments`.

    Examples
    --------
    >>> second("erf")
    2*asin(2*q/(2*q + 1))/pi
    """
    return _at(_second(phi(activation)), {symbols().q: variance("q", q)})


def dual(activation, q1=None, q2=None, c=None):
    r"""The dual activation :math:`R = \mathrm E\,\varphi(u)\varphi(v)` of a normal pair.

    Parameters
    ----------
    activation : str, ActivationFunction or sympy.Expr
    q1, q2 : number or sympy.Expr, optional
        Variances. With q1 alone, or neither, both are equal (the symbol q).
    c : number or sympy.Expr, optional
        Correlation; the symbol c without it.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    ValueError
        For a negative variance or a correlation outside [-1, 1].

    References
    ----------
    Cho and Saul 2009 (ReLU); Williams 1996 (erf); Daniely, Frostig and Singer 2016, arXiv:1602.05897.

    Examples
    --------
    >>> dual("relu")
    q*(2*c*asin(c) + pi*c + 2*sqrt(1 - c**2))/(4*pi)
    >>> dual("erf", c=1) == second("erf")
    True
    """
    return _pair(phi(activation), False, q1, q2, c)


def derivative_dual(activation, q1=None, q2=None, c=None):
    r""":math:`\mathrm E\,\varphi'(u)\varphi'(v)`, which is the derivative of :func:`dual` by r = sqrt(q1 q2) c.

    Parameters as for :func:`dual`. Where the activation jumps its derivative has a delta, and so the theorem of Price
    holds for all.

    Examples
    --------
    >>> derivative_dual("relu")
    (2*asin(c) + pi)/(4*pi)
    >>> import sympy
    >>> derivative_dual(sympy.sign(symbols().x))
    2/(pi*q*sqrt(1 - c**2))
    """
    return _pair(phi(activation), True, q1, q2, c)


def centred(activation, q=None, c=None):
    r""":math:`\mathrm E\,\varphi(u)\varphi(v) - (\mathrm E\,\varphi(u))^2` at equal variances.

    Examples
    --------
    >>> centred("abs", 1)
    2*(c*asin(c) + sqrt(1 - c**2) - 1)/pi
    """
    c = correlation(c)
    return tidy(_dual_at(phi(activation), False, variance("q", q, symbols().q), c) - mean(activation, q) ** 2)


def gap(activation, q=None, s=None):
    r""":math:`\mathrm E\,(\varphi(u) - \varphi(v))^2/2` at equal variances, in s = 1 - c.

    Examples
    --------
    >>> gap("linear")
    q*s
    """
    S = symbols()
    s, q = S.s if s is None else exact("s", s), variance("q", q, S.q)
    difference = _at(_second(phi(activation)), {S.q: q}) - _dual_at(phi(activation), False, q, S.c)
    return _at(tidy(near_one(difference)), {S.s: s})


def near_one(expression):
    """An expression in c as one in s = 1 - c; asin(1 - s) = pi/2 - 2 atan(sqrt(s/(2 - s)))."""
    import sympy

    S = symbols()

    def arc(z):
        sign = {1: 1, -1: -1}.get(sympy.expand(z / S.c))
        return sympy.asin(z) if sign is None else sign * (sympy.pi / 2 - 2 * sympy.atan(sympy.sqrt(S.s / (2 - S.s))))

    return expression.replace(sympy.asin, arc).subs(S.c, 1 - S.s)


def hermite(activation, k, q=None):
    r"""Normalized Hermite coefficient :math:`a_k = \mathrm E\,\varphi(\sqrt q\,z)\,\mathrm{He}_k(z)/\sqrt{k!}`.

    Parameters
    ----------
    activation : str, ActivationFunction or sympy.Expr
    k : int or sympy.Symbol
        Order, at least 0. A symbol gives the formula of all orders above the degree, for piecewise polynomials whose
        kink is at 0.
    q : number or sympy.Expr, optional
        Variance; the symbol q without it.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    NotImplementedError
        For a symbol k with any other activation.

    Examples
    --------
    >>> [hermite("relu", k, 1) for k in range(4)]
    [sqrt(2)/(2*sqrt(pi)), 1/2, 1/(2*sqrt(pi)), 0]
    >>> import sympy
    >>> k = sympy.Symbol("k", integer=True, positive=True)
    >>> hermite("relu", k, 1)
    2**(k/2 - 3/2)/(gamma(3/2 - k/2)*sqrt(gamma(k + 1)))
    """
    import sympy

    if isinstance(k, sympy.Symbol):
        return _every_hermite(phi(activation), k).subs(symbols().q, variance("q", q, symbols().q))
    k = _check.integer("k", k, 0)
    return _at(_hermite(phi(activation), k), {symbols().q: variance("q", q)})


def drift(activation, q=None):
    r"""Drift that one layer makes of uncorrelated inputs, :math:`\gamma_1 = a_0^2/\sum_{k \ge 1} a_k^2`.

    Parameters as for :func:`mean`.

    Examples
    --------
    >>> drift("relu")
    1/(-1 + pi)
    >>> drift("leaky_relu").evalf(6)
    0.453371
    """
    first = mean(activation, q) ** 2
    return ratio(first, second(activation, q) - first)


def ratio(above, below):
    """A quotient, in lowest terms where it is algebraic."""
    import sympy

    above, below = tidy(above), tidy(below)
    functions = (above / below).atoms(sympy.Function, sympy.exp, sympy.Integral)
    if below.atoms(sympy.Function, sympy.exp, sympy.Integral):
        return above / below
    if functions:
        return tidy(above / below)
    return sympy.factor(above / below) if (above / below).free_symbols else sympy.cancel(above / below)


def _at(expression, values):
    """The expression with numbers or other expressions for its symbols, tidy again."""
    values = {symbol: value for symbol, value in values.items() if value is not None and value != symbol}
    return tidy(expression.subs(values)) if values else expression


def _pair(expression, derivative, q1, q2, c):
    S = symbols()
    q1, q2, c = variance("q1", q1), variance("q2", q2), correlation(c)
    if q2 is None or q1 == q2:
        return _dual_at(expression, derivative, q1 if q1 is not None else S.q, c)
    values = {S.q1: S.q1 if q1 is None else q1, S.q2: q2, S.c: c}
    return _at(_dual(expression, derivative, False), values)


def _dual_at(expression, derivative, q, c):
    import sympy

    S = symbols()
    if c == 1:
        return _at(_second(expression, derivative), {S.q: q})
    if c == 0 and not derivative:
        return tidy(_at(_mean(expression), {S.q: q}) ** 2)
    value = _dual(expression, derivative, True)
    if value.has(sympy.Integral):
        return value.subs({S.q: q, S.c: c}, simultaneous=True)
    return _at(value, {S.q: q, S.c: c})


def _parity(expression):
    """1 for an even expression, -1 for an odd one, else 0."""
    import sympy

    x = symbols().x
    mirrored = expression.subs(x, -x)
    return next((sign for sign in (1, -1) if sympy.simplify(mirrored - sign * expression) == 0), 0)


@lru_cache(maxsize=256)
def _mean(expression):
    import sympy

    S = symbols()
    try:
        return tidy(average((terms(expression, S.x),), (sympy.Integer(0),), ((S.q,),)))
    except NotClosed:
        return sympy.Integer(0) if _parity(expression) < 0 else _integral(expression)


@lru_cache(maxsize=256)
def _second(expression, derivative=False):
    import sympy

    S = symbols()
    try:
        found = terms(expression, S.x)
        if derivative:
            found = differentiate(found)
            if any(term.point is not None for term in found):
                return sympy.oo
        return tidy(average((times(found, found),), (sympy.Integer(0),), ((S.q,),)))
    except NotClosed:
        return _integral((expression.diff(S.x) if derivative else expression) ** 2)


@lru_cache(maxsize=256)
def _hermite(expression, k):
    import sympy

    S = symbols()
    z = sympy.Symbol("z")
    polynomial = sympy.Poly(2 ** sympy.Rational(-k, 2) * sympy.hermite(k, z / sympy.sqrt(2)), z)
    factors = tuple(
        Term(coefficient / sympy.sqrt(S.q) ** power, power=power) for (power,), coefficient in polynomial.terms()
    )
    try:
        value = average((times(terms(expression, S.x), factors),), (sympy.Integer(0),), ((S.q,),))
    except NotClosed:
        if _parity(expression) == (-1) ** (k + 1):
            return sympy.Integer(0)
        value = _integral(expression * polynomial.as_expr().subs(z, S.x / sympy.sqrt(S.q)))
    return tidy(value / sympy.sqrt(sympy.factorial(k)))


def _every_hermite(expression, k):
    """E x^n 1(x > 0) He_k = n! He_(k - n - 1)(0) / sqrt(2 pi) for k > n, by parts; polynomials have none above n."""
    import sympy

    try:
        found = terms(expression, symbols().x)
    except NotClosed:
        found = ()
    if not found or not piecewise_polynomial(found):
        raise NotImplementedError(f"{expression} is no piecewise polynomial with its kink at 0; give k as a number")
    total = sympy.Integer(0)
    for term in found:
        n, m = term.power, k - term.power - 1
        at_zero = 2 ** (m / 2) * sympy.sqrt(sympy.pi) / sympy.gamma((1 - m) / 2)  # He_m(0)
        side = sum(ramp.sign for ramp in term.ramps)
        total += side * term.coefficient * sympy.sqrt(symbols().q) ** n * sympy.factorial(n) * at_zero
    return sympy.simplify(total / sympy.sqrt(2 * sympy.pi * sympy.factorial(k)))


@lru_cache(maxsize=256)
def _dual(expression, derivative, equal):
    """The dual in q and c, or in q1, q2 and c."""
    import sympy

    S = symbols()
    q1, q2 = (S.q, S.q) if equal else (S.q1, S.q2)
    r = S.c * sympy.sqrt(q1) * sympy.sqrt(q2)
    try:
        found = terms(expression, S.x)
        found = differentiate(found) if derivative else found
        return tidy(average((found, found), (sympy.Integer(0),) * 2, ((q1, r), (r, q2))))
    except NotClosed:
        return _double_integral(expression.diff(S.x) if derivative else expression, q1, q2, S.c)


def _integral(expression):
    """E of an expression in x, as an unevaluated integral."""
    import sympy

    S = symbols()
    density = sympy.exp(-(S.x**2) / (2 * S.q)) / sympy.sqrt(2 * sympy.pi * S.q)
    return sympy.Integral(expression * density, (S.x, -sympy.oo, sympy.oo))


def _double_integral(expression, q1, q2, c):
    import sympy

    x = symbols().x
    y, z = sympy.symbols("y z", real=True)
    first = expression.subs(x, sympy.sqrt(q1) * y)
    other = expression.subs(x, sympy.sqrt(q2) * (c * y + sympy.sqrt(1 - c**2) * z))
    density = sympy.exp(-(y**2 + z**2) / 2) / (2 * sympy.pi)
    whole = (-sympy.oo, sympy.oo)
    return sympy.Integral(first * other * density, (z, *whole), (y, *whole))
