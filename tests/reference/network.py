"""A network and its statistics in plain loops: NumPy in float64, no ibtheory.

A network is described by the plain data of ``Network.to_dict()``. Everything follows definitions, not the formulas of
the package: pair averages are sums over pairs.
"""

import math

import numpy as np

FUNCTIONS = {
    "activations.relu": lambda v: max(v, 0.0),
    "activations.abs": abs,
    "activations.linear": lambda v: v,
    "activations.leaky_relu(0.2)": lambda v: v if v > 0 else 0.2 * v,
    "activations.erf": math.erf,
    "activations.tanh": math.tanh,
    "activations.gelu": lambda v: 0.5 * v * math.erfc(-v / math.sqrt(2)),
    "activations.sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "activations.silu": lambda v: v / (1 + math.exp(-v)),
    "activations.softplus": lambda v: math.log1p(math.exp(v)),
    "activations.mish": lambda v: v * math.tanh(math.log1p(math.exp(v))),
}


def _normalize(values, layer, *, centred=True):
    """A list of numbers, centred and divided by the root of variance + epsilon; 0/0 is 0."""
    mean = math.fsum(values) / len(values) if centred else 0.0
    variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
    if max(values) == min(values) and centred:
        mean, variance = values[0], 0.0
    total = variance + layer["epsilon"]
    factor = 0.0 if total == 0 else 1 / math.sqrt(total)
    return [(v - mean) * factor * layer["scale"] + layer.get("shift", 0.0) for v in values]


def _dense(h, layer, parameters, **_):
    W, b = next(parameters)
    out = np.empty((len(h), layer["units"]))
    for x in range(len(h)):
        for j in range(layer["units"]):
            out[x, j] = math.fsum(h[x, i] * W[i, j] for i in range(len(W))) + (0.0 if b is None else b[j])
    return out


def _activation(h, layer, functions, **_):
    function = functions[layer["function"]]
    return np.array([[function(v) for v in row] for row in h])


def _batch_norm(h, layer, batch, running, training, **_):
    if layer["mode"] == "running":
        statistics = running.setdefault(id(layer), [np.zeros(h.shape[1]), np.ones(h.shape[1]), 0])
        if not training:
            mean, variance, _ = statistics
            return (h - mean) / np.sqrt(variance + layer["epsilon"]) * layer["scale"] + layer["shift"]
        _follow(statistics, h, layer)
    out = np.empty_like(h)
    for start in range(0, len(h), batch):
        for j in range(h.shape[1]):
            out[start : start + batch, j] = _normalize(list(h[start : start + batch, j]), layer)
    return out


def _follow(statistics, h, layer):
    """Update running [mean, variance, batches seen] as torch.nn.BatchNorm1d does in training mode."""
    mean, variance, seen = statistics
    if seen == layer["batches"]:
        return
    momentum = 1 / (seen + 1) if layer["momentum"] is None else layer["momentum"]
    for j in range(h.shape[1]):
        column = list(h[:, j])
        center = math.fsum(column) / len(column)
        unbiased = math.fsum((v - center) ** 2 for v in column) / (len(column) - 1)
        mean[j] = (1 - momentum) * mean[j] + momentum * center
        variance[j] = (1 - momentum) * variance[j] + momentum * unbiased
    statistics[2] += 1


def _layer_norm(h, layer, **_):
    return np.array([_normalize(list(row), layer) for row in h])


def _rms_norm(h, layer, **_):
    return np.array([_normalize(list(row), layer, centred=False) for row in h])


def _group_norm(h, layer, **_):
    rows = []
    for row in h:
        groups = np.split(row, layer["groups"])
        rows.append([v for group in groups for v in _normalize(list(group), layer)])
    return np.array(rows)


