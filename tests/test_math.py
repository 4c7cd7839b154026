"""The vectorizable functions keep the accuracy that their docstrings state."""

import math

import mpmath as mp
import numba
import numpy as np
import pytest
from scipy import special

from ibtheory import _math


@numba.njit
def _erf(x):
    return np.array([_math.erf(v) for v in x])


@numba.njit
def _tanh(x):
    return np.array([_math.tanh(v) for v in x])


@numba.njit
def _exp(x):
    return np.array([_math.exp(v) for v in x])


@numba.njit
def _log(x):
    return np.array([_math._log(v) for v in x])


@numba.njit
def _log1p(x):
    return np.array([_math.log1p(v) for v in x])


@numba.njit
def _angle(om):
    return np.array([_math.angle(v) for v in om])


@numba.njit
def _arcsine(c):
    return np.array([_math.arcsine(v, 1 - v) for v in c])


@numba.njit
def _pairs(first, second):
    out = np.empty((2, first.size), np.float32)
    for i in range(first.size):
        out[0, i], out[1, i] = _math.gaussian_pair(first[i], second[i])
    return out


FUNCTIONS = {"erf": (_erf, special.erf, 5e-7), "tanh": (_tanh, np.tanh, 4e-7)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_has_its_relative_accuracy_everywhere(name):
    ours, exact, bound = FUNCTIONS[name]
    x = np.concatenate([np.linspace(1e-3, 12, 20001), np.logspace(-30, -3, 500)]).astype(np.float32)
    for sign in (1, -1):
        value = ours(np.float32(sign) * x)
        assert value.dtype == np.float32
        assert np.all(np.abs(value) <= 1)
        np.testing.assert_allclose(value, exact(sign * x.astype(float)), rtol=bound)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_exact_to_the_last_bits(name):
    ours, exact, _ = FUNCTIONS[name]
    x = np.linspace(-7, 7, 2001)
    np.testing.assert_allclose(ours(x), exact(x), rtol=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_and_infinity_keep_their_meaning(name):
    ours = FUNCTIONS[name][0]
    for kind in (np.float32, np.float64):
        value = ours(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], kind))
        assert np.isnan(value[0])
        assert value[1:] == pytest.approx([1, -1, 0, 0], rel=4e-7)


def test_exp_is_accurate_between_its_ends_and_keeps_nan():
    x = np.concatenate([np.linspace(-87, 87, 40001), np.linspace(-1e-3, 1e-3, 101)]).astype(np.float32)
    value = _exp(x)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, np.exp(x.astype(float)), rtol=3e-7)
    assert _exp(np.zeros(1, np.float32))[0] == 1
    np.testing.assert_allclose(_exp(np.array([-np.inf, np.inf], np.float32)), np.exp([-87.0, 87.0]), rtol=3e-7)
    assert np.isnan(_exp(np.array([np.nan], np.float32))[0])
    np.testing.assert_allclose(_exp(x.astype(float)), np.exp(x.astype(float)), rtol=1e-15)


def test_log_is_accurate_relative_to_itself_even_near_one():
    k = np.unique(np.concatenate([np.arange(1, 4000), 2**24 - np.arange(4000), np.logspace(0, 7.2, 4000).astype(int)]))
    u = (k * 2.0**-24).astype(np.float32)
    u = u[u < 1]
    np.testing.assert_allclose(_log(u), np.log(u.astype(float)), rtol=2e-7)
    assert _log(np.ones(1, np.float32))[0] == 0


def test_log1p_is_accurate_relative_to_itself_down_to_zero():
    x = np.concatenate([np.logspace(-37, 0, 4000), np.linspace(0, 1, 4001)]).astype(np.float32)
    value = _log1p(x)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, np.log1p(x.astype(float)), rtol=4e-7)
    np.testing.assert_allclose(_log1p(x.astype(float)), np.log1p(x.astype(float)), rtol=1e-15)
    assert np.isnan(_log1p(np.array([np.nan], np.float32))[0])


def test_gaussian_pairs_are_a_rotation_of_the_box_muller_radius():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 2**32, (2, 50000), dtype=np.uint32)
    x, y = _pairs(first, second).astype(float)
    u = ((first >> 8) + 1) * 2.0**-24
    np.testing.assert_allclose(x**2 + y**2, -2 * np.log(u), rtol=5e-7)
    angle = np.arctan2(y, x) / (2 * np.pi) % 1
    counts = np.bincount((angle * 64).astype(int), minlength=64)
    chi2 = np.sum((counts - counts.mean()) ** 2) / counts.mean()
    assert abs(chi2 - 63) < 5 * math.sqrt(2 * 63)


def test_the_largest_gaussian_is_finite_and_as_documented():
    top = np.array([0], np.uint32)
    pair = _pairs(top, np.array([1 << 31], np.uint32))
    assert np.abs(pair).max() == pytest.approx(math.sqrt(48 * math.log(2)), rel=1e-6)
    assert np.abs(pair).max() < 5.77
    assert np.all(_pairs(np.array([2**32 - 1], np.uint32), top) == 0)


def test_angles_are_exact_to_the_last_bits_at_both_ends():
    om = np.concatenate([10.0 ** np.linspace(-40, 0, 80), np.linspace(1, 2, 41)[:-1]])
    with mp.workdps(50):
        exact = [float(2 * mp.asin(mp.sqrt(mp.mpf(x) / 2))) for x in om]
    np.testing.assert_allclose(_angle(om), exact, rtol=4e-16)
    np.testing.assert_array_equal(_angle(np.array([0.0, 2.0])), [0.0, np.pi])


def test_arcsines_are_exact_to_the_last_bits():
    c = np.concatenate([10.0 ** np.linspace(-40, -1, 80), np.linspace(0.1, 1, 41)])
    c = np.concatenate([c, -c])
    np.testing.assert_allclose(_arcsine(c), [float(mp.asin(x)) for x in c], rtol=6e-16)
