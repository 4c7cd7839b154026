r"""ELU and SELU: phi(x) = scale (x above 0, alpha (e^x - 1) below).

In polar coordinates the radial integrals are elementary, with w the linear combination of |u|, |v| in the exponent,

    H(w) = int_0^inf rho exp(-rho^2/2 - w rho) d rho = 1 - K(w),      K(w) = sqrt(pi/2) w erfcx(w/sqrt 2),

and angles, measured from the kinks u = 0 and v = 0, remain: the bivariate normal distribution functions of the closed
form, multiplied by their exponential factors before either can overflow or vanish.
"""

import numpy as np
from scipy.special import erfcx

from ibtheory._closed._record import ClosedForms, angle

_ROOT = np.sqrt(np.pi / 2)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
# t^2 (3 - 2 t) on [0, 1]: nodes close to both ends of a sector, where w changes fast if the variance is large
_UNIT = (_NODES + 1) / 2
_WEIGHTS = _WEIGHTS / 2 * 6 * _UNIT * (1 - _UNIT)
_UNIT = _UNIT**2 * (3 - 2 * _UNIT)


def _K(w):
    return _ROOT * w * erfcx(w * np.sqrt(0.5))


def _G(w):
    """sqrt(pi/2) less int_0^inf rho^2 exp(-rho^2/2 - w rho) d rho = (1 + w^2) K(w)/w - w."""
    scaled = _ROOT * erfcx(w * np.sqrt(0.5))
    return _ROOT - (1 + w * w) * scaled + w


def exponential_unit(scale, alpha):
    """The closed forms of scale (x above 0, alpha (e^x - 1) below)."""

    def sectors(q1, q2, om):
        """Angle t = acos c; (|u|, |v|) per radius where both are below 0, and where u > 0 > v; weights of both."""
        t = angle(om)[..., None]
        root1, root2 = np.sqrt(q1)[..., None], np.sqrt(q2)[..., None]
        beta, inner = (np.pi - t) * _UNIT, t * _UNIT
        below = root1 * np.sin(t + beta), root2 * np.sin(beta)
        across = root1 * np.sin(inner), root2 * np.sin(t * (1 - _UNIT))
        return t, below, across, (np.pi - t) * _WEIGHTS, t * _WEIGHTS

    def dual(q1, q2, c, om):
        t, (a, b), (u, v), wide, narrow = sectors(q1, q2, om)
        t = t[..., 0]
        sine = np.sqrt(np.clip(om * (1 + c), 0, None))
        above = np.sqrt(q1 * q2) * (sine + (np.pi - t) * c)
        below = np.sum(wide * (_K(a) + _K(b) - _K(a + b)), axis=-1)
        across = -np.sum(narrow * (u * _G(v) + v * _G(u)), axis=-1)  # by symmetry both mixed sectors
        return scale**2 * (above + alpha * across + alpha**2 * below) / (2 * np.pi)

    def derivative_dual(q1, q2, c, om):
        t, (a, b), (u, v), wide, narrow = sectors(q1, q2, om)
        below = np.sum(wide * (1 - _K(a + b)), axis=-1)
        across = np.sum(narrow * (2 - _K(u) - _K(v)), axis=-1)
        return scale**2 * (np.pi - t[..., 0] + alpha * across + alpha**2 * below) / (2 * np.pi)

    def mean(q):
        root = np.sqrt(q)
        return scale * (root / np.sqrt(2 * np.pi) + alpha * _below(root))

    return ClosedForms(
        mean=mean,
        second=lambda q: dual(q, q, np.ones_like(q), np.zeros_like(q)),
        dual=dual,
        derivative_dual=derivative_dual,
        amplification=lambda q1, q2: 1 + sum(0.3 / np.sqrt(np.where(q > 0, q, 1.0)) for q in (q1, q2)),
        costly=True,
    )


def _below(s):
    """E (e^(s z) - 1) 1(z < 0) = e^(s^2/2) Phi(-s) - 1/2."""
    return 0.5 * (erfcx(s * np.sqrt(0.5)) - 1)
