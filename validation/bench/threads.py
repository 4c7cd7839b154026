"""What a second thread brings: networks per second of wall time, one thread and two, in turn.

    python validation/bench/threads.py [--cases a b c] [--rounds 5] [--json FILE]

Meaningful on a machine that does nothing else: the load is printed.
"""

import os
import statistics
import time

import numpy as np
from cases import CASES
from forward import network
from timing import arguments, write

import ibtheory as ib

SECONDS = 1.0


def measure(name, rounds):
    """One row."""
    case = CASES[name]
    x = ib.Dataset(np.random.default_rng(0).standard_normal((case.samples, case.features)))

    def wall(networks, workers):
        start = time.perf_counter()
        ib.simulate(network(case), x, networks=networks, readouts=1, workers=workers, keep="summary")
        return time.perf_counter() - start

    wall(1, 2)
    networks = max(8, round(16 * SECONDS / wall(16, 1)))
    pairs = [(wall(networks, 1), wall(networks, 2)) for _ in range(rounds)]
    return {
        "case": name,
        "networks": networks,
        "load": os.getloadavg()[0],
        "walls": pairs,
        "scaling": statistics.median(one / two for one, two in pairs),
    }


def main():
    options = arguments(__doc__, CASES)
    rows = []
    for name in options.cases:
        rows.append(measure(name, options.rounds))
        print("{case}: x{scaling:.2f} from one thread to two (load {load:.1f})".format(**rows[-1]))
    write(options.json, rows=rows)


if __name__ == "__main__":
    main()
