"""train: an ensemble of networks trained from random starts, with their histories."""

import hashlib
import secrets

import numpy as np

from ibtheory import _blas, _check, losses, optimizers
from ibtheory.history import History
from ibtheory.inputs import Dataset, check_inputs
from ibtheory.layers import BatchNorm, Network, flatten
from ibtheory.simulation import execution
from ibtheory.simulation.lessons import Lesson, run_block
from ibtheory.store import Store

STATISTICS = ("batch", "train", "running")
_ADAM = optimizers.Adam(1e-3)
_BLOCK_SECONDS, _STORED_SECONDS = 0.2, 2.0


def train(
    net,
    x,
    *,
    networks,
    steps,
    optimizer=_ADAM,
    loss="cross_entropy",
    batch=None,
    samples=None,
    held_out=None,
    schedule=None,
    class_weights=None,
    clip=None,
    biases=None,
    affine=False,
    statistics="batch",
    record=None,
    seed=0,
    dtype="float32",
    store=None,
    executor=None,
    workers=None,
    progress=False,
):
    r"""Train an ensemble of networks on the same data, each from its own random start, and keep their histories.

    At step 0 the networks are those of :func:`simulate` with the same seed. What is minimized is the mean over the
    samples of a batch of class weight times loss, see :mod:`ibtheory.losses`.

    Parameters
    ----------
    net : Network
    x : Blobs or Dataset
        With labels y: classes 0, 1, ... or as many different labels as the network has classes, then in their order.
    networks : int
        At least 1; spreads need more.
    steps : int
        Steps of the optimizer, at least 1.
    optimizer : SGD, Adam or AdamW
        Default: ``Adam(1e-3)``.
    loss : {"cross_entropy", "mse", "hinge"}
    batch : int, optional
        Samples per step. Default: all of them. Every epoch takes the samples in its own random order, which follows
        from the seed and the network, and leaves out what does not fill a batch.
    samples : int, optional
        Training samples; needed for a law.
    held_out : int or Dataset, optional
        Samples that are not trained on: that many from ``x``, or these.
    schedule : {"constant", "cosine"} or (steps,) array, optional
        Factors of the learning rate, see :mod:`ibtheory.optimizers`.
    class_weights : {"balanced"} or (classes,) array, optional
        Weights in the loss. "balanced": N / (C N_k), of mean 1 over the training samples.
    clip : float, optional
        Largest norm of the gradient of all parameters; a larger one is scaled down.
    biases : bool, optional
        Whether biases are trained. Default: where the layer has a ``bias_variance``. True: in all layers, from 0
        where that variance is 0; False: nowhere, and those drawn stay as they are.
    affine : bool
        Whether the norms' scale and shift are trained, from their constants.
    statistics : {"batch", "train", "running"}
        What BatchNorm uses when the networks are evaluated. "batch": the statistics of the samples evaluated, as
        :func:`simulate` does. "train": for held-out samples those of all training samples. "running": for all samples
        running means with momentum 0.1 over the steps so far, from mean 0 and variance 1, variances with B - 1 in
        their denominator (torch's evaluation mode).
    record : sequence of int, optional
        Steps at which notes are taken. Default: 0 to 8, then about logarithmic, and the last.
    seed : int
        0 to 2**64 - 1; of the data, the weights and the order of batches. The first k networks of a longer run are
        those of a run of k.
    dtype : {"float32", "float64"}
    store : path, optional
        A folder in which finished networks are kept; the same call goes on there after an interruption, to the same
        bits, and more ``networks`` extend it.
    executor : concurrent.futures.Executor, optional
        Where blocks of networks run. Default: threads.
    workers : int, optional
        Number of threads without an executor. Neither changes a bit.
    progress : bool
        Show a progress bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        For an argument out of range, data without labels, or a store of another run.

    Notes
    -----
    A network whose loss is no longer finite stops; its later notes are NaN, see ``History.diverged``.

    :class:`ibtheory.Dropout` acts on the batches that the networks learn from. Notes are taken of the networks without
    it, except for gradient_norm, which is of that batch.

    Examples
    --------
    >>> import ibtheory as ib
    >>> net = ib.mlp(width=16, depth=2, classes=2)
    >>> h = train(net, ib.Blobs(features=20), networks=3, steps=10, samples=40, held_out=20)
    >>> h.steps.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    >>> h.recall.shape, h.held_out_loss.shape
    ((3, 10, 2), (3, 10))
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}; build one with ibtheory.mlp(...)")
    networks, steps = _check.integer("networks", networks, 1), _check.integer("steps", steps, 1)
    seed, workers = execution.check_seed(seed), execution.check_workers(workers, executor)
    optimizer = optimizers.check_optimizer(optimizer)
    data, held = _data(net, check_inputs(x), samples, held_out, seed)
    labels, held_labels = _labels(net.classes, data.y, None if held is None else held.y)
    lesson = Lesson(
        network=net,
        inputs=np.ascontiguousarray(data.X, _check.choice("dtype", dtype, ("float32", "float64"))),
        labels=labels,
        held_inputs=np.ascontiguousarray(np.zeros((0, data.features)) if held is None else held.X, dtype),
        held_labels=held_labels,
        weights=_class_weights(class_weights, labels, net.classes),
        optimizer=optimizer,
        rates=optimizer.learning_rate * optimizers.check_schedule(schedule, steps),
        loss=_check.choice("loss", loss, losses.LOSSES),
        times=_times(record, steps),
        batch=_batch(net, data, batch),
        clip=0.0 if clip is None else _check.real("clip", clip, 0.0, open_minimum=True),
        statistics=_check.choice("statistics", statistics, STATISTICS),
        biases=biases if biases is None else _flag("biases", biases),
        affine=_flag("affine", affine),
        seed=seed,
        token=secrets.token_hex(8),
    )
    notes = _run(lesson, networks, store, executor, workers, progress)
    return _history(lesson, data, held, networks, notes)


def _run(lesson, networks, store, executor, workers, progress):
    """The notes of all blocks, in order."""
    kept = None if store is None else Store(store, _description(lesson))
    blocks = execution.ranges(networks, _block(lesson, _STORED_SECONDS if kept else _BLOCK_SECONDS))
    sent = execution.shared(executor, lesson)

    def run(first, stop):
        return run_block, sent, first, stop

    with (
        _blas.one_thread(),
        execution.pool(executor, workers) as where,
        execution.bar(progress, networks) as advance,
    ):
        return [*execution.in_order(where, blocks, run, kept, advance)]


def _data(net, x, samples, held_out, seed):
    """Training samples and held-out samples (or None), as Datasets."""
    if not isinstance(held_out, int):
        held = held_out
        if held is not None and not isinstance(held, Dataset):
            raise TypeError(f"held_out must be a number of samples of x or a Dataset, got {type(held).__name__}")
        if held is not None and held.features != x.features:
            raise ValueError(f"held_out has {held.features} features, the training samples have {x.features}")
        return _drawn(x, samples, seed), held
    count = _check.integer("held_out", held_out, 2)
    if not isinstance(x, Dataset):
        return _drawn(x, samples, seed), _drawn(x, count, seed + 2**64)
    if count > x.samples - 2:
        raise ValueError(f"held_out={count} leaves fewer than 2 of the {x.samples} samples to train on; ask for fewer")
    chosen = np.zeros(x.samples, bool)
    chosen[np.random.default_rng(seed + 2**64).choice(x.samples, count, replace=False)] = True
    rest, held = (Dataset(x.X[rows], None if x.y is None else x.y[rows]) for rows in (~chosen, chosen))
    return _drawn(rest, samples, seed), held


def _drawn(x, samples, seed):
    return x if isinstance(x, Dataset) and samples is None else Dataset(*x.draw(samples, seed))


def _labels(classes, y, held_y):
    """Class indices of the training and of the held-out samples."""
    if y is None:
        raise ValueError("training needs labels; give a Dataset with y, or Blobs")
    values = np.unique(y)
    if not (np.issubdtype(values.dtype, np.number) and np.isin(values, np.arange(classes)).all()):
        if len(values) != classes:
            raise ValueError(f"y has {len(values)} different labels, the network {classes} classes; they must agree")
        y = np.searchsorted(values, y)
    else:
        values = np.arange(classes)
    if held_y is None:
        return y.astype(np.int64), np.zeros(0, np.int64)
    if not np.isin(held_y, values).all():
        raise ValueError(f"held_out has labels that the training samples have not: {sorted({*held_y} - {*values})}")
    return y.astype(np.int64), np.searchsorted(values, held_y).astype(np.int64)


def _class_weights(given, labels, classes):
    if given is None:
        return np.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    if isinstance(given, str):
        _check.choice("class_weights", given, ("balanced",), hint="Or an array (classes,).")
        return np.where(counts, len(labels) / (classes * np.maximum(counts, 1)), 0.0)
    weights = np.asarray(given, float)
    if weights.shape != (classes,) or not np.all(np.isfinite(weights)) or (weights < 0).any() or not weights.any():
        raise ValueError(f"class_weights must be {classes} finite numbers, none negative and not all 0, got {given!r}")
    return weights


def _batch(net, data, batch):
    batch = data.samples if batch is None else _check.integer("batch", batch, 1)
    if batch > data.samples:
        raise ValueError(f"batch={batch} is more than the {data.samples} training samples; choose it smaller")
    norms = [s.layer for s in flatten(net.steps(data.features)) if isinstance(s.layer, BatchNorm)]
    if norms and batch < 2:
        raise ValueError("BatchNorm needs two samples per batch; raise batch")
    if any(layer.mode == "running" and not layer.fresh for layer in norms):
        raise ValueError(
            "BatchNorm('running', batches=...) has the statistics of an untrained network; train BatchNorm() with "
            "statistics='running'"
        )
    return batch


def _flag(name, value):
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _times(record, steps):
    """Steps at which notes are taken, in order."""
    if record is None:
        later = np.rint(8 * 2 ** (np.arange(2 * max(np.log2(steps / 8), 0) + 1) / 2))
        times = np.unique([*range(9), *later, steps])
        return times[times <= steps].astype(np.int64)
    times = np.unique([_check.integer("record", time, 0) for time in record])
    if not len(times) or times[-1] > steps:
        raise ValueError(f"record must name steps between 0 and {steps}, got {list(record)}")
    return times.astype(np.int64)


def _block(lesson, seconds):
    """Networks per block: a function of the training alone."""
    program = lesson.program(lesson.batch)
    multiplied = sum(fan_in * units for fan_in, units in program.shapes)
    passed = sum(units for _, units in program.shapes)
    samples, noted = lesson.batch * len(lesson.rates), len(lesson.inputs) + len(lesson.held_inputs)
    noted *= len(lesson.times)
    each = (6 * samples + 2 * noted) * multiplied / 8e10 + 3e-9 * (samples + noted) * passed
    each += 2e-9 * multiplied * len(lesson.rates)
    return int(min(max(seconds / each, 1), 1000))


def _description(lesson):
    """What the results depend on, for a store."""
    return {
        "kind": "History",
        "network": lesson.network.to_dict(),
        "optimizer": repr(lesson.optimizer),
        "loss": lesson.loss,
        "times": lesson.times.tolist(),
        **{name: getattr(lesson, name) for name in ("batch", "clip", "statistics", "biases", "affine", "seed")},
        "dtype": lesson.inputs.dtype.name,
        **{
            name: hashlib.sha256(np.ascontiguousarray(getattr(lesson, name)).tobytes()).hexdigest()
            for name in ("inputs", "labels", "held_inputs", "held_labels", "weights", "rates")
        },
    }


def _history(lesson, data, held, networks, notes):
    joined = {name: np.concatenate([arrays[name] for arrays in notes]) for name in notes[0]}
    arrays = {}
    for prefix, labels in (("", lesson.labels), ("held_out_", lesson.held_labels)):
        hits, counts = joined.pop(f"{prefix}hits"), joined.pop(f"{prefix}counts")
        missing = counts < 0
        if not len(labels):
            joined[f"{prefix}loss"] = arrays[f"{prefix}recall"] = arrays[f"{prefix}class_fractions"] = None
            continue
        sizes = np.bincount(labels, minlength=lesson.network.classes)
        with np.errstate(invalid="ignore", divide="ignore"):
            arrays[f"{prefix}recall"] = np.where(missing, np.nan, hits / sizes)
        arrays[f"{prefix}class_fractions"] = np.where(missing, np.nan, counts / len(labels))
    if lesson.batch < data.samples or lesson.dropout:
        joined["loss_rise"] = _first_rise(joined["loss"], lesson.times)
    return History(
        network=lesson.network,
        inputs=data,
        held_out_X=None if held is None else held.X,
        held_out_y=None if held is None else held.y,
        classes=lesson.network.classes,
        networks=networks,
        samples=data.samples,
        batch=lesson.batch,
        seed=lesson.seed,
        dtype=lesson.inputs.dtype.name,
        objective=lesson.loss,
        optimizer=repr(lesson.optimizer),
        statistics=lesson.statistics,
        learning_rates=lesson.rates,
        steps=lesson.times,
        **arrays,
        **joined,
    )


def _first_rise(loss, times):
    """First noted step whose loss is above that of the note before; inf if it never rises."""
    rises = np.diff(loss, axis=1) > 0
    return (
        np.where(rises.any(axis=1), times[1:][rises.argmax(axis=1)], np.inf)
        if len(times) > 1
        else np.full(len(loss), np.inf)
    )
