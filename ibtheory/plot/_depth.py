"""gamma by the number of hidden layers."""

import numpy as np

from ibtheory.layers import Dense, flatten
from ibtheory.plot._canvas import INK, SIMULATION, THEORY, axes, clean

_LINEAR_UP_TO = 12.0


def gamma_by_depth(ensemble, prediction=None, ax=None, *, legend=True):
    """gamma of what each Dense layer puts out, by the number of hidden layers below it; the last are the logits.

    Parameters
    ----------
    ensemble : Ensemble
    prediction : Prediction, optional
    ax : matplotlib Axes, optional
    legend : bool

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    rows = dense_rows(ensemble)
    depth = np.arange(len(rows))
    layers = ensemble.layers[rows]
    if prediction is not None:
        theory = prediction.layers["gamma"][rows]
        ax.plot(depth, theory, color=THEORY, linewidth=1.8, label="theory", zorder=1)
    ax.errorbar(
        depth, layers["gamma"], layers["gamma_error"], fmt="o", color=SIMULATION, markersize=4, capsize=2,
        elinewidth=1, label="simulation", zorder=2,
    )  # fmt: skip
    ax.axhline(1.0, color=INK, linestyle=":", linewidth=1, label="neutral below, prejudiced above")
    gamma_scale(ax, layers["gamma"])
    _whole_ticks(ax, depth)
    ax.set_xlabel("hidden layers passed")
    ax.set_ylabel(r"drift ratio $\gamma$")
    if legend:
        ax.legend(frameon=False, fontsize="small")
    clean(ax)
    return ax


def dense_rows(ensemble):
    """Rows of the Dense layers in the table of layers, whose first row is the input."""
    steps = flatten(ensemble.network.steps(ensemble.inputs.features))
    return [row for row, step in enumerate(steps, start=1) if isinstance(step.layer, Dense)]


def _whole_ticks(ax, depth):
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(-0.3, max(depth[-1], 1) + 0.3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def gamma_scale(ax, values):
    finite = values[np.isfinite(values)]
    if finite.size and finite.max() > _LINEAR_UP_TO:
        ax.set_yscale("symlog", linthresh=1.0)
