"""Distributions for more than two classes: printed values, quadrature against samples, networks drawn, and laws."""

import itertools
import math
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from ibtheory.fractions import ClassFraction, agreement, many, ordered, panels
from ibtheory.fractions.binary import Binary, Larger

law = lru_cache(ClassFraction)
SHARES = np.array([0.05, 0.2, 0.5, 0.9])


def student(count, replicates=8):
    """The deviation in standard errors that the worst of ``count`` exceeds with a chance of 1e-3."""
    return stats.t.isf(5e-4 / count, replicates - 1)


@pytest.fixture
def coarse(monkeypatch):
    """A few points only, where their number does not matter."""
    monkeypatch.setattr(many, "_POINTS", dict.fromkeys(many._POINTS, 2**9))


# --- printed values

# three classes: P(f_1 < x) at .05, .2, 1/3, .5, .9
THREE = {
    1.0: (0.133921059827, 0.395559359826, 0.567029646764, 0.734119638306, 0.977060023967),
    0.4669422069: (0.041027251778, 0.305654051751, 0.549692207940, 0.785651992149, 0.997401777983),
    2.787: (0.296265978, 0.489205948, 0.592571634, 0.694633951, 0.908840328),
}
# P(f_k < x) and the density at SHARES
MARGINAL = {
    (5, 1.0): ((0.2929310, 0.6271237, 0.8934486, 0.9962265), (3.590458, 1.470392, 0.507212, 0.072156)),
    (10, 1.0): ((0.5370087, 0.8355210, 0.9721602, 0.99962369), (4.21232, 0.978732, 0.179810, 0.008962)),
    (10, 18.39): ((0.8104898, 0.8636877, 0.9077827, 0.9538048), (0.707246, 0.212321, 0.114008, 0.154478)),
}
# (classes, gamma): {x: (P(f_max > x), half a unit of the last digit or the printed error)}
LARGEST = {
    (10, 1.0): {0.5: (0.278398, 1e-5), 0.9: (0.003763, 1e-5), 0.2: (1 - 0.0077, 1e-4), 0.3: (1 - 0.1870, 1e-4)},
}
LARGEST_MORE = {
    (10, 18.39): {0.5: (0.922173, 1e-5), 0.9: (0.461952, 1e-5)},
    (10, 2.787): {0.5: (0.61203, 3e-5), 0.9: (0.07549, 2e-5)},
    (100, 1.0): {0.5: (0.02712, 1e-5)},
    (100, 18.39): {0.5: (0.7875, 4e-4), 0.9: (0.2694, 4e-4)},  # printed from 100 P(f_k > x), with 4e-6 in P
    (1000, 2.787): {0.5: (0.1026, 1e-4), 0.9: (0.00217, 1e-5)},
}


@pytest.mark.parametrize("gamma", THREE)
def test_three_classes_are_as_printed(gamma):
    digits = 1e-11 if gamma < 2 else 6e-10
    assert law(gamma, 3).cdf([0.05, 0.2, 1 / 3, 0.5, 0.9]) == pytest.approx(THREE[gamma], rel=0, abs=digits)
    if gamma == 1:
        density = (2.190500115, 1.449354646, 1.143910440, 0.873578906, 0.333996917)
        assert law(gamma, 3).pdf([0.05, 0.2, 1 / 3, 0.5, 0.9]) == pytest.approx(density, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("classes", "gamma"),
    [(10, 1.0), *(pytest.param(*case, marks=pytest.mark.slow) for case in MARGINAL if case != (10, 1.0))],
)
def test_one_fraction_is_as_printed(classes, gamma):
    cdf, pdf = MARGINAL[classes, gamma]
    found = law(gamma, classes)
    error = found.cdf_error(SHARES)
    assert (error < 1.5e-6).all()
    assert np.all(np.abs(found.cdf(SHARES) - cdf) < 1e-6 + student(4) * error)
    assert found.pdf(SHARES) == pytest.approx(pdf, rel=1e-4)


def check_largest(known):
    for (classes, gamma), table in known.items():
        found = law(gamma, classes).max
        for x, (value, spread) in table.items():
            assert abs(found.sf(x) - value) < spread + student(len(table)) * found.cdf_error(x), (classes, gamma, x)


def test_the_largest_fraction_is_as_printed():
    check_largest(LARGEST)


@pytest.mark.slow
def test_more_of_the_largest_fraction_is_as_printed():
    check_largest(LARGEST_MORE)


