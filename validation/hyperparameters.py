"""Does the effect of placement on early learning survive the hyper-parameters? Placement, optimizer, rate, decay.

In every setting of optimizer, learning rate and weight decay, ensembles of networks learn the digits from random
starts. Without a norm, or with the norm before the activation, the start is uneven; with the norm after it nearly even.
One test per setting and pair of placements says whether the uneven one learns its worst class later: Mann and
Whitney's, one-sided, on the steps until the worst class has a recall above RECALL, networks as units. The claim stands
if every test says so at the simultaneous level (Holm); one that does not is named. A pair is compared where training
converges, where at least nine tenths of the networks of both placements get there; others are shown.

Placement changes more than the law at the start: the scale of gradients too. The rank correlation between the initial
largest class fraction and the steps, over networks of the same placement, is free of that; it is shown, not tested.
"""

from itertools import product

import numpy as np
from scipy import stats

import ibtheory as ib
from ibtheory.plot import INK, SIMULATION, THEORY
from validation.harness import Claim, Control, Outcome, holm

LEVEL = 0.05
WIDTH, DEPTH, SAMPLES, RECALL = 64, 10, 200, 0.5
NETWORKS, STEPS = 24, 300
QUICK_NETWORKS, QUICK_STEPS = 12, 100
PLACEMENTS = {
    "none": ("none", "after"),
    **{f"{norm} {place}": (norm, place) for norm in ("layer", "batch") for place in ("before", "after")},
}
PAIRS = [("none", "layer after"), ("layer before", "layer after"), ("batch before", "batch after")]
RATES = {"SGD": (0.01, 0.05, 0.25), "Adam": (1e-4, 1e-3, 1e-2)}
DECAYS = (0.0, 0.01)
OPTIMIZERS = {"SGD": ib.SGD, "Adam": ib.Adam}
CONVERGED = 0.9  # share of the networks that have to learn the worst class
SLOWER = 0.9  # share of pairs of networks in which the uneven one is later, that power is computed for
DATA_SEED, FIRST_SEED = 0, 3001


def settings(quick):
    """(optimizer, learning rate, weight decay) of every cell; ``quick``: the middle rates without decay."""
    for name, rates in RATES.items():
        yield from product([name], rates[1:2] if quick else rates, DECAYS[:1] if quick else DECAYS)


def run(quick, say):
    """Train all placements in all settings, then compare; ``quick``: two settings, fewer networks."""
    data = ib.Dataset(*ib.load_digits().draw(SAMPLES, DATA_SEED))
    cells = []
    networks, steps = (QUICK_NETWORKS, QUICK_STEPS) if quick else (NETWORKS, STEPS)
    for number, (setting, placement) in enumerate(product(settings(quick), PLACEMENTS)):
        cells.append(trained(data, setting, placement, networks, steps, seed=FIRST_SEED + number))
        say(_line(cells[-1]))
    return judged(cells)


def trained(data, setting, placement, networks, steps, seed):
    """What is kept of the training of one placement in one setting."""
    norm, place = PLACEMENTS[placement]
    net = ib.mlp(WIDTH, DEPTH, data.y.max().astype(int) + 1, norm=norm, placement=place)
    name, rate, decay = setting
    optimizer = OPTIMIZERS[name](rate, weight_decay=decay)
    history = ib.train(
        net, data, networks=networks, steps=steps, optimizer=optimizer, record=range(steps + 1), seed=seed
    )
    largest = history.class_fractions[:, 0].max(axis=1)
    return {
        "placement": placement, "optimizer": name, "learning_rate": rate, "weight_decay": decay, "seed": seed,
        "networks": networks, "last": steps, "max_fraction": largest, "steps": history.steps_until(RECALL),
        "loss_rise": history.loss_rise, "diverged": int(np.isfinite(history.diverged).sum()),
    }  # fmt: skip


def compare(slow, fast):
    """One-sided p-value that the steps ``slow`` are larger than ``fast``; and the share of pairs in which they are."""
    p = stats.mannwhitneyu(slow, fast, alternative="greater", method="asymptotic").pvalue
    return float(p), _share(slow, fast)


def _share(slow, fast):
    above, equal = np.greater.outer(slow, fast), np.equal.outer(slow, fast)
    return float(above.mean() + equal.mean() / 2)


