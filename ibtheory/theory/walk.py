"""The walk over a network, written once: it applies the forward rules and leaves a tape of every layer's state."""

import numpy as np

from ibtheory.layers import Dense, Residual
from ibtheory.theory.forward import Refusal, add, forward


def walk(steps, state, rng, closure="exact"):
    """States behind every step, in the order of :func:`ibtheory.layers.flatten`.

    Parameters
    ----------
    steps : sequence of ibtheory.layers.Step
    state : State
        Of the input.
    rng : numpy.random.Generator
    closure : {"exact", "sampled"}
        "sampled" draws neurons where the moments of a residual sum no longer determine what follows.

    Returns
    -------
    list of (str, State)
    """
    tape = []
    for step in steps:
        try:
            if isinstance(step.layer, Residual):
                inner = walk(step.branch, state, rng, closure)
                ends_dense = isinstance(step.branch[-1].layer, Dense)
                state = add(state, inner[-1][1], ends_dense, closure, rng)
                tape += inner
            else:
                state = forward(step.layer, state, step.fan_in, rng)
        except Refusal as error:
            if step.name in str(error):
                raise
            raise Refusal(f"at {step.name}: {error}") from error
        if not np.isfinite(state.gap).all() or not np.isfinite(state.cov).all():
            raise ValueError(
                f"the moments overflow at {step.name}: the signal grows with depth; lower weight_variance, put a norm, "
                "or use fewer layers"
            )
        tape.append((step.name, state))
    return tape
