"""An activation as an integrand: how fine and how far the rules must go, and whether its kinks are all named."""

from functools import lru_cache

import numpy as np

from ibtheory import _quadrature

_VARIANCES = np.array([0.3, 3.0])  # at which convergence is tested
_UNCAPPED = np.array([5.0, 10.0, 20.0])  # likewise, times the square of the step: the step is what limits the rule
_COARSEST, _HALVINGS = 1.0, 7
_FARTHEST = 37.5  # standard deviations at which the Gaussian density is still a normal number
_NEGLIGIBLE = 42.0  # -log of what may be left out


def integrand(phi, count, derivative=False, largest=1.0):
    """phi (or its derivative) as the integrand of ``count`` pairs of variances up to ``largest``."""
    function = phi.derivative if derivative else phi.function
    kinks = np.broadcast_to(np.asarray(phi.kinks, float), (count, len(phi.kinks)))
    return _quadrature.Integrand(
        lambda values, part: function(values),
        kinks,
        step_of(phi),
        derivative=None if derivative else phi.derivative,
        jumps=None if derivative else phi.jumps,
        reach=_reach(phi, _rounded_up(largest)),
        pieces=_derived(phi.pieces) if derivative else phi.pieces,
    )


def _derived(pieces):
    """The derivatives of polynomials."""
    return pieces and tuple(tuple(np.polynomial.polynomial.polyder(p)) for p in pieces)


def _rounded_up(q):
    return 2.0 ** (np.ceil(8 * np.log2(max(q, 1e-300))) / 8)


@lru_cache(maxsize=64)
def step_of(phi):
    """Step of the trapezoidal rule (per unit of the argument) at which E phi^2 has converged; 1 if phi has kinks.

    Raises
    ------
    ValueError
        If the integrals do not converge: the function has a kink or jump that was not named.
    """
    if phi.kinks:
        coarse, fine = (_squares(phi, _VARIANCES, 1.0, fine) for fine in (False, True))
        if np.all(np.abs(fine - coarse) <= 1e-9 * np.maximum(np.abs(fine), 1e-3)):
            return 1.0
    else:
        for step in (_COARSEST * 0.5 ** (np.arange(2 * _HALVINGS) / 2)).tolist():
            variances = np.concatenate([_VARIANCES, _UNCAPPED * step**2])
            coarse, fine = (_squares(phi, variances, h) for h in (step, step / 2))
            if np.all(np.abs(fine - coarse) <= 4e-15 * np.maximum(np.abs(fine), 1e-3)):
                return step
    raise ValueError(
        f"quadrature of activation {phi.name!r} does not converge: it is not smooth where it is said to be; "
        "name its kinks, from_function(f, derivative, kinks=(...))"
    )


def _squares(phi, variances, step, fine=False):
    """E phi^2 and E phi'^2 at a few variances, each by the rule that it alone would get."""
    values = []
    for function in (phi.function, phi.derivative):
        f = _quadrature.Integrand(
            lambda values, part, function=function: function(values),
            np.asarray(phi.kinks, float)[None],
            step,
            reach=_reach(phi, variances.max()),
            fine=fine,
        )
        values += [_quadrature.expectation(f, np.array([q]), lambda values, _: values**2) for q in variances]
    return np.concatenate(values)


@lru_cache(maxsize=256)
def _reach(phi, largest):
    """Standard deviations beyond which phi^2 times the density is negligible at variances up to ``largest``."""
    x = np.linspace(-_FARTHEST, _FARTHEST, 301)
    with np.errstate(all="ignore"):
        size = np.abs(phi.function(np.sqrt(largest) * x)).astype(float)
        finite = np.isfinite(size)
        weight = np.where(finite, 2 * np.log(size) - 0.5 * x * x, -np.inf)
    felt = weight > weight.max() - _NEGLIGIBLE
    last, end = ([np.max(side * x[some], initial=0.0) for side in (-1, 1)] for some in (felt, finite))
    if any(a == b for a, b in zip(last, end, strict=True)):
        raise ValueError(
            f"E phi^2 of activation {phi.name!r} is infinite or beyond double precision at variance {largest:g}; "
            "use method='closed' where there is one, or smaller variances"
        )
    return float(max(_quadrature.REACH, *last))
