"""The record of an activation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ibtheory import _closed


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
    pieces : tuple of tuples or None
        Coefficients, from the constant on, of the polynomials between the kinks.
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
    pieces: tuple | None = None
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


def symbol():
    """The symbol that expressions are written in."""
    import sympy

    return sympy.Symbol("x", real=True)


def keep(x, value):
    """``value`` in the floating-point type of the argument ``x``."""
    return np.asarray(value).astype(np.result_type(x), copy=False)
