"""Class fractions: against printed references, mpmath, plain loops, simulation, and the laws they obey."""

import math
import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fractions as reference
from scipy import stats

from ibtheory import fractions
from ibtheory.fractions import (
    ClassFraction,
    agreement,
    agreement_excess,
    agreement_inverse,
    disagreement,
    effective_gamma,
    gamma_from_agreement,
    regime,
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
gammas = st.floats(-6, 6).map(lambda x: 10.0**x)


# --- S_C


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


# --- two classes


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


# --- any number of classes


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
    from ibtheory import _profile

    classes, ranks = 600, np.array([1, 5, 16, 17, 18, 25, 60, 150, 301, 450, 570, 583, 584, 585, 600])
    profile, grid = ClassFraction(gamma, classes).ordered_means(), _profile._rank_grid(gamma, classes)
    direct = [_profile._ranked(rank, classes, grid) for rank in ranks]
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
    from ibtheory import _profile

    for means in ([0.3, -1.0, 0.5], [4.0, 0.0, -30.0, 3.0]):
        found = _profile.fractions_of(np.array([means]), step)
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


# P(f_1 < .05, .2, .5, .9) by quadrature over the other means
MARGINAL = {
    (3, 1.0): (0.133921059827, 0.395559359826, 0.734119638306, 0.977060023967),
    (3, 0.4669422069): (0.041027251778, 0.305654051751, 0.785651992149, 0.997401777983),
    (5, 1.0): (0.2929310, 0.6271237, 0.8934486, 0.9962265),
    (10, 1.0): (0.5370087, 0.8355210, 0.9721602, 0.99962369),
    (10, 18.39): (0.8104898, 0.8636877, 0.9077827, 0.9538048),
}
DENSITY = {(5, 1.0): (3.590458, 1.470392, 0.507212), (10, 1.0): (4.21232, 0.978732, 0.179810)}
LARGEST = {(10, 1.0): (0.278398, 0.003763), (10, 2.787): (0.61203, 0.07549), (10, 18.39): (0.922173, 0.461952)}


def test_sampled_laws_agree_with_quadrature_within_their_errors():
    z = {}
    for (classes, gamma), expected in MARGINAL.items():
        law, x = ClassFraction(gamma, classes), [0.05, 0.2, 0.5, 0.9]
        z |= {(classes, gamma, i): score for i, score in enumerate((law.cdf(x) - expected) / law.cdf_error(x))}
    for (classes, gamma), expected in LARGEST.items():
        law, x = ClassFraction(gamma, classes).max, [0.5, 0.9]
        z |= {("max", classes, gamma, i): score for i, score in enumerate((law.sf(x) - expected) / law.cdf_error(x))}
    worst = max(z, key=lambda key: abs(z[key]))
    assert abs(z[worst]) < stats.norm.isf(5e-4 / len(z)), f"{worst}: z = {z[worst]:.2f}"


def test_sampled_errors_are_the_scatter_between_seeds(monkeypatch):
    law = ClassFraction(2.0, 5)
    joints = []
    for seed in range(60):
        draws = law.joint_rvs(1500, seed=seed)
        joints.append(fractions._laws.Joint(draws, law.expected_max(), 5 * law.moment(2)))
    shares, errors = np.array([(j.mean(j.largest_share > 0.9)) for j in joints]).T
    plain = np.std([np.mean(j.largest_share > 0.9) for j in joints])
    assert np.std(shares) == pytest.approx(errors.mean(), rel=4 / math.sqrt(2 * 60))
    assert np.std(shares) < 0.75 * plain  # what calibration is for


def test_sampled_density_is_within_a_few_percent():
    for (classes, gamma), expected in DENSITY.items():
        assert ClassFraction(gamma, classes).pdf([0.05, 0.2, 0.5]) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("classes", [3, 10])
def test_sampled_laws_behave_like_distributions(classes):
    whole = ClassFraction(2.0, classes)
    for law in (whole, whole.max):
        low, high = law.support()
        x = np.linspace(low - 0.1, high + 0.1, 50)
        assert (np.diff(law.cdf(x)) >= 0).all()
        assert law.cdf([low - 1e-9, high]) == pytest.approx([0, 1])
        assert law.cdf(x) + law.sf(x) == pytest.approx(1)
        q = np.array([0.05, 0.5, 0.95])
        assert law.cdf(law.ppf(q)) == pytest.approx(q, abs=1e-3)
        assert law.isf(q) == pytest.approx(law.ppf(1 - q))
        assert law.ppf([0, 1]) == pytest.approx([low, high])
        assert np.isnan(law.ppf(-0.1))
        assert law.interval(0.9) == pytest.approx((law.ppf(0.05), law.ppf(0.95)))
        grid = law.support()[0] + np.linspace(0, 1, 4001)[1:-1] ** 3 * (1 - law.support()[0])
        mass = np.sum(0.5 * (law.pdf(grid)[1:] + law.pdf(grid)[:-1]) * np.diff(grid))
        assert mass == pytest.approx(law.cdf(grid[-1]) - law.cdf(grid[0]), abs=0.01)
        assert law.pdf([low - 0.1, high + 0.1]) == pytest.approx(0)
        assert law.std() == pytest.approx(math.sqrt(law.var()))
    assert whole.max.mean() == whole.expected_max()
    assert whole.max.var() == pytest.approx(whole.joint_rvs(20000, seed=9).max(axis=1).var(), rel=0.05)
    assert ClassFraction(2.0, classes).cdf(0.3) == whole.cdf(0.3)  # the same seed


def test_printed_entropies():
    for classes, gamma, expected, spread in (
        (10, 0.1, 2.180878, 5e-6),
        (10, 1.0, 1.56021, 3e-5),
        (3, 1.0, 0.77917, 1e-5),
    ):
        value, error = ClassFraction(gamma, classes).expected_entropy(error=True)
        assert abs(value - expected) < 4 * math.hypot(error, spread)
        assert value == ClassFraction(gamma, classes).expected_entropy()


def test_finite_samples_of_many_classes():
    law, samples, networks = ClassFraction(1.0, 10), 50, 20000
    generator = np.random.default_rng(5)
    counts = generator.multinomial(samples, law.joint_rvs(networks, generator)) / samples
    largest = counts.max(axis=1)
    value, error = law.finite_max(samples)
    z = (largest.mean() - value) / math.hypot(largest.std() / math.sqrt(networks), error)
    assert abs(z) < 4, f"z = {z:.2f}"
    squares = ((counts - 0.1) ** 2).mean(axis=1)
    z = (squares.mean() - law.finite_variance(samples)) / (squares.std() / math.sqrt(networks))
    assert abs(z) < 4, f"z = {z:.2f}"
    assert law.finite_max(1) == (1.0, 0.0)


# --- the ends of gamma, words, bad input


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


def test_unbiased_finite_counts():
    assert ClassFraction(0).finite_max(4)[0] == pytest.approx((2 * 4 + 8 * 3 + 6 * 2) / 16 / 4)
    value, error = ClassFraction(0, 3).finite_max(2)  # two samples meet in a third of the cases
    assert abs(value - 2 / 3) < 4 * error
    assert ClassFraction(0, 3).finite_variance(2) == pytest.approx(1 / 9)


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
        (lambda: ClassFraction(1.0, 3).moment(3), NotImplementedError, "orders 0, 1 and 2"),
        (lambda: ClassFraction(1.0, 3).entropy(), NotImplementedError, "expected_entropy"),
        (lambda: ClassFraction(1.0).interval(1.5), ValueError, "confidence must lie in"),
        (lambda: ClassFraction(1.0).finite_max(0), ValueError, "samples must be at least 1"),
        (lambda: ClassFraction(1.0).joint_rvs(-1), ValueError, "size must be at least 0"),
        (lambda: regime(math.nan), ValueError, "gamma must be finite"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
