"""What repeating a block does in the limit of depth: where gamma goes, and by which law."""

import numpy as np

from ibtheory import fractions
from ibtheory.results import DepthLimit
from ibtheory.theory.forward import Refusal
from ibtheory.theory.state import Data
from ibtheory.theory.walk import walk

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
        limit, law = _iterate(*sections, collapse(state))
    except Refusal:
        limit, law = gamma, "unknown"
    return DepthLimit(limit, fractions.regime(limit), law)


def _iterate(stem, block, head, state):
    """(limit of gamma of the logits, law), from 1, 2, 4, ... blocks."""
    rng = np.random.default_rng(0)  # exchangeable samples: no rule draws
    history = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        state = walk(stem, state, rng)[-1][1]
        for doubling in range(_DOUBLINGS + 1):
            for _ in range(0 if doubling == 0 else 2 ** (doubling - 1)):
                state = walk(block, state, rng)[-1][1]
            same, cross, gap, _ = walk(head, state, rng)[-1][1].average()
            history.append(_ratio(cross, gap))
            limit = _verdict(history)
            if limit is not None:
                return limit
            if not abs(np.log(same)) < np.log(_LARGEST) / 2:
                break
    return _trend(history)


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
