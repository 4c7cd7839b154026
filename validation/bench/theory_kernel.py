"""NNGP kernels against neural-tangents: CPU seconds per kernel on one thread, and whose values are right.

    python validation/bench/theory_kernel.py --peer PYTHON [--samples 1000 2000] [--depth 20] [--pairs 5] [--json FILE]

PYTHON is the interpreter of the environment of requirements-neural-tangents.txt. Both sides keep one process each;
their runs alternate and are compared in pairs, by process_time; compilation is left out, and the load is reported.
Three of the samples are a copy, a near copy and a scaled copy of others, where digits are easily lost; mpmath says who
is right there. The float64 kernel of the NNGP alone is computed, on both sides.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import argparse  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from importlib import metadata  # noqa: E402
from pathlib import Path  # noqa: E402

import mpmath as mp  # noqa: E402
import numpy as np  # noqa: E402
from worker import Worker  # noqa: E402

import ibtheory as ib  # noqa: E402
from ibtheory.theory import kernel  # noqa: E402

_FEATURES = 100
_ENVIRONMENT = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def inputs(samples, seed):
    """(samples, features): Gaussian, the last three a copy, a near copy and a scaled copy of the first three."""
    x = np.random.default_rng(seed).standard_normal((samples, _FEATURES))
    x[-3], x[-2], x[-1] = x[0], x[1] + 1e-6 * x[3], 1.5 * x[2]
    return x


def exact(a, b, depth):
    """The kernel of two samples in 60 digits."""
    with mp.workdps(60):

        def dot(u, v):
            return mp.fsum(mp.mpf(float(p)) * mp.mpf(float(q)) for p, q in zip(u, v, strict=True)) / len(u)

        same, c = mp.sqrt(dot(a, a) * dot(b, b)), dot(a, b) / mp.sqrt(dot(a, a) * dot(b, b))
        for _ in range(depth):
            c = min(c, mp.mpf(1))
            c = (mp.sqrt(1 - c * c) + c * (mp.pi - mp.acos(c))) / mp.pi
        return 2 * same * c


def measure(python, samples, depth, pairs):
    """One row of the table."""
    x = inputs(samples, seed=samples)
    net, data = ib.mlp(100, depth), ib.Dataset(x)
    with tempfile.TemporaryDirectory() as folder:
        request = {"inputs": f"{folder}/x.npy", "output": f"{folder}/peer.npy", "depth": depth}
        np.save(request["inputs"], x)
        ours = kernel(net, data)
        with Worker("neural_tangents_worker.py", python=python, environment=_ENVIRONMENT) as peer:
            first = peer.ask(**request)["seconds"]  # compiles
            runs = []
            for _ in range(pairs):
                start = time.process_time()
                kernel(net, data)
                runs.append((time.process_time() - start, peer.ask(**request)["seconds"]))
        theirs = np.load(request["output"])
    own, other = (list(column) for column in zip(*runs, strict=True))
    close = [(0, samples - 3), (1, samples - 2), (2, samples - 1), (0, 0)]
    apart = np.ones_like(ours, bool)
    np.fill_diagonal(apart, False)
    for i, j in close:
        apart[i, j] = apart[j, i] = False
    truth = [(i, j, exact(x[i], x[j], depth)) for i, j in [*close, (4, 5), (6, 7)]]
    return {
        "samples": samples,
        "depth": depth,
        "seconds": statistics.median(own),
        "peer_seconds": statistics.median(other),
        "ratio": statistics.median(b / a for a, b in runs),
        "peer_first_call": first,
        "runs": runs,
        "load": os.getloadavg()[0],
        "largest_relative_difference": float(np.max(np.abs(ours / theirs - 1)[apart])),
        "errors_near_one": [
            [i, j, float(abs(ours[i, j] / value - 1)), float(abs(theirs[i, j] / value - 1))] for i, j, value in truth
        ],
    }


def show(row):
    """The row as text."""
    print(f"N = {row['samples']}, depth {row['depth']}, medians of {len(row['runs'])} runs in CPU seconds:")
    print(f"  {row['seconds']:.4f}, neural-tangents {row['peer_seconds']:.3f}, ratio {row['ratio']:.1f}", end="")
    print(f" (load {row['load']:.1f})")
    print(f"  values apart from coinciding samples agree to {row['largest_relative_difference']:.1e}")
    for i, j, own, peer in row["errors_near_one"]:
        print(f"  relative error at ({i}, {j}) against 60 digits: {own:.1e}, neural-tangents {peer:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="interpreter with neural-tangents")
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [measure(arguments.peer, samples, arguments.depth, arguments.pairs) for samples in arguments.samples]
    for row in rows:
        show(row)
    if arguments.json:
        versions = {name: metadata.version(name) for name in ("numpy", "numba", "scipy")}
        text = json.dumps({"versions": versions, "rows": rows}, indent=1)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
