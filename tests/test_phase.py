"""Fixed points, depth scales, edges, diagrams and gradient factors, against published numbers and independent paths."""

import numpy as np
import pytest
from cases import CASES, ids, residual
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from reference import phase as reference

import ibtheory as ib
from ibtheory import activations, phase
from ibtheory.layers import Activation, BatchNorm, Dense, FeaturePool, LayerNorm, Network, Repeat
from ibtheory.theory import fixed, maps
from ibtheory.theory.state import Data, State
from ibtheory.theory.walk import last, walk

PI = np.pi


def mlp(activation="relu", weight=2.0, bias=0.0, **words):
    return ib.mlp(64, 3, activation=activation, weight_variance=weight, bias_variance=bias, **words)


def pooled(activation, reduction, **dense):
    return Network((Repeat((Dense(64, **dense), Activation(activation), FeaturePool(reduction)), 3), Dense(2, **dense)))


# --- the maps ---------------------------------------------------------------------------------------------------------


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


# --- tanh: the published line and scales ------------------------------------------------------------------------------

LINE = {
    0.01: (0.27330091, 1.42420529), 0.02: (0.37124032, 1.54419284), 0.04: (0.51207850, 1.70079637),
    0.05: (0.57004788, 1.76095464), 0.1: (0.80579918, 1.98607264), 0.25: (1.31793900, 2.40148924),
}  # fmt: skip


def test_edge_of_chaos_of_tanh():
    line = ib.critical_line(mlp("tanh"), [*LINE, 0.0380412011, 0.1509646294])
    q, weight = np.transpose([*LINE.values(), (0.5, 1.6879751206), (1.0, 2.1533026489)])
    np.testing.assert_allclose(line.q, q, atol=6e-9)
    np.testing.assert_allclose(line.edge, weight, atol=6e-9)
    np.testing.assert_allclose(line.chi_1, 1, atol=1e-12)
    with mp.workdps(20):  # chi_1 = w E phi'^2 = 1 and q = w E phi^2 + b
        slope = float(reference.expectation(lambda x: (1 - mp.tanh(x) ** 2) ** 2, line.q[3]))
        square = float(reference.expectation(lambda x: mp.tanh(x) ** 2, line.q[3]))
    assert [line.edge[3] * slope, line.edge[3] * square + 0.05] == pytest.approx([1, line.q[3]], rel=1e-12)


SCALES = [
    (1.3, 0.05, 0.31531648, 0.88016351, 1.0, 7.83407, 1.78524),
    (1.5, 0.05, 0.41803720, 0.93863627, 1.0, 15.79099, 1.68283),
    (2.0, 0.05, 0.72176187, 1.04766600, 0.74408242, 25.21341, 1.38798),
    (2.5, 0.05, 1.06395838, 1.13351570, 0.44680423, 11.79560, 1.17987),
    (4.0, 0.05, 2.19549393, 1.34240242, 0.16506496, 6.98027, 0.87329),
    (2.25, 0.05, 0.889425, 1.092338, 0.567225, 15.1171, 1.27297),
    (1.0, 0.01, 0.0777755, 0.876244, 1.0, 7.56940, 3.71999),
]


@pytest.mark.parametrize("row", SCALES, ids=lambda row: f"{row[0]}-{row[1]}")
def test_depth_scales_of_tanh(row):
    s = ib.depth_scales(mlp("tanh", *row[:2]))
    assert [s.q, s.chi_1, s.c] == pytest.approx(row[2:5], abs=6e-7 if row[0] in (2.25, 1.0) else 1.1e-8)
    assert [s.xi_c, s.xi_q] == pytest.approx(row[5:], rel=4e-6)
    assert s.phase == ("ordered" if row[4] == 1 else "chaotic")


def test_depth_scales_are_rates_of_prediction():
    net = ib.mlp(64, 150, activation="erf", weight_variance=2.0, bias_variance=0.1)
    s = ib.depth_scales(net)
    same, cross = (ib.predict(net, ib.GaussianInputs(9)).layers[name] for name in ("same", "cross"))
    dense = slice(1, None, 2)
    apart = np.abs((cross / same)[dense] - s.c)[100:120]
    assert -1 / np.mean(np.diff(np.log(apart))) == pytest.approx(s.xi_c, rel=1e-3)
    apart = np.abs(same[dense] - s.q)[8:14]
    assert -1 / np.mean(np.diff(np.log(apart))) == pytest.approx(s.xi_q, rel=1e-2)


