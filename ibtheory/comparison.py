"""Theory against simulation: which predicted numbers the simulated networks bear out."""

import math

import numpy as np
from scipy import stats

from ibtheory import _check
from ibtheory.fractions import agreement
from ibtheory.groups import finite_covariance
from ibtheory.layers import BatchNorm, flatten
from ibtheory.results import COMPARISON_ROW, Comparison, Ensemble, Prediction

__all__ = ["GROUP_QUANTITIES", "LAYER_QUANTITIES", "LOGIT_QUANTITIES", "OUTPUT_QUANTITIES", "PRIMARY", "compare"]

LAYER_QUANTITIES = ("same", "cross", "gap", "mean", "gamma")
LOGIT_QUANTITIES = ("gamma_effective", "class_fraction_variance", "max_fraction")
GROUP_QUANTITIES = ("group_variance", "group_covariance")
OUTPUT_QUANTITIES = ("skewness", "kurtosis", "network_kurtosis", "tail_2", "tail_3")
PRIMARY = ("gamma", *LOGIT_QUANTITIES)
_ALL = (*LAYER_QUANTITIES, *LOGIT_QUANTITIES, *GROUP_QUANTITIES, *OUTPUT_QUANTITIES)
_STEPS_OF_SPREAD, _STEPS_OF_AGREEMENT = 8, 256  # rounding steps: less is no spread; that many may accumulate


def compare(p, e, *, alpha=0.05, quantities=None):
    """Compare a prediction with an ensemble of the same network on the same inputs.

    z = (estimate - theory) / sqrt(error^2 + theory_error^2), a two-sided p-value from Student's t with networks - 1
    degrees of freedom, and one verdict over all rows by Holm's procedure at the simultaneous level ``alpha``. Of the
    difference only what lies beyond ``p.remainder`` counts, which theory itself says it leaves out.

    Parameters
    ----------
    p : Prediction
        Best made for the literal data, ``predict(net, e.inputs)``; a population is compared too, and the row says so.
    e : Ensemble
    alpha : float
        Probability, between 0 and 1, that a theory true in all rows is found inconsistent.
    quantities : iterable of str, optional
        Of every layer: "same", "cross", "gap", "mean", "gamma"; of the logits: "gamma_effective",
        "class_fraction_variance", "max_fraction". Of labelled data: "group_variance", the variance of the share of
        one class among the samples of a label, a row per label, and "group_covariance", a row per pair of labels.
        Of the law of one logit: "skewness", "kurtosis", "network_kurtosis", "tail_2", "tail_3". By default the
        dimensionless ones: gamma of every layer, the three of the logits, and the law of one where the prediction has
        its terms of order 1/width. More rows cost power, for the level is simultaneous, and the moments of a layer
        say little that its gamma does not.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError
        If ``p`` is no Prediction or ``e`` no Ensemble.
    ValueError
        If they differ in network, inputs, number of samples or batch; the message says in which.

    Notes
    -----
    A quantity without spread over networks (behind BatchNorm on its own batch) is compared to rounding. Inputs
    themselves are the same for all networks: their row is compared for concrete data only. The law behind
    max_fraction holds for exchangeable samples; for a concrete dataset it is an approximation, shown but not tested.
    Where theory speaks of a population, the luck of the one draw is part of the theory's error.

    Examples
    --------
    >>> import ibtheory as ib
    >>> net = ib.mlp(width=64, depth=2)
    >>> e = ib.simulate(net, ib.GaussianInputs(200), networks=40, samples=50)
    >>> c = compare(ib.predict(net, e.inputs), e)
    >>> c.rows["quantity"][-4:].tolist()
    ['gamma', 'gamma_effective', 'class_fraction_variance', 'max_fraction']
    """
    if not isinstance(p, Prediction):
        raise TypeError(f"p must be a Prediction, got {type(p).__name__}; order: compare(predict(...), simulate(...))")
    if not isinstance(e, Ensemble):
        raise TypeError(f"e must be an Ensemble, got {type(e).__name__}; order: compare(predict(...), simulate(...))")
    alpha = _check.real("alpha", alpha, 0.0, 1.0, open_minimum=True)
    names = _default(p) if quantities is None else (quantities,) if isinstance(quantities, str) else tuple(quantities)
    for name in names:
        _check.choice("quantities", name, _ALL)
    if not names:
        raise ValueError(f"quantities is empty; leave it out, or name some of {_ALL}")
    _same_setting(p, e)
    rows = _Rows(p, e)
    for index in range(len(p.layers)):
        for name in LAYER_QUANTITIES:
            if name in names:
                rows.layer(index, name)
    for name in LOGIT_QUANTITIES:
        if name in names:
            getattr(rows, name)()
    if any(name in names for name in GROUP_QUANTITIES):
        rows.groups([name for name in GROUP_QUANTITIES if name in names])
    for name in OUTPUT_QUANTITIES:
        if name in names:
            rows.output(name)
    return Comparison(network=p.network, alpha=alpha, rows=np.array(rows.rows, dtype=COMPARISON_ROW))


