"""Pooled features: the vocabulary, moments against independent paths, and whole networks against simulation."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import network as reference
from reference import phase as pools

import ibtheory as ib
from ibtheory import activations
from ibtheory.layers import Activation, Dense, FeaturePool, LayerNorm, Network, Repeat, Residual
from ibtheory.theory import pooling
from ibtheory.theory.state import GaussianField

REDUCE = {"max": np.max, "min": np.min, "average": np.mean}


def field(activation, q, c, reduction="max", size=2):
    base = GaussianField(np.array([[q * c]]), np.array([[q * (1 - c)]]), (activations.get(activation),))
    return pooling.PooledField(base, FeaturePool(reduction, size))


def moments(*arguments):
    return [float(np.ravel(value)[0]) for value in pooling.moments(field(*arguments))]


def by_quadrature(monkeypatch, *arguments):
    with monkeypatch.context() as patch:
        patch.setattr(pooling, "_closed_forms", lambda field: (None, 1.0))
        return moments(*arguments)


@given(st.sampled_from(["max", "average", "min"]), st.integers(2, 5))
def test_the_layer_is_data(reduction, size):
    net = Network((Dense(60 * size), FeaturePool(reduction, size), Dense(2)))
    assert eval(repr(net), vars(ib.layers)) == net
    assert Network.from_dict(json.loads(json.dumps(net.to_dict()))) == net
    assert [step.name for step in net.steps(3)] == ["dense 1", "pool 1", "logits"]


def test_bad_pools_say_what_to_do():
    with pytest.raises(ValueError, match=r"must be one of 'max', 'average', 'min'.*Did you mean 'average'"):
        FeaturePool("averag")
    with pytest.raises(ValueError, match="at least 2, got 1"):
        FeaturePool("max", 1)
    with pytest.raises(ValueError, match="does not divide 9 features; choose a divisor"):
        Network((Dense(9), FeaturePool("max"), Dense(2)))
    x = ib.GaussianInputs(8)
    with pytest.raises(NotImplementedError, match="nondecreasing activations"):
        ib.predict(Network((Dense(8), Activation("gelu"), FeaturePool("max"), Dense(2))), x)
    with pytest.raises(NotImplementedError, match="pooled already"):
        ib.predict(Network((Dense(8), FeaturePool("max"), FeaturePool("max"), Dense(2))), x)


def test_moments_of_the_largest_of_two_normal_variables():
    mean, cov, gap = moments("linear", 1.0, 0.0)
    assert mean == pytest.approx(1 / np.sqrt(np.pi), rel=1e-14)
    assert cov == 0
    assert gap == pytest.approx(1 - 1 / np.pi, rel=1e-13)
    assert pooling.piecewise_linear(0.0, 1.0).second(1.0) == pytest.approx((3 * np.pi + 2) / (4 * np.pi), rel=1e-15)


@pytest.mark.parametrize("reduction", ["max", "min"])
@pytest.mark.parametrize("activation", ["relu", "linear", activations.leaky_relu(0.2)], ids=str)
def test_closed_forms_are_the_quadrature(monkeypatch, activation, reduction):
    for c in (-0.7, 0.0, 0.3, 0.9, 1 - 1e-6):
        closed = moments(activation, 1.7, c, reduction)
        numeric = by_quadrature(monkeypatch, activation, 1.7, c, reduction)
        np.testing.assert_allclose(closed, numeric, rtol=2e-9, atol=1e-13)


def test_covariance_and_gap_keep_their_relative_precision():
    forms = pooling.piecewise_linear(0.0, 1.0)
    tiny = 1e-200
    slope = forms.derivative_dual(1.0, 1.0, np.array(0.0), np.array(1.0))
    assert forms.centred(1.0, 1.0, np.array(tiny)) == pytest.approx(tiny * slope, rel=1e-13)
    assert forms.gap(1.0, 1.0, np.array(1e-20)) == pytest.approx(0.75e-20, rel=1e-9)
    assert forms.derivative_dual(1.0, 1.0, np.array(0.0), np.array(1.0)) == pytest.approx(9 / 32, rel=1e-14)
    c = np.array([-0.9, -0.2, 0.45, 0.6, 0.95])  # Price: the covariance grows by the slope
    step = 1e-4
    rise = (forms.centred(1.0, 1.0, c + step) - forms.centred(1.0, 1.0, c - step)) / (2 * step)
    np.testing.assert_allclose(rise, forms.derivative_dual(1.0, 1.0, c, 1 - c), rtol=1e-6)


@pytest.mark.parametrize(("reduction", "size"), [("max", 2), ("min", 2), ("max", 3)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_against_monte_carlo(activation, reduction, size):
    function = activations.get(activation).function
    z = []
    for seed, c in enumerate((0.3, 0.95, -0.6)):
        estimates = pools.pooled(function, 1.7, c, REDUCE[reduction], size, 200_000, seed)
        z += [(m - v) / e for m, (v, e) in zip(moments(activation, 1.7, c, reduction, size), estimates, strict=True)]
    assert np.abs(z).max() < 3.7  # nine numbers, level 2e-3 together


def pooled_network(activation, reduction, width=64, depth=3, **dense):
    block = (Dense(width, **dense), Activation(activation), FeaturePool(reduction))
    return Network((Repeat(block, depth), Dense(2)))


@pytest.mark.parametrize("reduction", ["max", "average", "min"])
def test_simulated_layers_are_the_plain_loops(reduction):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(9, 5)) + 0.3
    net = Network(
        (
            Repeat((Dense(8), Activation("tanh"), FeaturePool(reduction, 4), LayerNorm()), 2),
            Residual((FeaturePool(reduction), Activation("relu"), Dense(8))),
            Dense(3),
        )
    )
    shapes = [(5, 8), (8, 8), (8, 8), (8, 3)]
    parameters = [(rng.normal(size=shape), rng.normal(size=shape[1])) for shape in shapes]
    e = ib.simulate(net, ib.Dataset(X), parameters=[parameters], dtype="float64")
    values = reference.forward(net.to_dict(), X, parameters)
    expected = np.array([reference.statistics(h) for h in values])
    np.testing.assert_allclose(e.per_layer[0], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("activation", "reduction", "samples"), [("relu", "max", 40), ("tanh", "min", 8), ("relu", "average", 40)]
)
def test_theory_is_simulation(activation, reduction, samples):
    net = pooled_network(activation, reduction, width=400)
    e = ib.simulate(net, ib.GaussianInputs(100), samples=samples, networks=150, seed=3)
    p = ib.predict(net, e.inputs)
    rows = [row for row in range(len(p.layers)) if e.layers["name"][row] != "input"]
    for name in ("same", "gap"):  # the shift of order 1/width is below one percent here
        z = (p.layers[name] - e.layers[name])[rows] / np.hypot(e.layers[name + "_error"], 0.01 * e.layers[name])[rows]
        assert np.abs(z).max() < 4.0, (name, z)


def test_the_terms_in_1_over_width_leave_pools_out():
    assert "infinite width" in ib.predict(pooled_network("relu", "max"), ib.GaussianInputs(8), width="leading").notes[0]
