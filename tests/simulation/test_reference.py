"""Whole networks, float64, against the plain loops of tests/reference/network.py: every layer, to rounding."""

import numpy as np
import pytest
from reference import network as reference

import ibtheory as ib
from ibtheory import activations
from ibtheory.layers import (
    Activation,
    BatchNorm,
    Dense,
    GroupNorm,
    LayerNorm,
    Network,
    Repeat,
    Residual,
    RMSNorm,
)

SAMPLES, FEATURES, WIDTH = 12, 7, 8


def draw_parameters(net, features, rng, networks=2):
    """Random explicit parameters, one list of (W, b) per network."""
    shapes = [(s.fan_in, s.units) for s in ib.layers.flatten(net.steps(features)) if isinstance(s.layer, Dense)]

    def one():
        return [(rng.normal(size=s) * np.sqrt(2 / s[0]), 0.3 * rng.normal(size=s[1])) for s in shapes]

    return [one() for _ in range(networks)]


def check_shape(e, shapes, n):
    """What the law of a logit looks like, from the moments of each network (networks, 9)."""
    skewness, m2, m22, m33, m4, z2, z4, *tails = shapes.mean(axis=0)
    k4 = n**2 * ((n + 1) * m4 - 3 * (n - 1) * m22) / ((n - 1) * (n - 2) * (n - 3))  # Fisher's k-statistic
    square = (n - 1) / (n + 1) * (m22 * n**2 / (n - 1) ** 2 - k4 / n)
    unbiased = z2**2 - np.var(shapes[:, 5], ddof=1) / len(shapes)
    values = [e.skewness, e.skewness_spread, e.kurtosis, e.network_kurtosis, e.tail_2, e.tail_3]
    expected = [skewness, (m33 / m2**3) ** 0.5, k4 / square, z4 / unbiased - 3, *tails]
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-9)
    assert e.histogram.sum() == pytest.approx(1, abs=1e-12)


def check(net, *, description=None, samples=SAMPLES, batch="all", functions=None, seed=0, tolerance=1e-11):
    """Compare every statistic of two networks with the reference."""
    rng = np.random.default_rng([seed, samples])
    X = rng.normal(size=(samples, FEATURES)) + 0.3
    parameters = draw_parameters(net, FEATURES, rng)
    e = ib.simulate(net, ib.Dataset(X), parameters=parameters, dtype="float64", batch=batch)
    functions = reference.FUNCTIONS | (functions or {})
    size = samples if batch == "all" else batch
    for index, given in enumerate(parameters):
        values = reference.forward(description or net.to_dict(), X, given, batch=size, functions=functions)
        expected = np.array([reference.statistics(h) for h in values])
        scale = expected[:, :1]  # cross may vanish: compare it with the size of its terms
        np.testing.assert_allclose(e.per_layer[index][:, [0, 2]], expected[:, [0, 2]], rtol=tolerance)
        np.testing.assert_array_less(abs(e.per_layer[index] - expected) / np.maximum(scale, scale**0.5), tolerance)
        counts = reference.class_counts(values[-1])
        np.testing.assert_allclose(e.class_fractions[index] * samples, counts, rtol=1e-14)
        assert e.agreement[index] == pytest.approx(reference.agreement(values[-1]), abs=1e-14)
    shapes = [
        reference.shape(reference.forward(description or net.to_dict(), X, given, batch=size, functions=functions)[-1])
        for given in parameters
    ]
    check_shape(e, np.array(shapes), samples)
    return e


@pytest.mark.parametrize("depth", [0, 1, 3, 10])
@pytest.mark.parametrize("placement", ["before", "after", "both"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "rms", "group"])
def test_every_norm_and_placement(norm, placement, depth):
    net = ib.mlp(WIDTH, depth, 3, norm=norm if norm != "group" else GroupNorm(2), placement=placement)
    check(net, tolerance=1e-9 if depth == 10 else 1e-11)


SMOOTH = ["erf", "tanh", "gelu", "sigmoid", "silu", "softplus", "mish"]


