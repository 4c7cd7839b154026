import numpy as np
import pytest
from cases import CASES, ids
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import kernels

import ibtheory as ib
from ibtheory import activations

GAUSSIAN = ib.GaussianInputs(1000)


def gamma(net, x=GAUSSIAN, **options):
    return ib.predict(net, x, **options).gamma


@pytest.mark.parametrize(
    ("net", "c", "value"),
    [
        (ib.mlp(100, 20), 0.0, 18.390547023513914),
        (ib.mlp(100, 1000), 0.0, 23184.861374376266),
        (ib.mlp(100, 100, weight_variance=1.5, bias_variance=0.1), 0.0, 6579050150638.8527),
        (ib.mlp(100, 50, norm="layer", placement="after"), 0.9, 1.8875561857310194e-6),
        (ib.mlp(100, 20, norm="batch", placement="before", bias_variance=0.1), 0.0, 0.61363642761668585),
        (ib.mlp(100, 100, activation="erf", weight_variance=1.2, bias_variance=0.05), 0.3, 940.98292522049988),
    ],
)
def test_published_references(net, c, value):
    assert abs(gamma(net, ib.GaussianInputs(1000, correlation=c)) / value - 1) < 1e-10


@pytest.mark.parametrize("depth", [1, 7, 60])
@pytest.mark.parametrize(("c", "bias"), [(0.0, 0.0), (0.5, 0.1)])
def test_relu_against_mpmath(depth, c, bias):
    x = ib.GaussianInputs(1000, correlation=c)
    value = gamma(ib.mlp(100, depth, bias_variance=bias), x)
    assert abs(value / kernels.relu_gamma(depth, c, 2, bias) - 1) < 1e-12
    value = gamma(ib.mlp(100, depth, norm="layer", placement="after", bias_variance=bias), x)
    reference = kernels.relu_gamma(depth, c, 2, bias, "layer after")
    assert abs(value - reference) < 1e-12 * max(reference, 1e-300) + (1e-300 if reference == 0 else 0)


def test_the_table_of_placements():
    cells = {(n, p): [gamma(ib.mlp(100, L, norm=n, placement=p)) for L in (1, 5, 20)] for n, p in _cells()}
    prejudiced = [1 / (np.pi - 1), 2.7871, 18.3905]
    for cell in (("none", "after"), ("layer", "before"), ("rms", "before"), ("rms", "after")):
        np.testing.assert_allclose(cells[cell], prejudiced, rtol=1e-4)
    np.testing.assert_allclose(cells["batch", "before"], 1 / (np.pi - 1), rtol=1e-14)
    np.testing.assert_allclose(cells["batch", "after"], 0, atol=1e-300)
    np.testing.assert_allclose(cells["layer", "after"], 0, atol=1e-300)


def _cells():
    return [("none", "after"), *((n, p) for n in ("batch", "layer", "rms") for p in ("before", "after"))]


def test_gamma_spans_what_double_precision_holds():
    ordered = gamma(ib.mlp(100, 1000, weight_variance=1.5, bias_variance=0.1))
    assert 1e100 < ordered < 1e130
    restored = gamma(ib.mlp(100, 200, norm="layer", placement="after"), ib.GaussianInputs(1000, correlation=0.9))
    assert 1e-27 < restored < 1e-25
    # the decay per block is chi_0 = a_1^2 / sum of a_k^2 over k >= 1
    deeper = gamma(ib.mlp(100, 201, norm="layer", placement="after"), ib.GaussianInputs(1000, correlation=0.9))
    assert abs(deeper / restored - 0.25 / (0.5 - 0.5 / np.pi)) < 1e-12


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_every_case_has_consistent_moments(case):
    _, net, _ = case
    p = ib.predict(net, ib.GaussianInputs(50, correlation=0.2), samples=12)
    rows = p.layers
    np.testing.assert_allclose(rows["same"], rows["cross"] + rows["gap"], rtol=1e-12)
    assert np.all(rows["gap"] > 0)
    assert np.all(np.abs(rows["cross"]) <= rows["same"] * (1 + 1e-12))
    assert list(rows["name"]) == ["input", *(s.name for s in ib.layers.flatten(net.steps(50)))]


