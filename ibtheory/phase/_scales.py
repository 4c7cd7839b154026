"""Fixed points and depth scales of the block that a network repeats."""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from ibtheory import fractions
from ibtheory.layers import Network
from ibtheory.theory import fixed

PHASES = ("ordered", "critical", "chaotic")
CRITICAL = 1e-9  # distance of chi_1 from 1
_POINT = np.dtype([(name, "f8") for name in ("q", "c", "gamma", "chi_1", "slope", "xi_q", "xi_c")] + [("phase", "i1")])


class FixedPoint(NamedTuple):
    """A fixed point of q or of c.

    Attributes
    ----------
    value : float
    slope : float
        Of the map there; its size tells how fast the fixed point is approached.
    stable : bool
        Whether it attracts; at slope 1, from the side from which it is approached.
    """

    value: float
    slope: float
    stable: bool


@final
@dataclass(frozen=True, eq=False)
class DepthScales:
    """What the repeated block of a network does in the limit of depth; made by :func:`depth_scales`.

    Attributes
    ----------
    network : Network
    q : float
        q*, the smallest stable fixed point; 0 where the signal vanishes, inf where it grows without bound, NaN where
        every q is one.
    c : float
        c*, the correlation that attracts from [0, 1) at q*; NaN where every c is a fixed point.
    gamma : float
        c*/(1 - c*), the drift ratio of the pre-activations there.
    chi_1 : float
        Growth of the distance squared of two nearly equal samples over a block, and of the squared gradient.
    slope : float
        dc'/dc at c*.
    xi_q, xi_c : float
        Depth scales -1/log(slope) in blocks, with which q* and c* are approached; inf for a power law, 0 for one step,
        NaN where there is no fixed point.
    phase : str
        "ordered" (chi_1 < 1), "critical" or "chaotic".
    regime : str
        The word for gamma, or "unknown" where c* is NaN.
    q_points, c_points : tuple of FixedPoint
        All fixed points of q up to 1e12 (1e3 where only quadrature is known), and of c in [-1, 1] at q*.
    verdict : tuple of str
        The same in words.
    """

    network: Network
    q: float
    c: float
    gamma: float
    chi_1: float
    slope: float
    xi_q: float
    xi_c: float
    phase: str
    regime: str
    q_points: tuple
    c_points: tuple
    verdict: tuple

    def __str__(self):
        rows = [("q*", self.q, self.xi_q), ("c*", self.c, self.xi_c)]
        lines = [f"{self.phase}, {self.regime} in the limit of depth"]
        lines += [f"  {name:<7}{value:<12.6g}depth scale {scale:.6g} blocks" for name, value, scale in rows]
        lines += [f"  {'chi_1':<7}{self.chi_1:<12.6g}growth of the squared gradient per block"]
        lines += [f"  {'gamma':<7}{self.gamma:<12.6g}drift ratio at c*"]
        return "\n".join([*lines, *(f"  {line}" for line in self.verdict)])


def depth_scales(net):
    """Fixed points, their stability, and the depth scales of the block that a network repeats.

    chi_1 = sigma_w^2 E phi'(u)^2 without norm; xi_q = -1/log(dq'/dq), xi_c = -1/log(dc'/dc) at the fixed point.

    Parameters
    ----------
    net : Network
        With a Repeat whose block has a Dense layer, such as ``mlp(width, depth)``.

    Returns
    -------
    DepthScales

    Raises
    ------
    TypeError, ValueError
        If ``net`` is not a Network, or repeats no block.
    NotImplementedError
        If no map of q and c describes the block.

    References
    ----------
    Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.

    Examples
    --------
    >>> from ibtheory import mlp
    >>> scales = depth_scales(mlp(100, 10, activation="tanh", weight_variance=2.0, bias_variance=0.05))
    >>> print(scales)
    chaotic, prejudiced in the limit of depth
      q*     0.721762    depth scale 1.38798 blocks
      c*     0.744082    depth scale 25.2134 blocks
      chi_1  1.04767     growth of the squared gradient per block
      gamma  2.90751     drift ratio at c*
      q: one fixed point, stable
      c: 1 repels, 0.744082 attracts
    """
    block = fixed.block_of(network_of(net))
    squares = fixed.squares(block)
    point = table_of(block, squares)[0]
    q_points = _square_points(block, squares)
    c_points = _correlation_points(block, squares, point)
    return DepthScales(
        network=net,
        **{name: float(point[name]) for name in ("q", "c", "gamma", "chi_1", "slope", "xi_q", "xi_c")},
        phase=PHASES[point["phase"]],
        regime="unknown" if np.isnan(point["gamma"]) else fractions.regime(float(point["gamma"])),
        q_points=q_points,
        c_points=c_points,
        verdict=(_square_words(squares, q_points), _correlation_words(squares, point, c_points)),
    )


