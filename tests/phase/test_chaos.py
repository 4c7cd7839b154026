"""Edges of chaos and depth scales without norms, against published numbers and mpmath."""

import numpy as np
import pytest
from mpmath import mp
from phase_networks import mlp, pooled
from reference import phase as reference

import ibtheory as ib
from ibtheory import activations
from ibtheory.theory import fixed

PI = np.pi
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
