"""Expectations over one and two Gaussians of functions given as callables, smooth or kinked.

An :class:`Integrand` maps an array of shape (pairs, ...) to values of that shape, so that each pair may bring its own
parameters. Every routine works on standardized variables x, y ~ N(0, 1).
"""

from ibtheory._quadrature._differences import radial
from ibtheory._quadrature._pairs import centred, dual, gap, half_square, pair
from ibtheory._quadrature._rules import REACH, Integrand, density, lattice, take
from ibtheory._quadrature._single import expectation, hermite

__all__ = [
    "REACH",
    "Integrand",
    "centred",
    "density",
    "dual",
    "expectation",
    "gap",
    "half_square",
    "hermite",
    "lattice",
    "pair",
    "radial",
    "take",
]