@pytest.mark.slow
def test_mean_field_of_the_lower_ranks_agrees_with_drawing_all_of_them(monkeypatch):
    x, mean_field = np.array([0.3, 0.5, 0.9]), law(18.39, 100).max
    monkeypatch.setattr(ordered, "FEW", 100)
    drawn = many.largest(18.39, 100, law(18.39, 100).expected_max(), None)
    error = np.hypot(drawn.cdf_error(x), mean_field.cdf_error(x))
    assert np.all(np.abs(drawn.sf(x) - mean_field.sf(x)) < student(3) * error)
    assert drawn.sf(0.5) == pytest.approx(0.78738, abs=1e-5)


# expected entropy with its printed error, Var f_max with the error that the printed run has of E f_max
MOMENTS = {
    (10, 1.0): (1.56021, 3e-5, 0.021599),
    (10, 18.39): (0.46448, 3e-5, 0.035844),
    (3, 1.0): (0.77917, 1e-5, 0.024017),
}


@pytest.mark.parametrize(("classes", "gamma"), [(10, 1.0), (3, 1.0), pytest.param(10, 18.39, marks=pytest.mark.slow)])
def test_entropy_and_variance_are_as_printed(classes, gamma):
    entropy, spread, variance = MOMENTS[classes, gamma]
    value, error = law(gamma, classes).expected_entropy(error=True)
    assert abs(value - entropy) < 2 * spread + student(1) * error
    assert value == law(gamma, classes).expected_entropy()
    assert law(gamma, classes).max.var() == pytest.approx(variance, abs=1e-5)


@pytest.mark.slow
def test_entropy_and_variance_near_the_unbiased_network():
    value, error = law(0.1, 10).expected_entropy(error=True)
    assert abs(value - 2.180878) < 2 * 5e-6 + student(1) * error
    assert law(0.1, 10).max.var() == pytest.approx(0.0017215, abs=2e-6)


@pytest.mark.slow
def test_divergence_at_one_hides_behind_logarithms():
    for gamma, density in (
        (1.8, (0.0434, 0.0154, 0.0079)),
        (3.0, (0.0899, 0.0857, 0.1151)),
        (5.0, (0.131, 0.234, 0.572)),
    ):
        assert law(gamma, 10).pdf([0.9, 0.99, 0.999]) == pytest.approx(density, rel=0.015)


@pytest.mark.slow
def test_divergence_at_one():
    assert law(18.39, 10).pdf([0.9, 0.99, 0.999]) == pytest.approx((0.154, 0.601, 3.05), rel=4e-3)


# --- independent paths


def test_samples_agree_with_the_quadrature_of_three_classes():
    exact, gamma = law(1.0, 3), 1.0
    one = many.one(gamma, 3, exact.moment(2))
    samples = one, many.largest(gamma, 3, exact.expected_max(), one)
    for sampled, known, x in (
        (samples[0], exact, np.array([1e-9, 0.01, 0.2, 0.5, 0.9, 0.999])),
        (samples[1], exact.max, np.array([0.345, 0.4, 0.45, 0.49, 0.5, 0.6, 0.9])),
    ):
        error = sampled.cdf_error(x)
        assert (error < 5e-6).all()
        assert np.all(np.abs(sampled.cdf(x) - known.cdf(x)) < student(len(x)) * error)
        assert sampled.pdf(x[2:]) == pytest.approx(known.pdf(x[2:]), rel=2e-3)


@pytest.mark.parametrize("gamma", [0.3, 4.0])
def test_two_classes_forced_through_the_general_code(gamma, coarse):
    """With a single rival nothing is left to average over in f_k."""
    x, exact = np.array([1e-30, 1e-3, 0.2, 0.5, 0.8, 0.999]), ClassFraction(gamma)
    general = many.one(gamma, 2, exact.moment(2))
    assert general.cdf(x) == pytest.approx(Binary(gamma).cdf(x), rel=1e-6, abs=1e-40)
    assert general.sf(x) == pytest.approx(Binary(gamma).sf(x), rel=1e-6, abs=1e-40)
    assert general.pdf(x[1:]) == pytest.approx(Binary(gamma).pdf(x[1:]), rel=1e-5)
    y = np.array([0.51, 0.7, 0.9, 0.999])
    larger = many.largest(gamma, 2, exact.expected_max(), general)
    assert larger.cdf(y) == pytest.approx(Larger(gamma).cdf(y), abs=1e-6)


