"""Thresholds against printed values and the joint density itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fractions as reference

from ibtheory.fractions import ClassFraction, thresholds

UNIFORM = {2: 1, 3: 0.758547, 4: 0.635435, 5: 0.559062, 10: 0.392541, 30: 0.249943, 100: 0.170653, 1000: 0.10158}


@pytest.mark.parametrize("classes", UNIFORM)
def test_uniform_point_is_as_printed(classes):
    assert thresholds(classes).uniform == pytest.approx(UNIFORM[classes], abs=6e-6 if classes == 1000 else 1e-6)


def test_two_classes_have_one_threshold():
    assert thresholds(2) == pytest.approx((1, 1, 1, 1), rel=1e-12)


@given(st.integers(2, 10**6))
def test_thresholds_are_ordered(classes):
    limits = thresholds(classes)
    assert limits.vertex <= limits.uniform * (1 + 1e-12)
    assert limits.uniform <= limits.zero * (1 + 1e-12)
    assert limits.zero <= limits.one * (1 + 1e-12)
    assert (limits.vertex, limits.one) == pytest.approx((2 / classes, 2 - 2 / classes))


@pytest.mark.parametrize("classes", [3, 5])
def test_uniform_point_is_where_the_joint_density_turns(classes):
    """log p along a line, from the determinant of the Jacobian in plain loops, has no curvature at gamma_u."""
    step, direction = 0.02, np.arange(classes) - (classes - 1) / 2
    direction /= math.sqrt(np.sum(direction**2))
    base, moved = (reference.log_jacobian(x * direction) for x in (0.0, step))
    assert 2 * (base - moved) / step**2 == pytest.approx(1 / thresholds(classes).uniform, rel=2e-3)


def test_densities_diverge_above_their_thresholds():
    for gamma, falls_at_zero, falls_at_one in ((0.9, True, True), (1.2, False, True), (1.5, False, False)):
        law = ClassFraction(gamma, 3)
        near, nearer = law.pdf([1e-12, 1e-13])
        assert (nearer < near) == falls_at_zero
        near, nearer = law.pdf([1 - 1e-12, 1 - 1e-14])
        assert (nearer < near) == falls_at_one


def test_bad_input():
    with pytest.raises(ValueError, match="classes must be at least 2"):
        thresholds(1)
