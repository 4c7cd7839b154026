"""Integrands, and the one-dimensional rules that all integrals are made of."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

REACH = 9.0  # the Gaussian density beyond is 1e-18
LARGEST_STEP = 0.45  # of the trapezoidal rule for a Gaussian alone: exp(-2 pi^2/0.45^2) = 1e-42
_RULES = {count: np.polynomial.legendre.leggauss(count) for count in (20, 28)}
_CHUNK = 200_000  # function values held at a time


@dataclass(frozen=True)
class Integrand:
    """A function of a Gaussian variable.

    Attributes
    ----------
    function : callable
        (values (pairs, ...), part) -> values; ``part`` is the slice of the pairs in hand.
    kinks : ndarray (pairs, k)
        Where it is not smooth, padded with inf; k = 0 for an analytic function.
    step : float
        Step of the trapezoidal rule per unit of the argument, for an analytic function.
    groups : ndarray (pairs,) of int or None
        Pairs of one group share function and variance; None: all share the function.
    derivative : callable or None
        Likewise, where all pairs share function and kinks; differences of close values are formed from it.
    jumps : ndarray (k,) or None
        With ``derivative``: heights by which the value jumps at the kinks.
    reach : float
        Standard deviations beyond which function times density is negligible.
    fine : bool
        Finer rules, to see what the usual ones leave out.
    pieces : tuple of tuples or None
        Polynomials between the kinks, their coefficients from the constant on.
    """

    function: Callable
    kinks: np.ndarray
    step: float
    groups: np.ndarray | None = None
    derivative: Callable | None = None
    jumps: np.ndarray | None = None
    reach: float = REACH
    fine: bool = False
    pieces: tuple | None = None

    @property
    def smooth(self):
        return self.kinks.shape[1] == 0

    def refined(self):
        """The same function for finer rules."""
        return replace(self, step=0.7 * self.step, reach=self.reach + 1, fine=True)


def take(f, index):
    """The integrand of some of the pairs, given by index or as a mask."""
    index = np.arange(len(f.kinks))[index]
    groups = None if f.groups is None else f.groups[index]
    return replace(
        f, function=lambda values, part: f.function(values, index[part]), kinks=f.kinks[index], groups=groups
    )


def distinct(f, q):
    """(integrand, variances, inverse) of the distinct ones among the pairs: what pairs share is integrated once."""
    _, first, back = np.unique(q if f.groups is None else f.groups, return_index=True, return_inverse=True)
    return take(f, first), q[first], back


def density(x):
    """The standard normal density."""
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def lattice(step, reach=REACH):
    """Nodes and weights of the trapezoidal rule for a standard normal variable."""
    h = min(LARGEST_STEP, step)
    x = h * np.arange(-int(reach / h), int(reach / h) + 1)
    return x, h * density(x)


def panels(edges, fine=False):
    """Gauss-Legendre nodes and weights on the panels between sorted edges: (..., e) -> (..., nodes)."""
    points, weights = _RULES[28 if fine else 20]
    half = np.diff(edges, axis=-1)[..., None] / 2
    middle = (edges[..., 1:] + edges[..., :-1])[..., None] / 2
    shape = (*edges.shape[:-1], -1)
    return (middle + half * points).reshape(shape), (half * weights).reshape(shape)


def edges_between(reach, *breaks, width=6.5):
    """Sorted edges of panels no wider than ``width`` on [-reach, reach], from arrays (..., k) of break points."""
    middle = 0.4 * width
    outer = np.linspace(middle, reach, 1 + int(np.ceil((reach - middle) / width)))
    fixed = np.concatenate([-outer[::-1], outer])
    shape = np.broadcast_shapes(*(b.shape[:-1] for b in breaks))
    parts = [np.broadcast_to(part, (*shape, part.shape[-1])) for part in (fixed, *breaks)]
    return np.sort(np.clip(np.concatenate(parts, axis=-1), -reach, reach), axis=-1)


def scaled_kinks(kinks, factor):
    """kinks/factor, with inf where the factor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(kinks / factor, nan=np.inf, posinf=np.inf, neginf=-np.inf)


def chunks(count, nodes):
    """Slices of ``count`` pairs that hold at most a few million values at ``nodes`` nodes each."""
    size = max(1, _CHUNK // nodes)
    return [slice(start, start + size) for start in range(0, count, size)]
