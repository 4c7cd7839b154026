r"""Fixed points of a repeated block, for many settings at once: of the variance q, and of the correlation c at q*.

Between Dense outputs every correlation map of one population is a power series in c with coefficients >= 0, so that on
[0, 1] it is convex; C(1) = 1. Hence c = 1 is a fixed point, and besides it there is exactly one in [0, 1) where the
slope at 1 exceeds 1, none where it does not. (1 - C)/(1 - c) falls from that slope to at most 1 as c falls to 0, which
makes the root simple to bracket.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from ibtheory.layers import Activation, BatchNorm, Dense, Residual, flatten
from ibtheory.theory import maps
from ibtheory.theory.forward import Refusal
from ibtheory.theory.roots import minimum, root

_SMALL, _FAR, _FAR_SMOOTH = 1e-13, 1e12, 1e3  # where limits of q are read off; quadrature of smooth functions costs ~ q
_PER_DECADE = 10  # points of the scan of q
_EQUAL = 1e-10  # relative, of two numbers that are equal by theory
_MARGINAL = 1e-13  # log q'/q of a q' that equals q
_CLOSE = 1e-5  # the same in a limit of q
_NEAR_ZERO = 0.05  # a dip of log q'/q to less may hide two fixed points between points of the scan
_STENCIL = np.array([-2.0, -1.0, 1.0, 2.0])
_ONE_SIDED = np.array([0.0, -1.0, -1.0, -1.0])
_DIFFERENCE = np.array([1.0, -8.0, 8.0, -1.0]) / 12


@dataclass(frozen=True)
class Block:
    """The map of a repeated block from Gaussian pre-activations to those of the next block.

    Attributes
    ----------
    steps : tuple of ibtheory.layers.Step
        Cut behind a Dense layer; or, where all are residuals, the stream between two of them.
    variances : maps.Variances
    settings : int
    """

    steps: tuple
    variances: maps.Variances
    settings: int

    def __call__(self, lanes, q, om):
        """(q', 1 - c', growth of the gap of near samples) of settings ``lanes`` at q and om = 1 - c."""
        if not len(lanes):
            return np.empty(0), np.empty(0), np.empty(0)
        start = maps.gaussian_population(q, q * om)
        return self._read(maps.through(self.steps, start, self._at(lanes)))

    def branches(self, lanes, q, om):
        """The same for the sum of the residual branches alone, which rules a stream that grows without bound."""
        stream, total = maps.gaussian_population(q, q * om), None
        for step in self.steps:
            branch = maps.through(step.branch, stream, self._at(lanes))
            total = branch if total is None else maps.add(total, branch)
        return self._read(total)

    def at(self, weight, bias):
        """The same block with other variances."""
        return Block(self.steps, maps.Variances(weight, bias), len(weight))

    def _read(self, end):
        same = end.same
        return same, np.where(same > 0, end.gap / np.where(same > 0, same, 1.0), 0.0), end.near

    def _at(self, lanes):
        if self.variances.weight is None:
            return self.variances
        return maps.Variances(self.variances.weight[lanes], self.variances.bias[lanes])

    @cached_property
    def residual(self):
        """Whether the block is nothing but residuals."""
        return all(isinstance(step.layer, Residual) for step in self.steps)

    @cached_property
    def batch(self):
        """Whether BatchNorm sets the stream itself, so that one block forgets the one before."""
        return any(isinstance(step.layer, BatchNorm) and not step.layer.fresh for step in self.steps)

    @cached_property
    def dense(self):
        """Number of Dense layers."""
        return sum(isinstance(step.layer, Dense) for step in flatten(self.steps))

    @cached_property
    def typical(self):
        """1 - c at which q' is taken: 0, unless a BatchNorm needs samples that differ."""
        norms = [step.layer for step in flatten(self.steps) if isinstance(step.layer, BatchNorm)]
        return 0.0 if all(layer.fresh for layer in norms) else 0.5

    @cached_property
    def scan(self):
        """Variances between which fixed points are looked for."""
        decades = np.log10(self.far / _SMALL)
        return np.geomspace(_SMALL, self.far, int(_PER_DECADE * decades) + 1)

    @cached_property
    def far(self):
        """A variance that stands for infinity."""
        records = [step.layer.function for step in flatten(self.steps) if isinstance(step.layer, Activation)]
        return _FAR if all(record.closed is not None for record in records) else _FAR_SMOOTH