def _feature_pool(h, layer, **_):
    reduce = {"max": max, "min": min, "average": lambda block: math.fsum(block) / len(block)}[layer["reduction"]]
    rows = []
    for row in h:
        blocks = [list(row[start : start + layer["size"]]) for start in range(0, len(row), layer["size"])]
        rows.append([reduce(block) for block in blocks for _ in block])
    return np.array(rows)


_RULES = {
    "FeaturePool": _feature_pool,
    "Dense": _dense,
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "GroupNorm": _group_norm,
}


def forward(description, X, parameters, *, batch=None, functions=FUNCTIONS):
    """Activations (samples, features) of the input and of every layer, in the order in which they act.

    Running statistics first see the consecutive batches of the data, each in training mode, from the first again after
    the last.
    """
    description, parameters, X = _unrolled(description), list(parameters), np.asarray(X, float)
    context = {"batch": batch or len(X), "functions": functions, "running": {}}
    batches = np.split(X, len(X) // context["batch"])
    for index in range(max([layer.get("batches", 0) for layer in _flat(description["layers"])])):
        _pass(description, batches[index % len(batches)], parameters, training=True, **context)
    return _pass(description, X, parameters, training=False, **context)


def _unrolled(description):
    """A copy in which the layers of every repetition are objects of their own."""

    def copies(layers):
        for layer in layers:
            if layer["kind"] == "Repeat":
                for _ in range(layer["times"]):
                    yield from copies(layer["block"])
            else:
                inner = {"branch": list(copies(layer["branch"]))} if layer["kind"] == "Residual" else {}
                yield dict(layer) | inner

    return {"layers": list(copies(description["layers"]))}


def _flat(layers):
    for layer in layers:
        yield from _flat(layer.get("branch", []))
        yield layer


def _pass(description, X, parameters, **context):
    parameters = iter(parameters)
    values = [X]

    def run(layers):
        for layer in layers:
            if layer["kind"] == "Residual":
                stream = values[-1]
                run(layer["branch"])
                values.append(stream + values[-1])
            else:
                rule = _RULES[layer["kind"]]
                values.append(rule(values[-1], layer, parameters=parameters, **context))

    run(description["layers"])
    return values


def statistics(h):
    """same, cross, gap, mean of activations (samples, features), by sums over samples and pairs."""
    samples, features = h.shape
    same = sum(float(row @ row) for row in h) / (samples * features)
    cross = gap = 0.0
    for x in range(samples):
        for y in range(samples):
            if x != y:
                cross += float(h[x] @ h[y])
                gap += float((h[x] - h[y]) @ (h[x] - h[y])) / 2
    pairs = samples * (samples - 1) * features
    return np.array([same, cross / pairs, gap / pairs, h.mean()])


def class_counts(logits):
    """Predictions per class."""
    classes = max(2, logits.shape[1])
    counts = [0] * classes
    for row in logits:
        if len(row) == 1:
            counts[0 if row[0] > 0 else 1] += 1
        else:
            counts[list(row).index(max(row))] += 1
    return np.array(counts)


def shape(logits):
    """Mean over logits of skewness, m2, m2^2, m3^2, m4 (central moments), z^2, z^4, tails beyond 2 and 3."""
    rows = []
    for column in logits.T:
        around = column - column.mean()
        m2, m3, m4 = (np.mean(around**k) for k in (2, 3, 4))
        tails = [np.mean(np.abs(around) > t * np.sqrt(m2)) for t in (2, 3)]
        rows.append([m3 / m2**1.5, m2, m2**2, m3**2, m4, np.mean(column**2), np.mean(column**4), *tails])
    return np.mean(rows, axis=0)


def agreement(logits):
    """Share of ordered pairs of distinct samples with the same predicted class."""
    if logits.shape[1] == 1:
        classes = [0 if row[0] > 0 else 1 for row in logits]
    else:
        classes = [int(np.argmax(row)) for row in logits]
    samples = len(classes)
    same = sum(classes[x] == classes[y] for x in range(samples) for y in range(samples) if x != y)
    return same / (samples * (samples - 1))
