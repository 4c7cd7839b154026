"""Words become layers: ``placement="after"`` turns into layer order here and is tested nowhere downstream."""

from ibtheory import _check
from ibtheory.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    GroupNorm,
    LayerNorm,
    Network,
    Repeat,
    RMSNorm,
)

__all__ = ["mlp"]

_NORMS = {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm, "group": GroupNorm}
_GROUPS = 8  # of norm="group", at most

# Framework defaults as (Dense arguments, epsilon of the norms).
_INITS = {
    "he": ({"weight_variance": 2.0}, 0.0),
    "lecun": ({"weight_variance": 1.0}, 0.0),
    "xavier": ({"weight_variance": 1.0, "weight_scale": "fan_average"}, 0.0),
    "torch": (
        {"weight_variance": 1 / 3, "bias_variance": 1 / 3, "bias_scale": "fan_in", "distribution": "uniform"},
        1e-5,
    ),
    "keras": ({"weight_variance": 1.0, "weight_scale": "fan_average", "distribution": "uniform"}, 1e-3),
}


def mlp(
    width=100,
    depth=10,
    classes=2,
    *,
    activation="relu",
    norm="none",
    placement="after",
    weight_variance=2.0,
    bias_variance=0.0,
    epsilon=0.0,
    init=None,
    distribution=None,
    dropout=0.0,
):
    """A multilayer perceptron: ``depth`` hidden blocks and a Dense readout.

    A block is dense, norm, activation (``placement="before"``), dense, activation, norm ("after"), or dense, norm,
    activation, norm ("both"). All ``depth + 1`` dense layers have weights of variance weight_variance / fan_in and
    biases of variance bias_variance, the readout too.

    Parameters
    ----------
    width : int
        Units of a hidden layer, at least 1.
    depth : int
        Hidden blocks, at least 0.
    classes : int
        Outputs; 1 is a single logit whose sign decides.
    activation : str or ActivationFunction
    norm : {"none", "batch", "layer", "rms", "group"} or a norm layer
        "group" takes the largest number of groups up to 8 that divides the width.
    placement : {"before", "after", "both"}
        Where the norm stands, relative to the activation.
    weight_variance, bias_variance : float
        sigma_w^2 and sigma_b^2.
    epsilon : float
        Of the norms.
    init : {"he", "lecun", "xavier", "torch", "keras"}, optional
        A framework's start, instead of explicit variances. "he": variance 2 / fan_in; "lecun": 1 / fan_in; "xavier":
        2 / (fan_in + units). "torch", the default of torch.nn.Linear: weights and biases uniform with variance
        1 / (3 fan_in), epsilon 1e-5. "keras", the default of keras.layers.Dense: as "xavier" but uniform, epsilon 1e-3.
    distribution : {"normal", "uniform", "orthogonal"}, optional
        Law of the weights, see :class:`Dense`. Default: that of ``init``, or "normal".
    dropout : float
        Rate of a :class:`Dropout` right behind every activation; it acts in training alone.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        For an unknown word, a size or variance out of range, or ``init`` together with explicit variances.

    Examples
    --------
    >>> mlp(100, 3, 10, norm="layer", placement="before")
    Network((Repeat((Dense(100), LayerNorm(), Activation(activations.relu)), times=3), Dense(10)))
    """
    width = _check.integer("width", width, 1)
    depth = _check.integer("depth", depth, 0)
    classes = _check.integer("classes", classes, 1, hint="1 is a single logit whose sign decides between two classes.")
    placement = _check.choice("placement", placement, ("before", "after", "both"))
    epsilon = _check.real("epsilon", epsilon, 0.0)
    dense, init_epsilon = {"weight_variance": weight_variance, "bias_variance": bias_variance}, 0.0
    if init is not None:
        _check.choice("init", init, _INITS)
        if (weight_variance, bias_variance) != (2.0, 0.0):
            raise ValueError(f"init={init!r} sets the variances; leave out weight_variance and bias_variance, or init")
        dense, init_epsilon = _INITS[init]
    if distribution is not None:
        dense = {**dense, "distribution": distribution}
    norms = _norm_layers(norm, width, epsilon or init_epsilon)
    act = (Activation(activation), *((Dropout(dropout),) if dropout else ()))
    order = {"before": norms + act, "after": act + norms, "both": norms + act + norms}[placement]
    return Network((Repeat((Dense(width, **dense), *order), depth), Dense(classes, **dense)))


def _norm_layers(norm, width, epsilon):
    if isinstance(norm, tuple(_NORMS.values())):
        if epsilon and epsilon != norm.epsilon:
            raise ValueError(f"epsilon={epsilon} and {norm!r} disagree; set epsilon in the norm layer")
        return (norm,)
    _check.choice("norm", norm, ("none", *_NORMS), hint="Or give a norm layer, e.g. BatchNorm(mode='running').")
    if norm == "none":
        return ()
    if norm == "group":
        groups = max(g for g in range(1, _GROUPS + 1) if width % g == 0)
        return (GroupNorm(groups, epsilon=epsilon),)
    return (_NORMS[norm](epsilon=epsilon),)