def power(networks, tests):
    """Chance that one of ``tests`` together finds a share SLOWER of pairs (Bonferroni; the spread is at most half)."""
    mean = (SLOWER - 0.5) * np.sqrt(12 * networks**2 / (2 * networks + 1))
    return float(stats.norm.sf(stats.norm.isf(LEVEL / tests) - mean))


def judged(cells):
    """The outcome of all cells."""
    place = {(_setting(cell), cell["placement"]): cell for cell in cells}
    rows = [_row(place[setting, slow], place[setting, fast]) for setting in _settings(cells) for slow, fast in PAIRS]
    tested = [row for row in rows if row["converged"]]
    for row, found in zip(tested, holm([row["p_value"] for row in tested], LEVEL), strict=True):
        row["later"] = bool(found)
    return Outcome(
        consistent=bool(tested) and all(row["later"] for row in tested),
        level=LEVEL,
        control=_control(cells, len(tested)),
        numbers={"pairs": rows, "fastest": fastest(cells), "cells": [_plain(cell) for cell in cells]},
        seeds={"data": DATA_SEED, "networks": "cell by cell, in cells[].seed"},
        summary=_summary(cells, rows),
        draw=lambda: figure(cells, rows),
    )


def fastest(cells):
    """{optimizer: {placement: smallest median of the steps over rates and decays}}: each at its own best setting."""
    best = {}
    for cell in cells:
        steps = best.setdefault(cell["optimizer"], {})
        steps[cell["placement"]] = min(steps.get(cell["placement"], np.inf), _quartiles(cell["steps"])[1])
    return best


def _setting(cell):
    return cell["optimizer"], cell["learning_rate"], cell["weight_decay"]


def _settings(cells):
    return [*dict.fromkeys(_setting(cell) for cell in cells)]


def _row(slow, fast):
    """The comparison of one pair of placements in one setting."""
    p, share = compare(slow["steps"], fast["steps"])
    return {
        "setting": _setting(slow), "slow": slow["placement"], "fast": fast["placement"],
        "converged": all(np.isfinite(cell["steps"]).mean() >= CONVERGED for cell in (slow, fast)),
        "median_steps": [_quartiles(cell["steps"])[1] for cell in (slow, fast)],
        "share_slower": share, "p_value": p, "later": None,
    }  # fmt: skip


def _control(cells, tests):
    """Networks of the same placement and setting, one half of the seeds against the other: none may differ."""
    tested = [cell for cell in cells if np.isfinite(cell["steps"]).any()]
    one = [compare(*np.split(cell["steps"], 2))[0] for cell in tested]
    two_sided = [2 * min(p, 1 - p) for p in one]
    found = holm(two_sided, LEVEL)
    return Control(
        description="the claim that one half of the seeds of a cell learns the worst class at other steps than the "
        "other half, in any cell. Power: of the claim's own tests, for placements one of which is later in "
        f"{SLOWER:.0%} of pairs of networks",
        rejected=not found.any(),
        power=power(cells[0]["networks"], max(tests, 1)),
        numbers={"cells": len(tested), "told_apart": int(found.sum()), "smallest_p": min(two_sided, default=1.0)},
    )


def _quartiles(steps):
    return np.quantile(steps, (0.25, 0.5, 0.75), method="inverted_cdf").tolist()


def _plain(cell):
    """Numbers of a cell for the verdict: every network stays visible in ``steps``."""
    finite = np.isfinite(cell["steps"])
    several = finite.sum() > 2 and np.ptp(cell["steps"][finite]) > 0
    tie = stats.spearmanr(cell["max_fraction"][finite], cell["steps"][finite]).statistic if several else np.nan
    return cell | {
        "max_fraction": float(cell["max_fraction"].mean()),
        "quartiles": _quartiles(cell["steps"]),
        "loss_rise": _quartiles(cell["loss_rise"]),
        "never_rose": int(np.isinf(cell["loss_rise"]).sum()),
        "rank_correlation": float(tie),
    }


def _line(cell):
    numbers = _plain(cell)
    low, median, high = numbers["quartiles"]
    line = f"{cell['placement']:<13}{cell['optimizer']:>5}{cell['learning_rate']:>8g}{cell['weight_decay']:>6g}"
    line += f"{numbers['max_fraction']:>8.2f}{low:>8g}{median:>7g}{high:>7g}{numbers['loss_rise'][1]:>8g}"
    return f"{line}{cell['diverged']:>5}{numbers['rank_correlation']:>7.2f}"


