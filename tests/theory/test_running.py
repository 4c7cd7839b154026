"""BatchNorm by running statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ibtheory as ib


@pytest.mark.parametrize(("batches", "gamma"), [(0, 1.0004), (1, 0.8987), (5, 0.6520), (20, 0.4747), (50, 0.4670)])
def test_momentum_after_training_batches(batches, gamma):
    q, r = 2.98, 0.98
    x = ib.GaussianInputs(1000, variance=q / 2, correlation=r / q)
    net = ib.mlp(100, 1, norm=ib.BatchNorm("running", batches=batches), placement="before")
    p = ib.predict(net, x)
    v, s = q - r, 1 - 0.9**batches
    row = p.layers[2]
    assert row["same"] == pytest.approx((v + (1 - s) ** 2 * r) / (1 - s + s * v), rel=1e-12)
    assert row["cross"] == pytest.approx((1 - s) ** 2 * r / (1 - s + s * v), rel=1e-9)
    assert p.gamma == pytest.approx(gamma, abs=1e-4)
    assert p.error == {}


@pytest.mark.parametrize(
    ("batch", "batches", "gamma"), [(16, 1, 0.5344), pytest.param(16, 10, 0.4737, marks=pytest.mark.slow)]
)
def test_cumulative_statistics_of_small_batches(batch, batches, gamma):
    net = ib.mlp(100, 1, norm=ib.BatchNorm("running", momentum=None, batches=batches), placement="before")
    p = ib.predict(net, ib.GaussianInputs(1000), batch=batch)
    freedom, count = batches * (batch - 1), batches * batch
    g = freedom / (freedom - 2)
    assert p.layers[2]["same"] == pytest.approx((1 + 1 / count) * g, rel=2e-3)
    assert p.layers[2]["cross"] == pytest.approx(g / count, rel=2e-2)
    assert abs(p.gamma - gamma) < 6 * p.error["gamma"] + 5e-5  # t of 3 degrees of freedom
    assert abs(p.gamma - gamma) < 2e-3


def test_running_statistics_in_the_limits():
    x = ib.GaussianInputs(200, correlation=0.4)
    for placement in ("before", "after"):

        def gamma(norm, placement=placement):
            return ib.predict(ib.mlp(50, 2, norm=norm, placement=placement), x).gamma

        # long momentum or one batch of weight 1: the statistics of the population, as in training mode
        batch = gamma("batch")
        for norm in (ib.BatchNorm("running", momentum=1.0, batches=1), ib.BatchNorm("running", batches=400)):
            assert gamma(norm) == pytest.approx(batch, abs=1e-9)
        # momentum to 0: the identity
        assert gamma(ib.BatchNorm("running", momentum=1e-6, batches=1)) == pytest.approx(gamma("none"), rel=1e-3)


@pytest.mark.parametrize("placement", ["before", "after"])
def test_deep_running_statistics_against_their_own_samples(placement):
    # the rule for a population in large batches against drawn samples of training batches and of the data
    norm = ib.BatchNorm("running", momentum=0.4, batches=2)
    net, x = ib.mlp(50, 2, norm=norm, placement=placement), ib.GaussianInputs(200, correlation=0.4)
    p = ib.predict(net, x)
    drawn = ib.predict(net, x, samples=128, batch=64)
    assert drawn.error["gamma"] > 0
    assert drawn.gamma == pytest.approx(p.gamma, rel=0.08)  # 1/64, and the sampling error


def test_refusals_of_running_statistics():
    net = ib.mlp(50, 1, norm=ib.BatchNorm("running", batches=100))
    with pytest.raises(NotImplementedError, match='batch="all"'):
        ib.predict(net, ib.GaussianInputs(50), batch=64)
    assert ib.predict(net, ib.GaussianInputs(50)).depth_limit.law == "unknown"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"momentum": 0.0}, ValueError, "momentum"),
        ({"momentum": 1.5}, ValueError, "momentum"),
        ({"momentum": "fast"}, TypeError, "momentum must be a real number.*None"),
        ({"momentum": float("nan")}, ValueError, "finite"),
        ({"batches": -1}, ValueError, "at least 0"),
        ({"batches": 2.5}, TypeError, "integer"),
        ({"mode": "batch", "batches": 3}, ValueError, "mode='running'"),
        ({"mode": "batch", "momentum": None}, ValueError, "mode='running'"),
    ],
)
def test_bad_running_statistics(words, error, message):
    with pytest.raises(error, match=message):
        ib.BatchNorm(**({"mode": "running"} | words))


@given(st.one_of(st.none(), st.floats(0.01, 1.0)), st.integers(0, 30))
def test_weights_of_running_statistics(momentum, batches):
    norm = ib.BatchNorm("running", momentum=momentum, batches=batches)
    weights, initial = norm.running_weights()
    mean, rng = 1.0, np.random.default_rng(batches)
    observed = rng.standard_normal(batches)
    for index, value in enumerate(observed):  # as torch does, batch by batch
        share = 1 / (index + 1) if momentum is None else momentum
        mean = (1 - share) * mean + share * value
    assert weights @ observed + initial == pytest.approx(mean, abs=1e-12)
    assert weights.sum() + initial == pytest.approx(1, abs=1e-12)
    net = ib.Network((ib.Dense(4), norm, ib.Dense(2)))
    assert ib.Network.from_dict(net.to_dict()) == net
    assert eval(repr(norm), vars(ib.layers)) == norm
