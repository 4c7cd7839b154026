"""Labelled real data: variances of class fractions within each label, and covariances between labels.

Theory is that of the literal samples, with its terms of order 1/width where it has them. What theory itself says it
leaves out, ``Prediction.remainder``, is allowed.
"""

import math
from dataclasses import replace

import numpy as np
from scipy import stats

import ibtheory as ib
from ibtheory.plot import INK, SIMULATION, THEORY
from validation.harness import Claim, Control, Outcome, holm, power_of_z

LEVEL = 0.05
FELT = 0.99  # power from which on a cell has to reject the control
QUANTITIES = ("class_fraction_variance", "group_variance", "group_covariance")
RUNNING = ib.layers.BatchNorm("running", batches=10)
CELLS = {
    "none": (5, {}),
    "layer before": (3, {"norm": "layer", "placement": "before", "activation": "gelu"}),
    "layer after": (2, {"norm": "layer", "placement": "after"}),
    "batch before": (2, {"norm": "batch", "placement": "before"}),
    "batch after": (2, {"norm": "batch", "placement": "after"}),
    "batch running": (1, {"norm": RUNNING, "placement": "before"}),
}
SAMPLES = {"digits": 256, "breast cancer": 256, "wine": 128}
MOST_PAIRS = 3  # labels up to which every covariance is a row
WIDTH, WIDTHS, BATCHES = 512, (64, 128, 256, 512), (4, 16, 64)
NETWORKS, QUICK = 400, 120
DATA_SEED, FIRST_SEED = 0, 2001
_REPLICAS = 4  # independent parts behind the standard error of sampled theory


def load(name):
    """The literal samples of a dataset of scikit-learn, standardized by feature."""
    if name == "digits":
        return ib.Dataset(*ib.load_digits().draw(SAMPLES[name], DATA_SEED))
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name.replace(' ', '_')}")(return_X_y=True)
    return ib.Dataset(*ib.Dataset(X, y, standardize="feature").draw(SAMPLES[name], DATA_SEED))


def cases(quick):
    """(dataset, cell, width, batch) of every comparison."""
    for data in SAMPLES:
        yield from ((data, cell, WIDTH, "all") for cell in CELLS if not quick or cell in ("none", "batch before"))
        if not quick:
            yield from ((data, "batch before", WIDTH, batch) for batch in BATCHES)
    if not quick:
        yield from (("digits", cell, width, "all") for cell in ("none", "batch before") for width in WIDTHS[:-1])


def run(quick, say):
    """Compare all cases; ``quick``: two cells of each dataset, fewer networks."""
    chosen, records = list(cases(quick)), []
    for number, case in enumerate(chosen):
        rows = compared(*case, networks=QUICK if quick else NETWORKS, seed=FIRST_SEED + number)
        records += rows
        worst = max(rows, key=lambda row: abs(row["z"]))
        say(f"[{number + 1}/{len(chosen)}] {' '.join(map(str, case))}: {len(rows)} rows, largest |z| {worst['z']:.2f}")
    judge(records)
    return Outcome(
        consistent=not any(row["rejected"] for row in records),
        level=LEVEL,
        control=_control(records),
        numbers={"rows": records},
        seeds={"data": DATA_SEED, "networks": "row by row, in rows[].seed"},
        summary=_summary(records),
        draw=lambda: figure(records),
    )


def compared(data, cell, width, batch, networks, seed):
    """The rows of one network on one dataset."""
    x, (depth, words) = load(data), CELLS[cell]
    if cell == "batch running":
        batch = 64
    net = ib.mlp(width, depth, len(np.unique(x.y)), **words)
    p = ib.predict(net, x, batch=batch, width="leading")
    e = ib.simulate(net, x, batch=batch, networks=networks, seed=seed)
    setting = {"data": data, "cell": cell, "depth": depth, "width": width, "batch": batch, "seed": seed}
    rows = []
    for row in _rows(replace(p, remainder={}), e):
        of, quantity = str(row["layer"]), str(row["quantity"])
        values = {name: float(row[name]) for name in ("theory", "estimate", "error", "z")}
        total = max(abs((values["estimate"] - values["theory"]) / values["z"]), values["error"])
        sampled = math.sqrt(max(total**2 - values["error"] ** 2, 0.0))
        rows.append(
            setting
            | {"of": of, "quantity": quantity, "total_error": total, "allowed": _left_out(p, of, quantity)}
            | {"freedom": total**4 / (values["error"] ** 4 / (networks - 1) + sampled**4 / (_REPLICAS - 1))}
            | {"control": _one_population(p, quantity, x)}
            | values
        )  # fmt: skip
    return rows


def _rows(p, e):
    """Rows of the total, unless it is below that of unbiased samples, and of labels; covariances of few labels only."""
    rows = ib.compare(p, e, quantities=QUANTITIES).rows
    kept = [row for row in rows if row["quantity"] != "group_covariance" or len(e.group_labels) <= MOST_PAIRS]
    return [row for row in kept if p.gamma_effective > 0 or row["quantity"] != "class_fraction_variance"]


def _left_out(p, of, quantity):
    """``Prediction.remainder`` of a row."""
    if quantity == "class_fraction_variance":
        return p.remainder.get(quantity, 0.0)
    places = [[*map(str, p.groups.labels)].index(label) for label in of.split(", ")]
    return p.remainder["group_covariance"][places[0]][places[-1]] if p.remainder else 0.0


def _one_population(p, quantity, x):
    """The negative control: all samples as one population with the gamma of the moments, without labels and norms."""
    law = ib.ClassFraction(max(p.gamma, 0.0), p.classes)
    if quantity == "group_covariance":
        return law.var()
    size = x.samples if quantity == "class_fraction_variance" else x.samples / p.classes
    return law.finite_variance(round(size))


