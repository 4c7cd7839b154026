"""Training of networks, compiled: the steps of the optimizer and what is noted along the way.

One call trains a range of networks, one after the other, in the memory of one thread; nothing is allocated.
"""

import numpy as np

from ibtheory import _jit
from ibtheory._bundle import bundle
from ibtheory.simulation import random
from ibtheory.simulation.backward import backward
from ibtheory.simulation.machine import draw, forward
from ibtheory.simulation.ops import losses, masks, readout, updates
from ibtheory.simulation.program import CODE, GRADIENT, PARAMETERS, READOUT, SCALE, TARGET, UNITS

# What one thread trains with. tables, works: of three programs, for a batch, all training samples, and the held-out
# ones, whose workspaces share one array of parameters; start, first, second: parameters at the start and the two
# moments of the optimizer; order: of the samples; labels: of a batch; blank: an outcome.
Trainer = bundle("Trainer", "tables works back addresses start first second order labels blank nothing")

# What is trained on: inputs (samples, features), labels, held_labels, weights (classes,) of the loss; spans (S, 2) of
# the trained parameters, layers (L, 2) of the weights of every dense layer.
Data = bundle("Data", "inputs labels held_labels weights spans layers")

# How: kind and numbers of the optimizer, the learning rate of every step, the largest gradient norm (0: any), the
# loss, the steps to take notes at (times,); whole: whether a batch is all samples; shared: whether its logits serve the
# notes too.
Rule = bundle("Rule", "optimizer numbers rates clip loss times whole shared")

# Notes. loss (networks, times), hits and counts (networks, times, classes), the same held out; gradient_norm
# (networks, times, L); distance, cosine (networks, times) from the start; loss_rise, diverged (networks,) steps or inf.
Trained = bundle(
    "Trained",
    "loss hits counts held_out_loss held_out_hits held_out_counts gradient_norm distance cosine loss_rise diverged",
)


def trained(networks, times, classes, layers, held_out):
    """Allocate the notes on ``networks`` networks."""

    def numbers(*shape):
        return np.full((networks, *shape), np.nan)

    def integers(*shape):
        return np.full((networks, *shape), -1, np.int64)

    held = times if held_out else 0
    return Trained(
        loss=numbers(times),
        hits=integers(times, classes),
        counts=integers(times, classes),
        held_out_loss=numbers(held),
        held_out_hits=integers(held, classes),
        held_out_counts=integers(held, classes),
        gradient_norm=numbers(times, layers),
        distance=numbers(times),
        cosine=numbers(times),
        loss_rise=np.full(networks, np.inf),
        diverged=np.full(networks, np.inf),
    )


_LEARN, _TRAIN, _HELD = range(3)


@_jit.door
def train(trainer, data, rule, seed, first, out):
    """Train the networks ``first``, ``first`` + 1, ... as many as ``out`` holds.

    Every call of the machine stands here, once: each place from which it is called compiles it again.
    """
    for i in range(out.loss.shape[0]):
        network = np.int64(first + i)
        _start(trainer, seed, network)
        previous = np.inf
        time = step = np.int64(0)
        while step <= rule.rates.size and out.diverged[i] == np.inf:
            noted = time < rule.times.size and step == rule.times[time]
            if not rule.whole:
                _batch(trainer, data, step, seed, network)
            for turn in range(3):
                # running statistics are read before the batch of this step moves them
                program = turn if rule.shared else (turn + 1) % 3
                if not _needed(program, noted, rule, out):
                    continue
                tables, work = trainer.tables[program], trainer.works[program]
                masks.draw(tables, work, seed, network, step)
                forward(tables, trainer.addresses, trainer.nothing, False, work, 0, trainer.blank)
                loss = _judge(trainer, data, rule, program, noted, i, time, out)
                if program == _LEARN:
                    previous = _watch(loss, previous, i, step, out)
            backward(trainer.tables[_LEARN], trainer.addresses, trainer.works[_LEARN], trainer.back)
            if noted:
                _note(trainer, data, i, time, out)
                time += 1
            if step < rule.rates.size:
                _update(trainer, data, rule, step)
            step += 1


@_jit.inner
def _needed(program, noted, rule, out):
    """Whether a step runs this program."""
    if program == _LEARN:
        return True
    return noted and (out.held_out_loss.shape[1] > 0 if program == _HELD else not rule.shared)


@_jit.inner
def _watch(loss, previous, i, step, out):
    """Note the first rise of the loss, and the end of a network whose loss is not finite."""
    if not np.isfinite(loss):
        out.diverged[i] = step
    elif loss > previous and out.loss_rise[i] == np.inf:
        out.loss_rise[i] = step
    return loss


