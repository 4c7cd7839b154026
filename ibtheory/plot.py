"""Pictures: class fractions against their law, gamma by depth, all placements side by side, z-scores.

Each function draws into ``ax`` (or a new figure) and returns the Axes; :func:`placements` returns the Figure.
Nothing is shown or saved, and every figure works without a display. Bars and dots are simulation, lines are theory,
in the color-blind safe colors of Okabe and Ito.
"""

import numpy as np

from ibtheory._canvas import INK, PALE, SIMULATION, THEORY, UNBIASED
from ibtheory._canvas import axes as _axes
from ibtheory._canvas import clean as _clean
from ibtheory._history_plot import history
from ibtheory._phase_plot import phase_diagram
from ibtheory.layers import Dense, flatten
from ibtheory.output import EDGES

__all__ = [
    "class_fraction",
    "comparison",
    "comparisons",
    "gamma_by_depth",
    "history",
    "output",
    "outputs",
    "phase_diagram",
    "placements",
]

_BINS = 20
_LINEAR_UP_TO = 12.0


def class_fraction(ensemble, prediction=None, ax=None, *, legend=True):
    """Law of the class fractions: share of networks in each bin, with standard errors, against theory.

    f_0 for two classes, f_max (the share of the data given to the favored class) for more.

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
    ax = _axes(ax)
    two = ensemble.classes == 2
    fractions = ensemble.readout_fractions
    values = fractions[:, :, 0] if two else fractions.max(axis=2)
    edges = np.linspace(0.0 if two else 1 / ensemble.classes, 1.0, _BINS + 1)
    shares, error = _shares(values, edges)
    middle = (edges[1:] + edges[:-1]) / 2
    ax.bar(middle, shares, width=np.diff(edges), color=PALE, edgecolor="white", label="simulation", zorder=1)
    ax.errorbar(middle, shares, error, fmt="none", ecolor=SIMULATION, elinewidth=1, zorder=2)
    if prediction is not None:
        theory = _expected_shares(prediction, edges)
        ax.stairs(theory, edges, color=THEORY, linewidth=1.8, label="theory", zorder=3)
    unbiased = 1 / ensemble.classes
    ax.axvline(unbiased, color=UNBIASED, linestyle=":", linewidth=1.6, label=f"unbiased: {unbiased:.3g}", zorder=4)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, None)
    ax.set_xlabel("share of the data given to class 0" if two else "share of the favored class, $f_{max}$")
    ax.set_ylabel("share of networks")
    if legend:
        ax.legend(frameon=False, fontsize="small")
    _clean(ax)
    return ax


def _shares(values, edges):
    """Share of readouts per bin and its standard error, networks being the unit."""
    bins = _bins(values, edges)
    hits = (bins[:, :, None] == np.arange(len(edges) - 1)).mean(axis=1)
    error = hits.std(axis=0, ddof=1) / np.sqrt(len(hits)) if len(hits) > 1 else np.zeros(len(edges) - 1)
    return hits.mean(axis=0), error


def _bins(values, edges):
    """Index of the bin of each value; one on an edge, give or take rounding, belongs to the bin above."""
    index = np.searchsorted(edges, np.asarray(values) + 1e-9, side="right") - 1
    return np.clip(index, 0, len(edges) - 2)


def _expected_shares(prediction, edges):
    """Probability of each bin; of finitely many samples the counts are drawn from the law, with a fixed seed."""
    law, two = prediction.class_fraction, prediction.classes == 2
    if prediction.samples is None:
        cdf = np.asarray((law if two else law.max).cdf(edges), dtype=float)
        cdf[0], cdf[-1] = 0.0, 1.0
        return np.diff(cdf)
    draws = max(2**11, min(2**16, 2**18 // prediction.classes))
    fractions = law.joint_rvs(draws, 0)
    counts = np.random.default_rng(1).multinomial(prediction.samples, fractions)
    values = (counts[:, 0] if two else counts.max(axis=1)) / prediction.samples
    return np.bincount(_bins(values, edges), minlength=len(edges) - 1) / draws


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
    ax = _axes(ax)
    rows = _dense_rows(ensemble)
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
    _gamma_scale(ax, layers["gamma"])
    _whole_ticks(ax, depth)
    ax.set_xlabel("hidden layers passed")
    ax.set_ylabel(r"drift ratio $\gamma$")
    if legend:
        ax.legend(frameon=False, fontsize="small")
    _clean(ax)
    return ax


def _dense_rows(ensemble):
    """Rows of the Dense layers in the table of layers, whose first row is the input."""
    steps = flatten(ensemble.network.steps(ensemble.inputs.features))
    return [row for row, step in enumerate(steps, start=1) if isinstance(step.layer, Dense)]


def _whole_ticks(ax, depth):
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(-0.3, max(depth[-1], 1) + 0.3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _gamma_scale(ax, values):
    finite = values[np.isfinite(values)]
    if finite.size and finite.max() > _LINEAR_UP_TO:
        ax.set_yscale("symlog", linthresh=1.0)


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
    _gamma_scale(axes[1, 0], np.concatenate([e.layers["gamma"][_dense_rows(e)] for e in ensembles.values()]))
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
    heights = [max((patch.get_height() for patch in ax.patches[:_BINS]), default=0.0) for ax in axes[0]]
    top = min(max(heights) * 1.1, max(np.median(heights) * 2.0, 0.3))
    axes[0, 0].set_ylim(0, top)
    for ax, height in zip(axes[0], heights, strict=True):
        if height > top:
            bar = max(ax.patches[:_BINS], key=lambda patch: patch.get_height())
            right = bar.get_x() + 2.2 * bar.get_width()
            ax.text(right, 0.95 * top, f"{height:.2f} $\\uparrow$", fontsize="x-small", va="top", color=SIMULATION)


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
    ax = _axes(ax)
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
    _clean(ax)
    return ax


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


def comparison(result, ax=None):
    """z-scores of a Comparison, one row per quantity, against the band of its simultaneous level.

    Parameters
    ----------
    result : Comparison
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    shown = scored(result)
    rows, rejected = result.rows[shown], result.rejected[shown]
    ax = _axes(ax, size=(6.0, 1.2 + 0.22 * max(len(rows), 3)))
    band = _band(result)
    ax.axvspan(-band, band, color="#EEEEEE", zorder=0, label=f"consistent at level {result.alpha:g}")
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    place = np.arange(len(rows))
    for mask, color, marker, label in (
        (~rejected, SIMULATION, "o", "theory against simulation"),
        (rejected, THEORY, "D", "rejected"),
    ):
        if mask.any():
            ax.scatter(rows["z"][mask], place[mask], color=color, marker=marker, s=22, label=label, zorder=2)
    ax.set_yticks(place, [f"{row['layer']}  {row['quantity']}" for row in rows], fontsize="x-small")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    reach = max(1.15 * band, 1.1 * np.abs(rows["z"]).max(initial=0.0))
    ax.set_xlim(-reach, reach)
    ax.set_xlabel("z-score (simulation $-$ theory, in standard errors)")
    ax.legend(frameon=False, fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    _clean(ax)
    return ax


def comparisons(results, ax=None):
    """z-scores of several Comparisons, one column of dots for each, against the widest of their bands.

    Parameters
    ----------
    results : dict of str to Comparison
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if not results:
        raise ValueError("comparisons() needs at least one Comparison, got an empty dict")
    ax = _axes(ax, size=(max(1.1 * len(results), 4.0) + 0.8, 3.4))
    band = max(_band(result) for result in results.values())
    ax.axhspan(-band, band, color="#EEEEEE", zorder=0, label="consistent")
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    reach = 1.15 * band
    for column, result in enumerate(results.values()):
        shown = scored(result)
        z, rejected = result.rows["z"][shown], result.rejected[shown]
        # Spread sideways by rank in a fixed pattern, so that equal scores stay apart and the picture is reproducible.
        place = column + 0.5 * ((np.arange(len(z)) * 0.618034) % 1 - 0.5)
        ax.scatter(place[~rejected], z[~rejected], color=SIMULATION, s=12, alpha=0.7, linewidths=0, zorder=2)
        ax.scatter(place[rejected], z[rejected], color=THEORY, marker="D", s=18, zorder=3)
        reach = max(reach, 1.1 * np.abs(z).max(initial=0.0))
    ax.scatter([], [], color=SIMULATION, s=12, label="quantity")
    ax.scatter([], [], color=THEORY, marker="D", s=18, label="rejected")
    ax.set_ylim(-reach, reach)
    ax.set_xlim(-0.5, len(results) - 0.5)
    ax.set_xticks(range(len(results)), results.keys())
    ax.set_ylabel("z-score")
    ax.legend(frameon=False, fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    _clean(ax)
    return ax


def scored(result):
    """(rows,) bool: the rows of a Comparison that have a z-score; those without spread are compared to rounding."""
    return np.isfinite(result.rows["z"]) & ~result.rows["exact"]


def _band(result):
    """Largest |z| that a simultaneous level lets pass (Bonferroni, the first step of Holm)."""
    from scipy import stats

    return stats.norm.isf(result.alpha / (2 * max(scored(result).sum(), 1)))
