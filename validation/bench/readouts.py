"""The law of class fractions from many readouts per network, against one, and against PyTorch, at equal variance.

    python validation/bench/readouts.py [--cases a c] [--rounds 5] [--json FILE]

Readouts on one hidden network are alike, but not equal. With V_R the variance over networks of the mean over R
readouts, R readouts in T_R seconds are worth (V_1 T_1) / (V_R T_R) networks with one readout in the same time. Two
quantities: the largest class fraction and the squared distance of a fraction from 1/C. Networks are the sample unit
of every variance. The gain over PyTorch is that times the ratio of networks per CPU second to its best variant.
"""

import json
import os
import statistics
import time
from dataclasses import replace

from cases import CASES
from forward import PEERS, task
from timing import Local, Remote, alternate, arguments, write
from worker import Worker

from ibtheory import _blas
from ibtheory.simulation import blocks

READOUTS, NETWORKS = 64, 400


def values(counts):
    """(networks, readouts) of the largest fraction, and of the mean squared distance from 1/C."""
    shares = counts.sum(axis=2) / counts.sum(axis=(2, 3))[..., None]
    return {
        "largest fraction": shares.max(axis=2),
        "squared distance": ((shares - 1 / shares.shape[2]) ** 2).mean(axis=2),
    }


def measure(name, torch, rounds):
    """One row."""
    case = CASES[name]
    one = task(case, rotated=case.features > case.samples)
    many = replace(one, readouts=READOUTS, token=f"{name} many")
    sides = {"one": Local(lambda count: blocks.run_block(one, 0, count))}
    sides["many"] = Local(lambda count: blocks.run_block(many, 0, count))
    sides |= {variant: Remote(torch, case=name, variant=variant) for variant in PEERS if variant != "compile"}
    with _blas.one_thread():
        rates = alternate(sides, rounds, multiple={"bmm8": 8, "bmm32": 32, "vmap8": 8})
        start = time.process_time()
        counts = blocks.run_block(many, 0, NETWORKS).counts
        spent = time.process_time() - start
    peers = [variant for variant in sides if variant not in ("one", "many")]
    best = max(peers, key=lambda variant: statistics.median(rates[variant]))
    cost, over = (
        statistics.median(a / b for a, b in zip(rates["many"], rates[other], strict=True)) for other in ("one", best)
    )
    row = {"case": name, "readouts": READOUTS, "networks": NETWORKS, "seconds": spent, "load": os.getloadavg()[0]}
    row |= {"best_peer": best, "networks_many_over_one": cost, "networks_many_over_peer": over}
    for quantity, found in values(counts).items():
        within = found.var(axis=1, ddof=1).mean()
        between = found.mean(axis=1).var(ddof=1)
        single = between + within * (1 - 1 / READOUTS)
        row[quantity] = {
            "variance_ratio": single / between,
            "gain_over_one": cost * single / between,
            "gain_over_peer": over * single / between,
        }
    return row


def main():
    options = arguments(__doc__, ("a", "c"))
    rows = []
    with Worker("torch_worker.py") as torch:
        for name in options.cases:
            rows.append(measure(name, torch, options.rounds))
            print(json.dumps(rows[-1], indent=1))
    write(options.json, rows=rows)


if __name__ == "__main__":
    main()
