"""The law of a logit: its distribution, its moments on data, its terms of order 1/width, and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fluctuation as reference
from scipy import integrate, stats

import ibtheory as ib
from ibtheory import output, results
from ibtheory.theory import finite, fluctuation
from ibtheory.theory import output as theory

MIXTURE = output.ScaleMixture([0.5, 1.0, 4.0], [0.2, 0.5, 0.3], spread=0.2)


def test_one_variance_is_a_gaussian():
    law, normal = output.ScaleMixture([2.0]), stats.norm(scale=math.sqrt(2))
    x = np.linspace(-6, 6, 25)
    for name in ("pdf", "cdf", "sf", "logpdf"):
        np.testing.assert_allclose(getattr(law, name)(x), getattr(normal, name)(x), rtol=1e-13)
    p = np.array([1e-12, 0.1, 0.5, 0.9])
    np.testing.assert_allclose(law.ppf(p), normal.ppf(p), atol=1e-12)
    np.testing.assert_allclose(law.isf(p), normal.isf(p), atol=1e-12)
    assert law.kurtosis() == 0
    assert law.beyond(2.0) == pytest.approx(2 * stats.norm.sf(2))


def test_moments_are_those_of_the_density():
    def density(x):  # the log-normal factor integrated by itself
        def inner(g):
            v = MIXTURE.variances * math.exp(math.sqrt(0.2) * g - 0.1)
            return stats.norm.pdf(g) * (MIXTURE.weights @ stats.norm.pdf(x, scale=np.sqrt(v)))

        return integrate.quad(inner, -8, 8, epsabs=1e-12)[0]

    for x in (0.0, 1.0, 4.0):
        assert MIXTURE.pdf(x) == pytest.approx(density(x), rel=1e-7)
    for order in (0, 2, 4):
        value = integrate.quad(lambda x, k=order: x**k * MIXTURE.pdf(x), -60, 60, limit=400, points=[-5, 0, 5])[0]
        assert MIXTURE.moment(order) == pytest.approx(value, rel=1e-7)
    assert MIXTURE.kurtosis() == pytest.approx(MIXTURE.moment(4) / MIXTURE.var() ** 2 - 3)
    assert MIXTURE.moment(3) == MIXTURE.mean() == MIXTURE.median() == 0
    z = MIXTURE.rvs(200_000, seed=1)
    for t in (1.0, 3.0):
        share = np.mean(np.abs(z) > t * MIXTURE.std())
        assert abs(share - MIXTURE.beyond(t)) < 4 * math.sqrt(share / z.size)


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4),
    st.floats(0, 0.5),
    st.floats(1e-6, 1 - 1e-6),
    st.floats(0.01, 100),
)
def test_laws_of_a_scale_mixture(variances, spread, p, scale):
    law = output.ScaleMixture(variances, spread=spread)
    x = law.ppf(p)
    assert law.cdf(x) == pytest.approx(p, abs=1e-9)
    assert law.ppf(1 - p) == pytest.approx(-x, rel=1e-6, abs=1e-6 * law.std())
    assert law.sf(x) == pytest.approx(law.cdf(-x), rel=1e-12)
    assert law.kurtosis() >= 0
    scaled = output.ScaleMixture(scale * np.array(variances), spread=spread)
    assert scaled.kurtosis() == pytest.approx(law.kurtosis(), abs=1e-9)
    assert scaled.beyond(2.5) == pytest.approx(law.beyond(2.5), rel=1e-9)


def test_the_lead_of_the_largest_logit():
    law = output.ScaleMixture([1.0, 9.0], [0.7, 0.3])
    two = 2 * (law.weights @ stats.norm.sf(1.5 / np.sqrt(2 * law.variances)))
    assert law.leads(1.5, 2) == pytest.approx(two, rel=1e-12)
    assert law.leads(0.0, 7) == pytest.approx(1, abs=1e-12)
    rng = np.random.default_rng(0)
    z = np.sort(np.sqrt(rng.choice(law.variances, (100_000, 1), p=law.weights)) * rng.standard_normal((100_000, 5)))
    share = np.mean(z[:, -1] - z[:, -2] > 1.0)
    assert abs(share - law.leads(1.0, 5)) < 4 * math.sqrt(share * (1 - share) / 100_000)


@pytest.mark.parametrize("n", [4, 6])
def test_the_kurtosis_has_no_bias(n):
    """All samples of n numbers that are 3 with probability .2 and 0 otherwise."""
    fourth = squared = 0.0
    for x in itertools.product((0.0, 3.0), repeat=n):
        weight = math.prod(0.2 if value else 0.8 for value in x)
        around = np.array(x) - np.mean(x)
        fourth += weight * np.mean(around**4)
        squared += weight * np.mean(around**2) ** 2
    exact = stats.bernoulli(0.2).stats("k")
    assert output.unbiased_kurtosis(fourth, squared, n) == pytest.approx(float(exact), rel=1e-12)
    assert output.sample_kurtosis(float(exact), n) == pytest.approx(fourth / squared - 3, rel=1e-12)


def test_too_few_samples_have_no_kurtosis():
    assert math.isnan(output.unbiased_kurtosis(1.0, 1.0, 3))


def test_data_without_hidden_layers_is_exactly_a_gaussian_vector():
    """z = W x at depth 0: every moment against 2e5 drawn readouts."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((14, 5)) * rng.lognormal(0, 0.5, (14, 1)) + 0.4
    law = ib.predict(ib.mlp(8, 0, 2), ib.Dataset(X)).output
    z = X @ rng.standard_normal((5, 200_000)) * math.sqrt(2 / 5)
    delta = z - z.mean(axis=0)
    m2, m3, m4 = (np.mean(delta**k, axis=0) for k in (2, 3, 4))

    def close(value, numerator, denominator):
        """A ratio of means within four standard errors."""
        ratio = numerator.mean() / denominator.mean()
        error = np.std(numerator - ratio * denominator) / denominator.mean() / math.sqrt(m2.size)
        assert abs(value - ratio) < 4 * error, (value, ratio, error)

    close(law.variance, m2 * 14 / 13, np.ones_like(m2))
    close(output.sample_kurtosis(law.kurtosis, 14) + 3, m4, m2**2)
    close(law.skewness_spread**2 * m2.mean() ** 3, m3**2, np.ones_like(m2))
    close((law.network_kurtosis + 3) * law.total_variance**2, np.mean(z**4, axis=0), np.ones_like(m2))
    for t in (1.0, 3.0):  # in units of the mean over networks the law of delta is exact
        share = np.mean(np.abs(delta) > t * math.sqrt(m2.mean()), axis=0)
        close(law.data.beyond(t), share, np.ones_like(m2))


