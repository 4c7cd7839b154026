"""What repeating a block does in the limit of depth: where gamma goes, and by which law.

Up to 128 blocks are tried on the data at hand; where they do not settle it, the fixed points of the block decide.
"""

import numpy as np

from ibtheory import fractions
from ibtheory.results import DepthLimit
from ibtheory.theory import fixed, maps
from ibtheory.theory.forward import Refusal
from ibtheory.theory.state import Data
from ibtheory.theory.walk import last, walk

_DOUBLINGS = 7  # blocks: 1, 2, 4, ..., 128
_LARGEST = 1e100  # of second moments; a network whose signal grows or shrinks is judged by its first blocks
_SETTLED = 1e-7  # relative change of gamma over a doubling of depth


def depth_limit(net, features, state, gamma):
    """The :class:`ibtheory.results.DepthLimit` of the repeated block of ``net``.

    ``state`` is that of the inputs, of ``features`` features; ``gamma`` that of the logits, where nothing repeats or
    where the moments alone do not determine what the block does.
    """
    sections = net.around_block(features)
    if sections is None:
        return DepthLimit(gamma, fractions.regime(gamma), "no repeated block")
    try:
        history, settled = _iterate(*sections, collapse(state))
        limit, law = settled or _attractor(net, sections[2]) or _trend(history)
    except Refusal:
        limit, law = gamma, "unknown"
    return DepthLimit(limit, fractions.regime(limit), law)


def _iterate(stem, block, head, state):
    """gamma of the logits at 1, 2, 4, ... blocks, and (its limit, law) if they decide it, else None."""
    rng = np.random.default_rng(0)  # exchangeable samples: no rule draws
    history = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        state = last(walk(stem, state, rng))
        for doubling in range(_DOUBLINGS + 1):
            for _ in range(0 if doubling == 0 else 2 ** (doubling - 1)):
                state = last(walk(block, state, rng))
            same, cross, gap, _ = last(walk(head, state, rng)).average()
            history.append(_ratio(cross, gap))
            settled = _verdict(history)
            if settled is not None:
                return history, settled
            if not abs(np.log(same)) < np.log(_LARGEST) / 2:
                break
    return history, None


def _attractor(net, head):
    """(limit of gamma of the logits, law) from the fixed point of the block, or None where it has none.

    The branches of a stream that grows in proportion to depth move c by (C - c)/depth a block, so that deviations from
    c* fall as depth^-(1 - slope), and like 1/log(depth)^2 where c* = 1 with slope 1.
    """
    try:
        block = fixed.block_of(net)
    except (Refusal, ValueError):
        return None
    squares = fixed.squares(block)
    found = fixed.correlations(block, squares)
    om, slope, q = found.om, found.slope[0], squares.scale
    if np.isnan(om[0]) or (squares.linear[0] and not fixed.far_enough(block, squares, om)):
        return None
    population = maps.gaussian_population(q, q * om)
    rest = () if block.residual else block.steps[:-1]
    logits = maps.through((*rest, *head), population, maps.Variances())
    gamma = _ratio(float(logits.same[0] - logits.gap[0]), float(logits.gap[0]))
    if block.residual and squares.linear[0]:
        return gamma, "logarithmic" if slope == 1 else "power law"
    return gamma, "power law" if slope == 1 else "exponential"


def _ratio(cross, gap):
    return cross / gap if gap > 0 else np.inf


def _verdict(history):
    """(limit of gamma, law) once the values at 1, 2, 4, ... blocks decide it, else None."""
    now = history[-1]
    if now > 1e12:
        return np.inf, "exponential"
    if abs(now) < 1e-12:
        return 0.0, "constant" if max(map(abs, history)) < 1e-12 else "exponential"
    if len(history) < 3:
        return None
    before, _earlier = now / history[-2], history[-2] / history[-3]
    if abs(before - 1) < _SETTLED:
        return now, "constant" if abs(history[0] / now - 1) < _SETTLED else "exponential"
    return None


def _trend(history):
    """(limit of gamma, law) from its last two doublings: a power law multiplies it by the same factor each time."""
    if len(history) < 3:
        return history[-1], "slow"
    steps = np.diff(np.log2(np.abs(history[-3:])))
    if steps.min() > 0.3:
        return np.inf, "power law" if steps[1] - steps[0] < 0.3 else "exponential"
    if steps.max() < -0.3:
        return 0.0, "power law" if steps[1] - steps[0] > -0.3 else "exponential"
    return history[-1], "slow"


def collapse(state):
    """One exchangeable group with the averages of a state, in the limit of large batches."""
    _same, cross, gap, mean = state.average()
    data = Data(np.ones(1), np.ones((1, 1)), np.inf, concrete=False)
    one = np.array([mean]), np.array([[cross - mean**2]]), np.array([[gap]])
    return type(state)(*one, None, data)
