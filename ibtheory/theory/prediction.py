"""``predict``: the theory of a network on its inputs, as numbers and words."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ibtheory import _blas, _check, fractions
from ibtheory.layers import BatchNorm, Network, flatten
from ibtheory.results import Prediction, layer_table
from ibtheory.theory import finite
from ibtheory.theory.limits import depth_limit
from ibtheory.theory.state import Data, State, without_particles
from ibtheory.theory.walk import walk

_REPLICAS = 4  # independent populations of drawn neurons; their spread is the sampling error
_STAND_IN = 256  # samples that stand for a law where neurons are drawn


def predict(net, x, *, samples=None, batch="all", width="infinite", closure="exact", seed=0):
    """Predict what the untrained network does with its inputs.

    Propagates same- and cross-sample moments through the layers and turns those of the logits into the law of the
    class predictions. gamma = E cross / E gap over pairs of samples; gamma_effective solves
    S_C(c_eff) = mean over pairs of S_C(c_ab).

    Parameters
    ----------
    net : Network
    x : GaussianInputs, Blobs or Dataset
    samples : int, optional
        Number of samples N. None: the whole population of a law, all rows of a Dataset. An integer: that many; of
        a Dataset the same rows that ``simulate`` takes with this seed.
    batch : "all" or int
        Samples per BatchNorm statistic; an integer divides N.
    width : {"infinite", "leading"}
        "leading" adds the terms of order 1/width for gamma and gamma_effective.
    closure : {"exact", "sampled"}
        "sampled" draws neurons where the moments do not determine what a layer does, instead of refusing.
    seed : int
        Of drawn neurons (BatchNorm on a Dataset, ``closure="sampled"``) and of the choice of rows.

    Returns
    -------
    Prediction

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.
    NotImplementedError
        Where a rule needs more than the moments; the message names the remedy.

    References
    ----------
    Francazi, Lucchi and Baity-Jesi, arXiv:2306.00809; Francazi et al., arXiv:2505.11312; Poole et al. 2016.

    Examples
    --------
    >>> from ibtheory import mlp, GaussianInputs
    >>> p = predict(mlp(100, 20), GaussianInputs(1000))
    >>> round(p.gamma, 8), p.regime
    (18.39054702, 'prejudiced')
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {net!r}; build one with ibtheory.mlp(...)")
    if not callable(getattr(x, "moments", None)):
        raise TypeError(
            f"x must be GaussianInputs, Blobs or a Dataset, got {type(x).__name__}; wrap arrays: Dataset(X)"
        )
    _check.choice("width", width, ("infinite", "leading"))
    _check.choice("closure", closure, ("exact", "sampled"))
    seed = _check.integer("seed", seed, 0)
    if samples is not None:
        samples = _check.integer("samples", samples, 2, hint="A class fraction needs at least two samples.")
    steps = net.steps(x.features)
    moments = x.moments(samples, seed)
    count = len(moments.mean) if not moments.exchangeable else samples
    normed = any(isinstance(s.layer, BatchNorm) and s.layer.mode == "batch" for s in flatten(steps))
    batch_size = _batch_size(batch, count) if normed else np.inf
    notes = []
    state = _input_state(moments, count, batch_size, closure, notes)
    with np.errstate(over="ignore", invalid="ignore"):
        replicas, tape = _replicas(steps, state, closure, seed, net.classes, notes)
    if width == "leading":
        replicas = finite.corrected(net, steps, moments, tape, replicas, seed, notes)
    return _assemble(net, x, state, replicas, samples, count, batch, width, seed, notes)


def _batch_size(batch, count):
    """Samples per BatchNorm statistic as a number: inf for the whole population."""
    if batch == "all":
        return np.inf if count is None else float(count)
    batch = _check.integer("batch", batch, 2, hint='BatchNorm needs two samples; "all" takes the whole batch.')
    if count is not None and count % batch:
        raise ValueError(f"batch={batch} does not divide the {count} samples; choose a divisor, or samples=...")
    return float(batch)


def _input_state(moments, count, batch, closure, notes):
    if moments.exchangeable and closure == "sampled":
        return _stand_in(moments, count, batch, notes)
    groups = len(moments.mean)
    if not moments.exchangeable:
        pairs = (1 - np.eye(groups)) / (groups * (groups - 1))
        data = Data(moments.weights, pairs, batch, concrete=True)
        return State(moments.mean, moments.cov, moments.gap, None, data)
    if groups == 1 and np.isfinite(batch) and batch != count:
        return _two_batches(moments, count, batch)
    pairs = np.outer(moments.weights, moments.weights)
    data = Data(moments.weights, pairs, batch, concrete=False, by_batch=groups == 1)
    return State(moments.mean, moments.cov, moments.gap, None, data)


