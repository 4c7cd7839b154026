"""Diagnosis of a user's own model: what it predicts before training, and whether its seed or its data decide that."""

import math
import numbers
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ibtheory import _check
from ibtheory.fractions import gamma_from_agreement, regime

__all__ = ["Diagnosis", "diagnose", "uniformity"]

LEVEL = 0.01  # of the test whether the favored classes depend on the seed
UNBIASED = 0.01  # gamma_effective up to this is called unbiased
_CONFIDENCE = 0.95
_RESAMPLES = 9999
_ELEMENTS = 2**25  # resampled fractions in all: many classes get fewer resamples, at least 999
_CHUNK = 2**20


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What an untrained model predicts over seeds; made by :func:`diagnose`.

    Attributes
    ----------
    seeds : tuple of int
    samples, classes : int
    class_fractions : (seeds, classes) array
        Share of the samples that each seed gives to each class.
    favored : (seeds,) int array
        Class of the largest share, the lowest one of equal shares.
    max_fraction : float
        Mean over seeds of the largest share.
    max_fraction_interval : (float, float)
        Its 95 % interval, by Student's t over seeds.
    exceeds : float
        Share of seeds whose largest share is above 0.9.
    exceeds_interval : (float, float)
        Its 95 % interval (Clopper and Pearson).
    gamma_effective, gamma_effective_error : float
        gamma whose class law has the mean agreement of predictions over pairs of samples, and its standard error.
    p_value : float
        Of the hypothesis that no class is favored over all seeds; see :func:`uniformity`.
    regime : str
        The word for gamma_effective, "unbiased" up to 0.01.
    tied : float
        Share of predictions that were decided by the order of the classes, their largest logits being equal.
    labels : (classes,) array or None
        Share of each class in ``y``; None without labels or with a single logit.
    """

    seeds: tuple
    samples: int
    classes: int
    class_fractions: np.ndarray
    favored: np.ndarray
    max_fraction: float
    max_fraction_interval: tuple
    exceeds: float
    exceeds_interval: tuple
    gamma_effective: float
    gamma_effective_error: float
    p_value: float
    regime: str
    tied: float
    labels: np.ndarray | None

    @property
    def same_for_all_seeds(self):
        """Whether some classes are favored whatever the seed: p_value below 0.01."""
        return self.p_value < LEVEL

    @property
    def verdict(self):
        """Sentences, each with its number, its error and its rule."""
        return (*_sizes(self), *_cause(self), *_warnings(self))

    def __str__(self):
        title = f"Diagnosis of {len(self.seeds)} seeds on {self.samples} samples, {self.classes} classes"
        return "\n".join([title, *(f"  {sentence}" for sentence in self.verdict)])


def diagnose(model, X, y=None, *, seeds=50):
    """Measure what an untrained model predicts, and whether initialization or a fault decides it.

    Parameters
    ----------
    model : callable
        seed -> network: a callable X -> logits of shape (samples, classes), or (samples,) or (samples, 1) for a single
        logit, whose positive values are class 0 here. Only the seed may change from call to call.
    X : array_like (samples, ...)
        At least two samples, handed to the network as they are.
    y : array_like (samples,), optional
        Class indices, to set a favored class beside its share of the labels.
    seeds : int or sequence of int
        That many seeds 0, 1, ..., or the seeds themselves; at least 2.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError
        If the model, its network, X or the seeds are of the wrong kind.
    ValueError
        For logits of a wrong or changing shape, NaN or infinite; fewer than two samples or seeds; repeated seeds.

    Notes
    -----
    A favored class that changes with the seed is the work of initialization (placement of the norm, activation,
    depth): compare with :func:`ibtheory.predict`. One that does not is a bias of the output layer, an order of the
    classes, or the data. The seed is the unit of every error; a healthy model is accused in 1 % of diagnoses.

    Examples
    --------
    >>> import numpy as np
    >>> def model(seed):
    ...     weights = np.random.default_rng(seed).standard_normal((20, 3))
    ...     return lambda X: np.maximum(X, 0) @ weights
    >>> d = diagnose(model, np.random.default_rng(0).standard_normal((100, 20)), seeds=40)
    >>> d.class_fractions.shape, d.same_for_all_seeds
    ((40, 3), False)
    """
    if not callable(model):
        raise TypeError(
            f"model must be a callable seed -> network, got {type(model).__name__}; wrap it: lambda seed: ..."
        )
    seeds = _seeds(seeds)
    samples = _samples(X)
    counts, tied, single = [], 0, False
    for seed in seeds:
        logits, single = _logits(model, seed, X, samples)
        classes = logits.shape[1]
        if counts and len(counts[0]) != classes:
            raise ValueError(
                f"seed {seed} gives {classes} classes, seed {seeds[0]} gave {len(counts[0])}; only the seed may change"
            )
        counts.append(np.bincount(logits.argmax(axis=1), minlength=classes))
        tied += int(((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    labels = None if y is None else _labels(y, samples, classes, single)
    return _diagnosis(seeds, np.array(counts), tied / (samples * len(seeds)), labels)


def uniformity(class_fractions, resamples=None, seed=0):
    """p-value of the hypothesis that, over networks, no class is favored more than another one.

    The statistic sum_k (mean_s f_sk - 1/C)^2 is set against its values when the classes of each network are relabelled
    at random: exact, whatever the law of the fractions, if the classes of an untrained network are exchangeable.

    Parameters
    ----------
    class_fractions : array_like (networks, classes)
    resamples : int, optional
        Random relabellings B; by default 9999, fewer for many classes, at least 999.
    seed : int
        Of the relabellings.

    Returns
    -------
    float
        (1 + number at least as large)/(1 + B).

    Examples
    --------
    >>> uniformity([[1, 0], [0, 1]] * 10), uniformity([[1, 0]] * 20)
    (1.0, 0.0001)
    """
    fractions = np.asarray(class_fractions, dtype=float)
    if fractions.ndim != 2 or not fractions.size:
        raise ValueError(f"class_fractions must have shape (networks, classes), got {fractions.shape}")
    if resamples is None:
        resamples = int(np.clip(_ELEMENTS // fractions.size, 999, _RESAMPLES))
    generator = np.random.default_rng(seed)
    observed = np.sum((fractions.mean(axis=0) - fractions.mean()) ** 2)
    larger, rows = 0, max(1, _CHUNK // fractions.size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        relabelled = generator.permuted(np.broadcast_to(fractions, (count, *fractions.shape)), axis=2)
        statistic = np.sum((relabelled.mean(axis=1) - fractions.mean()) ** 2, axis=1)
        larger += int(np.sum(statistic >= observed * (1 - 1e-9) - 1e-30))
    return (1 + larger) / (1 + resamples)


def _seeds(seeds):
    if isinstance(seeds, numbers.Integral):
        return tuple(range(_check.integer("seeds", seeds, 2, hint="One network says nothing about the spread.")))
    try:
        seeds = tuple(_check.integer("a seed", seed) for seed in seeds)
    except TypeError as error:
        raise TypeError(f"seeds must be an integer or a sequence of integers, got {seeds!r}") from error
    if len(seeds) < 2:
        raise ValueError(f"seeds must name at least 2 seeds, got {list(seeds)}; one network says nothing of the spread")
    if len(set(seeds)) < len(seeds):
        raise ValueError("seeds must differ: a repeated seed repeats a network and makes every error too small")
    return seeds


def _samples(X):
    try:
        samples = len(X)
    except TypeError as error:
        raise TypeError(f"X must be an array of samples, got {type(X).__name__}") from error
    if samples < 2:
        raise ValueError(f"X must hold at least 2 samples, got {samples}; a class fraction needs several")
    return samples


def _logits(model, seed, X, samples):
    """((samples, classes) logits, whether there is a single one)."""
    network = model(seed)
    if not callable(network):
        raise TypeError(f"model({seed}) must return a callable X -> logits, got {type(network).__name__}")
    logits = network(X)
    if hasattr(logits, "detach"):  # a torch tensor, perhaps with a gradient or on a device
        logits = logits.detach().cpu()
    logits = np.asarray(logits, dtype=float)
    single = logits.shape in ((samples,), (samples, 1))
    if single:
        logits = logits.reshape(-1, 1)
        logits = np.concatenate([logits, -logits], axis=1)
    if logits.ndim != 2 or len(logits) != samples:
        raise ValueError(
            f"logits must have shape ({samples}, classes), ({samples},) or ({samples}, 1), as X has {samples} samples; "
            f"seed {seed} gives {logits.shape}"
        )
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).any(axis=1).sum())
        raise ValueError(
            f"logits of seed {seed} are NaN or infinite for {bad} of {samples} samples; look for overflow, NaN in X, "
            "or a norm that divides by 0"
        )
    return logits, single


def _labels(y, samples, classes, single):
    y = np.asarray(y)
    if y.shape != (samples,):
        raise ValueError(f"y must have shape ({samples},), one label per sample of X; got {y.shape}")
    if single:
        return None
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"y must hold class indices 0 to {classes - 1}, got {np.unique(y)[:5].tolist()} ...")
    return np.bincount(y, minlength=classes) / samples


def _diagnosis(seeds, counts, tied, labels):
    samples, classes = int(counts[0].sum()), counts.shape[1]
    fractions = counts / samples
    largest = fractions.max(axis=1)
    center, half = largest.mean(), stats.t.isf(0.5 * (1 - _CONFIDENCE), len(seeds) - 1) * stats.sem(largest)
    gamma, error = _gamma_effective(counts, samples)
    above = int((largest > 0.9).sum())
    return Diagnosis(
        seeds=seeds,
        samples=samples,
        classes=classes,
        class_fractions=fractions,
        favored=fractions.argmax(axis=1),
        max_fraction=float(center),
        max_fraction_interval=(float(max(center - half, 1 / classes)), float(min(center + half, 1.0))),
        exceeds=above / len(seeds),
        exceeds_interval=_clopper_pearson(above, len(seeds)),
        gamma_effective=gamma,
        gamma_effective_error=error,
        p_value=uniformity(fractions),
        regime=regime(gamma, UNBIASED),
        tied=tied,
        labels=labels,
    )


def _gamma_effective(counts, samples):
    """(gamma, its standard error) from the share of pairs of samples that are given the same class."""
    classes = counts.shape[1]
    missed = 1 - np.sum(counts * (counts - 1.0), axis=1) / (samples * (samples - 1.0))
    mean, error = missed.mean(), stats.sem(missed)
    if mean <= 0:
        return math.inf, math.nan
    near = mean * np.array([1 - 1e-4, 1.0, 1 + 1e-4])
    low, gamma, high = gamma_from_agreement(1 - 1 / classes - near, near, classes)
    return float(gamma), float(abs(high - low) / (2e-4 * mean) * error)


def _clopper_pearson(hits, trials):
    tail = 0.5 * (1 - _CONFIDENCE)
    low = stats.beta.ppf(tail, hits, trials - hits + 1) if hits else 0.0
    high = stats.beta.isf(tail, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)


def _sizes(d):
    """How far the predictions are from even, in sentences."""
    low, high = d.max_fraction_interval
    yield f"E f_max = {d.max_fraction:.3f} (95 % interval {low:.3f} to {high:.3f}); evenly spread: {1 / d.classes:.3f}."
    low, high = d.exceeds_interval
    count = round(d.exceeds * len(d.seeds))
    yield (
        f"{count} of {len(d.seeds)} seeds give more than 90 % of the samples to one class "
        f"(95 % interval of the share: {low:.3f} to {high:.3f})."
    )
    error = "" if math.isnan(d.gamma_effective_error) else f" +- {d.gamma_effective_error:.2g}"
    yield (
        f"gamma_effective = {d.gamma_effective:.3g}{error}: {d.regime} "
        f"(unbiased up to {UNBIASED:g}, neutral below 1, prejudiced from 1 on)."
    )


def _cause(d):
    """Whether the seed decides which class is favored, in sentences."""
    if d.classes ** (1.0 - len(d.seeds)) > LEVEL:  # the p-value if every seed gave everything to one same class
        yield (
            f"Whether the favored class depends on the seed cannot be told from {len(d.seeds)} seeds "
            f"(p = {d.p_value:.2g}); give more."
        )
    elif not d.same_for_all_seeds:
        yield (
            f"No class is favored over all seeds beyond chance (p = {d.p_value:.2g}, not below {LEVEL:g}): what "
            "unevenness there is comes from initialization."
        )
    else:
        share = d.class_fractions.mean(axis=0)
        top = int(share.argmax())
        error = stats.sem(d.class_fractions[:, top])
        yield (
            f"The same classes are favored whatever the seed (p = {d.p_value:.2g}, below {LEVEL:g}): class {top} "
            f"takes {share[top]:.3f} +- {error:.2g} of the samples, {1 / d.classes:.3f} expected. Initialization does "
            "not do that: look at the bias of the output layer, at the order of the classes, and at the data."
        )
        if d.labels is not None:
            yield f"Class {top} holds {d.labels[top]:.3f} of the labels."


def _warnings(d):
    """What makes the numbers suspect, in sentences."""
    if (d.class_fractions == d.class_fractions[0]).all() and d.max_fraction > 1 / d.classes:
        yield "All seeds give the same fractions: check that model(seed) uses its seed."
    if d.tied:
        share = f"{100 * d.tied:.3g} %"
        yield f"{share} of the predictions are ties of equal logits, won by the lowest class: look for dead units."
