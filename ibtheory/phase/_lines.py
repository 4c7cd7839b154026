"""Where phases meet: edges of chaos, and neutrality lines."""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from ibtheory.layers import Network
from ibtheory.phase._scales import CRITICAL, network_of, variances_of
from ibtheory.theory import fixed
from ibtheory.theory.roots import root

_RANGE = np.geomspace(0.01, 100.0, 161)  # weight variances in which lines are looked for


class CriticalPoint(NamedTuple):
    """A fixed point of q at which chi_1 = 1.

    Attributes
    ----------
    weight_variance, q : float
    slope : float
        dq'/dq there.
    stable : bool
        Whether deep networks reach it: slope < 1.
    """

    weight_variance: float
    q: float
    slope: float
    stable: bool


@final
@dataclass(frozen=True, eq=False)
class CriticalLine:
    """Where the phases of a network meet, per bias variance; made by :func:`critical_line`.

    Attributes
    ----------
    network : Network
    bias_variance : (n,) array
    edge : (n,) array
        Weight variance where the ordered phase of bounded signals ends: chi_1 passes 1 (the edge of chaos), or no
        finite q* is left. NaN where that is nowhere between 0.01 and 100.
    q, chi_1 : (n,) array
        q* and chi_1 there; q is NaN where every q is a fixed point, inf where none is left.
    neutrality : (n,) array
        Smallest weight variance with c* <= 1/2, gamma <= 1: neutral from there on. NaN where there is none, 0 where all
        are neutral.
    points : tuple of tuple of CriticalPoint
        Per bias variance all fixed points of q with chi_1 = 1, the unstable ones too; () for blocks of several Dense
        layers, and where chi_1 does not pass 1.
    verdict : tuple of str
        A word per bias variance.
    """

    network: Network
    bias_variance: np.ndarray
    edge: np.ndarray
    q: np.ndarray
    chi_1: np.ndarray
    neutrality: np.ndarray
    points: tuple
    verdict: tuple

    def __str__(self):
        lines = [f"{'bias variance':>14}{'edge':>14}{'q*':>12}{'chi_1':>10}{'neutrality':>14}  verdict"]
        columns = (self.bias_variance, self.edge, self.q, self.chi_1, self.neutrality, self.verdict)
        for bias, edge, q, chi, neutral, word in zip(*columns, strict=True):
            lines.append(f"{bias:>14.6g}{edge:>14.9g}{q:>12.6g}{chi:>10.6g}{neutral:>14.9g}  {word}")
        return "\n".join(lines)


def critical_line(net, bias_variance):
    """The edge of chaos, and the neutrality line, in the plane of weight and bias variance.

    Solves chi_1(sigma_w^2, sigma_b^2) = 1 and C(1/2) = 1/2 at q*, C the correlation map of the block.

    Parameters
    ----------
    net : Network
        Its own variances are replaced, in all Dense layers of the block.
    bias_variance : float or (n,) array_like
        At least 0.

    Returns
    -------
    CriticalLine

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As for :func:`depth_scales`; or for a variance that is negative or not finite.

    References
    ----------
    Schoenholz et al. 2017, arXiv:1611.01232; the neutrality line: Bassi et al., arXiv:2505.12096.

    Examples
    --------
    >>> from ibtheory import mlp
    >>> print(critical_line(mlp(100, 10, activation="tanh"), [0.05, 0.1]))
     bias variance          edge          q*     chi_1    neutrality  verdict
              0.05    1.76095464    0.570048         1     2.3782655  edge of chaos
               0.1    1.98607264    0.805799         1    2.92476575  edge of chaos
    """
    bias = variances_of("bias_variance", np.atleast_1d(np.asarray(bias_variance, float)))
    block = fixed.block_of(network_of(net), np.ones(len(bias)), bias)
    edge, words = _edges(block, bias)
    at = np.where(np.isnan(edge), 1.0, edge)
    here = block.at(at, bias)
    squares = fixed.squares(here)
    chi = fixed.near(here, squares)[0]
    q = np.where(squares.attractor > block.far / 2, np.inf, squares.attractor)
    q[squares.marginal] = np.nan
    none = np.isnan(edge)
    q[none], chi[none] = np.nan, np.nan
    for row in np.flatnonzero(~none & (np.abs(chi - 1) > 1e-6)):
        words[row] = "no finite q* beyond"
    points = tuple(_critical_points(block, value) for value in bias)
    return CriticalLine(net, bias, edge, q, chi, _neutrality(block, bias, edge), points, tuple(words))


