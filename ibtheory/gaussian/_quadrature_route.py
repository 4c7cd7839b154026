"""Gaussian expectations by quadrature of the activation and its derivative."""

import numpy as np

from ibtheory import _quadrature
from ibtheory.gaussian._integrand import integrand


def _made(phi, fine, *variances, derivative=False):
    largest = max((q.max(initial=0.0) for q in variances), default=0.0)
    f = integrand(phi, variances[0].size, derivative, largest)
    return f.refined() if fine else f


def mean(phi, q, fine=False):
    return _quadrature.expectation(_made(phi, fine, q), q)


def second(phi, q, fine=False):
    return _quadrature.expectation(_made(phi, fine, q), q, lambda values, _: values**2)


def dual(phi, q1, q2, c, om, fine=False):
    f = _made(phi, fine, q1, q2)
    return _quadrature.dual(f, f, q1, q2, c, om)


def derivative_dual(phi, q1, q2, c, om, fine=False):
    refuse_jumps(phi)
    f = _made(phi, fine, q1, q2, derivative=True)
    return _quadrature.dual(f, f, q1, q2, c, om)


def gap(phi, q1, q2, c, om, fine=False):
    f = _made(phi, fine, q1, q2)
    return _quadrature.gap(f, f, q1, q2, c, om)


def centred(phi, q1, q2, c, om, fine=False):
    f = _made(phi, fine, q1, q2)
    return _quadrature.centred(f, f, q1, q2, c, om)


def derivative_second(phi, q, fine=False):
    """E phi'(u)^2."""
    return _quadrature.expectation(_made(phi, fine, q, derivative=True), q, lambda values, _: values**2)


def refuse_jumps(phi):
    """Raise where phi' holds delta functions, which no rule sees."""
    if np.any(phi.jumps):
        raise ValueError(
            f"activation {phi.name!r} jumps at {phi.kinks}, so that E phi'(u) phi'(v) has delta functions; "
            "only closed forms hold them (activations.sign, activations.step)"
        )
