"""Asymptotic laws against the exact ones, at the printed values."""

import math

import numpy as np
import pytest
from reference import fractions as reference

from ibtheory.fractions import (
    ClassFraction,
    agreement,
    agreement_many_classes,
    agreement_near_one,
    exponents,
    many_class_exponents,
    vertex_density,
)

# sum f^2: exact, at a fixed correlation, near one
MANY = {
    (1000, 0.1): (0.00243, 0.00248, 0.0037),
    (1000, 1.0): (0.0443, 0.0511, 0.0571),
    (1000, 18.39): (0.514, 0.98, 0.537),
    (10**6, 1.0): (0.00361, 0.00395, 0.00465),
    (10**6, 18.39): (0.3514, 0.563, 0.3646),
}


@pytest.mark.parametrize(("classes", "gamma"), MANY)
def test_many_classes_are_as_printed(classes, gamma):
    c = gamma / (1 + gamma)
    found = [float(f(c, classes)) for f in (agreement, agreement_many_classes, agreement_near_one)]
    for value, printed in zip(found, MANY[classes, gamma], strict=True):
        digits = len(str(printed).split(".")[1])
        assert value == pytest.approx(printed, abs=0.51 * 10.0**-digits)


def test_they_converge_with_the_number_of_classes():
    for law, rho in ((agreement_many_classes, 0.3), (agreement_near_one, 0.95)):
        errors = [abs(law(rho, classes) / agreement(rho, classes) - 1) for classes in (10**2, 10**4, 10**6)]
        assert errors == sorted(errors, reverse=True)


def test_powers_of_the_number_of_classes():
    """Their local exponents approach those of the limit, by logarithms."""
    squares, largest = many_class_exponents(0.5)
    assert largest == pytest.approx((math.sqrt(1.5) - math.sqrt(0.5)) ** 2, rel=1e-12)
    for value, limit in ((lambda law: law.classes * law.moment(2), squares), (ClassFraction.expected_max, largest)):
        logs = [math.log(value(ClassFraction(0.5, classes))) for classes in (10**2, 10**3, 10**5, 10**6)]
        local = [(logs[0] - logs[1]) / math.log(10), (logs[2] - logs[3]) / math.log(10)]
        assert abs(local[1] - limit) < abs(local[0] - limit) < 0.25 * limit


# three classes: local exponents at 1 and 0, density over its asymptote, at e = 1e-11
LOCAL = {
    0.5: (2.6524, 1.925, 0.988),
    1.0: (1.3450, 0.966, 0.945),
    4 / 3: (1.0178, 0.727, 0.927),
    2.0: (0.690, 0.488, 0.899),
    4.0: (0.3604, 0.2484, 0.837),
}


@pytest.mark.parametrize("gamma", LOCAL)
def test_marginal_exponents_of_three_classes(gamma):
    law, e = ClassFraction(gamma, 3), 2.0**-36  # 1.5e-11, 1 - e is exact
    (one, zero, ratio), powers = LOCAL[gamma], exponents(gamma, 3)
    steps = np.array([1 - 1 / 16, 1 + 1 / 16])
    at_one = np.diff(np.log(law.sf(1 - e * steps)))[0] / np.diff(np.log(steps))[0]
    at_zero = np.diff(np.log(law.cdf(e * steps)))[0] / np.diff(np.log(steps))[0]
    assert at_one == pytest.approx(one, abs=3e-3)
    assert at_zero == pytest.approx(zero, abs=2e-3)
    a = 2 / (3 * gamma)
    assert powers == pytest.approx((1 / gamma, 2 * a, 2 * (a - 1)))
    assert at_one == pytest.approx(2 * a - (a - 1) / math.log(1 / e), abs=8e-3)  # the power of the logarithm
    assert law.pdf(1 - e) / vertex_density(e, gamma, 3) == pytest.approx(ratio, abs=2e-3)


def test_vertex_density_is_exact_for_two_uniform_fractions():
    assert vertex_density([0.1, 1e-6], 1.0, 2) == pytest.approx(1, rel=1e-12)


JOINT = [(3, 1 / 3, 1.993), (3, 2 / 3, 0), (3, 4 / 3, -0.9966), (10, 0.1, 8.969), (10, 0.2, 0), (10, 0.4, -4.4845)]


@pytest.mark.parametrize(("classes", "gamma", "slope"), [*JOINT, (10, 1.8, -7.97)])
def test_joint_density_on_the_central_ray(classes, gamma, slope):
    """d log p/d log e at D = 24, all losers at e, from the exact Jacobian."""
    assert reference.vertex_slope(24.0, gamma, classes) == pytest.approx(slope, abs=3e-3)
    assert exponents(gamma, classes).vertex == pytest.approx(slope, abs=0.035)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exponents(0.0, 3), "gamma must lie in"),
        (lambda: exponents(1.0, 1), "classes must be at least 2"),
        (lambda: vertex_density(0.5, 1.0, 3), "rest must lie in"),
        (lambda: vertex_density(0.0, 1.0, 3), "rest must lie in"),
        (lambda: agreement_many_classes(1.0, 10), "rho must lie in"),
        (lambda: agreement_near_one(-1.0, 10), "rho must lie in"),
        (lambda: many_class_exponents(-1.0), "gamma must lie in"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
