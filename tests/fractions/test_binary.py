"""Two classes: closed forms against mpmath, scipy and simulation."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fractions as reference
from scipy import stats

from ibtheory.fractions import ClassFraction

gammas = st.floats(-6, 6).map(lambda x: 10.0**x)


@pytest.mark.parametrize("gamma", [1e-3, 0.3, 1.0, 4.0, 1e5])
def test_two_classes_in_closed_form(gamma):
    law, c = ClassFraction(gamma), gamma / (1 + gamma)
    assert law.var() == pytest.approx(math.asin(c) / (2 * math.pi), rel=1e-10)
    assert law.moment(3) == pytest.approx(1 / 8 + 3 * math.asin(c) / (4 * math.pi), rel=1e-11)
    assert law.max.mean() == pytest.approx(0.5 + math.atan(math.sqrt(gamma)) / math.pi, rel=1e-14)
    assert law.expected_max() == pytest.approx(law.max.mean(), rel=1e-14)
    tail = 2 * stats.norm.sf(stats.norm.isf(0.01) / math.sqrt(gamma))
    assert law.exceeds(0.99) == pytest.approx(tail, rel=1e-12)


@pytest.mark.parametrize("gamma", [1e-3, 0.05, 1.0, 20.0])
def test_two_classes_against_mpmath(gamma):
    law = ClassFraction(gamma)
    for order in (4, 7):
        assert law.moment(order) == pytest.approx(reference.binary_mean(lambda f: f**order, gamma), rel=1e-11)  # noqa: B023
    largest = reference.binary_mean(lambda f: max(f, 1 - f) ** 2, gamma)
    assert law.max.var() == pytest.approx(largest - law.max.mean() ** 2, rel=1e-9)
    entropy = reference.binary_mean(lambda f: -f * mp.log(f) - (1 - f) * mp.log(1 - f) if 0 < f < 1 else 0, gamma)
    assert law.expected_entropy() == pytest.approx(entropy, rel=1e-10)
    assert law.expected_entropy(error=True) == (law.expected_entropy(), 0.0)
    for samples in (1, 2, 7):
        value, error = law.finite_max(samples)
        assert value == pytest.approx(reference.larger_count(samples, gamma), rel=1e-12)
        assert error == 0


def test_gamma_one_is_the_uniform_law():
    law, uniform = ClassFraction(1.0), stats.uniform()
    x, q = np.linspace(-0.5, 1.5, 21), np.linspace(0, 1, 11)
    for name in ("pdf", "logpdf", "cdf", "sf"):
        assert getattr(law, name)(x) == pytest.approx(getattr(uniform, name)(x), abs=1e-14)
    assert law.ppf(q) == pytest.approx(q, abs=1e-14)
    assert law.isf(q) == pytest.approx(1 - q, abs=1e-14)
    assert law.entropy() == 0
    assert law.interval(0.9) == pytest.approx((0.05, 0.95))
    assert law.median() == 0.5
    assert law.support() == (0.0, 1.0)
    assert law.finite_max(1000)[0] == pytest.approx(0.75024975024975, rel=1e-13)  # counts are uniform on 0..N


@pytest.mark.parametrize("gamma", [0.2, 3.0])
@pytest.mark.parametrize("largest", [False, True])
def test_density_distribution_and_quantiles_fit_each_other(gamma, largest):
    law = ClassFraction(gamma).max if largest else ClassFraction(gamma)
    low, high = law.support()
    x = np.linspace(low, high, 9)[1:-1]
    slope = (law.cdf(x + 1e-6) - law.cdf(x - 1e-6)) / 2e-6
    assert law.pdf(x) == pytest.approx(slope, rel=1e-6)
    assert law.logpdf(x) == pytest.approx(np.log(law.pdf(x)))
    assert law.cdf(x) + law.sf(x) == pytest.approx(1)
    assert law.ppf(law.cdf(x)) == pytest.approx(x)
    assert law.isf(law.sf(x)) == pytest.approx(x)
    assert law.pdf([low - 0.1, high + 0.1]) == pytest.approx(0)
    assert law.cdf([low - 0.1, high + 0.1]) == pytest.approx([0, 1])
    assert law.cdf_error(x) == pytest.approx(0)
    assert np.isnan(law.ppf(1.1))
    assert np.isnan(law.cdf(np.nan))
    assert law.std() ** 2 == pytest.approx(law.var())


def test_entropy_is_minus_the_mean_log_density():
    law = ClassFraction(2.5)
    draws = law.logpdf(law.rvs(200_000, random_state=1))
    z = (law.entropy() + draws.mean()) / (draws.std() / math.sqrt(len(draws)))
    assert abs(z) < 4, f"z = {z:.2f}"


@given(gammas, st.floats(0.001, 0.999))
def test_two_classes_are_alike(gamma, share):
    law = ClassFraction(gamma)
    assert law.cdf(share) == pytest.approx(law.sf(1 - share), abs=1e-9)
