"""The record of an activation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.polynomial.polynomial import Polynomial, polyval

from ibtheory import _closed

_DEGREE = 3  # of the polynomials that are looked for between kinks


@dataclass(frozen=True, eq=False, repr=False)
class ActivationFunction:
    """An activation phi, as data.

    Attributes
    ----------
    name : str
    function, derivative : callable
        Elementwise on arrays; the dtype is kept. The derivative leaves jumps of the value out.
    kinks : tuple of float
        Where the value, the slope or a higher derivative jumps; everywhere else the function is analytic.
    slopes : tuple of float or None
        (slope below 0, slope above 0) of a piecewise-linear phi through the origin: positively homogeneous.
    closed : ClosedForms or None
        Gaussian expectations in closed form.
    expression : callable or None
        Returns phi as a SymPy expression in ``Symbol("x", real=True)``.
    code : str
        Python that rebuilds the record, or "" where there is none (a user's function).
    reference : str

    Examples
    --------
    >>> from ibtheory import activations
    >>> activations.relu.function(np.array([-1.0, 2.0]))
    array([0., 2.])
    >>> activations.leaky_relu(0.1)
    activations.leaky_relu(0.1)
    """

    name: str
    function: Callable
    derivative: Callable
    kinks: tuple = ()
    slopes: tuple | None = None
    closed: _closed.ClosedForms | None = None
    expression: Callable | None = None
    code: str = ""
    reference: str = ""

    def __repr__(self):
        return self.code or f"<activation {self.name}>"

    def __eq__(self, other):
        if not isinstance(other, ActivationFunction):
            return NotImplemented
        return self._key == other._key

    def __hash__(self):
        return hash(self._key)

    @property
    def _key(self):
        return self.code or (self.name, self.function, self.derivative, self.kinks)

    @cached_property
    def jumps(self):
        """Heights by which the value jumps at the kinks, in their order; 0 where only a derivative does."""
        kinks = np.array(self.kinks, float)
        above, below = (np.asarray(self.function(np.nextafter(kinks, end)), float) for end in (np.inf, -np.inf))
        heights = above - below
        return np.where(np.abs(heights) > 1e-9 * (np.abs(above) + np.abs(below)) + 1e-12, heights, 0.0)

    @cached_property
    def pieces(self):
        """Coefficients, from the constant on, of the polynomials between the kinks; None where there are others."""
        ends = [-np.inf, *self.kinks, np.inf]
        pieces = tuple(_polynomial(self.function, low, high) for low, high in pairwise(ends)) if self.kinks else (None,)
        return None if None in pieces else pieces

    def __reduce__(self):
        if self.code:
            return from_code, (self.code,)
        return _rebuild, (self.name, self.function, self.derivative, self.kinks, self.reference)


def from_code(code):
    """The record with this repr (as :func:`ibtheory.activations.from_code`, which unpickling must find)."""
    from ibtheory import activations

    return activations.from_code(code)


def _rebuild(name, function, derivative, kinks, reference):
    return ActivationFunction(name, function, derivative, kinks, reference=reference)


def _polynomial(function, low, high):
    """The polynomial of degree up to 3 that a function is between two kinks, or None."""
    if np.isfinite(low) and np.isfinite(high):
        points = low + (high - low) * 0.5 * (1 - np.cos(np.pi * (np.arange(120) + 0.5) / 120))
    else:
        base, side = (high, -1) if np.isinf(low) else (low, 1)
        points = base + side * np.concatenate([np.logspace(-6, 4, 121), np.arange(0.25, 20, 0.25)])
        low, high = sorted((base, base + 8 * side))
    with np.errstate(all="ignore"):
        values = np.asarray(function(points), float)
        for degree in range(_DEGREE + 1):
            nodes = np.linspace(low, high, degree + 3)[1:-1]
            fit = Polynomial.fit(nodes, function(nodes), degree, domain=[low, high]).convert()
            coefficients = np.pad(fit.coef, (0, degree + 1 - len(fit.coef)))
            coefficients[np.abs(coefficients) < 1e-13 * np.abs(coefficients).max()] = 0.0
            error = np.abs(values - polyval(points, coefficients))
            if np.all(error <= 1e-13 * polyval(np.maximum(np.abs(points), 1), np.abs(coefficients))):
                return tuple(coefficients.tolist())
    return None


def symbol():
    """The symbol that expressions are written in."""
    import sympy

    return sympy.Symbol("x", real=True)


def keep(x, value):
    """``value`` in the floating-point type of the argument ``x``."""
    return np.asarray(value).astype(np.result_type(x), copy=False)
