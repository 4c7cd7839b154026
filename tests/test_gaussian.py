from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibtheory import activations, gaussian

CATALOGUE = activations.catalogue()
LINES = {"leaky_relu(0.3)": activations.leaky_relu(0.3), "relu_power(3)": activations.relu_power(3)}
CLOSED = {name: phi for name, phi in (CATALOGUE | LINES).items() if phi.closed}
JUMPS = ("sign", "step")
SMOOTH = [name for name, phi in CATALOGUE.items() if not phi.kinks]
Q = np.array([1e-3, 0.3, 1.0, 2.0, 10.0, 100 / 1.7])[:, None]
GAP = np.array([1.9, 1.5, 1.0, 0.5, 0.1, 0.05, 1e-2, 1e-4, 1e-8, 1e-12])
NEAR_ZERO = np.array([1e-12, 1e-8, 1e-4, 1e-2, 0.1, 0.45, 0.55, 0.9, -1e-10, -0.3, -0.9])
EXACT = dict(np.load(Path(__file__).parent / "reference" / "gaussian_values.npz"))
POINTS = EXACT.pop("points").T


def root_second(phi, q1, q2):
    return np.sqrt(gaussian.second(phi, q1) * gaussian.second(phi, q2))


def root_slope(phi, q1, q2):
    return np.sqrt(gaussian.derivative_dual(phi, q1, q1, 1.0) * gaussian.derivative_dual(phi, q2, q2, 1.0))


def both(function, *args, **kwargs):
    return (function(*args, **kwargs, method=method) for method in ("closed", "quadrature"))


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_agree_with_quadrature(name):
    phi = CLOSED[name]
    closed, quadrature = both(gaussian.mean, phi, Q)
    assert np.all(np.abs(closed - quadrature) <= 1e-12 * np.sqrt(gaussian.second(phi, Q)))
    closed, quadrature = both(gaussian.second, phi, Q)
    np.testing.assert_allclose(closed, quadrature, rtol=1e-12)
    closed, quadrature = both(gaussian.dual, phi, Q, 1.7 * Q, 1 - GAP, GAP)
    assert np.all(np.abs(closed - quadrature) <= 1e-12 * root_second(phi, Q, 1.7 * Q))
    if name not in JUMPS:
        closed, quadrature = both(gaussian.derivative_dual, phi, Q, 1.7 * Q, 1 - GAP, GAP)
        assert np.all(np.abs(closed - quadrature) <= 1e-12 * root_slope(phi, Q, 1.7 * Q))


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-6, 1.7])
def test_gap_keeps_its_relative_precision(name, ratio):
    closed, quadrature = both(gaussian.gap, CLOSED[name], Q, ratio * Q, one_minus_c=GAP)
    np.testing.assert_allclose(closed, quadrature, rtol=1e-10)


@pytest.mark.parametrize("name", CLOSED)
def test_centred_keeps_its_relative_precision(name):
    phi = CLOSED[name]
    closed, quadrature = both(gaussian.centred, phi, Q, 1.3 * Q, c=NEAR_ZERO)
    # sin and cos forget everything at large variance: e^-100 is beyond a sum of terms of size 1
    rounding = 1e-15 * np.abs(NEAR_ZERO) * root_second(phi, Q, 1.3 * Q)
    assert np.all(np.abs(closed - quadrature) <= 1e-10 * np.abs(closed) + rounding)


@pytest.mark.parametrize("name", SMOOTH)
def test_hermite_agrees_where_it_converges_and_bounds_its_tail_elsewhere(name):
    q = np.array([1e-3, 0.5, 2.0])[:, None]
    c = np.array([-0.9, -0.5, 0.0, 1e-6, 0.3, 0.7, 0.9, 0.99, 1.0])
    inside = np.broadcast_to(np.abs(c) <= 0.9, (3, 9))
    scales = {"dual": root_second, "derivative_dual": root_slope}
    for quantity, scale in scales.items():
        function = getattr(gaussian, quantity)
        value, bound = function(name, q, 0.7 * q, c, method="hermite", error=True)
        exact, slack = function(name, q, 0.7 * q, c, error=True)
        size = scale(name, q, 0.7 * q) * np.ones_like(c)
        assert np.all(np.abs(value - exact)[inside] <= 1e-9 * size[inside])
        assert np.all(np.abs(value - exact) <= bound + slack)
    for quantity, given_c in (("gap", {"one_minus_c": 1 - c}), ("centred", {"c": c})):
        function = getattr(gaussian, quantity)
        value, bound = function(name, q, 0.7 * q, **given_c, method="hermite", error=True)
        exact, slack = function(name, q, 0.7 * q, **given_c, error=True)
        assert np.all(np.abs(value - exact) <= bound + slack)


