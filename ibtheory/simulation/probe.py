"""Gradients of random networks: forward, then back from a stated residual at the logits."""

import numpy as np

from ibtheory import _jit
from ibtheory._bundle import bundle
from ibtheory.simulation import random
from ibtheory.simulation.backward import backward
from ibtheory.simulation.machine import forward, read
from ibtheory.simulation.ops import pointwise, updates
from ibtheory.simulation.program import GRADIENT, UNITS

# What a range of networks hands over besides an Outcome. layers (networks, rows, 4): same, cross, gap and mean of the
# gradient of every layer; weights (networks, L): squared norms of the gradients of the weights of the dense layers.
Probed = bundle("Probed", "layers weights")


def probed(program, networks):
    """Allocate the gradients of ``networks`` networks."""
    rows = program.tables.rows
    return Probed(np.full((networks, rows, 4), np.nan), np.full((networks, len(program.shapes)), np.nan))


@_jit.door
def run(tables, seed, first, addresses, given, residual, memory, out):
    """Run networks as machine.run does, and the way back from ``residual`` (samples outputs,) at the logits.

    If ``residual`` is empty, random signs divided by the root of the number of outputs are drawn, after the weights.
    ``memory``: workspace, gradients, (L, 2) spans of the weights; ``out``: Outcome and Probed.
    """
    work, back, spans = memory
    outcome, probed = out
    last = tables.operations.shape[0] - 1
    place, units = tables.operations[last, GRADIENT], tables.operations[last, UNITS]
    for i in range(outcome.stop.size):
        random.seed_lanes(work.state, seed, first + i)
        parameters = given[i] if given.shape[0] else given.reshape(-1)
        forward(tables, addresses, parameters, True, work, i, outcome)
        if outcome.stop[i] != 0:
            continue
        read(tables, work, i, outcome)
        slopes = work.space[place : place + tables.samples * units]
        if residual.size:
            pointwise.copy(residual, slopes)
        else:
            _signs(slopes, 1.0 / np.sqrt(units), work)
        backward(tables, addresses, work, back)
        for row in range(tables.rows):
            pointwise.copy(back.moments[row], probed.layers[i, row])
        for layer in range(spans.shape[0]):
            probed.weights[i, layer] = updates.square(back.parameters[spans[layer, 0] : spans[layer, 1]])


@_jit.inner
def _signs(out, size, work):
    """Random numbers +-size."""
    done = 0
    while done < out.size:
        random.advance(work.state, work.raw, work.raw.size // random.LANES)
        count = min(out.size - done, work.raw.size)
        for j in range(count):
            out[done + j] = size if work.raw[j] >> np.uint32(31) else -size
        done += count
