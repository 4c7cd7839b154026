"""The law of the class fractions of an untrained network as SymPy expressions."""

from typing import NamedTuple

from ibtheory import _check
from ibtheory.symbolic.arguments import exact
from ibtheory.symbolic.notation import symbols


class ClassFractionLaw(NamedTuple):
    """Expressions in f and gamma; see :func:`class_fraction`."""

    pdf: object
    cdf: object
    sf: object
    mean: object
    var: object
    entropy: object
    expected_max: object
    exceeds: object


def class_fraction(gamma=None):
    r"""Law of the fraction :math:`f_0 = \Phi(\sqrt\gamma\,Z)` of two classes.

    Parameters
    ----------
    gamma : number or sympy.Expr, optional
        Drift ratio, above 0 and finite; the symbol gamma without it.

    Returns
    -------
    ClassFractionLaw
        Named tuple of what ``ibtheory.ClassFraction(gamma)`` computes: ``pdf``, ``cdf`` and ``sf`` in the symbol f,
        ``mean``, ``var``, ``entropy`` (nats), ``expected_max`` :math:`\mathrm E f_{\max}`, and ``exceeds``, the
        probability that :math:`f_{\max}` exceeds f, for f of at least 1/2.

    Raises
    ------
    ValueError
        For a gamma that is not positive and finite: the law is a point mass there.

    References
    ----------
    Francazi, Lucchi, Baity-Jesi, "Initial Guessing Bias", arXiv 2306.00809; Vasicek's law with p = 1/2.

    Examples
    --------
    >>> class_fraction(1).pdf, class_fraction(1).var
    (1, 1/12)
    >>> class_fraction().expected_max
    atan(sqrt(gamma))/pi + 1/2
    """
    import sympy

    S = symbols()
    gamma = S.gamma if gamma is None else exact("gamma", gamma)
    if gamma.is_positive is False:
        raise ValueError(f"gamma must be positive, got {gamma}; at 0 every fraction is 1/2")
    lower, upper = sympy.erfcinv(2 * S.f), sympy.erfinv(2 * S.f - 1)  # -+ Phi^-1(f)/sqrt 2, accurate at either end
    return ClassFractionLaw(
        pdf=sympy.exp(lower**2 * (1 - 1 / gamma)) / sympy.sqrt(gamma),
        cdf=sympy.erfc(lower / sympy.sqrt(gamma)) / 2,
        sf=sympy.erfc(upper / sympy.sqrt(gamma)) / 2,
        mean=sympy.Rational(1, 2),
        var=sympy.asin(gamma / (1 + gamma)) / (2 * sympy.pi),
        entropy=(1 - gamma + sympy.log(gamma)) / 2,
        expected_max=sympy.Rational(1, 2) + sympy.atan(sympy.sqrt(gamma)) / sympy.pi,
        exceeds=sympy.erfc(upper / sympy.sqrt(gamma)),
    )


def agreement(rho=None, classes=2):
    r"""Probability :math:`S_C(\rho)` that two score vectors of correlation rho have one argmax, for 2 or 3 classes.

    Of it follow :math:`\operatorname{Var} f_k = S_C(c)/C - 1/C^2` and :math:`\mathrm E f_{\max} = S_C(\sqrt c)`.

    Parameters
    ----------
    rho : number or sympy.Expr, optional
        In [-1, 1]; the symbol rho without it.
    classes : {2, 3}

    Returns
    -------
    sympy.Expr

    Raises
    ------
    NotImplementedError
        For more classes: ``ibtheory.fractions.agreement`` computes numbers.

    Notes
    -----
    For three classes it is three times the orthant probability of four normal variables with the correlations of
    (x_1 - x_2, x_1 - x_3, y_1 - y_2, y_1 - y_3), known from the variance of Spearman's rank correlation.

    References
    ----------
    David and Mallows, "The variance of Spearman's rho in normal samples", Biometrika 48, 1961.

    Examples
    --------
    >>> agreement()
    asin(rho)/pi + 1/2
    >>> agreement(1, 3)
    1
    """
    import sympy

    rho = symbols().rho if rho is None else exact("rho", rho)
    if rho.is_number and not abs(sympy.N(rho)) <= 1:
        raise ValueError(f"the correlation rho must lie in [-1, 1], got {rho}")
    classes = _check.integer("classes", classes, 2)
    if classes == 2:
        return sympy.Rational(1, 2) + sympy.asin(rho) / sympy.pi
    if classes == 3:
        one, half = sympy.asin(rho), sympy.asin(rho / 2)
        return sympy.Rational(1, 3) + 3 * (one + half) / (4 * sympy.pi) + 3 * (one**2 - half**2) / (4 * sympy.pi**2)
    raise NotImplementedError(
        f"S_C has closed forms for 2 and 3 classes, got {classes}; ibtheory.fractions.agreement computes numbers"
    )