# --- activations whose literature values are unstable fixed points ----------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "bias", "q", "weight"),
    [
        ("silu", 0.04, 0.68945250, 2.82082640),
        ("gelu", 0.04, 0.57563712, 2.39323830),
        ("gelu", 0.01, 0.18348319, 2.98279937),
    ],
)
def test_chi_is_1_at_an_unstable_fixed_point(activation, bias, q, weight):
    """The tabulated points satisfy chi_1 = 1, but no deep network reaches them: dq'/dq > 1 there."""
    line = ib.critical_line(mlp(activation), bias)
    (point,) = line.points[0]
    assert [point.q, point.weight_variance] == pytest.approx([q, weight], abs=6e-9)
    assert point.slope > 1.09
    assert not point.stable
    assert (
        line.edge[0] > point.weight_variance
    )  # the stable phase ends later, where its fixed point meets an unstable one
    phi, value = activations.get(activation), q - 1e-3
    for _ in range(1000):
        value = weight * ib.gaussian.second(phi, value) + bias
    s = ib.depth_scales(mlp(activation, weight, bias))
    assert value == pytest.approx(s.q, rel=1e-6)
    assert s.q < q / 2
    assert s.chi_1 < 0.9
    above = ib.depth_scales(mlp(activation, line.edge[0] + 1e-6, bias))
    below = ib.depth_scales(mlp(activation, line.edge[0] - 1e-6, bias))
    assert above.q == np.inf > below.q
    assert len(below.q_points) == 2
    assert [p.stable for p in below.q_points] == [True, False]


# --- relu -------------------------------------------------------------------------------------------------------------


def test_edge_of_relu():
    s = ib.depth_scales(mlp())
    assert np.isnan(s.q)
    assert (s.c, s.chi_1, s.xi_c, s.phase) == (1.0, pytest.approx(1, abs=1e-15), np.inf, "critical")
    assert s.verdict == ("q: every value is a fixed point; marginal", "c: 1 attracts; marginal: power law")
    line = ib.critical_line(mlp(), [0.0, 0.1])
    np.testing.assert_allclose(line.edge, 2, rtol=1e-12)
    assert np.isnan(line.q[0])
    assert np.isinf(line.q[1])  # with biases there is no fixed point of q at 2: the edge is the point sigma_b = 0 alone
    assert np.isnan(line.neutrality).all()


def test_power_law_of_relu():
    table = {
        10: (0.8751698662, 12.483013), 100: (0.9964390093, 35.609907),
        1000: (0.9999568911, 43.108925), 10000: (0.9999995575, 44.249767),
    }  # fmt: skip
    for layers, (c, scaled) in table.items():
        found, rest = reference.relu_correlation("0.1", layers)
        assert found == pytest.approx(c, abs=6e-11)
        assert rest == pytest.approx(scaled, abs=6e-7)
    block, om = fixed.block_of(mlp()), np.array([0.9])
    for layer in range(1, 10001):
        om = block(np.zeros(1, int), np.ones(1), om)[1]
        if layer in table:
            assert om[0] * layer**2 == pytest.approx(table[layer][1], abs=6e-7)
    assert table[10000][1] < 9 * PI**2 / 2 == pytest.approx(44.413220, abs=5e-7)


def test_relu_is_ordered_or_without_fixed_point():
    assert ib.depth_scales(mlp(weight=1.0, bias=0.1)).q == pytest.approx(0.2, rel=1e-12)
    for bias in (0.0, 0.1):
        s = ib.depth_scales(mlp(weight=3.0, bias=bias))
        assert (s.q, s.c, s.phase, s.regime) == (np.inf, 1.0, "chaotic", "deeply prejudiced")
        assert "grows without bound, exponentially" in s.verdict[0]
    assert "slower than exponentially" in ib.depth_scales(mlp(bias=0.1)).verdict[0]


# --- norms ------------------------------------------------------------------------------------------------------------


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


# --- gradient factors -------------------------------------------------------------------------------------------------

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


# --- pools ------------------------------------------------------------------------------------------------------------


def test_critical_pools_of_relu():
    for reduction, weight in (("max", 4 * PI / (3 * PI + 2)), ("average", 4 * PI / (PI + 1))):
        line = ib.critical_line(pooled("relu", reduction), [0.0, 0.1])
        np.testing.assert_allclose(line.edge, weight, rtol=1e-12)
        assert line.verdict == ("no finite q* beyond", "no finite q* beyond")
        assert np.all(line.chi_1 < 1)  # there the signal is marginal, but the distances of near samples still shrink
        same = ib.predict(pooled("relu", reduction, weight_variance=weight), ib.GaussianInputs(9)).layers["same"]
        np.testing.assert_allclose(same[1::3], weight, rtol=1e-12)


def test_edge_of_tanh_with_average_pools():
    line = ib.critical_line(pooled("tanh", "average"), [0.05, 0.2])
    for q, weight, bias in zip(line.q, line.edge, line.bias_variance, strict=True):
        slope = float(reference.expectation(lambda x: (1 - mp.tanh(x) ** 2) ** 2, q))
        square = float(reference.expectation(lambda x: mp.tanh(x) ** 2, q))
        assert weight == pytest.approx(2 / slope, rel=1e-10)
        assert q == pytest.approx(square / slope + bias, rel=1e-10)


# --- neutrality, regimes, limits --------------------------------------------------------------------------------------


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


