import itertools
import json
import pickle

import pytest
from cases import CASES, ids
from hypothesis import given
from hypothesis import strategies as st

import ibtheory as ib
from ibtheory import activations, layers

NAMESPACE = {**{name: getattr(layers, name) for name in layers.__all__}, "activations": activations}

variances = st.floats(0, 10)
positives = st.floats(0.01, 10)
names = st.sampled_from([*activations.catalogue().values(), activations.leaky_relu(0.25)])
norms = st.one_of(
    st.builds(ib.BatchNorm, st.sampled_from(["batch", "running"]), variances, positives, variances),
    st.builds(ib.LayerNorm, variances, positives, variances),
    st.builds(ib.RMSNorm, variances, positives),
    st.builds(ib.GroupNorm, st.sampled_from([1, 2, 4, 8]), variances, positives, variances),
)
pointwise = st.one_of(st.builds(ib.Activation, names), norms)
dense = st.builds(
    ib.Dense,
    st.just(16),
    variances,
    variances,
    st.sampled_from(["fan_in", "fan_average"]),
    st.sampled_from(["constant", "fan_in"]),
    st.sampled_from(["normal", "uniform"]),
)
branches = st.lists(pointwise, max_size=3).map(lambda inner: ib.Residual((*inner, ib.Dense(16))))
blocks = st.lists(st.one_of(pointwise, dense, branches), max_size=3)
networks = st.builds(
    lambda block, times, head: ib.Network((ib.Dense(16), ib.Repeat(block, times), head)),
    blocks,
    st.integers(0, 3),
    dense,
)


@given(networks)
def test_every_description_rebuilds(net):
    assert eval(repr(net), dict(NAMESPACE)) == net
    assert ib.Network.from_dict(json.loads(json.dumps(net.to_dict()))) == net
    assert pickle.loads(pickle.dumps(net)) == net
    assert len({net, ib.Network.from_dict(net.to_dict())}) == 1


@given(networks, st.integers(1, 40))
def test_steps_fit_together(net, features):
    steps = net.steps(features)
    assert steps[0].fan_in == features
    assert steps[-1].name == "logits"
    assert all(a.units == b.fan_in for a, b in itertools.pairwise(steps))
    flat = [step.name for step in layers.flatten(steps)]
    assert len(set(flat)) == len(flat)


def test_placement_is_the_order_of_layers_and_nothing_else():
    dense, norm, act = ib.Dense(32), ib.LayerNorm(), ib.Activation("relu")
    orders = {"before": (dense, norm, act), "after": (dense, act, norm), "both": (dense, norm, act, norm)}
    for word, block in orders.items():
        expected = ib.Network((ib.Repeat(block, 3), ib.Dense(5)))
        assert ib.mlp(32, 3, 5, norm="layer", placement=word) == expected
        assert ib.mlp(32, 3, 5, norm=norm, placement=word) == expected
    assert len(layers.flatten(ib.mlp(32, 3, 5).steps(7))) == 7


@pytest.mark.parametrize(
    ("init", "fan_in", "units", "weight", "bias"),
    [
        ("he", 50, 20, 2.0, 0.0),
        ("lecun", 50, 20, 1.0, 0.0),
        ("xavier", 50, 20, 2 * 50 / 70, 0.0),
        ("torch", 50, 20, 1 / 3, 1 / 150),
        ("keras", 50, 20, 2 * 50 / 70, 0.0),
    ],
)
def test_init_presets(init, fan_in, units, weight, bias):
    layer = ib.mlp(units, 1, norm="layer", init=init).layers[0].block[0]
    assert layer.variances(fan_in) == pytest.approx((weight, bias))
    norm = ib.mlp(units, 1, norm="layer", init=init).layers[0].block[2]
    assert norm.epsilon == {"torch": 1e-5, "keras": 1e-3}.get(init, 0.0)


def test_classes():
    assert ib.mlp(8, 1, 1).classes == 2
    assert ib.mlp(8, 1, 1).outputs == 1
    assert ib.mlp(8, 1, 7).classes == 7
    assert ib.mlp(10, 1, norm="group").layers[0].block[2].groups == 5


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_the_catalogue_says_why(case):
    name, net, why = case
    assert name
    assert why
    assert ib.Network.from_dict(net.to_dict()) == net


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ib.mlp(0, 1), ValueError, "width must be at least 1, got 0"),
        (lambda: ib.mlp(8, -1), ValueError, "depth must be at least 0, got -1"),
        (lambda: ib.mlp(8, 1, 0), ValueError, "classes must be at least 1.*single logit"),
        (lambda: ib.mlp(8.0, 1), TypeError, "integer"),
        (lambda: ib.mlp(8, 1, activation="rleu"), ValueError, "Did you mean 'relu'"),
        (lambda: ib.mlp(8, 1, norm="lyer"), ValueError, "Did you mean 'layer'"),
        (lambda: ib.mlp(8, 1, placement="befor"), ValueError, "Did you mean 'before'"),
        (lambda: ib.mlp(8, 1, init="hee"), ValueError, "Did you mean 'he'"),
        (lambda: ib.mlp(8, 1, init="he", weight_variance=1.0), ValueError, "leave out"),
        (lambda: ib.mlp(8, 1, weight_variance=-1.0), ValueError, "weight_variance"),
        (lambda: ib.mlp(8, 1, bias_variance=float("nan")), ValueError, "finite"),
        (lambda: ib.mlp(8, 1, epsilon=-1.0), ValueError, "epsilon"),
        (lambda: ib.mlp(1, 1, norm="layer"), ValueError, "larger width"),
        (lambda: ib.mlp(10, 1, norm=ib.GroupNorm(3)), ValueError, "does not divide 10"),
        (lambda: ib.BatchNorm(mode="eval"), ValueError, "'batch', 'running'"),
        (lambda: ib.Dense("8"), TypeError, "integer"),
        (lambda: ib.LayerNorm(scale=0.0), ValueError, "erases"),
        (lambda: ib.Network(()), ValueError, "readout"),
        (lambda: ib.Network((ib.Dense(8), ib.Activation("relu"))), ValueError, "readout"),
        (lambda: ib.Network(ib.Dense(8)), TypeError, "sequence of layers"),
        (lambda: ib.Network((ib.Dense(8), "relu", ib.Dense(2))), TypeError, "not a layer"),
        (lambda: ib.Residual(()), ValueError, "empty"),
        (
            lambda: ib.Network((ib.Dense(8), ib.Residual((ib.Dense(9),)), ib.Dense(2))),
            ValueError,
            r"end it with Dense\(8\)",
        ),
        (lambda: ib.Network.from_dict({"kind": "Dens"}), ValueError, "'kind' is one of"),
        (lambda: ib.Network.from_dict({"kind": "Dense", "units": 3}), ValueError, "not a Network"),
        (lambda: ib.Network.from_dict({"kind": "Dense", "unit": 3}), ValueError, "no field"),
    ],
)
def test_bad_input(build, error, message):
    with pytest.raises(error, match=message):
        build()
