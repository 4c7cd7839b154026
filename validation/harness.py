"""What all claims share: how one is stated, run, judged and stored.

A claim is a module of this package with a ``CLAIM``. It stands if its comparison finds theory and simulation
consistent; it passes if, besides, the same comparison rejects its negative control, a theory known to be wrong.
"""

import importlib
import json
import pkgutil
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import validation
from ibtheory import _files, results

__all__ = ["RESULTS", "Claim", "Control", "Outcome", "check", "claims", "holm", "power_of_z"]

RESULTS = Path(__file__).parent / "results"
_SHARED = {"harness", "__main__"}


@dataclass(frozen=True)
class Control:
    """A theory made wrong on purpose, which the comparison has to reject."""

    description: str
    rejected: bool
    power: float  # known before the comparison: from the standard errors and the two theories
    numbers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    consistent: bool
    level: float  # simultaneous: the chance that a true theory is found inconsistent
    control: Control
    numbers: dict  # plain data: every number that was compared
    seeds: dict
    summary: str  # for a human
    draw: Callable[[], Any]  # makes the matplotlib Figure


@dataclass(frozen=True)
class Claim:
    """A sentence that a run can refute."""

    name: str
    sentence: str
    reference: str
    run: Callable[..., Outcome]  # run(quick, say): say(text) reports progress


def claims():
    """All claims of this package by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(validation.__path__))
    modules = (importlib.import_module(f"validation.{name}") for name in names if name not in _SHARED)
    return {module.CLAIM.name: module.CLAIM for module in modules}


def check(claim, folder, *, quick=False, say=lambda text: None):
    """Run a claim and store ``verdict.json`` and ``figure.png`` in ``folder``, each at once or not at all.

    Returns (verdict, summary for a human); the verdict is a dict whose "passed" says whether the claim stands and its
    negative control is rejected.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)  # before the run: a folder that can't be written costs no minutes
    start = time.perf_counter()
    outcome = claim.run(quick=quick, say=say)
    verdict = {
        "name": claim.name,
        "claim": claim.sentence,
        "reference": claim.reference,
        "passed": bool(outcome.consistent and outcome.control.rejected),
        "consistent": bool(outcome.consistent),
        "level": outcome.level,
        "control": asdict(outcome.control),
        "quick": quick,
        "seeds": outcome.seeds,
        "versions": _versions(),
        "seconds": round(time.perf_counter() - start, 1),
        "numbers": outcome.numbers,
    }
    text = json.dumps(_plain(verdict), indent=1, allow_nan=False)
    with _files.replacing(folder / "figure.png") as file:
        outcome.draw().savefig(file, format="png", dpi=150)
    with _files.replacing(folder / "verdict.json") as file:
        file.write(text.encode())
    return verdict, outcome.summary


def _versions():
    software = {name: metadata.version(name) for name in ("scipy", "matplotlib")}
    return results.versions() | software | {"python": platform.python_version(), "machine": platform.machine()}


def _plain(value):
    """Plain JSON data; what is not finite becomes a word, for JSON has no number for it."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def holm(p_values, level):
    """Which hypotheses Holm's procedure rejects at the simultaneous ``level``; NaN counts as not tested."""
    p = np.asarray(p_values, dtype=float)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    passed = p[order] <= level / np.arange(len(order), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected


def power_of_z(shift, level, count):
    """Chance that a z-score of mean ``shift`` is rejected as one of ``count`` two-sided tests at ``level`` together.

    Bonferroni, the first step of Holm, so that it is a lower bound.
    """
    critical = stats.norm.isf(level / (2 * count))
    shift = np.abs(shift)
    return stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift)
