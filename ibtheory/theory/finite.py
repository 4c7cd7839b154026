r"""The terms of order 1/width: mean and covariance of the kernel of a pair of samples, layer by layer.

At finite width the kernel (K_aa, K_bb, K_ab) of two samples is random. Given it, the neurons of a layer are iid
Gaussian, so that empirical averages over n neurons have mean F(K) and covariance V(K)/n; the delta method carries the
mean shift and the covariance of the kernel through F and through the norms:

    E X  = F(k) + F' shift + F'' : Sigma / 2,     Cov X = F' Sigma F'^T + V/n.

A norm before the activation replaces the kernel by the empirical correlation of the neurons at hand; given that, the
neurons are uniform on a Stiefel manifold, whose averages differ from the Gaussian ones by - F'' : W / (2 n) in the mean
and - F' W F'^T / n in the covariance, W being the Wishart covariance (LayerNorm: also minus the part that follows
the mean over neurons). Derivatives of F are averages against Hermite polynomials of the pair, so kinks do no harm.
"""

from dataclasses import replace

import numpy as np

from ibtheory.layers import Activation, BatchNorm, Dense, LayerNorm, RMSNorm
from ibtheory.theory import batchwidth, groups, pairs
from ibtheory.theory.pairs import Kernel

_PARTS = 4  # of the pairs of a dataset whose correction is computed; their spread is its error
_MOST = 512  # pairs in a part
_STEADY = 0.03  # change of a correlation, with BatchNorm on a dataset, beyond which the correction is not used
_RANGE = 0.5  # relative change of gamma beyond which the expansion is said to leave its range
_NEXT = 5.0  # next order over this one, in units of depth/width: the parameter of the expansion grows so per layer
_SAMPLE_BY_SAMPLE = 0.5  # of the terms with BatchNorm on a dataset, whose centring is taken sample by sample
_UNIFORM = 1.0  # of the terms, with uniform weights: their fourth cumulant adds others of the same order
_FELT = 0.01  # relative size of the next order from which it is worth a word


def corrected(net, steps, moments, tape, replicas, seed, notes):
    """The summaries of :func:`ibtheory.theory.prediction.predict` with their terms of order 1/width.

    Returns
    -------
    summaries : list
        Unchanged, with a note, for networks that the expansion does not cover. ``tape`` holds the states of the layers
        at infinite width.
    left_out : float
        How much more the width may change, as a share of these terms.
    """
    blocks = blocks_of(steps)
    if blocks is None:
        notes.append(
            'width="leading" covers Dense blocks of normal or uniform weights with one activation and LayerNorm, '
            "RMSNorm or BatchNorm without affine parameters; this network is predicted at infinite width"
        )
        return replicas, 0.0
    batch = any(isinstance(layer, BatchNorm) for block in blocks for layer, _ in block)
    if batch and moments.exchangeable and len(moments.mean) > 1:
        notes.append("the terms of order 1/width do not cover BatchNorm over groups; predicted at infinite width")
        return replicas, 0.0
    kernel, first, second = _pairs(moments, steps[0].fan_in, seed)
    trace = batchwidth.Trace([state for _, state in tape], first, second, slice(None), {})
    labels, shares = groups.labels_of(moments, tape[0][1].data), groups.label_shares(tape[0][1].data)
    corrections = []
    for weights, chosen in _parts(moments, len(first)):
        part = Kernel(kernel.value[chosen], kernel.shift[chosen], kernel.cov[chosen])
        if batch:
            table, changes = batchwidth.correction(blocks, weights, part, replace(trace, chosen=chosen), net.classes)
        else:
            table, changes = _correction(blocks, weights, part, net.classes)
        change = groups.by_label(changes, weights, labels[first[chosen]], labels[second[chosen]], shares)
        corrections.append((table, change))
    count = max(len(replicas), len(corrections))
    results = []
    for index in range(count):
        summary = replicas[index % len(replicas)]
        shift, change = corrections[index % len(corrections)]
        results.append(summary.shifted(shift, change))
    depth = len(blocks) - 1
    left_out = _NEXT * depth / net.width
    if any(step.layer.distribution == "uniform" for step in steps if isinstance(step.layer, Dense)):
        left_out = max(left_out, _UNIFORM)
        notes.append(
            "the terms of order 1/width are those of normal weights; the fourth cumulant of uniform ones adds "
            "others of the same order"
        )
    if batch and not moments.exchangeable:
        if _moved(replicas, results) > _STEADY:
            notes.append(
                "the expansion in 1/width leaves its range: at this depth a few samples dominate the batch variance; "
                "predicted at infinite width"
            )
            return replicas, 0.0
        left_out = max(left_out, _SAMPLE_BY_SAMPLE)
        notes.append(
            "the terms of order 1/width take the centring of BatchNorm sample by sample; on correlated data they are "
            "right to about half their size"
        )
    _note_range(replicas[0].table, results[0].table, net.width, depth, left_out, notes)
    return results, left_out


