"""Laws of the weights beside the normal one: their moments, what they keep exactly, and where the savings hold."""

import numpy as np
import pytest

import ibtheory as ib
from ibtheory.simulation import random
from ibtheory.simulation.ops import orthogonal

BAR = 5.0  # standard errors


def draws(rows, columns, networks=1, *, std=1.0, seed=1):
    """(networks, rows, columns)."""
    space, raw = np.empty(orthogonal.scratch(rows, columns)), np.empty(2 * random.CHUNK, np.uint32)
    out = np.empty((networks, rows * columns))
    for network in range(networks):
        state = np.zeros(random.WORDS, np.uint32)
        random.seed_lanes(state, np.uint64(seed), network)
        orthogonal.fill(out[network], rows, columns, std, space, state, raw)
    return out.reshape(networks, rows, columns)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 4), (30, 7), (7, 30), (120, 120)], ids=str)
def test_rows_or_columns_are_orthogonal(shape):
    w = draws(*shape, std=0.3)[0]
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, 0.09 * max(shape) * np.eye(min(shape)), atol=1e-14 * max(shape))


def scores(values, expected):
    """Deviation of the mean of ``values`` over networks from what is expected, in standard errors."""
    return (values.mean(axis=0) - expected) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def test_moments_of_the_haar_measure():
    q = draws(4, 4, 5000)
    exact = [
        (q.mean(axis=(1, 2)), 0.0),
        (np.linalg.det(q / 2), 0.0),
        (np.trace(q, axis1=1, axis2=2) / 2, 0.0),
        (np.trace(q, axis1=1, axis2=2) ** 2 / 4, 1.0),
        (np.trace(q @ q, axis1=1, axis2=2) / 4, 1.0),  # 0 for unitary ones; no sign, no 1
        ((q**4).mean(axis=(1, 2)) / 16, 3 / (4 * 6)),
        (q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2 / 16, 5 / (3 * 4 * 6)),
        (q[:, 0, 0] * q[:, 0, 1] * q[:, 1, 0] * q[:, 1, 1] / 16, -1 / (3 * 4 * 6)),
    ]
    for number, (values, expected) in enumerate(exact):
        assert abs(scores(values, expected)) < BAR, number
    assert (np.abs(scores(q.reshape(len(q), -1), 0.0)) < BAR).all()  # every entry for itself
    assert (np.abs(scores(q.reshape(len(q), -1) ** 2, 1.0)) < BAR).all()


@pytest.mark.parametrize("shape", [(6, 2), (2, 6)], ids=str)
def test_entries_of_rectangles_have_the_variance_asked_for(shape):
    q = draws(*shape, 5000, std=0.5)
    assert (np.abs(scores(q.reshape(len(q), -1) ** 2, 0.25)) < BAR).all()
    assert (np.abs(scores(q.reshape(len(q), -1) ** 4, 0.25**2 * 36 * 3 / (6 * 8))) < BAR).all()


@pytest.mark.parametrize("distribution", ["uniform", "orthogonal"])
@pytest.mark.parametrize(("width", "outputs"), [(12, 3), (3, 12)])
def test_networks_have_the_variances_stated(distribution, width, outputs):
    # the identity as input: the first layer is its weights, 5 features
    net = ib.mlp(width, 1, outputs, activation="linear", weight_variance=1.5, distribution=distribution)
    e = ib.simulate(net, ib.Dataset(np.eye(5)), networks=4000, dtype="float64", seed=2)
    same, error = e.layers["same"], e.layers["same_error"]
    assert abs(same[1] - 1.5 / 5) < max(BAR * error[1], 1e-14)
    assert abs(same[-1] - 1.5**2 / 5) < max(BAR * error[-1], 1e-14)
    assert abs(e.layers["cross"][-1]) < BAR * e.layers["cross_error"][-1]


def test_orthogonal_linear_networks_keep_every_length():
    net = ib.mlp(20, 10, 20, activation="linear", weight_variance=1.0, distribution="orthogonal")
    e = ib.simulate(net, ib.GaussianInputs(20), samples=10, networks=5, readouts=3, dtype="float64")
    np.testing.assert_allclose(e.per_layer[:, :, 0], e.per_layer[0, 0, 0], rtol=1e-13)  # each readout for itself too
    np.testing.assert_allclose(e.per_layer[:, -1, 2], e.per_layer[0, 0, 2], rtol=1e-13)


