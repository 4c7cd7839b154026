"""The same networks in torch: explicit parameters, float64."""

import numpy as np
import pytest

import ibtheory as ib

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

NORMS = {
    "none": None,
    "batch": lambda width: torch.nn.BatchNorm1d(width, eps=1e-5),
    "layer": lambda width: torch.nn.LayerNorm(width, eps=1e-5),
    "rms": lambda width: torch.nn.RMSNorm(width, eps=1e-5),
    "group": lambda width: torch.nn.GroupNorm(4, width, eps=1e-5),
}
ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}


def build(norm, placement, activation, depth=3, features=10, width=16, classes=4):
    modules, fan_in = [], features
    for _ in range(depth):
        norms = [] if NORMS[norm] is None else [NORMS[norm](width)]
        act = ACTIVATIONS[activation]()
        order = [*norms, act] if placement == "before" else [act, *norms]
        modules += [torch.nn.Linear(fan_in, width), *order]
        fan_in = width
    return torch.nn.Sequential(*modules, torch.nn.Linear(fan_in, classes)).double()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("placement", ["before", "after"])
@pytest.mark.parametrize("norm", NORMS)
def test_parity(norm, placement, activation):
    torch.manual_seed(0)
    model = build(norm, placement, activation)
    linear = [m for m in model if isinstance(m, torch.nn.Linear)]
    given = [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in linear]
    X = np.random.default_rng(0).normal(size=(20, 10))
    net = ib.mlp(
        16, 3, 4, activation=activation, norm=ib.GroupNorm(4, epsilon=1e-5) if norm == "group" else norm,
        placement=placement, epsilon=1e-5 if norm != "group" else 0.0,
    )  # fmt: skip
    e = ib.simulate(net, ib.Dataset(X), parameters=[given], dtype="float64")
    h = torch.from_numpy(X)
    for row, module in enumerate(model, start=1):
        h = module(h)
        values = h.detach().numpy()
        assert e.per_layer[0, row, 0] == pytest.approx(np.mean(values**2), rel=1e-10)
        assert e.per_layer[0, row, 2] == pytest.approx(np.mean(values.var(axis=0, ddof=1)), rel=1e-10)
    counts = np.bincount(h.argmax(dim=1).numpy(), minlength=4)
    np.testing.assert_allclose(e.class_fractions[0] * 20, counts)


@pytest.mark.parametrize("momentum", [0.1, None, 1.0])
@pytest.mark.parametrize("placement", ["before", "after"])
def test_running_statistics(placement, momentum):
    torch.manual_seed(0)
    model = build("batch", placement, "relu")
    for module in model:
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = momentum
    linear = [m for m in model if isinstance(m, torch.nn.Linear)]
    given = [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in linear]
    X = np.random.default_rng(0).normal(size=(20, 10))
    norm = ib.BatchNorm("running", epsilon=1e-5, momentum=momentum, batches=7)
    net = ib.mlp(16, 3, 4, norm=norm, placement=placement)
    e = ib.simulate(net, ib.Dataset(X), batch=5, parameters=[given], dtype="float64")
    with torch.no_grad():
        for index in range(7):
            model(torch.from_numpy(X[5 * (index % 4) :][:5]))
        h = torch.from_numpy(X)
        for row, module in enumerate(model.eval(), start=1):
            h = module(h)
            assert e.per_layer[0, row, 0] == pytest.approx(np.mean(h.numpy() ** 2), rel=1e-10)
            assert e.per_layer[0, row, 2] == pytest.approx(np.mean(h.numpy().var(axis=0, ddof=1)), rel=1e-10)