def test_groups_of_one_law_are_one_population():
    same = ib.Blobs(separation=0.0, features=50)
    law = ib.predict(ib.mlp(32, 2), same, width="leading").output
    one = ib.predict(ib.mlp(32, 2), ib.GaussianInputs(50), width="leading").output
    for name in ("kurtosis", "network_kurtosis", "variance", "total_variance", "skewness_spread", "directions"):
        assert getattr(law, name) == pytest.approx(getattr(one, name), rel=1e-9, abs=1e-12)


def test_far_groups_make_light_tails():
    """Two groups of equal share, far apart: +-1 in each network, of kurtosis -2."""
    law = ib.predict(ib.mlp(32, 0), ib.Blobs(separation=2000.0, features=50)).output
    assert law.kurtosis == pytest.approx(-2, abs=1e-3)


@pytest.mark.parametrize("depth", [1, 3])
def test_fluctuations_of_relu_against_the_recursion_over_entries(depth):
    net, x = ib.mlp(64, depth), ib.GaussianInputs(300)
    p = ib.predict(net, x)
    table = np.stack([p.layers[name] for name in ("same", "cross", "gap", "mean")], axis=1)
    spread = theory.relative_spread(net.steps(300), x.moments(), table)
    q, r, entries = reference.relu(depth, 64, 300)
    own, common, pair = reference.centred(*entries)
    s = q - r
    np.testing.assert_allclose((spread.own, spread.pair), ((own - common) / s**2, pair / s**2), rtol=2e-4)
    assert spread.whole == pytest.approx(entries[0] / q**2, rel=1e-4)
    assert spread.whole == pytest.approx(5 * depth / 64 + 2 / 300, rel=1e-4)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_norm_behind_the_activation_fixes_the_norm_of_a_sample(activation, norm):
    net = ib.mlp(64, 2, activation=activation, norm=norm, placement="after")
    law = ib.predict(net, ib.GaussianInputs(300), width="leading").output
    assert law.network_kurtosis == pytest.approx(0, abs=1e-12)
    assert law.width_terms == "leading"


