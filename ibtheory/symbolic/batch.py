"""Averages over a BatchNorm batch of finite size, in closed form.

A batch of B iid Gaussian values, centred and normalized, is uniform on a sphere in d = B - 1 dimensions: a Gaussian
batch of variance 1 and correlation -1/(B - 1) divided by its radius, which is independent of it. A homogeneous function
of degree n of the one is the other times the moment of order n of the radius; piecewise polynomials with their kink at
0 are sums of such functions.
"""

from typing import NamedTuple

from ibtheory.symbolic.arguments import batch_size, phi
from ibtheory.symbolic.normal import average
from ibtheory.symbolic.notation import symbols
from ibtheory.symbolic.terms import NotClosed, Term, differentiate, piecewise_polynomial, terms, times
from ibtheory.symbolic.tidy import tidy


class BatchMoments(NamedTuple):
    """Averages behind BatchNorm and an activation; see :func:`batch_moments`."""

    mean: object
    second: object
    dual: object


class BatchSlopes(NamedTuple):
    """Averages of the derivative: E phi'^2, E phi'phi', E u^2 phi'^2, E u v phi'phi' (two samples of a batch)."""

    second: object
    dual: object
    weighted_second: object
    weighted_dual: object


def batch_moments(activation, batch=None):
    r"""Averages of an activation behind BatchNorm with batches of B independent Gaussian samples, at infinite width.

    Parameters
    ----------
    activation : str, ActivationFunction or sympy.Expr
        A piecewise polynomial whose kink is at 0.
    batch : int or sympy.Expr, optional
        B, at least 2; the symbol B without it.

    Returns
    -------
    BatchMoments
        Named tuple: ``mean`` E phi(u), whose square is E phi(u) phi(v) for two samples of different batches;
        ``second`` E phi(u)^2; ``dual`` E phi(u) phi(v) for two samples of one batch.

    Raises
    ------
    NotImplementedError
        For any other activation; ``ibtheory.predict(net, x, batch=...)`` integrates numerically.

    Examples
    --------
    >>> batch_moments("relu", 3).mean
    sqrt(2)/pi
    >>> batch_moments("relu").second
    1/2
    """
    found = _terms(phi(activation))
    batch = symbols().B if batch is None else batch_size(batch)
    if batch == 2:  # the two values are 1 and -1
        high, low = (phi(activation).subs(symbols().x, value) for value in (1, -1))
        return BatchMoments((high + low) / 2, (high**2 + low**2) / 2, high * low)
    return BatchMoments(
        _sphere((found,), batch), _sphere((times(found, found),), batch), _sphere((found, found), batch)
    )


def batch_slopes(activation, batch):
    """The :class:`BatchSlopes` of an activation, as :func:`batch_moments`."""
    slope = differentiate(_terms(phi(activation)))
    if any(term.point is not None for term in slope):
        raise NotImplementedError("the activation jumps: its derivative has a delta, and the gradient no factor")
    weighted = times(slope, (Term(1, power=1),))
    return BatchSlopes(*(_sphere(factors, batch) for f in (slope, weighted) for factors in ((times(f, f),), (f, f))))


def _terms(expression):
    try:
        found = terms(expression, symbols().x)
    except NotClosed:
        found = ()
    if not found or not piecewise_polynomial(found):
        raise NotImplementedError(
            f"BatchNorm with a finite batch has closed forms for piecewise polynomials with their kink at 0, and "
            f"{expression} is none; leave out batch, or use ibtheory.predict(net, x, batch=...)"
        )
    return found


def _sphere(factors, batch):
    import sympy

    d = batch - 1
    one = sympy.Integer(1)
    mean = (sympy.Integer(0),) * len(factors)
    cov = ((one,),) if len(factors) == 1 else ((one, -1 / d), (-1 / d, one))
    total = sympy.Integer(0)
    for product in _products(factors):
        degree = sum(term.power for term in product)
        total += average(tuple((term,) for term in product), mean, cov) / _radius(degree, d)
    return tidy(total)


def _radius(degree, d):
    """E (chi_d^2/d)^(degree/2)."""
    import sympy

    half, odd = divmod(degree, 2)
    even = sympy.prod((d + odd + 2 * j) / d for j in range(half))
    return even * sympy.sqrt(2 / d) * sympy.gamma((d + 1) / 2) / sympy.gamma(d / 2) if odd else even


def _products(factors):
    if len(factors) == 1:
        return [(term,) for term in factors[0]]
    return [(first, second) for first in factors[0] for second in factors[1]]