def block_of(net, weight=None, bias=None):
    """The :class:`Block` of the last Repeat of ``net``, for arrays (n,) of variances in the place of its own.

    Raises
    ------
    ValueError
        If nothing repeats.
    Refusal
        If the block does not lead from Gaussian neurons to Gaussian neurons.
    """
    sections = net.around_block(net.width or 64)
    if sections is None or not sections[1]:
        raise ValueError(
            "the network repeats no block: give one with depth, e.g. mlp(100, 10), or Repeat(block, times)"
        )
    steps = sections[1]
    dense = [index for index, step in enumerate(steps) if isinstance(step.layer, Dense)]
    if dense:
        steps = (*steps[dense[0] + 1 :], *steps[: dense[0] + 1])
    elif not any(isinstance(step.layer, Residual) for step in steps):
        raise ValueError("the repeated block has no Dense layer; give one that has")
    settings = 1 if weight is None else len(weight)
    block = Block(steps, maps.Variances(weight, bias), settings)
    end = maps.through(steps, maps.gaussian_population(np.ones(1), np.full(1, 0.5)), block._at(np.zeros(1, int)))
    if end.field is None or not maps.is_gaussian(end.field):
        raise Refusal("the repeated block ends with neurons that are not Gaussian: no map of q and c describes it")
    return block


class Squares(NamedTuple):
    """Fixed points of q.

    Attributes
    ----------
    attractor : ndarray (n,)
        The smallest stable one; 0 where the signal vanishes, inf where it grows without bound, 1 where every q is one.
    scale : ndarray (n,)
        The variance at which correlations are studied: the attractor, or a number that stands for 0 or infinity.
    marginal, linear : ndarray (n,) of bool
        Every q is a fixed point; the signal grows without bound, but slower than exponentially.
    roots : list of list of (float, bool)
        Per setting all fixed points, each with whether it is stable.
    """

    attractor: np.ndarray
    scale: np.ndarray
    marginal: np.ndarray
    linear: np.ndarray
    roots: list


def squares(block):
    """The :class:`Squares` of a block."""
    lanes = np.arange(block.settings)
    if block.batch:
        return _pinned(block, lanes)
    scan = block.scan
    growth = _growth_of_scan(block, lanes)
    at_zero = block(lanes, np.zeros(len(lanes)), np.zeros(len(lanes)))[0]
    marginal = np.all(np.abs(growth) < _MARGINAL, axis=1)
    fixed_zero = (at_zero == 0) & ~marginal
    roots = [[(0.0, bool(low < 0))] if fixed else [] for low, fixed in zip(growth[:, 0], fixed_zero, strict=True)]

    def excess(x, lane):
        return np.log(block(lane, np.exp(x), np.full(x.size, block.typical))[0]) - x

    row, low, high, falling = _brackets(excess, np.log(scan), growth, ~marginal)
    found = np.exp(root(excess, low, high, row))
    for lane, value, stable in sorted(zip(row.tolist(), found.tolist(), falling.tolist(), strict=True)):
        roots[lane].append((value, stable))
    attractor = np.array([next((value for value, stable in points if stable), np.inf) for points in roots])
    attractor[marginal] = 1.0
    scale = np.where(attractor == 0, _SMALL, np.where(np.isinf(attractor), block.far, attractor))
    far = _growth(block, lanes, np.array([block.far / 10, block.far]))
    linear = np.isinf(attractor) & (far[:, 1] < far[:, 0] / 2)
    return Squares(attractor, scale, marginal, linear, roots)


def _brackets(excess, x, growth, chosen):
    """(setting, low, high, whether growth falls) around each zero of growth, also two between points of a scan."""
    row, column = np.nonzero((growth[:, :-1] > 0) != (growth[:, 1:] > 0))
    parts = [(row, x[column], x[column + 1], growth[row, column] > 0)]
    inner, sign = growth[:, 1:-1], np.where(growth[:, 1:-1] > 0, 1.0, -1.0)
    toward = (sign * growth[:, :-2] >= sign * inner) & (sign * growth[:, 2:] >= sign * inner)
    row, column = np.nonzero(
        toward & (np.abs(inner) < _NEAR_ZERO) & (sign * growth[:, :-2] > 0) & (sign * growth[:, 2:] > 0)
    )
    side = sign[row, column]
    low, high = x[column], x[column + 2]
    bottom = minimum(lambda z: side * excess(z, row), low, high)
    double = side * excess(bottom, row) < 0
    row, low, high, bottom, side = (values[double] for values in (row, low, high, bottom, side))
    parts += [(row, low, bottom, side > 0), (row, bottom, high, side < 0)]
    row, low, high, falling = (np.concatenate(values) for values in zip(*parts, strict=True))
    kept = chosen[row]
    return row[kept], low[kept], high[kept], falling[kept]


