import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.gaussian import moment

from ibtheory import activations, gaussian

CLOSED = ["relu", "leaky_relu", "abs", "linear", "erf", "gelu", activations.leaky_relu(0.3)]
ALL = [*CLOSED, "tanh"]
Q = np.array([1e-3, 0.3, 1.0, 2.0, 10.0, 100.0])[:, None]
GAP = np.array([2.0, 1.5, 1.0, 0.5, 0.1, 1e-2, 1e-4, 1e-8, 1e-12])


def both(function, *args, **kwargs):
    return (function(*args, **kwargs, method=method) for method in ("closed", "quadrature"))


@pytest.mark.parametrize("phi", CLOSED, ids=str)
def test_closed_forms_agree_with_quadrature(phi):
    scale = gaussian.second(phi, Q)
    for function in (gaussian.mean, gaussian.second):
        closed, quadrature = both(function, phi, Q)
        assert np.abs(closed - quadrature).max() < 1e-12 * max(1, scale.max())
    closed, quadrature = both(gaussian.dual, phi, Q, 1.3 * Q, 1 - GAP, GAP)
    assert np.all(np.abs(closed - quadrature) <= 1e-12 * scale)
    closed, quadrature = both(gaussian.derivative_dual, phi, Q, 1.3 * Q, 1 - GAP, GAP)
    assert np.abs(closed - quadrature).max() < 1e-12


@pytest.mark.parametrize("phi", CLOSED, ids=str)
@pytest.mark.parametrize("ratio", [1.0, 1.7])
def test_gap_keeps_its_relative_precision(phi, ratio):
    closed, quadrature = both(gaussian.gap, phi, Q, ratio * Q, one_minus_c=GAP)
    np.testing.assert_allclose(closed, quadrature, rtol=1e-10)


@pytest.mark.parametrize("phi", CLOSED, ids=str)
def test_centred_keeps_its_relative_precision(phi):
    c = np.array([1e-12, 1e-8, 1e-4, 1e-2, 0.1, 0.19, 0.21, 0.5, 0.9, -1e-10, -0.3])
    closed, quadrature = both(gaussian.centred, phi, Q, 1.3 * Q, c=c)
    scale = np.abs(quadrature)
    scale = np.where(scale > 0, scale, 1.0)
    assert np.max(np.abs(closed - quadrature) / scale) < 1e-10


@pytest.mark.parametrize("phi", ["relu", "gelu", "tanh"])
def test_against_mpmath(phi):
    value = float(gaussian.dual(phi, 0.3, 4.0, -0.7))
    assert abs(value - moment(phi, activations.get(phi).slopes, 0.3, 4.0, -0.7)) < 1e-11


def test_published_values_of_gelu_and_tanh():
    assert abs(gaussian.dual("gelu", 1, 1, 0.5) - 0.22729491502199153) < 1e-15
    assert abs(gaussian.dual("gelu", 0.3, 4, -0.7) + 0.07705577534654587) < 1e-15
    assert abs(gaussian.dual("gelu", 1, 2, 0.99) - 0.6180918493007787) < 1e-15
    assert abs(gaussian.derivative_dual("gelu", 1, 1, 0.5) - 0.3422672424594431) < 1e-15
    assert abs(gaussian.dual("tanh", 1, 1, 0.5) - 0.186324413203448) < 1e-14
    assert abs(gaussian.gap("tanh", 1, one_minus_c=1e-8) / 4.64402900947e-9 - 1) < 1e-11
    assert abs(gaussian.second("tanh", 1) - 0.3942944904) < 1e-10
    assert abs(gaussian.derivative_dual("tanh", 1, 1, 1) - 0.4644029024) < 1e-10


def test_gap_far_beyond_double_precision_of_c():
    # 1 - c = 1e-120: relu gap = om/2 to leading order, since the kink costs om^(3/2)
    np.testing.assert_allclose(gaussian.gap("relu", 2.0, one_minus_c=1e-120), 1e-120, rtol=1e-14)
    np.testing.assert_allclose(gaussian.centred("abs", 1.0, c=1e-100), 1e-200 / np.pi, rtol=1e-14)


