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


def _batch_norm(h, layer, batch, **_):
    if layer["mode"] == "running":
        return h / math.sqrt(1 + layer["epsilon"]) * layer["scale"] + layer["shift"]
    out = np.empty_like(h)
    for start in range(0, len(h), batch):
        for j in range(h.shape[1]):
            out[start : start + batch, j] = _normalize(list(h[start : start + batch, j]), layer)
    return out


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


_RULES = {
    "Dense": _dense,
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "GroupNorm": _group_norm,
}


def forward(description, X, parameters, *, batch=None, functions=FUNCTIONS):
    """Activations (samples, features) of the input and of every layer, in the order in which they act."""
    parameters = iter(parameters)
    values = [np.asarray(X, float)]

    def run(layers):
        for layer in layers:
            if layer["kind"] == "Repeat":
                for _ in range(layer["times"]):
                    run(layer["block"])
            elif layer["kind"] == "Residual":
                stream = values[-1]
                run(layer["branch"])
                values.append(stream + values[-1])
            else:
                rule = _RULES[layer["kind"]]
                context = {"parameters": parameters, "batch": batch or len(X), "functions": functions}
                values.append(rule(values[-1], layer, **context))

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
    """Mean over logits of the skewness and of the excess kurtosis over samples."""
    skewness, kurtosis = [], []
    for column in logits.T:
        around = column - column.mean()
        variance = np.mean(around**2)
        skewness.append(np.mean(around**3) / variance**1.5)
        kurtosis.append(np.mean(around**4) / variance**2 - 3)
    return np.mean(skewness), np.mean(kurtosis)


def agreement(logits):
    """Share of ordered pairs of distinct samples with the same predicted class."""
    if logits.shape[1] == 1:
        classes = [0 if row[0] > 0 else 1 for row in logits]
    else:
        classes = [int(np.argmax(row)) for row in logits]
    samples = len(classes)
    same = sum(classes[x] == classes[y] for x in range(samples) for y in range(samples) if x != y)
    return same / (samples * (samples - 1))
