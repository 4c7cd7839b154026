"""Numbers known from elsewhere: derived by hand, computed by others, or printed in other libraries."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

import ibtheory as ib
from ibtheory import activations, gaussian

LAW = ib.GaussianInputs(1000)


def correlations(norm="none", placement="after", depth=20, c=0.0, **options):
    """c behind each dense layer of a ReLU network, the logits last; c of the inputs is ``c``."""
    net = ib.mlp(100, depth, norm=norm, placement=placement, **options)
    rows = ib.predict(net, ib.GaussianInputs(1000, correlation=c)).layers
    dense = [name.startswith("dense") or name == "logits" for name in rows["name"]]
    return (rows["cross"] / rows["same"])[dense]


# Where the norm stands, ReLU, without biases


@pytest.mark.parametrize(("norm", "placement"), [("none", "after"), ("layer", "before"), ("rms", "before")])
def test_correlations_that_placement_does_not_change(norm, placement):
    expected = [0, 0.3183098862, 0.4937310902, 0.6048257201]
    np.testing.assert_allclose(correlations(norm, placement)[:4], expected, atol=5e-11)


def test_layer_norm_after_forgets_the_correlation():
    c = correlations("layer", "after", c=0.9)
    expected = [0.8672980592, 0.8267597614, 0.6563217947, 0.3016091134, 0.0201316775]
    np.testing.assert_allclose(c[[1, 2, 5, 10, 20]], expected, atol=5e-11)
    late = correlations("layer", "after", depth=200, c=0.9)[-2:]
    assert late[1] / late[0] == pytest.approx(0.7334711035, abs=5e-11)
    assert -1 / math.log(late[1] / late[0]) == pytest.approx(3.2261490729, abs=1e-8)


@pytest.mark.parametrize(
    ("batch", "c"),
    [(2, 0.0), (3, 0.1089977810), (4, 0.1694965880), (8, 0.2501349329), (32, 0.3023464822), (128, 0.3143827460)],
)
def test_correlation_within_a_batch(batch, c):
    net = ib.mlp(100, 7, norm="batch", placement="before")
    last = ib.predict(net, LAW, samples=batch).layers[-1]
    assert last["cross"] / last["same"] == pytest.approx(c, abs=1e-9)


def test_relu_at_the_edge_of_chaos():
    rows = ib.predict(ib.mlp(100, 1000), ib.GaussianInputs(1000, correlation=0.1)).layers
    dense = rows[[name.startswith("dense") or name == "logits" for name in rows["name"]]]
    c, gap = dense["cross"] / dense["same"], dense["gap"] / dense["same"]
    np.testing.assert_allclose(c[[10, 100, 1000]], [0.8751698662, 0.9964390093, 0.9999568911], atol=5e-11)
    np.testing.assert_allclose(gap[[100, 1000]] * [100**2, 1000**2], [35.609907, 43.108925], rtol=2e-8)


# Kernels


def test_arc_cosine_kernels():
    expected = {0.0: 1 / math.pi, 0.5: 0.6089977810, -0.5: 0.1089977810}
    for c, value in expected.items():
        assert 2 * gaussian.dual("relu", 1, 1, c) == pytest.approx(value, abs=5e-11)
    assert 2 * gaussian.derivative_dual("relu", 1, 1, 0.5) == pytest.approx(2 / 3, abs=1e-14)


@pytest.mark.parametrize(
    ("c", "expected"),
    [(0.0, [0.3183098862, 0.6857086363, 1.0603881068]), (0.5, [0.9423311144, 1.3514795611, 1.7378446792])],
)
def test_tangent_kernel_of_relu_by_its_recursion(c, expected):
    """Theta_l = K_l + kappa_0(K_{l-1}) Theta_{l-1}, Theta_0 = K_0 = c."""
    kernel = tangent = c
    for value in expected:
        slope = 2 * gaussian.derivative_dual("relu", 1, 1, kernel)
        kernel = 2 * gaussian.dual("relu", 1, 1, kernel)
        tangent = kernel + slope * tangent
        assert tangent == pytest.approx(value, abs=5e-11)


def test_kernel_of_erf():
    assert gaussian.second("erf", 1) == pytest.approx(0.4645590543975399, abs=1e-15)
    assert gaussian.derivative_dual("erf", 1, 1, 1) == pytest.approx(0.5694100347, abs=5e-11)


@pytest.mark.parametrize(
    ("name", "mean", "second", "slope", "ratio"),
    [
        ("gelu", 0.2820947918, 0.4252214826, 0.4558508656, 0.23022957),
        ("silu", 0.2066209641, 0.3557755198, 0.3794823516, 0.13636059),
        ("tanh", 0.0, 0.3942944904, 0.4644029024, 0.0),
        ("softplus", 0.8060591833, 0.9212459089, 0.2933790359, 2.39298970),
        ("sigmoid", 0.5, 0.2933790359, 0.0448362414, 5.76315252),
        ("relu", 0.3989422804, 0.5, 0.5, 1 / (math.pi - 1)),
        ("selu", 0.0, 1.0, 1.0715749925, 0.0),
    ],
)
def test_moments_of_activations(name, mean, second, slope, ratio):
    m, q = gaussian.mean(name, 1), gaussian.second(name, 1)
    assert m == pytest.approx(mean, abs=5e-11)
    assert q == pytest.approx(second, abs=5e-11)
    assert gaussian.derivative_dual(name, 1, 1, 1) == pytest.approx(slope, abs=5e-11)
    assert m**2 / (q - m**2) == pytest.approx(ratio, rel=1e-7, abs=1e-15)


# Initial guessing bias


@pytest.mark.parametrize(("c", "variance"), [(1 / math.pi, 0.05155762421), (0.5, 1 / 12), (0.9, 0.1782168534)])
def test_variance_of_the_share_of_a_class(c, variance):
    law = ib.ClassFraction(c / (1 - c))
    assert law.var() == pytest.approx(variance, abs=5e-11)
    assert law.var() == pytest.approx(math.asin(c) / (2 * math.pi), rel=1e-13)
    assert law.cdf(0.3) == pytest.approx(stats.norm.cdf(stats.norm.ppf(0.3) / math.sqrt(c / (1 - c))), rel=1e-12)


# Deep kernel shaping, tests/test_activation_transform.py of github.com/google-deepmind/dks: values printed there, found
# anew from the conditions on the kernel maps. The network: ResNet-101 before the activation, shortcuts of weight .6.

SHORTCUT = 0.6**2
BLOCKS = (3, 4, 23, 3)


def resnet(local, x):
    """The map of the whole network from that of one activation; the first shortcut of a group has one too."""
    branch = local(local(local(x)))
    for blocks in BLOCKS:
        for block in range(blocks):
            along = x if block else local(x)
            x = SHORTCUT * along + (1 - SHORTCUT) * local(local(local(x)))
    return max(local(x), branch)


def test_local_slope_of_deep_kernel_shaping():
    slope = optimize.brentq(lambda s: resnet(lambda x: s * x, 1.0) - 1.2, 1, 1.1, xtol=1e-15)
    assert slope == pytest.approx(1.0027709658, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("softplus", (0.18761008168267976, 0.40688063442262007, -0.9213466151411376, 8.878672543665223)),
        ("tanh", (0.07461073057540868, 0.5566915199964182, -0.5034378768692127, 18.002635964442558)),
        ("gelu_tanh", (0.07036271496383567, 0.2586837248593587, -0.15758328114374964, 20.249573305194307)),
    ],
)
def test_deep_kernel_shaping(name, printed):
    """k (phi(a z + b) + d): C(0) = 0 and Q(1) = 1 give d and k; Q'(1) = 1 and C'(1) = slope give a and b."""
    slope = optimize.brentq(lambda s: resnet(lambda x: s * x, 1.0) - 1.2, 1, 1.1, xtol=1e-15)
    phi = activations.get(name)

    def output(a, b):
        record = activations.from_function(
            lambda x: phi.function(a * x + b), lambda x: a * phi.derivative(a * x + b), name="shifted"
        )
        mean = float(gaussian.mean(record, 1.0))
        variance = float(gaussian.second(record, 1.0)) - mean**2
        return record, mean, variance

    def conditions(parameters):
        record, mean, variance = output(*parameters)
        q = 1 + 0.02 * np.array([-2, -1, 1, 2])
        about = gaussian.second(record, q) - 2 * mean * gaussian.mean(record, q)
        rate = about @ [1, -8, 8, -1] / (12 * 0.02)
        return rate / variance - 1, float(gaussian.derivative_dual(record, 1.0, 1.0, 1.0)) / variance - slope

    start = np.array(printed[:2]) * (1.02, 0.99)
    found = optimize.root(conditions, start, tol=1e-11).x
    _, mean, variance = output(*found)
    np.testing.assert_allclose([*found, -mean, variance**-0.5], printed, rtol=2e-6)
    np.testing.assert_allclose(conditions(printed[:2]), 0, atol=1e-8)


def test_tailored_leaky_relu():
    """The slope at which two uncorrelated inputs leave the network with correlation .75, and the scale that keeps q."""

    def local(slope):
        phi = activations.leaky_relu(slope)
        scale = 1 / float(gaussian.second(phi, 1.0))
        return lambda c: scale * float(gaussian.dual(phi, 1.0, 1.0, min(c, 1.0)))

    slope = optimize.brentq(lambda a: resnet(local(a), 0.0) - 0.75, 0.5, 0.8, xtol=1e-13)
    assert slope == pytest.approx(0.6291800290346146, abs=1e-7)
    assert math.sqrt(2 / (1 + slope**2)) == pytest.approx(1.196996549778802, abs=1e-7)


def test_larger_of_two_gaussians():
    """Mean 1/sqrt(pi), variance 1 - 1/pi, by max(u, v) = (u + v + |u - v|)/2."""
    mean = gaussian.mean("abs", 2.0) / 2
    second = (2 + gaussian.second("abs", 2.0)) / 4  # (u + v) and |u - v| are uncorrelated
    assert mean == pytest.approx(1 / math.sqrt(math.pi), rel=1e-14)
    assert second - mean**2 == pytest.approx(1 - 1 / math.pi, rel=1e-14)
