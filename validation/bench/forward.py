"""Random networks forward, with the statistics of every layer, against PyTorch and NumPy: networks per CPU second.

    python validation/bench/forward.py [--cases a b c ...] [--peers ...] [--rounds 5] [--json FILE]

"plain" draws all weights, "rotated" replaces the inputs by their triangle (the default of simulate where features >
samples). One readout per network, one thread; the peers draw the same weights and count predictions only. "share":
of the sgemm peak of the same run, in operations of the plain network.
"""

import numpy as np
from cases import CASES
from timing import Local, Remote, alternate, arguments, show, summary, write
from worker import Worker

import ibtheory as ib
from ibtheory import _blas
from ibtheory.simulation import blocks

PEERS = ("functional", "module", "bmm8", "bmm32", "vmap8", "compile")


def network(case):
    """The network of a case, as described to ibtheory."""
    return ib.mlp(
        case.width, case.depth, case.classes, activation=case.activation, norm=case.norm, placement=case.placement
    )


def task(case, *, rotated):
    """What simulate makes of a case."""
    x = np.random.default_rng(0).standard_normal((case.samples, case.features)).astype(np.float32)
    x = np.ascontiguousarray(np.linalg.qr(x.T, mode="r").T) if rotated else x
    groups = np.zeros(case.samples, np.int64)
    sizes = case.features, case.samples, 1
    return blocks.Task(network(case), x, groups, *sizes, 0, f"{case} {rotated}", triangular=rotated)


def measure(name, torch, loop, peers, rounds):
    """One row."""
    case = CASES[name]
    own = {"plain": task(case, rotated=False)}
    if case.features > case.samples:
        own["rotated"] = task(case, rotated=True)
    sides = {kind: Local(lambda count, t=t: blocks.run_block(t, 0, count)) for kind, t in own.items()}
    sides |= {variant: Remote(torch, case=name, variant=variant) for variant in peers}
    sides["numpy"] = Remote(loop, case=name)
    multiple = {"bmm8": 8, "bmm32": 32, "vmap8": 8}
    with _blas.one_thread():
        rates = alternate(sides, rounds, multiple=multiple)
    row = summary(rates, own)
    peak = np.array(rates["peak"])
    row["share"] = {kind: float(np.median(1e-9 * case.flops * np.array(rates[kind]) / peak)) for kind in own}
    return {"case": name} | row


def main():
    options = arguments(__doc__, CASES, PEERS)
    rows = []
    with Worker("torch_worker.py") as torch, Worker("numpy_worker.py") as loop:
        for name in options.cases:
            rows.append(measure(name, torch, loop, options.peers, options.rounds))
            show(name, rows[-1], "networks")
            print("  share of the peak:", {kind: f"{share:.0%}" for kind, share in rows[-1]["share"].items()})
    write(options.json, rows=rows)


if __name__ == "__main__":
    main()