def test_own_kinked_function():
    record = activations.from_function(
        lambda x: np.where(x > 1, x - 1, 0.0), lambda x: np.where(x > 1, 1.0, 0.0), kinks=(1,), name="shifted"
    )
    # E (x - 1)_+ = phi(1) - Phi(-1)
    assert abs(gaussian.mean(record, 1.0) - 0.08331547058768628) < 1e-15
    om = np.array([1e-2, 1e-6, 1e-10])
    # gap -> (1 - c) E phi'^2 as c -> 1
    ratio = gaussian.gap(record, 1.0, one_minus_c=om) / (om * 0.15865525393145707)
    assert np.all(np.abs(ratio - 1) < 2 * np.sqrt(om) + 1e-6)


def test_unnamed_kink_is_refused():
    hidden = activations.from_function(lambda x: np.maximum(x - 0.003, 0), lambda x: np.where(x > 0.003, 1.0, 0.0))
    with pytest.raises(ValueError, match="kinks"):
        gaussian.mean(hidden, 1.0)


@pytest.mark.parametrize("phi", ALL, ids=str)
def test_hermite_series_sums_to_the_dual(phi):
    a = gaussian.hermite(phi, 1.5, 60)
    c = np.array([-0.5, 0.1, 0.6])
    np.testing.assert_allclose(
        (a**2 * c[:, None] ** np.arange(61)).sum(-1), gaussian.dual(phi, 1.5, 1.5, c), atol=1e-10
    )


correlations = st.floats(-1, 1)
variances = st.floats(1e-3, 50)
names = st.sampled_from(ALL)


@given(names, variances, variances, correlations)
def test_laws(phi, q1, q2, c):
    dual, swapped = gaussian.dual(phi, q1, q2, c), gaussian.dual(phi, q2, q1, c)
    assert np.isclose(dual, swapped, rtol=1e-9, atol=1e-12)
    bound = np.sqrt(gaussian.second(phi, q1) * gaussian.second(phi, q2))
    assert abs(dual) <= bound * (1 + 1e-12)
    gap = gaussian.gap(phi, q1, q2, one_minus_c=1 - c)
    assert gap >= 0
    half = (gaussian.second(phi, q1) + gaussian.second(phi, q2)) / 2
    assert np.isclose(gap, half - dual, atol=1e-11 * half)
    product = gaussian.mean(phi, q1) * gaussian.mean(phi, q2)
    assert np.isclose(gaussian.centred(phi, q1, q2, c=c), dual - product, atol=1e-11 * bound)


@given(names, st.floats(0.1, 10), st.floats(-0.9, 0.9))
def test_price(phi, q, c):
    h = 1e-5
    numeric = (gaussian.dual(phi, q, q, c + h) - gaussian.dual(phi, q, q, c - h)) / (2 * h * q)
    assert np.isclose(numeric, gaussian.derivative_dual(phi, q, q, c), rtol=1e-5, atol=1e-6)


@given(st.sampled_from(["relu", "abs", "leaky_relu", "linear"]), variances, correlations, st.floats(0.1, 10))
def test_homogeneity(phi, q, c, factor):
    scaled = gaussian.dual(phi, factor * q, factor * q, c)
    assert np.isclose(scaled, factor * gaussian.dual(phi, q, q, c), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian.mean("relu", -1.0), "at least 0"),
        (lambda: gaussian.mean("relu", np.nan), "finite"),
        (lambda: gaussian.dual("relu", 1, 1, 1.5), r"\[-1, 1\]"),
        (lambda: gaussian.mean("rleu", 1.0), "Did you mean 'relu'"),
        (lambda: gaussian.mean("tanh", 1.0, method="closed"), "no closed form"),
        (lambda: gaussian.mean("tanh", 1.0, method="exact"), "method must be one of"),
        (lambda: gaussian.hermite("relu", 1.0, -1), "at least 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
