"""One activation behind another."""

import numpy as np

from ibtheory import _closed
from ibtheory.activations._record import ActivationFunction, keep, symbol

_HALF = np.sinh(np.linspace(0, np.arcsinh(1e4), 20_001))  # steps of 5e-4 near 0, of 5 at the end
_GRID = np.concatenate([-_HALF[:0:-1], _HALF])


def composition(outer, inner):
    """The record of x -> outer(inner(x)); see :func:`ibtheory.activations.compose`."""

    def derivative(x):
        return keep(x, outer.derivative(inner.function(x)) * inner.derivative(x))

    def expression():
        return outer.expression().subs(symbol(), inner.expression())

    slopes = None
    if outer.slopes and inner.slopes:
        low, high = (outer.function(inner.function(np.array([-1.0, 1.0]))) * [-1, 1]).tolist()
        slopes = (low, high)
    kinks = {*inner.kinks, *(float(x) for kink in outer.kinks for x in _solve(inner, kink))}
    return ActivationFunction(
        name=f"{outer.name}({inner.name})",
        function=lambda x: outer.function(inner.function(x)),
        derivative=derivative,
        kinks=tuple(sorted(kinks)),
        slopes=slopes,
        closed=_closed.two_slopes(*slopes) if slopes else None,
        expression=expression if outer.expression and inner.expression else None,
        code=f"activations.compose({outer.code}, {inner.code})" if outer.code and inner.code else "",
        reference=f"{outer.name} after {inner.name}",
    )


def _solve(phi, level):
    """Where phi crosses ``level``, to the last bit, by bisection between the points of a grid on [-1e4, 1e4]."""
    with np.errstate(over="ignore", invalid="ignore"):
        side = np.sign(phi.function(_GRID) - level)
        at = np.flatnonzero(side[:-1] * side[1:] < 0)
        low, high, rising = _GRID[at], _GRID[at + 1], side[at + 1]
        for _ in range(80):
            middle = (low + high) / 2
            beyond = (phi.function(middle) - level) * rising > 0
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        # points of the grid that lie on the level, apart from plateaus, whose ends are kinks of phi already
        on = np.flatnonzero((side[1:-1] == 0) & (side[:-2] != 0) & (side[2:] != 0)) + 1
    return np.unique(np.concatenate([low, _GRID[on]]))
