"""All cells side by side: one column a placement of the norm, its name and its numbers above."""

import numpy as np

from ibtheory.plot._canvas import SIMULATION, THEORY
from ibtheory.plot._depth import dense_rows, gamma_by_depth, gamma_scale
from ibtheory.plot._fractions import BINS, class_fraction
from ibtheory.plot._output import output


def placements(ensembles, predictions=None, *, title=None):
    """All cells side by side: law of the class fractions above, gamma by depth below, on shared axes.

    Parameters
    ----------
    ensembles : dict of str to Ensemble
        Name of a cell, e.g. "batch before", to its simulation; all with the same number of classes.
    predictions : dict of str to Prediction, optional
        By the same names.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    if not ensembles:
        raise ValueError("placements() needs at least one ensemble, got an empty dict")
    predictions = predictions or {}
    count = len(ensembles)
    figure = Figure(figsize=(max(1.75 * count, 4.2) + 0.8, 5.6), layout="constrained")
    axes = figure.subplots(2, count, sharey="row", squeeze=False)
    for column, (name, ensemble) in enumerate(ensembles.items()):
        top, bottom = axes[:, column]
        prediction = predictions.get(name)
        class_fraction(ensemble, prediction, top, legend=False)
        gamma_by_depth(ensemble, prediction, bottom, legend=False)
        top.set_xlabel("$f_0$" if ensemble.classes == 2 else "$f_{max}$")
        bottom.set_xlabel("hidden layers")
        top.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        _heading(top, name, ensemble, prediction)
        if column:
            top.set_ylabel("")
            bottom.set_ylabel("")
    gamma_scale(axes[1, 0], np.concatenate([e.layers["gamma"][dense_rows(e)] for e in ensembles.values()]))
    _common_limits(axes)
    known = {}
    for ax in axes[:, 0]:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    figure.legend(
        known.values(),
        known.keys(),
        loc="outside lower center",
        ncols=4 if count > 3 else 2,
        frameon=False,
        fontsize="small",
    )
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def outputs(ensembles, predictions=None):
    """Law of a logit over the data for all cells side by side, see :func:`output`.

    Parameters
    ----------
    ensembles : dict of str to Ensemble
        Name of a cell, e.g. "batch before", to its simulation.
    predictions : dict of str to Prediction, optional
        By the same names.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    if not ensembles:
        raise ValueError("outputs() needs at least one ensemble, got an empty dict")
    predictions = predictions or {}
    figure = Figure(figsize=(max(1.75 * len(ensembles), 4.2) + 0.8, 3.2), layout="constrained")
    axes = figure.subplots(1, len(ensembles), sharey=True, squeeze=False)[0]
    for ax, (name, ensemble) in zip(axes, ensembles.items(), strict=True):
        prediction = predictions.get(name)
        output(ensemble, prediction, ax, legend=False)
        ax.set_xlabel("deviation / $\\sigma$")
        ax.set_xticks([-4, -2, 0, 2, 4])
        lines = [(f"sim. {_measured(ensemble.kurtosis, ensemble.kurtosis_error)}", SIMULATION)]
        if prediction is not None:
            lines.append((f"kurtosis = {prediction.output.kurtosis:.3f}", THEORY))
        _title(ax, name, lines)
        if ax is not axes[0]:
            ax.set_ylabel("")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def _heading(ax, name, ensemble, prediction):
    """Name of the cell and its E f_max by theory and simulation."""
    lines = [(f"sim. {_measured(ensemble.max_fraction, ensemble.max_fraction_error)}", SIMULATION)]
    if prediction is not None:
        lines.append((f"E $f_{{max}}$ = {prediction.max_fraction:.3f}", THEORY))
    _title(ax, name, lines)


def _title(ax, name, lines):
    """Name of the cell and lines of (text, color) below it, above the axes where nothing is drawn."""
    for line, (text, color) in enumerate(lines):
        ax.annotate(
            text, (0.5, 1), (0, 4 + 12 * line), xycoords="axes fraction", textcoords="offset points",
            ha="center", fontsize="small", color=color,
        )  # fmt: skip
    ax.set_title(name, fontsize="medium", fontweight="bold", pad=8 + 12 * len(lines))


def _measured(value, error):
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3f}"
    digits = int(np.clip(np.ceil(-np.log10(error)), 3, 6))
    return f"{value:.{digits}f} $\\pm$ {error:.{digits}f}"


def _common_limits(axes):
    """A cell without any bias fills one bin: let it leave the top, its height written, so the others stay legible."""
    heights = [max((patch.get_height() for patch in ax.patches[:BINS]), default=0.0) for ax in axes[0]]
    top = min(max(heights) * 1.1, max(np.median(heights) * 2.0, 0.3))
    axes[0, 0].set_ylim(0, top)
    for ax, height in zip(axes[0], heights, strict=True):
        if height > top:
            bar = max(ax.patches[:BINS], key=lambda patch: patch.get_height())
            right = bar.get_x() + 2.2 * bar.get_width()
            ax.text(right, 0.95 * top, f"{height:.2f} $\\uparrow$", fontsize="x-small", va="top", color=SIMULATION)
