import pickle
import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.normal_pair import average, single
from scipy.special import ndtr

import ibtheory as ib
from ibtheory import activations, fractions, gaussian
from ibtheory import symbolic as sy
from ibtheory.symbolic.tidy import tidy

S = sy.symbols()
x, q, q1, q2, c = S.x, S.q, S.q1, S.q2, S.c
pi, R = sp.pi, sp.Rational
a, t = sp.Symbol("a", positive=True), sp.Symbol("t", real=True)

RELU = sp.Max(x, 0)
ELU = sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True))
HARD_TANH = sp.Max(-1, sp.Min(1, x))
OTHERS = {
    "relu^2": RELU**2,
    "relu^3": RELU**3,
    "cubic": x**3,
    "quartic": x**4 - 2 * x + 1,
    "sin": sp.sin(x),
    "cos": sp.cos(x),
    "phase": sp.sin(2 * x + 1),
    "exp": sp.exp(x),
    "cosh": sp.cosh(x),
    "bell": sp.exp(-(x**2)),
    "moved bell": sp.exp(-((x - 1) ** 2) / 2),
    "elu": ELU,
    "hard tanh": HARD_TANH,
    "relu6": sp.Min(sp.Max(x, 0), 6),
    "shifted": sp.Max(x - 1, 0),
    "erf of a line": sp.erf(x / 2 + R(1, 3)),
    "erfc": sp.erfc(-2 * x),
    "x erf": x * sp.erf(x),
}
JUMPS = {"sign": sp.sign(x), "step": sp.Heaviside(x), "stairs": sp.sign(x - 1) + x * sp.Heaviside(x + R(1, 2))}
NAMES = ["relu", "leaky_relu", "abs", "linear", "erf", "gelu", activations.leaky_relu(0.3)]


def same(first, second):
    """Equal as expressions, once both are in normal form."""
    return first == second or tidy(first - second) == 0


def number(expression):
    """A closed number as a float."""
    return sp.lambdify((), expression, modules=["scipy", "numpy"], cse=True)()


# what is promised by name


def test_the_drift_of_batch_norm_before_relu():
    assert sy.gamma("relu", norm="batch", placement="before") == 1 / (pi - 1)
    assert sy.gamma("relu", norm="batch", placement="before", depth=7) == 1 / (pi - 1)
    assert ib.symbolic.gamma is sy.gamma


@pytest.mark.parametrize(
    ("norm", "placement"), [("batch", "before"), ("batch", "after"), ("batch", "both"), ("layer", "after")]
)
def test_the_gradient_explodes_where_the_mean_is_removed(norm, placement):
    assert sy.gradient_factor("relu", norm, placement) == pi / (pi - 1)


@pytest.mark.parametrize(
    ("norm", "placement"), [("none", "after"), ("layer", "before"), ("rms", "before"), ("rms", "after")]
)
def test_the_gradient_is_kept_where_the_mean_is(norm, placement):
    assert sy.gradient_factor("relu", norm, placement) == 1


def test_expressions_as_they_are_written():
    assert sy.dual("relu") == q * (2 * c * sp.asin(c) + pi * c + 2 * sp.sqrt(1 - c**2)) / (4 * pi)
    assert (
        sy.dual("erf", q1, q2)
        == 2 * sp.asin(2 * c * sp.sqrt(q1 * q2) / sp.sqrt(4 * q1 * q2 + 2 * q1 + 2 * q2 + 1)) / pi
    )
    assert sy.dual(sp.sin(x)) == sp.exp(-q) * sp.sinh(q * c)
    assert sy.dual(sp.cos(x)) == sp.exp(-q) * sp.cosh(q * c)
    assert sy.dual(sp.exp(x)) == sp.exp(q * (c + 1))
    assert sy.dual(x**3) == 3 * c * q**3 * (2 * c**2 + 3)
    assert sy.dual(sp.sign(x)) == 2 * sp.asin(c) / pi
    assert sy.dual(sp.Heaviside(x)) == (2 * sp.asin(c) + pi) / (4 * pi)
    assert sy.dual(sp.exp(-(x**2)), q1, q2) == 1 / sp.sqrt((4 * q1 * q2 * (1 - c**2) + 2 * q1 + 2 * q2 + 1).expand())
    assert sy.mean("gelu") == q / sp.sqrt(2 * pi * (1 + q))
    assert sy.derivative_dual(RELU**2, q1, q2) == tidy(4 * sy.dual("relu", q1, q2))


