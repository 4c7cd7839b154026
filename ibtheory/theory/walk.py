"""The walk over a network, written once: it applies the forward rules, layer by layer."""

from collections import deque
from typing import NamedTuple

import numpy as np

from ibtheory.layers import Dense, Residual
from ibtheory.theory.forward import Refusal, add, forward
from ibtheory.theory.state import State, without_particles


class Record(NamedTuple):
    """What a walk leaves behind.

    Attributes
    ----------
    table : ndarray (layers, 4)
        (same, cross, gap, mean) averaged over the data, the input first.
    logits : State
    tape : list of (str, State)
        The states of the layers, without drawn neurons, where they were kept; the input is.
    """

    table: np.ndarray
    logits: State
    tape: list


def walk(steps, state, rng, closure="exact"):
    """States behind every step, one by one, in the order of :func:`ibtheory.layers.flatten`.

    Parameters
    ----------
    steps : sequence of ibtheory.layers.Step
    state : State
        Of the input.
    rng : numpy.random.Generator
    closure : {"exact", "sampled"}
        "sampled" draws neurons where the moments of a residual sum no longer determine what follows.

    Yields
    ------
    (str, State)
    """
    for step in steps:
        try:
            if isinstance(step.layer, Residual):
                inner = state
                for name, inner in walk(step.branch, state, rng, closure):
                    yield name, inner
                ends_dense = isinstance(step.branch[-1].layer, Dense)
                state = add(state, inner, ends_dense, closure, rng)
            else:
                state = forward(step.layer, state, step.fan_in, rng)
        except Refusal as error:
            if step.name in str(error):
                raise
            raise Refusal(f"at {step.name}: {error}") from error
        if not np.isfinite([state.gap.max(), state.cov.min(), state.cov.max()]).all():
            raise ValueError(
                f"the moments overflow at {step.name}: the signal grows with depth; lower weight_variance, put a norm, "
                "or use fewer layers"
            )
        yield step.name, state


def last(states):
    """The state behind all steps of a :func:`walk`."""
    ((_, state),) = deque(states, maxlen=1)
    return state


def follow(steps, state, rng, closure="exact", keep=False):
    """The :class:`Record` of a walk; ``keep``: with the states of all layers, else only one is held at a time."""
    rows, tape = [state.average()], [("input", state)]
    logits = state
    for name, logits in walk(steps, state, rng, closure):
        rows.append(logits.average())
        if keep:
            tape.append((name, without_particles(logits)))
    return Record(np.array(rows), logits, tape)
