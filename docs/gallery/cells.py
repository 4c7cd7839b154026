"""The gallery's numbers and pictures: drift and gradient factor for every initialization, activation and placement."""

from functools import cache

import numpy as np

import ibtheory as ib
from ibtheory import gaussian

INITS = ("he", "lecun", "xavier", "torch", "keras")
ACTIVATIONS = ("relu", "gelu", "silu", "elu", "selu", "softplus", "tanh", "erf")
CELLS = {
    "none": ("none", "after"),
    **{f"{norm} {place}": (norm, place) for norm in ("batch", "layer", "rms") for place in ("before", "after")},
}
FEATURES, WIDTH, DEPTH = 1000, 256, 10


@cache
def cell(init, activation, norm, placement):
    """(gamma of the logits, gradient factor of the last hidden layer)."""
    net = ib.mlp(WIDTH, DEPTH, activation=activation, norm=norm, placement=placement, init=init)
    unrolled = ib.Network(net.layers[0].block * DEPTH + net.layers[-1:])  # the limit of depth is not asked for
    p = ib.predict(unrolled, ib.GaussianInputs(FEATURES))
    dense = net.layers[0].block[0]
    weight, bias = dense.variances(WIDTH)
    if norm == "none":
        q = p.layers["same"][[name.startswith("dense") for name in p.layers["name"]]][-1]
        return p.gamma, weight * float(gaussian.derivative_dual(activation, q, q, 1.0))
    return p.gamma, ib.gradient_factor(activation, norm, placement, weight_variance=weight, bias_variance=bias)


def table(init):
    """All activations and placements of one initialization, as Markdown: gamma over chi."""
    lines = ["| | " + " | ".join(CELLS) + " |", "|---" * (len(CELLS) + 1) + "|"]
    for activation in ACTIVATIONS:
        numbers = [cell(init, activation, *place) for place in CELLS.values()]
        lines.append(f"| **{activation}** | " + " | ".join(f"{_short(g)}<br>{_short(c)}" for g, c in numbers) + " |")
    return "\n".join(lines)


def _short(value):
    if abs(value) < 5e-7:
        return "0"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 else f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-")


def drifts(init="he"):
    """gamma of every activation and placement, as a picture."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    values = np.array([[cell(init, a, *place)[0] for place in CELLS.values()] for a in ACTIVATIONS])
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(np.clip(values, 1e-3, 1e3), cmap="viridis", norm=LogNorm(1e-3, 1e3), aspect="auto")
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        color = "black" if value > 3 else "white"
        ax.text(column, row, _short(value), ha="center", va="center", fontsize="small", color=color)
    ax.set_xticks(range(len(CELLS)), CELLS, rotation=20)
    ax.set_yticks(range(len(ACTIVATIONS)), ACTIVATIONS)
    figure.colorbar(image, label=r"drift ratio $\gamma$ of the logits")
    return figure


def trade():
    """gamma against chi of the placements with a norm: neutral starts pay with growing gradients."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = figure.subplots()
    for (name, place), marker in zip(list(CELLS.items())[1:], "osD^vP", strict=True):
        g, c = np.array([cell("he", activation, *place) for activation in ACTIVATIONS]).T
        ax.scatter(c, np.clip(g, 1e-6, None), marker=marker, s=26, alpha=0.8, label=name)
    ax.set_yscale("symlog", linthresh=1e-2)
    ax.axhline(1.0, color="#333333", linestyle=":", linewidth=1)
    ax.axvline(1.0, color="#333333", linestyle=":", linewidth=1)
    ax.set_xlabel(r"gradient factor $\chi$ per layer")
    ax.set_ylabel(r"drift ratio $\gamma$ of the logits")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    return figure
