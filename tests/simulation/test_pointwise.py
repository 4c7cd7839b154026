"""Kernels of smooth activations in float32, against the records of the activations in float64."""

import numpy as np
import pytest

from ibtheory import _jit, activations
from ibtheory.simulation.ops import pointwise


@_jit.door
def _values(name, x):
    if name == 0:
        pointwise.sigmoid(x)
    elif name == 1:
        pointwise.silu(x)
    elif name == 2:
        pointwise.softplus(x)
    else:
        pointwise.mish(x)


@_jit.door
def _slopes(name, g, x, y):
    if name == 0:
        pointwise.sigmoid_back(g, y)
    elif name == 1:
        pointwise.silu_back(g, x)
    elif name == 2:
        pointwise.softplus_back(g, x)
    else:
        pointwise.mish_back(g, x)


NAMES = ["sigmoid", "silu", "softplus", "mish"]
X = np.concatenate([np.linspace(-80, 80, 20001), np.linspace(-1e-3, 1e-3, 501)]).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_accurate_relative_to_themselves(name):
    x = X.copy()
    _values(NAMES.index(name), x)
    exact = getattr(activations, name).function(X.astype(float))
    np.testing.assert_allclose(x, exact, rtol=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_are_accurate(name, dtype):
    x = X.astype(dtype)
    g, y = np.ones_like(x), x.copy()
    _values(NAMES.index(name), y)
    _slopes(NAMES.index(name), g, x, y)
    exact = getattr(activations, name).derivative(x.astype(float))
    np.testing.assert_allclose(g, exact, atol=1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_they_are_finite(name, dtype):
    x = np.array([-1e30, -1e4, -800.0, 800.0, 1e4, 1e30], dtype)
    g, y = np.ones_like(x), x.copy()
    _values(NAMES.index(name), y)
    _slopes(NAMES.index(name), g, x, y)
    record = getattr(activations, name)
    np.testing.assert_allclose(y, record.function(x.astype(float)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(g, record.derivative(x.astype(float)), atol=1e-6)
