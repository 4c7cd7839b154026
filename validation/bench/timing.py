"""How the benchmarks of this folder time: CPU seconds of one thread, in short bursts that alternate with their peers'.

The machine may be shared: a ratio is the median over rounds of ratios within a round, and the load and the sgemm
peak of the same run stand beside it. Compilation is left out: every burst has run once before it counts.
"""

import argparse
import json
import os
import statistics
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from scipy.linalg.blas import sgemm

BURST = 0.25
_PEAK_SIZE = 1536


class Local:
    """A function ``run`` (count) of this process, to be timed like a peer."""

    def __init__(self, run):
        self.run = run

    def ask(self, count):
        start = time.process_time()
        self.run(count)
        return {"seconds": time.process_time() - start}


class Remote:
    """A request to a worker, with the count left open."""

    def __init__(self, worker, **request):
        self.worker, self.request = worker, request

    def ask(self, count):
        return self.worker.ask(count=count, **self.request)


def peak():
    """GFLOP per second of the BLAS that the simulation uses, large matrices, float32."""
    a = np.asfortranarray(np.random.default_rng(0).standard_normal((_PEAK_SIZE, _PEAK_SIZE)), np.float32)
    start = time.process_time()
    sgemm(1.0, a, a)
    return 2e-9 * _PEAK_SIZE**3 / (time.process_time() - start)


def alternate(sides, rounds, *, multiple=None):
    """Rates, per second, of each of ``sides`` (name -> Local or Remote) round by round; the sgemm peak as "peak".

    ``multiple``: by name, what the count of a burst has to be a multiple of. A side that fails has its error instead.
    """
    counts, rates = {}, {"peak": []}
    for name, side in sides.items():
        unit = (multiple or {}).get(name, 1)
        answer = side.ask(unit)
        if "error" not in answer:
            seconds = side.ask(unit)["seconds"]
            counts[name] = unit * max(1, round(BURST / max(seconds, 1e-4)))
        rates[name] = answer.get("error", [])
    for _ in range(rounds):
        rates["peak"].append(peak())
        for name, count in counts.items():
            rates[name].append(count / sides[name].ask(count)["seconds"])
    return rates


def summary(rates, own):
    """Median rates, the best peer, and the ratio of each of ``own`` to every peer."""
    peers = [name for name in rates if name not in ("peak", *own) and not isinstance(rates[name], str)]
    medians = {name: statistics.median(rates[name]) for name in ("peak", *own, *peers)}
    best = max(peers, key=medians.get) if peers else None
    row = {"load": os.getloadavg()[0], "rates": medians, "best_peer": best}
    row["failed"] = {name: rate for name, rate in rates.items() if isinstance(rate, str)}
    for name in own:
        row[f"{name} / peer"] = {
            peer: statistics.median(a / b for a, b in zip(rates[name], rates[peer], strict=True)) for peer in peers
        }
    return row


def show(title, row, unit):
    """The row as text."""
    rates = row["rates"]
    print(f"{title} (load {row['load']:.1f}, sgemm {rates['peak']:.0f} GFLOP/s), {unit} per CPU second:")
    for name, rate in rates.items():
        if name != "peak":
            ratios = "".join(
                f"  {own.split(' / ')[0]} x{values[name]:.2f}"
                for own, values in row.items()
                if own.endswith(" / peer") and name in values
            )
            print(f"  {name:24} {rate:9.1f}{ratios}{'  (best peer)' if name == row['best_peer'] else ''}")
    for name, error in row["failed"].items():
        print(f"  {name:24} did not run: {error}")


def arguments(description, cases, peers=()):
    """The options all benchmarks share, parsed."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=cases, default=list(cases))
    if peers:
        parser.add_argument("--peers", nargs="+", choices=peers, default=list(peers))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def write(path, **content):
    """The result with the versions that gave it, beside its script."""
    if path:
        versions = {name: _version(name) for name in ("numpy", "numba", "scipy", "torch")}
        path.write_text(json.dumps({"versions": versions, **content}, indent=1) + "\n")


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
