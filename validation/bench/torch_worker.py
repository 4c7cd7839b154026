"""PyTorch, as one would write it: the peers of forward.py and training.py, one thread.

Every variant draws the weights of ``count`` networks, and computes what the simulation hands over: predictions per
class, or the loss after ``STEPS`` full-batch steps. Biases are 0, norms have no parameters.
"""

import torch
from cases import CASES, STEPS
from torch import nn
from torch.nn import functional as F
from worker import serve

torch.set_num_threads(1)
RATE = 1e-3
TINY = 1e-12  # torch's BatchNorm takes no epsilon of 0


def act(case, h):
    return torch.relu_(h) if case.activation == "relu" else torch.tanh_(h)


def norm(case, h):
    """``h`` (..., samples, features)."""
    if case.norm == "layer":
        return F.layer_norm(h, h.shape[-1:], eps=0.0)
    if h.ndim == 2:
        return F.batch_norm(h, None, None, training=True, eps=TINY)
    center = h.mean(dim=-2, keepdim=True)
    return (h - center) * torch.rsqrt(h.var(dim=-2, keepdim=True, correction=0))


def forward(case, x, weights):
    """Logits (..., samples, classes); weights (..., fan_in, units)."""
    for w in weights[:-1]:
        x = x @ w
        x = act(case, norm(case, x)) if case.placement == "before" else norm(case, act(case, x))
    return x @ weights[-1]


def draw(case, *networks):
    return [torch.empty(*networks, a, b).normal_(0.0, (2 / a) ** 0.5) for a, b in case.shapes]


def module(case):
    """The same network of modules."""
    layers = []
    for a, b in case.shapes[:-1]:
        activation = nn.ReLU() if case.activation == "relu" else nn.Tanh()
        if case.norm == "layer":
            normalized = nn.LayerNorm(b, eps=0.0, elementwise_affine=False)
        else:
            normalized = nn.BatchNorm1d(b, eps=TINY, affine=False, track_running_stats=False)
        layers += [nn.Linear(a, b, bias=False)]
        layers += [normalized, activation] if case.placement == "before" else [activation, normalized]
    return nn.Sequential(*layers, nn.Linear(*case.shapes[-1], bias=False))


def restart(model):
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)


def count_classes(case, logits):
    """Predictions per class of each network."""
    predicted = logits.argmax(-1)
    if predicted.ndim == 1:
        return torch.bincount(predicted, minlength=case.classes)
    return F.one_hot(predicted, case.classes).sum(-2)


_compiled = {}


def compiled(key, function):
    """torch.compile, once per process."""
    if key not in _compiled:
        _compiled[key] = torch.compile(function)
    return _compiled[key]


def forward_variant(case, variant, x):
    """(a function that runs some networks, how many)."""
    if variant == "module":
        model = module(case)
        return lambda: (restart(model), count_classes(case, model(x))), 1
    if variant.startswith("bmm"):
        batch = int(variant[3:])
        xs = x.expand(batch, *x.shape)
        return lambda: count_classes(case, forward(case, xs, draw(case, batch))), batch
    if variant.startswith("vmap"):
        batch = int(variant[4:])
        mapped = torch.func.vmap(lambda *weights: forward(case, x, weights))
        return lambda: count_classes(case, mapped(*draw(case, batch))), batch

    def functional():
        return count_classes(case, forward(case, x, draw(case)))

    return (compiled(("forward", case), functional) if variant == "compile" else functional), 1


def training_variant(case, variant, x, y, optimizer):
    """(a function that trains some networks, how many)."""
    if variant == "module":
        model = module(case)
        return lambda: (restart(model), train(model.parameters(), lambda: F.cross_entropy(model(x), y), optimizer)), 1
    batch = int(variant.lstrip("abcdefghijklmnopqrstuvwxyz") or 0)
    networks = (batch,) if batch else ()
    xs, ys = x.expand(*networks, *x.shape), y.repeat(batch or 1)

    def loss(weights):
        return F.cross_entropy(forward(case, xs, weights).flatten(0, -2), ys) * (batch or 1)

    if variant.startswith("vmap"):
        slopes = torch.func.vmap(torch.func.grad(lambda weights: F.cross_entropy(forward(case, x, weights), y)))

        def run():
            train_functional(case, draw(case, batch), slopes, optimizer)
    else:
        loss = compiled(("loss", case), loss) if variant == "compile" else loss

        def run():
            weights = [w.requires_grad_() for w in draw(case, *networks)]
            train(weights, lambda: loss(weights), optimizer)

    return run, batch or 1


def train(parameters, loss, optimizer):
    """Steps of torch's own optimizer: the fused one where that is for this machine."""
    parameters = list(parameters)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    rule = kind(parameters, lr=RATE, fused=True)
    for _ in range(STEPS):
        rule.zero_grad()
        loss().backward()
        rule.step()


def train_functional(case, weights, slopes, optimizer):
    """The same steps, gradients by torch.func."""
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    rule = kind(weights, lr=RATE, fused=True)
    for _ in range(STEPS):
        for w, slope in zip(weights, slopes(weights), strict=True):
            w.grad = slope
        rule.step()


def prepare(case, variant, count, optimizer=None):
    case = CASES[case]
    torch.manual_seed(0)
    x, y = torch.randn(case.samples, case.features), torch.randint(case.classes, (case.samples,))
    if optimizer:
        run, networks = training_variant(case, variant, x, y, optimizer)
    else:
        run, networks = forward_variant(case, variant, x)

    def repeat():
        with torch.set_grad_enabled(optimizer is not None):
            for _ in range(count // networks):
                run()

    return repeat


if __name__ == "__main__":
    serve(prepare)
