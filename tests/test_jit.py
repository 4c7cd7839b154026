"""Compiled code on disk is that of the sources as they are now."""

import os
import shutil
import subprocess
import sys

import numpy as np

import ibtheory as ib
from ibtheory import _jit
from ibtheory._bundle import bundle

ROOT = os.path.dirname(ib.__file__)
Pair = bundle("Pair", "values factor")


def copied(folder):
    """A package of the same name with the compiler, a door, and what the door imports."""
    package = folder / "ibtheory"
    (package / "ops").mkdir(parents=True)
    shutil.copy(os.path.join(ROOT, "_jit.py"), package)
    (package / "__init__.py").write_text("")
    (package / "ops" / "__init__.py").write_text("")
    (package / "numbers.py").write_text("LEAST = 1.0\n")
    (package / "ops" / "kernel.py").write_text(
        "from ibtheory import _jit\nfrom ibtheory.numbers import LEAST\n\n"
        "@_jit.inner\ndef value(x):\n    return 10.0 * x + LEAST\n"
    )
    (package / "machine.py").write_text(
        "from ibtheory import _jit\nfrom ibtheory.ops import kernel\n\n"
        "@_jit.door\ndef run(x):\n    return kernel.value(x)\n"
    )
    return package


def answer(folder):
    """(value, entries found on disk) of a fresh process."""
    code = "from ibtheory.machine import run; print(run(2.0), sum(run.stats.cache_hits.values()))"
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=folder
    )
    value, hits = done.stdout.split()
    return float(value), int(hits)


def test_cached_code_follows_every_file_that_it_came_from(tmp_path):
    package = copied(tmp_path)
    assert answer(tmp_path) == (21.0, 0)
    assert answer(tmp_path) == (21.0, 1)
    kernel = package / "ops" / "kernel.py"
    kernel.write_text(kernel.read_text().replace("10.0", "20.0"))
    assert answer(tmp_path) == (41.0, 0)
    (package / "numbers.py").write_text("LEAST = 2.0\n")
    assert answer(tmp_path) == (42.0, 0)
    assert answer(tmp_path) == (42.0, 1)


def test_the_sources_of_the_machine_are_those_it_imports():
    machine = os.path.join(ROOT, "simulation", "machine.py")
    before = _jit.sources(machine)
    assert _jit.sources(machine) == before
    assert _jit.sources(os.path.join(ROOT, "theory", "sweep.py")) != before
    seen = {path.name for path in _jit.imported(machine)}
    assert {"machine.py", "_math.py", "vectors.py", "program.py", "layers.py"} <= seen
    assert "plot.py" not in seen


@_jit.inner
def _total(pair):
    return pair.factor * pair.values.sum()


@_jit.door
def _scaled(pair, pairs):
    pair.values[0] = 5.0
    return _total(pair) + _total(pairs[1])


def test_bundles_are_named_tuples_read_in_compiled_code():
    pair, other = Pair(np.arange(3.0), 2.0), Pair(factor=1.0, values=np.ones(4))
    assert isinstance(pair, tuple)
    assert pair._asdict()["factor"] == 2.0
    assert _scaled(pair, (pair, other)) == 2.0 * 8.0 + 4.0
    assert pair.values[0] == 5.0
    assert _scaled.nopython_signatures
    assert Pair.__module__ == __name__