def quantities(name, method):
    """(name, value, bound, exact, size of the terms) of each quantity at the 50 reference points."""
    q1, q2, c, om = POINTS
    calls = {
        "mean": (q1,), "second": (q1,), "dual": (q1, q2, c, om), "derivative_dual": (q1, q2, c, om),
        "gap": (q1, q2), "centred": (q1, q2),
    }  # fmt: skip
    for (quantity, arguments), exact in zip(calls.items(), EXACT[name].T, strict=True):
        if quantity == "derivative_dual" and name in JUMPS and method != "closed":
            continue
        given_c = {"gap": {"one_minus_c": om}, "centred": {"c": c}}.get(quantity, {})
        function = getattr(gaussian, quantity)
        yield quantity, *function(name, *arguments, **given_c, method=method, error=True), exact


@pytest.mark.parametrize("method", ["closed", "quadrature", "hermite"])
@pytest.mark.parametrize("name", EXACT)
def test_bounds_hold_and_are_useful(name, method):
    if method == "closed" and not CATALOGUE[name].closed:
        pytest.skip("no closed form")
    q1, q2 = POINTS[:2]
    second = gaussian.second(name, q1)
    size = {"mean": np.sqrt(second), "second": second, "dual": root_second(name, q1, q2)}
    for quantity, value, bound, exact in quantities(name, method):
        # the reference is rounded, and so is c = 1 - om
        rounded = np.finfo(float).eps * np.abs(exact)
        if quantity == "centred":
            rounded += np.finfo(float).eps * np.sqrt(q1 * q2) * np.abs(EXACT[name].T[3])
        assert np.all(np.abs(value - exact) <= bound + rounded), quantity
        if method != "hermite" and quantity in size:
            assert np.all(bound <= 1e-11 * size[quantity]), quantity
        if method == "closed" and quantity == "gap":
            assert np.median(bound / exact) < 1e-12


def test_values_derived_elsewhere():
    """theory-architectures, section F: to 22 digits by mpmath."""
    dual = gaussian.dual
    assert abs(dual("gelu", 1, 1, 0.5) - 0.22729491502199153) < 1e-15
    assert abs(dual("gelu", 0.3, 4, -0.7) + 0.07705577534654587) < 1e-15
    assert abs(dual("gelu", 1, 2, 0.99) - 0.6180918493007787) < 1e-15
    assert abs(gaussian.derivative_dual("gelu", 1, 1, 0.5) - 0.3422672424594431) < 1e-15
    assert abs(dual("tanh", 1, 1, 0.5) - 0.186324413203448) < 1e-14
    assert abs(gaussian.gap("tanh", 1, one_minus_c=1e-8) / 4.64402900947e-9 - 1) < 1e-11
    assert abs(dual("hard_tanh", 1, 1, 0.5) - 0.2381691658007707) < 1e-14
    assert abs(dual("relu6", 1, 1, 0.5) - 0.3044988895355378) < 1e-14
    assert abs(dual("elu", 1, 1, 0.5) - 0.3247836489567628) < 1e-14
    assert abs(gaussian.second("erf", 1) - 0.4645590544) < 1e-10
    assert abs(gaussian.derivative_dual("erf", 1, 1, 1) - 0.5694100347) < 1e-10
    assert abs(2 * dual("relu", 1, 1, 0.5) - 0.6089977810) < 1e-10
    assert abs(2 * dual("relu", 1, 1, -0.5) - 0.1089977810) < 1e-10
    assert abs(2 * gaussian.derivative_dual("relu", 1, 1, 0.5) - 2 / 3) < 1e-15