@pytest.mark.parametrize("classes", [3, 10])
def test_networks_drawn_follow_the_laws(classes):
    gamma, networks = 1.0, 20000
    draws = law(gamma, classes).joint_rvs(networks, seed=4)
    z = {}
    for name, dist, values, shares in (
        ("one", law(gamma, classes), draws, (0.02, 0.1, 0.3, 0.6)),
        ("largest", law(gamma, classes).max, draws.max(axis=1)[:, None], (0.37, 0.45, 0.55, 0.8)),
    ):
        for x in shares:
            below = np.mean(values <= x, axis=1)
            z[name, x] = (below.mean() - dist.cdf(x)) / (below.std() / math.sqrt(networks))
    for order in (3, 4):
        values = np.mean(draws**order, axis=1)
        z["moment", order] = (values.mean() - law(gamma, classes).moment(order)) / (values.std() / math.sqrt(networks))
    worst = max(z, key=lambda key: abs(z[key]))
    assert abs(z[worst]) < stats.norm.isf(5e-4 / len(z)), f"{worst}: z = {z[worst]:.2f}"


@pytest.mark.slow
@pytest.mark.parametrize(("gamma", "classes"), [(0.3, 30), (3.0, 60), (18.39, 100)])
def test_networks_of_many_classes_follow_the_laws(gamma, classes):
    draws = law(gamma, classes).joint_rvs(40000, seed=4)
    z = {}
    for name, dist, values in (
        ("one", law(gamma, classes), draws),
        ("max", law(gamma, classes).max, draws.max(1)[:, None]),
    ):
        for q in (0.1, 0.5, 0.9, 0.99):
            x = dist.ppf(q)
            below = np.mean(values <= x, axis=1)
            z[name, q] = (below.mean() - q) / (below.std() / math.sqrt(len(draws)))
    worst = max(z, key=lambda key: abs(z[key]))
    assert abs(z[worst]) < stats.norm.isf(5e-4 / len(z)), f"{worst}: z = {z[worst]:.2f}"


# --- laws


