"""Law of the class fractions: bars of simulation, the stairs of theory."""

import numpy as np

from ibtheory.plot._canvas import PALE, SIMULATION, THEORY, UNBIASED, axes, clean

BINS = 20


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
    ax = axes(ax)
    two = ensemble.classes == 2
    fractions = ensemble.readout_fractions
    values = fractions[:, :, 0] if two else fractions.max(axis=2)
    edges = np.linspace(0.0 if two else 1 / ensemble.classes, 1.0, BINS + 1)
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
    clean(ax)
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
