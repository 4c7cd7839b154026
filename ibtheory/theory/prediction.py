"""``predict``: the theory of a network on its inputs, as numbers and words."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ibtheory import _blas, _check, fractions
from ibtheory.groups import GroupFractions
from ibtheory.layers import BatchNorm, Network, flatten
from ibtheory.results import Prediction, layer_table
from ibtheory.theory import finite, groups, output
from ibtheory.theory.limits import depth_limit
from ibtheory.theory.start import start
from ibtheory.theory.walk import follow

_REPLICAS = 4  # independent populations of drawn neurons; their spread is the sampling error


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
        "leading" adds the terms of order 1/width for gamma and gamma_effective, those of normal weights: with uniform
        ones a note says that some are missing, networks with orthogonal ones stay at infinite width.
    closure : {"exact", "sampled"}
        "sampled" draws neurons where the moments do not determine what a layer does, instead of refusing.
    seed : int
        Of drawn neurons (BatchNorm on a Dataset or over groups, ``closure="sampled"``) and of the choice of rows.

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
    _check_types(net, x)
    _check.choice("width", width, ("infinite", "leading"))
    _check.choice("closure", closure, ("exact", "sampled"))
    seed = _check.integer("seed", seed, 0)
    if samples is not None:
        samples = _check.integer("samples", samples, 2, hint="A class fraction needs at least two samples.")
    steps, notes = net.steps(x.features), []
    state, moments, count, names = start(x, steps, samples, batch, closure, seed, notes)
    rows = None if x.samples is None or closure == "sampled" else x.draw(samples, seed)[0]
    keep = width == "leading" and any(isinstance(step.layer, BatchNorm) for step in flatten(steps))

    def walker(rng):
        return _reduced(steps, state, rows, rng) or follow(steps, state, rng, closure, keep)

    with np.errstate(over="ignore", invalid="ignore"):
        replicas, tape = _replicas(walker, seed, net.classes, count, notes)
    spread, limit, left_out = None, replicas, 0.0
    if width == "leading":
        spread = output.relative_spread(steps, moments, replicas[0].table)
        replicas, left_out = finite.corrected(net, steps, moments, tape, replicas, seed, notes)
    found = _found(replicas, state.data, names, net.classes, count)
    remainder = {}
    if left_out:
        at_infinity = _found(limit, state.data, names, net.classes, count).values
        remainder = {name: left_out * _change(at_infinity[name], value) for name, value in found.values.items()}
    gamma, effective = (float(found.values[name]) for name in ("gamma", "gamma_effective"))
    ratio, heterogeneity = np.mean([summary.agreement[2:] for summary in replicas], axis=0).tolist()
    if ratio < groups.GAUSSIAN:
        notes.append(groups.few_directions(ratio))
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
        class_fraction_variance=float(found.values["class_fraction_variance"]),
        groups=found.groups,
        participation_ratio=ratio,
        norm_heterogeneity=heterogeneity,
        output=output.law([summary.shape for summary in replicas], found.table[-1, :3], spread),
        regime=fractions.regime(max(effective, 0.0)),
        depth_limit=depth_limit(net, x.features, state, gamma),
        notes=tuple(notes),
        layers=_layers(steps, found),
        error=_plain(found.errors),
        remainder=_plain(remainder),
        seed=seed,
    )


def _check_types(net, x):
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {net!r}; build one with ibtheory.mlp(...)")
    if not callable(getattr(x, "moments", None)):
        raise TypeError(
            f"x must be GaussianInputs, Blobs or a Dataset, got {type(x).__name__}; wrap arrays: Dataset(X)"
        )


def _reduced(steps, state, rows, rng):
    """The record of all pairs of ``rows`` from a few, or None."""
    if rows is None:
        return None
    from ibtheory.theory import nodes  # loads the compiler

    return nodes.follow(steps, state, rows, rng)


class Summary(NamedTuple):
    """One walk: per layer (same, cross, gap, mean), what the logits of pairs say, and what one logit looks like."""

    table: np.ndarray
    agreement: groups.Agreement
    shape: output.Shape

    def shifted(self, table, change):
        """With a shift of the table, and a change of the agreement of each pair of labels."""
        excess, missed = self.agreement.excess + change, self.agreement.missed - change
        agreement = self.agreement._replace(excess=excess, missed=missed)
        return self._replace(table=self.table + table, agreement=agreement)


def _replicas(walker, seed, classes, count, notes):
    """Summaries of one walk, or of several where neurons are drawn, and the tape of the first.

    ``walker`` maps a generator to a :class:`ibtheory.theory.walk.Record`.
    """

    def run(child):
        rng = np.random.default_rng(child)
        start = rng.bit_generator.state
        table, logits, tape = walker(rng)
        summary = Summary(table, groups.agreement(logits, classes, count), output.shape(logits))
        return summary, tape, rng.bit_generator.state != start

    first, *others = np.random.SeedSequence(seed).spawn(_REPLICAS)
    with _blas.one_thread(), ThreadPoolExecutor() as pool:  # a population per thread is faster than threads in BLAS
        summary, tape, drawn = run(first)
        if not drawn:
            return [summary], tape
        notes.append(f"neurons drawn from the kernel: the mean of {_REPLICAS} populations, their spread in error")
        return [summary, *(more for more, _, _ in pool.map(run, others))], tape


class _Found(NamedTuple):
    """What the summaries of a network say together."""

    table: np.ndarray
    groups: GroupFractions | None
    values: dict
    errors: dict


def _found(replicas, data, names, classes, count):
    """Means over the summaries, and the standard errors of their values where there are several."""
    tables, pairs = np.stack([summary.table for summary in replicas]), [summary.agreement for summary in replicas]
    shares = groups.label_shares(data)
    agreements = np.array([[np.sum(shares * each.excess), np.sum(shares * each.missed)] for each in pairs])
    values = _values(tables.mean(axis=0), agreements.mean(axis=0), classes, count)
    errors = {}
    if len(replicas) > 1:
        errors = {name: _standard_error(each) for name, each in _values(tables, agreements, classes, count).items()}
    record = None
    if names is not None:
        record, deviation = groups.group_fractions(names, data, pairs, classes, count)
        values["group_covariance"] = record.covariance
        errors |= {} if deviation is None else {"group_covariance": deviation}
    return _Found(tables.mean(axis=0), record, values, errors)


def _values(table, agreement, classes, count):
    """Values by quantity of tables (..., layers, 4) and mean agreements (..., 2): above 1/C, and short of 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        layers = table[..., 1] / table[..., 2]
    excess, missed = np.moveaxis(agreement, -1, 0)
    return {
        "gamma": layers[..., -1],
        "gamma_effective": fractions.gamma_from_agreement(excess, missed, classes),
        "class_fraction_variance": _fraction_variance(excess, classes, count),
        "layers": layers,
    }


def _change(before, after):
    with np.errstate(invalid="ignore"):
        return np.where(before == after, 0.0, np.abs(after - before))  # both may be infinite


def _plain(values):
    return {name: np.asarray(value).tolist() for name, value in values.items()}


def _layers(steps, found):
    layers = layer_table(["input", *(step.name for step in flatten(steps))])
    for name, values in zip(("same", "cross", "gap", "mean"), found.table.T, strict=True):
        layers[name] = values
    layers["gamma"] = found.values["layers"]
    return layers


def _standard_error(values):
    """Of the mean over replicas, the first axis."""
    with np.errstate(invalid="ignore"):
        return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def _fraction_variance(excess, classes, count):
    """Var f_k = (mean over pairs of S_C - 1/C) / C, the pair of a sample with itself included for N samples."""
    if count is not None:
        excess = (1 - 1 / classes) / count + (1 - 1 / count) * excess
    return excess / classes
