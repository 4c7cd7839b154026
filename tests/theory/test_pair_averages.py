"""The delta method for a pair of samples against finite differences of the function it expands."""

from types import SimpleNamespace

import numpy as np
import pytest

from ibtheory import activations
from ibtheory.layers import LayerNorm, RMSNorm
from ibtheory.theory import pairs

VALUE = np.array([1.3, 0.8, 0.5, 0.4, -0.3])  # (h_a^2, h_b^2, h_a h_b, h_a, h_b): the two samples differ in all
STEP = 1e-3
NO_SHIFT, NO_SPREAD = np.zeros((1, 3)), np.zeros((1, 3, 3))


def correlation(x, centred):
    """Of the averages x of a pair, by its definition."""
    a, b, r, m, n = x
    return (r - m * n) / np.sqrt((a - m * m) * (b - n * n)) if centred else r / np.sqrt(a * b)


def slope_and_bend(f, x):
    steps = STEP * np.eye(x.size)
    slope = np.array([(f(x + s) - f(x - s)) / (2 * STEP) for s in steps])
    bend = [[f(x + s + t) - f(x + s - t) - f(x - s + t) + f(x - s - t) for t in steps] for s in steps]
    return slope, np.array(bend) / (4 * STEP**2)


@pytest.mark.parametrize("centred", [True, False])
def test_a_norm_behind_the_activation(centred):
    rng = np.random.default_rng(0)
    shift, root = 0.01 * rng.standard_normal(5), 0.1 * rng.standard_normal((5, 5))
    cov = root @ root.T
    x = pairs.Averages(VALUE[None], shift[None], 0.3 * cov[None], 0.7 * cov[None])
    found = pairs.normalized_after(x, centred)
    slope, bend = slope_and_bend(lambda y: correlation(y, centred), VALUE)
    assert found.value[0] == pytest.approx([1, 1, correlation(VALUE, centred)], rel=1e-12)
    assert found.shift[0] == pytest.approx([0, 0, slope @ shift + 0.5 * np.sum(bend * cov)], rel=1e-4)
    assert found.cov[0, 2, 2] == pytest.approx(slope @ cov @ slope, rel=1e-4)


def test_a_norm_before_the_activation_sees_the_neurons_at_hand():
    """Linear neurons of a fixed kernel: their second moments are Wishart, Var c = (1 - c^2)^2/n (Fisher 1915)."""
    kernel = pairs.Kernel(VALUE[None, :3], NO_SHIFT, NO_SPREAD)
    found, c, width = pairs.normalized_before(kernel, 50), correlation(VALUE, False), 50
    assert found.cov[0, 2, 2] == pytest.approx((1 - c * c) ** 2 / width, rel=1e-12)
    assert found.shift[0, 2] == pytest.approx(-c * (1 - c * c) / (2 * width), rel=1e-12)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_averages_carry_shift_and_spread_of_the_kernel(name):
    phi, value = activations.get(name), VALUE[:3]

    def averages(k, shift=NO_SHIFT[0], cov=NO_SPREAD[0]):
        return pairs.averages(phi, pairs.Kernel(k[None], shift[None], cov[None]), 10)

    rng = np.random.default_rng(1)
    shift, root = 0.01 * rng.standard_normal(3), 0.1 * rng.standard_normal((3, 3))
    cov = root @ root.T
    found = averages(value, shift, cov)
    slopes, bends = zip(*(slope_and_bend(lambda k, i=i: averages(k).value[0, i], value) for i in range(5)), strict=True)
    expected = slopes @ shift + 0.5 * np.einsum("ist,st->i", bends, cov)
    np.testing.assert_allclose(found.shift[0], expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.carried[0], slopes @ cov @ np.transpose(slopes), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("normed", [LayerNorm, None])
def test_linear_neurons_behind_a_norm_do_not_fluctuate(normed):
    kernel = pairs.Kernel(VALUE[None, :3], NO_SHIFT, NO_SPREAD)
    found = pairs.averages(activations.get("linear"), kernel, 50, normed)
    a, b, r = VALUE[:3]
    wishart = [
        [2 * a * a, 2 * r * r, 2 * a * r],
        [2 * r * r, 2 * b * b, 2 * b * r],
        [2 * a * r, 2 * b * r, a * b + r * r],
    ]
    expected = np.zeros((3, 3)) if normed else np.array(wishart) / 50
    np.testing.assert_allclose(found.noise[0, :3, :3], expected, atol=1e-10)
    np.testing.assert_allclose(found.shift, 0, atol=1e-10)


def test_squares_behind_a_norm_have_the_fourth_moment_of_the_sphere():
    """E u^4 = 3 n/(n + 2) of a coordinate u on the sphere of radius sqrt(n): 3 - 6/n to this order."""
    square = SimpleNamespace(function=np.square, kinks=(), slopes=None)
    found = pairs.averages(square, pairs.Kernel(np.array([[1.0, 1.0, 0.4]]), NO_SHIFT, NO_SPREAD), 50, RMSNorm)
    np.testing.assert_allclose(found.shift[0, [0, 1, 3, 4]], [-6 / 50, -6 / 50, 0, 0], atol=1e-10)
