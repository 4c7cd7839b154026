"""The harness of validation/: what passes, what fails, what is stored; and the two laws that its claims lean on."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

import ibtheory as ib

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # validation/ is no part of the package

from validation import __main__ as command
from validation import calibration, fraction_law, generator, harness, hyperparameters, placement, real_data


def toy(mean, feels=True):
    """The claim that normal numbers of mean ``mean`` have mean 0; its control says mean 1."""

    def run(quick, say):
        values = np.random.default_rng(3).standard_normal(50 if quick else 400) + mean
        error = values.std(ddof=1) / np.sqrt(len(values))
        p = [2 * stats.norm.sf(abs(values.mean() - wrong) / error) for wrong in (0.0, 1.0 if feels else values.mean())]
        power = float(harness.power_of_z(1 / error, 0.05, 1))
        say("done")
        return harness.Outcome(
            consistent=not harness.holm(p[:1], 0.05).any(),
            level=0.05,
            control=harness.Control("mean 1", bool(harness.holm(p[1:], 0.05).any()), power),
            numbers={"mean": values.mean(), "p_values": np.array(p), "undefined": float("nan")},
            seeds={"values": 3},
            summary=f"mean {values.mean():.3f}",
            draw=figure,
        )

    return harness.Claim("toy", "The mean is 0.", "Gauss", run)


def figure():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


@pytest.fixture
def only(monkeypatch):
    """Let the command know one claim only."""
    return lambda claim: monkeypatch.setattr(harness, "claims", lambda: {claim.name: claim})


def test_a_true_claim_passes_and_its_verdict_is_stored(tmp_path):
    verdict, summary = harness.check(toy(0.0), tmp_path / "new" / "toy")
    assert verdict["passed"]
    assert summary.startswith("mean")
    stored = json.loads((tmp_path / "new" / "toy" / "verdict.json").read_text())
    assert [stored["passed"], stored["consistent"], stored["control"]["rejected"]] == [True] * 3
    assert (stored["claim"], stored["reference"], stored["quick"]) == ("The mean is 0.", "Gauss", False)
    assert stored["control"]["power"] > 0.99
    assert stored["numbers"]["undefined"] == "nan"
    assert len(stored["numbers"]["p_values"]) == 2
    assert {"ibtheory", "numpy", "numba", "scipy", "python"} <= set(stored["versions"])
    assert stored["seeds"] == {"values": 3}
    assert (tmp_path / "new" / "toy" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "new" / "toy").iterdir()) == ["figure.png", "verdict.json"]


@pytest.mark.parametrize(("claim", "consistent", "rejected"), [(toy(0.5), False, True), (toy(0.0, False), True, False)])
def test_a_false_claim_and_a_control_that_goes_unnoticed_fail(tmp_path, claim, consistent, rejected):
    verdict, _ = harness.check(claim, tmp_path, quick=True)
    assert not verdict["passed"]
    assert (verdict["consistent"], verdict["control"]["rejected"]) == (consistent, rejected)


def test_a_run_that_breaks_leaves_the_old_verdict_whole(tmp_path):
    harness.check(toy(0.0), tmp_path)
    before = (tmp_path / "verdict.json").read_bytes()

    def run(quick, say):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        harness.check(harness.Claim("toy", "", "", run), tmp_path)
    assert (tmp_path / "verdict.json").read_bytes() == before


def test_command_exits_0_only_if_the_claim_passes(tmp_path, only):
    for mean, code, words in ((0.0, 0, "The claim stands"), (0.5, 1, "does NOT stand")):
        only(toy(mean))
        result = CliRunner().invoke(command.main, ["toy", "--quick", "--output", str(tmp_path)])
        assert result.exit_code == code
        assert words in result.output
        assert (tmp_path / "toy-quick" / "verdict.json").is_file()


def test_command_lists_claims_and_refuses_unknown_ones(tmp_path):
    names = ["calibration", "fraction_law", "generator", "hyperparameters", "placement", "real_data"]
    assert list(harness.claims()) == names
    listing = CliRunner().invoke(command.main, [])
    assert listing.exit_code == 0
    assert "placement: Where the norm stands" in listing.output
    wrong = CliRunner().invoke(command.main, ["placemnt"])
    assert wrong.exit_code == 2
    assert f"the claims are {', '.join(names)}" in wrong.output
    (tmp_path / "file").write_text("")
    wrong = CliRunner().invoke(command.main, ["placement", "--output", str(tmp_path / "file")])
    assert wrong.exit_code == 2
    assert "choose another --output" in wrong.output


def test_holm_and_power():
    assert harness.holm([0.001, 0.04, np.nan, 0.02], 0.05).tolist() == [True, True, False, True]
    assert harness.holm([0.02, 0.03, 0.04], 0.05).tolist() == [False, False, False]
    assert harness.holm([], 0.05).tolist() == []
    assert harness.power_of_z(0.0, 0.05, 10) == pytest.approx(0.005)
    z = np.random.default_rng(0).standard_normal(200_000) + 2.5
    assert harness.power_of_z(2.5, 0.05, 4) == pytest.approx(np.mean(abs(z) > stats.norm.isf(0.05 / 8)), abs=0.005)


@pytest.mark.parametrize("gamma", [0.0, 2e-4, 0.47, 19.0])
def test_law_seen_through_finitely_many_samples(gamma):
    pmf = fraction_law.folded_pmf(gamma, 100)
    law = ib.ClassFraction(gamma)
    assert pmf.sum() == pytest.approx(1.0, abs=1e-11)
    assert pmf == pytest.approx(pmf[::-1], abs=1e-13)
    fraction = np.arange(101) / 100
    assert pmf @ (fraction - 0.5) ** 2 == pytest.approx(law.finite_variance(100), rel=1e-10)
    assert pmf @ np.maximum(fraction, 1 - fraction) == pytest.approx(law.finite_max(100)[0], rel=1e-9)


def test_power_of_the_fraction_law_is_what_repeated_runs_find():
    right, wrong = (fraction_law.folded_pmf(gamma, 500) for gamma in (0.47, 0.6))
    cell = {"divergence": fraction_law._divergence(right, wrong), "networks": 600}
    rng = np.random.default_rng(1)
    runs = rng.choice(501, size=(400, 600), p=right / right.sum())
    rejected = np.mean([fraction_law._chi_square(counts, wrong) < 0.05 / 2 for counts in runs])
    assert fraction_law.power(cell, 2) == pytest.approx(rejected, abs=4 * 0.5 / 20)
    level = np.mean([fraction_law._chi_square(counts, right) < 0.05 for counts in runs])
    assert level == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 400))


def _row(**changes):
    row = {
        "inputs": "digits", "cell": "batch before", "depth": 5, "width": 256, "quantity": "gamma", "z": 0.0,
        "theory": 0.30, "estimate": 0.315, "allowed": 0.02, "total_error": 0.002, "freedom": 200.0,
        "status": "approximate", "reason": "",
    }  # fmt: skip
    return row | changes


def test_approximate_theory_is_held_to_the_accuracy_it_states():
    rows = [_row(), _row(width=1024, estimate=0.306, allowed=0.005), _row(cell="none", estimate=1, status="shown")]
    placement.judge(rows)
    assert not any(row["rejected"] for row in rows)
    rows[0]["estimate"] = 0.33
    placement.judge(rows)
    assert [row["rejected"] for row in rows] == [True, False, False]


def test_placement_compares_a_cell_and_feels_its_control():
    rows = placement._compared("gaussian", "none", 1, 256, networks=200, seed=1)
    assert [row["quantity"] for row in rows] == list(placement.QUANTITIES)
    assert all(row["status"] == "tested" and abs(row["z"]) < 4.5 for row in rows)
    assert max(abs(row["estimate"] - row["control_theory"]) / row["control_error"] for row in rows) > 4
    exact = placement._compared("gaussian", "batch after", 1, 256, networks=3, seed=1)
    assert [row["status"] for row in exact] == ["exact", "shown", "shown"]
    assert exact[0]["control_theory"] is None


def test_real_data_compares_labels_and_feels_one_population():
    rows = real_data.compared("wine", "none", 128, "all", networks=150, seed=1)
    assert [row["quantity"] for row in rows].count("group_covariance") == 3
    assert len(rows) == 7
    assert all(abs(row["z"]) < 4.5 and 0 < row["allowed"] < row["theory"] / 50 for row in rows)
    assert max(abs(row["estimate"] - row["control"]) / row["total_error"] for row in rows) > 6
    total, variance = rows[0], rows[1]
    assert variance["theory"] > total["theory"]
    real_data.judge(rows)
    assert not any(row["rejected"] for row in rows)
    rows[3]["estimate"] += rows[3]["allowed"] + 6 * rows[3]["total_error"]
    real_data.judge(rows)
    assert [row["rejected"] for row in rows] == [index == 3 for index in range(7)]


def test_calibration_compares_every_row_and_feels_its_controls():
    records = calibration.rows("one hidden layer", range(1, 13), planted=0.3)
    assert [(row["layer"], row["quantity"]) for row in records] == [
        (layer, name) for layer in ("relu 1", "logits") for name in ("same", "cross", "gap")
    ]
    assert all(row["mean"] == pytest.approx(row["theory"], rel=4 * row["relative_error"] / 12**0.5) for row in records)
    outcome = calibration.judged(records, 0.3)
    assert outcome.consistent
    assert all(row["rejected_planted"] for row in records)
    assert all(row["rejected_unclustered"] for row in records if row["layer"] == "relu 1")  # an eighth of the right
    rows = calibration.rows("readout of a given layer", range(1, 3), planted=0.3)
    assert [row["quantity"] for row in rows][3:] == [
        *("gamma_effective", "class_fraction_variance", "group_variance", "group_variance", "group_covariance"),
    ]


def test_power_of_calibration_is_what_repeated_runs_find():
    z = np.random.default_rng(0).standard_normal((400, 100))
    for change, values in (({"shift": 0.9}, z + 0.9), ({"shrunk": 0.7}, z / 0.7)):
        p = np.sort(2 * stats.norm.sf(abs(values)), axis=1)
        above = np.arange(1, 101) / 100 - p
        distance = np.maximum(above, 0.01 - above).max(axis=1)
        power = calibration.power(100, 1, **change)
        assert 0.3 < power < np.mean(distance > stats.kstwo.isf(0.05, 100)) + 4 * 0.5 / 20  # the least chance


def test_generator_tests_have_their_law_and_feel_the_control():
    z = np.random.default_rng(0).standard_normal((60, 8, 1 << 11), dtype=np.float32)
    found = [generator.tests(streams) for streams in z]
    for name, (_, freedom) in found[0].items():
        scores = [generator._normal(tests[name][0], freedom) for tests in found]
        assert abs(np.mean(scores)) < 4.5 / 60**0.5, name
        assert np.std(scores) == pytest.approx(1, abs=4.5 / 120**0.5), name
    mixed = generator.tests(generator.spoiled(z[0], 0.05, 0.1))
    for name in generator.shifts():
        assert stats.chi2.sf(*mixed[name]) < 1e-6, name


def test_hyperparameters_compares_a_cell():
    data = ib.Dataset(*ib.load_digits().draw(100, 0))
    setting = "Adam", 1e-2, 0.0
    cells = [hyperparameters.trained(data, setting, name, 8, 40, seed=1) for name in hyperparameters.PLACEMENTS]
    none, after = cells[0], cells[2]
    assert none["max_fraction"].mean() > after["max_fraction"].mean() + 0.2
    outcome = hyperparameters.judged(cells)
    row = outcome.numbers["pairs"][0]
    assert (row["slow"], row["fast"], row["converged"], row["later"]) == ("none", "layer after", True, True)
    assert "later" in outcome.summary
    cells[0]["steps"] = np.full(8, np.inf)
    outcome = hyperparameters.judged(cells)
    assert outcome.numbers["pairs"][0]["later"] is None  # does not converge: shown, not tested
    cells[0]["steps"] = cells[2]["steps"].copy()
    assert not hyperparameters.judged(cells).consistent


def test_power_of_hyperparameters_is_what_repeated_runs_find():
    z = np.random.default_rng(0).standard_normal((400, 2, 12))
    apart = 2**0.5 * stats.norm.ppf(hyperparameters.SLOWER)
    later = [hyperparameters.compare(slow + apart, fast)[0] < 0.05 / 20 for slow, fast in z]
    power = hyperparameters.power(12, 20)
    assert 0.5 < power < np.mean(later) + 4 * 0.5 / 20
    same = [hyperparameters.compare(slow, fast)[0] < 0.05 for slow, fast in z]
    assert np.mean(same) == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 400) ** 0.5)
