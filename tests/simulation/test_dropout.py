"""Dropout: the masks, when it acts and when it does not, and that training with it can be repeated to the bit."""

import numpy as np
import pytest

import ibtheory as ib
from ibtheory.simulation import machine
from ibtheory.simulation.layout import Layout
from ibtheory.simulation.ops import masks
from ibtheory.simulation.program import CODE, DROPOUT, SAVED, UNITS, compile_network

BAR = 5.0  # standard errors
SAMPLES, WIDTH, RATE = 300, 50, 0.3
NET = ib.mlp(16, 2, 3, norm="layer", dropout=0.25)
X = ib.Blobs(classes=3, features=12, separation=3.0)


@pytest.fixture(scope="module")
def drawn():
    """A function (seed, network, step, dtype) that returns the masks (layers, samples, width) of a network."""
    layout = Layout(records=False, own=True, tape=True, dropout=True)
    program = compile_network(ib.mlp(WIDTH, 2, 2, dropout=RATE), 5, SAMPLES, batch=SAMPLES, layout=layout)

    def masks_of(seed=0, network=0, step=0, dtype=np.float64):
        work = machine.workspace(program, np.zeros((SAMPLES, 5)), dtype, np.zeros(program.weights + 64, dtype))
        masks.draw(program.tables, work, np.uint64(seed), network, step)
        rows = [row for row in program.tables.operations if row[CODE] == DROPOUT]
        return np.stack(
            [work.space[row[SAVED] : row[SAVED] + SAMPLES * row[UNITS]].reshape(SAMPLES, -1) for row in rows]
        )

    return masks_of


def test_a_feature_is_kept_with_its_probability_and_its_expectation(drawn):
    mask = np.stack([drawn(step=step) for step in range(20)])
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - RATE)])
    spread = np.sqrt(RATE / (1 - RATE))  # of one number of the mask
    assert abs(mask.mean() - 1) < BAR * spread / np.sqrt(mask.size)
    for axes in [(0, 1, 2), (0, 1, 3), (1, 2, 3)]:
        means = mask.mean(axis=axes)
        assert (np.abs(means - 1) < BAR * spread / np.sqrt(mask.size / means.size)).all()


@pytest.mark.parametrize("other", [{"seed": 1}, {"network": 1}, {"step": 1}, {"seed": 2**32}, {"network": 2**32}])
def test_masks_of_other_seeds_networks_steps_and_layers_are_independent(drawn, other):
    first, second = drawn(), drawn(**other)
    np.testing.assert_array_equal(first, drawn())
    np.testing.assert_array_equal(first > 0, drawn(dtype=np.float32) > 0)
    for a, b in ((first, second), (first[0], first[1]), (first[0], second[1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < BAR / np.sqrt(a.size)


def train(net=NET, **options):
    settings = {"networks": 5, "steps": 12, "samples": 40, "optimizer": ib.Adam(0.01), "seed": 3, "batch": 8}
    return ib.train(net, X, **(settings | options))


def same(a, b):
    for name in ("loss", "recall", "class_fractions", "gradient_norm", "distance"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_workers_prefixes_and_stores_do_not_change_a_bit(tmp_path):
    history = train()
    same(history, train(workers=1))
    same(history, train(networks=8).select(np.arange(5)))
    train(networks=3, store=tmp_path)
    same(history, train(store=tmp_path))


def test_rate_0_is_no_dropout_and_another_rate_is_another_run():
    net = ib.Network((ib.Dense(16), ib.Activation("relu"), ib.Dropout(0.0), ib.Dense(3)))
    plain = ib.Network((ib.Dense(16), ib.Activation("relu"), ib.Dense(3)))
    same(train(net), train(plain))
    dropped = train(ib.Network((ib.Dense(16), ib.Activation("relu"), ib.Dropout(0.5), ib.Dense(3))))
    np.testing.assert_array_equal(dropped.loss[:, 0], train(plain).loss[:, 0])  # noted without it
    assert (dropped.loss[:, 1] != train(plain).loss[:, 1]).all()


def test_predictions_are_those_without_it():
    plain = ib.mlp(16, 2, 3, norm="layer")
    assert plain != NET
    assert NET.steps(12) == plain.steps(12)
    data = ib.Dataset(*X.draw(40, 3))
    assert ib.predict(NET, data).gamma_effective == ib.predict(plain, data).gamma_effective
    one, other = (ib.simulate(net, data, networks=5, seed=3) for net in (NET, plain))
    np.testing.assert_array_equal(one.readout_fractions, other.readout_fractions)
    np.testing.assert_array_equal(train().class_fractions[:, 0], one.class_fractions)
    whole = train(batch=None)
    np.testing.assert_array_equal(whole.class_fractions[:, 0], one.class_fractions)
    assert (whole.loss[:, -1] < whole.loss[:, 0]).all()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_refused_rates(rate):
    with pytest.raises(ValueError, match=r"Dropout.rate must"):
        ib.Dropout(rate)


def test_a_branch_of_dropout_alone_is_refused():
    with pytest.raises(ValueError, match="nothing but Dropout"):
        ib.Residual((ib.Dropout(0.5),))
