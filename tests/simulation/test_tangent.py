"""Empirical tangent kernels: against explicit sums over the definition, against torch, and along both ways back."""

import json

import numpy as np
import pytest

import ibtheory as ib
from ibtheory import reporting
from ibtheory.layers import Activation, BatchNorm, Dense, GroupNorm, LayerNorm, Network, Residual, flatten

SAMPLES, FEATURES, WIDTH = 7, 5, 6
X = ib.Dataset(np.random.default_rng(0).normal(size=(SAMPLES, FEATURES)))


def drawn(net, networks=3, features=FEATURES):
    """Per network a list of (W, b) per dense layer; b None where the layer has no bias_variance."""
    rng = np.random.default_rng(1)
    shapes = [(s.fan_in, s.units, s.layer) for s in flatten(net.steps(features)) if isinstance(s.layer, Dense)]
    return [
        [(rng.normal(size=(a, b)), rng.normal(size=b) if layer.bias_variance else None) for a, b, layer in shapes]
        for _ in range(networks)
    ]


def numbers(theta):
    """same, cross, gap, lambda_max by their definition, pair by pair."""
    pairs = [(a, b) for a in range(len(theta)) for b in range(len(theta)) if a != b]
    same, cross = np.mean(np.diagonal(theta)), np.mean([theta[pair] for pair in pairs])
    return [same, cross, same - cross, np.linalg.eigvalsh(theta).max()]


def kernel_of_relu(X, layers, output):
    """Sample by sample: outer products of what a layer receives and of what comes back."""
    rows = []
    for x in X:
        h, kept = x, []
        for W, b in layers:
            kept.append((h, h @ W + b))
            h = np.maximum(kept[-1][1], 0)
        delta, row = np.eye(len(kept[-1][1]))[output], []
        for (W, _), (h, z) in zip(layers[::-1], kept[::-1], strict=True):
            if h is not kept[-1][0]:
                delta = delta * (z > 0)
            row += [np.outer(h, delta).ravel(), delta]
            delta = W @ delta
        rows.append(np.concatenate(row))
    return np.array(rows) @ np.array(rows).T


@pytest.mark.parametrize("output", [0, 2])
def test_relu_by_hand(output):
    net = ib.mlp(WIDTH, 2, 3, bias_variance=0.1)
    parameters = drawn(net)
    e = ib.simulate(net, X, parameters=parameters, dtype="float64", tangent=output)
    expected = [numbers(kernel_of_relu(X.X, layers, output)) for layers in parameters]
    np.testing.assert_allclose(e.per_network_tangent, expected, rtol=1e-12)
    for index, name in enumerate(("same", "cross", "gap", "lambda_max")):
        values = e.per_network_tangent[:, index]
        assert e.tangent[name] == pytest.approx(values.mean(), rel=1e-12)
        assert e.tangent[f"{name}_error"] == pytest.approx(values.std(ddof=1) / np.sqrt(3), rel=1e-12)
    assert np.isnan(e.layers["gradient"]).all()
    assert e.per_layer_gradient is None


def test_a_linear_readout_is_the_kernel_of_its_inputs():
    gram = X.X @ X.X.T
    for bias, expected in ((0.0, gram), (0.5, gram + 1)):  # only trained biases count
        e = ib.simulate(ib.mlp(WIDTH, 0, 2, bias_variance=bias), X, networks=4, readouts=3, dtype="float64", tangent=1)
        np.testing.assert_allclose(e.per_network_tangent, [numbers(expected)] * 4, rtol=1e-12)


