"""Activations as expressions, and what the tests of the symbolic reading share."""

import sympy as sp

from ibtheory import activations
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


WAYS = [
    ("none", "after"), ("layer", "before"), ("layer", "after"), ("layer", "both"), ("rms", "before"), ("rms", "after"),
    ("rms", "both"), ("batch", "before"), ("batch", "after"), ("batch", "both"), ("group", "after"),
]  # fmt: skip
