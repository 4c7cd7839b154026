"""From nothing to the first result: CPU seconds of a fresh process, with and without compiled code on disk.

python validation/bench/startup.py [--rounds 3] [--json FILE]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import write
from worker import ONE_THREAD

TASKS = {
    "import numba": "import numba",
    "simulate": "import ibtheory as ib; ib.simulate(ib.mlp(50, 3), ib.GaussianInputs(20), networks=2, samples=30)",
    "train": "import ibtheory as ib; ib.train(ib.mlp(50, 3), ib.Blobs(features=20), networks=2, steps=3, samples=30)",
}


def seconds(code, cache):
    """CPU seconds of a process that runs ``code``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | ONE_THREAD | {"NUMBA_CACHE_DIR": str(cache)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for name, code in TASKS.items():
            cold = seconds(code, cache)
            warm = statistics.median(seconds(code, cache) for _ in range(options.rounds))
            rows.append({"task": name, "cold": cold, "warm": warm, "load": os.getloadavg()[0]})
            print("{task:>13}: cold {cold:.1f}, warm {warm:.2f} CPU seconds (load {load:.1f})".format(**rows[-1]))
    write(options.json, rows=rows)


if __name__ == "__main__":
    main()
