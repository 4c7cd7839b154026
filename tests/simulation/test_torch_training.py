"""Fifty steps of every optimizer against torch, float64: losses on the way and all parameters at the end."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest

import ibtheory as ib
from ibtheory import optimizers
from ibtheory.layers import Activation, BatchNorm, Dense, GroupNorm, LayerNorm, Network, Residual, RMSNorm
from ibtheory.simulation import lessons, random
from ibtheory.simulation.ops import masks
from ibtheory.simulation.program import CODE, DROPOUT, SAVED, UNITS

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
from reference import torch_training as reference  # noqa: E402

torch.set_num_threads(1)

STEPS, SAMPLES, FEATURES, WIDTH = 50, 20, 7, 8
OPTIMIZERS = {
    "sgd": (ib.SGD(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (
        ib.SGD(0.02, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.01),
    ),
    "nesterov": (
        ib.SGD(0.02, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    ),
    "adam": (ib.Adam(1e-3), lambda p: torch.optim.Adam(p, lr=1e-3)),
    "adam decay": (ib.Adam(1e-3, weight_decay=0.1), lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=0.1)),
    "adamw": (ib.AdamW(1e-3, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1)),
}


class Here(Executor):
    """Runs in the calling thread, where the last network can be looked at."""

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future


def parameters_of(values, program, net):
    """Parameters by (layer number, kind), trained ones only, the readout as (fan_in, units)."""
    names = list(program.names[1:])
    found = {}
    for place in program.places:
        if place.kind != "zero":
            found[names.index(place.layer), place.kind] = values[place.start : place.stop].copy()
    steps = ib.layers.flatten(net.steps(FEATURES, training=True))
    for number, step in enumerate(steps):
        if isinstance(step.layer, Dense):
            flat = found[number, "weights"]
            last = number == len(steps) - 1
            found[number, "weights"] = flat.reshape(step.units, -1).T if last else flat.reshape(-1, step.units)
    return found


def check(net, name="sgd", *, loss="cross_entropy", batch=None, affine=False, weights=None, clip=None, factors=None,
          statistics="batch", tolerance=1e-9):  # fmt: skip
    ours, theirs = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    y = rng.integers(0, net.classes, SAMPLES)
    data = ib.Dataset(rng.normal(size=(SAMPLES, FEATURES)), y)
    held = ib.Dataset(rng.normal(size=(SAMPLES, FEATURES)), y)
    h = ib.train(
        net, data, networks=1, steps=STEPS, optimizer=ours, loss=loss, batch=batch, affine=affine, clip=clip,
        schedule=factors, class_weights=weights, held_out=held, statistics=statistics, seed=5, dtype="float64",
        record=range(STEPS + 1), executor=Here(),
    )  # fmt: skip
    worker = lessons._local.worker
    start = parameters_of(worker.trainer.start, worker.program, net)
    model = reference.Model(net.to_dict(), start, affine=affine)
    weights = np.ones(net.classes) if weights is None else weights
    options = {"loss": loss, "weights": weights, "clip": clip, "factors": factors, "masks": masks_of(worker)}
    optimizer = theirs(list(model.values.values()))
    losses = reference.train(model, data.X, y, optimizer=optimizer, batches=orders(batch), **options)
    if batch is None and not options["masks"][0]:
        np.testing.assert_allclose(h.loss[0, :-1], losses, rtol=tolerance)
    end = parameters_of(worker.parameters, worker.program, net)
    for key, value in model.values.items():
        value = value.detach().numpy()
        np.testing.assert_allclose(end[key], value, rtol=tolerance, atol=tolerance * np.abs(value).max(), err_msg=key)
    return h, model, held, weights


def masks_of(worker):
    """Masks of every step, one (samples, units) for every Dropout."""
    tables, work, found = worker.trainer.tables[0], worker.trainer.works[0], []
    rows = [row for row in tables.operations if row[CODE] == DROPOUT]
    spans = [(row[SAVED], row[SAVED] + tables.samples * row[UNITS], row[UNITS]) for row in rows]
    for step in range(STEPS):
        masks.draw(tables, work, np.uint64(5), 0, step)
        found.append([work.space[start:stop].reshape(-1, units).copy() for start, stop, units in spans])
    return found


def orders(batch):
    """Rows of every step."""
    if batch is None:
        return [np.arange(SAMPLES)] * STEPS
    order, rows = np.zeros(SAMPLES, np.int64), []
    for epoch in range(STEPS):
        random.shuffle(order, np.uint64(5), 0, epoch)
        rows += [order[first : first + batch].copy() for first in range(0, SAMPLES - batch + 1, batch)]
    return rows[:STEPS]


@pytest.mark.parametrize("placement", ["before", "after", "both"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "rms", "group"])
def test_every_norm_and_placement(norm, placement):
    # a smooth activation: torch makes NaN of a feature, or a group, without variance
    norm = GroupNorm(2) if norm == "group" else norm
    check(ib.mlp(WIDTH, 3, 3, norm=norm, placement=placement, activation="gelu"), "momentum")


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("norm", [BatchNorm(epsilon=1e-5), LayerNorm(epsilon=1e-5)], ids=["batch", "layer"])
def test_every_optimizer(name, norm):
    check(ib.mlp(WIDTH, 2, 3, norm=norm, placement="after", activation="tanh", bias_variance=0.1), name)


@pytest.mark.parametrize("depth", [1, 10])
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_depths(norm, depth):
    check(ib.mlp(WIDTH, depth, 2, norm=norm, placement="before"), "adam", tolerance=1e-8)


@pytest.mark.parametrize("norm", [
    BatchNorm(epsilon=0.1, scale=1.5, shift=0.2), LayerNorm(epsilon=0.1, shift=-0.2),
    RMSNorm(epsilon=0.1, scale=0.5), GroupNorm(4, epsilon=0.1, scale=1.5, shift=0.2),
], ids=lambda norm: type(norm).__name__)  # fmt: skip
@pytest.mark.parametrize("affine", [False, True])
def test_scale_and_shift_frozen_and_trained(norm, affine):
    check(ib.mlp(WIDTH, 2, 3, norm=norm, placement="both", activation="tanh"), "adamw", affine=affine)


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "hinge"])
def test_every_loss(loss, classes):
    weights = np.linspace(0.5, 1.5, max(classes, 2))
    check(ib.mlp(WIDTH, 1, classes, norm="layer"), "sgd", loss=loss, weights=weights)


def test_batches_schedule_and_clipping():
    factors = optimizers.warm_up(STEPS, 5, optimizers.cosine(STEPS - 5))
    check(ib.mlp(WIDTH, 2, 3, norm="batch", epsilon=1e-5), "momentum", batch=6, factors=factors, clip=0.5)


@pytest.mark.parametrize("batch", [None, 6])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_dropout_with_the_same_masks(norm, batch):
    net = ib.mlp(WIDTH, 2, 3, norm=norm, epsilon=1e-5, placement="before", dropout=0.3)
    h, model, held, weights = check(net, "momentum", batch=batch, statistics="running")
    with torch.no_grad():
        logits = model(torch.tensor(held.X), training=False)
    expected = reference.loss_of("cross_entropy", logits, torch.tensor(held.y), weights).item()
    assert h.held_out_loss[0, -1] == pytest.approx(expected, rel=1e-9)


def test_residuals():
    branch = (LayerNorm(), Activation("relu"), Dense(WIDTH), Residual((Activation("tanh"), Dense(WIDTH))))
    check(Network((Dense(WIDTH), Residual(branch), Residual(branch), Activation("erf"), Dense(3))), "adam")


def test_running_statistics_are_those_of_torch():
    net = ib.mlp(WIDTH, 2, 3, norm="batch", placement="before", epsilon=1e-5)
    h, model, held, weights = check(net, "sgd", batch=5, statistics="running")
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor(held.X), training=False)
    expected = reference.loss_of("cross_entropy", logits, torch.tensor(held.y), weights).item()
    assert h.held_out_loss[0, -1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("batch", [None, 5])
def test_running_statistics_are_those_of_torchs_own_batch_norm(batch):
    # mean, and the variance with B - 1 in its denominator, momentum 0.1: torch.nn.BatchNorm1d, then its eval()
    net = ib.mlp(WIDTH, 2, 3, norm="batch", placement="before", activation="tanh", epsilon=1e-5)
    rng = np.random.default_rng(0)
    data, held = (ib.Dataset(rng.normal(size=(SAMPLES, FEATURES)), rng.integers(0, 3, SAMPLES)) for _ in range(2))
    options = {"optimizer": ib.SGD(0.05), "batch": batch, "held_out": held, "statistics": "running", "seed": 5}
    h = ib.train(net, data, networks=1, steps=STEPS, dtype="float64", executor=Here(), **options)
    worker = lessons._local.worker
    start = parameters_of(worker.trainer.start, worker.program, net)
    linear = [torch.nn.Linear(*W.shape, bias=False, dtype=torch.float64) for W in start.values()]
    for layer, W in zip(linear, start.values(), strict=True):
        layer.weight.data = torch.tensor(W.T.copy())
    norms = [torch.nn.BatchNorm1d(WIDTH, affine=False, dtype=torch.float64) for _ in range(2)]
    tanh = torch.nn.Tanh()
    model = torch.nn.Sequential(linear[0], norms[0], tanh, linear[1], norms[1], tanh, linear[2])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    X, y = torch.tensor(data.X), torch.tensor(data.y)
    for rows in orders(batch):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
        optimizer.step()
    model.eval()
    evaluated = torch.nn.functional.cross_entropy(model(torch.tensor(held.X)), torch.tensor(held.y)).item()
    assert h.held_out_loss[0, -1] == pytest.approx(evaluated, rel=1e-9)
