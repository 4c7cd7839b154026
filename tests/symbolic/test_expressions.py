"""Expressions as objects: how they print, compile and pickle, and what is refused."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp
from expressions import HARD_TANH, RELU, R, S, a, c, pi, q, q1, q2, t, x

from ibtheory import activations
from ibtheory import symbolic as sy
from ibtheory.symbolic.tidy import tidy


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