@pytest.mark.parametrize("batch", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_batch_norm_before_is_exact_for_every_batch_size(batch, name):
    net = ib.mlp(100, 1, norm="batch", placement="before", activation=name)
    row = ib.predict(net, GAUSSIAN, samples=batch).layers[3]
    draws = 200_000
    mean, second, inside = kernels.batch_averages(activations.get(name).function, batch, draws, seed=batch)
    for value, (estimate, error) in ((row["mean"], mean), (row["same"], second), (row["cross"], inside)):
        assert abs(value - estimate) < 4.5 * error + 1e-12  # 45 comparisons at 1e-3 together


@pytest.mark.parametrize(("batch", "inside"), [(4, 0.0847482940), (8, 0.1250674665), (16, 0.1428420852)])
def test_batch_norm_before_relu_has_the_arc_cosine_at_minus_one_over_b_minus_one(batch, inside):
    net = ib.mlp(100, 3, norm="batch", placement="before")
    for row in (3, 6, 9):
        assert abs(ib.predict(net, GAUSSIAN, samples=batch).layers["cross"][row] - inside) < 1e-9


def test_batches_within_a_larger_sample():
    net = ib.mlp(100, 1, norm="batch", placement="before")
    inside = ib.predict(net, GAUSSIAN, samples=4).layers["cross"][3]
    across = ib.predict(net, GAUSSIAN, batch=4).layers["cross"][3]
    row = ib.predict(net, GAUSSIAN, samples=12, batch=4).layers[3]
    assert abs(row["cross"] - (3 * inside + 8 * across) / 11) < 1e-14
    assert abs(ib.predict(net, GAUSSIAN, batch=4).gamma - 0.6) < 1e-12


def test_dead_features_of_small_batches():
    net = ib.mlp(100, 1, norm="batch", placement="after")
    rows = ib.predict(net, GAUSSIAN, samples=4).layers
    assert abs(rows["same"][3] - (1 - 2**-4)) < 1e-12
    assert abs(rows["cross"][3] + (1 - 2**-4) / 3) < 1e-12


def test_a_chain_of_functions_against_monte_carlo():
    layers = (ib.Dense(100), ib.Activation("relu"), ib.LayerNorm(), ib.Activation("relu"), ib.Dense(2))
    row = ib.predict(ib.Network(layers), ib.GaussianInputs(1000, correlation=0.3)).layers[4]
    rng = np.random.default_rng(0)
    common, *own = rng.standard_normal((3, 2_000_000)) * np.sqrt(2)
    m, s = 1 / np.sqrt(np.pi), np.sqrt(1 - 1 / np.pi)  # of relu at variance 2
    h = [np.maximum((np.maximum(np.sqrt(0.3) * common + np.sqrt(0.7) * e, 0) - m) / s, 0) for e in own]
    for name, values in (("mean", h[0]), ("same", h[0] ** 2), ("cross", h[0] * h[1])):
        assert abs(row[name] - values.mean()) < 4 * values.std() / np.sqrt(values.size)


def test_affine_parameters_before_the_activation():
    layers = (ib.Dense(100), ib.LayerNorm(scale=0.5, shift=0.3), ib.Activation("relu"), ib.Dense(2))
    row = ib.predict(ib.Network(layers), GAUSSIAN).layers[3]
    z = 0.3 + 0.5 * np.random.default_rng(1).standard_normal(4_000_000)
    h = np.maximum(z, 0)
    assert abs(row["mean"] - h.mean()) < 4 * h.std() / np.sqrt(h.size)
    assert abs(row["cross"] - row["mean"] ** 2) < 1e-14  # uncorrelated inputs stay independent


def test_fresh_running_statistics_are_the_identity():
    running = ib.BatchNorm(mode="running")
    assert gamma(ib.mlp(100, 5, norm=running, placement="before")) == pytest.approx(gamma(ib.mlp(100, 5)), rel=1e-13)


def test_residual_recursions():
    # LayerNorm in the branch after the activation: q = 2 + 2 L exactly, r stays
    block = (ib.Residual((ib.Activation("relu"), ib.LayerNorm(), ib.Dense(64))),)
    p = ib.predict(ib.Network((ib.Dense(64), ib.Repeat(block, 5), ib.Dense(2))), GAUSSIAN)
    assert p.layers["same"][-2] == pytest.approx(12, rel=1e-12)
    # BatchNorm before the activation: gamma_l = 2 l m^2 / (q0 + 2 l (Q - m^2))
    block = (ib.Residual((ib.BatchNorm(), ib.Activation("relu"), ib.Dense(64))),)
    p = ib.predict(ib.Network((ib.Dense(64), ib.Repeat(block, 4), ib.Dense(2))), GAUSSIAN)
    m2 = 1 / (2 * np.pi)
    assert p.gamma == pytest.approx(8 * m2 / (2 + 8 * (0.5 - m2)), rel=1e-12)


def test_refusals_name_the_remedy():
    net = ib.Network((ib.Dense(32), ib.Activation("relu"), ib.BatchNorm(), ib.Activation("relu"), ib.Dense(2)))
    with pytest.raises(NotImplementedError, match="closure"):
        ib.predict(net, GAUSSIAN)
    p = ib.predict(net, GAUSSIAN, samples=64, closure="sampled")
    assert p.error["gamma"] > 0
    # over a batch each neuron has mean 0 and mean square 1: relu of it loses part of both
    assert 0 < p.gamma < 2


def test_an_independent_branch_is_required():
    net = ib.Network((ib.Dense(32), ib.Residual((ib.Activation("relu"),)), ib.Dense(2)))
    with pytest.raises(NotImplementedError, match="Dense"):
        ib.predict(net, GAUSSIAN)


@settings(max_examples=10)
@given(
    st.sampled_from(["relu", "abs", "erf", "gelu", "linear"]),
    st.integers(1, 6), st.floats(0.3, 4), st.floats(0, 2), st.floats(0, 0.95),
)  # fmt: skip
def test_before_the_activation_layer_and_rms_norm_are_one(name, depth, weight, bias, c):
    layer, rms = (
        gamma(
            ib.mlp(50, depth, activation=name, norm=norm, placement="before", weight_variance=weight,
                   bias_variance=bias),
            ib.GaussianInputs(100, correlation=c),
        )
        for norm in ("layer", "rms")
    )  # fmt: skip
    assert np.isclose(layer, rms, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ib.predict("net", GAUSSIAN), TypeError, "mlp"),
        (lambda: ib.predict(ib.mlp(8, 1), np.ones((3, 2))), TypeError, "Dataset"),
        (lambda: ib.predict(ib.mlp(8, 1), GAUSSIAN, width="wide"), ValueError, "infinite"),
        (lambda: ib.predict(ib.mlp(8, 1), GAUSSIAN, closure="x"), ValueError, "sampled"),
        (lambda: ib.predict(ib.mlp(8, 1), GAUSSIAN, samples=1), ValueError, "at least"),
        (lambda: ib.predict(ib.mlp(8, 1, norm="batch"), GAUSSIAN, samples=10, batch=3), ValueError, "divide"),
        (lambda: ib.predict(ib.mlp(8, 1, norm="batch"), GAUSSIAN, batch=1), ValueError, "at least 2"),
        (lambda: ib.predict(ib.mlp(8, 1), GAUSSIAN, seed="x"), TypeError, "seed"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
