r"""Expectations of functions of Gaussians: what every layer map is made of.

(u, v) is a centred Gaussian pair with variances q1, q2 and correlation c. Where a function takes ``one_minus_c``, it is
used as given, so that nothing is lost near c = 1. Everything broadcasts over arrays.

``method="auto"`` takes the closed form where the activation has one and quadrature elsewhere; "closed", "quadrature"
and "hermite" (the series in c, 80 terms) insist, so that one can be checked against the other. With ``error=True`` the
result is a pair (value, bound): the bound covers what the rule leaves out and rounding. For quadrature it is ten times
the change by a finer rule, for the Hermite series its tail

.. math::
    \Big|\sum_{k \ge n} a_k b_k c^k\Big| \le
    |c|^n \Big(\mathrm E\,\varphi(u)^2 - \sum_{k<n} a_k^2\Big)^{1/2}
    \Big(\mathrm E\,\varphi(v)^2 - \sum_{k<n} b_k^2\Big)^{1/2}.

Between the named kinks a polynomial of degree up to 3 is recognized: given one variable, its average over the other one
is then in closed form, and the quadrature over one variable only.

A kink that was not named is refused where it is felt at variances 0.3 and 3.
"""

import numpy as np

from ibtheory import _check, activations
from ibtheory.gaussian import _closed_route, _errors, _quadrature_route, _series_route
from ibtheory.gaussian._integrand import integrand as integrand
from ibtheory.gaussian._integrand import step_of as step_of

__all__ = ["centred", "derivative_dual", "dual", "gap", "hermite", "mean", "second"]

_ROUTES = {"closed": _closed_route, "quadrature": _quadrature_route, "hermite": _series_route}
_METHODS = ("auto", *_ROUTES)


def mean(phi, q, *, method="auto", error=False):
    r"""E phi(u), u ~ N(0, q).

    Parameters
    ----------
    phi : str or ActivationFunction
    q : array_like
        Variances, at least 0.
    method : {"auto", "closed", "quadrature", "hermite"}
    error : bool
        Return (value, bound of its error) instead.

    Returns
    -------
    float or ndarray
        Of the shape of q.

    Raises
    ------
    ValueError
        For a negative or non-finite variance, or "closed" where there is no closed form.

    Examples
    --------
    >>> print(f"{mean('relu', 2.0):.15f}")  # 1/sqrt(pi)
    0.564189583547756
    """
    return _answer("mean", phi, method, error, _variances(q=q))


def second(phi, q, *, method="auto", error=False):
    r"""E phi(u)^2, u ~ N(0, q); parameters as for :func:`mean`.

    Examples
    --------
    >>> print(second("relu", 2.0))
    1.0
    """
    return _answer("second", phi, method, error, _variances(q=q))


def dual(phi, q1, q2, c, one_minus_c=None, *, method="auto", error=False):
    r"""E phi(u) phi(v): the dual activation, or NNGP map.

    Parameters
    ----------
    phi : str or ActivationFunction
    q1, q2 : array_like
        Variances, at least 0.
    c : array_like
        Correlation in [-1, 1].
    one_minus_c : array_like, optional
        1 - c, where it is known more accurately than c.
    method : {"auto", "closed", "quadrature", "hermite"}
    error : bool
        Return (value, bound of its error) instead.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ValueError
        For a variance below 0 or a correlation outside [-1, 1].

    References
    ----------
    Cho and Saul 2009; Daniely, Frostig and Singer 2016, arXiv:1602.05897.

    Examples
    --------
    >>> print(f"{dual('relu', 1.0, 1.0, 0.0):.15f}")  # 1/(2 pi)
    0.159154943091895
    """
    return _answer("dual", phi, method, error, _pairs(q1, q2, c, one_minus_c))


def derivative_dual(phi, q1, q2, c, one_minus_c=None, *, method="auto", error=False):
    r"""E phi'(u) phi'(v), which is d/dr of :func:`dual` by r = sqrt(q1 q2) c (Price's theorem).

    Examples
    --------
    >>> float(derivative_dual("relu", 1.0, 1.0, 1.0))
    0.5
    """
    return _answer("derivative_dual", phi, method, error, _pairs(q1, q2, c, one_minus_c))


