"""The symbols of the expressions, as the notation page of the documentation names them."""

from functools import cache
from typing import NamedTuple


class Symbols(NamedTuple):
    """One SymPy symbol per field; see :func:`symbols`."""

    x: object
    q: object
    q1: object
    q2: object
    c: object
    s: object
    gamma: object
    f: object
    rho: object
    B: object
    weight_variance: object
    bias_variance: object


@cache
def symbols():
    r"""The SymPy symbols that the expressions of this module are made of.

    Returns
    -------
    Symbols
        Named tuple: ``x`` the argument of an activation, ``q``, ``q1``, ``q2`` > 0 same-sample moments (variances),
        ``c`` a correlation, ``s`` = 1 - c, ``gamma`` > 0 the drift ratio, ``f`` a class fraction, ``rho`` a
        correlation of score vectors, ``B`` a batch size, ``weight_variance`` (:math:`\sigma_w^2`) and
        ``bias_variance`` (:math:`\sigma_b^2`).

    Examples
    --------
    >>> S = symbols()
    >>> S.q, S.weight_variance
    (q, sigma_w^2)
    """
    import sympy

    def positive(name):
        return sympy.Symbol(name, positive=True)

    return Symbols(
        x=sympy.Symbol("x", real=True),
        q=positive("q"),
        q1=positive("q_1"),
        q2=positive("q_2"),
        c=sympy.Symbol("c", real=True),
        s=positive("s"),
        gamma=positive("gamma"),
        f=positive("f"),
        rho=sympy.Symbol("rho", real=True),
        B=sympy.Symbol("B", integer=True, positive=True),
        weight_variance=positive("sigma_w^2"),
        bias_variance=positive("sigma_b^2"),
    )
