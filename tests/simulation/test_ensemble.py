"""simulate: the same bits however the work is split, the same weights whatever the norms, honest estimates."""

import os
import subprocess
import sys

import numpy as np
import pytest

import ibtheory as ib
from ibtheory import fractions
from ibtheory.simulation import ensemble, statistics
from ibtheory.simulation.blocks import run_block

INPUTS = ib.GaussianInputs(30)
NET = ib.mlp(20, 3, 4, norm="layer", bias_variance=0.1)
BAR = 4.0


def run(net=NET, x=INPUTS, **options):
    return ib.simulate(net, x, **{"networks": 40, "samples": 24, "seed": 3, **options})


def assert_same(a, b):
    """Every array and number of two ensembles, to the bit."""
    names = (
        "readout_fractions",
        "per_layer",
        "dead",
        "agreement",
        "gamma",
        "gamma_error",
        "kurtosis",
    )
    for name in (*names, "gamma_effective", "max_fraction_error", "class_fraction_variance", "skewness"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in a.layers.dtype.names:  # NaN where no gradients were asked for
        np.testing.assert_array_equal(a.layers[name], b.layers[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_same_bits_for_any_number_of_threads_and_any_block(norm, dtype, monkeypatch):
    net = ib.mlp(20, 3, 4, norm=norm)
    one = run(net, workers=1, dtype=dtype)
    assert_same(one, run(net, workers=2, dtype=dtype))
    for block in (1, 7, 40):
        monkeypatch.setattr(ensemble, "_block", lambda task, seconds, block=block: block)
        assert_same(one, run(net, workers=2, dtype=dtype))


PROGRAM = """
import hashlib
import ibtheory as ib
net = ib.mlp(24, 6, 4, norm="layer", bias_variance=0.1, activation="gelu")
e = ib.simulate(net, ib.GaussianInputs(30), networks=5, samples=50, seed=3)
print(hashlib.sha256(e.per_layer.tobytes() + e.readout_fractions.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_code_fresh_from_the_compiler_and_code_from_the_cache_give_the_same_bits(tmp_path):
    # With fast-math flags they did not: LLVM reordered sums differently in the modules in which it met them.
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    fresh, cached = (
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert fresh.stdout == cached.stdout


def test_a_shorter_run_is_the_beginning_of_a_longer_one():
    long, short = run(networks=40), run(networks=11)
    np.testing.assert_array_equal(long.readout_fractions[:11], short.readout_fractions)
    np.testing.assert_array_equal(long.per_layer[:11], short.per_layer)


def test_a_summary_has_the_same_estimates_without_the_networks():
    full, summary = run(networks=150), run(networks=150, keep="summary")
    for name in ("gamma", "gamma_effective_error", "max_fraction", "kurtosis_error"):
        np.testing.assert_array_equal(getattr(full, name), getattr(summary, name))
    for name in full.layers.dtype.names:
        np.testing.assert_array_equal(full.layers[name], summary.layers[name])
    assert [getattr(summary, n) for n in ("class_fractions", "readout_fractions", "per_layer", "dead")] == [None] * 4


@pytest.mark.parametrize("activation", ["relu", "abs", "linear"])
def test_homogeneous_networks_predict_the_same_with_and_without_rms_norm(activation):
    nets = [
        ib.mlp(20, 5, 3, activation=activation, norm=norm, placement=placement)
        for norm, placement in (("none", "after"), ("rms", "before"), ("rms", "after"))
    ]
    for x in (ib.GaussianInputs(10), ib.GaussianInputs(50)):  # without and with the rotation
        a, b, c = (run(net, x, dtype="float64", readouts=3).readout_fractions for net in nets)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_the_first_readout_does_not_depend_on_their_number():
    one, many = run(dtype="float64", readouts=1), run(dtype="float64", readouts=9)
    np.testing.assert_array_equal(one.class_fractions, many.class_fractions)
    np.testing.assert_allclose(one.per_layer[:, :-1], many.per_layer[:, :-1], rtol=1e-13)


def test_both_precisions_see_the_same_networks():
    single, double = run(), run(dtype="float64")
    np.testing.assert_allclose(single.per_layer, double.per_layer, rtol=1e-4, atol=1e-5)


def test_seeds_differ():
    x = ib.Dataset(INPUTS.draw(24, 0)[0])
    a, b = (run(x=x, samples=None, seed=seed) for seed in (0, 2**64 - 1))
    assert np.abs(a.per_layer[:, -1, 0] - b.per_layer[:, -1, 0]).min() > 0


DENSE = {
    "he": ib.Dense(6),
    "biases": ib.Dense(6, 1.0, 0.5),
    "glorot": ib.Dense(6, 1.0, weight_scale="fan_average"),
    "torch": ib.Dense(6, 1 / 3, 1 / 3, bias_scale="fan_in", distribution="uniform"),
    "no weights": ib.Dense(6, 0.0, 0.5),
}


@pytest.mark.parametrize("name", DENSE)
def test_weights_and_biases_have_their_variances(name):
    dense = DENSE[name]
    x = ib.Dataset(INPUTS.draw(10, 0)[0])
    e = ib.simulate(ib.Network((dense,)), x, networks=2000, readouts=1, seed=11)
    weight, bias = dense.variances(30)
    row, inputs = e.layers[-1], e.layers[0]
    for moment, expected in (
        ("same", weight * inputs["same"] + bias),
        ("cross", weight * inputs["cross"] + bias),
        ("gap", weight * inputs["gap"]),
        ("mean", 0.0),
    ):
        assert abs(row[moment] - expected) <= BAR * row[f"{moment}_error"] + 1e-12, moment


def test_rotated_inputs_give_the_same_law():
    x = ib.Dataset(ib.GaussianInputs(60).draw(20, 1)[0])
    net = ib.mlp(15, 2, 3)
    task, _ = ensemble._prepare(net, x, 20, 1, 0, "float64", None, None)
    assert task.inputs.shape == (20, 20)
    np.testing.assert_allclose(task.inputs @ task.inputs.T, x.X @ x.X.T, atol=1e-12)
    rng = np.random.default_rng(5)
    shapes = [(60, 15), (15, 15), (15, 3)]
    stacked = [(rng.normal(size=(400, *s)) * np.sqrt(2 / s[0]), np.zeros((400, s[1]))) for s in shapes]
    plain = ib.simulate(net, x, parameters=stacked, dtype="float64")
    rotated = ib.simulate(net, x, networks=400, readouts=1, dtype="float64", seed=2)
    for row in (1, 2, -1):
        for moment in ("same", "cross", "gap", "gamma"):
            a, b = plain.layers[row], rotated.layers[row]
            error = np.hypot(a[f"{moment}_error"], b[f"{moment}_error"])
            assert abs(a[moment] - b[moment]) < BAR * error, (row, moment)


def test_estimates_and_errors_are_those_of_their_definitions():
    e = run(networks=130, readouts=3)
    cross, gap = e.per_layer[..., 1], e.per_layer[..., 2]
    np.testing.assert_allclose(e.layers["gamma"], cross.mean(0) / gap.mean(0))
    jackknife = [(cross.sum(0) - cross[i]) / (gap.sum(0) - gap[i]) for i in range(130)]
    error = np.sqrt(129 / 130 * np.sum((jackknife - np.mean(jackknife, axis=0)) ** 2, axis=0))
    np.testing.assert_allclose(e.layers["gamma_error"], error, rtol=0.02, atol=1e-15)
    np.testing.assert_allclose(e.layers["same"], e.per_layer[..., 0].mean(0))
    np.testing.assert_allclose(e.layers["same_error"], e.per_layer[..., 0].std(0, ddof=1) / np.sqrt(130), atol=1e-15)
    f = e.readout_fractions
    assert e.max_fraction == pytest.approx(f.max(axis=2).mean())
    clusters = f.max(axis=2).mean(axis=1)
    assert e.max_fraction_error == pytest.approx(clusters.std(ddof=1) / np.sqrt(130))
    assert e.class_fraction_variance == pytest.approx(np.mean((f - 0.25) ** 2))
    np.testing.assert_allclose(f.sum(axis=2), 1)
    rho = fractions.agreement_inverse(e.agreement.mean(), 4)
    assert e.gamma_effective == pytest.approx(rho / (1 - rho))
    up = fractions.agreement_inverse(e.agreement.mean() + 1e-6, 4)
    slope = (up / (1 - up) - rho / (1 - rho)) / 1e-6
    error = slope * e.agreement.std(ddof=1) / np.sqrt(130)
    assert e.gamma_effective_error == pytest.approx(error, rel=1e-4)


def test_one_network_has_no_errors():
    e = run(networks=1)
    assert np.isnan([e.gamma_error, e.max_fraction_error, e.gamma_effective_error]).all()
    assert np.isnan(e.layers["same_error"]).all()
    assert np.isfinite(e.gamma)


def test_constant_logits_have_no_shape():
    e = run(ib.mlp(5, 1, 3, weight_variance=0.0, bias_variance=1.0), networks=5)
    assert np.isnan([e.skewness, e.kurtosis]).all()
    assert e.gamma == e.gamma_effective == np.inf
    assert e.max_fraction == 1


def test_batch_norm_after_has_no_spread_on_its_own_batch():
    e = run(ib.mlp(20, 2, norm="batch", activation="linear"))
    row = e.layers[-2]
    np.testing.assert_allclose([row["same"], row["cross"]], [1, -1 / 23], atol=1e-6)
    assert row["gamma_error"] < 1e-7


def test_moments_do_not_depend_on_how_they_are_added():
    whole, pieces = statistics.Moments(2, 1), statistics.Moments(2, 1)
    values = np.random.default_rng(0).normal(size=(200, len(whole.mean)))
    values[::3, -2] = np.nan
    values[:, 0] = 0.1
    parts = [values[:1], values[1:130], values[130:]]
    whole.add(values)
    for part in parts:
        pieces.add(part)
    for a, b in zip(whole.close().estimates(), pieces.close().estimates(), strict=True):
        np.testing.assert_array_equal(a, b)
    mean, error = whole.estimates()
    np.testing.assert_allclose(mean, np.nanmean(values, axis=0))
    assert (mean[0], error[0]) == (0.1, 0)
    valid = values[~np.isnan(values[:, -2]), -2]
    assert error[-2] == pytest.approx(valid.std(ddof=1) / np.sqrt(len(valid)))


def test_auto_readouts_are_few_where_they_are_dear():
    shallow = run(ib.mlp(8, 1, 10)).readouts
    deep = run(ib.mlp(64, 30, 2)).readouts
    assert shallow == 1
    assert deep == 64


def test_a_draw_of_a_dataset_is_kept_as_the_network_saw_it():
    data = ib.Dataset(np.random.default_rng(0).normal(size=(50, 6)), np.arange(50), standardize="feature")
    e = ib.simulate(NET, data, networks=2, samples=20, seed=4)
    X, y = data.draw(20, 4)
    np.testing.assert_array_equal(e.inputs.X, X)
    np.testing.assert_array_equal(e.inputs.y, y)
    assert ib.simulate(NET, data, networks=2).inputs is data
    again = ib.simulate(NET, e.inputs, networks=2, seed=4)
    assert_same(e, again)


def test_progress_is_shown_on_request(capsys):
    run(networks=5, progress=True)
    assert "5/5" in capsys.readouterr().err
    run(networks=5)
    assert capsys.readouterr().err == ""


def test_the_program_of_a_task_is_picklable():
    import pickle

    task, _ = ensemble._prepare(NET, ib.Dataset(INPUTS.draw(24, 3)[0]), 24, 2, 3, "float32", None, None)
    out = run_block(pickle.loads(pickle.dumps(task)), 5, 7)
    np.testing.assert_array_equal(out.layers[:, 1:], run(readouts=2).per_layer[5:7, 1:])
