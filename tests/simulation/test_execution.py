"""executor=: the same bits on threads, processes, dask and MPI, whatever the chunks, stored or not; few blocks wait."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import ibtheory as ib
from ibtheory.simulation import ensemble, execution, training
from ibtheory.store import Store

X = ib.Blobs(features=10, separation=2.0)
NETWORKS = 30
spawned = partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))


def cubic(x):
    return x**3 / 4


def slope(x):
    return 3 * x**2 / 4


def results(store=None, **where):
    """Arrays by name of two ensembles and a training."""

    def options(name):
        kept = None if store is None else store / name
        return {"samples": 20, "seed": 4, "networks": NETWORKS, "store": kept, **where}

    net = ib.mlp(16, 2, 2, norm="batch", placement="before")
    whole = ib.simulate(net, X, readouts=2, gradients="independent", **options("whole"))
    summary = ib.simulate(net, X, readouts=2, keep="summary", **options("summary"))
    history = ib.train(net, X, steps=6, batch=8, held_out=10, **options("history"))
    return {
        **{f"whole {name}": whole.layers[name] for name in whole.layers.dtype.names if name != "name"},
        **{f"summary {name}": summary.layers[name] for name in ("same", "gap", "gamma", "gamma_error")},
        **{name: getattr(whole, name) for name in ("readout_fractions", "per_layer", "agreement", "gamma_effective")},
        "fraction": summary.class_fraction_variance,
        **{name: getattr(history, name) for name in ("loss", "held_out_recall", "gradient_norm", "cosine")},
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture(scope="module")
def expected():
    return results(workers=1)


@pytest.fixture(scope="module")
def processes():
    with spawned(2) as pool:
        yield pool


def chunks_of(monkeypatch, seconds):
    for module, names in ((ensemble, ("_SENT_SECONDS", "_STORED_SECONDS")), (training, ("_BLOCK_SECONDS",))):
        for name in names:
            monkeypatch.setattr(module, name, seconds)


@pytest.mark.parametrize("seconds", [1e-12, 2e-4, 10.0], ids=["one network", "several", "all"])
def test_threads(expected, seconds, monkeypatch):
    chunks_of(monkeypatch, seconds)
    with ThreadPoolExecutor(3) as pool:
        assert_same(results(executor=pool), expected)


def test_processes(expected, processes, tmp_path, monkeypatch):
    assert_same(results(executor=processes), expected)
    chunks_of(monkeypatch, 2e-4)
    assert_same(results(executor=processes), expected)
    assert_same(results(executor=processes, store=tmp_path), expected)
    assert_same(results(store=tmp_path), expected)  # read from there


def test_processes_take_explicit_parameters_and_functions(processes):
    net = ib.mlp(4, 1, activation=ib.activations.from_function(cubic, slope, name="cubic"))
    rng = np.random.default_rng(0)
    given = [[(rng.standard_normal((10, 4)), None), (rng.standard_normal((4, 2)), None)] for _ in range(3)]
    options = {"samples": 20, "dtype": "float64", "parameters": given}
    here, there = (ib.simulate(net, X, **options, **where) for where in ({}, {"executor": processes}))
    np.testing.assert_array_equal(there.per_layer, here.per_layer)


def test_what_fails_in_a_process_is_said_here(processes):
    wild = ib.mlp(8, 30, weight_variance=1e4)
    with pytest.raises(ValueError, match="overflow float32 in network 0"):
        ib.simulate(wild, X, samples=20, networks=3, executor=processes)


@pytest.mark.slow
def test_dask(expected, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason='needs the extra "distributed"')
    cluster = partial(distributed.LocalCluster, n_workers=4, threads_per_worker=1, dashboard_address=None)
    with cluster() as workers, distributed.Client(workers) as client:
        pool = client.get_executor()
        assert_same(results(executor=pool), expected)
        chunks_of(monkeypatch, 2e-4)
        assert_same(results(executor=pool, store=tmp_path), expected)
        large = ib.Dataset(np.random.default_rng(0).standard_normal((6000, 500)))  # dask warns of 10 MB per block
        ib.simulate(ib.mlp(4, 1), large, networks=2, readouts=1, executor=pool)


MPI = """
import sys
from pathlib import Path
import numpy as np
from mpi4py.futures import MPIPoolExecutor
from test_execution import results
if __name__ == "__main__":
    with MPIPoolExecutor() as pool:
        assert pool.num_workers == 1  # the other process is this one
        np.savez(sys.argv[1], **results(executor=pool), **{
            f"stored {name}": value for name, value in results(executor=pool, store=Path(sys.argv[2])).items()
        })
