"""Law of a logit over the data."""

import numpy as np

from ibtheory.output import EDGES
from ibtheory.plot._canvas import SIMULATION, THEORY, axes, clean


def output(ensemble, prediction=None, ax=None, *, legend=True):
    """Law of a logit over the data, in its own standard deviations about its mean, on a logarithmic scale.

    The mean of the laws of all networks, with standard errors, against theory and against a Gaussian.

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
    width = EDGES[1] - EDGES[0]
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    density, error = ensemble.histogram[1:-1] / width, np.nan_to_num(ensemble.histogram_error[1:-1]) / width
    lowest = 0.5 * np.exp(-0.5 * 4.25**2) / np.sqrt(2 * np.pi)
    x = np.linspace(EDGES[0], EDGES[-1], 401)
    gaussian = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    ax.fill_between(x, lowest, gaussian, color="#EEEEEE", linewidth=0, label="Gaussian", zorder=0)
    if prediction is not None:
        theory = prediction.output.shares(ensemble.samples)[1:-1] / width
        ax.stairs(np.maximum(theory, lowest / 10), EDGES, color=THEORY, linewidth=1.6, label="theory", baseline=None)
    seen = density > lowest
    error = np.minimum(error, 0.9 * density)  # a bar down to 0 has no place on this scale
    ax.errorbar(
        middle[seen], density[seen], error[seen], fmt="o", color=SIMULATION, markersize=3, elinewidth=1,
        label="simulation", zorder=2,
    )  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(lowest, 0.8)
    ax.set_xlim(EDGES[0], EDGES[-1])
    ax.set_xlabel("deviation of a logit from its mean, in $\\sigma$")
    ax.set_ylabel("density over the data")
    if legend:
        ax.legend(frameon=False, fontsize="small")
    clean(ax)
    return ax
