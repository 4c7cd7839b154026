"""The picture of a phase diagram: c* as a shade, the edge of chaos and the neutrality line, regions by name."""

import numpy as np

from ibtheory.plot import _canvas

_SHADES = "cividis_r"


def phase_diagram(diagram, ax=None):
    """c* over weight and bias variance, with the edge of chaos, the neutrality line, and the phases by name.

    Parameters
    ----------
    diagram : PhaseDiagram
        Of at least 2 x 2 points.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    table, weight, bias = diagram.table, diagram.weight_variance, diagram.bias_variance
    if min(table.shape) < 2:
        raise ValueError(f"a phase diagram needs at least 2 x 2 points to be drawn, got {table.shape}")
    ax = _canvas.axes(ax, size=(5.6, 4.2))
    shades = ax.pcolormesh(
        weight, bias, table["c"], cmap=_SHADES, vmin=0, vmax=1, shading="nearest", rasterized=True, zorder=0
    )
    bar = ax.figure.colorbar(shades, ax=ax, pad=0.02)
    bar.set_label("correlation $c^*$ of the pre-activations", fontsize="small")
    bar.ax.tick_params(labelsize="small")
    lines = (
        ("edge of chaos, $\\chi_1 = 1$", table["chi_1"], 1.0, "white", "-"),
        ("neutrality, $\\gamma = 1$", np.nan_to_num(table["c"], nan=1.0), 0.5, _canvas.THEORY, "--"),
        ("no finite $q^*$ beyond", np.isinf(table["q"]).astype(float), 0.5, "#56B4E9", ":"),
    )
    for name, values, level, color, style in lines:
        if values.min() < level < values.max():
            ax.contour(weight, bias, values, [level], colors=[color], linestyles=style, linewidths=2.2, zorder=2)
            ax.plot([], [], color=color, linestyle=style, linewidth=2.2, label=name)
    _name_regions(ax, diagram)
    ax.set_xlabel("weight variance $\\sigma_w^2$")
    ax.set_ylabel("bias variance $\\sigma_b^2$")
    ax.set_xlim(weight[0], weight[-1])
    ax.set_ylim(bias[0], bias[-1])
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=True,
            facecolor="#9A9A9A", edgecolor="none", labelcolor="black",
        )  # fmt: skip
    _canvas.clean(ax)
    return ax


def _name_regions(ax, diagram):
    """The name of each region where it is widest."""
    from scipy import ndimage

    table = diagram.table
    chaotic = diagram.phase == "chaotic"
    regions = {
        "ordered\ndeeply prejudiced": (diagram.phase == "ordered") & (table["c"] == 1),
        "chaotic\ndeeply prejudiced": chaotic & (table["c"] == 1),
        "chaotic\nprejudiced": chaotic & (table["c"] < 1) & (table["gamma"] > 1),
        "chaotic\nneutral": chaotic & (table["gamma"] <= 1) & (table["gamma"] > 0),
        "chaotic\nunbiased": chaotic & (table["gamma"] == 0),
    }
    for name, region in regions.items():
        depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
        if depth.max() < 3:
            continue
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        light = table["c"][row, column] < 0.5
        ax.text(
            diagram.weight_variance[column], diagram.bias_variance[row], name, ha="center", va="center",
            fontsize="small", color="black" if light else "white", zorder=3,
        )  # fmt: skip
