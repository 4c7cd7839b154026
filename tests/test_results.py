"""Results: they say what they hold, survive a trip to disk bit by bit, and refuse foreign files."""

import json
import pickle

import numpy as np
import pytest

from ibtheory import _files, results, zoo
from ibtheory._version import __version__
from ibtheory.activations import from_function
from ibtheory.fractions import ClassFraction
from ibtheory.groups import GroupFractions
from ibtheory.inputs import Dataset
from ibtheory.layers import flatten
from ibtheory.output import Output, ScaleMixture
from ibtheory.results import Comparison, DepthLimit, Ensemble, Prediction

NETWORKS, READOUTS, CLASSES = 6, 4, 3


def prediction(gamma=1.5, **changes):
    net = zoo.mlp(8, 2, CLASSES, norm="layer")
    layers = results.layer_table(["input", *(step.name for step in flatten(net.steps(5)))])
    layers["gamma"] = [0.5] * (len(layers) - 1) + [gamma]
    values = {
        "network": net,
        "inputs": {"kind": "GaussianInputs", "features": 5, "variance": 1.0},
        "classes": CLASSES,
        "samples": None,
        "batch": "all",
        "width": "infinite",
        "gamma": gamma,
        "gamma_effective": gamma,
        "class_fraction": ClassFraction(max(gamma, 0.0), CLASSES),
        "class_fraction_variance": 0.07,
        "output": Output(ScaleMixture([1.0, 2.0]), ScaleMixture([3.0], spread=0.1), 0.5, -0.1, directions=30.0),
        "groups": GroupFractions(np.array(["a", "b"]), np.array([0.4, 0.6]), None, CLASSES, np.eye(2), np.eye(2) / 2),
        "participation_ratio": 30.0,
        "norm_heterogeneity": 0.1,
        "regime": "prejudiced",
        "depth_limit": DepthLimit(np.inf, "deeply prejudiced", "power law"),
        "notes": ("a note",),
        "layers": layers,
        "error": {"gamma": np.float64(0.1)},
        "seed": np.int64(3),
    }
    return Prediction(**(values | changes))


def ensemble(**changes):
    rng = np.random.default_rng(0)
    net = zoo.mlp(8, 2, CLASSES)
    data = Dataset(rng.normal(size=(20, 5)), rng.integers(0, 2, 20))
    counts = rng.multinomial(20, np.full(CLASSES, 1 / CLASSES), size=(NETWORKS, READOUTS))
    numbers = {
        f"{name}{end}": float(rng.normal())
        for name in (
            "gamma",
            "gamma_effective",
            "class_fraction_variance",
            "max_fraction",
            "skewness",
            "skewness_spread",
            "kurtosis",
            "network_kurtosis",
            "tail_2",
            "tail_3",
        )
        for end in ("", "_error")
    }
    values = {
        "network": net,
        "inputs": data,
        "classes": CLASSES,
        "networks": NETWORKS,
        "samples": 20,
        "readouts": READOUTS,
        "batch": "all",
        "seed": 0,
        "dtype": "float32",
        "class_fractions": counts[:, 0] / 20,
        "readout_fractions": counts / 20,
        "layers": results.ensemble_table(["input", "dense 1", "logits"]),
        "dead": np.zeros(NETWORKS),
        "per_layer": rng.normal(size=(NETWORKS, 3, 4)),
        "agreement": rng.random(NETWORKS),
        "group_labels": np.arange(2),
        "group_fractions": rng.random((NETWORKS, 2, CLASSES)),
        "group_covariance": rng.random((2, 2)),
        "group_covariance_error": rng.random((2, 2)),
        "histogram": rng.random(42),
        "histogram_error": rng.random(42),
    }
    return Ensemble(**(values | numbers | changes))


def comparison(p_values=(0.5, 0.2), z=None, alpha=0.05):
    rows = np.zeros(len(p_values), results.COMPARISON_ROW)
    rows["layer"] = "logits"
    rows["quantity"] = [f"quantity {i}" for i in range(len(rows))]
    rows["p_value"] = p_values
    rows["z"] = np.arange(len(rows)) if z is None else z
    return Comparison(zoo.mlp(8, 2), alpha, rows)


def same(a, b):
    """Equality of results field by field, bit by bit."""
    for name in a.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, Dataset):
            assert (x.X == y.X).all()
            assert (x.y is None and y.y is None) or (x.y == y.y).all()
        elif isinstance(x, ClassFraction):
            assert (x.gamma, x.classes) == (y.gamma, y.classes)
        elif isinstance(x, Output | GroupFractions):
            assert x.to_dict() == y.to_dict()
        elif isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            assert x.tobytes() == y.tobytes()
        else:
            assert x == y, name