# closed numbers of the literature and of independent computations


def test_kernels_of_relu_and_erf():
    kernel = sy.c_map("relu")
    assert kernel.subs(c, 0) == 1 / pi
    np.testing.assert_allclose(float(kernel.subs(c, R(1, 2))), 0.6089977810, atol=5e-11)
    np.testing.assert_allclose(float(kernel.subs(c, R(-1, 2))), 0.1089977810, atol=5e-11)
    assert 2 * sy.derivative_dual("relu", 1, c=R(1, 2)) == R(2, 3)
    np.testing.assert_allclose(float(sy.second("erf", 1)), 0.4645590543975399, rtol=1e-15)
    np.testing.assert_allclose(float(sy.derivative_dual("erf", 1, c=1)), 0.5694100347, atol=5e-11)


@pytest.mark.parametrize(("depth", "correlation"), [(1, 0.3183098862), (2, 0.4937310902), (3, 0.6048257201)])
def test_correlation_of_relu_without_norm(depth, correlation):
    gamma = sp.N(sy.gamma("relu", depth=depth))
    assert abs(gamma / (1 + gamma) - correlation) < 5e-11


def test_layer_norm_after_forgets():
    curve = sy.lambdify(c, sy.c_map("relu", "layer", "after"))
    expected = {1: 0.8672980592, 2: 0.8267597614, 5: 0.6563217947, 10: 0.3016091134, 20: 0.0201316775}
    now = 0.9
    for depth in range(1, 21):
        now = curve(now)
        assert abs(now - expected.get(depth, now)) < 5e-11
    assert sy.fixed_points("relu", "layer", "after")[0] == (0, pi / (2 * (pi - 1)), True)
    assert abs(float(sy.fixed_points("relu", "layer", "after")[0].slope) - 0.7334711035) < 5e-11


@pytest.mark.parametrize(
    ("batch", "within"),
    [(2, 0), (3, 0.1089977810), (4, 0.1694965880), (8, 0.2501349329), (32, 0.3023464822), (128, 0.3143827460)],
)
def test_correlation_within_a_batch(batch, within):
    found = sy.batch_moments("relu", batch)
    assert found.second == R(1, 2)
    assert abs(float(found.dual / found.second) - within) < 5e-11


def test_moments_across_batches():
    assert sy.batch_moments("relu", 4).mean ** 2 == sp.Rational(3, 16)
    for batch, across, inside in ((8, 0.17090, 0.12507), (16, 0.16455, 0.14284)):
        found = sy.batch_moments("relu", batch)
        assert abs(float(found.mean**2) - across) < 1e-5
        assert abs(float(found.dual) - inside) < 1e-5


@pytest.mark.parametrize(
    ("batch", "factor"),
    [(5, 2.27370665), (6, 2.00377862), (8, 1.78818998), (16, 1.58995042), (32, 1.52195283), (64, 1.49306294),
     (128, 1.47968127), (256, 1.47323426), (1024, 1.46850099)],
)  # fmt: skip
def test_gradient_factor_of_finite_batches(batch, factor):
    assert abs(float(sy.gradient_factor("relu", "batch", "before", batch=batch)) - factor) < 5e-9
    assert sy.gradient_factor("linear", "batch", "before", batch=batch) == R(batch - 2, batch - 3)


def test_gradient_factor_of_a_symbolic_batch():
    B = S.B
    factor = sy.gradient_factor("relu", "batch", "before", batch=B)
    r = sy.dual("relu", 1, c=-1 / (B - 1))
    zeroth = sy.derivative_dual("relu", 1, c=-1 / (B - 1))
    stated = ((B - 2) / 2 + zeroth + r) / ((B - 3) * (R(1, 2) - r))
    for batch in (4, 7, 100):
        assert abs(sp.N((factor - stated).subs(B, batch), 30)) < 1e-25
    assert sp.simplify(sp.limit(factor, B, sp.oo) - pi / (pi - 1)) == 0


@pytest.mark.parametrize(
    ("activation", "norm", "placement", "factor"),
    [("erf", "layer", "before", 1.22570), ("gelu", "layer", "before", 1.07203), ("gelu", "batch", "before", 1.31884)],
)
def test_gradient_factors_of_smooth_activations(activation, norm, placement, factor):
    assert abs(float(sy.gradient_factor(activation, norm, placement)) - factor) < 5e-6


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


