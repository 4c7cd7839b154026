"""train: what must not change, what must, and what is refused."""

import numpy as np
import pytest

import ibtheory as ib
from ibtheory import optimizers
from ibtheory.simulation import random

FEATURES, SAMPLES = 12, 40
NET = ib.mlp(16, 2, 3, norm="layer")
X = ib.Blobs(classes=3, features=FEATURES, separation=3.0)
ARRAYS = ("loss", "recall", "class_fractions", "gradient_norm", "distance", "cosine", "loss_rise", "diverged")


def train(net=NET, x=X, **options):
    settings = {"networks": 5, "steps": 12, "samples": SAMPLES, "optimizer": ib.Adam(0.01), "seed": 3}
    if isinstance(x, ib.Dataset):
        settings.pop("samples")
    return ib.train(net, x, **(settings | options))


def same(a, b):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.fixture(scope="module")
def history():
    return train(held_out=30)


def test_it_starts_with_the_networks_of_simulate(history):
    e = ib.simulate(NET, X, networks=5, samples=SAMPLES, seed=3, readouts=1)
    np.testing.assert_array_equal(history.class_fractions[:, 0], e.class_fractions)
    np.testing.assert_array_equal(history.inputs.X, e.inputs.X)


def test_it_learns_and_says_so(history):
    assert history.steps.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    assert (history.loss[:, -1] < 0.7 * history.loss[:, 0]).all()
    assert (history.distance[:, 0] == 0).all()
    assert (np.diff(history.distance[:, :3], axis=1) > 0).all()
    np.testing.assert_allclose(history.cosine[:, 0], 1, rtol=1e-6)
    assert (history.cosine[:, -1] < 1).all()
    np.testing.assert_allclose(history.class_fractions.sum(axis=2), 1)
    sizes = np.bincount(history.inputs.y) / SAMPLES
    accuracy = history.recall @ sizes
    assert (accuracy[:, -1] > accuracy[:, 0]).all()


def test_threads_prefixes_and_memory_do_not_change_a_bit(history):
    same(history, train(held_out=30, workers=1))
    same(history, train(held_out=30, workers=2))
    same(history, train(held_out=30, networks=9).select(np.arange(5)))
    same(train(batch=7, networks=3), train(batch=7, networks=6).select([0, 1, 2]))


def test_batches_are_other_runs_of_the_same_networks(history):
    h = train(batch=8)
    np.testing.assert_array_equal(h.recall[:, 0], history.recall[:, 0])
    assert not np.array_equal(h.recall[:, -1], history.recall[:, -1])


def test_no_learning_rate_no_change():
    for optimizer in (ib.SGD(0.0), ib.Adam(0.0)):
        h = train(optimizer=optimizer)
        assert (h.loss == h.loss[:, :1]).all()
        assert (h.distance == 0).all()
        assert np.isinf(h.loss_rise).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "hinge"])
def test_names_of_classes_do_not_matter(loss):
    # Labels permuted, and with them the columns of the readout: the same training under other names. The readout is
    # trained from 0, so that its columns are permuted whatever they are.
    readout = ib.Dense(3, weight_variance=0.0, bias_variance=0.0)
    net = ib.Network((ib.Dense(16), ib.Activation("tanh"), readout))
    data = ib.Dataset(*X.draw(SAMPLES, 0))
    names = np.array([2, 0, 1])
    renamed = ib.Dataset(data.X, names[data.y])
    options = {"loss": loss, "optimizer": ib.SGD(0.5), "dtype": "float64", "record": [1, 5, 12]}
    a, b = train(net, data, **options), train(net, renamed, **options)
    np.testing.assert_allclose(a.loss, b.loss, rtol=1e-12)
    np.testing.assert_array_equal(a.recall, b.recall[:, :, names])


