"""The way back against central differences of the way forward, float64, for every parameter and every input."""

import numpy as np
import pytest

import ibtheory as ib
from ibtheory import activations
from ibtheory.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    FeaturePool,
    GroupNorm,
    LayerNorm,
    Network,
    Repeat,
    Residual,
    RMSNorm,
)
from ibtheory.simulation import backward, machine, probe
from ibtheory.simulation.layout import Layout
from ibtheory.simulation.ops import masks
from ibtheory.simulation.ops.callback import Callback
from ibtheory.simulation.ops.product import gemm_address
from ibtheory.simulation.program import BACK, TARGET, compile_network

SAMPLES, FEATURES, WIDTH = 12, 6, 8
NOTHING = np.zeros((0, 0))


class Differentiated:
    """A network whose parameters, inputs and residual can be set, and the gradients of sum(residual * logits)."""

    def __init__(self, net, X, *, batch=None, affine=True, dtype="float64"):
        samples, features = X.shape
        self.X, self.dtype = X, dtype
        layout = Layout(own=True, tape=True, affine=affine, dropout=True)
        self.program = compile_network(net, features, samples, batch=batch or samples, explicit=True, layout=layout)
        self.tables = self.program.tables._replace(stop=-1)
        self.parameters = np.zeros(self.program.weights + 64, dtype)
        self.work = machine.workspace(self.program, X.astype(dtype), dtype, self.parameters)
        masks.draw(self.tables, self.work, np.uint64(3), 0, 0)  # stay as they are
        self.back = backward.gradients(self.program, dtype)
        calls = [(record, slope) for slope in (False, True) for record in self.program.calls]
        self.calls = [Callback(record, dtype, derivative=slope) for record, slope in calls]
        self.addresses = np.array([gemm_address(dtype), *(call.address for call in self.calls)], np.int64)
        self.size = max(place.stop for place in self.program.places)
        self.outputs = net.outputs

    def run(self, residual, values=None):
        """Draw, or take ``values`` of all parameters; forward and backward."""
        out = machine.outcome(self.program, 1, max(2, self.outputs)), probe.probed(self.program, 1)
        given = NOTHING.astype(self.dtype)
        if values is not None:
            drawn = [p for p in self.program.places if p.kind in ("weights", "bias")]
            given = np.concatenate([values[p.start : p.stop] for p in drawn])[None].astype(self.dtype)
            for place in self.program.places:  # scale and shift are not drawn
                if place not in drawn:
                    self.parameters[place.start : place.stop] = values[place.start : place.stop]
        asked = probe.Question(np.asarray(residual, self.dtype).ravel(), True, -1, 0)
        memory = probe.memory(self.program, self.work, self.back, asked)
        self.work.space[: self.X.size] = self.X.ravel()
        probe.run(self.tables, np.uint64(3), 0, self.addresses, given, asked, memory, out)
        assert not any(call.failures for call in self.calls)
        return out[1]

    @property
    def logits(self):
        place = self.tables.operations[-1, TARGET]
        return self.work.space[place : place + len(self.X) * self.outputs].reshape(len(self.X), -1).copy()

    def gradients(self):
        """(with respect to the parameters, with respect to the inputs)."""
        place = self.tables.operations[0, BACK]
        return self.back.parameters[: self.size].copy(), self.work.space[place : place + self.X.size].copy()


def check(net, *, samples=SAMPLES, batch=None, affine=False):
    """Gradients against central differences, to 1e-7 of the largest of their kind; up to 12 of every kind."""
    rng = np.random.default_rng(samples)
    X = rng.normal(size=(samples, FEATURES)) + 0.2
    network = Differentiated(net, X, batch=batch, affine=affine)
    residual = rng.normal(size=(samples, network.outputs))
    network.run(residual)
    start = network.parameters[: network.size].copy()
    for place in network.program.places:
        if place.kind != "weights":
            start[place.start : place.stop] = (place.kind == "scale") + 0.3 * rng.normal(size=place.stop - place.start)

    def value(parameters, X):
        network.X = X
        network.run(residual, parameters)
        return float(np.sum(network.logits * residual))

    value(start, X)
    by_parameters, by_inputs = network.gradients()
    for place in network.program.places:
        if place.kind == "zero":
            continue
        found, at = differences(lambda p: value(p, X), start, range(place.start, place.stop), rng)
        compare(by_parameters[at], found, np.abs(by_parameters[place.start : place.stop]).max(), str(place))
    found, at = differences(lambda flat: value(start, flat.reshape(X.shape)), X.ravel(), range(X.size), rng)
    compare(by_inputs[at], found, np.abs(by_inputs).max(), "inputs")


def differences(function, start, indices, rng, step=1e-6):
    """(central differences, where) at up to 12 of the indices."""
    at = rng.choice(list(indices), min(len(indices), 12), replace=False)
    shifts = step * np.eye(len(start))[at]
    return [(function(start + shift) - function(start - shift)) / (2 * step) for shift in shifts], at


def compare(gradient, found, size, name):
    np.testing.assert_allclose(gradient, found, rtol=1e-7, atol=1e-7 * (1 + size), err_msg=name)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_dropout_with_a_fixed_mask(norm, activation):
    check(ib.mlp(WIDTH, 2, 3, norm=norm, activation=activation, dropout=0.4))
    branch = (Dropout(0.3), Dense(WIDTH), Activation(activation), Dropout(0.5))
    check(Network((Dropout(0.2), Dense(WIDTH), Residual(branch), Dropout(0.5), Dense(2))))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("placement", ["before", "after", "both"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "rms", "group"])