def test_gamma_with_biases():
    value = sy.gamma("relu", "batch", "before", bias_variance=R(1, 10))
    assert abs(float(value) - 0.61363642761668585) < 1e-15
    w, b = S.weight_variance, S.bias_variance
    symbolic = sy.gamma("relu", "batch", "before", weight_variance=w, bias_variance=b)
    assert symbolic == (2 * pi * b + w) / (w * (pi - 1))
    assert sy.gamma("relu", "batch", "after", weight_variance=w, bias_variance=b) == b / w


# the averages, against other routes


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
    ids=str,
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


# layer maps


WAYS = [
    ("none", "after"), ("layer", "before"), ("layer", "after"), ("layer", "both"), ("rms", "before"), ("rms", "after"),
    ("rms", "both"), ("batch", "before"), ("batch", "after"), ("batch", "both"), ("group", "after"),
]  # fmt: skip


@pytest.mark.parametrize(("norm", "placement"), WAYS)
@pytest.mark.parametrize(("activation", "depth"), [("relu", 0), ("relu", 2), ("erf", 2), ("gelu", 1)])
def test_gamma_agrees_with_predict(norm, placement, activation, depth):
    words = {"norm": norm, "placement": placement, "weight_variance": 1.5, "bias_variance": 0.125}
    predicted = ib.predict(ib.mlp(64, depth, activation=activation, **words), ib.GaussianInputs(100, 0.5, 0.25)).gamma
    symbolic = sy.gamma(activation, depth=depth, variance=R(1, 2), correlation=R(1, 4), **words)
    assert abs(number(symbolic) / predicted - 1) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_gamma_of_finite_batches_agrees_with_predict(activation):
    net = ib.mlp(64, 2, activation=activation, norm="batch", placement="before", bias_variance=0.5)
    for batch, samples in ((4, 4), (4, 20), (7, None)):
        predicted = ib.predict(net, ib.GaussianInputs(100), samples=samples, batch=batch).gamma
        symbolic = sy.gamma(activation, "batch", "before", bias_variance=R(1, 2), batch=batch, samples=samples)
        assert abs(float(symbolic) - predicted) < 1e-12


@pytest.mark.parametrize(
    ("activation", "norm", "placement", "bias", "expected"),
    [
        ("relu", "none", "after", 0, sp.oo),
        ("relu", "none", "after", R(1, 10), sp.oo),
        ("relu", "layer", "before", 0, sp.oo),
        ("relu", "rms", "after", 0, sp.oo),
        ("relu", "layer", "after", 0, 0),
        ("relu", "layer", "after", 2, sp.oo),
        ("erf", "layer", "before", 0, 0),
        ("abs", "batch", "before", 0, 2 / (pi - 2)),
        (x**2, "layer", "before", 0, 1),
    ],
)
def test_limit_of_depth(activation, norm, placement, bias, expected):
    assert sy.gamma(activation, norm, placement, bias_variance=bias) == expected


def test_critical_bias_of_layer_norm_after():
    critical = 2 / (pi - 1)  # sigma_b^2 / sigma_w^2 = 1/(pi - 1)
    (point,) = sy.fixed_points("relu", "layer", "after", bias_variance=critical)
    assert (point.value, sp.simplify(point.slope), point.attracts) == (1, 1, True)
    assert len(sy.fixed_points("erf", "layer", "after")) == 2
    assert sy.gamma("linear", correlation=R(1, 3)) == R(1, 2)


def test_fixed_points_are_fixed():
    for activation, norm in ((x**2, "layer"), (x**2 + x, "rms"), (x**3 + x**2, "layer")):
        curve = sy.c_map(activation, norm, "before")
        for point in sy.fixed_points(activation, norm, "before"):
            assert abs(sp.N(curve.subs(c, point.value) - point.value, 20)) < 1e-18
            assert abs(sp.N(curve.diff(c).subs(c, point.value) - point.slope, 20)) < 1e-18
            assert point.attracts == (sp.N(point.slope) < 1)