def test_class_weights():
    unbalanced = ib.Blobs(features=FEATURES, separation=1.0, weights=[0.9, 0.1])
    net = ib.mlp(32, 1, 2)
    plain, balanced = (
        train(net, unbalanced, samples=100, steps=60, networks=8, optimizer=ib.SGD(0.1), class_weights=weights)
        for weights in (None, "balanced")
    )
    assert balanced.recall[:, -1, 1].mean() > plain.recall[:, -1, 1].mean() + 0.1
    by_hand = train(net, unbalanced, samples=100, steps=60, networks=8, optimizer=ib.SGD(0.1),
                    class_weights=[100 / 180, 100 / 20])  # fmt: skip
    same(balanced, by_hand)


def test_frozen_biases_and_trained_ones():
    net = ib.mlp(16, 2, 3, bias_variance=0.5)
    moved, frozen = train(net), train(net, biases=False)
    np.testing.assert_array_equal(moved.recall[:, 0], frozen.recall[:, 0])
    assert not np.array_equal(moved.loss[:, -1], frozen.loss[:, -1])
    none, all_ = train(ib.mlp(16, 2, 3)), train(ib.mlp(16, 2, 3), biases=True)
    np.testing.assert_array_equal(none.loss[:, 0], all_.loss[:, 0])
    assert not np.array_equal(none.loss[:, -1], all_.loss[:, -1])


def test_statistics_of_batch_norm():
    net = ib.mlp(16, 2, 3, norm="batch", placement="before")
    batch, train_, running = (train(net, held_out=20, statistics=word) for word in ("batch", "train", "running"))
    np.testing.assert_array_equal(batch.loss, train_.loss)  # the same training, otherwise evaluated
    np.testing.assert_array_equal(batch.distance, running.distance)
    assert not np.array_equal(batch.held_out_loss, train_.held_out_loss)
    assert not np.array_equal(batch.loss, running.loss)
    fresh = ib.mlp(16, 2, 3, norm=ib.BatchNorm("running"), placement="before")  # at step 0 the identity
    np.testing.assert_allclose(running.loss[:, 0], train(fresh).loss[:, 0], rtol=1e-5)


def test_a_training_set_held_out_is_evaluated_like_itself():
    data = ib.Dataset(*X.draw(SAMPLES, 0))
    for statistics in ("batch", "train", "running"):
        net = ib.mlp(16, 2, 3, norm="batch")
        for batch in (None, 8):
            h = train(net, data, held_out=data, statistics=statistics, batch=batch)
            np.testing.assert_allclose(h.held_out_loss, h.loss, rtol=1e-5)
            np.testing.assert_array_equal(h.held_out_recall, h.recall)


def test_too_large_a_rate_diverges_alone():
    net = ib.mlp(16, 6, 3)
    h = train(net, optimizer=ib.SGD(1e4), loss="mse", steps=40)
    assert np.isfinite(h.diverged).any()
    rows = np.isfinite(h.diverged)
    assert (h.loss_rise[rows] <= h.diverged[rows]).all()
    assert np.isnan(h.loss[rows, -1]).all()
    assert np.isfinite(h.loss[:, 0]).all()
    assert "diverged" in str(h)


def test_a_single_logit_learns_two_classes():
    data = ib.Dataset(*ib.Blobs(features=FEATURES).draw(SAMPLES, 0))
    h = train(ib.mlp(16, 1, 1), data, steps=30)
    assert h.recall.shape == (5, 13, 2)
    assert (h.recall[:, -1].mean(axis=1) > 0.8).all()


def test_the_order_of_batches_is_a_permutation_of_its_own():
    orders = np.zeros((4, 1000), np.int64)
    for row, (seed, network, epoch) in enumerate([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]):
        random.shuffle(orders[row], np.uint64(seed), network, epoch)
        np.testing.assert_array_equal(np.sort(orders[row]), np.arange(1000))
    fixed = (orders[:, None] == orders[None]).sum(axis=2)[np.triu_indices(4, 1)]
    assert fixed.max() < 10  # about 1 agreement by chance
    moved = np.abs(orders[0] - np.arange(1000)).mean()
    assert abs(moved - 1000 / 3) < 5 * 1000 * np.sqrt(1 / 18 / 1000)


