"""The catalogue of networks that every reading is tested on: (name, network, why)."""

import ibtheory as ib

NORMS = ("none", "batch", "layer", "rms", "group")
PLACEMENTS = ("before", "after", "both")
CELLS = [("none", "after"), *((norm, place) for norm in ("batch", "layer", "rms") for place in ("before", "after"))]


def residual(*branch, depth=2, width=32, classes=3):
    """Dense stem, ``depth`` residual blocks, readout."""
    return ib.Network((ib.Dense(width), ib.Repeat((ib.Residual(branch),), depth), ib.Dense(classes)))


CASES = [
    ("linear readout", ib.mlp(8, 0, 3), "no hidden layer at all"),
    *(
        (f"{norm} {place}", ib.mlp(32, 3, 3, norm=norm, placement=place), "every norm at every place")
        for norm in NORMS
        for place in PLACEMENTS
    ),
    *(
        (f"{name} layer both", ib.mlp(32, 2, 3, activation=name, norm="layer", placement="both"), "every activation")
        for name in ib.activations.catalogue()
    ),
    (
        "two activations",
        ib.Network((ib.Dense(32), ib.Activation("relu"), ib.Activation("tanh"), ib.Dense(3))),
        "a chain",
    ),
    (
        "activation, norm, activation",
        ib.Network((ib.Dense(32), ib.Activation("relu"), ib.LayerNorm(), ib.Activation("relu"), ib.Dense(3))),
        "a kink behind a norm",
    ),
    (
        "affine",
        ib.Network((ib.Dense(32), ib.LayerNorm(scale=0.5, shift=0.3), ib.Activation("tanh"), ib.Dense(3))),
        "scale and shift before the activation",
    ),
    ("running", ib.mlp(32, 2, 3, norm=ib.BatchNorm(mode="running", epsilon=0.1), placement="before"), "the identity"),
    ("epsilon", ib.mlp(32, 2, 3, norm="layer", placement="before", epsilon=0.5), "an epsilon that is felt"),
    ("biases", ib.mlp(32, 3, 3, bias_variance=0.3, activation="gelu"), "biases"),
    ("torch", ib.mlp(32, 3, 3, norm="layer", init="torch"), "uniform weights, biases by fan-in"),
    ("residual none", residual(ib.Activation("relu"), ib.Dense(32)), "a stream without norm"),
    ("residual layer", residual(ib.LayerNorm(), ib.Activation("relu"), ib.Dense(32)), "pre-activation residual"),
    ("residual batch", residual(ib.BatchNorm(), ib.Activation("relu"), ib.Dense(32)), "batch statistics of a stream"),
]


def ids(case):
    """Test id of a case."""
    return case[0]