def _default(p):
    return PRIMARY if p.output.width_terms == "none" else (*PRIMARY, *OUTPUT_QUANTITIES)


def _same_setting(p, e):
    """Refuse to compare what differs in more than theory and simulation."""
    if p.network != e.network:
        raise ValueError(f"the networks differ: {p.network!r} is predicted, {e.network!r} is simulated")
    features = p.inputs.get("features", e.inputs.features)
    if features != e.inputs.features:
        raise ValueError(f"the inputs differ: {features} features are predicted, {e.inputs.features} are simulated")
    if p.samples is not None and p.samples != e.samples:
        raise ValueError(
            f"samples differ: {p.samples} are predicted, {e.samples} are simulated; predict(net, e.inputs)"
        )
    if _normalizes_batches(p.network, features) and p.samples is not None:
        batches = [e.samples if batch == "all" else batch for batch in (p.batch, e.batch)]
        if batches[0] != batches[1]:
            raise ValueError(f"batch differs: {p.batch!r} is predicted, {e.batch!r} is simulated")
    _same_inputs(p, e)


def _normalizes_batches(network, features):
    layers = [step.layer for step in flatten(network.steps(features))]
    return any(isinstance(layer, BatchNorm) and not layer.fresh for layer in layers)


def _same_inputs(p, e):
    """Compare the moments of the inputs: to rounding for concrete data, else to what one draw allows."""
    predicted, drawn = p.layers[0], e.layers[0]
    width = 1e-6 if _concrete(p) else 4 * (math.sqrt(2 / e.inputs.features) + 1 / math.sqrt(e.samples))
    for name in ("same", "cross"):
        if abs(predicted[name] - drawn[name]) > width * drawn["same"]:
            raise ValueError(
                f"the inputs differ: {name}-sample moment {predicted[name]:.6g} is predicted, {drawn[name]:.6g} "
                "is simulated; predict(net, e.inputs) takes the simulated ones"
            )


def _concrete(p):
    return p.inputs.get("kind") == "Dataset"