def network_of(net):
    """``net``, or a TypeError that says what it should be."""
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {net!r}; build one with ibtheory.mlp(...)")
    return net


def table_of(block, squares):
    """A row of :attr:`PhaseDiagram.table` per setting of a block."""
    found = fixed.correlations(block, squares)
    table = np.empty(block.settings, _POINT)
    table["q"] = np.where(squares.marginal, np.nan, squares.attractor)
    table["c"], table["chi_1"], table["slope"] = 1 - found.om, found.chi_1, found.slope
    with np.errstate(divide="ignore"):
        table["gamma"] = np.where(found.om == 1, 0.0, (1 - found.om) / found.om)
    table["xi_q"] = _depth_scale(fixed.square_slope(block, squares))
    table["xi_c"] = np.where(squares.linear & (found.om >= 0), np.inf, _depth_scale(found.slope))
    table["phase"] = 1 + np.where(np.abs(found.chi_1 - 1) < CRITICAL, 0, np.sign(found.chi_1 - 1))
    return table


def _depth_scale(slope):
    """-1/log |slope|: 0 for slope 0, inf for slope 1, NaN beyond."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = -1 / np.log(np.abs(slope))
    return np.where(slope == 0, 0.0, np.where(np.abs(slope) == 1, np.inf, np.where(scale > 0, scale, np.nan)))


def _square_points(block, squares):
    lanes = np.zeros(len(squares.roots[0]), int)
    if block.batch:
        return (FixedPoint(squares.roots[0][0][0], 0.0, True),)
    slopes = fixed.square_slope_at(block, lanes, np.array([value for value, _ in squares.roots[0]]))
    pairs = zip(squares.roots[0], slopes, strict=True)
    return tuple(FixedPoint(value, float(slope), stable) for (value, stable), slope in pairs)


def _correlation_points(block, squares, point):
    """All fixed points of c: 1, the one in [0, 1) that attracts, and those below 0, from a scan."""
    if np.isnan(point["c"]):
        return ()
    if block.typical:
        return (FixedPoint(float(point["c"]), 0.0, True),)
    slope_1 = float(fixed.near(block, squares)[1][0])
    below = float(point["c"])
    points = [(1.0, slope_1, below == 1)]
    if below < 1:
        points.append((below, float(point["slope"]), True))
    for om in fixed.below_zero(block, squares):
        slope = float(fixed.slope_at(block, squares, np.zeros(1, int), np.array([om]))[0])
        points.append((1 - om, slope, abs(slope) < 1))
    return tuple(FixedPoint(*values) for values in sorted(points))


def _square_words(squares, points):
    if squares.marginal[0]:
        return "q: every value is a fixed point; marginal"
    if squares.attractor[0] == 0:
        return "q: the signal vanishes, q* = 0"
    if np.isinf(squares.attractor[0]):
        how = "slower than exponentially" if squares.linear[0] else "exponentially"
        return (
            f"q: no fixed point attracts; the signal grows without bound, {how}; c is read at q = {squares.scale[0]:g}"
        )
    if len(points) == 1:
        return "q: one fixed point, stable"
    listed = ", ".join(f"{p.value:.6g} ({'stable' if p.stable else 'unstable'})" for p in points)
    return f"q: {len(points)} fixed points, {listed}; the smallest stable one is taken"


def _correlation_words(squares, point, points):
    if np.isnan(point["c"]):
        return "c: every value is a fixed point, as in a linear network"
    if squares.linear[0]:
        return f"c: {point['c']:.6g} attracts, by a power law of depth or slower"
    if point["c"] == 1 and point["slope"] == 1:
        return "c: 1 attracts; marginal: power law"
    repels = [f"{p.value:.6g} repels" for p in points[::-1] if not p.stable]
    attracts = [f"{p.value:.6g} attracts" for p in points[::-1] if p.stable]
    return "c: " + ", ".join(repels + attracts)


def variances_of(name, values):
    """``values`` if they are an array (n,) of variances, or a ValueError."""
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ValueError(f"{name} must be finite numbers of at least 0 in one dimension, got {values}")
    return values
