"""ClassFraction: what is exact for any number of classes, the ends of gamma, words and bad input."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fractions as reference
from scipy import stats

from ibtheory.fractions import ClassFraction, agreement, regime
from ibtheory.fractions import profile as by_rank

gammas = st.floats(-6, 6).map(lambda x: 10.0**x)
classes_of = st.sampled_from([2, 3, 5, 10])


@given(gammas, gammas, classes_of)
def test_prejudice_grows_with_gamma(first, second, classes):
    low, high = (ClassFraction(gamma, classes) for gamma in sorted((first, second)))
    assert low.var() <= high.var() * (1 + 1e-12)
    assert low.expected_max() <= high.expected_max() + 1e-14


@given(gammas, st.sampled_from([2, 3, 10, 60]))
def test_ordered_means_are_a_decreasing_division_of_one(gamma, classes):
    profile = ClassFraction(gamma, classes).ordered_means()
    assert profile.shape == (classes,)
    assert profile.sum() == pytest.approx(1, abs=1e-12)
    assert (np.diff(profile) <= 0).all()
    assert profile[-1] >= 0
    assert profile[0] == pytest.approx(ClassFraction(gamma, classes).expected_max(), abs=1e-12)


def test_ordered_means_are_as_printed_and_as_defined():
    profile = ClassFraction(1.0, 10).ordered_means()
    printed = [0.43182, 0.21414, 0.13034, 0.08456, 0.05587, 0.03660, 0.02319, 0.01373, 0.00710, 0.00265]
    assert profile == pytest.approx(printed, abs=6e-6)
    for rank in (2, 7, 10):
        assert profile[rank - 1] == pytest.approx(reference.ordered_mean(rank, 1.0, 10), abs=1e-12)


@pytest.mark.parametrize("gamma", [0.05, 3.0, 1e3])
def test_interpolation_over_ranks_equals_the_quadrature_of_each(gamma):
    classes, ranks = 600, np.array([1, 5, 16, 17, 18, 25, 60, 150, 301, 450, 570, 583, 584, 585, 600])
    profile, grid = ClassFraction(gamma, classes).ordered_means(), by_rank._rank_grid(gamma, classes)
    direct = [by_rank._ranked(rank, classes, grid) for rank in ranks]
    assert profile[ranks - 1] == pytest.approx(direct, rel=0, abs=1e-14)


@pytest.mark.slow
def test_a_million_classes():
    law = ClassFraction(18.39, 10**6)
    assert law.classes * law.moment(2) == pytest.approx(0.3514, abs=5e-5)
    profile = law.ordered_means()
    assert profile.sum() == pytest.approx(1, abs=1e-12)
    assert profile[0] == pytest.approx(law.expected_max(), abs=1e-12)


@given(gammas, classes_of)
def test_covariance_rows_sum_to_zero(gamma, classes):
    covariance = ClassFraction(gamma, classes).covariance()
    assert covariance.shape == (classes, classes)
    assert covariance.sum(axis=0) == pytest.approx(0, abs=1e-15)
    assert covariance[0, 0] == ClassFraction(gamma, classes).var()


@pytest.mark.parametrize("step", [None, 0.3])
def test_fractions_of_given_means(step):
    for means in ([0.3, -1.0, 0.5], [4.0, 0.0, -30.0, 3.0]):
        found = by_rank.fractions_of(np.array([means]), step)
        assert found[0] == pytest.approx(reference.fractions(means), rel=0, abs=2e-10 if step else 2e-12)


@pytest.mark.parametrize(("gamma", "classes"), [(0.4669, 2), (1.0, 3), (18.39, 10), (0.1, 50)])
def test_joint_draws_have_the_exact_moments(gamma, classes):
    law = ClassFraction(gamma, classes)
    draws = law.joint_rvs(4000, seed=3)
    assert draws.sum(axis=1) == pytest.approx(1, abs=1e-12)
    ordered = -np.sort(-draws, axis=1)
    known = {
        "share of class 0": (draws[:, 0], 1 / classes),
        "sum of squares": ((draws**2).sum(1), classes * law.moment(2)),
    }
    profile = law.ordered_means()
    profile = profile[profile > 1e-3]  # the mean of a smaller one is made by rare draws: no normal law for it
    known |= {f"rank {r + 1}": (ordered[:, r], mean) for r, mean in enumerate(profile)}
    z = {name: (x.mean() - mean) / (x.std() / math.sqrt(len(x))) for name, (x, mean) in known.items()}
    worst = max(z, key=lambda name: abs(z[name]))
    assert abs(z[worst]) < stats.norm.isf(5e-4 / len(z)), f"{worst}: z = {z[worst]:.2f}"


@pytest.mark.parametrize("classes", [2, 3])
def test_unbiased_is_a_point(classes):
    law, share = ClassFraction(0, classes), 1 / classes
    assert law.cdf([share - 1e-9, share]) == pytest.approx([0, 1])
    assert law.pdf([share, 0.9]) == pytest.approx([math.inf, 0])
    assert law.logpdf(0.9) == -math.inf
    assert (law.rvs(3, random_state=0) == share).all()
    assert (law.joint_rvs(3, seed=0) == share).all()
    assert (law.var(), law.entropy()) == (0, -math.inf)
    assert law.moment(3) == pytest.approx(share**3)
    assert law.expected_max() == law.max.mean() == law.max.ppf(0.3) == share
    assert law.expected_entropy() == pytest.approx(math.log(classes))
    assert law.ordered_means() == pytest.approx(share)
    assert law.finite_max(1)[0] == 1
    assert law.exceeds(0.9) == 0


@pytest.mark.parametrize("classes", [2, 3])
def test_deep_prejudice_is_the_law_of_the_vertices(classes):
    law, share = ClassFraction(math.inf, classes), 1 / classes
    assert law.cdf([-0.1, 0.0, 0.5, 1.0]) == pytest.approx([0, 1 - share, 1 - share, 1])
    assert law.ppf([0.0, 0.4, 0.99]) == pytest.approx([0, 0, 1])
    assert law.var() == pytest.approx(share * (1 - share))
    assert (law.moment(0), law.moment(5)) == (1, share)
    assert law.expected_max() == law.max.mean() == law.exceeds(0.9) == 1
    assert law.ordered_means().tolist() == [1] + [0] * (classes - 1)
    assert set(law.joint_rvs(50, seed=0).ravel()) == {0.0, 1.0}
    assert law.expected_entropy() == 0
    assert law.finite_max(10) == (1.0, 0.0)


@given(st.floats(1e-300, 1e300), st.sampled_from([2, 10]))
def test_every_gamma_has_finite_numbers(gamma, classes):
    law = ClassFraction(gamma, classes)
    for value in (law.var(), law.expected_max(), law.ordered_means().sum(), law.moment(2)):
        assert 0 <= value <= 1 + 1e-14


def test_small_gamma_keeps_the_digits_of_the_variance():
    for classes in (3, 10):
        assert ClassFraction(1e-20, classes).var() * 1e10 == pytest.approx(
            ClassFraction(1e-10, classes).var(), rel=1e-9
        )


def test_pickles_without_its_samples():
    law = ClassFraction(1.0, 3)
    assert law.max.sf(0.5) > 0
    data = pickle.dumps(law)
    assert len(data) < 200
    assert pickle.loads(data) == law


def test_rvs_shapes_and_seeds():
    for law in (ClassFraction(1.0), ClassFraction(1.0, 3), ClassFraction(0.0)):
        assert np.shape(law.rvs(random_state=1)) == ()
        assert law.rvs((2, 3), random_state=1).shape == (2, 3)
        assert (law.rvs(4, random_state=1) == law.rvs(4, random_state=np.random.default_rng(1))).all()
    assert ClassFraction(1.0, 3).joint_rvs(0).shape == (0, 3)


def test_regime_words():
    gammas = (0, -0.1, 1e-12, 0.999, 1, 1e300, math.inf)
    words = ["unbiased", "unbiased", "neutral", "neutral", "prejudiced", "prejudiced", "deeply prejudiced"]
    assert [regime(gamma) for gamma in gammas] == words
    assert regime(0.009, tolerance=0.01) == "unbiased"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ClassFraction(-0.1), ValueError, "gamma must lie in"),
        (lambda: ClassFraction(math.nan), ValueError, "gamma must be finite"),
        (lambda: ClassFraction("1"), TypeError, "gamma must be a real number"),
        (lambda: ClassFraction(1.0, 1), ValueError, "classes must be at least 2"),
        (lambda: ClassFraction(1.0, 2.0), TypeError, "classes must be an integer"),
        (lambda: agreement(0.1, 1), ValueError, "classes must be at least 2"),
        (lambda: ClassFraction(1.0).moment(-1), ValueError, "order must be at least 0"),
        (lambda: ClassFraction(1.0, 3).effective_classes(3), ValueError, "must be one of '1', '2'"),
        (lambda: ClassFraction(1.0, 3).effective_classes(2.0), ValueError, "must be one of '1', '2'"),
        (lambda: ClassFraction(1.0).interval(1.5), ValueError, "confidence must lie in"),
        (lambda: ClassFraction(1.0).finite_max(0), ValueError, "samples must be at least 1"),
        (lambda: ClassFraction(1.0).joint_rvs(-1), ValueError, "size must be at least 0"),
        (lambda: regime(math.nan), ValueError, "gamma must be finite"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
