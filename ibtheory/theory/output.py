"""From the state of the logits to the law of one of them."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ibtheory.layers import BatchNorm
from ibtheory.output import Output, ScaleMixture, unbiased_kurtosis
from ibtheory.theory import finite, fluctuation

_SMALLEST = 1e-300  # of variances, where they underflow


@dataclass(frozen=True)
class Shape:
    """What the kernel of the logits says of their law, one entry per sample or group of samples.

    Attributes
    ----------
    centred, same : ndarray (m,)
        Variance about the mean over the data, and about 0.
    weights : ndarray (m,)
        Shares of the samples.
    squares : float
        Mean square of the centred kernel over pairs, in units of the squared mean of ``centred``.
    cubes : float
        E m_3^2, m_3 the third central moment over the data, in units of the cubed mean of ``centred``.
    samples : int or None
        Of a dataset; None where a group stands for many.
    """

    centred: np.ndarray
    same: np.ndarray
    weights: np.ndarray
    squares: float
    cubes: float
    samples: int | None

    @property
    def alike(self):
        """Whether all samples come from one population."""
        return self.samples is None and len(self.weights) == 1


class Spread(NamedTuple):
    """Relative variances of the kernel of the logits at finite width, to order 1/width.

    Attributes
    ----------
    own : float
        Of the variance of a sample about the mean over the data, where samples differ.
    pair : float
        Of the centred covariance of two samples.
    whole : float
        Of the second moment of a sample.
    exact : bool
        Whether that is all of this order; BatchNorm is taken in the limit of a large batch.
    """

    own: float
    pair: float
    whole: float
    exact: bool


def shape(state):
    """The :class:`Shape` of one state of the logits."""
    data = state.data
    seen = data.weights > 0
    weights, same = data.weights[seen] / data.weights[seen].sum(), state.same[seen]
    gap = state.gap if seen.all() else state.gap[np.ix_(seen, seen)]
    if not data.concrete and data.by_batch:  # one population, whose samples are all alike
        spread = state.average()[2]
        return Shape(np.array([spread]), np.array([weights @ same]), np.ones(1), 0.0, 0.0, None)
    # the kernel centred over the data, K - K 1w' - w1' K + w'Kw, in terms of gaps: no precision is lost
    rows = gap @ weights
    kernel = np.add.outer(rows, rows - weights @ rows)
    kernel -= gap
    centred = np.diagonal(kernel) + (0.0 if data.concrete else np.diagonal(gap))
    unit = weights @ centred
    unit = unit if unit > 0 else 1.0
    kernel /= unit  # before it is raised to powers that underflow
    weighted = weights * centred / unit
    squares = np.einsum("a,ab,ab,b->", weights, kernel, kernel, weights)
    cubes = 9 * weighted @ kernel @ weighted + 6 * np.einsum("a,ab,ab,ab,b->", weights, kernel, kernel, kernel, weights)
    samples = len(weights) if data.concrete else None
    return Shape(centred, same, weights, float(squares), float(cubes), samples)


def relative_spread(steps, moments, averages):
    """How much the kernel of the logits varies at finite width: relative variances, or None if that is not known.

    Returns
    -------
    Spread or None
    """
    blocks = finite.blocks_of(steps)
    if blocks is None:
        return None
    start = fluctuation.of_inputs(moments, steps[0].fan_in)
    spread = fluctuation.through(blocks, averages, start)
    same, _, gap, _ = averages[-1]
    if not gap > 0:
        return None
    _, own, pair = spread.centred()
    batched = any(isinstance(layer, BatchNorm) for block in blocks for layer, _ in block)
    return Spread(own / gap**2, pair / gap**2, spread.same() / same**2, not batched)


def law(shapes, table, spread=None):
    """The law of a logit.

    Parameters
    ----------
    shapes : list of Shape
        One per replica.
    table : tuple of float
        (same, cross, gap) of the logits, corrected for the width.
    spread : Spread, optional

    Returns
    -------
    Output
    """
    same, cross, gap = table
    centred, total = (np.mean([getattr(s, name) for s in shapes], axis=0) for name in ("centred", "same"))
    squares, cubes = (float(np.mean([getattr(s, name) for s in shapes])) for name in ("squares", "cubes"))
    weights, samples = shapes[0].weights, shapes[0].samples
    mean = float(weights @ centred)
    if not mean > 0:  # deep prejudice: all samples have one logit, as far as numbers reach
        centred, mean = np.ones_like(centred), 1.0
    own, pair, whole, _ = spread or Spread(0.0, 0.0, 0.0, True)
    fourth = 3 * float(weights @ np.square(centred / mean)) * math.exp(own)
    directions = squares + pair
    return Output(
        data=_mixture(centred / mean, weights, gap, own),
        networks=_mixture(total / (weights @ total), weights, same, whole),
        mean_variance=float(cross),
        kurtosis=_kurtosis(fourth, 1 + 2 * directions, samples),
        skewness_spread=math.sqrt(max(cubes, 0.0)),
        directions=1 / directions if directions > 0 else math.inf,
        width_terms="none" if spread is None else "leading" if spread.exact and shapes[0].alike else "approximate",
    )


def _mixture(relative, weights, variance, spread):
    return ScaleMixture(relative * max(variance, _SMALLEST), weights, spread)


def _kurtosis(fourth, squared, samples):
    return fourth / squared - 3 if samples is None else unbiased_kurtosis(fourth, squared, samples)