"""


@pytest.mark.slow
def test_mpi(expected, tmp_path):
    pytest.importorskip("mpi4py", reason='needs the extra "distributed"')
    if not shutil.which("mpiexec"):
        pytest.skip("needs an MPI with mpiexec")
    (tmp_path / "run.py").write_text(MPI)
    command = ["mpiexec", "-n", "2", sys.executable, "-W", "error", "-m", "mpi4py.futures", tmp_path / "run.py"]
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(ib.__file__).parents[1])])
    subprocess.run(
        [*command, tmp_path / "found.npz", tmp_path / "store"],
        check=True, timeout=300, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    with np.load(tmp_path / "found.npz") as found:
        assert_same({name: found[name] for name in expected}, expected)
        assert_same({name: found[f"stored {name}"] for name in expected}, expected)


class Held(Executor):
    """Futures that are done when they are told so."""

    def __init__(self):
        self.futures = []

    def submit(self, function, *args):
        self.futures.append((Future(), function, args))
        return self.futures[-1][0]

    def do(self, index):
        future, function, args = self.futures[index]
        future.set_result(function(*args))


class Here(Executor):
    """Runs in the calling thread."""

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future


class Values:
    """What a block hands over."""

    def __init__(self, first, stop):
        self.values = np.arange(first, stop)

    def _asdict(self):
        return {"values": self.values}


def run(first, stop):
    return Values, first, stop


def test_few_blocks_are_in_flight_and_come_in_order():
    held = Held()
    with execution.pool(held, None) as where:
        arriving = execution.in_order(where, execution.ranges(1000, 1), run)
        threading.Timer(0.05, lambda: [held.do(index) for index in reversed(range(64))]).start()
        assert next(arriving)["values"] == 0
        assert len(held.futures) == 64  # the 65th is sent when the second is asked for
        assert [next(arriving)["values"][0] for _ in range(63)] == [*range(1, 64)]
        assert len(held.futures) <= 2 * 64
        arriving.close()
    assert all(future.cancelled() for future, _, _ in held.futures[64:])


def test_what_is_done_before_its_turn_is_kept_at_once(tmp_path):
    store, held = Store(tmp_path / "s", {"seed": 0}), Held()
    counted = []
    arriving = execution.in_order((held, 3), execution.ranges(3, 1), run, store, counted.append)

    def finish():
        held.do(1)
        while store.read(1, 2) is None:
            time.sleep(0.001)
        held.futures[0][0].set_exception(RuntimeError("lost worker"))

    threading.Timer(0.02, finish).start()
    with pytest.raises(RuntimeError, match="lost worker"):
        next(arriving)
    assert store.read(1, 2)["values"] == 1
    assert store.read(0, 1) is None
    assert counted == [1]
    again = execution.in_order((Here(), 3), execution.ranges(3, 1), run, store, counted.append)
    assert [arrays["values"][0] for arrays in again] == [0, 1, 2]
    assert counted == [1, 1, 1, 1]


def test_what_is_no_executor_is_refused():
    with pytest.raises(TypeError, match=r"executor must be a concurrent.futures.Executor, got int; .*workers=4"):
        ib.simulate(ib.mlp(4, 1), X, samples=4, networks=1, executor=4)
    with pytest.raises(TypeError, match="got type"):
        ib.train(ib.mlp(4, 1), X, samples=4, networks=1, steps=1, executor=ThreadPoolExecutor)