@_jit.inner
def _judge(trainer, data, rule, program, noted, i, time, out):
    """The loss, whose gradient is left for the way back, and where it is to be noted the predictions."""
    tables, space = trainer.tables[program], trainer.works[program].space
    last, size = tables.operations.shape[0] - 1, tables.samples * tables.outputs
    start = tables.operations[last, TARGET]
    target = tables.operations[last, GRADIENT] if program == _LEARN else start
    labels = data.labels
    if program == _HELD:
        labels = data.held_labels
    elif program == _LEARN and not rule.whole:
        labels = trainer.labels
    logits = space[start : start + size]
    counted = noted and (program != _LEARN or rule.shared)
    if counted and program == _HELD:
        readout.tally(logits, labels, out.held_out_hits[i, time], out.held_out_counts[i, time])
    elif counted:
        readout.tally(logits, labels, out.hits[i, time], out.counts[i, time])
    loss = losses.residuals(rule.loss, logits, labels, data.weights, space[target : target + size])
    if counted and program == _HELD:
        out.held_out_loss[i, time] = loss
    elif counted:
        out.loss[i, time] = loss
    return loss


@_jit.inner
def _start(trainer, seed, network):
    """Draw the parameters; nothing has moved yet."""
    tables, work = trainer.tables[_LEARN], trainer.works[_LEARN]
    random.seed_lanes(work.state, seed, network)
    taken = np.int64(0)
    for k in range(tables.operations.shape[0]):
        code, place, units = tables.operations[k, CODE], tables.operations[k, PARAMETERS], tables.operations[k, UNITS]
        if code <= READOUT:
            taken = draw(tables, k, trainer.nothing, taken, work)
        elif code == SCALE:
            work.weights[place : place + units] = tables.numbers[k, 0]
            work.weights[place + units : place + 2 * units] = tables.numbers[k, 1]
    for j in range(trainer.start.size):
        trainer.start[j] = work.weights[j]
    trainer.first[:] = 0
    trainer.second[:] = 0
    work.running[0] = 0.0
    work.running[1] = 1.0


@_jit.inner
def _batch(trainer, data, step, seed, network):
    """Put the samples of a step in place. Every epoch has its own order and drops what is left over."""
    samples, batch = data.labels.size, trainer.tables[_LEARN].samples
    features = data.inputs.shape[1]
    epoch, part = step // (samples // batch), step % (samples // batch)
    if part == 0:
        random.shuffle(trainer.order, seed, network, epoch)
    for row in range(batch):
        sample = trainer.order[part * batch + row]
        trainer.labels[row] = data.labels[sample]
        source, target = data.inputs[sample], trainer.works[_LEARN].space[row * features : (row + 1) * features]
        for j in range(features):
            target[j] = source[j]


@_jit.inner
def _update(trainer, data, rule, step):
    """One step of the optimizer on all trained parameters."""
    scale = 1.0
    if rule.clip > 0:
        square = 0.0
        for index in range(data.spans.shape[0]):
            span = data.spans[index]
            square += updates.square(trainer.back.parameters[span[0] : span[1]])
        scale = min(1.0, rule.clip / (np.sqrt(square) + 1e-6))
    for index in range(data.spans.shape[0]):
        first, last = data.spans[index, 0], data.spans[index, 1]
        w, g = trainer.works[_LEARN].weights[first:last], trainer.back.parameters[first:last]
        if scale < 1:
            updates.shrink(g, scale)
        m, v = trainer.first[first:last], trainer.second[first:last]
        if rule.optimizer == updates.SGD:
            updates.sgd(w, g, m, rule.rates[step], rule.numbers)
        else:
            updates.adam(w, g, m, v, rule.rates[step], rule.numbers, step + 1, rule.optimizer == updates.ADAMW)


@_jit.inner
def _note(trainer, data, i, time, out):
    """Norms of the gradients in hand, and the way from the start."""
    for layer in range(data.layers.shape[0]):
        first, last = data.layers[layer, 0], data.layers[layer, 1]
        out.gradient_norm[i, time, layer] = np.sqrt(updates.square(trainer.back.parameters[first:last]))
    _way(trainer, data, i, time, out)


@_jit.inner
def _way(trainer, data, i, time, out):
    """Distance and cosine between the trained parameters and their start."""
    moved = along = here = there = 0.0
    for index in range(data.spans.shape[0]):
        span = data.spans[index]
        w, w0 = trainer.works[_LEARN].weights[span[0] : span[1]], trainer.start[span[0] : span[1]]
        for j in range(w.size):
            moved += (w[j] - w0[j]) ** 2
            along += w[j] * w0[j]
            here += w[j] * w[j]
            there += w0[j] * w0[j]
    out.distance[i, time] = np.sqrt(moved)
    out.cosine[i, time] = along / np.sqrt(here * there)
