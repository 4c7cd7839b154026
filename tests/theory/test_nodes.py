"""The fast paths of theory on datasets: nodes for all pairs, compiled activations, the NNGP kernel."""

import os

import numpy as np
import pytest
from reference import kernels

import ibtheory as ib
from ibtheory import activations, gaussian
from ibtheory.theory import kernel, nodes, piecewise, start, walk
from ibtheory.theory.state import correlation

COUNT = 300
CLOSE = [(10, 11), (12, 13), (14, 15), (16, 17), (18, 19)]  # a copy, two near copies, a scaled copy, an opposite


def data(spread=0.3):
    """Samples of different norms in two clusters, some of them nearly equal."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((COUNT, 20)) * np.exp(spread * rng.standard_normal((COUNT, 1)))
    X[: COUNT // 4] += 1.0
    X[11] = X[10]
    X[13] = X[12] * (1 + 1e-6) + 1e-6 * rng.standard_normal(20)
    X[15] = X[14] + 1e-3 * rng.standard_normal(20)
    X[17] = 1.5 * X[16]
    X[19] = -X[18]
    return ib.Dataset(X)


def both(net, x):
    """(record by nodes, record of all pairs)."""
    steps = net.steps(x.features)
    state, *_ = start.start(x, steps, None, "all", "exact", 0, [])
    rng = np.random.default_rng(0)
    return nodes.follow(steps, state, x.X, rng), walk.follow(steps, state, rng)


def assert_same(found, exact):
    same, exact_same = (record.table[:, :3] for record in (found, exact))
    scale = exact_same[:, :1]
    assert np.all(np.abs(same - exact_same) <= 1e-12 * np.maximum(np.abs(exact_same), 1e-3 * scale))
    np.testing.assert_allclose(found.table[:, 2], exact.table[:, 2], rtol=1e-12)  # gaps, however small
    root = np.sqrt(exact.logits.same)
    product = np.outer(root, root)
    np.testing.assert_allclose(found.logits.cross / product, exact.logits.cross / product, atol=1e-12)
    np.testing.assert_allclose(found.logits.gap / product, exact.logits.gap / product, atol=1e-12)
    assert np.array_equal(found.logits.gap, found.logits.gap.T)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"activation": "leaky_relu", "norm": "rms", "placement": "both", "bias_variance": 0.3},
        {"norm": "layer", "depth": 20},
        {"activation": "erf", "norm": "layer", "placement": "before", "bias_variance": 0.1},
        {"activation": "gelu", "norm": "rms", "placement": "before"},
        {"weight_variance": 1.5, "depth": 40},
    ],
)
def test_radial_networks_at_nodes(words):
    found, exact = both(ib.mlp(50, **{"depth": 5, **words}), data())
    assert len(found.tape[1][1].mean) < 80  # so few stand-ins
    assert_same(found, exact)


@pytest.mark.parametrize("words", [{"activation": "erf"}, {"activation": "gelu", "bias_variance": 0.2}])
def test_analytic_networks_at_nodes(words, monkeypatch):
    monkeypatch.setattr(nodes, "_WORTH", 2.0)
    found, exact = both(ib.mlp(50, 3, **words), data(spread=0.02))
    assert_same(found, exact)


def test_residual_branches_at_nodes():
    block = (ib.Residual((ib.Activation("relu"), ib.Dense(30))),)
    net = ib.Network((ib.Dense(30), *block * 4, ib.Dense(2)))
    found, exact = both(net, data())
    assert_same(found, exact)


@pytest.mark.parametrize("words", [{}, {"activation": "erf"}])
def test_norms_that_are_equal_up_to_rounding(words, monkeypatch):
    monkeypatch.setattr(nodes, "_WORTH", 2.0)
    X = data().X
    found, exact = both(ib.mlp(50, 4, **words), ib.Dataset(X / np.linalg.norm(X, axis=1)[:, None]))
    assert_same(found, exact)


def test_equal_norms_need_one_scale():
    found, exact = both(ib.mlp(50, 4, activation="erf"), ib.Dataset(np.sign(data().X)))
    assert len(found.tape[1][1].mean) < 40
    assert_same(found, exact)


@pytest.mark.parametrize(
    "net",
    [
        ib.mlp(50, 2, bias_variance=0.1),
        ib.mlp(50, 2, norm="layer", epsilon=1e-5),
        ib.mlp(50, 2, norm="batch"),
        ib.mlp(50, 2, norm="layer", placement="before", activation="sign"),
        ib.Network((ib.LayerNorm(), ib.Dense(20), ib.Activation("relu"), ib.Dense(2))),
        ib.Network((ib.Dense(20), ib.Residual((ib.LayerNorm(), ib.Activation("relu"), ib.Dense(20))), ib.Dense(2))),
    ],
)
def test_what_nodes_do_not_cover_is_left_to_all_pairs(net):
    assert nodes.frame(data().X, net.steps(20)) is None


def test_samples_without_norm_are_left_to_all_pairs():
    X = data().X.copy()
    X[0] = 0.0
    assert nodes.frame(X, ib.mlp(50, 2).steps(20)) is None


def test_predictions_do_not_depend_on_the_way(monkeypatch):
    x, net = data(), ib.mlp(50, 6, 5, norm="layer")
    fast = ib.predict(net, x)
    monkeypatch.setattr(nodes, "_LEAST", 10**9)
    slow = ib.predict(net, x)
    assert fast.gamma == pytest.approx(slow.gamma, rel=1e-12)
    assert fast.gamma_effective == pytest.approx(slow.gamma_effective, rel=1e-12)
    assert fast.class_fraction_variance == pytest.approx(slow.class_fraction_variance, rel=1e-12)
    for name in ("same", "cross", "gap"):
        np.testing.assert_allclose(fast.layers[name], slow.layers[name], rtol=1e-12)


def test_threads_do_not_change_a_bit(monkeypatch):
    records = []
    for workers in (1, 3):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=workers: set(range(n)), raising=False)
        records.append(both(ib.mlp(50, 4), data())[0])
    first, second = records
    assert np.array_equal(first.table, second.table)
    assert np.array_equal(first.logits.cov, second.logits.cov)
    assert np.array_equal(first.logits.gap, second.logits.gap)


def test_only_the_state_at_hand_is_kept():
    x, net = data(), ib.mlp(50, 3, bias_variance=0.1)
    steps = net.steps(20)
    state, *_ = start.start(x, steps, None, "all", "exact", 0, [])
    rng = np.random.default_rng(0)
    assert [name for name, _ in walk.follow(steps, state, rng).tape] == ["input"]
    kept = walk.follow(steps, state, rng, keep=True)
    assert len(kept.tape) == len(kept.table) == len(steps) + 1
    assert np.array_equal(kept.tape[-1][1].cov, kept.logits.cov)


def test_kernel_against_sixty_digits():
    x = data()
    K = kernel(ib.mlp(50, 20), x)
    found, _ = both(ib.mlp(50, 20), x)
    assert np.array_equal(K, K.T)
    for i, j in [*CLOSE, (0, 0), (1, 200), (80, 250)]:
        value, gap = kernels.relu_pair(x.X[i], x.X[j], 20)
        assert K[i, j] == pytest.approx(value, rel=2e-14)
        if (i, j) not in ((0, 0), (10, 11)):
            assert found.logits.gap[i, j] == pytest.approx(gap, rel=1e-9 if i == 12 else 1e-12)
    assert found.logits.gap[10, 11] < 1e-30


@pytest.mark.parametrize("words", [{"bias_variance": 0.1}, {"norm": "layer", "epsilon": 1e-5}, {}])
def test_kernel_is_the_covariance_of_the_last_state(words):
    net, x = ib.mlp(50, 3, **words), data()
    _, exact = both(net, x)
    np.testing.assert_allclose(kernel(net, x), exact.logits.cross, rtol=1e-11)
    rows = np.sort(np.random.default_rng(4).choice(COUNT, 20, replace=False))
    np.testing.assert_allclose(kernel(net, x, samples=20, seed=4), exact.logits.cross[np.ix_(rows, rows)], rtol=1e-11)


def test_kernel_with_batch_norm_is_reproducible():
    net, x = ib.mlp(50, 1, norm="batch", placement="before"), ib.Dataset(data().X[:30])
    K = kernel(net, x, seed=2)
    assert np.array_equal(K, kernel(net, x, seed=2))
    exact = 2 * kernels.batch_norm_relu(2 * x.X @ x.X.T / 20)
    assert np.abs(K / exact - 1).mean() < 0.05  # 2^15 neurons: about 1/sqrt(2^15) per entry and its tails


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mlp", 3), "net must be a Network"),
        ((ib.mlp(5, 1), ib.GaussianInputs(10)), "x must be a Dataset"),
        ((ib.mlp(5, 1), np.ones((3, 3))), "x must be a Dataset"),
    ],
)
def test_kernel_refuses(arguments, message):
    with pytest.raises(TypeError, match=message):
        kernel(*arguments)


@pytest.mark.parametrize("phi", [activations.relu, activations.leaky_relu(0.3), activations.linear])
def test_compiled_activations_are_the_closed_forms(phi):
    moments = data().moments()
    same, cross, gap = moments.same, moments.cross, moments.gap
    new_cov, new_gap = piecewise.moments(phi.slopes, cross, gap, same)
    c, om = correlation(same, cross, gap)
    q1, q2 = same[:, None], same
    np.testing.assert_allclose(new_cov, gaussian.centred(phi, q1, q2, c=c), rtol=1e-14)
    np.testing.assert_allclose(new_gap, gaussian.gap(phi, q1, q2, one_minus_c=om), rtol=1e-14, atol=1e-300)
