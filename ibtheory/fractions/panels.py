"""The shares at which a law is tabulated: where they lie and how they are spread."""

import numpy as np
from scipy.special import ndtr

from ibtheory.fractions import ordered
from ibtheory.fractions.curve import Panel, probit
from ibtheory.fractions.rivals import Heights

_TAIL = 12.0  # standard deviations of a mean that are tabulated: samples tell little of what lies beyond
_SCORES = -30.0, 8.2  # normal scores of the shares that double precision tells apart from 0 and 1
_EDGE = 5.5  # normal scores up to an edge between panels
_PILOT, _LOWEST = 2**12, 0.004  # rows that tell how small f_max may be, and their quantile that is tabulated


def heights(classes, **options):
    """The solver for a number of classes: G is as narrow as 1/sqrt(C) deep in the tail."""
    return Heights(min(0.3, 0.95 / np.sqrt(min(classes, ordered.FEW))), **options)


def one(gamma, classes, density=2.5, tail=_TAIL):
    """The shares that f_k has with its mean up to ``tail`` deviations from that of typical rivals."""
    z, counts = ordered.typical(classes)
    root, base = np.sqrt(gamma), z.mean() if classes <= ordered.FEW else 0.0
    means = root * (base - z[0, 0] + np.array([-tail, tail]))
    first, last = heights(classes).score(np.repeat(root * (z[:, :1] - z), 2, axis=0), counts, means)
    return Panel(0.0, 0.0, 1.0, max(first, _SCORES[0]), min(last, _SCORES[1]), density)


def largest(gamma, classes, density=2.5, tail=_TAIL):
    """Panels that end at 1/4, 1/3, 1/2 and 1: below 1/n there may be n largest classes, the law is not analytic."""
    low, high = _range(gamma, classes, tail)
    edges = [edge for edge in (1 / 4, 1 / 3, 1 / 2) if max(low, 1 / classes) < edge < high]
    pieces = []
    for start, stop in zip([1 / classes, *edges], [*edges, 1.0], strict=True):
        bottom, first = (start, low) if not pieces else (0.0, start)
        ends = [probit((x - bottom) / (stop - bottom), (stop - x) / (stop - bottom)) for x in (first, high)]
        multiple = classes if start >= 1 / 2 else 1
        pieces.append(Panel(start, bottom, stop, ends[0], ends[1] if stop == 1 else _EDGE, density, multiple))
    return pieces


def _range(gamma, classes, tail):
    """The least and the greatest share that f_max has with a probability to speak of."""
    solver, root = heights(classes), np.sqrt(gamma)
    z, counts = ordered.typical(classes)
    high = solver.score(root * (z[:, :1] - z), counts, root * (tail - z[0, 0]))[0]
    z, counts = next(ordered.draw(classes, _PILOT, 1, below_largest=True))
    ties = solver.score(root * (z[:, :1] - z), counts, 0.0)
    return ndtr(np.quantile(ties, _LOWEST)), ndtr(min(high, _SCORES[1]))
