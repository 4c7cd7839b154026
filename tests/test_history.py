"""History: what it computes from notes, on notes written by hand; saved, loaded and drawn."""

from dataclasses import replace

import numpy as np
import pytest

import ibtheory as ib

NET = ib.mlp(8, 1, 2)
STEPS = np.array([0, 1, 2, 4, 8])


def history(networks=3, held_out=True):
    """Class 0 is the initial majority of networks 0 and 1, class 1 of network 2."""
    rng = np.random.default_rng(0)
    shares = np.array([0.95, 0.6, 0.2])[:networks]
    fractions = np.stack([shares, 1 - shares], axis=1)[:, None] * np.ones((1, 5, 1))
    rising = np.linspace(0.1, 0.9, 5)
    recall = np.empty((networks, 5, 2))
    for i, share in enumerate(shares):
        majority = int(share < 0.5)
        recall[i, :, majority] = 0.95
        recall[i, :, 1 - majority] = np.roll(rising, 0) - 0.05 * i
    y = np.arange(10) % 2
    none = {f"held_out_{name}": None for name in ("X", "y", "loss", "recall", "class_fractions")}
    held = {
        "held_out_X": rng.normal(size=(10, 3)), "held_out_y": y, "held_out_loss": np.ones((networks, 5)),
        "held_out_recall": recall[:, :, ::-1].copy(), "held_out_class_fractions": 1 - fractions,
    }  # fmt: skip
    return ib.History(
        network=NET, inputs=ib.Dataset(rng.normal(size=(10, 3)), y), classes=2, networks=networks, samples=10, batch=10,
        seed=0, dtype="float32", objective="mse", optimizer=repr(ib.SGD(0.1)), statistics="batch",
        learning_rates=np.full(8, 0.1), steps=STEPS, loss=np.linspace(1, 0, 5) + np.zeros((networks, 1)),
        recall=recall, class_fractions=fractions, gradient_norm=np.ones((networks, 5, 2)),
        distance=np.zeros((networks, 5)), cosine=np.ones((networks, 5)), loss_rise=np.full(networks, np.inf),
        diverged=np.full(networks, np.inf), **(held if held_out else none),
    )  # fmt: skip


def test_classes_are_ranked_on_the_other_data():
    h = history()
    assert h.majority.tolist() == [[1, 0], [1, 0], [0, 1]]  # by the held-out shares
    assert h.ranking("held_out").tolist() == [[0, 1], [0, 1], [1, 0]]
    alone = history(held_out=False)
    assert alone.majority.tolist() == [[0, 1], [0, 1], [1, 0]]
    np.testing.assert_allclose(alone.ordered()[:, :, 0], 0.95)
    np.testing.assert_allclose(h.ordered(data="held_out"), h.ordered("recall", "held_out"))


def test_ordered_mean_has_the_networks_as_unit():
    mean, error = history(held_out=False).ordered_mean()
    np.testing.assert_allclose(mean[:, 1], np.linspace(0.1, 0.9, 5) - 0.05)
    np.testing.assert_allclose(error[:, 1], 0.05 / np.sqrt(3))
    assert np.isnan(history(1).ordered_mean()[1]).all()


def test_steps_until_a_level():
    h = history(held_out=False)
    np.testing.assert_allclose(h.worst_recall()[0], np.linspace(0.1, 0.9, 5))
    assert h.steps_until(0.65).tolist() == [4, 8, 8]  # .7, .65 - rounding, .6 at step 4
    assert h.steps_until(0.85).tolist() == [8, np.inf, np.inf]
    assert h.mean_steps_until(0.64) == 4
    assert h.mean_steps_until(0.99) == np.inf
    assert h.spread(0.65).tolist() == [4, 8, 8]
    with pytest.raises(ValueError, match="level must lie in"):
        h.steps_until(1.5)


def test_a_class_without_samples_is_left_out_of_the_worst():
    h = history(held_out=False)
    recall = h.recall.copy()
    recall[:, :, 1] = np.nan
    np.testing.assert_array_equal(replace(h, recall=recall).worst_recall(), recall[:, :, 0])


def test_runs_selected_by_initial_bias():
    h = history()
    np.testing.assert_allclose(h.initial_bias, [0.9, 0.2, 0.6])
    strong = h.select(h.initial_bias > 0.5)
    assert strong.networks == 2
    np.testing.assert_array_equal(strong.recall, h.recall[[0, 2]])
    np.testing.assert_array_equal(strong.held_out_loss, h.held_out_loss[[0, 2]])
    with pytest.raises(ValueError, match="no network is left"):
        h.select(h.initial_bias > 2)


def test_saved_and_loaded(tmp_path):
    for name, h in (("held", history()), ("alone", history(held_out=False))):
        h.save(tmp_path / f"{name}.npz")
        back = ib.load(tmp_path / f"{name}.npz")
        assert type(back) is ib.History
        assert back.network == NET
        assert str(back) == str(h)
        np.testing.assert_array_equal(back.recall, h.recall)
        assert (back.held_out_recall is None) == (h.held_out_recall is None)
    assert ib.results.provenance(tmp_path / "held.npz")["kind"] == "History"


def test_what_it_prints():
    text = str(history())
    assert "3 networks, 10 samples, 2 classes, seed 0: mse by SGD(learning_rate=0.1" in text
    assert "worst recall, held out, lower quartile" in text
    h = history()
    broken = replace(h, loss=np.where(np.arange(5) > 2, np.nan, h.loss), diverged=np.array([4.0, 4.0, 4.0]))
    assert "3 networks diverged" in str(broken)


def test_refusals():
    with pytest.raises(ValueError, match="no held-out samples"):
        history(held_out=False).worst_recall("held_out")
    with pytest.raises(ValueError, match="quantity must be one of"):
        history().ordered("loss")
    with pytest.raises(ValueError, match="data must be one of"):
        history().worst_recall("test")


def test_picture_shows_every_network_its_median_and_quartiles():
    h = history()
    for data in ("train", "held_out"):
        left, right = h.plot(data=data)
        assert len(left.lines) == 4  # three networks and their median
        assert len(right.lines) == 8
        assert [len(ax.collections) for ax in (left, right)] == [1, 2]
        median = right.lines[-1].get_ydata()
        np.testing.assert_allclose(median, np.median(h.ordered(data=data)[:, :, 0], axis=0))
        assert left.get_ylabel() == "mse loss"
        assert right.get_xlabel() == "step"
        left.figure.canvas.draw()
