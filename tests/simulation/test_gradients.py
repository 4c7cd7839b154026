"""Gradients of random networks: against explicit sums over the definition, and the rules of wide networks."""

import numpy as np
import pytest

import ibtheory as ib
from ibtheory.layers import Activation, Dense, LayerNorm, Network, Residual

SAMPLES, FEATURES, WIDTH = 10, 6, 8


def by_hand(X, W, V, residual):
    """Squared norms, products of distinct samples, squared gradients of weights: ReLU, one hidden layer."""
    z = X @ W
    readout = residual
    hidden = readout @ V.T
    below = hidden * (z > 0)

    def moments(delta):
        gram = delta @ delta.T
        samples = len(delta)
        return np.trace(gram) / samples, (gram.sum() - np.trace(gram)) / (samples * (samples - 1))

    weights = [X.T @ below / len(X), np.maximum(z, 0).T @ residual / len(X)]
    return [moments(d) for d in (below, hidden, readout)], [np.sum(w**2) for w in weights]


def test_common_residual_by_hand():
    rng = np.random.default_rng(0)
    X, W, V = rng.normal(size=(SAMPLES, FEATURES)), rng.normal(size=(FEATURES, WIDTH)), rng.normal(size=(WIDTH, 3))
    net = ib.mlp(WIDTH, 1, 3)
    e = ib.simulate(net, ib.Dataset(X), parameters=[[(W, None), (V, None)]], dtype="float64", gradients="common")
    moments, weights = by_hand(X, W, V, np.full((SAMPLES, 3), 1 / np.sqrt(3)))
    np.testing.assert_allclose(e.layers["gradient"][1:], [m[0] for m in moments], rtol=1e-12)
    np.testing.assert_allclose(e.layers["gradient_cross"][1:], [m[1] for m in moments], rtol=1e-12)
    np.testing.assert_allclose(e.layers["weight_gradient"][[1, 3]], weights, rtol=1e-12)
    assert np.isnan(e.layers["weight_gradient"][[0, 2]]).all()
    assert np.isnan(e.layers["gradient_error"]).all()  # one network


def test_the_forward_numbers_do_not_change():
    net, x = ib.mlp(WIDTH, 2, 3, norm="layer", bias_variance=0.1), ib.GaussianInputs(FEATURES)
    plain, with_gradients = (
        ib.simulate(net, x, samples=20, networks=5, readouts=2, dtype="float64", gradients=kind)
        for kind in (None, "independent")
    )
    np.testing.assert_array_equal(plain.readout_fractions, with_gradients.readout_fractions)
    np.testing.assert_allclose(plain.per_layer, with_gradients.per_layer, rtol=1e-12)
    assert np.isnan(plain.layers["gradient"]).all()


@pytest.mark.parametrize(("norm", "placement", "factor"), [
    ("none", "after", 1.0), ("layer", "before", 1.0), ("layer", "after", np.pi / (np.pi - 1)),
    ("batch", "before", 1.47968), ("rms", "after", 1.0),
])  # fmt: skip
def test_factor_per_layer_of_wide_networks(norm, placement, factor):
    # theory-free reference: E phi'^2 / E phi^2 and its centred form for ReLU; BatchNorm at 128 samples, closed form.
    net = ib.mlp(256, 6, 2, norm=norm, placement=placement)
    e = ib.simulate(net, ib.GaussianInputs(400), samples=128, networks=24, gradients="independent")
    dense = np.array([str(name).startswith("dense") for name in e.layers["name"]])
    gradient, error = e.layers["gradient"][dense], e.layers["gradient_error"][dense]
    ratio = (gradient[1] / gradient[4]) ** (1 / 3)
    spread = np.hypot(error[1] / gradient[1], error[4] / gradient[4]) / 3 * ratio
    assert abs(ratio - factor) < 4 * spread + 2 * factor / 256  # 1/width: the projections of a norm


def test_common_and_independent_residuals_differ_with_batch_norm_after():
    net, x = ib.mlp(64, 3, 2, norm="batch"), ib.GaussianInputs(100)
    common, independent = (
        ib.simulate(net, x, samples=32, networks=4, gradients=kind, dtype="float64")
        for kind in ("common", "independent")
    )
    below = slice(1, 7)  # no gradient can move the batch mean of the output
    assert (common.layers["gradient"][below] < 1e-20).all()
    assert (independent.layers["gradient"][below] > 1e-2).all()
    row = independent.layers[independent.layers["name"].tolist().index("relu 2")]  # what the norm receives
    total = row["gradient"] + 31 * row["gradient_cross"]  # the squared sum over the batch, which is 0
    assert abs(total) < 1e-12 * row["gradient"]


def test_residual_streams_add_gradients():
    branch = (LayerNorm(), Activation("tanh"), Dense(WIDTH))
    net = Network((Dense(WIDTH), Residual(branch), Residual(branch), Dense(3)))
    e = ib.simulate(net, ib.GaussianInputs(FEATURES), samples=20, networks=50, gradients="common")
    stream = e.layers["gradient"][[1, 5, 9]]
    assert (np.diff(stream) < 0).all()  # from the output to the input every branch adds some


def test_refusals():
    x = ib.GaussianInputs(FEATURES)
    with pytest.raises(ValueError, match="gradients must be one of 'independent', 'common'"):
        ib.simulate(ib.mlp(8, 1), x, samples=20, gradients="all")
    seen = ib.BatchNorm("running", batches=2)
    with pytest.raises(ValueError, match="no gradients through BatchNorm"):
        ib.simulate(ib.mlp(8, 1, norm=seen), x, samples=20, gradients="common")
