"""Comparison: right theory passes at the stated rate, wrong theory does not, and unlike things are not compared."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import ibtheory as ib
from ibtheory import results
from ibtheory.comparison import LAYER_QUANTITIES, LOGIT_QUANTITIES, OUTPUT_QUANTITIES, compare

NET = ib.mlp(64, 1, 3)  # one hidden layer: the moments of infinite width hold at any width
X = np.random.default_rng(0).standard_normal((40, 30)) + 0.3
DATA = ib.Dataset(X)
LAW = ib.GaussianInputs(300)


@pytest.fixture(scope="module")
def pair():
    return ib.predict(NET, DATA), ib.simulate(NET, DATA, networks=200, readouts=4, dtype="float64")


@pytest.fixture(scope="module")
def drawn():
    return ib.predict(NET, LAW), ib.simulate(NET, LAW, networks=200, samples=60, readouts=4, dtype="float64")


def row(comparison, layer, quantity):
    rows = comparison.rows
    return rows[(rows["layer"] == layer) & (rows["quantity"] == quantity)][0]


def test_right_theory_is_consistent(pair):
    p, e = pair
    c = compare(p, e)
    assert c.consistent, str(c)
    assert c.rows["layer"].tolist() == [*p.layers["name"], *["logits"] * 3]
    assert c.rows["quantity"].tolist() == ["gamma"] * len(p.layers) + list(LOGIT_QUANTITIES)
    last = row(c, "logits", "gamma")
    assert last["z"] == pytest.approx((e.gamma - p.gamma) / e.gamma_error, rel=1e-6)
    assert last["p_value"] == pytest.approx(2 * stats.t.sf(abs(last["z"]), 199))
    assert "no width correction" in last["note"]


def test_every_quantity_of_every_layer(pair):
    p, e = pair
    c = compare(p, e, quantities=(*LAYER_QUANTITIES, *LOGIT_QUANTITIES))
    assert len(c.rows) == 5 * len(p.layers) + 3
    assert c.consistent, str(c)
    assert row(c, "input", "same")["exact"]
    assert not row(c, "relu 1", "same")["exact"]
    assert compare(p, e, quantities="gamma_effective").rows["quantity"].tolist() == ["gamma_effective"]


@pytest.mark.parametrize("quantity", ["gamma", "gamma_effective", "class_fraction_variance"])
def test_only_what_lies_beyond_the_remainder_counts(pair, quantity):
    p, e = pair
    plain = row(compare(p, e), "logits", quantity)
    difference, total = plain["estimate"] - plain["theory"], abs((plain["estimate"] - plain["theory"]) / plain["z"])
    for left_out in (0.5 * abs(difference), 2 * abs(difference)):
        layers = [0.0] * (len(p.layers) - 1) + [left_out]
        allowed = row(compare(replace(p, remainder={quantity: left_out, "layers": layers}), e), "logits", quantity)
        beyond = np.sign(difference) * max(abs(difference) - left_out, 0.0)
        assert allowed["z"] == pytest.approx(beyond / total, rel=1e-9)
        assert allowed["p_value"] == pytest.approx(2 * stats.t.sf(abs(allowed["z"]), 199))


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_wrong_theory_is_rejected(pair, factor):
    p, e = pair
    layers = p.layers.copy()
    layers["gamma"][2] *= factor  # of "relu 1", whose error is below 1 percent
    c = compare(replace(p, layers=layers), e)
    assert not c.consistent
    assert c.worst["layer"] == "relu 1"
    assert c.rejected.sum() == 1


def test_a_leaky_slope_is_seen(pair):
    """The negative control: the theory of another activation, with a slope of .1, under the same name."""
    _, e = pair
    p = ib.predict(ib.mlp(64, 1, 3, activation=ib.activations.leaky_relu(0.1)), DATA)
    layers = p.layers.copy()
    layers["name"] = e.layers["name"]
    shift = abs(e.layers["gamma"][2] - layers["gamma"][2]) / e.layers["gamma_error"][2]
    assert shift > 10  # so that its power is 1
    assert not compare(replace(p, network=NET, layers=layers), e).consistent


def test_false_alarms_come_at_their_level(pair):
    """Ensembles made of theory plus Student noise, independent from row to row: the hardest case for Holm."""
    p, e = pair
    generator, runs, wrong = np.random.default_rng(1), 400, 0
    few = 12
    for _ in range(runs):
        layers = e.layers.copy()
        layers["gamma"][1:] = p.layers["gamma"][1:] + layers["gamma_error"][1:] * generator.standard_t(few - 1, 3)
        noise = generator.standard_t(few - 1, 2)
        fake = replace(
            e,
            networks=few,
            layers=layers,
            gamma=float(layers["gamma"][-1]),
            gamma_effective=p.gamma_effective + e.gamma_effective_error * noise[0],
            class_fraction_variance=p.class_fraction_variance + e.class_fraction_variance_error * noise[1],
        )
        fake = replace(fake, gamma_error=float(layers["gamma_error"][-1]))
        wrong += not compare(p, fake, quantities=("gamma", "gamma_effective", "class_fraction_variance")).consistent
    expected = 0.05 * runs
    assert abs(wrong - expected) < 4 * math.sqrt(0.95 * expected), (
        f"{wrong} of {runs} runs rejected, {expected:g} expected"
    )


def test_one_draw_of_a_law(drawn):
    p, e = drawn
    c = compare(p, e)
    assert "input" not in c.rows["layer"]
    assert c.rows["note"][0].startswith("population against 60 samples; one draw")
    assert row(c, "dense 1", "gamma")["theory"] == 0
    largest, variance = row(c, "logits", "max_fraction"), row(c, "logits", "class_fraction_variance")
    assert largest["theory"] == p.class_fraction.finite_max(60)[0]
    assert variance["theory"] == p.class_fraction.finite_variance(60)
    assert np.isfinite(c.rows["z"]).all()
    assert c.consistent, str(c)


def test_the_error_of_theory_joins_in_quadrature(pair):
    p, e = pair
    difference, error = e.gamma_effective - p.gamma_effective, e.gamma_effective_error
    for times in (0.5, 3.0):
        known = replace(p, error={**p.error, "gamma_effective": times * error})
        found = row(compare(known, e), "logits", "gamma_effective")
        assert found["z"] == pytest.approx(difference / (error * math.hypot(1, times)), rel=1e-9)


def test_the_luck_of_the_one_draw_is_an_error_of_theory(drawn):
    p, e = drawn
    luck = abs(e.layers["cross"][0] / e.layers["same"][0])  # of the mean correlation of the inputs, 0 by law
    c = compare(p, e, quantities=LAYER_QUANTITIES)
    for quantity in ("same", "gamma"):
        found = row(c, "relu 1", quantity)
        slope = found["theory"] if quantity == "same" else (1 + found["theory"]) ** 2
        spread = math.hypot(found["error"], luck * slope)
        assert spread > 1.0001 * found["error"]
        assert found["z"] == pytest.approx((found["estimate"] - found["theory"]) / spread, rel=1e-6)


def test_the_law_of_a_logit_is_compared_where_its_terms_of_order_one_over_width_are_known(pair, drawn):
    _, e = drawn
    p = ib.predict(NET, LAW, width="leading")
    c = compare(p, e)
    assert c.rows["quantity"][-5:].tolist() == [*OUTPUT_QUANTITIES]
    assert c.tested[-5:].all()
    assert c.consistent, str(c)
    assert row(c, "logits", "tail_2")["theory"] == p.output.tail(2.0, 60)
    _, e = pair
    c = compare(ib.predict(NET, DATA, width="leading"), e)
    assert c.tested[-5:].tolist() == [True, False, False, False, False]  # the symmetry holds at any width
    assert "approximate" in c.rows["note"][-1]


def test_the_law_of_a_dataset_is_shown_but_not_tested(pair):
    largest = row(compare(*pair), "logits", "max_fraction")
    assert "not tested" in largest["note"]
    assert np.isnan(largest["p_value"])


def test_no_spread_is_compared_to_rounding():
    net = ib.mlp(64, 1, 3, norm="batch")
    e = ib.simulate(net, DATA, networks=20)
    p = ib.predict(net, DATA)
    c = compare(p, e)
    norm = row(c, "batch norm 1", "gamma")
    assert norm["exact"]
    assert norm["p_value"] == 1
    assert "rounding" in norm["note"]
    layers = p.layers.copy()
    layers["gamma"][3] = -1 / 80
    off = compare(replace(p, layers=layers), e)
    assert not off.consistent
    assert off.worst["layer"] == "batch norm 1"


def test_samples_more_even_than_independent_ones():
    net = ib.mlp(512, 1, 2, norm="batch")
    e = ib.simulate(net, LAW, networks=300, samples=60, readouts=16)
    p = ib.predict(net, e.inputs)
    assert p.gamma_effective < 0
    value = row(compare(replace(p, inputs=LAW.describe()), e), "logits", "max_fraction")
    assert value["theory"] < p.class_fraction.finite_max(60)[0]
    assert abs(value["estimate"] - value["theory"]) < 0.1 * (value["theory"] - 0.5)


def test_one_network_has_no_error(pair):
    p, _ = pair
    c = compare(p, ib.simulate(NET, DATA, networks=1))
    assert np.isnan(row(c, "logits", "gamma")["p_value"])
    assert "one network" in row(c, "logits", "gamma")["note"]
    assert not c.consistent
    assert "nothing was tested" in str(c)


def test_print_save_and_plot(pair, tmp_path):
    c = compare(*pair)
    assert "consistent at simultaneous level 0.05" in str(c)
    c.save(tmp_path / "c.npz")
    assert str(results.load(tmp_path / "c.npz")) == str(c)
    assert c.plot().get_xlabel()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, e: (replace(p, network=ib.mlp(64, 1, 3, norm="layer")), e), "networks differ"),
        (lambda p, e: (replace(p, samples=39), e), "samples differ: 39 are predicted, 40 are simulated"),
        (lambda p, e: (replace(p, inputs={"kind": "Dataset", "features": 31}), e), "31 features are predicted"),
        (lambda p, e: (ib.predict(NET, ib.Dataset(1.001 * X)), e), "the inputs differ: same-sample moment"),
    ],
)
def test_unlike_things_are_refused(pair, change, message):
    with pytest.raises(ValueError, match=message):
        compare(*change(*pair))


def test_a_draw_of_another_law_is_refused(drawn):
    _, e = drawn
    for law in (ib.GaussianInputs(300, correlation=0.95), ib.GaussianInputs(300, variance=4.0)):
        with pytest.raises(ValueError, match="the inputs differ"):
            compare(ib.predict(NET, law), e)


def test_another_batch_is_refused_where_it_matters(pair):
    net = ib.mlp(64, 1, 3, norm="batch")
    e = ib.simulate(net, DATA, networks=2, batch=20)
    with pytest.raises(ValueError, match="batch differs: 'all' is predicted, 20 is simulated"):
        compare(ib.predict(net, DATA), e)
    p, plain = pair
    compare(replace(p, batch=20), plain)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((None, 1), {}, TypeError, "must be a Prediction, got NoneType"),
        ((0, None), {}, TypeError, "must be an Ensemble, got NoneType"),
        ((0, 1), {"alpha": 0.0}, ValueError, "alpha must lie in"),
        ((0, 1), {"quantities": ("gama",)}, ValueError, "Did you mean 'gamma'"),
        ((0, 1), {"quantities": ()}, ValueError, "quantities is empty"),
    ],
)
def test_bad_input(pair, arguments, options, error, message):
    p, e = (None if choice is None else pair[choice] for choice in arguments)
    with pytest.raises(error, match=message):
        compare(p, e, **options)


def test_groups_of_labelled_data():
    y = np.repeat(["a", "b"], [25, 15])
    data = ib.Dataset(X - 1.2 * (y == "b")[:, None], y)
    p, e = ib.predict(NET, data), ib.simulate(NET, data, networks=300, readouts=8)
    c = compare(p, e, quantities=("group_variance", "group_covariance"))
    assert c.rows["layer"].tolist() == ["a", "b", "a, b"]
    assert c.rows["quantity"].tolist() == ["group_variance", "group_variance", "group_covariance"]
    assert c.consistent, str(c)
    assert e.group_fractions.shape == (300, 2, 3)
    np.testing.assert_allclose(e.group_fractions.sum(axis=2), 1)
    np.testing.assert_allclose(np.einsum("ngk,g->nk", e.group_fractions, [25 / 40, 15 / 40]), e.class_fractions)
    np.testing.assert_allclose(
        np.array([25, 15]) @ e.group_covariance @ np.array([25, 15]) / 40**2, e.class_fraction_variance, rtol=1e-10
    )
    summary = ib.simulate(NET, data, networks=300, readouts=8, keep="summary")
    assert summary.group_fractions is None
    np.testing.assert_array_equal(summary.group_covariance, e.group_covariance)
    # a wrong theory: the labels of other samples
    order = np.random.default_rng(2).permutation(40)
    wrong = ib.predict(NET, ib.Dataset(data.X, y[order]))
    assert not compare(wrong, e, quantities="group_covariance").consistent
    assert "group_variance" not in compare(p, e).rows["quantity"]


def test_groups_of_a_law_and_of_its_draw():
    blobs = ib.Blobs(separation=30.0, features=300, weights=[0.7, 0.3])
    e = ib.simulate(NET, blobs, networks=200, samples=60)
    for p in (ib.predict(NET, blobs), ib.predict(NET, blobs, samples=60), ib.predict(NET, e.inputs)):
        c = compare(p, e, quantities=("class_fraction_variance", "group_variance", "group_covariance"))
        assert c.consistent, str(c)
        assert len(c.rows) == 4


def test_groups_need_labels_on_both_sides(pair):
    with pytest.raises(ValueError, match=r"group_variance need the same labels.*Dataset\(X, y\)"):
        compare(*pair, quantities="group_variance")
