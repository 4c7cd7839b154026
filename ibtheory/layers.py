"""The vocabulary: a network is described once, as plain immutable data; everything else is a reading of it.

Placement is the order of the layers and nothing else. ``repr`` of a network is code that rebuilds it (after
``from ibtheory import *``), :meth:`Network.to_dict` is its JSON form.
"""

from dataclasses import MISSING, dataclass, field, fields
from typing import NamedTuple, final

import numpy as np

from ibtheory import _check, _plain, activations

__all__ = [
    "Activation",
    "BatchNorm",
    "Dense",
    "FeaturePool",
    "GroupNorm",
    "LayerNorm",
    "Network",
    "RMSNorm",
    "Repeat",
    "Residual",
    "Step",
]


def _value(domain, default=MISSING):
    return field(default=default, metadata={"domain": domain})


def _epsilon():
    return _value(_check.Real(0.0, hint="It is added to the variance."), 0.0)


def _scale():
    return _value(_check.Real(0.0, open_minimum=True, hint="A scale of 0 erases the layer."), 1.0)


def _shift():
    return _value(_check.Real(), 0.0)


def _describe(layer):
    """Code that rebuilds a layer: its class with every field that differs from the default."""
    parts = []
    for index, f in enumerate(fields(layer)):
        value = getattr(layer, f.name)
        if f.default is MISSING or value != f.default:
            parts.append(repr(value) if index == 0 else f"{f.name}={value!r}")
    return f"{type(layer).__name__}({', '.join(parts)})"


class _Data:
    """Shared by all layers: checked fields, a repr that rebuilds, nothing else."""

    __slots__ = ()

    def __post_init__(self):
        _check.check_fields(self)

    __repr__ = _describe


@final
@dataclass(frozen=True, repr=False)
class Dense(_Data):
    """Affine map: weights of variance ``weight_variance`` / fan, biases of variance ``bias_variance``.

    Parameters
    ----------
    units : int
        Number of outputs, at least 1.
    weight_variance, bias_variance : float
        At least 0.
    weight_scale : {"fan_in", "fan_average"}
        What the weight variance is divided by: inputs, or the mean of inputs and outputs (Glorot).
    bias_scale : {"constant", "fan_in"}
        "fan_in" divides the bias variance by the number of inputs too (the default of torch.nn.Linear).
    distribution : {"normal", "uniform"}

    Examples
    --------
    >>> Dense(10, bias_variance=0.1)
    Dense(10, bias_variance=0.1)
    >>> Dense(10, 2.0, 0.1).variances(fan_in=784)
    (2.0, 0.1)
    """

    units: int = _value(_check.Integer(1, hint="A layer needs at least one unit."))
    weight_variance: float = _value(_check.Real(0.0, hint="A variance is not negative."), 2.0)
    bias_variance: float = _value(_check.Real(0.0, hint="A variance is not negative."), 0.0)
    weight_scale: str = _value(_check.Choice(("fan_in", "fan_average")), "fan_in")
    bias_scale: str = _value(_check.Choice(("constant", "fan_in")), "constant")
    distribution: str = _value(_check.Choice(("normal", "uniform")), "normal")

    def variances(self, fan_in):
        """(fan_in times the variance of a weight, variance of a bias): sigma_w^2 and sigma_b^2 of the theory."""
        fan = fan_in if self.weight_scale == "fan_in" else (fan_in + self.units) / 2
        bias = self.bias_variance if self.bias_scale == "constant" else self.bias_variance / fan_in
        return self.weight_variance * fan_in / fan, bias


@final
@dataclass(frozen=True, repr=False)
class Activation(_Data):
    """An elementwise function, given by name or as a record of :mod:`ibtheory.activations`.

    Examples
    --------
    >>> Activation("relu").function
    activations.relu
    """

    function: activations.ActivationFunction

    def __post_init__(self):
        object.__setattr__(self, "function", activations.get(self.function))


