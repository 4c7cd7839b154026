"""``predict`` on a large dataset: seconds and peak memory for every norm, each case in a process of its own.

python validation/bench/predict_large.py [--samples 5000] [--depth 20] [--json FILE]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import ibtheory as ib

CASES = {
    "none": {},
    "layer": {"norm": "layer"},
    "rms": {"norm": "rms"},
    "none, biases": {"bias_variance": 0.1},
}
_FEATURES, _CLASSES = 100, 10


def run(case, samples, depth):
    """One row: wall and CPU seconds, peak memory in GB, gamma."""
    rng = np.random.default_rng(0)
    x = ib.Dataset(rng.standard_normal((samples, _FEATURES)) * np.exp(0.3 * rng.standard_normal((samples, 1))))
    wall, cpu = time.perf_counter(), time.process_time()
    p = ib.predict(ib.mlp(100, depth, _CLASSES, **CASES[case]), x)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "case": case,
        "samples": samples,
        "depth": depth,
        "wall": wall,
        "cpu": cpu,
        "peak_gb": peak,
        "gamma": p.gamma,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", choices=CASES, help="run this case alone, in this process")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(run(arguments.case, arguments.samples, arguments.depth)))
        return
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--samples", str(arguments.samples)]
        answer = subprocess.run([*command, "--depth", str(arguments.depth)], capture_output=True, text=True, check=True)
        rows.append(json.loads(answer.stdout))
        print(
            "{case:>13}: wall {wall:.1f} s, CPU {cpu:.1f} s, peak {peak_gb:.2f} GB, gamma {gamma:.6g}".format(
                **rows[-1]
            )
        )
    print(f"load {os.getloadavg()[0]:.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"load": os.getloadavg()[0], "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
