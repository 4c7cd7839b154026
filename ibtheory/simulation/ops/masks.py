"""Dropout: masks of 0 and 1 / (1 - rate) that follow from seed, network, step and layer alone."""

import numpy as np

from ibtheory import _jit
from ibtheory.simulation import random
from ibtheory.simulation.program import ARGUMENT, CODE, DROPOUT, SAVED, UNITS

_WORDS = 2.0**32


@_jit.door
def draw(tables, work, seed, network, step):
    """Put the masks of a step, (samples, units) for every Dropout of the program, in their places."""
    operations = tables.operations
    for k in range(operations.shape[0]):
        if operations[k, CODE] == DROPOUT:
            random.seed_masks(work.state, seed, network, operations[k, ARGUMENT], step)
            start, size = operations[k, SAVED], tables.samples * operations[k, UNITS]
            _fill(work.space[start : start + size], tables.numbers[k, 0], work.state, work.raw)


@_jit.inner
def _fill(out, rate, state, raw):
    kept = out.dtype.type(1.0 / (1.0 - rate))
    threshold = np.uint32(min(np.rint(rate * _WORDS), _WORDS - 1.0))
    done = 0
    while done < out.size:
        random.advance(state, raw, raw.size // random.LANES)
        count = min(out.size - done, raw.size)
        for j in range(count):
            out[done + j] = kept if raw[j] >= threshold else out.dtype.type(0)
        done += count