@final
@dataclass(frozen=True, repr=False)
class BatchNorm(_Data):
    """Center and normalize each feature over the batch, then scale and shift.

    Parameters
    ----------
    mode : {"batch", "running"}
        "batch": statistics of the batch in hand (training mode). "running": running statistics (evaluation mode),
        those of a fresh layer, mean 0 and variance 1, after ``batches`` training batches.
    epsilon : float
        Added to the variance. At 0, a feature without variance gives 0.
    scale, shift : float
        Affine parameters at initialization.
    momentum : float or None
        Weight of each training batch, above 0 and at most 1, as in torch.nn.BatchNorm1d:
        running = (1 - momentum) running + momentum observed, the observed variance with B - 1 in its denominator.
        None: the mean over all training batches so far.
    batches : int
        Training batches that the running statistics have seen, without a step of training in between; 0 makes
        the layer the identity. They are the consecutive batches of the data, from the first again after the last.

    Notes
    -----
    ``momentum`` and ``batches`` belong to mode "running".

    References
    ----------
    Ioffe and Szegedy, arXiv:1502.03167.

    Examples
    --------
    >>> weights, initial = BatchNorm("running", momentum=0.5, batches=2).running_weights()
    >>> weights.tolist(), initial
    ([0.25, 0.5], 0.25)
    """

    mode: str = _value(_check.Choice(("batch", "running")), "batch")
    epsilon: float = _epsilon()
    scale: float = _scale()
    shift: float = _shift()
    momentum: float | None = 0.1
    batches: int = _value(_check.Integer(0, hint="0 are the running statistics of a fresh layer."), 0)

    def __post_init__(self):
        _check.check_fields(self)
        if self.momentum is not None:
            hint = "Or None: the mean over all training batches."
            momentum = _check.real("BatchNorm.momentum", self.momentum, 0.0, 1.0, open_minimum=True, hint=hint)
            object.__setattr__(self, "momentum", momentum)
        if self.mode == "batch" and (self.batches or self.momentum != 0.1):
            raise ValueError(
                f"BatchNorm(momentum={self.momentum}, batches={self.batches}) in mode 'batch' has no running "
                "statistics; say mode='running', or leave both out"
            )

    @property
    def fresh(self):
        """Whether its running statistics have seen no training batch: the layer is the identity."""
        return self.mode == "running" and not self.batches

    def running_weights(self):
        """Weights of the training batches in the running statistics, (batches,), and that of mean 0 and variance 1."""
        if self.momentum is None and self.batches:
            return np.full(self.batches, 1 / self.batches), 0.0
        past = 1.0 - (1.0 if self.momentum is None else self.momentum)
        return (1.0 - past) * past ** np.arange(self.batches - 1.0, -1.0, -1.0), past**self.batches


@final
@dataclass(frozen=True, repr=False)
class LayerNorm(_Data):
    """Center and normalize each sample over its features (Ba, Kiros and Hinton, arXiv:1607.06450)."""

    epsilon: float = _epsilon()
    scale: float = _scale()
    shift: float = _shift()


@final
@dataclass(frozen=True, repr=False)
class RMSNorm(_Data):
    """Divide each sample by its root mean square over features (Zhang and Sennrich, arXiv:1910.07467)."""

    epsilon: float = _epsilon()
    scale: float = _scale()


@final
@dataclass(frozen=True, repr=False)
class GroupNorm(_Data):
    """LayerNorm within each of ``groups`` equal blocks of features (Wu and He, arXiv:1803.08494)."""

    groups: int = _value(_check.Integer(1))
    epsilon: float = _epsilon()
    scale: float = _scale()
    shift: float = _shift()


@final
@dataclass(frozen=True, repr=False)
class FeaturePool(_Data):
    """Each block of ``size`` neighboring features is replaced by its largest, mean or smallest, ``size`` times over.

    The width is kept, as in the phase diagrams of Bassi et al., arXiv:2505.12096 (size 2).

    Parameters
    ----------
    reduction : {"max", "average", "min"}
    size : int
        Features that are pooled, at least 2; it divides the number of features.

    Examples
    --------
    >>> Network((Dense(64), Activation("relu"), FeaturePool("max"), Dense(2)))
    Network((Dense(64), Activation(activations.relu), FeaturePool('max'), Dense(2)))
    """

    reduction: str = _value(_check.Choice(("max", "average", "min")))
    size: int = _value(_check.Integer(2, hint="A pool of one feature does nothing."), 2)


def _layers(name, layers):
    if isinstance(layers, tuple(KINDS.values())):
        raise TypeError(f"{name} must be a sequence of layers, got the single layer {layers!r}; write ({layers!r},)")
    try:
        layers = tuple(layers)
    except TypeError:
        raise TypeError(f"{name} must be a sequence of layers, got {layers!r}") from None
    for layer in layers:
        if type(layer) not in KINDS.values():
            kinds = ", ".join(sorted(KINDS))
            raise TypeError(f"{name} holds {layer!r}, which is not a layer; the layers are {kinds}")
    return layers


@final
@dataclass(frozen=True, repr=False)
class Residual(_Data):
    """The stream plus a branch of it: h + branch(h). The branch keeps the width."""

    branch: tuple

    def __post_init__(self):
        object.__setattr__(self, "branch", _layers("Residual.branch", self.branch))
        if not self.branch:
            raise ValueError("Residual.branch is empty; give at least one layer")


@final
@dataclass(frozen=True, repr=False)
class Repeat(_Data):
    """A block of layers ``times`` times in a row (0 leaves it out), each with its own weights."""

    block: tuple
    times: int = _value(_check.Integer(0, hint="0 leaves the block out."))

    def __post_init__(self):
        object.__setattr__(self, "block", _layers("Repeat.block", self.block))
        _check.check_fields(self)


KINDS = {
    kind.__name__: kind
    for kind in (Dense, Activation, BatchNorm, LayerNorm, RMSNorm, GroupNorm, FeaturePool, Residual, Repeat)
}


class Step(NamedTuple):
    """One layer of an unrolled network.

    Attributes
    ----------
    name : str
        Unique in the network, e.g. "dense 2"; the readout is "logits".
    layer : Dense, Activation, BatchNorm, LayerNorm, RMSNorm, GroupNorm, FeaturePool or Residual
    fan_in, units : int
        Features that come in and go out.
    branch : tuple of Step
        The steps inside a Residual, otherwise empty.
    """

    name: str
    layer: object
    fan_in: int
    units: int
    branch: tuple = ()


