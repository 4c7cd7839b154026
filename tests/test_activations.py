import pickle

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import ibtheory as ib
from ibtheory import activations

X = np.linspace(-6, 6, 241)
OWN = [
    activations.leaky_relu(0.3),
    activations.relu_power(3),
    activations.elu(0.5),
    activations.shifted_relu(0.25),
    activations.from_sympy("x/(1 + exp(-x))"),
    activations.compose("relu6", "cubic"),
    activations.compose(activations.leaky_relu(0.2), activations.from_sympy("sin(x) + x/2")),
]
RECORDS = [*activations.catalogue().values(), *OWN]


@pytest.mark.parametrize("phi", RECORDS, ids=str)
def test_function_derivative_and_expression_agree(phi):
    points = X[np.all(np.abs(X[:, None] - np.array([*phi.kinks, 99.0])) > 1e-3, axis=1)]
    h = 1e-5
    numeric = (phi.function(points + h) - phi.function(points - h)) / (2 * h)
    np.testing.assert_allclose(phi.derivative(points), numeric, atol=1e-8, rtol=1e-8)
    x = sympy.Symbol("x", real=True)
    expression = phi.expression()
    values = [float(sympy.N(expression.subs(x, sympy.Float(float(p), 30)), 30)) for p in points[::12]]
    np.testing.assert_allclose(phi.function(points[::12]), values, atol=1e-14, rtol=1e-13)


@pytest.mark.parametrize("phi", RECORDS, ids=str)
def test_records_rebuild_keep_precision_and_hash(phi):
    assert activations.from_code(repr(phi)) == phi
    assert pickle.loads(pickle.dumps(phi)) == phi
    assert hash(activations.from_code(repr(phi))) == hash(phi)
    assert phi.reference
    for dtype in (np.float32, np.float64):
        assert phi.function(X.astype(dtype)).dtype == dtype
        assert phi.derivative(X.astype(dtype)).dtype == dtype
    if phi.slopes is not None:
        low, high = phi.slopes
        np.testing.assert_array_equal(phi.function(X), np.where(X > 0, high * X, low * X))


@pytest.mark.parametrize("name", activations.catalogue())
def test_names_are_accepted_everywhere(name):
    phi = activations.get(name)
    assert activations.get(phi) is phi
    attribute = getattr(activations, name)
    assert phi == (attribute if isinstance(attribute, activations.ActivationFunction) else attribute())
    assert ib.mlp(8, 1, activation=name) == ib.mlp(8, 1, activation=phi)


FAR = [-1e30, -1e10, -1e4, -800.0, -90.0, 90.0, 800.0, 1e4, 1e10, 1e30]
GROWING = {"exp", "cubic", "relu_power"}  # which leave the range of floats, as they must


@pytest.mark.parametrize("name", sorted(set(activations.catalogue()) - GROWING))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_arguments_are_no_trouble(name, dtype):
    phi, x = activations.get(name), np.array(FAR, dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, slope = phi.function(x), phi.derivative(x)
    assert np.all(np.isfinite(value))
    assert np.all(np.abs(value) <= 2 * np.abs(x))
    assert np.all(np.abs(slope) <= 2)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "softplus", "mish", "gelu", "gelu_tanh", "elu", "erf"])
def test_values_and_derivatives_are_accurate_in_the_tails(name):
    phi = activations.get(name)
    x = sympy.Symbol("x", real=True)
    expression = phi.expression().rewrite(sympy.Piecewise)
    for point in (-20.0, -9.0, -4.0, 4.0, 9.0, 20.0):
        at = sympy.Float(point, 60)
        value = float(sympy.N(expression.subs(x, at), 40, maxn=400))
        slope = float(sympy.N(expression.diff(x).subs(x, at), 40, maxn=400))
        np.testing.assert_allclose(phi.function(np.array([point]))[0], value, rtol=1e-13, err_msg=str(point))
        np.testing.assert_allclose(phi.derivative(np.array([point]))[0], slope, rtol=1e-12, atol=1e-300)


def test_jumps():
    assert activations.sign.jumps.tolist() == [2.0]
    assert activations.step.jumps.tolist() == [1.0]
    for name in set(activations.catalogue()) - {"sign", "step"}:
        assert not activations.get(name).jumps.any(), name
    stairs = activations.compose("step", activations.shifted_relu(0.5))
    assert stairs.kinks == (0.0, 0.5)
    assert stairs.jumps.tolist() == [0.0, 1.0]


def test_polynomials_between_kinks_are_found():
    assert activations.hard_swish.pieces == (
        (0.0,),
        pytest.approx((0.0, 1 / 2, 1 / 6), rel=1e-14),
        pytest.approx((0.0, 1.0), rel=1e-14),
    )
    assert activations.from_sympy("Max(x - 1, 0)**2 - x").pieces[1] == pytest.approx((1, -3, 1), rel=1e-13)
    assert activations.sign.pieces == ((-1.0,), (1.0,))
    for phi in (activations.tanh, activations.elu(), activations.relu_power(4)):
        assert phi.pieces is None
    narrow = activations.from_function(
        lambda x: np.maximum(x, 0) + 1e-6 * np.exp(-((x - 2) ** 2)),
        lambda x: (x > 0) - 2e-6 * (x - 2) * np.exp(-((x - 2) ** 2)),
        kinks=(0,),
    )
    assert narrow.pieces is None


