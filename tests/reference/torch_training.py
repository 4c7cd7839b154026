"""A network of the vocabulary in torch, by its plain description, trained in float64; imports nothing of ibtheory."""

import numpy as np
import torch

FUNCTIONS = {
    "activations.relu": torch.relu,
    "activations.tanh": torch.tanh,
    "activations.gelu": torch.nn.functional.gelu,
    "activations.erf": torch.erf,
}


class Model(torch.nn.Module):
    """``parameters`` by (number of the layer as it acts, kind): weights (fan_in, units), bias, scale, shift."""

    def __init__(self, description, parameters, *, affine):
        super().__init__()
        self.affine = affine
        self.layers = description["layers"]
        self.values = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in parameters.items()}
        self.running = {}
        self.masks = ()

    def forward(self, h, *, training=True):
        self.count, self.training_, self.left = 0, training, list(self.masks)
        return self._sequence(self.layers, h)

    def _sequence(self, layers, h):
        for layer in layers:
            if layer["kind"] == "Repeat":
                for _ in range(layer["times"]):
                    h = self._sequence(layer["block"], h)
            elif layer["kind"] == "Residual":
                h = h + self._sequence(layer["branch"], h)
                self.count += 1
            else:
                h = self._layer(layer, h)
        return h

    def _layer(self, layer, h):
        number, kind = self.count, layer["kind"]
        self.count += 1
        if kind == "Dense":
            h = h @ self.values[number, "weights"]
            return h + self.values[number, "bias"] if (number, "bias") in self.values else h
        if kind == "Activation":
            return FUNCTIONS[layer["function"]](h)
        if kind == "Dropout":
            return h * torch.tensor(self.left.pop(0)) if self.training_ else h
        h = self._normalized(layer, h, number)
        if self.affine:
            h = h * self.values[number, "scale"]
            return h + self.values[number, "shift"] if (number, "shift") in self.values else h
        return h * layer["scale"] + layer.get("shift", 0.0)

    def _normalized(self, layer, h, number):
        functional, eps = torch.nn.functional, layer["epsilon"]
        if layer["kind"] == "BatchNorm":
            if number not in self.running:
                width = h.shape[1]
                self.running[number] = torch.zeros(width, dtype=h.dtype), torch.ones(width, dtype=h.dtype)
            mean, variance = self.running[number]
            if self.training_:
                variance_now, mean_now = torch.var_mean(h, dim=0)
                mean.lerp_(mean_now.detach(), 0.1)
                variance.lerp_(variance_now.detach(), 0.1)
                mean, variance = mean_now, variance_now * (len(h) - 1) / len(h)
            return (h - mean) / torch.sqrt(variance + eps)  # torch's own refuses an epsilon of 0
        if layer["kind"] == "LayerNorm":
            return functional.layer_norm(h, h.shape[1:], eps=eps)
        if layer["kind"] == "GroupNorm":
            return functional.group_norm(h, layer["groups"], eps=eps)
        return h / torch.sqrt((h * h).mean(dim=1, keepdim=True) + eps)


def loss_of(name, logits, labels, weights):
    """Mean over samples of class weight times loss, by its definition."""
    weights = torch.tensor(weights)[labels]
    if logits.shape[1] == 1:
        target, f = 1.0 - 2.0 * labels, logits[:, 0]
        values = {
            "cross_entropy": torch.nn.functional.softplus(-target * f),
            "mse": 0.5 * (f - target) ** 2,
            "hinge": torch.relu(1 - target * f),
        }
    else:
        one_hot = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
        own = (logits * one_hot).sum(dim=1, keepdim=True)
        values = {
            "cross_entropy": torch.nn.functional.cross_entropy(logits, labels, reduction="none"),
            "mse": 0.5 * ((logits - one_hot) ** 2).sum(dim=1),
            "hinge": (torch.relu(1 + logits - own) * (1 - one_hot)).sum(dim=1),
        }
    return (weights * values[name]).mean()


def train(model, X, y, *, optimizer, loss, weights, batches, clip=None, factors=None, masks=None):
    """Losses of the batches before each step; ``batches``, ``masks``: rows, and masks of Dropout, of every step."""
    factors = np.ones(len(batches)) if factors is None else factors
    start = [group["lr"] for group in optimizer.param_groups]
    X, y = torch.tensor(X), torch.tensor(y)
    losses = []
    for step, rows in enumerate(batches):
        for group, rate in zip(optimizer.param_groups, start, strict=True):
            group["lr"] = rate * factors[step]
        model.masks = () if masks is None else masks[step]
        optimizer.zero_grad()
        value = loss_of(loss, model(X[rows]), y[rows], weights)
        value.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.values.values(), clip)
        optimizer.step()
        losses.append(value.item())
    return np.array(losses)
