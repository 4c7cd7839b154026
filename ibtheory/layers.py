"""The vocabulary: a network is described once, as plain immutable data; everything else is a reading of it.

Placement is the order of the layers and nothing else. ``repr`` of a network is code that rebuilds it (after
``from ibtheory import *``), :meth:`Network.to_dict` is its JSON form.
"""

from dataclasses import dataclass
from typing import NamedTuple, final

from ibtheory import _check, _plain, activations
from ibtheory._layer import Data, value
from ibtheory._norms import BatchNorm, GroupNorm, LayerNorm, RMSNorm

__all__ = [
    "Activation",
    "BatchNorm",
    "Dense",
    "Dropout",
    "FeaturePool",
    "GroupNorm",
    "LayerNorm",
    "Network",
    "RMSNorm",
    "Repeat",
    "Residual",
    "Step",
]


@final
@dataclass(frozen=True, repr=False)
class Dense(Data):
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
    distribution : {"normal", "uniform", "orthogonal"}
        Law of the weights, entries of that variance in each. "uniform": on an interval around 0, the biases too.
        "orthogonal": sqrt(variance max(fan_in, units)) times columns that are orthonormal, or rows where there are
        more units than inputs, uniform by Haar's measure; biases are normal.

    Notes
    -----
    All three have the same theory at infinite width; the terms of order 1/width differ.
    ``torch.nn.init.orthogonal_`` leaves the rows of a wide matrix at length 1, their variance at 1/units.

    Examples
    --------
    >>> Dense(10, bias_variance=0.1)
    Dense(10, bias_variance=0.1)
    >>> Dense(10, 2.0, 0.1).variances(fan_in=784)
    (2.0, 0.1)
    """

    units: int = value(_check.Integer(1, hint="A layer needs at least one unit."))
    weight_variance: float = value(_check.Real(0.0, hint="A variance is not negative."), 2.0)
    bias_variance: float = value(_check.Real(0.0, hint="A variance is not negative."), 0.0)
    weight_scale: str = value(_check.Choice(("fan_in", "fan_average")), "fan_in")
    bias_scale: str = value(_check.Choice(("constant", "fan_in")), "constant")
    distribution: str = value(_check.Choice(("normal", "uniform", "orthogonal")), "normal")

    def variances(self, fan_in):
        """(fan_in times the variance of a weight, variance of a bias): sigma_w^2 and sigma_b^2 of the theory."""
        fan = fan_in if self.weight_scale == "fan_in" else (fan_in + self.units) / 2
        bias = self.bias_variance if self.bias_scale == "constant" else self.bias_variance / fan_in
        return self.weight_variance * fan_in / fan, bias


@final
@dataclass(frozen=True, repr=False)
class Activation(Data):
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
class FeaturePool(Data):
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

    reduction: str = value(_check.Choice(("max", "average", "min")))
    size: int = value(_check.Integer(2, hint="A pool of one feature does nothing."), 2)


@final
@dataclass(frozen=True, repr=False)
class Dropout(Data):
    """While the network learns, each feature of each sample is 0 with probability ``rate``, else over 1 - ``rate``.

    It acts in :func:`ibtheory.train` alone, on the batch of each step, with masks that follow from the seed, the
    network, the step and the layer. Everywhere else, where predictions are made, it is the identity and no step of the
    network: the untrained networks of ``predict`` and ``simulate`` are those without it.

    Parameters
    ----------
    rate : float
        At least 0, below 1.

    References
    ----------
    Srivastava et al., JMLR 15 (2014); scaled while learning, as torch.nn.Dropout is.

    Examples
    --------
    >>> net = Network((Dense(64), Activation("relu"), Dropout(0.1), Dense(2)))
    >>> [len(net.steps(20, training=learning)) for learning in (False, True)]
    [3, 4]
    """

    rate: float = value(_check.Real(0.0, 1.0, hint="Below 1: some features must be left."))

    def __post_init__(self):
        _check.check_fields(self)
        if self.rate == 1.0:
            raise ValueError("Dropout.rate must be below 1, got 1.0; some features must be left")


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
class Residual(Data):
    """The stream plus a branch of it: h + branch(h). The branch keeps the width."""

    branch: tuple

    def __post_init__(self):
        object.__setattr__(self, "branch", _layers("Residual.branch", self.branch))
        if not self.branch:
            raise ValueError("Residual.branch is empty; give at least one layer")
        if all(isinstance(layer, Dropout) for layer in self.branch):
            raise ValueError("Residual.branch holds nothing but Dropout; give at least one other layer")


@final
@dataclass(frozen=True, repr=False)
class Repeat(Data):
    """A block of layers ``times`` times in a row (0 leaves it out), each with its own weights."""

    block: tuple
    times: int = value(_check.Integer(0, hint="0 leaves the block out."))

    def __post_init__(self):
        object.__setattr__(self, "block", _layers("Repeat.block", self.block))
        _check.check_fields(self)


KINDS = {
    kind.__name__: kind
    for kind in (Dense, Activation, BatchNorm, LayerNorm, RMSNorm, GroupNorm, FeaturePool, Dropout, Residual, Repeat)
}


class Step(NamedTuple):
    """One layer of an unrolled network.

    Attributes
    ----------
    name : str
        Unique in the network, e.g. "dense 2"; the readout is "logits".
    layer : Dense, Activation, BatchNorm, LayerNorm, RMSNorm, GroupNorm, FeaturePool, Dropout or Residual
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
class Network(Data):
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

    def steps(self, features, *, training=False):
        """The layers unrolled for inputs of ``features`` features, each a :class:`Step` with its name and sizes.

        Dropout is among them with ``training`` only.
        """
        features = _check.integer("features", features, 1)
        steps, _ = _unroll(self.layers, features, {}, training)
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


def _unroll(layers, features, counts, training=False):
    """Steps of a sequence of layers, and the number of features that leave it (None: not known yet)."""
    steps = []
    for layer in layers:
        if isinstance(layer, Dropout) and not training:
            continue
        if isinstance(layer, Repeat):
            for _ in range(layer.times):
                inner, features = _unroll(layer.block, features, counts, training)
                steps += inner
            continue
        branch, units = (), layer.units if isinstance(layer, Dense) else features
        if isinstance(layer, Residual):
            branch, out = _unroll(layer.branch, features, counts, training)
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
    words |= {GroupNorm: "group norm", FeaturePool: "pool", Dropout: "dropout", Residual: "residual"}
    return words[type(layer)]


def flatten(steps):
    """All steps in the order in which they act, the inside of a residual before its sum."""
    flat = []
    for step in steps:
        flat += [*flatten(step.branch), step]
    return flat