@pytest.mark.parametrize(("norm", "placement"), [w for w in WAYS if w[0] != "batch"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_gradient_factor_is_the_slope_at_one(norm, placement, activation):
    words = {"norm": norm, "placement": placement, "weight_variance": R(3, 2), "bias_variance": R(1, 8)}
    factor = sy.gradient_factor(activation, q=R(5, 3) if norm == "none" else None, **words)
    curve = sy.c_map(activation, q=R(5, 3) if norm == "none" else None, **words)
    same_moment = sy.variance_map(activation, **words).subs(q, R(5, 3))
    entering = R(5, 3) if norm == "none" else same_moment  # without a norm gradients are not measured in units of q
    steep = curve.subs(c, 1 - R(1, 10**20)).evalf(60)
    slope = (1 - steep) * 10**20
    assert abs(float(factor * (entering / same_moment if norm == "none" else 1)) - slope) < 1e-8


@pytest.mark.parametrize(("norm", "placement"), [w for w in WAYS if w[0] not in ("none", "group")])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_gradient_factor_agrees_with_the_numeric_one(norm, placement, activation):
    bias = R(1, 4) if norm != "batch" else 0
    symbolic = sy.gradient_factor(activation, norm, placement, bias_variance=bias)
    assert abs(number(symbolic) - ib.gradient_factor(activation, norm, placement, bias_variance=float(bias))) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "erf", "gelu", "abs"])
def test_two_gradient_factors_differ_by_the_drift(activation):
    kept, removed = (float(sy.gradient_factor(activation, norm, "before")) for norm in ("layer", "batch"))
    drift = float(sy.drift(activation, 1))
    assert abs(removed - kept * (1 + drift)) < 1e-14
    series = gaussian.hermite(activation, 1.0, 60)
    orders = np.arange(61)
    assert kept >= (orders * series**2).sum() / gaussian.second(activation, 1.0) - 1e-12
    assert sy.drift(activation, 1) == sy.gamma(activation, "batch", "before")


def test_gradient_factor_of_a_finite_batch_by_drawing_neurons():
    batch, draws = 16, 200_000
    rng = np.random.default_rng(3)
    z = rng.standard_normal((draws, batch))
    z -= z.mean(axis=1, keepdims=True)
    variance = (z**2).mean(axis=1, keepdims=True)
    u = z / np.sqrt(variance)
    delta = rng.standard_normal((draws, batch))
    delta -= delta.mean(axis=1, keepdims=True)  # what comes back through the next BatchNorm sums to 0
    for activation, slope in ((RELU**2, 2 * np.maximum(u, 0)), ("abs", np.sign(u))):
        moments = [float(m) for m in sy.batch_moments(activation, batch)]
        g = delta * slope
        back = g - g.mean(axis=1, keepdims=True) - u * (g * u).mean(axis=1, keepdims=True)
        ratio = (back**2).sum(axis=1) / variance[:, 0] / (moments[1] - moments[2])
        ratio /= batch - 1  # E |delta|^2
        factor = float(sy.gradient_factor(activation, "batch", "before", batch=batch))
        assert abs(ratio.mean() - factor) < 4 * ratio.std() / np.sqrt(draws)


# series


@pytest.mark.parametrize(
    ("activation", "at", "order"),
    [
        ("relu", 1, 2),
        ("relu", 1, 4),
        ("abs", 1, 3),
        ("leaky_relu", 1, 2),
        ("relu", 0, 5),
        ("gelu", 0, 4),
        ("gelu", 1, 3),
        ("erf", 1, 3),
    ],
)
def test_expansions_have_their_order(activation, at, order):
    curve = sy.c_map(activation, q=R(3, 2))
    series = sy.expansion(curve, at=at, order=order)
    assert series.getO() is not None
    exact = curve.subs(c, 1 - S.s) if at else curve
    variable = S.s if at else c
    errors = [abs((exact - series.removeO()).subs(variable, R(1, 10**k)).evalf(60)) for k in (6, 8)]
    assert errors[0] < 10 ** (-6 * order) * 10
    assert errors[1] == 0 or errors[0] / errors[1] > 0.9 * 100**order


def test_the_first_terms_of_relu():
    s = S.s
    expected = s - 2 * sp.sqrt(2) * s ** R(3, 2) / (3 * pi) + sp.O(s**2)
    assert sy.expansion(1 - sy.c_map("relu"), at=1, order=2) == expected


# class fractions


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


# output


