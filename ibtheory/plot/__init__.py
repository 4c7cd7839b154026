"""Pictures: class fractions against their law, gamma by depth, all placements side by side, z-scores.

Each function draws into ``ax`` (or a new figure) and returns the Axes; :func:`placements` returns the Figure.
Nothing is shown or saved, and every figure works without a display. Bars and dots are simulation, lines are theory,
in the color-blind safe colors of Okabe and Ito.
"""

from ibtheory.plot._canvas import INK as INK
from ibtheory.plot._canvas import PALE as PALE
from ibtheory.plot._canvas import SIMULATION as SIMULATION
from ibtheory.plot._canvas import THEORY as THEORY
from ibtheory.plot._canvas import UNBIASED as UNBIASED
from ibtheory.plot._cells import outputs, placements
from ibtheory.plot._depth import gamma_by_depth
from ibtheory.plot._fractions import class_fraction
from ibtheory.plot._history import history
from ibtheory.plot._output import output
from ibtheory.plot._phase import phase_diagram
from ibtheory.plot._scores import comparison, comparisons
from ibtheory.plot._scores import scored as scored

__all__ = [
    "class_fraction",
    "comparison",
    "comparisons",
    "gamma_by_depth",
    "history",
    "output",
    "outputs",
    "phase_diagram",
    "placements",
]
