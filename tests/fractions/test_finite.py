"""The largest observed share of finitely many samples, against enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest

from ibtheory.fractions import ClassFraction


def test_unbiased_finite_counts():
    assert ClassFraction(0).finite_max(4)[0] == pytest.approx((2 * 4 + 8 * 3 + 6 * 2) / 16 / 4)
    value, error = ClassFraction(0, 3).finite_max(2)  # two samples meet in a third of the cases
    assert abs(value - 2 / 3) < 4 * error
    assert ClassFraction(0, 3).finite_variance(2) == pytest.approx(1 / 9)


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


@pytest.mark.parametrize(("samples", "classes"), [(2, 3), (5, 4)])
def test_unbiased_counts_by_enumeration(samples, classes):
    outcomes = itertools.product(range(classes), repeat=samples)
    exact = np.mean([np.bincount(outcome).max() for outcome in outcomes]) / samples
    value, error = ClassFraction(0, classes).finite_max(samples)
    assert abs(value - exact) < 5.4 * error  # 1e-3 of Student's t with 7 degrees of freedom
    assert error < 1e-3


def test_many_samples_show_the_fractions_themselves():
    law = ClassFraction(2.0, 10)
    value, error = law.finite_max(10**6)
    assert 0 <= value - law.expected_max() < 1e-3
    assert error < 1e-5
    assert law.finite_max(60)[1] < 1e-4