def _two_batches(moments, count, batch):
    """One population in batches: two groups stand for "this batch" and "another one"."""
    inside = (batch - 1) / (count - 1) if count else 0.0
    pairs = np.where(np.eye(2, dtype=bool), inside / 2, (1 - inside) / 2)
    data = Data(np.full(2, 0.5), pairs, batch, concrete=False)
    ones = np.ones((2, 2))
    return State(moments.mean[[0, 0]], moments.cov * ones, moments.gap * ones, None, data)


def _stand_in(moments, count, batch, notes):
    """Concrete samples with exactly the moments of a law, where neurons have to be drawn."""
    size = count or _STAND_IN
    edges = np.round(np.cumsum(moments.weights) * size).astype(int)
    group = np.searchsorted(edges, np.arange(size), side="right")
    cov, gap = moments.cov[np.ix_(group, group)], moments.gap[np.ix_(group, group)].copy()
    cov = cov + np.diag(np.diagonal(gap))
    np.fill_diagonal(gap, 0.0)
    notes.append(f"neurons are drawn: {size} samples stand for the law, and BatchNorm takes batches of at most that")
    data = Data(np.full(size, 1 / size), (1 - np.eye(size)) / (size * (size - 1)), min(batch, float(size)), True)
    return State(moments.mean[group], cov, gap, None, data)


def _summary(tape, classes):
    """Per layer (same, cross, gap, mean), and over pairs the mean S_C - 1/C and the mean 1 - S_C of the predictions."""
    table = np.array([state.average() for _, state in tape])
    logits = tape[-1][1]
    c, om = logits.correlation()
    chosen = logits.data.pairs > 0
    weights, c, om = logits.data.pairs[chosen], c[chosen], om[chosen]
    excess = weights @ fractions.agreement_excess(c, classes, one_minus_rho=om)
    missed = weights @ fractions.disagreement(c, classes, one_minus_rho=om)
    return table, np.array([excess, missed])


def _replicas(steps, state, closure, seed, classes, notes):
    """Summaries of one walk, or of several where neurons are drawn, and the tape of the first."""

    def run(child):
        rng = np.random.default_rng(child)
        start = rng.bit_generator.state
        tape = [("input", state), *walk(steps, state, rng, closure)]
        summary, drawn = _summary(tape, classes), rng.bit_generator.state != start
        return summary, [(name, without_particles(layer)) for name, layer in tape], drawn

    first, *others = np.random.SeedSequence(seed).spawn(_REPLICAS)
    with _blas.one_thread(), ThreadPoolExecutor() as pool:  # a population per thread is faster than threads in BLAS
        summary, tape, drawn = run(first)
        if not drawn:
            return [summary], tape
        notes.append(f"neurons drawn from the kernel: the mean of {_REPLICAS} populations, their spread in error")
        return [summary, *(more for more, _, _ in pool.map(run, others))], tape


def _assemble(net, x, state, replicas, samples, count, batch, width, seed, notes):
    tables = np.stack([table for table, _ in replicas])
    agreements = np.stack([agreement for _, agreement in replicas])
    same, cross, gap, mean = tables.mean(axis=0).T
    layers = layer_table(["input", *(step.name for step in flatten(net.steps(x.features)))])
    for name, values in (("same", same), ("cross", cross), ("gap", gap), ("mean", mean)):
        layers[name] = values
    with np.errstate(divide="ignore", invalid="ignore"):
        layers["gamma"] = cross / gap
    gamma = float(layers["gamma"][-1])
    effective = float(fractions.gamma_from_agreement(*agreements.mean(axis=0), net.classes))
    variances = [_fraction_variance(excess, net.classes, count) for excess, _ in agreements]
    error = {}
    if len(replicas) > 1:
        effectives = [fractions.gamma_from_agreement(*agreement, net.classes) for agreement in agreements]
        spreads = {
            "gamma": tables[:, -1, 1] / tables[:, -1, 2],
            "gamma_effective": effectives,
            "class_fraction_variance": variances,
        }
        error = {name: float(_standard_error(values)) for name, values in spreads.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            error["layers"] = _standard_error(tables[:, :, 1] / tables[:, :, 2]).tolist()
    return Prediction(
        network=net,
        inputs=x.describe(),
        classes=net.classes,
        samples=count,
        batch=batch,
        width=width,
        gamma=gamma,
        gamma_effective=effective,
        class_fraction=fractions.ClassFraction(max(effective, 0.0), net.classes),
        class_fraction_variance=float(np.mean(variances)),
        regime=fractions.regime(max(effective, 0.0)),
        depth_limit=depth_limit(net, x.features, state, gamma),
        notes=tuple(notes),
        layers=layers,
        error=error,
        seed=seed,
    )


def _standard_error(values):
    """Of the mean over replicas, the first axis."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def _fraction_variance(excess, classes, count):
    """Var f_k = (mean over pairs of S_C - 1/C) / C, the pair of a sample with itself included for N samples."""
    if count is not None:
        excess = (1 - 1 / classes) / count + (1 - 1 / count) * excess
    return excess / classes
