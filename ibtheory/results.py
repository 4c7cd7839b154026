"""What readings hand over: Prediction, Ensemble, Comparison; saved as one .npz file and loaded without pickle."""

import importlib
from dataclasses import dataclass, field
from typing import final

import numpy as np

from ibtheory._saved import Saved, read, versions
from ibtheory._tables import COMPARISON_ROW, DepthLimit, ensemble_table, layer_table
from ibtheory.fractions import ClassFraction
from ibtheory.groups import GroupFractions
from ibtheory.inputs import Dataset
from ibtheory.layers import Network
from ibtheory.output import Output

__all__ = [
    "COMPARISON_ROW",
    "Comparison",
    "DepthLimit",
    "Ensemble",
    "Prediction",
    "ensemble_table",
    "layer_table",
    "load",
    "provenance",
    "versions",
]


@final
@dataclass(frozen=True, eq=False)
class Prediction(Saved):
    """What theory says of a network's initial state on some inputs; made by :func:`ibtheory.predict`.

    Attributes
    ----------
    network : Network
    inputs : dict
        Description of the inputs.
    classes : int
    samples : int or None
        Samples of the data; None for the population of a law.
    batch : int or "all"
        Samples per BatchNorm statistic.
    width : {"infinite", "leading"}
        Whether the leading terms in 1/width are included.
    gamma : float
        Activation drift ratio of the logits, r / (q - r), readout bias included.
    gamma_effective : float
        The gamma that the class fractions obey, from the correlations.
    class_fraction : ClassFraction
        Law of the share of the data that goes to one class.
    class_fraction_variance : float
        Variance of f_k over networks for the samples at hand.
    groups : GroupFractions or None
        Class fractions within the samples of each label; None without labels.
    participation_ratio : float
        (tr)^2 / tr(^2) of the centred matrix of correlations of the logits between samples: in how many directions
        they deviate from their mean. The law of class fractions takes about 15; inf for one population.
    norm_heterogeneity : float
        v, the squared coefficient of variation over samples of the root mean square of their logits. Where it is
        independent of the directions, c = gamma (1 + v)/(1 + gamma) for the moment gamma.
    output : ibtheory.output.Output
        Law of one logit over the data and over networks.
    regime : str
        The word of arXiv:2505.12096 for gamma_effective, at this depth.
    depth_limit : DepthLimit
        The same in the limit of depth.
    notes : tuple of str
        Assumptions made and broken.
    layers : structured array
        One row per layer, see :func:`layer_table`.
    error : dict
        Standard errors of sampled theory by quantity ("gamma", "gamma_effective", "class_fraction_variance", and
        "layers" and "group_covariance", nested lists); empty where theory is exact.
    remainder : dict
        By the same names, how much what is left out behind the terms of order 1/width may change the value: the next
        order, 5 depth/width of these terms, or half of them with BatchNorm on a dataset, or as much as them with
        uniform weights; empty without such terms.
    seed : int
    """

    network: Network
    inputs: dict
    classes: int
    samples: int | None
    batch: int | str
    width: str
    gamma: float
    gamma_effective: float
    class_fraction: ClassFraction
    class_fraction_variance: float
    groups: GroupFractions | None
    participation_ratio: float
    norm_heterogeneity: float
    output: Output
    regime: str
    depth_limit: DepthLimit
    notes: tuple
    layers: np.ndarray
    error: dict = field(default_factory=dict)
    remainder: dict = field(default_factory=dict)
    seed: int = 0

    @property
    def max_fraction(self):
        """E f_max, the mean share of the favored class: of ``samples`` samples, or of infinitely many."""
        return _expected_max(self.class_fraction, self.samples)

    @property
    def unbiased_max(self):
        """What :attr:`max_fraction` would be at gamma 0: 1/C, or a little above for finitely many samples."""
        return _expected_max(ClassFraction(0.0, self.classes), self.samples)

    def max_exceeds(self, level=0.9):
        """P(f_max > level), for many samples."""
        return float(self.class_fraction.exceeds(level))

    def __str__(self):
        rows = [
            ("E f_max", self.max_fraction, f"mean share of the favored class (unbiased: {self.unbiased_max:.4g})"),
            ("P(f_max > .9)", self.max_exceeds(0.9), "networks that give it nearly everything (unbiased: 0)"),
            ("gamma", self.gamma, "activation drift ratio of the logits"),
            ("gamma_effective", self.gamma_effective, "the one that class fractions obey"),
        ]
        samples = "infinitely many" if self.samples is None else self.samples
        lines = [f"Prediction for {self.classes} classes on {samples} samples of {self.inputs['kind']}"]
        lines += [f"  {name:<16}{value:<11.5g}{words}" for name, value, words in rows]
        lines += [f"  {self.regime} at this depth; {self.depth_limit} in the limit of depth"]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