def _summary(cells, rows):
    head = f"{'placement':<13}{'optimizer, rate, decay':>19}{'f_max':>8}{'25 %':>8}{'median':>7}{'75 %':>7}"
    lines = [f"{head}{'rise':>8}{'lost':>5}{'rank':>7}", *map(_line, cells), ""]
    for row in rows:
        name = "{} {:g} {:g}".format(*row["setting"])
        slow, fast = row["median_steps"]
        state = {True: "later", False: "NOT LATER", None: "not converged, not tested"}[row["later"]]
        line = f"{row['slow']:<13} against {row['fast']:<12}{name:<17}median {slow:>4g} against {fast:>4g}, slower in"
        lines.append(f"{line} {row['share_slower']:.2f} of pairs, p {row['p_value']:.1e}  {state}")
    for optimizer, steps in fastest(cells).items():
        words = ", ".join(f"{name} {median:g}" for name, median in steps.items())
        lines.append(f"{optimizer}, each placement at its best setting, median steps: {words}")
    tested = [row["later"] for row in rows if row["converged"]]
    return "\n".join([*lines, f"later in {sum(tested)} of {len(tested)} tested"])


_TICKS = (1, 3, 10, 30, 100, 300)


def figure(cells, rows):
    """Steps until the worst class is learned: every network a dot, medians as bars, settings along the axis."""
    from matplotlib.figure import Figure

    places = _settings(cells)
    sheet = Figure(figsize=(5.0 + 0.75 * len(places), 9.0), layout="constrained")
    axes = sheet.subplots(len(PAIRS), sharex=True, sharey=True)
    for ax, (slow, fast) in zip(axes, PAIRS, strict=True):
        for name, color, side in ((slow, THEORY, -0.18), (fast, SIMULATION, 0.18)):
            chosen = {_setting(cell): cell for cell in cells if cell["placement"] == name}
            share = np.mean([chosen[place]["max_fraction"].mean() for place in places])
            _draw(ax, [chosen[place] for place in places], side, color, rf"{name}, E $f_{{max}}$ = {share:.2f}")
        for row in (row for row in rows if (row["slow"], row["fast"]) == (slow, fast)):
            mark = {True: "later", False: "not later", None: "not\nconverged"}[row["later"]]
            weight = "normal" if row["later"] else "bold"
            ax.text(
                places.index(row["setting"]), 1.02, mark, transform=ax.get_xaxis_transform(), ha="center",
                va="bottom", fontsize="small", color=INK, fontweight=weight,
            )  # fmt: skip
        ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        ax.set_ylabel("steps")
        ax.set_yscale("log")
        ax.set_yticks(_TICKS, map(str, _TICKS))
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
    labels = [f"{name}\n{rate:g}\ndecay {decay:g}" for name, rate, decay in places]
    axes[-1].set_xticks(range(len(places)), labels, fontsize="small")
    title = (
        f"Steps until every class of the digits has a recall above {RECALL:g} (crosses: not within {cells[0]['last']})"
    )
    sheet.suptitle(title, fontsize="medium")
    return sheet


def _draw(ax, cells, side, color, label):
    jitter = np.random.default_rng(0)
    for index, cell in enumerate(cells):
        steps = cell["steps"]
        x = index + side + jitter.uniform(-0.1, 0.1, len(steps))
        done = np.isfinite(steps)
        ax.scatter(x[done], steps[done].clip(1), s=9, color=color, alpha=0.5, linewidths=0)
        ax.scatter(x[~done], np.full((~done).sum(), 1.15 * cell["last"]), s=16, color=color, marker="x", linewidths=0.8)
        median = _quartiles(steps)[1]
        if np.isfinite(median):
            ax.plot([index + side - 0.14, index + side + 0.14], [max(median, 1)] * 2, color=color, linewidth=2.2)
    ax.plot([], [], color=color, linewidth=2.2, label=label)


CLAIM = Claim(
    name="hyperparameters",
    sentence="Networks without a norm, or with layer or batch norm before the ReLU, learn the worst of ten classes "
    "later than those with the norm after it, in every setting of SGD or Adam, three learning rates and two weight "
    "decays in which training converges.",
    reference="Francazi, Pinto, Lucchi and Baity-Jesi, arXiv:2505.11312, on the dynamics at one choice of each.",
    run=run,
)
