"""Class fractions in symbols."""

import numpy as np
import pytest
import sympy as sp
from expressions import R, S, pi

import ibtheory as ib
from ibtheory import fractions
from ibtheory import symbolic as sy


def test_law_of_two_classes():
    law = sy.class_fraction()
    f, gamma = S.f, S.gamma
    pdf, cdf, sf, exceeds = (sy.lambdify((f, gamma), e) for e in (law.pdf, law.cdf, law.sf, law.exceeds))
    shares = np.array([1e-6, 0.01, 0.3, 0.5, 0.8, 0.99])
    for value in (0.1, 0.4669, 1.0, 18.39):
        numeric = ib.ClassFraction(value)
        np.testing.assert_allclose(cdf(shares, value), numeric.cdf(shares), rtol=1e-12)
        np.testing.assert_allclose(sf(shares, value), numeric.sf(shares), rtol=1e-12)
        np.testing.assert_allclose(pdf(shares, value), numeric.pdf(shares), rtol=1e-12)
        np.testing.assert_allclose(exceeds(shares[3:], value), numeric.max.sf(shares[3:]), rtol=1e-12)
        for name in ("var", "mean", "entropy", "expected_max"):
            assert abs(float(getattr(law, name).subs(gamma, value)) - getattr(numeric, name)()) < 1e-13
    slope = law.cdf.diff(f)
    assert all(abs(sp.N((slope - law.pdf).subs({f: R(1, 5), gamma: g}), 25)) < 1e-20 for g in (R(1, 3), 4))
    assert sy.class_fraction(1) == (1, f, 1 - f, R(1, 2), R(1, 12), 0, R(3, 4), 2 - 2 * f)


@pytest.mark.parametrize(
    ("correlation", "variance"), [(1 / pi, 0.05155762421), (R(1, 2), R(1, 12)), (R(9, 10), 0.1782168534)]
)
def test_variance_of_the_fraction(correlation, variance):
    found = sy.class_fraction(correlation / (1 - correlation)).var
    assert abs(float(found - variance)) < 5e-11
    assert abs(float((sy.agreement(correlation) / 2 - R(1, 4)) - found)) < 1e-16


@pytest.mark.parametrize("classes", [2, 3])
def test_agreement(classes):
    rho = np.array([-1.0, -0.6, 0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
    found = sy.lambdify(S.rho, sy.agreement(classes=classes))(rho)
    np.testing.assert_allclose(found, fractions.agreement(rho, classes), atol=1e-13)
    assert sy.agreement(0, classes) == R(1, classes)
    assert sy.agreement(1, classes) == 1


@pytest.mark.parametrize(
    ("gamma", "variance", "largest"),
    [(R(1, 10), 0.011020271130, 0.447967752713), (R("0.4669422"), 0.040509119912, 0.565805723371),
     (1, 0.067101495636, 0.644055018264)],
)  # fmt: skip
def test_three_classes(gamma, variance, largest):
    correlation = gamma / (1 + gamma)
    assert abs(float(sy.agreement(correlation, 3) / 3 - R(1, 9)) - variance) < 1e-12
    assert abs(float(sy.agreement(sp.sqrt(correlation), 3)) - largest) < 1e-12