@final
@dataclass(frozen=True, eq=False)
class Ensemble(Saved):
    """What simulated random networks do on concrete inputs; made by :func:`ibtheory.simulate`.

    The network is the sample unit of every standard error (``_error``); readouts of one network are a cluster.

    Attributes
    ----------
    network : Network
    inputs : Dataset
        The literal X and y that every network saw.
    classes, networks, samples, readouts : int
    batch : int or "all"
    seed : int
    dtype : str
    class_fractions : (networks, classes) array
        Shares of the data by class, first readout.
    readout_fractions : (networks, readouts, classes) array
    group_labels : (groups,) array or None
        Labels of the data, sorted; None without labels.
    group_fractions : (networks, groups, classes) array or None
        Shares of the samples of each label by class, first readout.
    group_covariance : (groups, groups) array or None
        Covariance over networks and readouts of the shares of one class within two groups, mean over classes.
    layers : structured array
        One row per layer, see :func:`ensemble_table`.
    gamma, gamma_effective : float
    class_fraction_variance : float
        Of f_k over networks and readouts, mean over classes.
    max_fraction : float
        Mean of max_k f_k.
    skewness, kurtosis : float
        Of a logit over the data (kurtosis in excess of a Gaussian, see :func:`ibtheory.output.unbiased_kurtosis`).
    skewness_spread : float
        Size of the skewness in one network, sqrt(E m_3^2 / (E m_2)^3); about sqrt(6/samples) for a Gaussian.
    network_kurtosis : float
        Excess kurtosis of a logit over networks and data, about 0.
    tail_2, tail_3 : float
        Share of the data whose logit is further than 2 and 3 standard deviations from its mean, of this network.
    histogram : (42,) array
        Share of the data by the deviation of its logit from the mean, in bins of :data:`ibtheory.output.EDGES`.
    dead : (networks,) array
        Share of features that are constant over the data after the last hidden activation.
    per_layer : (networks, layers, 4) array or None
        same, cross, gap, mean of each network; None for a summary.
    per_layer_gradient : (networks, layers, 3) array or None
        gradient, gradient_cross, weight_gradient of each network; None without ``gradients``, or for a summary.
    tangent : dict or None
        Means over networks of a tangent kernel, each with name_error: same, its mean over samples; cross, over pairs
        of distinct samples; gap, their difference; lambda_max, the largest eigenvalue. None without ``tangent``.
    per_network_tangent : (networks, 4) array or None
        The four of each network; None for a summary.
    agreement : (networks,) array
        Share of pairs of samples given the same class, mean over readouts.
    """

    network: Network
    inputs: Dataset
    classes: int
    networks: int
    samples: int
    readouts: int
    batch: int | str
    seed: int
    dtype: str
    class_fractions: np.ndarray | None
    readout_fractions: np.ndarray | None
    group_labels: np.ndarray | None
    group_fractions: np.ndarray | None
    group_covariance: np.ndarray | None
    group_covariance_error: np.ndarray | None
    layers: np.ndarray
    gamma: float
    gamma_error: float
    gamma_effective: float
    gamma_effective_error: float
    class_fraction_variance: float
    class_fraction_variance_error: float
    max_fraction: float
    max_fraction_error: float
    skewness: float
    skewness_error: float
    skewness_spread: float
    skewness_spread_error: float
    kurtosis: float
    kurtosis_error: float
    network_kurtosis: float
    network_kurtosis_error: float
    tail_2: float
    tail_2_error: float
    tail_3: float
    tail_3_error: float
    histogram: np.ndarray
    histogram_error: np.ndarray
    dead: np.ndarray | None
    per_layer: np.ndarray | None
    agreement: np.ndarray | None
    per_layer_gradient: np.ndarray | None = None
    tangent: dict | None = None
    per_network_tangent: np.ndarray | None = None

    @property
    def unbiased_max(self):
        """What :attr:`max_fraction` would be without bias: a little above 1/C, for samples are finitely many."""
        return _expected_max(ClassFraction(0.0, self.classes), self.samples)

    def max_exceeds(self, level=0.9):
        """(share of readouts whose largest class takes more than ``level`` of the data, its standard error)."""
        if self.readout_fractions is None:
            raise ValueError('a summary keeps no fractions per network; simulate with keep="all"')
        shares = (self.readout_fractions.max(axis=2) > level).mean(axis=1)
        error = shares.std(ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else np.nan
        return float(shares.mean()), float(error)

    def __str__(self):
        rows = [("E f_max", self.max_fraction, self.max_fraction_error, f"unbiased: {self.unbiased_max:.4g}")]
        if self.readout_fractions is not None:
            rows.append(("P(f_max > .9)", *self.max_exceeds(0.9), "unbiased: 0"))
        rows += [
            ("gamma", self.gamma, self.gamma_error, "activation drift ratio of the logits"),
            ("gamma_effective", self.gamma_effective, self.gamma_effective_error, "obeyed by class fractions"),
        ]
        size = f"{self.networks} networks x {self.readouts} readouts on {self.samples} samples"
        lines = [f"Ensemble of {size}, {self.classes} classes, seed {self.seed}"]
        lines += [f"  {name:<16}{value:.5g} +- {error:.2g}  {words}" for name, value, error, words in rows]
        return "\n".join(lines)


@final
@dataclass(frozen=True, eq=False)
class Comparison(Saved):
    """Theory against simulation, quantity by quantity; made by :func:`ibtheory.compare`.

    Attributes
    ----------
    network : Network
    alpha : float
        Probability that all true theories together are found inconsistent (Holm's simultaneous level).
    rows : structured array
        Fields layer, quantity, theory, estimate, error, z, p_value, exact (compared to rounding), note; z is that of
        the difference beyond ``Prediction.remainder``.
    """

    network: Network
    alpha: float
    rows: np.ndarray

    @property
    def worst(self):
        """The row of the largest \\|z\\|, or None without a finite one."""
        z = np.abs(self.rows["z"])
        return None if np.isnan(z).all() else self.rows[np.nanargmax(z)]

    @property
    def tested(self):
        """(rows,) bool: the rows with a p-value; the note of any other says why it has none."""
        return ~np.isnan(self.rows["p_value"])

    @property
    def rejected(self):
        """(rows,) bool: the rows that Holm's procedure rejects at ``alpha``."""
        p = self.rows["p_value"]
        tested = np.flatnonzero(self.tested)
        order = tested[np.argsort(p[tested], kind="stable")]
        passed = p[order] <= self.alpha / (len(order) - np.arange(len(order)))
        rejected = np.zeros(len(p), dtype=bool)
        rejected[order] = np.logical_and.accumulate(passed)
        return rejected

    @property
    def consistent(self):
        """Whether something was tested and no row is rejected."""
        return bool(self.tested.any()) and not self.rejected.any()

    def plot(self, ax=None):
        """Picture of the z-scores, see :func:`ibtheory.plot.comparison`."""
        from ibtheory import plot

        return plot.comparison(self, ax=ax)

    def __str__(self):
        width = max([5, *(len(name) for name in self.rows["layer"])])
        lines = [f"{'layer':<{width}}  {'quantity':<24}{'theory':>12}{'estimate':>12}{'error':>10}{'z':>8}"]
        for row, rejected in zip(self.rows, self.rejected, strict=True):
            z = "exact" if row["exact"] else f"{row['z']:.2f}"
            line = f"{row['layer']:<{width}}  {row['quantity']:<24}{row['theory']:>12.5g}{row['estimate']:>12.5g}"
            line += f"{row['error']:>10.2g}{z:>8}{' *' if rejected else '  '} {row['note']}"
            lines.append(line.rstrip())
        verdict = "consistent" if self.consistent else "inconsistent (rows marked *)"
        if self.tested.any():
            lines.append(f"{verdict} at simultaneous level {self.alpha:g} over {self.tested.sum()} quantities")
        else:
            lines.append("nothing was tested: simulate more than one network")
        return "\n".join(lines)


def _expected_max(law, samples):
    return float(law.expected_max() if samples is None else law.finite_max(samples)[0])


KINDS = {kind.__name__: kind for kind in (Prediction, Ensemble, Comparison)}
# results with a module of their own, which is above this one
_ELSEWHERE = {"History": "ibtheory.history", "PhaseDiagram": "ibtheory.phase"}


def _kind(name):
    """The class of a saved result, or None."""
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(_ELSEWHERE[name]), name)
    return KINDS.get(name)


def _decode(description, arrays):
    kind = _kind(description["kind"])
    values = description["values"] | arrays
    values["network"] = Network.from_dict(values["network"])
    if "inputs_X" in values:
        values["inputs"] = Dataset(values.pop("inputs_X"), values.pop("inputs_y", None))
    if kind is Prediction:
        values["notes"] = tuple(values["notes"])
        values["depth_limit"] = DepthLimit(*values["depth_limit"])
        values["class_fraction"] = ClassFraction(max(values["gamma_effective"], 0.0), values["classes"])
        values["output"] = Output.from_dict(values["output"])
        values["groups"] = values["groups"] and GroupFractions.from_dict(values["groups"])
    return kind(**values)


def load(path):
    """The Prediction, Ensemble or Comparison that was saved at ``path``; nothing pickled is ever read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or was not written by ``save``.
    """
    description, arrays = read(path, _kind)
    try:
        return _decode(description, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a result of this version of ibtheory: {error}") from error


def provenance(path):
    """How a saved result came about: a dict with kind, network, seed and versions."""
    description, _ = read(path, _kind)
    values = description["values"]
    return {
        "kind": description["kind"],
        "network": values["network"],
        "seed": values.get("seed"),
        "versions": description["versions"],
    }