# --- diagrams ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diagram():
    return ib.phase_diagram(mlp("tanh"), np.linspace(0.2, 6, 24), np.linspace(0.0, 0.2, 9))


def test_diagram_is_depth_scales_point_by_point(diagram):
    for row, column in ((3, 2), (4, 12), (8, 23)):
        s = ib.depth_scales(mlp("tanh", diagram.weight_variance[column], diagram.bias_variance[row]))
        point = diagram.table[row, column]
        for name in ("q", "c", "gamma", "chi_1", "slope", "xi_q", "xi_c"):
            assert point[name] == pytest.approx(getattr(s, name), rel=1e-7), name
        assert diagram.phase[row, column] == s.phase


def test_boundaries_of_the_diagram_are_the_lines(diagram):
    line = ib.critical_line(mlp("tanh"), diagram.bias_variance[1:])
    chaotic = diagram.weight_variance > line.edge[:, None]
    neutral = diagram.weight_variance > line.neutrality[:, None]
    np.testing.assert_array_equal(diagram.phase[1:] == "chaotic", chaotic)
    np.testing.assert_array_equal(diagram.table["gamma"][1:] <= 1, neutral)
    assert np.all(np.diff(line.edge) > 0)


@given(st.floats(0.5, 5), st.floats(0, 0.5), st.floats(0.1, 10))
def test_invariances(weight, bias, factor):
    """phi(x) -> phi(s x) is (w, b) -> (s^2 w, s^2 b); behind a norm before only b/w matters."""
    one, other = (
        ib.depth_scales(mlp("erf", f * weight, f * bias, norm="rms", placement="before")) for f in (1, factor)
    )
    assert [other.c, other.chi_1, other.slope] == pytest.approx([one.c, one.chi_1, one.slope], rel=1e-6, abs=1e-9)
    leaky = activations.leaky_relu(0.2)
    relu = [ib.depth_scales(mlp(leaky, f * weight / factor, f * bias, norm="layer")) for f in (1, factor)]
    assert relu[0].slope == pytest.approx(relu[1].slope, rel=1e-6, abs=1e-9)


def test_save_load_and_print(diagram, tmp_path):
    diagram.save(tmp_path / "phase.npz")
    again = ib.load(tmp_path / "phase.npz")
    assert again.network == diagram.network
    assert again.table.tobytes() == diagram.table.tobytes()
    assert "chaotic" in str(again)
    assert "without a finite q*" in str(again)


def test_plot(diagram):
    ax = diagram.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "edge of chaos, $\\chi_1 = 1$",
        "neutrality, $\\gamma = 1$",
    ]
    names = [text.get_text() for text in ax.texts]
    assert names == ["ordered\ndeeply prejudiced", "chaotic\nneutral"]  # the strip between them is too narrow
    with pytest.raises(ValueError, match="at least 2 x 2 points"):
        ib.phase_diagram(mlp(), [1.0, 2.0], [0.1]).plot()


def test_bad_input_says_what_to_do():
    with pytest.raises(TypeError, match="net must be a Network"):
        ib.depth_scales("relu")
    with pytest.raises(ValueError, match="repeats no block"):
        ib.depth_scales(Network((Dense(8), Activation("relu"), Dense(2))))
    with pytest.raises(ValueError, match="no Dense layer"):
        ib.depth_scales(Network((Dense(8), Repeat((Activation("relu"),), 3), Dense(2))))
    for values in ([], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="bias_variance must be finite numbers of at least 0"):
            ib.critical_line(mlp(), values if values != [[0.1]] else np.ones((1, 1)))
        with pytest.raises(ValueError, match="weight_variance must be finite"):
            ib.phase_diagram(mlp(), np.array(values), [0.1])
    with pytest.raises(ValueError, match="belongs to norm='batch'"):
        ib.gradient_factor("relu", batch=8)
    with pytest.raises(NotImplementedError, match="BatchNorm before relu"):
        ib.gradient_factor("tanh", "batch", "before", batch=8)
    with pytest.raises(ValueError, match="Did you mean 'layer'"):
        ib.gradient_factor("relu", "layr")
    block = (Dense(32), Activation("relu"), BatchNorm(), Activation("relu"))
    with pytest.raises(NotImplementedError, match="law over neurons is not known"):
        ib.depth_scales(Network((Repeat(block, 3), Dense(2))))


def test_public_words():
    assert set(phase.PHASES) == {"ordered", "critical", "chaotic"}


def test_command(tmp_path):
    from ibtheory.cli import main

    arguments = ["phase", "--activation", "erf", "--weights", "0.5,4,8", "--biases", "0,0.2,5"]
    outcome = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"phase.png", "phase.json", "phase.npz"}
    assert "chaotic" in outcome.output
    outcome = CliRunner().invoke(main, [*arguments, "--json"])
    assert outcome.output.startswith("{")
    outcome = CliRunner().invoke(main, ["phase", "--weights", "1,2"])
    assert outcome.exit_code == 2
    assert "low,high,points" in outcome.output
