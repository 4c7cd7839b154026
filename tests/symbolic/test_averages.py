"""Gaussian averages in symbols: kernels, moments and Hermite coefficients, against numeric routes and mpmath."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from expressions import ELU, HARD_TANH, JUMPS, NAMES, OTHERS, RELU, R, S, a, c, pi, q, q1, q2, same, t, x
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.normal_pair import average, single

from ibtheory import activations, gaussian
from ibtheory import symbolic as sy
from ibtheory.symbolic.tidy import tidy


def test_kernels_of_relu_and_erf():
    kernel = sy.c_map("relu")
    assert kernel.subs(c, 0) == 1 / pi
    np.testing.assert_allclose(float(kernel.subs(c, R(1, 2))), 0.6089977810, atol=5e-11)
    np.testing.assert_allclose(float(kernel.subs(c, R(-1, 2))), 0.1089977810, atol=5e-11)
    assert 2 * sy.derivative_dual("relu", 1, c=R(1, 2)) == R(2, 3)
    np.testing.assert_allclose(float(sy.second("erf", 1)), 0.4645590543975399, rtol=1e-15)
    np.testing.assert_allclose(float(sy.derivative_dual("erf", 1, c=1)), 0.5694100347, atol=5e-11)


def test_moments_of_gelu_and_the_drift_it_makes():
    assert abs(float(sy.second("gelu", 1)) - 0.42522148257029874) < 1e-16
    assert abs(float(sy.derivative_dual("gelu", 1, c=1)) - 0.4558508656) < 5e-11
    assert abs(float(sy.drift("gelu", 1)) - 0.23022957) < 5e-9
    assert abs(float(sy.dual("gelu", R(3, 10), 4, R(-7, 10))) + 0.07705577534654587) < 1e-16
    assert abs(float(sy.dual("gelu", 1, 2, R(99, 100))) - 0.6180918493007787) < 1e-15
    assert abs(float(sy.hermite("gelu", 1, 1) ** 2 / (sy.second("gelu", 1) - sy.mean("gelu", 1) ** 2)) - 0.72329) < 5e-6


def test_piecewise_linear_and_exponential_units():
    for expression, value in (
        (HARD_TANH, 0.2381691658007707),
        (OTHERS["relu6"], 0.304498889535538),
        (ELU, 0.3247836489567628),
    ):
        assert abs(float(sy.dual(expression, 1, c=R(1, 2)).evalf(20)) - value) < 1e-15


@pytest.mark.parametrize("activation", NAMES, ids=str)
def test_agrees_with_the_numeric_closed_forms(activation):
    variances = np.array([1e-3, 0.3, 1.0, 2.0, 10.0, 100.0])[:, None]
    correlations = np.array([-1.0, -0.9, -0.3, 0.0, 0.2, 0.7, 0.99, 1 - 1e-6, 1 - 1e-12, 1.0])
    scale = gaussian.second(activation, variances)
    for symbolic, numeric in ((sy.mean, gaussian.mean), (sy.second, gaussian.second)):
        found = sy.lambdify(q, symbolic(activation))(variances)
        assert np.all(np.abs(found - numeric(activation, variances)) <= 1e-12 * np.maximum(scale, np.sqrt(scale)))
    for symbolic, numeric in ((sy.dual, gaussian.dual), (sy.derivative_dual, gaussian.derivative_dual)):
        found = sy.lambdify((q1, q2, c), symbolic(activation, q1, q2))(variances, 1.3 * variances, correlations)
        bound = 1e-12 * (1.3 * scale if symbolic is sy.dual else 1.0)
        assert np.all(np.abs(found - numeric(activation, variances, 1.3 * variances, correlations)) <= bound)
    found = sy.lambdify((q, S.s), sy.gap(activation))(variances, 1 - correlations)
    assert np.all(np.abs(found - gaussian.gap(activation, variances, one_minus_c=1 - correlations)) <= 1e-12 * scale)
    found = sy.lambdify((q, c), sy.centred(activation))(variances, correlations)
    assert np.all(np.abs(found - gaussian.centred(activation, variances, c=correlations)) <= 1e-12 * scale)


@pytest.mark.parametrize("name", [n for n in OTHERS if n != "relu^3"])
def test_agrees_with_quadrature(name):
    record = activations.from_sympy(OTHERS[name])
    variances, correlations = np.array([0.3, 1.0, 2.0])[:, None], np.array([-0.8, 0.0, 0.4, 0.95])
    found = sy.lambdify((q1, q2, c), sy.dual(record, q1, q2))(variances, 1.3 * variances, correlations)
    scale = gaussian.second(record, 1.3 * variances)
    assert np.all(np.abs(found - gaussian.dual(record, variances, 1.3 * variances, correlations)) <= 1e-12 * scale)
    found = sy.lambdify((q1, q2, c), sy.derivative_dual(record, q1, q2))(variances, 1.3 * variances, correlations)
    numeric = gaussian.derivative_dual(record, variances, 1.3 * variances, correlations)
    slopes = gaussian.derivative_dual(record, 1.3 * variances, 1.3 * variances, 1.0)
    assert np.all(np.abs(found - numeric) <= 1e-12 * np.maximum(slopes, 1))


@pytest.mark.parametrize(
    ("expression", "f", "kinks"),
    [
        (RELU**2, lambda u: max(u, 0) ** 2, (0,)),
        (ELU, lambda u: u if u > 0 else mp.expm1(u), (0,)),
        (JUMPS["stairs"], lambda u: (1 if u > 1 else -1) + (u if u > -0.5 else 0), (-0.5, 1)),
    ],
    ids=["relu squared", "elu", "stairs"],
)
def test_agrees_with_mpmath(expression, f, kinks):
    exact = sy.dual(expression, R(4, 5), R(7, 5), R(3, 10)).evalf(20)
    assert abs(exact - average(f, "0.8", "1.4", "0.3", kinks)) < 1e-13
    with mp.workdps(30):
        mean = mp.mpf(str(sy.mean(expression, R(4, 5)).evalf(30)))
        assert abs(mean - single(f, "0.8", kinks)) < 1e-25


@pytest.mark.parametrize("expression", ["gelu", *OTHERS.values(), *JUMPS.values(), RELU + a * sp.Min(x, 0)], ids=str)
def test_theorem_of_price(expression):
    slope = sy.dual(expression, q1, q2).diff(c) / sp.sqrt(q1 * q2)
    difference = slope - sy.derivative_dual(expression, q1, q2)
    if not any(str(f.func) in ("Phi2", "erfc") for f in difference.atoms(sp.Function)):
        assert tidy(difference) == 0
    else:
        slope, error = (
            sy.lambdify((q1, q2, c), e)(1 / 3, 3 / 2, np.array([-0.6, 0.1, 0.8])) for e in (slope, difference)
        )
        assert np.all(np.abs(error) < 1e-12 * (1 + np.abs(slope)))


@pytest.mark.parametrize("expression", [*OTHERS.values(), *JUMPS.values()], ids=str)
def test_symmetry(expression):
    dual = sy.dual(expression, q1, q2)
    swapped = dual.subs({q1: q2, q2: q1}, simultaneous=True)
    at = {q1: R(1, 3), q2: R(3, 2), c: R(2, 7)}
    assert swapped == dual or abs((swapped - dual).subs(at).evalf(30)) < 1e-25
    equal = sy.dual(expression)
    at = {q: R(5, 4), c: R(2, 7)}
    assert abs(equal.subs(at).evalf(30) - dual.subs({q1: R(5, 4), q2: R(5, 4), c: R(2, 7)}).evalf(30)) < 1e-24


@pytest.mark.parametrize("expression", ["relu", "erf", "gelu", ELU, OTHERS["cosh"], OTHERS["shifted"]], ids=str)
def test_ends_of_the_correlation(expression):
    assert same(sy.dual(expression, c=0), sy.mean(expression) ** 2)
    near = sy.dual(expression, R(3, 2)).subs(c, 1 - R(1, 10**40)).evalf(60)
    assert abs(near - sy.second(expression, R(3, 2)).evalf(60)) < 1e-38
    assert sy.dual(expression, c=1) == sy.second(expression)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "erf", "gelu"])
def test_hermite_coefficients(activation):
    found = [float(sy.hermite(activation, k, R(3, 2))) for k in range(9)]
    np.testing.assert_allclose(found, gaussian.hermite(activation, 1.5, 8), atol=1e-12)
    series = sy.expansion(sy.dual(activation, R(3, 2)), at=0, order=5).removeO()
    for k in range(5):
        assert abs(sp.N(series.coeff(c, k) - sy.hermite(activation, k, R(3, 2)) ** 2, 20)) < 1e-17


@pytest.mark.parametrize("expression", [RELU, abs(x), RELU**2 + x**3, RELU + a * sp.Min(x, 0)], ids=str)
def test_hermite_coefficients_of_every_order(expression):
    k = sp.Symbol("k", integer=True, positive=True)
    formula = sy.hermite(expression, k, R(3, 2))
    for order in range(4, 9):
        assert sp.simplify(formula.subs(k, order) - sy.hermite(expression, order, R(3, 2))) == 0


def test_hermite_coefficients_of_a_polynomial_end():
    for k, value in enumerate([0, 3, 0, sp.sqrt(6), 0, 0]):
        assert sy.hermite(x**3, k, 1) == value


def test_parameters():
    leaky = RELU + a * sp.Min(x, 0)
    assert same(sy.second(leaky), q * (1 + a**2) / 2)
    assert same(sy.drift(leaky), (1 - a) ** 2 / (pi * (1 + a**2) - (1 - a) ** 2))
    assert sy.drift(leaky).subs(a, 0) == sy.drift("relu")
    mean = sy.mean(sp.Max(x - t, 0), 1)  # phi(t) - t Phi(-t)
    expected = sp.exp(-(t**2) / 2) / sp.sqrt(2 * pi) - t * sp.erfc(t / sp.sqrt(2)) / 2
    assert all(abs(sp.N((mean - expected).subs(t, value), 20)) < 1e-18 for value in (-2, R(1, 3), 1))
    assert sy.mean(sp.exp(a * x)) == sp.exp(a**2 * q / 2)
    assert sy.phi(sp.Symbol("u") ** 2) == x**2


def test_what_has_no_closed_form_stays_an_integral():
    assert sy.mean("tanh") == 0
    assert sy.hermite("tanh", 2) == 0
    assert sy.gamma("tanh", "batch", "before") == 0
    assert sy.second("tanh").has(sp.Integral)
    assert sy.dual("tanh").has(sp.Integral)
    assert abs(float(sy.second("tanh", 1).evalf(12)) - 0.3942944903978) < 1e-12
    assert sy.derivative_dual("tanh", 1, c=1).has(sp.Integral)


@settings(max_examples=8)
@given(
    st.lists(st.integers(-3, 3), min_size=3, max_size=3),
    st.lists(st.integers(-3, 3), min_size=3, max_size=3),
    st.fractions(-2, 2, max_denominator=4),
    st.fractions("-9/10", "9/10", max_denominator=10),
)
def test_piecewise_polynomials(below, above, kink, correlation):
    left, right = (sum(k * x**n for n, k in enumerate(p)) + x**3 for p in (below, above))
    record = activations.from_sympy(sp.Piecewise((left, x < R(kink)), (right, True)))
    exact = float(sy.dual(record, 1, R(1, 2), R(correlation)))
    scale = float(sy.second(record, 1))
    assert abs(exact - gaussian.dual(record, 1, 0.5, float(correlation))) < 1e-12 * scale
    assert abs(scale / gaussian.second(record, 1) - 1) < 1e-12