@final
@dataclass(frozen=True, repr=False)
class Network(_Data):
    """A network: layers in order, the last one the Dense readout whose outputs are the logits.

    Parameters
    ----------
    layers : sequence of layers

    Raises
    ------
    TypeError, ValueError
        If an element is not a layer, or the last one is not Dense.

    Examples
    --------
    >>> net = Network((Repeat((Dense(100), LayerNorm(), Activation("relu")), 3), Dense(10)))
    >>> net
    Network((Repeat((Dense(100), LayerNorm(), Activation(activations.relu)), times=3), Dense(10)))
    >>> Network.from_dict(net.to_dict()) == net
    True
    """

    layers: tuple

    def __post_init__(self):
        object.__setattr__(self, "layers", _layers("Network.layers", self.layers))
        if not self.layers or not isinstance(self.layers[-1], Dense):
            last = self.layers[-1] if self.layers else "nothing"
            raise ValueError(f"a Network ends with its readout, a Dense layer; this one ends with {last!r}")
        _unroll(self.layers, None, {})  # groups, pools, widths of residual branches, norms on width 1

    @property
    def outputs(self):
        """Number of logits."""
        return self.layers[-1].units

    @property
    def classes(self):
        """Number of classes: a single logit decides between two by its sign."""
        return max(2, self.outputs)

    @property
    def width(self):
        """Smallest number of units of a hidden Dense layer, or None without one."""
        hidden = flatten(_unroll(self.layers, None, {})[0])[:-1]
        return min((step.units for step in hidden if isinstance(step.layer, Dense)), default=None)

    def steps(self, features):
        """The layers unrolled for inputs of ``features`` features, each a :class:`Step` with its name and sizes."""
        features = _check.integer("features", features, 1)
        steps, _ = _unroll(self.layers, features, {})
        return (*steps[:-1], steps[-1]._replace(name="logits"))

    def around_block(self, features):
        """Steps before, in, and behind one more block of the last Repeat: what depth repeats; None without a Repeat.

        The first part holds the stem and one block already, so that the repeated one receives what later blocks do.
        """
        repeats = [index for index, layer in enumerate(self.layers) if isinstance(layer, Repeat)]
        if not repeats:
            return None
        at = repeats[-1]
        parts, counts = [], {}
        for layers in ((*self.layers[:at], *self.layers[at].block), self.layers[at].block, self.layers[at + 1 :]):
            steps, features = _unroll(layers, features, counts)
            parts.append(steps)
        return tuple(parts)

    def to_dict(self):
        """Plain data (JSON): inverse of :meth:`from_dict`. ValueError for a user's function without code."""
        return _plain.encode(self)

    @staticmethod
    def from_dict(data):
        """The network that :meth:`to_dict` described; ValueError for anything else."""
        network = _plain.decode(data, {**KINDS, "Network": Network})
        if not isinstance(network, Network):
            raise ValueError(f"the data describe a {type(network).__name__}, not a Network")
        return network


def _unroll(layers, features, counts):
    """Steps of a sequence of layers, and the number of features that leave it (None: not known yet)."""
    steps = []
    for layer in layers:
        if isinstance(layer, Repeat):
            for _ in range(layer.times):
                inner, features = _unroll(layer.block, features, counts)
                steps += inner
            continue
        branch, units = (), layer.units if isinstance(layer, Dense) else features
        if isinstance(layer, Residual):
            branch, out = _unroll(layer.branch, features, counts)
            if features is not None and out != features:
                raise ValueError(
                    f"a residual branch must keep the width: it receives {features} features and returns {out}; "
                    f"end it with Dense({features})"
                )
        if features is not None:
            _check_features(layer, features)
        word = _word(layer)
        counts[word] = counts.get(word, 0) + 1
        steps.append(Step(f"{word} {counts[word]}", layer, features, units, tuple(branch)))
        features = units
    return tuple(steps), features


def _check_features(layer, features):
    if isinstance(layer, FeaturePool) and features % layer.size:
        raise ValueError(f"{layer!r} does not divide {features} features; choose a divisor")
    if isinstance(layer, LayerNorm | GroupNorm):
        groups = getattr(layer, "groups", 1)
        if features % groups:
            raise ValueError(f"GroupNorm({groups}) does not divide {features} features; choose a divisor")
        if features // groups < 2:
            raise ValueError(
                f"{type(layer).__name__} over {features // groups} feature centers everything to 0; "
                "use a larger width, fewer groups, or RMSNorm"
            )


def _word(layer):
    if isinstance(layer, Activation):
        return layer.function.name
    words = {Dense: "dense", BatchNorm: "batch norm", LayerNorm: "layer norm", RMSNorm: "rms norm"}
    return (words | {GroupNorm: "group norm", FeaturePool: "pool", Residual: "residual"})[type(layer)]


def flatten(steps):
    """All steps in the order in which they act, the inside of a residual before its sum."""
    flat = []
    for step in steps:
        flat += [*flatten(step.branch), step]
    return flat