def test_fluctuations_fall_like_one_over_width():
    def excess(width):
        start = fluctuation.Fluctuation(np.zeros((2, 2)), np.zeros((2, 2)), 0.0)
        net = ib.mlp(width, 3, norm="layer", placement="before")
        p = ib.predict(net, ib.GaussianInputs(100))
        table = [tuple(row) for row in p.layers[["same", "cross", "gap", "mean"]]]
        return fluctuation.through(finite.blocks_of(net.steps(100)), table, start).pair

    assert excess(50) == pytest.approx(4 * excess(200), rel=1e-12)


CELLS = [("none", "after"), ("layer", "before"), ("rms", "before"), ("rms", "after"), ("layer", "after")]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("norm", "placement"), CELLS)
def test_simulation(activation, norm, placement):
    net = ib.mlp(64, 2, activation=activation, norm=norm, placement=placement)
    x = ib.GaussianInputs(400)
    e = ib.simulate(net, x, networks=400, samples=100, readouts=8, seed=11)
    p = ib.predict(net, x, width="leading")
    names = ("skewness", "kurtosis", "network_kurtosis", "tail_2", "tail_3")
    c = ib.compare(p, e, alpha=0.002, quantities=names)
    assert c.tested.all()
    assert c.consistent, str(c)
    wide = ib.predict(ib.mlp(10_000, 2, activation=activation, norm=norm, placement=placement), x, width="leading")
    off = abs(e.kurtosis - wide.output.kurtosis) / e.kurtosis_error
    assert off > 4, "the terms of order 1/width are not felt here: this test could not fail"


def test_shares_of_the_bins():
    law = ib.predict(ib.mlp(64, 2), ib.GaussianInputs(400), width="leading").output
    shares = law.shares(50)
    assert shares.shape == (len(output.EDGES) + 1,)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(shares, shares[::-1])
    beyond = shares[: np.searchsorted(output.EDGES, -2.0) + 1].sum() * 2
    assert beyond == pytest.approx(law.tail(2.0, 50))


def test_a_network_takes_mean_and_deviation_from_its_samples():
    """Thompson's law of (z - mean) / s of N Gaussian numbers."""
    law = output.Output(output.ScaleMixture([1.0]), output.ScaleMixture([1.0]), 0.0, 0.0)
    t, n = np.array([0.5, 2.0, 3.0]), 20
    expected = 2 * stats.t.sf(t * np.sqrt(n - 2) / np.sqrt(n - 1 - t**2), n - 2)
    np.testing.assert_allclose(law.tail(t, n), expected, rtol=1e-10)
    np.testing.assert_allclose(law.tail(t), 2 * stats.norm.sf(t), rtol=1e-12)
    assert law.tail(4.5, 20) == 0  # none of 20 numbers deviates by more than sqrt(19)


def test_batch_norm_is_called_approximate():
    p = ib.predict(ib.mlp(64, 1, norm="batch"), ib.GaussianInputs(100), width="leading")
    assert p.output.width_terms == "approximate"
    assert ib.predict(ib.mlp(64, 1), ib.GaussianInputs(100)).output.width_terms == "none"


def test_saved_and_printed(tmp_path):
    p = ib.predict(ib.mlp(64, 2), ib.Dataset(np.random.default_rng(0).standard_normal((9, 4))), width="leading")
    p.save(tmp_path / "p.npz")
    loaded = results.load(tmp_path / "p.npz").output
    assert loaded.to_dict() == p.output.to_dict()
    assert str(loaded) == str(p.output)
    assert "kurtosis" in str(loaded)
    assert loaded.describe()["network_kurtosis"] == p.output.network_kurtosis


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: output.ScaleMixture([-1.0, 1.0]), "variances must be finite, at least 0"),
        (lambda: output.ScaleMixture([np.nan]), "variances must be finite"),
        (lambda: output.ScaleMixture([]), "one shape"),
        (lambda: output.ScaleMixture([0.0]), "not all 0"),
        (lambda: output.ScaleMixture([1.0], [1.0, 2.0]), "one shape"),
        (lambda: output.ScaleMixture([1.0], spread=-1), "spread must lie in"),
        (lambda: MIXTURE.leads(-1.0, 2), "margin must lie in"),
        (lambda: MIXTURE.leads(1.0, 1), "classes must be at least 2"),
        (lambda: MIXTURE.moment(-1), "order must be at least 0"),
        (lambda: output.sample_kurtosis(0.0, 1), "samples must be at least 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
