r"""Expectations of functions of Gaussians: what every layer map is made of.

(u, v) is a centred Gaussian pair with variances q1, q2 and correlation c. Where a function takes ``one_minus_c``, it is
used as given, so that nothing is lost near c = 1. Everything broadcasts over arrays.

``method="auto"`` takes the closed form where the activation has one and quadrature elsewhere; "closed" and
"quadrature" insist, so that one can be checked against the other.
"""

from functools import lru_cache

import numpy as np

from ibtheory import _check, _quadrature, activations

__all__ = ["centred", "derivative_dual", "dual", "gap", "hermite", "mean", "second"]

_METHODS = ("auto", "closed", "quadrature")
_PRICE_NODES, _PRICE_WEIGHTS = np.polynomial.legendre.leggauss(48)
_PRICE_NODES, _PRICE_WEIGHTS = (_PRICE_NODES + 1) / 2, _PRICE_WEIGHTS / 2


def mean(phi, q, *, method="auto"):
    r"""E phi(u), u ~ N(0, q).

    Parameters
    ----------
    phi : str or ActivationFunction
    q : array_like
        Variances, at least 0.
    method : {"auto", "closed", "quadrature"}

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
    phi, (q,), shape, closed = _prepare(phi, method, q=q)
    return _shaped(closed.mean(q) if closed else _quadrature.expectation(integrand(phi, q.size), q), shape)


def second(phi, q, *, method="auto"):
    r"""E phi(u)^2, u ~ N(0, q); parameters as for :func:`mean`.

    Examples
    --------
    >>> print(second("relu", 2.0))
    1.0
    """
    phi, (q,), shape, closed = _prepare(phi, method, q=q)
    if closed:
        return _shaped(closed.second(q), shape)
    return _shaped(_quadrature.expectation(integrand(phi, q.size), q, lambda values, _: values**2), shape)


def dual(phi, q1, q2, c, one_minus_c=None, *, method="auto"):
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
    method : {"auto", "closed", "quadrature"}

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
    phi, (q1, q2, c, om), shape, closed = _prepare_pair(phi, method, q1, q2, c, one_minus_c)
    value = closed.dual(q1, q2, c, om) if closed else _pair(phi, np.multiply, q1, q2, c, om)
    return _shaped(value, shape)


def derivative_dual(phi, q1, q2, c, one_minus_c=None, *, method="auto"):
    r"""E phi'(u) phi'(v), which is d/dr of :func:`dual` by r = sqrt(q1 q2) c (Price's theorem).

    Examples
    --------
    >>> float(derivative_dual("relu", 1.0, 1.0, 1.0))
    0.5
    """
    phi, (q1, q2, c, om), shape, closed = _prepare_pair(phi, method, q1, q2, c, one_minus_c)
    if closed:
        return _shaped(closed.derivative_dual(q1, q2, c, om), shape)
    return _shaped(_pair(phi, np.multiply, q1, q2, c, om, derivative=True), shape)


def gap(phi, q1, q2=None, *, one_minus_c, method="auto"):
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
    method : {"auto", "closed", "quadrature"}

    Examples
    --------
    >>> float(gap("linear", 1.0, one_minus_c=1e-30))
    1e-30
    """
    q2 = q1 if q2 is None else q2
    om = np.asarray(one_minus_c, float)
    phi, (q1, q2, c, om), shape, closed = _prepare_pair(phi, method, q1, q2, 1 - om, om)
    if closed and closed.gap:
        return _shaped(closed.gap(q1, q2, om), shape)
    if closed:
        return _shaped(_gap_by_price(phi, closed, q1, q2, c, om), shape)
    return _shaped(_pair(phi, _quadrature.half_square, q1, q2, c, om), shape)


def centred(phi, q1, q2=None, *, c, method="auto"):
    r"""E phi(u) phi(v) - E phi(u) E phi(v), to full relative precision as c -> 0.

    Parameters
    ----------
    phi : str or ActivationFunction
    q1 : array_like
    q2 : array_like, optional
        Default: q1.
    c : array_like
        In [-1, 1].
    method : {"auto", "closed", "quadrature"}

    Examples
    --------
    >>> print(f"{centred('relu', 1.0, c=1e-200):.4g}")
    2.5e-201
    """
    q2 = q1 if q2 is None else q2
    phi, (q1, q2, c, om), shape, closed = _prepare_pair(phi, method, q1, q2, c, None)
    if closed and closed.centred:
        return _shaped(closed.centred(q1, q2, c), shape)
    if closed:
        return _shaped(_centred_by_price(closed, q1, q2, c, om), shape)
    f = integrand(phi, q1.size)
    return _shaped(_quadrature.centred(f, f, q1, q2, c, om), shape)


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
    phi, (q,), shape, _ = _prepare(phi, "auto", q=q)
    coefficients = np.zeros((q.size, n + 1))
    coefficients[:, 0] = phi.function(np.zeros_like(q))  # at q = 0 the function is a constant
    some = q > 0
    if some.any():
        coefficients[some] = _quadrature.hermite(integrand(phi, some.sum()), q[some], range(n + 1))
    return coefficients.reshape(*shape, n + 1)


def _shaped(value, shape):
    return np.asarray(value, float).reshape(shape)[()]


def _prepare(phi, method, **variances):
    phi = activations.get(phi)
    _check.choice("method", method, _METHODS)
    if method == "closed" and phi.closed is None:
        raise ValueError(f"activation {phi.name!r} has no closed form; use method='quadrature'")
    arrays = np.broadcast_arrays(*(np.asarray(v, float) for v in variances.values()))
    for name, values in zip(variances, arrays, strict=True):
        if not np.all(values >= 0) or not np.all(np.isfinite(values)):
            raise ValueError(f"{name} must be finite and at least 0 (a variance), got {values}")
    closed = phi.closed if method != "quadrature" else None
    return phi, [a.ravel() for a in arrays], arrays[0].shape, closed


def _prepare_pair(phi, method, q1, q2, c, om):
    phi, _, _, closed = _prepare(phi, method, q1=q1, q2=q2)
    c = np.asarray(c, float)
    om = 1 - c if om is None else np.asarray(om, float)
    if not (np.all(np.abs(c) <= 1 + 1e-12) and np.all(om >= -1e-12) and np.all(om <= 2 + 1e-12)):
        raise ValueError(f"the correlation c must lie in [-1, 1] (one_minus_c in [0, 2]), got c = {c}")
    arrays = np.broadcast_arrays(*(np.asarray(v, float) for v in (q1, q2, np.clip(c, -1, 1), np.clip(om, 0, 2))))
    return phi, [a.ravel() for a in arrays], arrays[0].shape, closed


@lru_cache(maxsize=64)
def step_of(phi):
    """Step of the trapezoidal rule (per unit of the argument) at which E phi^2 has converged, or raise.

    Raises
    ------
    ValueError
        If it never does: the function has a kink or jump that was not named.
    """
    variances = np.array([0.3, 3.0])

    def squared(f):
        return lambda u: f(u) ** 2

    def values(step):
        functions = (phi.function, phi.derivative)
        return np.concatenate([_quadrature.trapezoid(squared(f), variances, step) for f in functions])

    step = 0.25
    coarse = values(step)
    for _ in range(5):
        fine = values(step / 2)
        if np.all(np.abs(fine - coarse) <= 1e-13 * np.maximum(np.abs(fine), 1e-3)):
            return step
        step, coarse = step / 2, fine
    raise ValueError(
        f"quadrature of activation {phi.name!r} does not converge: it is not smooth where it is said to be; "
        "name its kinks, from_function(f, derivative, kinks=(...))"
    )


def integrand(phi, count, derivative=False):
    """phi (or its derivative) as the integrand of ``count`` pairs."""
    function = phi.derivative if derivative else phi.function
    kinks = np.broadcast_to(np.asarray(phi.kinks, float), (count, len(phi.kinks)))
    return _quadrature.Integrand(lambda values, part: function(values), kinks, 1.0 if phi.kinks else step_of(phi))


def _pair(phi, combine, q1, q2, c, om, derivative=False):
    f = integrand(phi, q1.size, derivative)
    return _quadrature.pair(f, f, combine, q1, q2, c, om)


def _gap_by_price(phi, closed, q1, q2, c, om):
    """gap = E(phi(sqrt q1 z) - phi(sqrt q2 z))^2/2 + int of derivative_dual from c to 1 (Price)."""
    value = 0.5 * (closed.second(q1) + closed.second(q2)) - closed.dual(q1, q2, c, om)
    near = om < 0.1
    q1, q2, om = q1[near], q2[near], om[near]
    within = om[:, None] * _PRICE_NODES**2  # 1 - c runs over [0, om]; the square resolves the end at c = 1
    slopes = closed.derivative_dual(q1[:, None], q2[:, None], 1 - within, within)
    price = np.sqrt(q1 * q2) * om * (slopes * 2 * _PRICE_NODES @ _PRICE_WEIGHTS)
    differs = q1 != q2
    if differs.any():
        price[differs] += _radial_gap(phi, q1[differs], q2[differs])
    value[near] = price
    return value


def _radial_gap(phi, q1, q2):
    """E(phi(sqrt q1 z) - phi(sqrt q2 z))^2 / 2 of arrays (n,): the gap at c = 1."""
    h = min(0.45, step_of(phi) / np.sqrt(max(q1.max(), q2.max())))
    z = h * np.arange(-int(_quadrature.REACH / h), int(_quadrature.REACH / h) + 1)
    result = np.empty(q1.size)
    for part in _quadrature.chunks(q1.size, z.size):
        first, second = (phi.function(np.sqrt(q[part])[:, None] * z) for q in (q1, q2))
        result[part] = 0.5 * h * (first - second) ** 2 @ _quadrature.density(z)
    return result


def _centred_by_price(closed, q1, q2, c, om):
    """centred = int of derivative_dual from 0 to r (Price), or the difference where c is not small."""
    value = closed.dual(q1, q2, c, om) - closed.mean(q1) * closed.mean(q2)
    near = np.abs(c) < 0.5
    q1, q2, c = q1[near], q2[near], c[near]
    along = c[:, None] * _PRICE_NODES
    slopes = closed.derivative_dual(q1[:, None], q2[:, None], along, 1 - along)
    value[near] = np.sqrt(q1 * q2) * c * (slopes @ _PRICE_WEIGHTS)
    return value
