"""The bivariate normal distribution as a symbolic function."""

import mpmath as mp
import numpy as np
import sympy as sp
from expressions import ELU, HARD_TANH, R, S, pi
from scipy.special import ndtr

from ibtheory import activations, gaussian
from ibtheory import symbolic as sy


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