@pytest.mark.parametrize(
    ("name", "mean", "second", "slope", "drift"),
    [
        ("gelu", 0.2820947918, 0.4252214826, 0.4558508656, 0.23022957),
        ("silu", 0.2066209641, 0.3557755198, 0.3794823516, 0.13636059),
        ("tanh", 0.0, 0.3942944904, 0.4644029024, 0.0),
        ("softplus", 0.8060591833, 0.9212459089, 0.2933790359, 2.39298970),
        ("sigmoid", 0.5, 0.2933790359, 0.0448362414, 5.76315252),
        ("relu", 0.3989422804, 0.5, 0.5, 0.4669422069),
        ("selu", 0.0, 1.0, 1.0715749925, 0.0),
    ],
)
def test_moments_at_unit_variance(name, mean, second, slope, drift):
    m, q = gaussian.mean(name, 1.0), gaussian.second(name, 1.0)
    assert abs(m - mean) < 6e-11
    assert abs(q - second) < 6e-11
    assert abs(gaussian.derivative_dual(name, 1, 1, 1) - slope) < 6e-11
    assert abs(m * m / (q - m * m) - drift) < 6e-9


@pytest.mark.parametrize(
    ("name", "bias", "fixed", "weight"),
    [
        ("tanh", 0.01, 0.27330091, 1.42420529),
        ("tanh", 0.02, 0.37124032, 1.54419284),
        ("tanh", 0.04, 0.51207850, 1.70079637),
        ("tanh", 0.05, 0.57004788, 1.76095464),
        ("tanh", 0.1, 0.80579918, 1.98607264),
        ("tanh", 0.25, 1.31793900, 2.40148924),
        ("tanh", 0.0380412011, 0.5, 1.6879751206),
        ("tanh", 0.1509646294, 1.0, 2.1533026489),
        ("silu", 0.04, 0.68945250, 2.82082640),
        ("gelu", 0.04, 0.57563712, 2.39323830),
        ("gelu", 0.01, 0.18348319, 2.98279937),
    ],
)
def test_points_of_the_edge_of_chaos(name, bias, fixed, weight):
    assert abs(weight * gaussian.second(name, fixed) + bias - fixed) < 5e-8
    assert abs(weight * gaussian.derivative_dual(name, fixed, fixed, 1.0) - 1) < 5e-8


def test_values_far_beyond_double_precision_of_c():
    # 1 - c = 1e-120: relu gap = om/2 to leading order, since the kink costs om^(3/2)
    np.testing.assert_allclose(gaussian.gap("relu", 2.0, one_minus_c=1e-120), 1e-120, rtol=1e-14)
    np.testing.assert_allclose(gaussian.centred("abs", 1.0, c=1e-100), 1e-200 / np.pi, rtol=1e-14)
    om = 1e-60
    for name, phi in CATALOGUE.items():
        if name not in JUMPS:
            gap, slope = gaussian.gap(phi, 1.0, one_minus_c=om), gaussian.derivative_dual(phi, 1.0, 1.0, 1.0)
            np.testing.assert_allclose(gap, om * slope, rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(gaussian.gap("sign", 1.0, one_minus_c=om), 2 * np.sqrt(2 * om) / np.pi, rtol=1e-14)


def test_no_variance_and_no_pairs():
    for name, phi in CATALOGUE.items():
        at_zero = float(phi.function(np.zeros(1))[0])
        for method in ("auto", "quadrature"):
            assert abs(gaussian.mean(phi, 0.0, method=method) - at_zero) < 1e-14, name
            assert abs(gaussian.dual(phi, 0.0, 0.0, 0.3, method=method) - at_zero**2) < 1e-14, name
            assert gaussian.gap(phi, 0.0, 0.0, one_minus_c=0.5, method=method) < 1e-29, name
            half = gaussian.gap(phi, 0.0, 1.0, one_minus_c=0.5, method=method)
            expected = (gaussian.second(phi, 1.0) + at_zero**2) / 2 - at_zero * gaussian.mean(phi, 1.0)
            assert abs(half - expected) < 1e-13, name
    assert gaussian.dual("tanh", np.empty(0), 1.0, 0.5).shape == (0,)
    assert gaussian.gap("tanh", np.ones((3, 1)), one_minus_c=np.ones(4)).shape == (3, 4)


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


def test_a_constant_costs_no_precision():
    lifted = activations.from_function(
        lambda x: 1e3 + np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0), kinks=(0,), name="lifted"
    )
    om = np.array([1e-3, 1e-6, 1e-12])
    np.testing.assert_allclose(
        gaussian.gap(lifted, 0.01, one_minus_c=om), gaussian.gap("relu", 0.01, one_minus_c=om), rtol=1e-9
    )


