"""Training from random starts, full batch, against PyTorch: steps of a network per CPU second.

    python validation/bench/training.py [--cases a b c ...] [--peers ...] [--rounds 5] [--json FILE]

Every side draws the weights and takes cases.STEPS steps of SGD or Adam on the cross-entropy, one thread; ours also
takes notes (loss, predictions, gradient norms, distance) at the first and the last. "share": of the sgemm peak of the
same run, in operations of the matrix products of all steps, forward and backward.
"""

import numpy as np
from cases import CASES, STEPS
from forward import network
from timing import Local, Remote, alternate, arguments, show, summary, write
from worker import Worker

import ibtheory as ib
from ibtheory import _blas
from ibtheory.simulation import lessons

OPTIMIZERS = {"sgd": ib.SGD(1e-3), "adam": ib.Adam(1e-3)}
PEERS = ("functional", "module", "bmm8", "vmap8", "compile")


def lesson(case, optimizer):
    """What train makes of a case."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.samples, case.features)).astype(np.float32)
    return lessons.Lesson(
        network=network(case),
        inputs=x,
        labels=rng.integers(0, case.classes, case.samples),
        held_inputs=x[:0],
        held_labels=np.zeros(0, np.int64),
        weights=np.ones(case.classes),
        optimizer=OPTIMIZERS[optimizer],
        rates=np.full(STEPS, OPTIMIZERS[optimizer].learning_rate),
        loss="cross_entropy",
        times=np.array([0, STEPS]),
        batch=case.samples,
        clip=0.0,
        statistics="batch",
        biases=None,
        affine=False,
        seed=0,
        token=f"{case} {optimizer}",
    )


def measure(name, optimizer, torch, peers, rounds):
    """One row; counts are in steps of a network."""
    case = CASES[name]
    task = lesson(case, optimizer)
    sides = {"ours": Local(lambda count: lessons.run_block(task, 0, count))}
    sides |= {variant: Remote(torch, case=name, variant=variant, optimizer=optimizer) for variant in peers}
    with _blas.one_thread():
        rates = alternate(sides, rounds, multiple={"bmm8": 8, "vmap8": 8})
    rates = {side: rate if side == "peak" or isinstance(rate, str) else [STEPS * r for r in rate]
             for side, rate in rates.items()}  # fmt: skip
    row = summary(rates, ("ours",))
    first = 2 * case.samples * case.shapes[0][0] * case.shapes[0][1]  # its inputs need no gradient
    work = 1e-9 * (3 * case.flops - first)
    row["share"] = float(np.median(work * np.array(rates["ours"]) / np.array(rates["peak"])))
    return {"case": name, "optimizer": optimizer} | row


def main():
    options = arguments(__doc__, CASES, PEERS)
    rows = []
    with Worker("torch_worker.py") as torch:
        for name in options.cases:
            for optimizer in OPTIMIZERS:
                rows.append(measure(name, optimizer, torch, options.peers, options.rounds))
                show(f"{name}, {optimizer}", rows[-1], "steps")
                print(f"  share of the peak: {rows[-1]['share']:.0%}")
    write(options.json, rows=rows)


if __name__ == "__main__":
    main()
