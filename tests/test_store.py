"""A store: killed at any point a run goes on to the same bits; what is damaged or foreign is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import ibtheory as ib
from ibtheory.simulation import ensemble, training
from ibtheory.store import Store

NET = ib.mlp(24, 2, 2, norm="layer")
X = ib.Blobs(features=10, separation=2.0)
OPTIONS = {"samples": 20, "seed": 4}


def simulate(networks=6, **options):
    return ib.simulate(NET, X, networks=networks, readouts=2, **(OPTIONS | options))


def train(networks=6, **options):
    return ib.train(NET, X, networks=networks, steps=20, **(OPTIONS | options))


RUNS = {"simulate": (simulate, "readout_fractions"), "train": (train, "loss")}


def chunks(path):
    return sorted(path.glob("networks-*.npz"))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_stored_run_is_the_run(run, tmp_path, monkeypatch):
    function, name = run
    plain = getattr(function(), name)
    np.testing.assert_array_equal(getattr(function(store=tmp_path / "s"), name), plain)
    files = chunks(tmp_path / "s")
    assert files
    stamps = [file.stat().st_mtime_ns for file in files]
    np.testing.assert_array_equal(getattr(function(store=tmp_path / "s"), name), plain)
    assert [file.stat().st_mtime_ns for file in files] == stamps  # read, not run again


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_more_networks_extend_a_store(run, tmp_path):
    function, name = run
    first = getattr(function(3, store=tmp_path / "s"), name)
    longer = getattr(function(8, store=tmp_path / "s"), name)
    np.testing.assert_array_equal(longer[:3], first)
    np.testing.assert_array_equal(longer, getattr(function(8), name))


def test_another_run_is_refused(tmp_path):
    simulate(store=tmp_path / "s")
    with pytest.raises(ValueError, match="holds another run: seed is 4 there and 5 here"):
        simulate(store=tmp_path / "s", seed=5)
    with pytest.raises(ValueError, match="holds another run: kind is 'Ensemble' there and 'History' here"):
        train(store=tmp_path / "s")
    with pytest.raises(ValueError, match="holds another run: dtype is 'float32' there and 'float64' here"):
        simulate(store=tmp_path / "s", dtype="float64")
    with pytest.raises(ValueError, match="holds another run: inputs"):
        ib.simulate(NET, ib.Blobs(features=10, separation=1.0), networks=6, store=tmp_path / "s", readouts=2, **OPTIONS)
    train(store=tmp_path / "t")
    with pytest.raises(ValueError, match="holds another run: optimizer is"):
        train(store=tmp_path / "t", optimizer=ib.SGD(0.1))


def test_another_version_is_refused(tmp_path):
    simulate(store=tmp_path / "s")
    file = tmp_path / "s" / "description.json"
    description = json.loads(file.read_text())
    assert description["versions"]["ibtheory"] == ib.__version__
    assert description["network"]["kind"] == "Network"
    description["versions"]["numpy"] = "1.0"
    file.write_text(json.dumps(description))
    with pytest.raises(ValueError, match="holds another run: versions"):
        simulate(store=tmp_path / "s")


def test_damage_is_refused_by_name_and_mended_by_deleting(tmp_path):
    expected = simulate(store=tmp_path / "s").readout_fractions
    file = chunks(tmp_path / "s")[0]
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    for damage in (b"", content[: len(content) // 2], bytes(flipped), b"not an archive"):
        file.write_bytes(damage)
        with pytest.raises(ValueError, match=f"{file.name} is damaged; delete it"):
            simulate(store=tmp_path / "s")
    with file.open("wb") as target:
        np.savez(target, counts=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="does not hold 6 networks"):
        simulate(store=tmp_path / "s")
    simulate(store=tmp_path / "other", seed=5)
    file.write_bytes((tmp_path / "other" / file.name).read_bytes())
    with pytest.raises(ValueError, match=f"{file.name} is of another run; delete it"):
        simulate(store=tmp_path / "s")
    file.unlink()
    np.testing.assert_array_equal(simulate(store=tmp_path / "s").readout_fractions, expected)


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and not a store"):
        simulate(store=tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="is a file; store= takes a folder"):
        simulate(store=tmp_path / "notes.txt")
    (tmp_path / "s").mkdir()
    for text in ("{", "[1]", '{"kind": "Ensemble"}'):
        (tmp_path / "s" / "description.json").write_text(text)
        with pytest.raises(ValueError, match=r"description.json (is damaged|was not written)"):
            simulate(store=tmp_path / "s")


def test_functions_that_are_no_data_are_refused(tmp_path):
    cubic = ib.activations.from_function(lambda x: x**3, lambda x: 3 * x**2, name="cubic")
    with pytest.raises(ValueError, match="cannot be written as data"):
        ib.simulate(ib.mlp(8, 1, activation=cubic), X, samples=20, networks=2, store=tmp_path / "s")


def test_a_half_written_file_is_no_chunk(tmp_path):
    expected = simulate(store=tmp_path / "s").readout_fractions
    file = chunks(tmp_path / "s")[0]
    file.rename(file.with_name(f".{file.name}.0000.tmp"))  # what a kill leaves behind
    np.testing.assert_array_equal(simulate(store=tmp_path / "s").readout_fractions, expected)
    store = Store(tmp_path / "t", {"seed": 0})
    (tmp_path / "t" / "description.json").rename(tmp_path / "t" / ".description.json.0000.tmp")
    Store(tmp_path / "t", {"seed": 0}).write(0, 1, {"a": np.ones(1)})
    assert store.read(0, 1)["a"] == 1


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_two_runs_share_a_store(run, tmp_path, monkeypatch):
    function, name = run
    for module in (ensemble, training):
        monkeypatch.setattr(module, "_STORED_SECONDS", 1e-12)  # a network each
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(function, 30, store=tmp_path / "s", workers=1) for _ in range(2)]
    assert len(chunks(tmp_path / "s")) == 30
    for future in both:
        np.testing.assert_array_equal(getattr(future.result(), name), getattr(function(30), name))


PROGRAM = """
import sys
import numpy as np
import ibtheory as ib
from ibtheory.simulation import ensemble, training
ensemble._STORED_SECONDS = training._STORED_SECONDS = 0.02  # many small chunks
net, x = ib.mlp(24, 2, 2, norm="layer"), ib.Blobs(features=10, separation=2.0)
kind, networks, folder, target = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
options = {"seed": 4, "store": folder, "workers": 2}
if kind == "simulate":
    result = ib.simulate(net, x, networks=40 * networks, samples=200, **options).readout_fractions