CASES = [(1.0, 3), (1.0, 10), pytest.param(18.39, 10, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("gamma", "classes"), CASES)
def test_distribution_density_and_quantiles_fit_each_other(gamma, classes):
    for dist in (law(gamma, classes), law(gamma, classes).max):
        low, high = dist.support()
        x = low + (high - low) * np.array([0.03, 0.1, 0.2, 0.35, 0.62, 0.8, 0.97])
        wide = np.linspace(low - 0.1, high + 0.1, 400)
        assert (np.diff(dist.cdf(wide)) >= 0).all()
        assert (np.diff(dist.sf(wide)) <= 0).all()
        assert dist.cdf([low - 1e-9, low, high]).tolist() == [0, 0, 1]
        assert dist.cdf(x) + dist.sf(x) == pytest.approx(1, rel=1e-14)
        step = 1e-5 * x
        assert dist.pdf(x) == pytest.approx((dist.cdf(x + step) - dist.cdf(x - step)) / (2 * step), rel=1e-4)
        assert dist.logpdf(x) == pytest.approx(np.log(dist.pdf(x)))
        assert dist.pdf([low - 0.1, high + 0.1]).tolist() == [0, 0]
        assert dist.ppf(dist.cdf(x)) == pytest.approx(x, rel=1e-10)
        assert dist.isf(dist.sf(x)) == pytest.approx(x, rel=1e-10)
        assert dist.ppf([0, 1]).tolist() == [low, high]
        assert np.isnan(dist.ppf([-0.1, 1.1])).all()
        assert np.isnan(dist.cdf(np.nan))
        assert dist.interval(0.9) == (dist.ppf(0.05), dist.isf(0.05))
        assert dist.cdf(np.full((2, 3), x[0])).shape == dist.ppf(np.full((2, 3), 0.3)).shape == (2, 3)
        assert np.shape(dist.cdf(0.3)) == np.shape(dist.pdf(0.3)) == np.shape(dist.cdf_error(0.3)) == ()
        assert dist.std() == pytest.approx(math.sqrt(dist.var()))
        assert dist.var() > 0


@pytest.mark.parametrize(("gamma", "classes"), CASES)
def test_densities_integrate_to_the_distribution(gamma, classes):
    """By Gauss-Legendre, the nodes dense towards the ends, 1/4, 1/3 and 1/2, where the density may have cusps."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    u, weights, power = 0.5 * (1 + nodes), 0.5 * weights, 8
    for dist in (law(gamma, classes), law(gamma, classes).max):
        low, high = (1e-10, 1 - 1e-10) if dist.support()[0] == 0 else (1 / classes + 1e-10, 1 - 1e-10)
        mass = 0.0
        for left, right in itertools.pairwise([low, *(e for e in (1 / 4, 1 / 3, 1 / 2) if e > low), high]):
            for end, half in ((left, (right - left) / 2), (right, (left - right) / 2)):
                x = end + half * u**power
                mass += (weights * abs(half) * power * u ** (power - 1)) @ dist.pdf(x)
        assert mass == pytest.approx(dist.cdf(high) - dist.cdf(low), abs=3e-6)


@pytest.mark.parametrize(("gamma", "classes"), CASES)
def test_from_one_half_on_only_one_class_can_be_larger(gamma, classes):
    x, one = np.array([0.5, 0.6, 0.9, 0.999]), law(gamma, classes)
    error = np.hypot(classes * one.cdf_error(x), one.max.cdf_error(x))
    assert np.all(np.abs(one.max.sf(x) - classes * one.sf(x)) < student(4) * error)
    assert one.exceeds(x) == pytest.approx(one.max.sf(x), rel=1e-6)
    assert one.exceeds([0.4, 0.9]).tolist() == one.max.sf([0.4, 0.9]).tolist()


@pytest.mark.parametrize(("gamma", "classes"), CASES)
def test_moments_of_the_curve_are_the_exact_ones(gamma, classes):
    one = law(gamma, classes)
    for order in (1, 2):
        value, error = one._law.average(lambda x: x**order)  # noqa: B023
        assert abs(value - one.moment(order)) < 1e-8 + student(2) * error
    value, error = one.max.average(lambda x: x)
    assert abs(value - one.expected_max()) < 2e-6 + student(1) * error
    assert one.max.mean() == pytest.approx(one.expected_max(), abs=2e-6)
    third, error = one.moment(3, error=True)
    assert one.moment(4) < third < one.moment(2)
    assert 0 <= error < 1e-6
    assert one.moment(2, error=True) == (one.moment(2), 0.0)
    assert 1 <= one.effective_classes(2) <= one.effective_classes() <= classes
    assert one.effective_classes(2) == pytest.approx(1 / agreement(gamma / (1 + gamma), classes), rel=1e-12)


def test_fractions_of_all_ranks_share_out_the_law():
    """sum_r f_(r)^n = sum_k f_k^n, and the largest two of three determine the smallest."""
    draws = -np.sort(-law(1.0, 3).joint_rvs(20000, seed=2), axis=1)
    for order in (2, 3):
        largest = law(1.0, 3).max.average(lambda x: x**order)[0]  # noqa: B023
        rest = np.sum(draws[:, 1:] ** order, axis=1)
        z = (largest + rest.mean() - 3 * law(1.0, 3).moment(order)) / (rest.std() / math.sqrt(len(rest)))
        assert abs(z) < 4, f"z = {z:.2f}"


@pytest.mark.parametrize("classes", [3, 10])
def test_nearly_unbiased_networks_are_gaussian(classes, coarse):
    """For small gamma f_k is linear in the means."""
    gamma = 1e-8
    one, normal = ClassFraction(gamma, classes), stats.norm(1 / classes, ClassFraction(gamma, classes).std())
    q = np.array([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
    assert (one.ppf(q) - 1 / classes) / one.std() == pytest.approx(stats.norm.ppf(q), abs=2e-3)
    assert one.entropy() == pytest.approx(normal.entropy(), abs=1e-3)
    assert one.expected_entropy() == pytest.approx(math.log(classes), abs=1e-6)


@pytest.mark.parametrize("classes", [3, 10])
def test_deeply_prejudiced_networks_choose_one_class(classes, coarse):
    one = ClassFraction(1e12, classes)
    assert one.cdf([1e-300, 0.5, 0.999]) == pytest.approx(1 - 1 / classes, abs=1e-4)
    assert one.max.sf([0.5, 0.9, 0.999]) == pytest.approx(1, abs=1e-4)
    assert one.ppf(0.5) == 0
    assert one.expected_entropy() == pytest.approx(0, abs=1e-4)
    assert one.moment(3) == pytest.approx(1 / classes, abs=1e-4)


def test_tails_keep_their_relative_precision():
    one = law(1.0, 3)
    assert one.cdf(1e-30) == pytest.approx(one.cdf(1e-29) * 10**-0.9837, rel=2e-3)
    assert 0 < one.cdf(1e-150) < 1e-140
    assert 0 < one.sf(1 - 1e-15) < 1e-19
    assert one.ppf(1e-40) > 0


def test_nothing_depends_on_chance(coarse):
    first, second = (many.one(0.7, 4, ClassFraction(0.7, 4).moment(2)) for _ in range(2))
    assert (first.cdf(SHARES) == second.cdf(SHARES)).all()


def test_shares_are_tabulated_where_the_law_lives():
    for gamma in (1e-12, 1.0, 1e6):
        panel = panels.one(gamma, 10)
        assert panel.first < panel.last
        pieces = panels.largest(gamma, 10)
        assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
        assert pieces[0].start == 0.1