@pytest.mark.parametrize("distribution", ["uniform", "orthogonal"])
def test_the_same_bits_however_the_work_is_split_and_in_both_precisions(distribution):
    net, x = ib.mlp(16, 2, 3, distribution=distribution, bias_variance=0.1), ib.GaussianInputs(10)
    one, two, double = (
        ib.simulate(net, x, samples=20, networks=70, readouts=2, **options)
        for options in ({"workers": 1}, {"workers": 2}, {"dtype": "float64"})
    )
    np.testing.assert_array_equal(one.per_layer, two.per_layer)
    np.testing.assert_allclose(one.per_layer, double.per_layer, rtol=1e-4, atol=1e-5)
    data = ib.Dataset(*ib.Blobs(classes=3, features=10).draw(20, 0))
    trained = [ib.train(net, data, networks=6, steps=3, workers=workers) for workers in (1, 2)]
    np.testing.assert_array_equal(trained[0].loss, trained[1].loss)
    start = ib.simulate(net, data, networks=6, readouts=1)
    np.testing.assert_array_equal(trained[0].class_fractions[:, 0], start.class_fractions)


def test_inputs_are_rotated_for_normal_weights_only():
    # logits along (1, 1, 0, ...): the sum of two uniform weights has the excess kurtosis -.6; rotated, one has -1.2
    x = ib.Dataset(np.outer([1.0, -1.0], [1.0, 1.0, 0.0, 0.0, 0.0]))
    options = {"networks": 8000, "readouts": 1, "keep": "summary", "seed": 1}
    uniform, normal = (ib.simulate(ib.mlp(1, 0, 1, distribution=d), x, **options) for d in ("uniform", "normal"))
    assert abs(uniform.network_kurtosis + 0.6) < BAR * uniform.network_kurtosis_error
    assert abs(normal.network_kurtosis) < BAR * normal.network_kurtosis_error
    # two orthogonal columns of 8 numbers hold a varying part of a sample; of the 2 that a rotation leaves, all of it
    e = ib.simulate(ib.mlp(1, 0, 2, distribution="orthogonal"), ib.GaussianInputs(8), samples=2, networks=2000)
    q = e.per_layer[:, -1, 0] / e.per_layer[:, 0, 0]
    assert abs(scores(q, 2.0)) < BAR
    assert q.std() > 0.3


@pytest.mark.parametrize("distribution", ["uniform", "orthogonal"])
def test_many_readouts_have_the_law_of_one(distribution):
    net, x = ib.mlp(6, 2, 3, distribution=distribution), ib.Dataset(ib.GaussianInputs(5).draw(30, 0)[0])
    one, many = (
        ib.simulate(net, x, networks=4000, readouts=readouts, seed=readouts, keep="summary") for readouts in (1, 8)
    )
    for name in ("class_fraction_variance", "max_fraction", "gamma", "gamma_effective"):
        difference = getattr(one, name) - getattr(many, name)
        assert abs(difference) < BAR * np.hypot(getattr(one, f"{name}_error"), getattr(many, f"{name}_error")), name


def test_words_of_the_zoo():
    dense = ib.mlp(8, 1, init="torch").layers[-1]
    assert (dense.distribution, dense.variances(300)) == ("uniform", (1 / 3, 1 / 900))
    assert ib.mlp(8, 1, init="keras").layers[-1].distribution == "uniform"
    assert ib.mlp(8, 1, init="he", distribution="orthogonal").layers[-1] == ib.Dense(2, distribution="orthogonal")
    with pytest.raises(ValueError, match="distribution must be one of 'normal', 'uniform', 'orthogonal'"):
        ib.mlp(8, 1, distribution="gaussian")


def test_the_terms_in_one_over_width_say_for_which_weights_they_are():
    x = ib.GaussianInputs(50)
    normal, uniform, orthogonal_ = (
        ib.predict(ib.mlp(32, 2, distribution=d), x, width="leading") for d in ("normal", "uniform", "orthogonal")
    )
    assert not any("normal" in note for note in normal.notes)
    assert any("those of normal weights" in note for note in uniform.notes)
    assert any("predicted at infinite width" in note for note in orthogonal_.notes)
    assert orthogonal_.gamma == ib.predict(ib.mlp(32, 2), x).gamma


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("distribution", ["uniform", "orthogonal"])
def test_wide_networks_have_the_theory_of_normal_weights(distribution, activation):
    net = ib.mlp(64, 2, 3, activation=activation, distribution=distribution, bias_variance=0.1)
    data = ib.Dataset(ib.GaussianInputs(256).draw(50, 0)[0])
    e, p = ib.simulate(net, data, networks=600, readouts=8, keep="summary"), ib.predict(net, data)
    for name in ("same", "cross", "gap"):
        room = BAR * e.layers[f"{name}_error"] + 2 / 64 * p.layers["same"]  # what is of order 1/width
        assert (np.abs(e.layers[name] - p.layers[name])[1:] < room[1:]).all(), name