class _Rows:
    """The rows of a comparison, made one by one."""

    def __init__(self, p, e):
        self.p, self.e, self.rows = p, e, []
        self.step = float(np.finfo(e.dtype).eps)
        # how far the one draw is off the law in its mean correlation: later layers hand that on and hardly add to it
        ratio = [table["cross"][0] / table["same"][0] for table in (p.layers, e.layers)]
        self.drawn = 0.0 if _concrete(p) else float(abs(ratio[0] - ratio[1]))
        words = [
            (p.samples is None, f"population against {e.samples} samples"),
            (not _concrete(p), "one draw"),
            (p.width == "infinite", "no width correction"),
        ]
        self.note = "; ".join(text for holds, text in words if holds)

    def add(
        self, layer, quantity, theory, estimate, error, *,
        theory_error=0.0, left_out=0.0, scale=0.0, note=None, tested=True,
    ):  # fmt: skip
        """One row: a z-score where there is spread, a comparison to rounding where there is none."""
        z = p_value = math.nan
        difference, exact = estimate - theory, False
        rounding, agreed = (steps * self.step * scale for steps in (_STEPS_OF_SPREAD, _STEPS_OF_AGREEMENT))
        note = self.note if note is None else note
        if not math.isfinite(error) or math.isnan(difference):
            note = "no spread known: one network" if self.e.networks == 1 else "not defined"
        elif not tested:
            note = f"{note}; {difference / max(error, 1e-300):+.1f} errors off, not tested"
        elif error <= rounding and (abs(difference) <= agreed or theory_error <= rounding):
            exact, note = True, "no spread over networks: compared to rounding"
            p_value = float(abs(difference) <= agreed)
            z = 0.0 if p_value else math.copysign(math.inf, difference)
        else:
            beyond = max(abs(difference) - left_out, 0.0)
            z = math.copysign(beyond, difference) / math.hypot(error, theory_error, rounding)
            p_value = 2 * stats.t.sf(abs(z), self.e.networks - 1)
        self.rows.append((layer, quantity, theory, estimate, error, z, p_value, exact, note[:96]))

    def layer(self, index, name):
        """The row of one moment of one layer, where both sides know it."""
        p, e = self.p, self.e
        theory, estimate, error = p.layers[name][index], e.layers[name][index], e.layers[f"{name}_error"][index]
        if index == len(p.layers) - 1 and name == "gamma":
            theory, estimate, error = p.gamma, e.gamma, e.gamma_error
        if math.isnan(theory) or math.isnan(estimate) or (index == 0 and not _concrete(p)):
            return
        same, gamma = abs(p.layers["same"][index]), p.layers["gamma"][index]
        if name != "gamma":
            scale = math.sqrt(same) if name == "mean" else same
            self.add(
                p.layers["name"][index], name, theory, estimate, error, theory_error=self.drawn * scale, scale=scale
            )
            return
        sampled, left_out = (known["layers"][index] if "layers" in known else 0.0 for known in (p.error, p.remainder))
        theory_error = math.hypot(sampled, self.drawn * (1 + gamma) ** 2)
        self.add(
            p.layers["name"][index], name, theory, estimate, error,
            theory_error=theory_error, left_out=left_out, scale=(1 + gamma) ** 2,
        )  # fmt: skip

    def gamma_effective(self):
        """gamma from the agreement of predictions over pairs."""
        p, e = self.p, self.e
        theory_error = math.hypot(p.error.get("gamma_effective", 0.0), self.drawn * (1 + p.gamma_effective) ** 2)
        self._logits("gamma_effective", p.gamma_effective, e.gamma_effective, e.gamma_effective_error, theory_error)

    def class_fraction_variance(self):
        """Variance of a class fraction over networks, for N samples."""
        theory, theory_error = self._variance()
        e = self.e
        self._logits(
            "class_fraction_variance", theory, e.class_fraction_variance, e.class_fraction_variance_error, theory_error
        )

    def max_fraction(self):
        """E of the largest class fraction among N samples, from the law at gamma_effective."""
        p, e = self.p, self.e
        theory, sampled = p.class_fraction.finite_max(e.samples)
        variance, of_variance = self._variance()
        note = "law of exchangeable samples, approximate for this dataset" if _concrete(p) else None
        if p.gamma_effective < 0:  # more even than independent samples: counts shrink towards N/C with their deviation
            even = p.class_fraction.finite_variance(e.samples)
            theory = 1 / p.classes + (theory - 1 / p.classes) * math.sqrt(max(variance, 0.0) / even)
        relative = 0.5 * of_variance / variance if variance > 0 else 0.0
        excess = theory - 1 / p.classes
        left_out = excess * 0.5 * p.remainder.get("class_fraction_variance", 0.0) / variance if variance > 0 else 0.0
        self.add(
            "logits", "max_fraction", theory, e.max_fraction, e.max_fraction_error,
            theory_error=math.hypot(sampled, excess * relative), left_out=left_out, note=note, tested=not _concrete(p),
        )  # fmt: skip

    def groups(self, names):
        """Variances within the groups of labelled data, and covariances between them."""
        p, e = self.p, self.e
        if p.groups is None or e.group_covariance is None or [*p.groups.labels] != [*e.group_labels]:
            raise ValueError(
                f"{', '.join(names)} need the same labels on both sides; give Dataset(X, y) or Blobs to predict and "
                "simulate"
            )
        theory = p.groups.covariance
        if p.samples is None:
            _, counts = np.unique(e.inputs.y, return_counts=True)
            theory = finite_covariance(theory, p.classes, counts)
        sampled, left_out = (
            np.asarray(known.get("group_covariance", np.zeros_like(theory))) for known in (p.error, p.remainder)
        )
        labels = [str(label) for label in e.group_labels]
        own = [("group_variance", g, g) for g in range(len(labels))]
        pairs = [("group_covariance", g, h) for g in range(len(labels)) for h in range(g)]
        for name, g, h in own + pairs:
            if name not in names:
                continue
            drawn = self._drawn_variance(p.groups.correlation[g, h])
            self.add(
                labels[g] if g == h else f"{labels[h]}, {labels[g]}", name, theory[g, h],
                e.group_covariance[g, h], e.group_covariance_error[g, h], theory_error=math.hypot(sampled[g, h], drawn),
                left_out=left_out[g, h],
            )  # fmt: skip

    def _drawn_variance(self, c):
        """What the luck of the one draw may change of a (co)variance of class fractions at correlation ``c``."""
        if not self.drawn:
            return 0.0
        around = agreement([max(c - self.drawn, -1.0), min(c + self.drawn, 1.0)], self.p.classes)
        return 0.5 * float(around[1] - around[0]) / self.p.classes

    def output(self, name):
        """What one logit looks like: but for its symmetry of order 1/width, where all samples are alike."""
        law, e, theory_error = self.p.output, self.e, 0.0
        if name.startswith("tail"):
            t = float(name[-1])
            theory, theory_error = float(law.tail(t, e.samples)), float(law.tail_error(t, e.samples))
        else:
            theory = getattr(law, name)
        tested = law.width_terms == "leading" or name == "skewness"
        note = None if tested else f"terms of order 1/width: {law.width_terms}"
        estimate, error = getattr(e, name), getattr(e, f"{name}_error")
        self._logits(name, theory, estimate, error, theory_error, note, tested)

    def _variance(self):
        """(variance of a class fraction for N samples, its error)."""
        p, e = self.p, self.e
        finite = p.samples is None
        theory = p.class_fraction.finite_variance(e.samples) if finite else p.class_fraction_variance
        c = p.gamma_effective / (1 + p.gamma_effective) if math.isfinite(p.gamma_effective) else 1.0
        return theory, math.hypot(p.error.get("class_fraction_variance", 0.0), self._drawn_variance(c))

    def _logits(self, quantity, theory, estimate, error, theory_error, note=None, tested=True):
        self.add(
            "logits", quantity, theory, estimate, error,
            theory_error=theory_error, left_out=self.p.remainder.get(quantity, 0.0), note=note, tested=tested,
        )  # fmt: skip