def _pinned(block, lanes):
    """BatchNorm forgets what came before: a few blocks lead to the fixed point."""
    q, om = np.ones(len(lanes)), np.full(len(lanes), 0.5)
    for _ in range(100):
        before = q
        q, om, _ = block(lanes, q, om)
        if np.all(np.abs(q - before) <= 1e-15 * q):
            break
    no = np.zeros(len(lanes), bool)
    return Squares(q, q, no, no, [[(float(value), True)] for value in q])


def _growth_of_scan(block, lanes):
    """Growth at the points of the scan; a single Dense layer, the last one, makes q' = w S(q) + b, one S for all."""
    if block.dense != 1 or block.residual or block.typical:
        return _growth(block, lanes, block.scan)
    weight, bias = block.variances.of(block.steps[-1].layer, block.steps[-1].fan_in)
    after = np.multiply.outer(np.broadcast_to(weight, len(lanes)), _second_moments(block.steps)) + np.reshape(
        bias, (-1, 1)
    )
    return np.log(after / block.scan)


@lru_cache(maxsize=64)
def _second_moments(steps):
    """S(q) of a block at the points of its scan: q' for weight variance 1 and no bias."""
    scan = Block(steps, maps.Variances(), 1).scan
    start = maps.gaussian_population(scan, 0 * scan)
    return maps.through(steps[:-1], start, maps.Variances()).same


def _growth(block, lanes, q):
    """log(q'/q) of every setting at every q of a grid, (n, K)."""
    lane, value = np.repeat(lanes, len(q)), np.tile(q, len(lanes))
    with np.errstate(divide="ignore"):
        after = block(lane, value, np.full(value.size, block.typical))[0]
        return np.log(after / value).reshape(len(lanes), len(q))


def square_slope(block, found):
    """dq'/dq at the attractor; 1 where every q is a fixed point, NaN where there is none."""
    slope = np.where(found.marginal, 1.0, np.nan)
    if block.batch:
        return np.zeros(block.settings)
    lanes = np.flatnonzero(np.isfinite(found.attractor) & ~found.marginal)
    slope[lanes] = square_slope_at(block, lanes, found.attractor[lanes])
    return slope


def square_slope_at(block, lanes, q):
    """dq'/dq of settings ``lanes`` at fixed points q."""
    step, slope, zero = 1e-3, np.empty(len(lanes)), q == 0
    x = np.log(q[~zero])[:, None] + step * _STENCIL
    after = block(np.repeat(lanes[~zero], 4), np.exp(x.ravel()), np.full(x.size, block.typical))[0]
    slope[~zero] = np.log(after).reshape(x.shape) @ _DIFFERENCE / step
    slope[zero] = np.exp(_growth(block, lanes[zero], block.scan[:1])[:, 0])
    return np.where(np.abs(slope) < 1e-12, 0.0, slope)


class Correlations(NamedTuple):
    """What the correlation of two samples does at q*.

    Attributes
    ----------
    om : ndarray (n,)
        1 - c* of the fixed point that attracts from [0, 1); NaN where every c is one, as in a linear network.
    slope, slope_1 : ndarray (n,)
        dc'/dc there, and at c = 1.
    chi_1 : ndarray (n,)
        Growth of the gap of two nearly equal samples over a block, which the gradient shares.
    """

    om: np.ndarray
    slope: np.ndarray
    slope_1: np.ndarray
    chi_1: np.ndarray


def near(block, found):
    """(chi_1, slope of the correlation map at 1) at the scale of :class:`Squares`."""
    q = found.scale
    chi, slope, om = near_at(block, q)
    rows = np.flatnonzero(found.linear & block.residual)
    after, _, grown = block.branches(rows, q[rows], om[rows])
    slope[rows] = grown * q[rows] / after
    chi[rows] = 1.0  # the branch vanishes beside the stream
    return chi, slope