else:
    result = ib.train(net, x, networks=networks, steps=300, samples=100, **options).loss
np.save(target, result)
"""


def uninterrupted(kind, networks):
    if kind == "simulate":
        return ib.simulate(NET, X, networks=40 * networks, samples=200, seed=4).readout_fractions
    return ib.train(NET, X, networks=networks, steps=300, samples=100, seed=4).loss


def start(kind, networks, folder, target):
    command = [sys.executable, "-c", PROGRAM, kind, str(networks), str(folder), str(target)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def finish(process):
    _, message = process.communicate(timeout=300)
    assert process.returncode == 0, message.decode()


def kill_often(kind, networks, kills, folder, rng):
    """Kill a run ``kills`` times, each after a few more chunks and a random while."""
    for _ in range(kills):
        process = start(kind, networks, folder, folder.with_name("never.npy"))
        before, end = len(chunks(folder)), time.monotonic() + 120
        while len(chunks(folder)) < before + 2 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.05)
        assert process.poll() is None, "the run ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert len(chunks(folder)) >= before + 2


def check_kills(kind, networks, kills, tmp_path):
    folder = tmp_path / "store"
    kill_often(kind, networks, kills, folder, random.Random(0))
    stamps = {file: file.stat().st_mtime_ns for file in chunks(folder)}
    finish(start(kind, networks, folder, tmp_path / "resumed.npy"))
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())  # nothing was lost
    np.testing.assert_array_equal(np.load(tmp_path / "resumed.npy"), uninterrupted(kind, networks))


@pytest.mark.parametrize("kind", ["simulate", "train"])
def test_killed_once(kind, tmp_path):
    check_kills(kind, 100, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["simulate", "train"])
def test_killed_ten_times(kind, tmp_path):
    check_kills(kind, 600, 10, tmp_path)


@pytest.mark.slow
def test_two_processes_on_one_store(tmp_path):
    both = [start("train", 60, tmp_path / "store", tmp_path / f"{i}.npy") for i in range(2)]
    for process in both:
        finish(process)
    for i in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"{i}.npy"), uninterrupted("train", 60))