def test_compositions_agree_with_the_function_they_are():
    by_two = activations.from_sympy("2*x", name="twice")
    c = np.array([-0.4, 0.2, 0.9, 0.9999])
    for outer in ("hard_tanh", "relu6", "elu", "tanh"):
        composed = activations.compose(outer, by_two)
        value = gaussian.gap(composed, 1.0, 1.3, one_minus_c=1 - c)
        np.testing.assert_allclose(value, gaussian.gap(outer, 4.0, 5.2, one_minus_c=1 - c), rtol=1e-10)


HIDDEN = {
    "no kink named": activations.from_function(
        lambda x: np.maximum(x - 0.003, 0), lambda x: np.where(x > 0.003, 1.0, 0.0)
    ),
    "one of two kinks named": activations.from_function(
        lambda x: np.clip(x, -1.0, 1.003), lambda x: np.where((x > -1) & (x < 1.003), 1.0, 0.0), kinks=(-1,)
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_an_unnamed_kink_is_refused(name):
    for method in ("auto", "hermite"):
        with pytest.raises(ValueError, match="name its kinks"):
            gaussian.dual(HIDDEN[name], 1.0, 1.0, 0.3, method=method)


def test_a_kink_out_of_sight_is_in_the_bound():
    # 12 is 7 standard deviations off where convergence is tested, but not at variance 50
    hidden = activations.from_function(
        lambda x: np.maximum(x, 0) + np.maximum(x - 12, 0),
        lambda x: np.where(x > 0, 1.0, 0.0) + np.where(x > 12, 1.0, 0.0),
        kinks=(0,),
    )
    known = activations.from_function(hidden.function, hidden.derivative, kinks=(0, 12))
    q, c = np.array([20.0, 30.0, 50.0, 80.0])[:, None], np.array([-0.6, 0.3, 0.6, 0.8, 0.99])
    value, bound = gaussian.dual(hidden, q, q, c, error=True)
    assert np.all(np.abs(value - gaussian.dual(known, q, q, c)) <= bound)


@pytest.mark.parametrize("phi", [activations.hard_swish, activations.relu_power(2), activations.relu6], ids=repr)
def test_averages_of_piecewise_polynomials_agree_with_the_rule_for_any_function(phi):
    """That over one variable in closed form, against panels in both variables."""
    assert phi.pieces is not None
    plain = activations.from_function(phi.function, phi.derivative, phi.kinks)
    vars(plain)["pieces"] = None
    q1, q2 = np.repeat([1e-3, 0.7, 100.0], 3), np.tile([1e-3, 0.7, 100.0], 3)
    for om in (1e-9, 0.01, 0.3, 1.9):
        for quantity in (gaussian.dual, gaussian.derivative_dual):
            (value, bound), (other, spread) = (
                quantity(f, q1, q2, 1 - om, om, method="quadrature", error=True) for f in (phi, plain)
            )
            assert np.all(np.abs(value - other) <= bound + spread)
        value, other = (gaussian.gap(f, q1, q2, one_minus_c=om, method="quadrature") for f in (phi, plain))
        assert value == pytest.approx(other, rel=1e-10)


correlations = st.floats(-1, 1)
variances = st.floats(1e-3, 50)
names = st.sampled_from(sorted(CATALOGUE))


@settings(max_examples=40)
@given(names, variances, variances, correlations)
def test_laws(name, q1, q2, c):
    dual, bound = gaussian.dual(name, q1, q2, c, error=True)
    swapped, other = gaussian.dual(name, q2, q1, c, error=True)
    assert abs(dual - swapped) <= bound + other
    size = root_second(name, q1, q2)
    assert abs(dual) <= size + bound
    gap = gaussian.gap(name, q1, q2, one_minus_c=1 - c)
    assert gap >= 0
    half = (gaussian.second(name, q1) + gaussian.second(name, q2)) / 2
    assert abs(gap - (half - dual)) <= 1e-12 * half
    product = gaussian.mean(name, q1) * gaussian.mean(name, q2)
    assert abs(gaussian.centred(name, q1, q2, c=c) - (dual - product)) <= 1e-12 * size


@settings(max_examples=40)
@given(names.filter(lambda name: name not in JUMPS), st.floats(0.1, 10), st.floats(-0.9, 0.9))
def test_price(name, q, c):
    h = 1e-3
    low, high = gaussian.dual(name, q, q, np.array([c - h, c + h]))
    numeric, slope = (high - low) / (2 * h * q), gaussian.derivative_dual(name, q, q, c)
    # the third derivative of sum a_k^2 c^k is largest at |c|; kinks add (1 - c^2)^(-3/2)
    third = abs(gaussian.derivative_dual(name, q, q, np.array([0.94, 0.95, 0.96])) @ [1, -2, 1]) / 1e-4
    size = gaussian.derivative_dual(name, q, q, 1.0)
    assert abs(numeric - slope) <= h**2 * (third + 20 * size)


@settings(max_examples=40)
@given(st.sampled_from(["relu", "abs", "leaky_relu", "linear"]), variances, correlations, st.floats(0.1, 10))
def test_homogeneity(name, q, c, factor):
    scaled = gaussian.dual(name, factor * q, factor * q, c)
    assert np.isclose(scaled, factor * gaussian.dual(name, q, q, c), rtol=1e-12, atol=1e-14)
    cubed = gaussian.dual(activations.relu_power(3), factor * q, factor * q, c)
    expected = factor**3 * gaussian.dual(activations.relu_power(3), q, q, c)
    assert abs(cubed - expected) <= 1e-13 * gaussian.second(activations.relu_power(3), factor * q)


@settings(max_examples=40)
@given(names, variances)
def test_the_correlation_map_is_a_power_series_of_positive_terms(name, q):
    """E phi(u) phi(v) = sum a_k^2 c^k: increasing and convex on [0, 1], and |R(-c)| <= R(c)."""
    c = np.linspace(0, 1, 9)
    dual, bound = gaussian.dual(name, q, q, c, error=True)
    assert np.all(np.diff(dual) >= -2 * bound[1:])
    assert np.all(np.diff(dual, 2) >= -4 * bound[2:])
    assert np.all(np.abs(gaussian.dual(name, q, q, -c)) <= dual + 2 * bound)
    assert abs(dual[0] - gaussian.mean(name, q) ** 2) <= bound[0]
    assert abs(dual[-1] - gaussian.second(name, q)) <= bound[-1]


@settings(max_examples=40)
@given(names, st.integers(0, 10**6))
def test_kernels_are_positive_semidefinite(name, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((6, 3)) * rng.uniform(0.1, 2, (6, 1))
    q = np.sum(x * x, axis=1)
    c = np.clip(x @ x.T / np.sqrt(np.outer(q, q)), -1, 1)
    np.fill_diagonal(c, 1)
    kernel = gaussian.dual(name, q[:, None], q, c)
    assert np.linalg.eigvalsh((kernel + kernel.T) / 2).min() >= -1e-12 * np.trace(kernel)


def test_large_and_small_variances():
    # saturating activations become sign or step, smooth ones become linear
    c = np.array([-0.5, 0.3, 0.9])
    big = 1e6
    for name, limit in (("tanh", "sign"), ("erf", "sign"), ("hard_tanh", "sign"), ("sigmoid", "step")):
        error = np.abs(gaussian.dual(name, big, big, c) - gaussian.dual(limit, 1.0, 1.0, c))
        assert error.max() < 5e-3, name  # of order 1/sqrt(q)
    tiny = 1e-8
    for name in ("tanh", "erf", "sin", "hard_tanh", "elu", "gelu", "silu"):
        slope = activations.get(name).derivative(np.zeros(1))[0]
        np.testing.assert_allclose(gaussian.centred(name, tiny, c=c), slope**2 * tiny * c, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian.mean("relu", -1.0), "at least 0"),
        (lambda: gaussian.mean("relu", np.nan), "finite"),
        (lambda: gaussian.dual("relu", 1, 1, 1.5), r"\[-1, 1\]"),
        (lambda: gaussian.dual("relu", 1, 1, np.nan), r"\[-1, 1\]"),
        (lambda: gaussian.mean("rleu", 1.0), "Did you mean 'relu'"),
        (lambda: gaussian.mean("tanh", 1.0, method="closed"), "no closed form"),
        (lambda: gaussian.mean("tanh", 1.0, method="exact"), "method must be one of"),
        (lambda: gaussian.derivative_dual("sign", 1, 1, 0.5, method="quadrature"), "delta functions"),
        (lambda: gaussian.second("exp", 1e3, method="quadrature"), "beyond double precision"),
        (lambda: gaussian.hermite("relu", 1.0, -1), "at least 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
