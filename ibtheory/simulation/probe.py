"""Gradients of random networks: forward, then back from stated residuals at the logits."""

import numpy as np

from ibtheory import _jit
from ibtheory._bundle import bundle
from ibtheory.simulation import random
from ibtheory.simulation.backward import backward
from ibtheory.simulation.machine import forward, read
from ibtheory.simulation.ops import pointwise, tangent, updates
from ibtheory.simulation.program import BATCH, CODE, GRADIENT, UNITS

# What is asked for. residual (samples outputs,): at the logits, or (0,) for random signs divided by the root of the
# number of outputs, drawn after the weights; gradients: whether to go back from it; output: the logit whose tangent
# kernel is asked for; passes: ways back for that, none, one, or one for each sample where they meet in BatchNorm.
Question = bundle("Question", "residual gradients output passes")

# Memory of the way back. back: Gradients; weights (L, 2): spans of the weights of the dense layers; trained (S, 2): of
# what the tangent kernel sums over; rows (samples, parameters): the gradient of the logit asked for of every sample, if
# each has a way back of its own.
Memory = bundle("Memory", "work back weights trained rows")

# What a range of networks hands over besides an Outcome. layers (networks, rows, 4): same, cross, gap and mean of the
# gradient of every layer; weights (networks, L): squared norms of the gradients of the weights of the dense layers.
Probed = bundle("Probed", "layers weights")


def probed(program, networks):
    """Allocate the gradients of ``networks`` networks."""
    rows = program.tables.rows
    return Probed(np.full((networks, rows, 4), np.nan), np.full((networks, len(program.shapes)), np.nan))


def question(program, dtype, gradients, output):
    """The question for ``gradients`` of :func:`ibtheory.simulate`, or None, and the tangent kernel of ``output``."""
    units, samples = program.tables.outputs * program.tables.readouts, program.tables.samples
    size = samples * units if gradients == "common" else 0
    residual = np.full(size, 1 / np.sqrt(units), dtype)
    wanted = (-1, 0) if output is None else (output, passes(program))
    return Question(residual, gradients is not None, *wanted)


def passes(program):
    """Ways back for a tangent kernel."""
    return program.tables.samples if (program.tables.operations[:, CODE] == BATCH).any() else 1


def memory(program, work, back, asked):
    """Allocate the memory of the way back."""
    samples, dtype = program.tables.samples, work.space.dtype
    spans = {kind: [(p.start, p.stop) for p in program.places if p.kind == kind] for kind in ("weights", "bias")}
    drawn = program.tables.numbers[program.tables.operations[:, CODE] < BATCH, 1:]
    biases = [span for span, std in zip(spans["bias"], drawn[drawn[:, 1] > 0, 0], strict=True) if std > 0]
    trained = np.array([*spans["weights"], *biases], np.int64)
    kept = samples if asked.passes > 1 else 0
    return Memory(
        work=work,
        back=back,
        weights=np.array(spans["weights"], np.int64),
        trained=trained,
        rows=np.zeros((kept, int(np.ptp(trained, axis=1).sum())), dtype),
    )


def kernel(program, memory, address):
    """The tangent kernel (samples, samples) of the network that was run last, float64."""
    if len(memory.rows):
        return (memory.rows @ memory.rows.T).astype(np.float64)
    samples = program.tables.samples
    grams, theta = np.empty((2, samples**2), memory.rows.dtype), np.zeros(samples**2)
    tangent.add_layers(program.tables, address, memory.work, grams, theta)
    return theta.reshape(samples, samples)


@_jit.door
def run(tables, seed, first, addresses, given, asked, memory, out):
    """Run networks as machine.run does, and the ways back from what is ``asked``; ``out``: Outcome and Probed.

    The way back stands here once: each place from which it is called compiles it again.
    """
    work, back = memory.work, memory.back
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
        for turn in range(0 if asked.gradients else 1, 1 + asked.passes):
            if turn == 0:
                _residual(asked.residual, slopes, units, work)
            else:
                _pick(slopes, units, asked, turn - 1)
            backward(tables, addresses, work, back)
            if turn == 0:
                _note(back, memory.weights, probed, i)
            elif asked.passes > 1:
                _keep(back.parameters, memory.trained, memory.rows[turn - 1])


@_jit.inner
def _residual(residual, slopes, units, work):
    if residual.size:
        pointwise.copy(residual, slopes)
    else:
        _signs(slopes, 1.0 / np.sqrt(units), work)


@_jit.inner
def _pick(slopes, units, asked, sample):
    """1 at the output asked for: of one sample, or of all where one pass serves them."""
    for row in range(slopes.size // units):
        for j in range(units):
            slopes[row * units + j] = j == asked.output and (row == sample or asked.passes == 1)


@_jit.inner
def _note(back, spans, probed, i):
    for row in range(probed.layers.shape[1]):
        pointwise.copy(back.moments[row], probed.layers[i, row])
    for layer in range(spans.shape[0]):
        probed.weights[i, layer] = updates.square(back.parameters[spans[layer, 0] : spans[layer, 1]])


@_jit.inner
def _keep(parameters, spans, row):
    """Put the gradients with respect to the parameters of the ``spans`` side by side in ``row``."""
    done = 0
    for index in range(spans.shape[0]):
        first, last = spans[index, 0], spans[index, 1]
        pointwise.copy(parameters[first:last], row[done : done + last - first])
        done += last - first


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