def test_lambdify_broadcasts_and_is_strict():
    constant = sy.lambdify((q, c), sp.Integer(2))
    np.testing.assert_array_equal(constant(np.ones((3, 1)), np.zeros(2)), np.full((3, 2), 2.0))
    assert sy.lambdify(q, q)(3) == 3.0
    with pytest.raises(ValueError, match=r"symbols \['c'\], which are not among"):
        sy.lambdify(q, q * c)
    with pytest.raises(ValueError, match=r"evaluate it by \.evalf\(\), or use ibtheory\.gaussian"):
        sy.lambdify(q, sy.second("tanh"))


def test_latex():
    assert sy.latex(sy.gamma("relu", "batch", "before"), r"\gamma") == r"\gamma = \frac{1}{-1 + \pi}"
    assert r"\arcsin" in sy.latex(sy.dual("relu"))
    assert r"\Phi_2" in sy.latex(sy.dual(HARD_TANH))
    assert r"\sigma^{2}_{w}" in sy.latex(S.weight_variance)
    text = sy.latex({"a": q, "b": c})
    assert text == "\\begin{aligned}\na &= q \\\\\nb &= c\n\\end{aligned}"


def test_bivariate_normal_distribution():
    Phi2 = type(next(f for f in sy.derivative_dual(HARD_TANH).atoms(sp.Function) if "Phi2" in str(f)))
    h, k, rho = sp.symbols("h k rho", real=True)
    expression = Phi2(h, k, rho)
    at = {h: R(1, 2), k: R(-1, 3), rho: R(2, 5)}
    reference = mp.quad(
        lambda y: mp.npdf(y) * mp.ncdf((mp.mpf(1) / 2 - 0.4 * y) / mp.sqrt(0.84)), [-mp.inf, -mp.mpf(1) / 3]
    )
    assert abs(expression.subs(at).evalf() - reference) < 1e-14
    numeric = sy.lambdify((h, k, rho), expression)
    for values in ((0.5, -1 / 3, 0.4), (-2.0, -1.0, 0.99), (0.0, 0.7, -0.8), (1.0, 1.0, 0.0)):
        exact = Phi2(*map(sp.nsimplify, values)).evalf(20)
        assert abs(numeric(*values) - exact) < 1e-15
    assert abs(numeric(0.3, 0.3, 1.0) - float(mp.ncdf(0.3))) < 1e-15
    for symbol in (h, k, rho):
        step = R(1, 10**10)
        moved = {**at, symbol: at[symbol] + step}
        chord = (expression.subs(moved).evalf(40) - expression.subs(at).evalf(40)) / step
        assert abs(chord - expression.diff(symbol).subs(at).evalf(30)) < 1e-9
    assert Phi2(0, 0, rho) == R(1, 4) + sp.asin(rho) / (2 * pi)
    assert Phi2(h, sp.oo, rho) == sp.erfc(-h / sp.sqrt(2)) / 2
    assert Phi2(k, h, rho) == expression


def test_the_tail_of_the_bivariate_normal_distribution_keeps_its_digits():
    h, k, rho = sp.symbols("h k rho", real=True)
    Phi2 = sy.derivative_dual(HARD_TANH).atoms(sp.Function).pop().func
    numeric = sy.lambdify((h, k, rho), Phi2(h, k, rho))
    tail = ndtr(-10.0)
    np.testing.assert_allclose(numeric(-10, [-10, -2, 0, 3], 0), tail * ndtr([-10, -2, 0, 3]), rtol=1e-12)
    np.testing.assert_allclose(numeric(-10, [-10, 3], [1 - 1e-14, 0.99]), tail, rtol=1e-6)
    # what exp(200) multiplies in the dual of an exponential unit
    c = np.array([-0.9, 0.3, 0.99])
    found = sy.lambdify((S.q, S.c), sy.dual(ELU))(100.0, c)
    np.testing.assert_allclose(found, gaussian.dual(activations.from_sympy(ELU), 100.0, 100.0, c), rtol=1e-11)


def test_expressions_can_be_pickled():
    expression = sy.dual(HARD_TANH)
    assert pickle.loads(pickle.dumps(expression)) == expression


