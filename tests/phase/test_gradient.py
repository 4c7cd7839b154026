"""Gradient factors, against published numbers and independent paths."""

import numpy as np
import pytest
from phase_networks import mlp
from reference import phase as reference

import ibtheory as ib
from ibtheory import activations

PI = np.pi
LAMBDA = {
    5: 2.27370665, 6: 2.00377862, 8: 1.78818998, 16: 1.58995042, 32: 1.52195283, 64: 1.49306294, 128: 1.47968127,
    256: 1.47323426, 1024: 1.46850099,
}  # fmt: skip


def test_gradient_factor_of_finite_batches():
    for batch, value in LAMBDA.items():
        assert ib.gradient_factor("relu", "batch", "before", batch=batch) == pytest.approx(value, abs=6e-9)
        r = -1 / (batch - 1)  # the same from the other page: lambda_B
        c, p = reference.kappa(r), 0.25 + np.arcsin(r) / (2 * PI)
        square = batch / 2 + batch * (batch - 1) * p
        other = batch / 2 - 1 + square / batch**2 - (0.5 - (0.5 + (batch - 1) * c / 2) / batch)
        other *= 2 * batch / ((batch - 3) * (1 - c) * (batch - 1))
        assert other == pytest.approx(value, abs=6e-9)
    assert ib.gradient_factor("relu", "batch", "before") == pytest.approx(1.46694221, abs=5e-9)
    assert ib.gradient_factor("relu", "batch", "before", batch=4) == pytest.approx(3.084061, abs=5e-7)


@pytest.mark.parametrize("batch", [2, 3])
def test_small_batches_are_refused(batch):
    with pytest.raises(ValueError, match=r"at least 4.*no finite mean inverse"):
        ib.gradient_factor("relu", "batch", "before", batch=batch)


def test_correlations_of_finite_batches():
    table = {3: 0.1089977810, 4: 0.1694965880, 8: 0.2501349329, 32: 0.3023464822, 128: 0.3143827460}
    for batch, c in table.items():
        assert reference.kappa(-1 / (batch - 1)) == pytest.approx(c, abs=6e-11)
        layers = ib.predict(mlp(norm="batch", placement="before"), ib.GaussianInputs(9), samples=batch).layers
        assert (layers["cross"] / layers["same"])[3] == pytest.approx(c, abs=1e-9)
    assert abs(reference.kappa(-1.0)) < 1e-15


FACTORS = {
    ("relu", "kept"): 1.0, ("tanh", "kept"): 1.17781, ("erf", "kept"): 1.22570, ("gelu", "kept"): 1.07203,
    ("silu", "kept"): 1.06663, ("relu", "removed"): 1.466942, ("tanh", "removed"): 1.17781,
    ("gelu", "removed"): 1.31884, ("silu", "removed"): 1.21208,
}  # fmt: skip


@pytest.mark.parametrize(("activation", "mean"), FACTORS)
def test_gradient_factor_at_variance_1(activation, mean):
    norm, placement = ("layer", "before") if mean == "kept" else ("batch", "before")
    factor = ib.gradient_factor(activation, norm, placement)
    assert factor == pytest.approx(FACTORS[activation, mean], abs=6e-6)
    a = ib.gaussian.hermite(activation, 1.0, 0)[0]
    second = ib.gaussian.second(activation, 1.0)
    kept = ib.gradient_factor(activation, "rms", "before")
    removed = ib.gradient_factor(activation, "layer", "after", weight_variance=1.0)
    assert removed == pytest.approx(kept * (1 + a**2 / (second - a**2)), rel=1e-11)  # (1 + gamma_1)


def test_gradient_factor_follows_the_growth_of_distances():
    assert ib.gradient_factor("tanh", "layer", "after") == pytest.approx(1.34433, abs=6e-6)
    assert ib.gradient_factor("relu", weight_variance=1.5) == pytest.approx(0.75, rel=1e-14)
    x = ib.Dataset(np.array([[1.0, 0.3, -0.5], [1.0 + 1e-7, 0.3, -0.5 - 1e-7]]))
    net = ib.mlp(64, 8, activation="tanh", norm="rms", placement="after", bias_variance=0.3)
    gap = ib.predict(net, x).layers["gap"][1::3]
    factor = ib.gradient_factor("tanh", "rms", "after", bias_variance=0.3)
    assert gap[-1] / gap[-2] == pytest.approx(factor, rel=1e-6)


def test_batch_norm_after_with_biases_averages_over_neurons():
    for activation, slope in (("relu", lambda x: 1.0 * (x > 0)), ("tanh", lambda x: 1 - np.tanh(x) ** 2)):
        phi = activations.get(activation).function
        value, error = reference.batch_near(phi, slope, 2.0, 0.4, 3000, seed=5)
        factor = ib.gradient_factor(activation, "batch", "after", bias_variance=0.4)
        assert abs(factor - value) < 4 * error