def test_compositions():
    assert activations.compose("hard_tanh", "cubic").kinks == pytest.approx((-1.0, 1.0), abs=1e-15)
    inner = activations.from_sympy("x**2 - 2", name="parabola")
    np.testing.assert_allclose(activations.compose("relu", inner).kinks, [-np.sqrt(2), np.sqrt(2)], rtol=1e-15)
    assert activations.compose("tanh", "gelu").kinks == ()
    twice = activations.compose(activations.leaky_relu(0.5), activations.leaky_relu(-0.5))
    assert twice.slopes == (-0.5, 1.0)
    assert twice.closed.mean(1.0) == pytest.approx(0.75 * np.sqrt(2 / np.pi))
    assert activations.compose("erf", activations.from_function(np.tanh, lambda x: 1 - np.tanh(x) ** 2)).code == ""


@pytest.mark.parametrize("name", activations.catalogue())
def test_theory_and_simulation_take_every_name(name):
    net, x = ib.mlp(16, 2, 3, activation=name, norm="layer", placement="before"), ib.GaussianInputs(20, correlation=0.3)
    p = ib.predict(net, x)
    e = ib.simulate(net, x, networks=4, samples=6)
    assert np.all(np.isfinite(p.layers["gap"]))
    assert np.all(np.isfinite(e.layers["gap"]))


@pytest.mark.parametrize("name", ["hard_tanh", "relu6", "softplus", "elu", "step", "cos"])
def test_simulation_agrees_with_theory(name):
    # 6 names, 3 quantities, one layer: 4 standard errors and 2 % for width 256
    net, x = ib.mlp(256, 1, 2, activation=name, weight_variance=1.5), ib.GaussianInputs(200, correlation=0.3)
    e = ib.simulate(net, x, networks=200, samples=20, seed=3)
    p = ib.predict(net, x)
    row, drawn = p.layers[2], e.layers[2]
    for quantity in ("same", "cross", "gap"):
        assert abs(row[quantity] - drawn[quantity]) < 4 * drawn[f"{quantity}_error"] + 0.02 * row["same"], quantity


@given(st.floats(-2, 2))
def test_leaky_relu_joins_its_special_cases(slope):
    phi = activations.leaky_relu(slope)
    np.testing.assert_allclose(phi.function(X), np.maximum(X, 0) + slope * np.minimum(X, 0))
    assert activations.leaky_relu(slope) == phi


def test_kinks_of_expressions():
    assert activations.from_sympy("Max(x - 1, 0) + Abs(x)").kinks == (0.0, 1.0)
    assert activations.from_sympy("Min(Max(x, 0), 6)").kinks == (0.0, 6.0)
    assert activations.from_sympy("tanh(x)").kinks == ()
    x = sympy.Symbol("z")
    piecewise = activations.from_sympy(sympy.Piecewise((sympy.exp(x) - 1, x < 0), (x, True)), name="elu")
    assert piecewise.kinks == (0.0,)
    np.testing.assert_allclose(piecewise.function(np.array([-1.0, 2.0])), [np.expm1(-1), 2])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: activations.get("rleu"), ValueError, "Did you mean 'relu'.*from_function"),
        (lambda: activations.get(3), TypeError, "must be one of"),
        (lambda: activations.leaky_relu(np.inf), ValueError, "finite"),
        (lambda: activations.relu_power(0), ValueError, "activations.step"),
        (lambda: activations.elu("1"), TypeError, "real number"),
        (lambda: activations.compose("relu", "rleu"), ValueError, "Did you mean 'relu'"),
        (
            lambda: activations.from_code("activations.compose(activations.relu, os)"),
            ValueError,
            "code of an activation",
        ),
        (lambda: activations.from_code("activations.get('relu')"), ValueError, "activation must be one of"),
        (lambda: activations.from_function(np.tanh, None), TypeError, "callables"),
        (lambda: activations.from_function(np.tanh, np.cos), ValueError, "central differences"),
        (lambda: activations.from_function(np.log, np.reciprocal), ValueError, "finite values"),
        (lambda: activations.from_function(np.sum, np.sum), ValueError, "shape"),
        (lambda: activations.from_function(np.tanh, lambda x: 1 - np.tanh(x) ** 2, name=""), TypeError, "name"),
        (lambda: activations.from_sympy("x*y"), ValueError, "one free symbol"),
        (lambda: activations.from_sympy("x +"), ValueError, "formula"),
        (lambda: activations.from_sympy("__import__('os').getcwd()"), ValueError, "formula"),
        (lambda: activations.from_sympy("x.__class__"), ValueError, "formula"),
        (lambda: activations.from_code("os.getcwd()"), ValueError, "code of an activation"),
        (lambda: activations.from_code("activations.from_sympy('__import__(1)')"), ValueError, "formula"),
    ],
)
def test_bad_input(build, error, message):
    with pytest.raises(error, match=message):
        build()
