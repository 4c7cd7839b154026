"""z-scores of theory against simulation."""

import numpy as np

from ibtheory.plot._canvas import INK, SIMULATION, THEORY, axes, clean


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
    ax = axes(ax, size=(6.0, 1.2 + 0.22 * max(len(rows), 3)))
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
    clean(ax)
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
    ax = axes(ax, size=(max(1.1 * len(results), 4.0) + 0.8, 3.4))
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
    clean(ax)
    return ax


def scored(result):
    """(rows,) bool: the rows of a Comparison that have a z-score; those without spread are compared to rounding."""
    return np.isfinite(result.rows["z"]) & ~result.rows["exact"]


def _band(result):
    """Largest |z| that a simultaneous level lets pass (Bonferroni, the first step of Holm)."""
    from scipy import stats

    return stats.norm.isf(result.alpha / (2 * max(scored(result).sum(), 1)))
