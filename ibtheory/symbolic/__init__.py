"""The theory in symbols: averages, layer maps, drift ratio, gradient factor and class fractions as SymPy expressions.

Everything is derived from the activation's own expression: a name of the catalogue, a record that has one, or any SymPy
expression of yours, with parameters if you like. Results are exact and deterministic.
"""

from ibtheory.symbolic.arguments import phi
from ibtheory.symbolic.averages import centred, derivative_dual, drift, dual, gap, hermite, mean, moments, second
from ibtheory.symbolic.batch import batch_moments
from ibtheory.symbolic.depth import fixed_points, gamma
from ibtheory.symbolic.gradients import gradient_factor
from ibtheory.symbolic.laws import agreement, class_fraction
from ibtheory.symbolic.maps import c_map, variance_map
from ibtheory.symbolic.notation import symbols
from ibtheory.symbolic.output import expansion, lambdify, latex

__all__ = [
    "agreement",
    "batch_moments",
    "c_map",
    "centred",
    "class_fraction",
    "derivative_dual",
    "drift",
    "dual",
    "expansion",
    "fixed_points",
    "gamma",
    "gap",
    "gradient_factor",
    "hermite",
    "lambdify",
    "latex",
    "mean",
    "moments",
    "phi",
    "second",
    "symbols",
    "variance_map",
]
