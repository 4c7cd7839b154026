"""What all pictures share: colors that the color-blind tell apart (Okabe and Ito), axes without clutter."""

THEORY = "#D55E00"
SIMULATION = "#0072B2"
PALE = "#A6CEE3"
UNBIASED = "#009E73"
INK = "#333333"


def axes(ax, size=(5.2, 3.6)):
    """``ax``, or the axes of a figure of that size in inches, which works without a display."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def clean(ax):
    """No frame above and to the right, small labels."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")