@pytest.mark.parametrize("activation", ["relu", activations.leaky_relu(0.2), "abs", "linear", *SMOOTH])
def test_every_activation(activation):
    check(ib.mlp(WIDTH, 3, 3, activation=activation, norm="layer", placement="before"))


@pytest.mark.parametrize(
    "norm",
    [
        BatchNorm(epsilon=0.1, scale=1.5, shift=0.2),
        LayerNorm(epsilon=0.1, scale=1.5, shift=-0.2),
        RMSNorm(epsilon=0.1, scale=0.5),
        GroupNorm(4, epsilon=0.1, scale=1.5, shift=0.2),
        BatchNorm("running", epsilon=0.1, scale=1.5, shift=0.2),
        BatchNorm("running", epsilon=0.1, scale=1.5, shift=0.2, batches=3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("placement", ["before", "after", "both"])
def test_epsilon_and_affine_constants(norm, placement):
    check(ib.mlp(WIDTH, 3, 3, norm=norm, placement=placement))


@pytest.mark.parametrize("batch", [2, 3, 6, 12])
@pytest.mark.parametrize("placement", ["before", "after", "both"])
def test_batch_sizes(batch, placement):
    check(ib.mlp(WIDTH, 3, 3, norm="batch", placement=placement), batch=batch, tolerance=1e-9)


RESIDUALS = {
    "around a block": (Dense(WIDTH), Residual((LayerNorm(), Activation("relu"), Dense(WIDTH))), Dense(3)),
    "of the input": (Residual((Dense(FEATURES), Activation("tanh"))), Dense(3)),
    "input in place": (Residual((Activation("tanh"), BatchNorm())), RMSNorm(), Dense(3)),
    "nested": (
        Dense(WIDTH),
        Residual((Dense(WIDTH), Residual((Activation("relu"), Dense(WIDTH), RMSNorm())), BatchNorm())),
        Dense(3),
    ),
    "repeated": (
        Dense(WIDTH),
        Repeat((Residual((Dense(5), Activation("erf"), Dense(WIDTH))), RMSNorm()), 3),
        Dense(3),
    ),
    "identity": (Dense(WIDTH), Residual((Repeat((Dense(WIDTH),), 0),)), Activation("relu"), Dense(3)),
}


@pytest.mark.parametrize("layers", RESIDUALS.values(), ids=RESIDUALS.keys())
def test_residual(layers):
    check(Network(layers))


ODD = {
    "norm first": (BatchNorm(), Dense(3)),
    "two norms": (Dense(WIDTH), LayerNorm(), BatchNorm(), RMSNorm(), Dense(3)),
    "two activations": (Dense(WIDTH), Activation("relu"), Activation("tanh"), Dense(3)),
    "widths": (Dense(3), Activation("relu"), Dense(70), Activation("relu"), Dense(2), Dense(1)),
    "only norms": (LayerNorm(), RMSNorm(), Dense(1)),
}


@pytest.mark.parametrize("layers", ODD.values(), ids=ODD.keys())
def test_unusual_orders(layers):
    check(Network(layers))


def test_more_samples_than_a_tile():
    check(ib.mlp(WIDTH, 1, 3, norm="batch"), samples=140, batch=70)
    check(ib.mlp(WIDTH, 1, 1, norm="layer"), samples=131)


def test_wide_layers():
    check(ib.mlp(300, 1, 3, norm="layer"), samples=20)


def test_a_users_activation():
    swish = activations.from_function(
        lambda x: x / (1 + np.exp(-x)),
        lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2,
        name="swish",
    )
    cubic = activations.from_sympy("x**3/6 + x")
    layers = (Dense(WIDTH), Activation(swish), LayerNorm(), Dense(WIDTH), Activation(cubic), Dense(3))
    description = {
        "layers": [
            {"kind": "Dense", "units": WIDTH},
            {"kind": "Activation", "function": "swish"},
            {"kind": "LayerNorm", "epsilon": 0.0, "scale": 1.0, "shift": 0.0},
            {"kind": "Dense", "units": WIDTH},
            {"kind": "Activation", "function": "cubic"},
            {"kind": "Dense", "units": 3},
        ]
    }
    functions = {"swish": lambda v: v / (1 + np.exp(-v)), "cubic": lambda v: v**3 / 6 + v}
    check(Network(layers), description=description, functions=functions)


def test_dead_features_are_counted_after_the_activation_and_normalized_to_zero():
    # Every weight negative and every input positive: half of the ReLU never fire.
    W = np.abs(np.random.default_rng(0).normal(size=(FEATURES, WIDTH)))
    W[:, ::2] *= -1
    X = np.abs(np.random.default_rng(1).normal(size=(SAMPLES, FEATURES)))
    readout = np.random.default_rng(2).normal(size=(WIDTH, 3))
    for norm in ("batch", "layer", "rms"):
        net = ib.mlp(WIDTH, 1, 3, norm=norm)
        e = ib.simulate(net, ib.Dataset(X), parameters=[[(W, None), (readout, None)]], dtype="float64")
        assert e.dead.tolist() == [0.5]
        h = reference.forward(net.to_dict(), X, [(W, None), (readout, None)])
        np.testing.assert_allclose(e.per_layer[0], [reference.statistics(v) for v in h], atol=1e-12)


def test_small_gaps_keep_their_relative_precision():
    # Samples that differ by 1e-6: a gap of 1e-12, which E h^2 - E h h' would give to 4 digits only.
    rng = np.random.default_rng(0)
    X = rng.normal(size=FEATURES) + 1e-6 * rng.normal(size=(SAMPLES, FEATURES))
    net = ib.mlp(WIDTH, 2, 3, activation="linear")
    parameters = draw_parameters(net, FEATURES, rng, 1)
    e = ib.simulate(net, ib.Dataset(X), parameters=parameters, dtype="float64")
    expected = [reference.statistics(h)[2] for h in reference.forward(net.to_dict(), X, parameters[0])]
    np.testing.assert_allclose(e.per_layer[0, :, 2], expected, rtol=1e-8)  # data carry 1e-16 / 1e-6
    np.testing.assert_array_equal(e.per_layer[..., 0], e.per_layer[..., 1] + e.per_layer[..., 2])


@pytest.mark.parametrize("batch", [2, 6, 12])
@pytest.mark.parametrize("placement", ["before", "after", "both"])
@pytest.mark.parametrize(("momentum", "batches"), [(0.1, 1), (0.3, 8), (None, 3), (1.0, 3)])
def test_running_statistics_of_training_batches(batch, placement, momentum, batches):
    norm = BatchNorm("running", momentum=momentum, batches=batches, epsilon=1e-3)
    check(ib.mlp(WIDTH, 2, 3, norm=norm, placement=placement), batch=batch, tolerance=1e-9)


def test_training_batches_of_rotated_inputs_and_of_several_layers():
    layers = (
        Dense(WIDTH), BatchNorm("running", batches=2), Activation("relu"), LayerNorm(), Dense(WIDTH), BatchNorm(),
        Residual((Activation("tanh"), Dense(WIDTH), BatchNorm("running", momentum=None, batches=4))), Dense(3),
    )  # fmt: skip
    check(Network(layers), batch=3, tolerance=1e-9)


def test_training_batches_have_the_same_law_from_the_triangle_of_the_inputs():
    net = ib.mlp(WIDTH, 2, 3, norm=BatchNorm("running", batches=3), placement="before")
    rotated = ib.simulate(net, ib.GaussianInputs(40), samples=20, batch=5, networks=1000, readouts=1)
    rng, shapes = np.random.default_rng(1), [(40, WIDTH), (WIDTH, WIDTH), (WIDTH, 3)]
    given = [[(rng.normal(size=s) * np.sqrt(2 / s[0]), None) for s in shapes] for _ in range(1000)]
    plain = ib.simulate(net, rotated.inputs, batch=5, parameters=given)
    for name in ("gamma", "class_fraction_variance"):
        error = np.hypot(getattr(rotated, f"{name}_error"), getattr(plain, f"{name}_error"))
        assert abs(getattr(rotated, name) - getattr(plain, name)) < 4 * error