def gap(phi, q1, q2=None, *, one_minus_c, method="auto", error=False):
    r"""E (phi(u) - phi(v))^2 / 2, to full relative precision as c -> 1.

    At equal variances it is E phi(u)^2 - E phi(u) phi(v), never formed by that subtraction.

    Parameters
    ----------
    phi : str or ActivationFunction
    q1 : array_like
    q2 : array_like, optional
        Default: q1.
    one_minus_c : array_like
        In [0, 2].
    method : {"auto", "closed", "quadrature", "hermite"}
    error : bool
        Return (value, bound of its error) instead.

    Examples
    --------
    >>> float(gap("linear", 1.0, one_minus_c=1e-30))
    1e-30
    """
    om = np.asarray(one_minus_c, float)
    return _answer("gap", phi, method, error, _pairs(q1, q1 if q2 is None else q2, 1 - om, om))


def centred(phi, q1, q2=None, *, c, method="auto", error=False):
    r"""E phi(u) phi(v) - E phi(u) E phi(v), to full relative precision as c -> 0.

    Parameters
    ----------
    phi : str or ActivationFunction
    q1 : array_like
    q2 : array_like, optional
        Default: q1.
    c : array_like
        In [-1, 1].
    method : {"auto", "closed", "quadrature", "hermite"}
    error : bool
        Return (value, bound of its error) instead.

    Examples
    --------
    >>> print(f"{centred('relu', 1.0, c=1e-200):.4g}")
    2.5e-201
    """
    return _answer("centred", phi, method, error, _pairs(q1, q1 if q2 is None else q2, c, None))


def hermite(phi, q, n):
    r"""Normalized Hermite coefficients a_0 .. a_n of z -> phi(sqrt(q) z): a_k = E phi(sqrt(q) z) He_k(z) / sqrt(k!).

    Parameters
    ----------
    phi : str or ActivationFunction
    q : array_like
        Variances of shape (...,).
    n : int
        Highest order, at least 0.

    Returns
    -------
    ndarray
        Shape (..., n + 1); sum of squares over all orders is E phi^2, and E phi(u) phi(v) = sum a_k^2 c^k.

    Examples
    --------
    >>> hermite("relu", 1.0, 2).round(6)
    array([0.398942, 0.5     , 0.282095])
    """
    n = _check.integer("n", n, 0)
    (q,), shape = _variances(q=q)
    return _series_route.coefficients(activations.get(phi), q, n + 1).reshape(*shape, n + 1)


def _answer(quantity, phi, method, error, given):
    """The value of a quantity by a route, or with the bound of its error, in the shape of the arguments."""
    phi, (arguments, shape) = activations.get(phi), given
    _check.choice("method", method, _METHODS)
    if method == "auto":
        method = "closed" if phi.closed else "quadrature"
    if method == "closed" and phi.closed is None:
        raise ValueError(f"activation {phi.name!r} has no closed form; use method='quadrature'")
    if not arguments[0].size:
        value = np.empty(shape)
        return (value, value.copy()) if error else value
    value = getattr(_ROUTES[method], quantity)(phi, *arguments)
    if not error:
        return _shaped(value, shape)
    bound = getattr(_errors, method)(quantity, phi, arguments, value)
    return _shaped(value, shape), _shaped(bound, shape)


def _shaped(value, shape):
    return np.asarray(value, float).reshape(shape)[()]


def _flat(*arrays):
    arrays = np.broadcast_arrays(*arrays)
    return tuple(a.ravel() for a in arrays), arrays[0].shape


def _variances(**variances):
    arrays = [np.asarray(v, float) for v in variances.values()]
    for name, values in zip(variances, arrays, strict=True):
        if not np.all(values >= 0) or not np.all(np.isfinite(values)):
            raise ValueError(f"{name} must be finite and at least 0 (a variance), got {values}")
    return _flat(*arrays)


def _pairs(q1, q2, c, om):
    _variances(q1=q1, q2=q2)
    c = np.asarray(c, float)
    om = 1 - c if om is None else np.asarray(om, float)
    if not (np.all(np.abs(c) <= 1 + 1e-12) and np.all(om >= -1e-12) and np.all(om <= 2 + 1e-12)):
        raise ValueError(f"the correlation c must lie in [-1, 1] (one_minus_c in [0, 2]), got c = {c}")
    return _flat(np.asarray(q1, float), np.asarray(q2, float), np.clip(c, -1, 1), np.clip(om, 0, 2))
