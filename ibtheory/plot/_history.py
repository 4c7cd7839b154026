"""Picture of learning curves: every network a thin line, median and quartiles over them."""

import numpy as np

from ibtheory.plot._canvas import SIMULATION, THEORY, clean

_RUNS = 100  # thin lines at most


def history(h, axes=None, *, data="train"):
    """Loss, and recall of the classes that were first and last in the initial predictions, by step.

    Every network is a thin line (the first 100 of them), the median over networks a thick one, and half of the
    networks lie in the band.

    Parameters
    ----------
    h : History
    axes : two matplotlib Axes, optional
    data : {"train", "held_out"}

    Returns
    -------
    array of two matplotlib.axes.Axes
    """
    losses = h.loss if data == "train" else h.held_out_loss
    recalls = h.ordered("recall", data)
    left, right = _two(axes)
    _bundle(left, h.steps, losses, SIMULATION, "loss, median and quartiles")
    _bundle(right, h.steps, recalls[:, :, -1], THEORY, "class of the smallest initial share")
    _bundle(right, h.steps, recalls[:, :, 0], SIMULATION, "class of the largest initial share")
    left.set_ylabel(f"{h.objective.replace('_', ' ')} loss")
    right.set_ylabel("recall")
    right.set_ylim(-0.02, 1.02)
    for ax in (left, right):
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, h.steps[-1])
        ax.set_xlabel("step")
        ax.legend(frameon=False, fontsize="small")
        clean(ax)
    return np.array([left, right])


def _two(axes):
    if axes is not None:
        left, right = axes
        return left, right
    from matplotlib.figure import Figure

    return Figure(figsize=(9, 3.4), layout="constrained").subplots(1, 2)


def _bundle(ax, steps, values, color, label):
    """Single networks, then their median and quartiles; a network that diverged counts as NaN from there on."""
    ax.plot(steps, values[:_RUNS].T, color=color, linewidth=0.5, alpha=min(1.0, 8 / min(len(values), _RUNS)), zorder=1)
    seen = np.isfinite(values).any(axis=0)
    low, middle, high = np.nanquantile(values[:, seen], (0.25, 0.5, 0.75), axis=0)
    ax.fill_between(steps[seen], low, high, color=color, alpha=0.2, linewidth=0, zorder=2)
    ax.plot(steps[seen], middle, color=color, linewidth=2, label=label, zorder=3)
