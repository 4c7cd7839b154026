"""Phase diagrams: points, boundaries, invariances, saving, pictures, the command."""

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from phase_networks import mlp

import ibtheory as ib
from ibtheory import activations, phase
from ibtheory.layers import Activation, BatchNorm, Dense, Network, Repeat


@pytest.fixture(scope="module")
def diagram():
    return ib.phase_diagram(mlp("tanh"), np.linspace(0.2, 6, 24), np.linspace(0.0, 0.2, 9))


def test_diagram_is_depth_scales_point_by_point(diagram):
    for row, column in ((3, 2), (4, 12), (8, 23)):
        s = ib.depth_scales(mlp("tanh", diagram.weight_variance[column], diagram.bias_variance[row]))
        point = diagram.table[row, column]
        for name in ("q", "c", "gamma", "chi_1", "slope", "xi_q", "xi_c"):
            assert point[name] == pytest.approx(getattr(s, name), rel=1e-7), name
        assert diagram.phase[row, column] == s.phase


def test_boundaries_of_the_diagram_are_the_lines(diagram):
    line = ib.critical_line(mlp("tanh"), diagram.bias_variance[1:])
    chaotic = diagram.weight_variance > line.edge[:, None]
    neutral = diagram.weight_variance > line.neutrality[:, None]
    np.testing.assert_array_equal(diagram.phase[1:] == "chaotic", chaotic)
    np.testing.assert_array_equal(diagram.table["gamma"][1:] <= 1, neutral)
    assert np.all(np.diff(line.edge) > 0)


@given(st.floats(0.5, 5), st.floats(0, 0.5), st.floats(0.1, 10))
def test_invariances(weight, bias, factor):
    """phi(x) -> phi(s x) is (w, b) -> (s^2 w, s^2 b); behind a norm before only b/w matters."""
    one, other = (
        ib.depth_scales(mlp("erf", f * weight, f * bias, norm="rms", placement="before")) for f in (1, factor)
    )
    assert [other.c, other.chi_1, other.slope] == pytest.approx([one.c, one.chi_1, one.slope], rel=1e-6, abs=1e-9)
    leaky = activations.leaky_relu(0.2)
    relu = [ib.depth_scales(mlp(leaky, f * weight / factor, f * bias, norm="layer")) for f in (1, factor)]
    assert relu[0].slope == pytest.approx(relu[1].slope, rel=1e-6, abs=1e-9)


def test_save_load_and_print(diagram, tmp_path):
    diagram.save(tmp_path / "phase.npz")
    again = ib.load(tmp_path / "phase.npz")
    assert again.network == diagram.network
    assert again.table.tobytes() == diagram.table.tobytes()
    assert "chaotic" in str(again)
    assert "without a finite q*" in str(again)


def test_plot(diagram):
    ax = diagram.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "edge of chaos, $\\chi_1 = 1$",
        "neutrality, $\\gamma = 1$",
    ]
    names = [text.get_text() for text in ax.texts]
    assert names == ["ordered\ndeeply prejudiced", "chaotic\nneutral"]  # the strip between them is too narrow
    with pytest.raises(ValueError, match="at least 2 x 2 points"):
        ib.phase_diagram(mlp(), [1.0, 2.0], [0.1]).plot()


def test_bad_input_says_what_to_do():
    with pytest.raises(TypeError, match="net must be a Network"):
        ib.depth_scales("relu")
    with pytest.raises(ValueError, match="repeats no block"):
        ib.depth_scales(Network((Dense(8), Activation("relu"), Dense(2))))
    with pytest.raises(ValueError, match="no Dense layer"):
        ib.depth_scales(Network((Dense(8), Repeat((Activation("relu"),), 3), Dense(2))))
    for values in ([], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="bias_variance must be finite numbers of at least 0"):
            ib.critical_line(mlp(), values if values != [[0.1]] else np.ones((1, 1)))
        with pytest.raises(ValueError, match="weight_variance must be finite"):
            ib.phase_diagram(mlp(), np.array(values), [0.1])
    with pytest.raises(ValueError, match="belongs to norm='batch'"):
        ib.gradient_factor("relu", batch=8)
    with pytest.raises(NotImplementedError, match="BatchNorm before relu"):
        ib.gradient_factor("tanh", "batch", "before", batch=8)
    with pytest.raises(ValueError, match="Did you mean 'layer'"):
        ib.gradient_factor("relu", "layr")
    block = (Dense(32), Activation("relu"), BatchNorm(), Activation("relu"))
    with pytest.raises(NotImplementedError, match="law over neurons is not known"):
        ib.depth_scales(Network((Repeat(block, 3), Dense(2))))


def test_public_words():
    assert set(phase.PHASES) == {"ordered", "critical", "chaotic"}


def test_command(tmp_path):
    from ibtheory.cli import main

    arguments = ["phase", "--activation", "erf", "--weights", "0.5,4,8", "--biases", "0,0.2,5"]
    outcome = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"phase.png", "phase.json", "phase.npz"}
    assert "chaotic" in outcome.output
    outcome = CliRunner().invoke(main, [*arguments, "--json"])
    assert outcome.output.startswith("{")
    outcome = CliRunner().invoke(main, ["phase", "--weights", "1,2"])
    assert outcome.exit_code == 2
    assert "low,high,points" in outcome.output
