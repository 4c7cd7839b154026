"""The state of the inputs: groups of a law, samples of a dataset, and the training batches of running statistics."""

import math
from dataclasses import replace

import numpy as np

from ibtheory import _check, _data
from ibtheory.groups import label_groups
from ibtheory.layers import BatchNorm, flatten
from ibtheory.theory.forward import Refusal
from ibtheory.theory.state import Data, State

_STAND_IN = 256  # samples that stand for a law where neurons are drawn
_MOST = 4096  # and training batches with them


def start(x, steps, samples, batch, closure, seed, notes):
    """The state of the inputs ``x`` of a network.

    Parameters
    ----------
    x : GaussianInputs, Blobs or Dataset
    steps : sequence of ibtheory.layers.Step
    samples, batch, closure, seed
        As in :func:`ibtheory.theory.predict`.
    notes : list of str
        Receives what was assumed.

    Returns
    -------
    state : State
    moments : ibtheory.inputs.Moments
    count : int or None
        Samples of the data; None for the population of a law.
    names : ndarray (L,) or None
        The labels that ``state.data.labels`` index.
    """
    moments, names, labels = _moments(x, samples, seed)
    count = len(moments.mean) if not moments.exchangeable else samples
    norms = [step.layer for step in flatten(steps) if isinstance(step.layer, BatchNorm)]
    training = max((layer.batches for layer in norms), default=0)
    size = _batch_size(batch, count) if any(not layer.fresh for layer in norms) else np.inf
    several = len(moments.mean) > 1 or training > 0
    if moments.exchangeable and (closure == "sampled" or (np.isfinite(size) and several)):
        return _stand_in(moments, count, size, training, labels, seed, notes), moments, count, names
    if moments.exchangeable:
        state = _population(moments, count, size, labels)
    else:
        groups = len(moments.mean)
        data = Data(moments.weights, _distinct(np.arange(groups)), size, concrete=True, labels=labels)
        state = State(moments.mean, moments.cov, moments.gap, None, data)
    return _with_training(state, training), moments, count, names


def _batch_size(batch, count):
    """Samples per BatchNorm statistic as a number: inf for the whole population."""
    if batch == "all":
        return np.inf if count is None else float(count)
    batch = _check.integer("batch", batch, 2, hint='BatchNorm needs two samples; "all" takes the whole batch.')
    if count is not None and count % batch:
        raise ValueError(f"batch={batch} does not divide the {count} samples; choose a divisor, or samples=...")
    return float(batch)


def _moments(x, samples, seed):
    """Moments of the inputs, their labels (or None), and the label of each group.

    Of a law, the groups that have samples, with the weights that they have in so many samples.
    """
    moments = x.moments(samples, seed)
    if not moments.exchangeable:
        return moments, *label_groups(x.draw(samples, seed)[1], len(moments.mean))
    if len(moments.mean) == 1:
        return moments, None, np.zeros(1, int)
    weights = moments.weights if samples is None else _data.counts(moments.weights, samples) / samples
    names = np.flatnonzero(weights)
    square = np.ix_(names, names)
    kept = {"mean": moments.mean[names], "cov": moments.cov[square], "gap": moments.gap[square]}
    return replace(moments, **kept, weights=weights[names]), names, np.arange(len(names))


def _distinct(block):
    """Equal shares of the pairs of indices in different blocks."""
    apart = np.not_equal.outer(block, block)
    return apart / apart.sum()


def _population(moments, count, batch, labels):
    """The groups of a law."""
    if len(moments.mean) == 1 and np.isfinite(batch) and batch != count:
        return _two_batches(moments, count, batch)
    pairs = np.outer(moments.weights, moments.weights)
    if count is not None and len(moments.mean) > 1:
        sizes = _data.counts(moments.weights, count)
        pairs = (np.outer(sizes, sizes) - np.diag(sizes)) / (count * (count - 1))
    by_batch = len(moments.mean) == 1
    data = Data(moments.weights, pairs, batch, concrete=False, by_batch=by_batch, labels=labels)
    return State(moments.mean, moments.cov, moments.gap, None, data)


def _two_batches(moments, count, batch):
    """One population in batches: two groups stand for "this batch" and "another one"."""
    inside = (batch - 1) / (count - 1) if count else 0.0
    pairs = np.where(np.eye(2, dtype=bool), inside / 2, (1 - inside) / 2)
    data = Data(np.full(2, 0.5), pairs, batch, concrete=False)
    ones = np.ones((2, 2))
    return State(moments.mean[[0, 0]], moments.cov * ones, moments.gap * ones, None, data)


def _with_training(state, batches):
    """The state with copies of the training batches in front: all groups of a law, or the first rows of a dataset."""
    if not batches:
        return state
    count = len(state.mean)
    training = int(min(batches * state.data.batch, count)) if state.data.concrete else count
    index = np.concatenate([np.arange(training), np.arange(count)])
    square = np.ix_(index, index)
    return State(
        state.mean[index], state.cov[square], state.gap[square], None, _behind_training(state.data, index, training)
    )


def _behind_training(data, index, training):
    """Data in which only the indices behind the training batches have weight."""
    weights, pairs = np.zeros(len(index)), np.zeros((len(index), len(index)))
    weights[training:], pairs[training:, training:] = data.weights, data.pairs
    labels = None if data.labels is None else data.labels[index]
    return replace(data, weights=weights, pairs=pairs, training=training, labels=labels)


def _stand_in(moments, count, batch, training, labels, seed, notes):
    """Concrete samples with exactly the moments of a law, where neurons have to be drawn.

    Without a number of samples they stand for a population: pairs are of different batches, and the samples of the
    training batches are none of those that count.
    """
    size = count or _STAND_IN
    if count is None and np.isfinite(batch):
        size = int(batch) * max(2, math.ceil(_STAND_IN / batch))
    batch = min(batch, float(size))
    fresh = int(training * batch) if count is None else 0
    if size + fresh > _MOST:
        raise Refusal(
            f"{size} samples and {fresh} of training batches would have to be drawn; take at most {_MOST}, "
            'batch="all" for the limit of large batches, or simulate'
        )
    total = size + fresh
    group = np.repeat(np.arange(len(moments.mean)), _data.counts(moments.weights, total))
    group = np.random.default_rng([seed, 2]).permutation(group)
    square = np.ix_(group, group)
    gap = moments.gap[square].copy()
    cov = moments.cov[square] + np.diag(np.diagonal(gap))
    np.fill_diagonal(gap, 0.0)
    notes.append(f"neurons are drawn: {size} samples stand for the law, and BatchNorm takes batches of at most that")
    population = count is None and batch < size
    pairs = _distinct(np.arange(size) // int(batch) if population else np.arange(size))
    data = Data(np.full(size, 1 / size), pairs, batch, concrete=True)
    data = replace(data, labels=None if labels is None else labels[group[fresh:]])
    state = State(moments.mean[group], cov, gap, None, data)
    if not fresh:
        return _with_training(state, training)
    return replace(state, data=_behind_training(replace(data, labels=None), group, fresh))