BRANCH = (LayerNorm(epsilon=0.1), Activation("tanh"), Dense(WIDTH, bias_variance=0.3))
NETWORKS = {
    **{
        f"{norm} {placement}": ib.mlp(WIDTH, 2, 3, activation="tanh", norm=norm, placement=placement, epsilon=0.01)
        for norm in ("batch", "layer", "rms")
        for placement in ("before", "after", "both")
    },
    "group": ib.mlp(WIDTH, 2, 1, activation="erf", norm=GroupNorm(2, scale=1.5, shift=0.2), bias_variance=0.1),
    "affine": ib.mlp(WIDTH, 2, 3, activation="gelu", norm=BatchNorm(epsilon=0.1, scale=1.5), bias_variance=0.1),
    "residuals": Network((Dense(WIDTH), Residual(BRANCH), Residual((*BRANCH, Residual(BRANCH))), Dense(3))),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", NETWORKS)
def test_every_norm_and_placement_against_the_jacobian_of_torch(name):
    torch = pytest.importorskip("torch")
    from reference import torch_training as reference

    net = NETWORKS[name]
    parameters = drawn(net)
    e = ib.simulate(net, X, parameters=parameters, dtype="float64", tangent=net.outputs - 1)
    dense = [i for i, step in enumerate(flatten(net.steps(FEATURES))) if isinstance(step.layer, Dense)]
    for layers, found in zip(parameters, e.per_network_tangent, strict=True):
        values = {(i, "weights"): W for i, (W, _) in zip(dense, layers, strict=True)}
        values |= {(i, "bias"): b for i, (_, b) in zip(dense, layers, strict=True) if b is not None}
        model = reference.Model(net.to_dict(), values, affine=False)
        logits = model(torch.tensor(X.X))[:, -1]
        rows = [torch.autograd.grad(f, [*model.values.values()], retain_graph=True) for f in logits]
        jacobian = np.array([np.concatenate([g.numpy().ravel() for g in row]) for row in rows])
        np.testing.assert_allclose(found, numbers(jacobian @ jacobian.T), rtol=1e-9)


def test_both_ways_back_agree():
    # A BatchNorm in batches of two next to a stream that is not normalized leaves the rest of the network as it is,
    # at a scale of nearly 0; the kernel is then found sample by sample.
    plain = Network((Dense(WIDTH, bias_variance=0.1), Activation("tanh"), Dense(3)))
    vanishing = Residual((BatchNorm(epsilon=1.0, scale=1e-12),))
    mixed = Network((Dense(WIDTH, bias_variance=0.1), Activation("tanh"), vanishing, Dense(3)))
    parameters = drawn(plain)
    one, each = (ib.simulate(n, X, parameters=parameters, dtype="float64", tangent=0) for n in (plain, mixed))
    np.testing.assert_allclose(one.per_network_tangent, each.per_network_tangent, rtol=1e-9)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_workers_stores_readouts_rotation_and_gradients(norm, tmp_path):
    net, x = ib.mlp(WIDTH, 2, 3, norm=norm), ib.GaussianInputs(SAMPLES + 5)
    options = {"samples": SAMPLES, "networks": 40, "dtype": "float64", "readouts": 2}
    e = ib.simulate(net, x, **options, tangent=1)
    stored = {"store": tmp_path / "store"}
    for more in ({"workers": 1}, {"gradients": "common"}, stored, stored, {"keep": "summary"}):
        other = ib.simulate(net, x, **options, tangent=1, **more)
        assert e.tangent == other.tangent
        assert (other.per_network_tangent is None) == ("keep" in more)
    single = ib.simulate(net, x, **(options | {"dtype": "float32"}), tangent=1)
    np.testing.assert_allclose(single.per_network_tangent, e.per_network_tangent, rtol=1e-3)
    probed = ib.simulate(net, x, **options, gradients="common")
    both = ib.simulate(net, x, **options, gradients="common", tangent=1)
    for name in ("gradient", "gradient_cross", "weight_gradient"):
        np.testing.assert_array_equal(probed.layers[name], both.layers[name])
    np.testing.assert_array_equal(probed.per_layer_gradient, both.per_layer_gradient)
    means = both.per_layer_gradient[:, 1:, 0].mean(axis=0)
    np.testing.assert_allclose(means, both.layers["gradient"][1:], rtol=1e-12)
    saved = tmp_path / "e.npz"
    both.save(saved)
    assert ib.load(saved).tangent == both.tangent
    assert json.loads(json.dumps(reporting.plain(both)))["tangent"] == both.tangent


@pytest.mark.parametrize(("output", "error"), [(3, ValueError), (-1, ValueError), (True, TypeError), ("f", TypeError)])
def test_refusals(output, error):
    with pytest.raises(error, match="tangent"):
        ib.simulate(ib.mlp(8, 1, 3), X, networks=2, tangent=output)
    seen = BatchNorm("running", batches=2)
    with pytest.raises(ValueError, match="no gradients through BatchNorm"):
        ib.simulate(ib.mlp(8, 1, norm=seen), X, batch=7, networks=2, tangent=0)
