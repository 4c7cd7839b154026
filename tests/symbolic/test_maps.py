"""Drift and correlation through the layers, in symbols."""

import pytest
import sympy as sp
from expressions import WAYS, R, S, c, number, pi

import ibtheory as ib
from ibtheory import symbolic as sy


def test_the_drift_of_batch_norm_before_relu():
    assert sy.gamma("relu", norm="batch", placement="before") == 1 / (pi - 1)
    assert sy.gamma("relu", norm="batch", placement="before", depth=7) == 1 / (pi - 1)
    assert ib.symbolic.gamma is sy.gamma


@pytest.mark.parametrize(("depth", "correlation"), [(1, 0.3183098862), (2, 0.4937310902), (3, 0.6048257201)])
def test_correlation_of_relu_without_norm(depth, correlation):
    gamma = sp.N(sy.gamma("relu", depth=depth))
    assert abs(gamma / (1 + gamma) - correlation) < 5e-11


def test_layer_norm_after_forgets():
    curve = sy.lambdify(c, sy.c_map("relu", "layer", "after"))
    expected = {1: 0.8672980592, 2: 0.8267597614, 5: 0.6563217947, 10: 0.3016091134, 20: 0.0201316775}
    now = 0.9
    for depth in range(1, 21):
        now = curve(now)
        assert abs(now - expected.get(depth, now)) < 5e-11
    assert sy.fixed_points("relu", "layer", "after")[0] == (0, pi / (2 * (pi - 1)), True)
    assert abs(float(sy.fixed_points("relu", "layer", "after")[0].slope) - 0.7334711035) < 5e-11


@pytest.mark.parametrize(
    ("batch", "within"),
    [(2, 0), (3, 0.1089977810), (4, 0.1694965880), (8, 0.2501349329), (32, 0.3023464822), (128, 0.3143827460)],
)
def test_correlation_within_a_batch(batch, within):
    found = sy.batch_moments("relu", batch)
    assert found.second == R(1, 2)
    assert abs(float(found.dual / found.second) - within) < 5e-11


def test_moments_across_batches():
    assert sy.batch_moments("relu", 4).mean ** 2 == sp.Rational(3, 16)
    for batch, across, inside in ((8, 0.17090, 0.12507), (16, 0.16455, 0.14284)):
        found = sy.batch_moments("relu", batch)
        assert abs(float(found.mean**2) - across) < 1e-5
        assert abs(float(found.dual) - inside) < 1e-5


def test_gamma_with_biases():
    value = sy.gamma("relu", "batch", "before", bias_variance=R(1, 10))
    assert abs(float(value) - 0.61363642761668585) < 1e-15
    w, b = S.weight_variance, S.bias_variance
    symbolic = sy.gamma("relu", "batch", "before", weight_variance=w, bias_variance=b)
    assert symbolic == (2 * pi * b + w) / (w * (pi - 1))
    assert sy.gamma("relu", "batch", "after", weight_variance=w, bias_variance=b) == b / w


@pytest.mark.parametrize(("norm", "placement"), WAYS)
@pytest.mark.parametrize(("activation", "depth"), [("relu", 0), ("relu", 2), ("erf", 2), ("gelu", 1)])
def test_gamma_agrees_with_predict(norm, placement, activation, depth):
    words = {"norm": norm, "placement": placement, "weight_variance": 1.5, "bias_variance": 0.125}
    predicted = ib.predict(ib.mlp(64, depth, activation=activation, **words), ib.GaussianInputs(100, 0.5, 0.25)).gamma
    symbolic = sy.gamma(activation, depth=depth, variance=R(1, 2), correlation=R(1, 4), **words)
    assert abs(number(symbolic) / predicted - 1) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_gamma_of_finite_batches_agrees_with_predict(activation):
    net = ib.mlp(64, 2, activation=activation, norm="batch", placement="before", bias_variance=0.5)
    for batch, samples in ((4, 4), (4, 20), (7, None)):
        predicted = ib.predict(net, ib.GaussianInputs(100), samples=samples, batch=batch).gamma
        symbolic = sy.gamma(activation, "batch", "before", bias_variance=R(1, 2), batch=batch, samples=samples)
        assert abs(float(symbolic) - predicted) < 1e-12