RESULTS = {
    "prediction": prediction,
    "infinite gamma": lambda: prediction(np.inf),
    "negative gamma": lambda: prediction(-0.002),
    "ensemble": ensemble,
    "summary": lambda: ensemble(per_layer=None, inputs=Dataset(np.eye(3)), batch=10),
    "labels in words": lambda: ensemble(inputs=Dataset(np.eye(3), ["cat", "dog", "cat"])),
    "comparison": comparison,
}


@pytest.mark.parametrize("name", RESULTS)
def test_saved_and_loaded_bit_by_bit(name, tmp_path):
    result = RESULTS[name]()
    path = tmp_path / "result.npz"
    result.save(path)
    loaded = results.load(path)
    assert type(loaded) is type(result)
    same(result, loaded)
    assert str(loaded) == str(result)
    assert [*tmp_path.iterdir()] == [path]


def test_provenance(tmp_path):
    path = tmp_path / "result.npz"
    prediction().save(path)
    told = results.provenance(path)
    assert told["kind"] == "Prediction"
    assert told["seed"] == 3
    assert told["network"] == prediction().network.to_dict()
    assert told["versions"]["ibtheory"] == __version__
    assert {"numpy", "numba"} < told["versions"].keys()


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.npz"
    comparison().save(path)
    before = path.read_bytes()
    mine = from_function(np.sin, np.cos, name="mine")
    with pytest.raises(ValueError, match="from_sympy"):
        prediction(network=zoo.mlp(8, 2, activation=mine)).save(path)
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def write_half(path):
    with _files.replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def foreign(tmp_path, kind):
    path = tmp_path / "file.npz"
    if kind == "text":
        path.write_text("hello")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "array":
        np.savez(path, X=np.eye(2))
    elif kind == "wrong kind":
        np.savez(path, description=np.frombuffer(json.dumps({"kind": "History"}).encode(), np.uint8))
    elif kind == "missing field":
        text = json.dumps({"kind": "Comparison", "values": {"network": zoo.mlp(2, 1).to_dict()}})
        np.savez(path, description=np.frombuffer(text.encode(), np.uint8))
    elif kind == "truncated":
        ensemble().save(path)
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "damaged":
        ensemble().save(path)
        content = bytearray(path.read_bytes())
        content[300:330] = bytes(30)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["text", "pickle", "array", "wrong kind", "missing field", "truncated", "damaged"])
def test_foreign_files_are_refused(kind, tmp_path):
    with pytest.raises(ValueError, match=r"ibtheory"):
        results.load(foreign(tmp_path, kind))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        results.load(tmp_path / "absent.npz")


def test_holm():
    # By hand: sorted p .001 <= .05/4, .012 <= .05/3, .02 <= .05/2, .06 > .05.
    assert comparison([0.06, 0.001, 0.02, 0.012]).rejected.tolist() == [False, True, True, True]
    # .03 > .05/3 stops the procedure although .04 <= .05.
    assert comparison([0.03, 0.04, 0.9]).rejected.tolist() == [False, False, False]
    assert comparison([0.03, 0.04, 0.9]).consistent
    assert not comparison([0.001, np.nan]).consistent
    assert not comparison([np.nan]).consistent  # nothing tested is no agreement


def test_what_has_no_p_value_does_not_count_as_agreement():
    result = comparison([0.5, np.nan, 0.7])
    assert result.tested.tolist() == [True, False, True]
    assert "over 2 quantities" in str(result)


def test_worst():
    assert comparison([0.5, 0.2, 0.3], z=[1.0, -3.0, np.nan]).worst["z"] == -3
    assert comparison([0.5], z=[np.nan]).worst is None


def test_what_people_feel_comes_first():
    text = str(prediction()).splitlines()
    assert "E f_max" in text[1]
    assert "unbiased: 0.3333" in text[1]
    assert "P(f_max > .9)" in text[2]
    assert "prejudiced at this depth" in str(prediction())
    assert "note: a note" in text[-1]
    text = str(ensemble()).splitlines()
    assert "E f_max" in text[1]
    assert "P(f_max > .9)" in text[2]


def test_comparison_marks_what_it_rejects():
    text = str(comparison([1e-9, 0.5]))
    assert text.count("*") == 2
    assert "inconsistent" in text
    assert "inconsistent" not in str(comparison([0.4, 0.5]))


def test_max_exceeds_clusters_by_network():
    fractions = np.full((4, 5, 2), 0.5)
    fractions[0] = [0.95, 0.05]
    value, error = ensemble(readout_fractions=fractions).max_exceeds(0.9)
    assert value == 0.25
    assert error == pytest.approx(np.std([1, 0, 0, 0], ddof=1) / 2)
    assert np.isnan(ensemble(readout_fractions=fractions[:1]).max_exceeds()[1])


def test_tables_are_filled_with_nan():
    for table in (results.layer_table(["input", "logits"]), results.ensemble_table(["input", "logits"])):
        assert table["name"].tolist() == ["input", "logits"]
        assert all(np.isnan(table[name]).all() for name in table.dtype.names[1:])