def _critical_points(block, bias):
    """Fixed points of q with chi_1 = 1: the weight variance that makes q one is linear in q' - sigma_b^2."""
    if block.dense != 1 or block.typical or block.residual:
        return ()

    def excess(x, lane):
        q = np.exp(x)
        return fixed.near_at(block.at(_weight(block, q, bias), np.full(len(q), bias)), q)[0] - 1

    x = np.log(block.scan[block.scan > bias])
    values = excess(x, None)
    crossing = np.flatnonzero((np.abs(values[:-1]) > CRITICAL) & (values[:-1] * values[1:] < 0))
    q = np.exp(root(excess, x[crossing], x[crossing + 1], np.zeros(len(crossing), int)))
    weight = _weight(block, q, bias)
    slope = fixed.square_slope_at(block.at(weight, np.full(len(q), bias)), np.arange(len(q)), q)
    return tuple(
        CriticalPoint(*map(float, values), bool(values[2] < 1)) for values in zip(weight, q, slope, strict=True)
    )


def _weight(block, q, bias):
    """The weight variance of which q is a fixed point."""
    unit = block.at(np.ones(len(q)), np.zeros(len(q)))
    return (q - bias) / unit(np.arange(len(q)), q, np.zeros(len(q)))[0]


def _edges(block, bias):
    """(weight variance where stability ends, word) per bias variance."""
    lanes = np.repeat(np.arange(len(bias)), len(_RANGE))
    weights = np.tile(_RANGE, len(bias))

    def excess(weight, lane):
        return _instability(block.at(weight, bias[lane]))

    values = excess(weights, lanes).reshape(len(bias), -1)
    edge, words, rows, columns = np.full(len(bias), np.nan), [], [], []
    for row, line in enumerate(values):
        crossing = np.flatnonzero((line[:-1] < -CRITICAL) & (line[1:] >= -CRITICAL))
        if crossing.size:
            rows.append(row)
            columns.append(crossing[0])
            words.append("edge of chaos" + (f", {crossing.size} times" if crossing.size > 1 else ""))
        elif np.all(np.abs(line) <= CRITICAL):
            words.append("critical at every weight variance")
        else:
            words.append(f"{'ordered' if line[-1] < 0 else 'chaotic'} at every weight variance")
    rows, columns = np.array(rows, int), np.array(columns, int)
    edge[rows] = root(excess, _RANGE[columns], _RANGE[columns + 1], rows)
    return edge, words


def _instability(block):
    """chi_1 - 1, and at least 1 where no finite q* is left."""
    squares = fixed.squares(block)
    chi = fixed.near(block, squares)[0]
    return np.where(np.isinf(squares.attractor) & ~block.residual, np.maximum(chi - 1, 1.0), chi - 1)


def _neutrality(block, bias, edge):
    """Smallest weight variance above the edge at which C(1/2) <= 1/2."""

    def excess(weight, lane):
        here = block.at(weight, bias[lane])
        squares = fixed.squares(here)
        om = np.full(len(weight), 0.5)
        return fixed.correlation_map(here, squares, np.arange(len(weight)), om) - 0.5

    low = np.where(np.isnan(edge), _RANGE[0], edge)
    line = np.full(len(bias), np.nan)
    waiting = np.arange(len(bias))
    for weight in _RANGE:
        waiting = waiting[np.isnan(line[waiting])]
        rows = waiting[low[waiting] <= weight]
        if not rows.size:
            continue
        beyond = excess(np.full(len(rows), weight), rows) >= 0
        found = rows[beyond]
        line[found] = root(excess, low[found], np.full(len(found), weight), found)
        line[found[low[found] == _RANGE[0]]] = 0.0
        low[rows[~beyond]] = weight
    return line
