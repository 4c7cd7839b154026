import pickle

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from ibtheory import activations

X = np.linspace(-6, 6, 241)
RECORDS = [*activations.catalogue().values(), activations.leaky_relu(0.3), activations.from_sympy("x/(1 + exp(-x))")]


@pytest.mark.parametrize("phi", RECORDS, ids=str)
def test_function_derivative_and_expression_agree(phi):
    points = X[np.all(np.abs(X[:, None] - np.array([*phi.kinks, 99.0])) > 1e-3, axis=1)]
    h = 1e-6
    numeric = (phi.function(points + h) - phi.function(points - h)) / (2 * h)
    np.testing.assert_allclose(phi.derivative(points), numeric, atol=1e-8)
    x = sympy.Symbol("x", real=True)
    expression = phi.expression()
    values = [float(expression.subs(x, sympy.Float(float(p), 30))) for p in points[::12]]
    np.testing.assert_allclose(phi.function(points[::12]), values, atol=1e-14, rtol=1e-13)


@pytest.mark.parametrize("phi", RECORDS, ids=str)
def test_records_rebuild_keep_precision_and_hash(phi):
    assert activations.from_code(repr(phi)) == phi
    assert pickle.loads(pickle.dumps(phi)) == phi
    assert hash(activations.from_code(repr(phi))) == hash(phi)
    for dtype in (np.float32, np.float64):
        assert phi.function(X.astype(dtype)).dtype == dtype
        assert phi.derivative(X.astype(dtype)).dtype == dtype
    if phi.slopes is not None:
        low, high = phi.slopes
        np.testing.assert_array_equal(phi.function(X), np.where(X > 0, high * X, low * X))


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