def _moved(before, after):
    """Largest change of a cross-sample moment by the corrections, relative to the same-sample moment."""
    same, cross = np.mean([summary.table[:, :2] for summary in before], axis=0).T
    return np.max(np.abs(np.mean([summary.table[:, 1] for summary in after], axis=0) - cross) / same)


def _note_range(before, after, width, depth, left_out, notes):
    gamma = before[-1, 1] / before[-1, 2]
    new = after[-1, 1] / after[-1, 2]
    remainder = left_out * abs(new - gamma)
    if abs(new - gamma) > _RANGE * max(abs(gamma), 0.1):
        notes.append(
            f"the expansion in 1/width leaves its range at width {width}: gamma {gamma:.3g} becomes {new:.3g}; "
            "trust the simulation, or a larger width"
        )
    elif remainder > _FELT * abs(new):
        notes.append(
            f"what the terms of order 1/width leave out may change gamma by up to about {remainder:.2g} at depth "
            f"{depth} and width {width}"
        )


def blocks_of(steps):
    """The steps cut before each Dense as lists of (layer, units); None where the expansion does not apply."""
    blocks = []
    for step in steps:
        if isinstance(step.layer, Dense):
            blocks.append([])
        if not blocks or not _covered(step.layer):
            return None
        blocks[-1].append((step.layer, step))
    for block in blocks[:-1]:
        kinds = [type(layer) for layer, _ in block]
        if kinds.count(Activation) != 1 or len(kinds) > 4:
            return None
        at = kinds.index(Activation)
        if at > 2 or len(kinds) - at > 2:
            return None
    with_batch = [any(isinstance(layer, BatchNorm) for layer, _ in block) for block in blocks[:-1]]
    if any(with_batch) and not (all(with_batch) and all(len(block) == 3 for block in blocks[:-1])):
        return None
    return blocks


def _covered(layer):
    if isinstance(layer, Dense):
        return layer.distribution != "orthogonal"
    if isinstance(layer, Activation):
        return True
    plain = getattr(layer, "scale", 1.0) == 1.0 and getattr(layer, "shift", 0.0) == 0.0
    kinds = (LayerNorm, RMSNorm, BatchNorm)
    return isinstance(layer, kinds) and plain and getattr(layer, "mode", "batch") == "batch"


def _parts(moments, count):
    """(weights, slice) of the pairs: all at once for a law, in parts for a dataset, whose spread shows in the error."""
    if moments.exchangeable:
        return [(np.outer(moments.weights, moments.weights).ravel(), slice(None))]
    size = count // _PARTS
    return [(np.full(size, 1 / size), slice(start, start + size)) for start in range(0, count, size)]


def _pairs(moments, features, seed):
    """(input kernel, first group, second group) of all pairs of groups of a law, or of some pairs of a dataset."""
    same, cross, groups = moments.same, moments.cross, len(moments.mean)
    if moments.exchangeable:
        i, j = (index.ravel() for index in np.indices(cross.shape))
    else:
        i, j = _sampled(groups, np.random.default_rng([seed, 1]))
    value = np.stack([same[i], same[j], cross[i, j]], axis=-1)
    cov = np.zeros((len(i), 3, 3))
    if moments.exchangeable:
        # features: a fixed common part per group plus iid Gaussian noise, finitely many of them
        spread, common = np.diagonal(moments.gap), np.diagonal(cross)
        for k, g in ((0, i), (1, j)):
            cov[:, k, k] = 4 * common[g] * spread[g] + 2 * spread[g] ** 2
            cov[:, k, 2] = cov[:, 2, k] = 2 * spread[g] * cross[i, j]
        cov[:, 2, 2] = common[i] * spread[j] + common[j] * spread[i] + spread[i] * spread[j]
    return Kernel(value, np.zeros_like(value), cov / features), i, j


def _sampled(count, rng):
    """Pairs of distinct samples: in each part every sample (or a random subset) once as first and once as second."""
    first, second = [], []
    for _ in range(_PARTS):
        chosen = rng.permutation(count)[:_MOST]
        first.append(chosen)
        second.append(np.roll(chosen, 1))
    return np.concatenate(first), np.concatenate(second)


def _correction(blocks, weights, kernel, classes):
    """(shift of the table (layers, 4), shifts of the agreements (P,)) for pairs with these weights."""
    rows = [np.zeros(4)]
    for block in blocks:
        dense, step = block[0]
        kernel = kernel.affine(*dense.variances(step.fan_in))
        rows.append(pairs.row(weights, kernel))
        kernel, more = _through(block[1:], kernel, step.units, weights)
        rows += more
    return np.array(rows), pairs.agreement_shift(kernel, classes)


def _through(layers, kernel, width, weights):
    """The kernel behind the norms and the activation of a block, and a row of the table per layer."""
    rows, normed = [], None
    averages = None
    for layer, _ in layers:
        if isinstance(layer, Activation):
            averages = pairs.averages(layer.function, kernel, width, normed)
            kernel = averages.kernel
        elif averages is None:
            kernel = pairs.normalized_before(kernel, width)
            normed = type(layer)
        else:
            kernel = pairs.normalized_after(averages, centred=isinstance(layer, LayerNorm))
        rows.append(pairs.row(weights, kernel))
    return kernel, rows
