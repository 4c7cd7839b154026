"""What repeating a block does in the limit of depth: where gamma goes, and by which law."""

from typing import NamedTuple

import numpy as np

from ibtheory import fractions
from ibtheory.layers import Network
from ibtheory.theory.state import Data
from ibtheory.theory.walk import walk

_DOUBLINGS = 9  # blocks: 1, 2, 4, ..., 512
_SETTLED = 1e-7  # relative change of gamma over a doubling of depth


class DepthLimit(NamedTuple):
    """The limit of depth of a repeated block.

    Attributes
    ----------
    gamma : float
        Limit of gamma of the logits; inf where it grows without bound.
    regime : str
        unbiased, neutral, prejudiced or deeply prejudiced.
    law : str
        How it gets there: "constant", "exponential", "power law", "slow" (not settled after 512 blocks; gamma is
        then the value there), or "no repeated block" (gamma of the network itself).
    """

    gamma: float
    regime: str
    law: str

    def __str__(self):
        return f"{self.regime} (gamma = {self.gamma:.4g}, {self.law})"


def depth_limit(net, state, gamma):
    """The :class:`DepthLimit` of the repeated block of ``net``, for a state of its input and gamma of its logits."""
    if not net.block:
        return DepthLimit(gamma, fractions.regime(gamma), "no repeated block")
    readout = net.layers[-1]
    width = net.width or 1
    steps = Network((*net.block, readout)).steps(width)[:-1]
    weight, bias = readout.variances(steps[-1].units)
    state, history = collapse(state), []
    rng = np.random.default_rng(0)  # exchangeable samples: no rule draws
    for doubling in range(_DOUBLINGS + 1):
        for _ in range(max(1, 2 ** (doubling - 1))):
            state = walk(steps, state, rng)[-1][1]
        _, cross, gap, _ = state.average()
        history.append(_ratio(weight * cross + bias, weight * gap))
        limit = _verdict(history)
        if limit is not None:
            break
    limit, law = limit or (history[-1], "slow")
    return DepthLimit(limit, fractions.regime(limit), law)


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
    before, earlier = now / history[-2], history[-2] / history[-3]
    if abs(before - 1) < _SETTLED:
        return now, "constant" if abs(history[0] / now - 1) < _SETTLED else "exponential"
    # a power law doubles gamma by the same factor at each doubling of depth
    if len(history) > _DOUBLINGS and abs(np.log2(abs(before)) - np.log2(abs(earlier))) < 0.05:
        if before > 1.2:
            return np.inf, "power law"
        if before < 0.83:
            return 0.0, "power law"
    return None


def collapse(state):
    """One exchangeable group with the averages of a state, in the limit of large batches."""
    same, cross, gap, mean = state.average()
    data = Data(np.ones(1), np.ones((1, 1)), np.inf, concrete=False)
    one = np.array([mean]), np.array([[cross - mean**2]]), np.array([[gap]])
    return type(state)(*one, None, data)
