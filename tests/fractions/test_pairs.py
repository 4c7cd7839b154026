"""S_C: against printed references, mpmath, plain loops, simulation, and the laws it obeys."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fractions as reference

from ibtheory.fractions import (
    ClassFraction,
    agreement,
    agreement_excess,
    agreement_inverse,
    disagreement,
    effective_gamma,
    gamma_from_agreement,
)

GAMMAS = (0.1, 0.4669422, 1.0, 2.787, 18.39)
# classes: (Var f_k, E f_max) at GAMMAS, derived and simulated for this project before this code existed
PRINTED = {
    2: [
        (0.014488634918, 0.597491114521),
        (0.051557623673, 0.690811295867),
        (0.083333333333, 0.75),
        (0.131629438466, 0.828211768632),
        (0.198662984632, 0.927076607038),
    ],
    3: [
        (0.011020271130, 0.447967752713),
        (0.040509119912, 0.565805723371),
        (0.067101495636, 0.644055018264),
        (0.109530933741, 0.751183310809),
        (0.171932086164, 0.892195570559),
    ],
    10: [
        (0.002564317829, 0.199805838163),
        (0.010673632047, 0.331053628029),
        (0.019380986643, 0.431824234446),
        (0.035621387002, 0.585111787146),
        (0.063918483910, 0.810825259506),
    ],
    100: [
        (0.000071834177, 0.048627675205),
        (0.000423267040, 0.137901313775),
        (0.000986869140, 0.230137787720),
        (0.002450725871, 0.401413916422),
        (0.005937750818, 0.706482096106),
    ],
    1000: [
        (1.433366e-6, 0.012847922537),
        (1.3410100e-5, 0.063283597040),
        (4.3296517e-5, 0.134045130431),
        (1.54398932e-4, 0.294459675205),
        (5.13183987e-4, 0.634283901206),
    ],
}
CASES = [(classes, i) for classes in PRINTED for i in range(5)]
classes_of = st.sampled_from([2, 3, 5, 10])


@pytest.mark.parametrize(("classes", "i"), CASES)
def test_variance_and_largest_are_as_printed(classes, i):
    law, (variance, largest) = ClassFraction(GAMMAS[i], classes), PRINTED[classes][i]
    assert law.var() == pytest.approx(variance, rel=0, abs=1e-12)
    assert law.expected_max() == pytest.approx(largest, rel=0, abs=1e-12)


@pytest.mark.parametrize("correlation", [-0.7, 0.05, 0.6])
@pytest.mark.parametrize("classes", [3, 10])
def test_agreement_is_its_double_integral(correlation, classes):
    assert agreement(correlation, classes) == pytest.approx(reference.agreement(correlation, classes), abs=1e-12)


def test_agreement_is_what_two_score_vectors_do():
    pairs = 20000
    for correlation, classes in ((0.5, 10), (-0.4, 3)):
        share = reference.agreement_simulated(correlation, classes, pairs, np.random.default_rng(0))
        expected = agreement(correlation, classes)
        z = (share - expected) / math.sqrt(expected * (1 - expected) / pairs)
        assert abs(z) < 4, f"z = {z:.2f}"


def test_disagreement_keeps_its_digits_near_one():
    gamma = 1e10
    rest = 1 / (1 + gamma) / (1 + math.sqrt(gamma / (1 + gamma)))
    exact = reference.disagreement(2 * math.asin(math.sqrt(rest / 2)), 10)
    assert exact == pytest.approx(8.6814639620963e-6, rel=1e-12)
    assert disagreement(1.0, 10, one_minus_rho=rest) == pytest.approx(exact, rel=1e-12)
    assert disagreement(np.ones(100), 10, np.full(100, rest))[0] == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_table_and_quadrature_agree_to_full_relative_precision(classes):
    small = np.array([1e-30, 1e-9, 1e-3, 0.05, 0.099, 0.101, 0.4, 0.9])
    many = np.tile(small, 8)
    assert agreement_excess(many, classes)[:8] == pytest.approx(agreement_excess(small, classes), rel=2e-11)
    assert agreement_excess(-many, classes)[:8] == pytest.approx(agreement_excess(-small, classes), rel=2e-11)
    table = disagreement(1 - many, classes, many)[:8]
    assert table == pytest.approx(disagreement(1 - small, classes, small), rel=2e-11)
    assert agreement(1 - many, classes, many)[:8] == pytest.approx(1 - table, rel=0, abs=1e-13)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_agreement_at_the_ends(classes):
    for repeat in (1, 100):
        values = agreement(np.repeat([-1.0, 0.0, 1.0, 1 + 1e-15], repeat), classes)[::repeat]
        assert values[2] == values[3] == 1.0
        assert values[:2] == pytest.approx([0.0, 1 / classes], abs=1e-14)
    assert np.isnan(agreement(np.nan, classes))
    assert agreement(0.3, classes).shape == ()
    assert agreement(np.zeros((2, 3)), classes).shape == (2, 3)


def test_small_correlations_follow_the_mean_of_the_largest():
    for classes in (3, 10, 100):
        largest = mp.quad(lambda x: x * mp.npdf(x) * mp.ncdf(x) ** (classes - 1), [-9, -2, 0, 2, 4, 9]) * classes  # noqa: B023
        assert agreement_excess(1e-12, classes) * 1e12 == pytest.approx(float(largest**2 / (classes - 1)), rel=1e-10)


@given(st.floats(-1, 1), st.floats(-1, 1), classes_of)
def test_agreement_is_increasing_between_its_bounds(first, second, classes):
    low, high = agreement(np.sort([first, second]), classes)
    assert low >= -1e-15
    assert low <= high + 1e-15
    assert high <= 1


@given(st.floats(-0.9, 1), classes_of)
def test_inverse_returns_the_correlation(rho, classes):
    assert agreement_inverse(agreement(rho, classes), classes) == pytest.approx(rho, abs=1e-9)


def test_inverse_clips():
    for classes in (2, 10):
        assert agreement_inverse([-0.2, 0.0, 1.0, 1.3], classes) == pytest.approx([-1, -1, 1, 1], abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("gamma", [1e-26, 1e-9, 0.1, 1.0, 30.0, 1e8, 1e120])
def test_effective_gamma_of_equal_correlations_is_theirs(gamma, classes):
    rest = 1 / (1 + gamma)
    rho = gamma * rest
    for count in (2, 100):
        found = effective_gamma(np.full(count, rho), classes, np.full(count, rest))
        assert found == pytest.approx(gamma, rel=3e-11)
    found = gamma_from_agreement(agreement_excess(rho, classes, rest), disagreement(rho, classes, rest), classes)
    assert found == pytest.approx(gamma, rel=3e-11)


def test_effective_gamma_weighs_its_pairs():
    both = effective_gamma([0.2, 0.8], 5, weights=[3, 1])
    mean = 0.75 * agreement(0.2, 5) + 0.25 * agreement(0.8, 5)
    assert agreement(both / (1 + both), 5) == pytest.approx(mean, abs=1e-13)