def test_results_do_not_depend_on_the_process():
    code = (
        "import sympy as sp; from ibtheory import symbolic as sy; x = sy.symbols().x; "
        "print(sy.dual('gelu'), sy.dual(sp.Max(-1, sp.Min(1, x))), sy.dual(sp.sin(x) + sp.cos(2 * x)), sy.gap('relu'))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


# refusals


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sy.mean("rellu"), ValueError, "Did you mean 'relu'"),
        (lambda: sy.mean(3.0), TypeError, "activation must be one of"),
        (lambda: sy.mean(a * t), ValueError, "call its argument x"),
        (lambda: sy.mean(sp.Integer(1)), ValueError, "it has none"),
        (lambda: sy.mean("relu", -1), ValueError, r"q must be at least 0 \(a variance\), got -1"),
        (lambda: sy.mean("relu", float("nan")), ValueError, "q must be finite"),
        (lambda: sy.mean("relu", "2"), TypeError, "q must be a number or a SymPy expression"),
        (lambda: sy.dual("relu", c=R(3, 2)), ValueError, r"c must lie in \[-1, 1\], got 3/2"),
        (lambda: sy.hermite("relu", -1), ValueError, "k must be at least 0"),
        (lambda: sy.hermite("gelu", sp.Symbol("k")), NotImplementedError, "give k as a number"),
        (lambda: sy.hermite("tanh", sp.Symbol("k")), NotImplementedError, "give k as a number"),
        (lambda: sy.c_map("relu", "bach"), ValueError, "Did you mean 'batch'"),
        (lambda: sy.c_map("relu", placement="behind"), ValueError, "placement must be one of"),
        (lambda: sy.c_map("relu", weight_variance=0), ValueError, "weight_variance must be positive"),
        (lambda: sy.c_map("relu", bias_variance=-1), ValueError, "bias_variance must be at least 0"),
        (lambda: sy.c_map(sp.Heaviside(x) + sp.Heaviside(-x), "layer"), ValueError, "the activation is constant"),
        (lambda: sy.gamma("relu", depth=-1), ValueError, "depth must be at least 0"),
        (lambda: sy.gamma("relu", depth=9), NotImplementedError, "closed forms go to depth 5; ibtheory.predict"),
        (lambda: sy.gamma("tanh", depth=2, bias_variance=1), NotImplementedError, "ibtheory.predict computes"),
        (lambda: sy.gamma("relu", correlation=1), ValueError, "correlation must be below 1"),
        (lambda: sy.gamma("relu", samples=4), ValueError, "give batch too"),
        (lambda: sy.gamma("relu", "batch", "after", batch=4), NotImplementedError, "before the activation alone"),
        (lambda: sy.gamma("relu", "batch", "before", batch=1), ValueError, "batch must be an integer of at least 2"),
        (lambda: sy.gamma("erf", "batch", "before", batch=8), NotImplementedError, "kink at 0, and erf"),
        (lambda: sy.gamma("gelu", "rms"), NotImplementedError, "solve it numerically, e.g. by sympy.nsolve"),
        (lambda: sy.gamma("relu", "layer", bias_variance=S.bias_variance), ValueError, "give numbers for them"),
        (lambda: sy.gamma("linear", weight_variance=3, bias_variance=1), NotImplementedError, "put a norm"),
        (lambda: sy.gamma(x**3 + x**2), NotImplementedError, "settles nowhere for every start"),
        (lambda: sy.gradient_factor("relu", "batch", "after", bias_variance=1), NotImplementedError, "bias_variance=0"),
        (lambda: sy.gradient_factor("relu", "batch", "before", batch=3), ValueError, "batch must exceed 3"),
        (lambda: sy.class_fraction(0), ValueError, "gamma must be positive, got 0"),
        (lambda: sy.class_fraction(sp.oo), ValueError, "gamma must be finite"),
        (lambda: sy.agreement(2), ValueError, r"rho must lie in \[-1, 1\], got 2"),
        (lambda: sy.agreement(classes=4), NotImplementedError, "closed forms for 2 and 3 classes, got 4"),
        (lambda: sy.expansion(c, at=2), ValueError, "at must be 0 or 1"),
        (lambda: sy.expansion(sy.dual("tanh"), order=1), ValueError, "integrals without closed form"),
        (lambda: sy.expansion(sy.c_map(HARD_TANH, q=1), at=1), NotImplementedError, "expand at 0"),
    ],
)
def test_refusals_name_the_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_function_without_a_formula():
    record = activations.from_function(np.tanh, lambda z: 1 - np.tanh(z) ** 2, name="mine")
    with pytest.raises(ValueError, match=r"'mine' is a Python function without a formula; give a SymPy expression"):
        sy.mean(record)