def near_at(block, q):
    """(chi_1, slope of the correlation map at 1, the 1 - c of the population that BatchNorm sees) at variances q."""
    lanes, om = np.arange(block.settings), np.full(block.settings, block.typical)
    if block.batch:
        om = block(lanes, q, om)[1]
    after, _, chi = block(lanes, q, om)
    return chi, chi * q / np.where(after > 0, after, 1.0), om


def correlations(block, found):
    """The :class:`Correlations` of a block."""
    chi, slope_1 = near(block, found)
    lanes = np.arange(block.settings)
    if block.typical:  # BatchNorm leads there whatever the correlation was
        om = correlation_map(block, found, lanes, np.full(block.settings, block.typical))
        om = correlation_map(block, found, lanes, om)
        return Correlations(om, np.zeros(block.settings), slope_1, chi)
    om, slope = np.zeros(block.settings), slope_1.copy()
    limit = (found.attractor == 0) | np.isinf(found.attractor)  # there q stands for 0 or infinity
    close = np.where(limit, _CLOSE, _EQUAL)
    slope[np.abs(slope - 1) <= close] = 1.0
    half = np.full(block.settings, 0.5)
    frozen = np.abs(correlation_map(block, found, lanes, half) - half) <= close
    lanes = np.flatnonzero((slope_1 > 1 + close) & ~frozen)
    om[lanes] = attracting(block, found, lanes)
    lanes = lanes[om[lanes] > 0]
    slope[lanes] = slope_at(block, found, lanes, om[lanes])
    om[frozen] = np.nan
    return Correlations(om, slope, slope_1, chi)


def correlation_map(block, found, lanes, om):
    """1 - c' at om = 1 - c, q at its scale; of the branches where they rule."""
    after = np.empty(om.shape)
    ruled = found.linear[lanes] if block.residual else np.zeros(len(lanes), bool)
    for rows, act in ((ruled, block.branches), (~ruled, block)):
        if rows.any():
            after[rows] = act(lanes[rows], found.scale[lanes[rows]], om[rows])[1]
    return after


def far_enough(block, found, om):
    """Whether the branches of one setting act the same at a tenth of the variance that stands for infinity."""
    if not block.residual:
        return False
    lane = np.zeros(1, int)
    nearer = block.branches(lane, found.scale / 10, om)[1]
    return bool(abs(nearer[0] - correlation_map(block, found, lane, om)[0]) < _CLOSE)


def attracting(block, found, lanes):
    """1 - c* below 1 of settings whose slope at 1 exceeds 1."""

    def excess(x, lane):
        return correlation_map(block, found, lane, x * x) / (x * x) - 1

    low, high = np.full(len(lanes), 1e-7), np.ones(len(lanes))
    x = root(excess, low, high, lanes)
    return np.where(x <= 1e-7, 0.0, x * x)


def slope_at(block, found, lanes, om):
    """dc'/dc at om = 1 - c."""
    end = om == 2
    step = np.where(end, 1e-7, 3e-3 * np.minimum(om, 2 - om))
    points = om[:, None] + step[:, None] * np.where(end[:, None], _ONE_SIDED, _STENCIL)
    values = correlation_map(block, found, np.repeat(lanes, 4), points.ravel()).reshape(points.shape)
    slope = values @ _DIFFERENCE / step
    slope[end] = (values[end] @ [1.0, -1.0, 0.0, 0.0]) / step[end]
    return np.where(np.abs(slope) < 1e-11, 0.0, slope)


def below_zero(block, found):
    """1 - c of the fixed points with c < 0 of one setting, from a scan."""
    om = np.linspace(1.0 + 1e-9, 2.0, 65)
    lanes = np.zeros(len(om), int)

    def excess(x, lane):
        return correlation_map(block, found, lane, x) - x

    values = excess(om, lanes)
    values[np.abs(values) < 1e-13] = 0.0
    crossing = np.flatnonzero(values[:-1] * values[1:] < 0)
    inside = root(excess, om[crossing], om[crossing + 1], lanes[: len(crossing)])
    return [*inside.tolist(), *([2.0] if values[-1] == 0 else [])]
