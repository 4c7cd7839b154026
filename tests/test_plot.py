"""Pictures: they show the numbers they were given, carry labels, and need no display."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ibtheory import plot, results, zoo
from ibtheory.inputs import GaussianInputs
from ibtheory.output import EDGES
from ibtheory.simulation import simulate
from ibtheory.theory import predict

INPUTS = GaussianInputs(30)


def pair(classes=2, norm="none", depth=2):
    net = zoo.mlp(16, depth, classes, norm=norm)
    return predict(net, INPUTS, samples=40), simulate(net, INPUTS, networks=12, samples=40, readouts=3)


@pytest.fixture(scope="module", params=[2, 4])
def both(request):
    return pair(request.param)


def bars(ax):
    return np.array([patch.get_height() for patch in ax.patches[:20]])


def comparison(z, p_value=0.5, exact=False):
    rows = np.zeros(len(z), results.COMPARISON_ROW)
    rows["layer"], rows["quantity"] = "logits", "gamma"
    rows["z"], rows["p_value"], rows["exact"] = z, p_value, exact
    return results.Comparison(zoo.mlp(8, 2), 0.05, rows)


def test_bars_and_theory_sum_to_one(both):
    prediction, ensemble = both
    ax = plot.class_fraction(ensemble, prediction)
    assert bars(ax).sum() == pytest.approx(1)
    (theory,) = [patch for patch in ax.patches if hasattr(patch, "get_data")]
    assert theory.get_data().values.sum() == pytest.approx(1)
    assert theory.get_data().values.min() >= 0
    labels = ax.get_legend_handles_labels()[1]
    assert sorted(labels) == sorted(["simulation", "theory", f"unbiased: {1 / ensemble.classes:.3g}"])
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_a_bar_is_the_share_of_networks_in_its_bin():
    _, ensemble = pair(2)
    heights = bars(plot.class_fraction(ensemble))
    f = ensemble.readout_fractions[:, :, 0]
    shares = np.histogram(f, np.linspace(0, 1, 21) - 1e-9)[0] / f.size  # 40 samples: fractions fall on the edges
    np.testing.assert_allclose(heights[:-1], shares[:-1], atol=1e-12)
    assert heights.sum() == pytest.approx(1)


def test_gamma_by_depth_shows_dense_layers(both):
    prediction, ensemble = both
    ax = plot.gamma_by_depth(ensemble, prediction)
    line = next(line for line in ax.lines if line.get_label() == "theory")
    names = ["dense 1", "dense 2", "logits"]
    expected = [prediction.layers["gamma"][prediction.layers["name"] == name][0] for name in names]
    np.testing.assert_array_equal(line.get_ydata(), expected)
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
    points = ax.containers[0].lines[0].get_ydata()
    np.testing.assert_array_equal(points, [ensemble.layers["gamma"][ensemble.layers["name"] == n][0] for n in names])


def test_placements_side_by_side():
    cells = {norm: pair(3, norm) for norm in ("none", "batch", "layer")}
    ensembles = {name: ensemble for name, (_, ensemble) in cells.items()}
    predictions = {name: prediction for name, (prediction, _) in cells.items() if name != "layer"}
    figure = plot.placements(ensembles, predictions, title="a title")
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 6
    assert [ax.get_title() for ax in figure.axes[:3]] == ["none", "batch", "layer"]
    top, bottom = figure.axes[:3], figure.axes[3:]
    assert len({ax.get_ylim() for ax in top}) == 1
    assert len({ax.get_ylim() for ax in bottom}) == 1
    assert no_overlap(figure)
    with pytest.raises(ValueError, match="at least one"):
        plot.placements({})


def no_overlap(figure):
    """Whether the texts around the axes keep clear of each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = []
    for ax in figure.axes:
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
        boxes += [text.get_window_extent(renderer) for text in texts if text.get_text()]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    return not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_deep_networks_get_a_logarithmic_axis():
    _, ensemble = pair(2)
    ensemble.layers["gamma"][-1] = 1e6
    assert plot.gamma_by_depth(ensemble).get_yscale() == "symlog"


def test_comparison_marks_rejected_rows():
    result = comparison([0.5, -7.0, np.nan], p_value=[0.6, 1e-11, np.nan])
    ax = result.plot()
    places = {scatter.get_label(): scatter.get_offsets()[:, 0].tolist() for scatter in ax.collections}
    assert places["rejected"] == [-7.0]
    assert places["theory against simulation"] == [0.5]
    assert len(ax.get_yticks()) == 2


def test_exact_rows_have_no_score():
    result = comparison([1e15, 0.3], exact=[True, False])
    assert plot.scored(result).tolist() == [False, True]
    ax = plot.comparisons({"one": result, "two": comparison([-1.0, 2.0])})
    assert max(np.abs(ax.get_ylim())) < 10
    assert [label.get_text() for label in ax.get_xticklabels()] == ["one", "two"]
    with pytest.raises(ValueError, match="at least one"):
        plot.comparisons({})


def test_draws_into_given_axes():
    prediction, ensemble = pair(2)
    axes = Figure().subplots(1, 3)
    assert plot.class_fraction(ensemble, prediction, axes[0]) is axes[0]
    assert plot.gamma_by_depth(ensemble, prediction, axes[1]) is axes[1]
    assert plot.comparison(comparison([1.0]), axes[2]) is axes[2]


def test_colors_are_those_of_okabe_and_ito():
    okabe_ito = {"#d55e00", "#0072b2", "#009e73"}
    assert {to_hex(color) for color in (plot.THEORY, plot.SIMULATION, plot.UNBIASED)} == okabe_ito


def test_no_global_state_of_pyplot():
    code = (
        "import sys; from ibtheory import plot; assert 'matplotlib' not in sys.modules;"
        "import numpy as np; from ibtheory import results, zoo;"
        "plot.comparison(results.Comparison(zoo.mlp(8, 2), .05, np.zeros(1, results.COMPARISON_ROW)));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_law_of_a_logit_shows_simulation_and_theory(both):
    prediction, ensemble = both
    ax = plot.output(ensemble, prediction)
    assert ax.get_yscale() == "log"
    assert sorted(ax.get_legend_handles_labels()[1]) == ["Gaussian", "simulation", "theory"]
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    x, y = points.get_data()
    width = EDGES[1] - EDGES[0]
    np.testing.assert_allclose(y, ensemble.histogram[np.searchsorted(EDGES, x)] / width)
    (theory,) = [patch for patch in ax.patches if hasattr(patch, "get_data")]
    shares = prediction.output.shares(ensemble.samples)[1:-1]
    seen = shares / width > 1e-4
    np.testing.assert_allclose(theory.get_data().values[seen] * width, shares[seen])


def test_the_laws_of_all_cells_side_by_side():
    pairs = {"none": pair(), "layer after": pair(norm="layer")}
    figure = plot.outputs({name: e for name, (_, e) in pairs.items()}, {name: p for name, (p, _) in pairs.items()})
    assert [ax.get_title() for ax in figure.axes] == ["none", "layer after"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert f"kurtosis = {pairs['none'][0].output.kurtosis:.3f}" in texts
    with pytest.raises(ValueError, match="at least one ensemble"):
        plot.outputs({})
