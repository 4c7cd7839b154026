"""The maps of many settings, the regimes norms and residual streams lead to, neutrality."""

import numpy as np
import pytest
from cases import CASES, ids, residual
from phase_networks import mlp, pooled
from reference import phase as reference

import ibtheory as ib
from ibtheory.layers import Activation, BatchNorm, Dense, LayerNorm
from ibtheory.theory import fixed, maps
from ibtheory.theory.state import Data, State
from ibtheory.theory.walk import last, walk

PI = np.pi


@pytest.mark.parametrize("case", [*CASES, ("pooled", pooled("relu", "max"), "a pool")], ids=ids)
def test_maps_of_many_settings_are_the_walk_over_one_network(case):
    net = case[1]
    q, c = 1.3, 0.35
    data = Data(np.ones(1), np.ones((1, 1)), np.inf, concrete=False)
    state = State(np.zeros(1), np.array([[q * c]]), np.array([[q * (1 - c)]]), None, data)
    steps = net.steps(30)
    same, _, gap, _ = last(walk(steps, state, np.random.default_rng(0))).average()
    one = np.ones(1)
    start = maps.Population(0 * one, q * one, q * (1 - c) * one, one, None, one)
    end = maps.through(steps, start, maps.Variances())
    assert [end.same[0], end.gap[0]] == pytest.approx([same, gap], rel=1e-10)


def test_layer_norm_after_relu():
    s = ib.depth_scales(mlp(norm="layer"))
    assert (s.c, s.gamma, s.regime, s.xi_q) == (0.0, 0.0, "unbiased", 0.0)
    assert s.slope == pytest.approx(0.7334711035, abs=1e-9)
    assert s.xi_c == pytest.approx(3.2261490729, abs=5e-9)
    assert s.chi_1 == pytest.approx(1.4669422069, abs=6e-11)
    block, om = fixed.block_of(mlp(norm="layer")), np.array([0.1])
    table = {1: 0.8672980592, 2: 0.8267597614, 5: 0.6563217947, 10: 0.3016091134, 20: 0.0201316775}
    for layer in range(1, 21):
        om = block(np.zeros(1, int), np.full(1, 2.0), om)[1]
        if layer in table:
            assert 1 - om[0] == pytest.approx(table[layer], abs=6e-11)
            assert 1 - om[0] == pytest.approx(_after(layer), abs=1e-13)


def _after(layers, c=0.9):
    for _ in range(layers):
        c = (reference.kappa(c) - 1 / PI) / (1 - 1 / PI)
    return c


@pytest.mark.parametrize(
    ("norm", "placement", "bias", "c", "slope", "chi"),
    [
        ("layer", "before", 0.0, 1.0, 1.0, 1.0),
        ("rms", "before", 0.0, 1.0, 1.0, 1.0),
        ("rms", "after", 0.0, 1.0, 1.0, 1.0),
        ("rms", "after", 0.4, 1.0, 1 / 1.2, 1 / 1.2),
        ("layer", "after", 0.4, 0.574936, 0.88440, PI / (PI - 1) / 1.2),
        ("layer", "after", 2.0, 1.0, 0.73347, 0.73347),
        ("batch", "before", 0.0, 1 / PI, 0.0, PI / (PI - 1)),
        ("batch", "after", 0.0, 0.0, 0.0, PI / (PI - 1)),
    ],
)
def test_norms_with_relu(norm, placement, bias, c, slope, chi):
    net = mlp(norm=norm, placement=placement, bias=bias)
    s = ib.depth_scales(net)
    behind = (s.c - bias / (2 + bias)) * (2 + bias) / 2 if norm == "layer" and placement == "after" else s.c
    assert [behind, s.slope, s.chi_1] == pytest.approx([c, slope, chi], abs=5e-6)
    assert s.xi_q == 0.0


def test_layer_norm_before_tanh_is_critical_at_one_ratio():
    line = ib.critical_line(mlp("tanh", norm="layer", placement="before"), [0.02, 0.05, 0.1])
    np.testing.assert_allclose(line.bias_variance / line.edge, 0.0701084, atol=6e-8)


def test_words_where_there_is_no_edge():
    words = {
        ("relu", "layer", "before"): ("critical", "ordered"),
        ("relu", "batch", "after"): ("chaotic", "chaotic"),
        ("erf", "layer", "before"): ("chaotic", "edge of chaos"),
    }
    for (activation, norm, placement), expected in words.items():
        line = ib.critical_line(mlp(activation, norm=norm, placement=placement), [0.0, 0.1])
        for word, verdict in zip(expected, line.verdict, strict=True):
            assert verdict == (word if " " in word else f"{word} at every weight variance")


@pytest.mark.parametrize(
    "words", [{"activation": "tanh"}, {"activation": "erf"}, {"activation": "relu", "norm": "layer"}], ids=str
)
def test_neutrality_is_gamma_1_of_deep_networks(words):
    bias = 0.1
    line = ib.critical_line(mlp(**words), bias)
    assert line.neutrality[0] > line.edge[0]
    net = ib.mlp(64, 200, weight_variance=line.neutrality[0], bias_variance=bias, **words)
    gamma = ib.predict(net, ib.GaussianInputs(30, correlation=0.2)).gamma
    assert gamma == pytest.approx(1, abs=1e-6)
    for shift, regime in ((-1e-3, "prejudiced"), (1e-3, "neutral")):
        s = ib.depth_scales(mlp(weight=line.neutrality[0] + shift, bias=bias, **words))
        assert (s.phase, s.regime) == ("chaotic", regime)


@pytest.mark.parametrize(
    ("branch", "gamma", "law"),
    [
        ((LayerNorm(), Activation("relu"), Dense(32)), np.inf, "logarithmic"),
        ((BatchNorm(), Activation("relu"), Dense(32)), 1 / (PI - 1), "power law"),
        ((Activation("relu"), Dense(32)), np.inf, "power law"),
        ((LayerNorm(), Activation("erf"), Dense(32, 2.0, 0.05)), None, "power law"),
    ],
    ids=["layer", "batch", "none", "biases"],
)
def test_limits_of_residual_streams(branch, gamma, law):
    limit = ib.predict(residual(*branch), ib.GaussianInputs(20)).depth_limit
    assert limit.law == law
    if gamma is None:  # the fixed point of the branch alone
        c, second = 0.5, ib.gaussian.second("erf", 1.0)
        for _ in range(3000):
            c = (2 * ib.gaussian.dual("erf", 1.0, 1.0, c) + 0.05) / (2 * second + 0.05)
        gamma = c / (1 - c)
    assert limit.gamma == pytest.approx(gamma, rel=1e-8)
    assert ib.depth_scales(residual(*branch)).phase == (
        "chaotic" if law == "power law" and gamma == np.inf else "critical"
    )


def test_limits_close_to_the_edge():
    edge = ib.critical_line(mlp("erf"), 0.05).edge[0]
    x = ib.GaussianInputs(20)
    above = ib.predict(mlp("erf", 1.005 * edge, 0.05), x).depth_limit
    assert above.gamma == pytest.approx(ib.depth_scales(mlp("erf", 1.005 * edge, 0.05)).gamma, rel=1e-9)
    assert 10 < above.gamma < 1e4
    assert ib.predict(mlp("erf", 0.995 * edge, 0.05), x).depth_limit.gamma == np.inf