def test_every_norm_and_placement(norm, placement, depth):
    norm = GroupNorm(2) if norm == "group" else norm
    check(ib.mlp(WIDTH, depth, 3, norm=norm, placement=placement, activation="tanh"))


@pytest.mark.parametrize("activation", [*activations.catalogue().values(), activations.leaky_relu(0.2)])
@pytest.mark.parametrize("placement", ["before", "after"])
def test_every_activation(activation, placement):
    check(ib.mlp(WIDTH, 2, 3, activation=activation, norm="layer", placement=placement))


@pytest.mark.parametrize("batch", [3, 6])
@pytest.mark.parametrize("placement", ["before", "after"])
def test_batches(placement, batch):
    check(ib.mlp(WIDTH, 2, 3, norm="batch", placement=placement, activation="tanh"), batch=batch)


@pytest.mark.parametrize(
    "norm",
    [
        BatchNorm(epsilon=0.1, scale=1.5, shift=0.2),
        LayerNorm(epsilon=0.1, scale=1.5, shift=-0.2),
        RMSNorm(epsilon=0.1, scale=0.5),
        GroupNorm(4, epsilon=0.1, scale=1.5, shift=0.2),
        BatchNorm("running", epsilon=0.1, scale=1.5, shift=0.2),
    ],
    ids=lambda norm: f"{type(norm).__name__}-{getattr(norm, 'mode', '')}",
)
@pytest.mark.parametrize("affine", [False, True], ids=["constants", "parameters"])
def test_epsilon_scale_and_shift(norm, affine):
    check(ib.mlp(WIDTH, 2, 3, norm=norm, placement="both", activation="gelu"), affine=affine)


LAYERS = {
    "around a block": (Dense(WIDTH), Residual((LayerNorm(), Activation("relu"), Dense(WIDTH))), Dense(3)),
    "of the input": (Residual((Dense(FEATURES), Activation("tanh"))), Dense(3)),
    "input in place": (Residual((Activation("tanh"), BatchNorm())), RMSNorm(), Dense(3)),
    "nested": (
        Dense(WIDTH),
        Residual((Dense(WIDTH), Residual((Activation("erf"), Dense(WIDTH), RMSNorm())), BatchNorm())),
        Dense(3),
    ),
    "repeated": (
        Dense(WIDTH),
        Repeat((Residual((Dense(5), Activation("erf"), Dense(WIDTH))), RMSNorm()), 3),
        Dense(3),
    ),
    "identity": (Dense(WIDTH), Residual((Repeat((Dense(WIDTH),), 0),)), Activation("tanh"), Dense(3)),
    "ends in an activation": (Dense(WIDTH), Residual((Dense(WIDTH), Activation("tanh"))), LayerNorm(), Dense(3)),
    "norm first": (BatchNorm(), Dense(3)),
    "three norms": (Dense(WIDTH), LayerNorm(), BatchNorm(), RMSNorm(), Dense(3)),
    "two activations": (Dense(WIDTH), Activation("relu"), Activation("tanh"), Dense(3)),
    "widths": (Dense(3), Activation("tanh"), Dense(70), Activation("gelu"), Dense(2), Dense(1)),
    "readout alone": (Dense(3),),
    "largest of pools": (Dense(WIDTH), Activation("tanh"), FeaturePool("max"), Dense(3)),
    "smallest of pools": (Dense(WIDTH), FeaturePool("min", 4), LayerNorm(), Dense(3)),
    "mean of pools": (Dense(WIDTH), FeaturePool("average"), Activation("gelu"), Dense(3)),
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
def test_orders_and_residuals(layers):
    check(Network(layers))


def test_more_samples_than_a_tile():
    check(ib.mlp(WIDTH, 1, 3, norm="batch", activation="tanh"), samples=140, batch=70)
    check(ib.mlp(WIDTH, 1, 1, norm="layer", activation="tanh"), samples=131)


def test_a_users_activation():
    swish = activations.from_function(
        lambda x: x / (1 + np.exp(-x)),
        lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2,
        name="swish",
    )
    cubic = activations.from_sympy("x**3/6 + x")
    check(Network((Dense(WIDTH), Activation(swish), LayerNorm(), Dense(WIDTH), Activation(cubic), Dense(3))))


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh", "gelu", "sigmoid", "silu", "softplus", "mish"])
def test_single_precision(activation):
    net = ib.mlp(64, 4, 3, activation=activation, norm="layer", placement="both")
    X = np.random.default_rng(0).normal(size=(50, FEATURES))
    residual = np.random.default_rng(1).normal(size=(50, 3))
    found = []
    for dtype in ("float32", "float64"):
        network = Differentiated(net, X, affine=False, dtype=dtype)
        network.run(residual)
        found.append(network.gradients()[0].astype(float))
    for place in network.program.places:
        single, double = (gradient[place.start : place.stop] for gradient in found)
        assert np.linalg.norm(single - double) < 1e-5 * np.linalg.norm(double), place


def test_a_dead_feature_passes_no_gradient():
    X = np.abs(np.random.default_rng(0).normal(size=(SAMPLES, FEATURES)))
    W = np.abs(np.random.default_rng(1).normal(size=(FEATURES, WIDTH)))
    W[:, ::2] *= -1
    network = Differentiated(ib.mlp(WIDTH, 1, 3, norm="batch"), X, affine=False)
    values = np.concatenate([W.ravel(), np.zeros(WIDTH), np.ones(3 * WIDTH), np.zeros(3)])
    network.run(np.random.default_rng(2).normal(size=(SAMPLES, 3)), values)
    gradient = network.gradients()[0][: W.size].reshape(W.shape)
    assert (gradient[:, ::2] == 0).all()
    assert np.isfinite(gradient).all()
