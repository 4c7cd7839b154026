"""Laws that hold across modules: what no placement, no seed and no parameter may break."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import ibtheory as ib
from ibtheory import fractions, gaussian
from ibtheory.output import sample_kurtosis
from ibtheory.theory.state import Data, State
from ibtheory.theory.walk import walk

NORMS = ("none", "batch", "layer", "rms")
HOMOGENEOUS = st.sampled_from(["relu", "abs", "linear", "leaky_relu"])
SMOOTH = st.sampled_from(["tanh", "erf", "gelu"])
ANY = st.sampled_from(["relu", "abs", "leaky_relu", "tanh", "erf", "gelu"])
DEPTHS = st.integers(1, 6)
CORRELATIONS = st.floats(0.0, 0.99)
VARIANCES = st.floats(0.2, 5.0)
PLACEMENTS = st.sampled_from(["before", "after"])
CELLS = st.tuples(st.sampled_from(NORMS), PLACEMENTS)
few = settings(max_examples=10)


def law(correlation=0.0, features=200):
    return ib.GaussianInputs(features, correlation=correlation)


def dataset(seed, samples=8, features=6, offset=0.0):
    return ib.Dataset(np.random.default_rng(seed).standard_normal((samples, features)), offset=offset)


def predict(net, x, **options):
    """Of the network with its blocks written out: the limit of depth, which takes most of the time, is left out."""
    layers = []
    for layer in net.layers:
        layers += layer.block * layer.times if isinstance(layer, ib.Repeat) else (layer,)
    return ib.predict(ib.Network(tuple(layers)), x, **options)


def table(p):
    return np.stack([p.layers[name] for name in ("same", "cross", "gap", "mean")], axis=1)


# One class law for three placements


@few
@given(HOMOGENEOUS, DEPTHS, CORRELATIONS, st.integers(2, 5), VARIANCES)
def test_without_biases_none_and_rms_have_one_class_law(activation, depth, c, classes, weight):
    """A positively homogeneous network hands a norm's factor of a sample through to all of its logits."""
    cells = (("none", "after"), ("rms", "before"), ("rms", "after"))
    nets = [
        ib.mlp(64, depth, classes, activation=activation, norm=n, placement=p, weight_variance=weight) for n, p in cells
    ]
    values = [predict(net, law(c)) for net in nets]
    for p in values[1:]:
        assert p.gamma_effective == pytest.approx(values[0].gamma_effective, rel=1e-9, abs=1e-12)
        assert p.regime == values[0].regime
    data = [predict(net, dataset(depth)).class_fraction_variance for net in nets]
    np.testing.assert_allclose(data[1:], data[0], rtol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_simulated_with_one_seed_they_predict_the_same(activation):
    def shares(norm, placement):
        net = ib.mlp(24, 4, 3, activation=activation, norm=norm, placement=placement)
        return ib.simulate(net, law(), networks=20, samples=50, dtype="float64").class_fractions

    for norm, placement in (("rms", "before"), ("rms", "after")):
        np.testing.assert_array_equal(shares(norm, placement), shares("none", "after"))


# Scale


@few
@given(ANY, DEPTHS, CORRELATIONS, st.floats(0.1, 10), st.sampled_from(["batch", "layer", "rms"]))
def test_a_norm_before_the_activation_takes_the_scale_of_weights_away(activation, depth, c, factor, norm):
    nets = [
        ib.mlp(64, depth, activation=activation, norm=norm, placement="before", weight_variance=w)
        for w in (2.0, 2.0 * factor)
    ]
    a, b = (predict(net, law(c)) for net in nets)
    assert b.gamma == pytest.approx(a.gamma, rel=1e-9, abs=1e-14)
    assert b.layers["same"][-1] == pytest.approx(factor * a.layers["same"][-1], rel=1e-9)


@few
@given(HOMOGENEOUS, DEPTHS, CORRELATIONS, st.floats(0.1, 10), CELLS)
def test_homogeneous_networks_do_not_see_the_scale_of_inputs(activation, depth, c, variance, cell):
    norm, placement = cell
    net = ib.mlp(64, depth, activation=activation, norm=norm, placement=placement)
    a, b = (predict(net, ib.GaussianInputs(200, variance=v, correlation=c)) for v in (1.0, variance))
    assert b.gamma == pytest.approx(a.gamma, rel=1e-9, abs=1e-14)


# Where gamma goes


@few
@given(ANY, DEPTHS, st.floats(0.0, 1.0), CORRELATIONS, st.floats(0.0, 1.0), CELLS)
def test_gamma_of_a_law_is_not_negative(activation, depth, weight, c, bias, cell):
    norm, placement = cell
    net = ib.mlp(
        64, depth, activation=activation, norm=norm, placement=placement, weight_variance=0.5 + weight,
        bias_variance=bias if norm != "batch" else 0.0,
    )  # fmt: skip
    p = predict(net, law(c))
    assert p.gamma >= 0
    assert p.gamma_effective == pytest.approx(p.gamma, rel=1e-9, abs=1e-12)  # samples alike
    assert np.all(p.layers["gap"] > 0)
    assert np.all(p.layers["cross"] >= -1e-15)


@few
@given(ANY, st.floats(-0.99, 0.99), VARIANCES)
def test_layer_norm_after_the_activation_contracts(activation, c, q):
    """|R(c) - m^2| <= |c| (Q - m^2): a power series in c without its constant term, of coefficients >= 0."""
    variance = gaussian.second(activation, q) - gaussian.mean(activation, q) ** 2
    assert abs(gaussian.centred(activation, q, c=c)) <= abs(c) * variance * (1 + 1e-9)


@few
@given(ANY, st.floats(0.01, 0.98), DEPTHS)
def test_layer_norm_after_brings_gamma_down_layer_by_layer(activation, c, depth):
    p = predict(ib.mlp(64, depth, activation=activation, norm="layer", placement="after"), law(c))
    behind = p.layers["gamma"][[name.startswith("layer norm") for name in p.layers["name"]]]
    assert np.all(np.diff(np.r_[c / (1 - c), behind]) <= 1e-12)


@few
@given(st.sampled_from(["relu", "leaky_relu", "abs"]), DEPTHS, st.floats(0.0, 0.9), st.floats(0.005, 0.09))
def test_gamma_grows_with_the_correlation_of_the_inputs(activation, depth, c, more):
    net = ib.mlp(64, depth, activation=activation)
    assert predict(net, law(c + more)).gamma > predict(net, law(c)).gamma


@few
@given(st.floats(0, 2), st.floats(0.01, 1), DEPTHS)
def test_gamma_grows_with_the_offset_of_the_inputs(offset, more, depth):
    """The offset b adds b^2 to both moments, r and q, of inputs that are uncorrelated without it."""
    nets = ib.mlp(64, depth)
    low, high = (predict(nets, ib.Blobs(separation=0.0, features=200, offset=b)).gamma for b in (offset, offset + more))
    assert high > low


def test_odd_activations_on_centred_inputs_have_no_drift():
    for norm in ("none", "layer", "rms", "batch"):
        p = predict(ib.mlp(64, 7, activation="tanh", norm=norm, placement="before"), law())
        assert abs(p.gamma) < 1e-30


# Biases and BatchNorm


@few
@given(st.integers(0, 3), st.floats(0.0, 3.0), CORRELATIONS)
def test_a_bias_of_the_readout_moves_the_cross_sample_moment_only(depth, bias, c):
    net = ib.mlp(64, depth)
    head = replace(net.layers[-1], bias_variance=bias)
    plain, biased = predict(net, law(c)), predict(replace(net, layers=(*net.layers[:-1], head)), law(c))
    assert biased.layers["gap"][-1] == plain.layers["gap"][-1]
    assert biased.layers["cross"][-1] == pytest.approx(plain.layers["cross"][-1] + bias, rel=1e-12)


@few
@given(ANY, DEPTHS, st.floats(0.01, 3.0))
def test_batch_norm_before_the_activation_removes_the_biases_below_it(activation, depth, bias):
    def network(b):
        block = (ib.Dense(64, bias_variance=b), ib.BatchNorm(), ib.Activation(activation))
        return ib.Network((ib.Repeat(block, depth), ib.Dense(3)))

    plain, biased = (predict(network(b), law(0.3)) for b in (0.0, bias))
    assert biased.gamma == pytest.approx(plain.gamma, rel=1e-12, abs=1e-15)


# What stands for what


@few
@given(st.integers(0, 100), st.sampled_from(["none", "layer", "rms"]), PLACEMENTS, ANY)
def test_the_order_of_samples_does_not_matter(seed, norm, placement, activation):
    data = dataset(seed, offset=0.3)
    shuffled = ib.Dataset(data.X[np.random.default_rng(seed).permutation(data.samples)])
    net = ib.mlp(64, 2, 3, activation=activation, norm=norm, placement=placement)
    a, b = predict(net, data), predict(net, shuffled)
    np.testing.assert_allclose(table(a), table(b), rtol=1e-9, atol=1e-12)
    for name in ("gamma_effective", "class_fraction_variance"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-8, abs=1e-12)
    assert a.output.kurtosis == pytest.approx(b.output.kurtosis, rel=1e-7, abs=1e-9)


@few
@given(DEPTHS, st.integers(2, 4), st.sampled_from(["none", "layer", "rms"]), PLACEMENTS, ANY)
def test_blobs_at_one_place_are_one_population(depth, classes, norm, placement, activation):
    net = ib.mlp(64, depth, classes, activation=activation, norm=norm, placement=placement)
    groups = predict(net, ib.Blobs(centers=np.zeros((classes, 200)), weights=np.arange(1, classes + 1.0)))
    one = predict(net, law())
    np.testing.assert_allclose(table(groups), table(one), rtol=1e-10, atol=1e-14)
    assert groups.class_fraction_variance == pytest.approx(one.class_fraction_variance, rel=1e-9, abs=1e-13)


@few
@given(st.integers(1, 4), st.integers(1, 4), CELLS, ANY, CORRELATIONS)
def test_depths_add(first, second, cell, activation, c):
    norm, placement = cell
    whole = ib.mlp(64, first + second, activation=activation, norm=norm, placement=placement)
    block = whole.layers[0].block
    cut = ib.Network((ib.Repeat(block, first), ib.Repeat(block, second), whole.layers[-1]))
    np.testing.assert_allclose(table(ib.predict(cut, law(c))), table(ib.predict(whole, law(c))), rtol=1e-13)


@settings(max_examples=6)
@given(st.sampled_from(["relu", "tanh"]), st.sampled_from(NORMS), PLACEMENTS, st.integers(1, 3))
def test_leading_terms_vanish_with_the_width(activation, norm, placement, depth):
    """They fall like 1/width, so that twice the width has half of them; the inputs' own share stays."""
    x = law(0.2, features=10**9)

    def shift(width):
        net = ib.mlp(width, depth, activation=activation, norm=norm, placement=placement)
        return predict(net, x, width="leading").gamma - predict(net, x).gamma

    wide, wider = shift(10**5), shift(2 * 10**5)
    assert wider == pytest.approx(wide / 2, rel=0.01, abs=1e-9)


# Bounds


@few
@given(st.integers(0, 100), st.sampled_from(["none", "layer", "rms"]), PLACEMENTS, ANY, DEPTHS)
def test_kernels_of_data_are_positive_and_correlations_at_most_one(seed, norm, placement, activation, depth):
    data = dataset(seed, offset=0.2)
    net = ib.mlp(64, depth, activation=activation, norm=norm, placement=placement)
    assert predict(net, data).gamma_effective >= -1 / (data.samples - 1) - 1e-12
    moments = data.moments()
    pairs = (1 - np.eye(8)) / 56
    state = State(moments.mean, moments.cov, moments.gap, None, Data(moments.weights, pairs, np.inf, concrete=True))
    for _, now in walk(net.steps(data.features), state, np.random.default_rng(0)):
        kernel = now.cross.copy()
        np.fill_diagonal(kernel, now.same)
        assert np.linalg.eigvalsh(kernel).min() >= -1e-9 * np.trace(kernel)
        c, om = now.correlation()
        assert np.all(np.abs(c) <= 1)
        np.testing.assert_allclose(c + om, 1, atol=1e-9)


@few
@given(ANY, st.floats(0.2, 5), st.floats(0.2, 5), st.floats(-1, 1))
def test_cauchy_schwarz_of_duals(activation, q1, q2, c):
    bound = np.sqrt(gaussian.second(activation, q1) * gaussian.second(activation, q2))
    assert abs(gaussian.dual(activation, q1, q2, c)) <= bound * (1 + 1e-12)


# Classes are alike


@few
@given(st.floats(0.0, 50.0), st.integers(2, 8))
def test_classes_are_exchangeable(gamma, classes):
    fraction = ib.ClassFraction(gamma, classes)
    assert fraction.ordered_means().sum() == pytest.approx(1, abs=1e-12)
    assert np.all(np.diff(fraction.ordered_means()) <= 1e-12)
    covariance = fraction.covariance()
    np.testing.assert_allclose(covariance.sum(axis=0), 0, atol=1e-12)
    assert np.ptp(np.diagonal(covariance)) < 1e-15
    agreement = fractions.agreement(gamma / (1 + gamma), classes)
    assert fraction.var() == pytest.approx(agreement / classes - 1 / classes**2, rel=1e-9, abs=1e-13)


@few
@given(st.floats(0.0, 20.0), st.floats(0.05, 5.0), st.integers(2, 6))
def test_more_drift_is_more_bias(gamma, more, classes):
    low, high = ib.ClassFraction(gamma, classes), ib.ClassFraction(gamma + more, classes)
    assert high.expected_max() > low.expected_max()
    assert high.var() > low.var()


def test_limits_of_the_drift():
    for classes in (2, 5):
        assert ib.ClassFraction(0.0, classes).expected_max() == pytest.approx(1 / classes)
        assert ib.ClassFraction(np.inf, classes).expected_max() == 1
        assert ib.ClassFraction(1e12, classes).expected_max() == pytest.approx(1, abs=1e-5)


# The law of a logit


@few
@given(st.integers(0, 100), SMOOTH | HOMOGENEOUS, st.sampled_from(["none", "rms", "layer"]), PLACEMENTS)
def test_the_law_of_a_logit_has_the_moments_of_the_last_layer(seed, activation, norm, placement):
    assume(not (norm == "none" and placement == "before"))
    net = ib.mlp(64, 2, activation=activation, norm=norm, placement=placement)
    p = predict(net, dataset(seed), width="leading")
    last = p.layers[-1]
    assert p.output.variance == pytest.approx(last["gap"], rel=1e-9)
    assert p.output.total_variance == pytest.approx(last["same"], rel=1e-9)
    assert p.output.mean_variance == pytest.approx(last["cross"], rel=1e-9, abs=1e-12)
    assert p.output.network_kurtosis >= 0
    # of the same fourth moment, over the mean square of the variance in place of its squared mean
    assert sample_kurtosis(p.output.kurtosis, 8) <= p.output.data.kurtosis() + 1e-9
