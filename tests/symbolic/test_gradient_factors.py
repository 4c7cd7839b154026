"""Gradient factors in symbols, against their numbers, the slope of the map and drawn neurons."""

import numpy as np
import pytest
import sympy as sp
from expressions import RELU, WAYS, R, S, c, number, pi, q

import ibtheory as ib
from ibtheory import gaussian
from ibtheory import symbolic as sy


@pytest.mark.parametrize(
    ("norm", "placement"), [("batch", "before"), ("batch", "after"), ("batch", "both"), ("layer", "after")]
)
def test_the_gradient_explodes_where_the_mean_is_removed(norm, placement):
    assert sy.gradient_factor("relu", norm, placement) == pi / (pi - 1)


@pytest.mark.parametrize(
    ("norm", "placement"), [("none", "after"), ("layer", "before"), ("rms", "before"), ("rms", "after")]
)
def test_the_gradient_is_kept_where_the_mean_is(norm, placement):
    assert sy.gradient_factor("relu", norm, placement) == 1


@pytest.mark.parametrize(
    ("batch", "factor"),
    [(5, 2.27370665), (6, 2.00377862), (8, 1.78818998), (16, 1.58995042), (32, 1.52195283), (64, 1.49306294),
     (128, 1.47968127), (256, 1.47323426), (1024, 1.46850099)],
)  # fmt: skip
def test_gradient_factor_of_finite_batches(batch, factor):
    assert abs(float(sy.gradient_factor("relu", "batch", "before", batch=batch)) - factor) < 5e-9
    assert sy.gradient_factor("linear", "batch", "before", batch=batch) == R(batch - 2, batch - 3)


def test_gradient_factor_of_a_symbolic_batch():
    B = S.B
    factor = sy.gradient_factor("relu", "batch", "before", batch=B)
    r = sy.dual("relu", 1, c=-1 / (B - 1))
    zeroth = sy.derivative_dual("relu", 1, c=-1 / (B - 1))
    stated = ((B - 2) / 2 + zeroth + r) / ((B - 3) * (R(1, 2) - r))
    for batch in (4, 7, 100):
        assert abs(sp.N((factor - stated).subs(B, batch), 30)) < 1e-25
    assert sp.simplify(sp.limit(factor, B, sp.oo) - pi / (pi - 1)) == 0


@pytest.mark.parametrize(
    ("activation", "norm", "placement", "factor"),
    [("erf", "layer", "before", 1.22570), ("gelu", "layer", "before", 1.07203), ("gelu", "batch", "before", 1.31884)],
)
def test_gradient_factors_of_smooth_activations(activation, norm, placement, factor):
    assert abs(float(sy.gradient_factor(activation, norm, placement)) - factor) < 5e-6


@pytest.mark.parametrize(("norm", "placement"), [w for w in WAYS if w[0] != "batch"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_gradient_factor_is_the_slope_at_one(norm, placement, activation):
    words = {"norm": norm, "placement": placement, "weight_variance": R(3, 2), "bias_variance": R(1, 8)}
    factor = sy.gradient_factor(activation, q=R(5, 3) if norm == "none" else None, **words)
    curve = sy.c_map(activation, q=R(5, 3) if norm == "none" else None, **words)
    same_moment = sy.variance_map(activation, **words).subs(q, R(5, 3))
    entering = R(5, 3) if norm == "none" else same_moment  # without a norm gradients are not measured in units of q
    steep = curve.subs(c, 1 - R(1, 10**20)).evalf(60)
    slope = (1 - steep) * 10**20
    assert abs(float(factor * (entering / same_moment if norm == "none" else 1)) - slope) < 1e-8


@pytest.mark.parametrize(("norm", "placement"), [w for w in WAYS if w[0] not in ("none", "group")])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_gradient_factor_agrees_with_the_numeric_one(norm, placement, activation):
    bias = R(1, 4) if norm != "batch" else 0
    symbolic = sy.gradient_factor(activation, norm, placement, bias_variance=bias)
    assert abs(number(symbolic) - ib.gradient_factor(activation, norm, placement, bias_variance=float(bias))) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "erf", "gelu", "abs"])
def test_two_gradient_factors_differ_by_the_drift(activation):
    kept, removed = (float(sy.gradient_factor(activation, norm, "before")) for norm in ("layer", "batch"))
    drift = float(sy.drift(activation, 1))
    assert abs(removed - kept * (1 + drift)) < 1e-14
    series = gaussian.hermite(activation, 1.0, 60)
    orders = np.arange(61)
    assert kept >= (orders * series**2).sum() / gaussian.second(activation, 1.0) - 1e-12
    assert sy.drift(activation, 1) == sy.gamma(activation, "batch", "before")


def test_gradient_factor_of_a_finite_batch_by_drawing_neurons():
    batch, draws = 16, 200_000
    rng = np.random.default_rng(3)
    z = rng.standard_normal((draws, batch))
    z -= z.mean(axis=1, keepdims=True)
    variance = (z**2).mean(axis=1, keepdims=True)
    u = z / np.sqrt(variance)
    delta = rng.standard_normal((draws, batch))
    delta -= delta.mean(axis=1, keepdims=True)  # what comes back through the next BatchNorm sums to 0
    for activation, slope in ((RELU**2, 2 * np.maximum(u, 0)), ("abs", np.sign(u))):
        moments = [float(m) for m in sy.batch_moments(activation, batch)]
        g = delta * slope
        back = g - g.mean(axis=1, keepdims=True) - u * (g * u).mean(axis=1, keepdims=True)
        ratio = (back**2).sum(axis=1) / variance[:, 0] / (moments[1] - moments[2])
        ratio /= batch - 1  # E |delta|^2
        factor = float(sy.gradient_factor(activation, "batch", "before", batch=batch))
        assert abs(ratio.mean() - factor) < 4 * ratio.std() / np.sqrt(draws)