def test_a_users_activation_is_trained():
    cubic = ib.activations.from_sympy("x**3/6 + x")
    h = train(ib.mlp(16, 1, 3, activation=cubic, norm="layer", placement="before"), networks=2)
    assert (h.loss[:, -1] < h.loss[:, 0]).all()


DATA = ib.Dataset(np.random.default_rng(0).normal(size=(10, FEATURES)))
LABELLED = ib.Dataset(DATA.X, np.arange(10) % 3)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (DATA, {}, "training needs labels"),
        (ib.Dataset(DATA.X, np.arange(10) % 5), {}, "y has 5 different labels, the network 3"),
        (LABELLED, {"batch": 11}, "batch=11 is more than the 10"),
        (LABELLED, {"held_out": 9}, "held_out=9 leaves fewer than 2"),
        (LABELLED, {"held_out": ib.Dataset(DATA.X[:, :4], np.arange(10) % 3)}, "held_out has 4 features"),
        (LABELLED, {"class_weights": [1, 2]}, "class_weights must be 3 finite numbers"),
        (LABELLED, {"class_weights": "equal"}, "class_weights must be one of 'balanced'"),
        (LABELLED, {"record": [0, 13]}, "record must name steps between 0 and 12"),
        (LABELLED, {"record": []}, "record must name steps"),
        (LABELLED, {"schedule": [1.0]}, "schedule must be 12 finite factors"),
        (LABELLED, {"loss": "mae"}, "loss must be one of"),
        (LABELLED, {"clip": 0.0}, "clip must lie in"),
        (LABELLED, {"steps": 0}, "steps must be at least 1"),
        (LABELLED, {"statistics": "eval"}, "statistics must be one of"),
        (LABELLED, {"dtype": "float16"}, "dtype must be one of"),
        (LABELLED, {"seed": 2**64}, "seed must be below"),
    ],
)
def test_refused_values(x, options, message):
    with pytest.raises(ValueError, match=message):
        train(x=x, **options)


def test_refused_types():
    with pytest.raises(TypeError, match="optimizer must be SGD, Adam or AdamW"):
        train(optimizer="adam")
    with pytest.raises(TypeError, match="held_out must be a number of samples"):
        train(held_out=0.2)
    with pytest.raises(TypeError, match="affine must be True or False"):
        train(affine=1)
    with pytest.raises(TypeError, match="net must be a Network"):
        train(net="mlp")
    seen = ib.BatchNorm("running", batches=1)
    with pytest.raises(ValueError, match="statistics of an untrained network"):
        train(ib.mlp(16, 1, 3, norm=seen))
    with pytest.raises(ValueError, match="two samples per batch"):
        train(ib.mlp(16, 1, 3, norm="batch"), batch=1)


def test_optimizers_are_checked_data():
    assert eval(repr(ib.SGD(0.1, momentum=0.9)), {"SGD": ib.SGD}) == ib.SGD(0.1, 0.9)
    with pytest.raises(ValueError, match=r"SGD.nesterov needs a momentum"):
        ib.SGD(0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"Adam.beta1 must be below 1"):
        ib.Adam(beta1=1.0)
    with pytest.raises(ValueError, match=r"AdamW.weight_decay must lie in"):
        ib.AdamW(weight_decay=-1.0)
    with pytest.raises(TypeError, match=r"SGD.nesterov must be True or False"):
        ib.SGD(nesterov=1)


def test_schedules():
    np.testing.assert_allclose(optimizers.cosine(4, end=0.5), [1, 0.9267767, 0.75, 0.5732233])
    assert optimizers.check_schedule("cosine", 10)[0] == 1
    with pytest.raises(ValueError, match="rising=6 is more than the 5 steps"):
        optimizers.warm_up(5, 6)
    h = train(schedule=np.zeros(12))
    assert (h.distance == 0).all()
    np.testing.assert_array_equal(h.learning_rates, np.zeros(12))