def judge(records):
    """Mark what Holm's procedure rejects among all rows."""
    for row in records:
        row["p_value"] = _p_value(row, row["theory"])
    for row, rejected in zip(records, holm([row["p_value"] for row in records], LEVEL), strict=True):
        row["rejected"] = bool(rejected)


def _p_value(row, theory):
    """Two-sided, of what is left of a difference beyond the remainder allowed."""
    excess = max(abs(row["estimate"] - theory) - row["allowed"], 0.0)
    return float(2 * stats.t.sf(excess / row["total_error"], row["freedom"]))


def _control(records):
    """One population in the place of the samples, in every dataset and cell that can feel it."""
    apart = [max(abs(row["theory"] - row["control"]) - 2 * row["allowed"], 0.0) / row["total_error"] for row in records]
    power = power_of_z(np.array(apart), LEVEL, len(records))
    found = holm([_p_value(row, row["control"]) for row in records], LEVEL)
    groups = {}
    for row, chance, rejected in zip(records, power, found, strict=True):
        row |= {"control_power": float(chance), "control_rejected": bool(rejected)}
        group = groups.setdefault(f"{row['data']}, {row['cell']}", {"power": 0.0, "rejected": 0, "rows": 0})
        group["power"] = max(group["power"], float(chance))
        group["rejected"] += int(rejected)
        group["rows"] += 1
    feeling = [group for group in groups.values() if group["power"] >= FELT]
    return Control(
        description="the same rows against one exchangeable population with the gamma of the moments, which knows of "
        "no labels and of no norms that vary, in every dataset and cell whose rows can feel it",
        rejected=bool(feeling) and all(group["rejected"] for group in feeling),
        power=min((group["power"] for group in feeling), default=0.0),
        numbers={"groups": groups, "expected_rejections": float(power.sum()), "rejections": int(found.sum())},
    )


def _summary(records):
    head = f"{'data':<14}{'cell':<14}{'width':>6}{'batch':>6}  {'quantity':<24}{'of':<8}"
    lines = [f"{head}{'theory':>11}{'simulation':>12}{'error':>10}{'allowed':>10}{'z':>7}"]
    for row in records:
        line = f"{row['data']:<14}{row['cell']:<14}{row['width']:>6}{row['batch']:>6}  {row['quantity']:<24}"
        line += f"{row['of']:<8}{row['theory']:>11.4g}{row['estimate']:>12.4g}{row['total_error']:>10.2g}"
        lines.append(f"{line}{row['allowed']:>10.1g}{row['z']:>7.2f}{'  REJECTED' * row['rejected']}")
    worst = max(records, key=lambda row: abs(row["z"]))
    lines.append(
        f"{len(records)} rows, {sum(row['rejected'] for row in records)} rejected; the largest |z|, before the "
        f"remainder is allowed, is {abs(worst['z']):.2f}: {worst['data']} {worst['cell']} {worst['quantity']}"
    )
    return "\n".join(lines)


_COLORS = dict(zip(SAMPLES, (SIMULATION, THEORY, "#009E73"), strict=True))
_MARKERS = {"class_fraction_variance": "o", "group_variance": "s", "group_covariance": "^"}


def figure(records):
    """Simulation against theory on the left, z-scores of theory and of the control on the right."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(11.5, 4.8), layout="constrained")
    left, right = sheet.subplots(1, 2)
    for row in records:
        look = {"color": _COLORS[row["data"]], "marker": _MARKERS[row["quantity"]], "markersize": 4, "linewidth": 0}
        left.errorbar(row["theory"], row["estimate"], 2 * row["total_error"], elinewidth=0.8, **look)
    ends = [min(row["theory"] for row in records), max(row["theory"] for row in records)]
    left.plot(ends, ends, color=INK, linewidth=0.8, zorder=0)
    left.set(xlabel="theory", ylabel="simulation, two standard errors")
    left.legend(handles=_legend(), frameon=False, fontsize="small")
    band = stats.norm.isf(LEVEL / (2 * len(records)))
    right.axhspan(-band, band, color="#EEEEEE", zorder=0, label="consistent, all together")
    looks = (("control", "x", INK, "negative control"), ("theory", ".", SIMULATION, "theory"))
    for name, marker, color, label in looks:
        z = [(row["estimate"] - row[name]) / row["total_error"] for row in records]
        right.scatter(range(len(z)), np.clip(z, -30, 30), marker=marker, color=color, s=22, linewidths=1, label=label)
    right.set_yscale("symlog", linthresh=4.0, linscale=1.5)
    right.set(xlabel="row", ylabel="z-score (simulation $-$ theory)")
    handles, labels = right.get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside lower right", ncols=3, frameon=False, fontsize="small")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    return sheet


def _legend():
    from matplotlib.lines import Line2D

    plain = {"linestyle": "none", "markersize": 5}
    colors = [Line2D([], [], marker="o", color=color, label=name, **plain) for name, color in _COLORS.items()]
    words = [name.replace("_", " ") for name in _MARKERS]
    return colors + [
        Line2D([], [], marker=marker, color=INK, label=word, **plain)
        for marker, word in zip(_MARKERS.values(), words, strict=True)
    ]


CLAIM = Claim(
    name="real_data",
    sentence="On labelled real data the variance over networks of the share of a label that goes to one class, and the "
    "covariance of two labels, are those of theory: digits, breast cancer and wine, no norm, layer and batch norm "
    "before and after the activation, batches of 4, 16 and 64, running statistics, widths from 64 to 512.",
    reference="Francazi, Lucchi and Baity-Jesi, arXiv:2306.00809; docs/explanation/data.md.",
    run=run,
)
