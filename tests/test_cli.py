"""The command line and the page: what it prints, writes and refuses."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

from ibtheory import reporting, results
from ibtheory.cli import main
from ibtheory.inputs import Dataset, GaussianInputs

SMALL = ["--width", "16", "--depth", "2", "--data", "gaussian", "--samples", "40"]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def said(*arguments):
    outcome = run(*arguments)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_predict():
    text = said("predict", *SMALL)
    assert text.index("E f_max") < text.index("P(f_max > .9)") < text.index("gamma_effective")
    data = json.loads(said("predict", *SMALL, "--norm", "layer", "--json"))
    assert 0 <= data["gamma"] < 0.2
    assert data["network"]["kind"] == "Network"
    assert data["layers"][-1]["name"] == "logits"


def test_activation_with_arguments():
    data = json.loads(said("predict", *SMALL, "--activation", "leaky_relu(0.1)", "--json"))
    assert "activations.leaky_relu(0.1)" in json.dumps(data["network"])


def test_distribution_of_weights():
    arguments = ["simulate", *SMALL, "--networks", "6", "--json"]
    said_of = [json.loads(said(*arguments, "--distribution", word)) for word in ("normal", "orthogonal")]
    assert [data["network"]["layers"][-1]["distribution"] for data in said_of] == ["normal", "orthogonal"]
    assert said_of[0]["gamma"] != said_of[1]["gamma"]


def test_simulate_and_seed():
    arguments = ["simulate", *SMALL, "--networks", "6", "--json"]
    one, two, other = said(*arguments), said(*arguments), said(*arguments, "--seed", "1")
    assert json.loads(one) == json.loads(two)
    assert json.loads(one)["max_fraction"] != json.loads(other)["max_fraction"]
    assert json.loads(one)["networks"] == 6


def test_train(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", X=rng.normal(size=(40, 5)), y=np.arange(40) % 2)
    arguments = ["train", "--width", "16", "--depth", "2", "--data", tmp_path / "mine.npz", "--networks", "3"]
    arguments += ["--steps", "20", "--optimizer", "sgd", "--learning-rate", "0.1"]
    text = said(*arguments, "--held-out", "10", "--output", tmp_path / "history.npz")
    assert "worst recall, held out, median" in text
    assert results.load(tmp_path / "history.npz").steps[-1] == 20
    assert said(*arguments, "--dropout", "0.5") != said(*arguments)
    data = json.loads(said(*arguments, "--batch", "10", "--json"))
    assert (data["batch"], data["samples"], data["optimizer"][:8]) == (10, 40, "SGD(lear")
    assert run(*arguments, "--optimizer", "rmsprop").exit_code == 2


def test_compare_and_save(tmp_path):
    path = tmp_path / "comparison.npz"
    data = json.loads(said("compare", *SMALL, "--networks", "20", "--output", path, "--json"))
    assert {"layer", "quantity", "theory", "estimate", "error", "z"} <= data["rows"][0].keys()
    assert len(results.load(path).rows) == len(data["rows"])


def test_own_data(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", X=rng.normal(size=(30, 5)), y=rng.integers(0, 3, 30))
    data = json.loads(said("predict", "--width", "8", "--depth", "1", "--data", tmp_path / "mine.npz", "--json"))
    assert data["classes"] == 3
    assert data["samples"] == 30
    table = "a,b\n" + "\n".join(f"{x},{y}" for x, y in rng.normal(size=(12, 2)))
    (tmp_path / "mine.csv").write_text(table)
    data = json.loads(said("predict", "--width", "8", "--depth", "1", "--data", tmp_path / "mine.csv", "--json"))
    assert data["classes"] == 2


WRONG = {
    "activation": (["predict", *SMALL, "--activation", "rellu"], "relu"),
    "arguments": (["predict", *SMALL, "--activation", "leaky_relu("], "not the code of an activation"),
    "norm": (["predict", *SMALL, "--norm", "bach"], "Did you mean 'batch'"),
    "placement": (["predict", *SMALL, "--placement", "beside"], "before"),
    "init": (["predict", *SMALL, "--init", "hee"], "'he'"),
    "width": (["predict", *SMALL, "--width", "0"], "at least 1"),
    "layer norm on width 1": (["predict", *SMALL, "--norm", "layer", "--width", "1"], "RMSNorm"),
    "depth": (["predict", *SMALL, "--depth", "-1"], "at least 0"),
    "classes": (["predict", *SMALL, "--classes", "0"], "at least 1"),
    "variance": (["predict", *SMALL, "--weight-variance", "-1"], "variance"),
    "variance nan": (["predict", *SMALL, "--bias-variance", "nan"], "finite"),
    "networks": (["simulate", *SMALL, "--networks", "0"], "networks"),
    "data": (["predict", "--data", "mnist"], "digits, gaussian, or the path"),
    "no file": (["predict", "--data", "absent.csv"], "no file"),
    "one sample": (["simulate", *SMALL, "--samples", "1"], "at least 2"),
    "batch": (["predict", *SMALL, "--norm", "batch", "--batch", "x"], "integer or 'all'"),
    "standardize": (["predict", "--standardize", "rows"], "feature"),
    "cells": (["report", "--norms", "none,bach"], "Did you mean 'batch'"),
    "no cells": (["report", "--norms", ","], "empty"),
    "alpha": (["report", "--alpha", "2"], "alpha"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_one_clear_line(name, tmp_path):
    arguments, message = WRONG[name]
    if arguments[0] == "report":
        arguments = [*arguments, "--output", tmp_path / "report"]
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", outcome.stderr)
    assert message in outcome.stderr


def test_usage_errors_of_click():
    for arguments in (["predict", "--seed", "x"], ["predict", "--wide", "3"], ["predikt"]):
        outcome = run(*arguments)
        assert outcome.exit_code == 2
        assert "Traceback" not in outcome.stderr


def test_pickled_file_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", X=np.array([{"a": 1}], dtype=object))
    outcome = run("predict", "--data", tmp_path / "bad.npz")
    assert outcome.exit_code == 2
    assert "pickle" in outcome.stderr


REPORT = ["report", *SMALL, "--networks", "6", "--norms", "none,layer", "--placements", "after"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "deep" / "folder"
    outcome = run(*REPORT, "--output", folder)
    assert outcome.exit_code == 0, outcome.output
    return folder, outcome.stdout


def test_report_writes_its_files(page):
    folder, text = page
    names = {"index.html", "output.png", "placements.png", "results.json", "z-scores.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert str(folder / "index.html") in text
    assert text.startswith("Before any training")
    assert (folder / "placements.png").read_bytes().startswith(b"\x89PNG")


def test_results_in_json(page):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    data = json.loads((page[0] / "results.json").read_text(), parse_constant=refuse)
    assert [*data["cells"]] == ["none", "layer after"]
    cell = data["cells"]["none"]
    assert cell.keys() == {"prediction", "ensemble", "comparison"}
    assert cell["prediction"]["max_fraction"] == pytest.approx(cell["ensemble"]["max_fraction"], abs=0.3)
    assert data["versions"]["ibtheory"]
    assert len(data["verdict"]) == 3


class Page(HTMLParser):
    """Open tags, addresses, alternative texts and words of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.alts, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "img":
            self.alts.append(attrs.get("alt", ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_and_self_contained(page):
    found = Page((page[0] / "index.html").read_text(encoding="utf-8"))
    assert found.open == []
    outside = [url for url in found.addresses if not url.startswith(("data:", "https://arxiv.org/", "results.json"))]
    assert outside == []
    assert len(found.alts) == 3
    assert all(len(alt) > 30 for alt in found.alts)
    words = " ".join(" ".join(found.words).split())
    for needed in (
        "layer after",
        "unbiased",
        "ibtheory report --data gaussian",
        "--norms none,layer",
        "seed 0",
        "in the limit",
    ):
        assert needed in words
    assert "nan" not in words.lower().split()


def test_the_command_makes_the_same_numbers(page, tmp_path):
    data = json.loads((page[0] / "results.json").read_text())
    again = json.loads(said(*data["command"].split()[1:], "--output", tmp_path / "again", "--json"))
    assert again["cells"] == data["cells"]


def test_unwritable_folder_is_refused_before_computing(tmp_path, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("computing started")

    monkeypatch.setattr(reporting, "_cell", forbidden)
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        outcome = run(*REPORT, "--output", folder)
        assert outcome.exit_code == 2
        assert "cannot write" in outcome.stderr
        assert "choose another output folder" in outcome.stderr


def test_report_from_python(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 6))
    made = reporting.report(
        tmp_path / "r", data=Dataset(X, standardize="feature"), width=8, depth=1, norms="rms", networks=4
    )
    assert [cell.name for cell in made.cells] == ["rms before", "rms after"]
    assert made.command is None
    assert len(made.verdict) == 3
    with pytest.raises(TypeError, match="no option"):
        reporting.report(tmp_path / "r", widht=3)
    with pytest.raises(TypeError, match="Dataset"):
        reporting.report(tmp_path / "r", data=X)


def test_classes_of():
    y = Dataset([[0.0], [1.0], [2.0]], [5, 6, 9])
    assert reporting.classes_of(y) == 3
    assert reporting.classes_of(y, 7) == 7
    assert reporting.classes_of(GaussianInputs()) == 2


def test_plain_is_json():
    value = {"a": np.float32(1), "b": [np.nan, np.inf, -np.inf], "c": np.arange(2), "d": None, "e": np.bool_(True)}
    assert reporting.plain(value) == {"a": 1.0, "b": [None, "inf", "-inf"], "c": [0, 1], "d": None, "e": True}
