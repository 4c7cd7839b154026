"""The table of placements: what theory says of gamma, for every norm before and after the activation, in simulation.

Which theory for which inputs. Where statistics are those of a sample (no norm, LayerNorm, RMSNorm) theory is that of
the literal inputs, Gaussian draw or digits: exact for them, so the luck of the draw plays no part. BatchNorm on the
Gaussian draw is compared with the theory of the law, whose terms of order 1/width are exact, and `compare` adds the
luck of the draw to the error of theory; on the digits with the theory of the literal rows.
"""

import math
from dataclasses import replace

import numpy as np
from scipy import stats

import ibtheory as ib
from ibtheory.plot import INK, SIMULATION, THEORY
from validation.harness import Claim, Control, Outcome, holm, power_of_z

LEVEL = 0.05
SAMPLES = 500
CELLS = {
    "none": ("none", "after"),
    **{f"{norm} {place}": (norm, place) for norm in ("batch", "layer", "rms") for place in ("before", "after")},
}
QUANTITIES = ("gamma", "gamma_effective", "class_fraction_variance")
NETWORKS = {256: {1: 2000, 5: 600, 20: 600}, 1024: {1: 400, 5: 150, 20: 100}}
SLOPE = 0.05  # of the leaky ReLU that the negative control predicts ...
BIAS_VARIANCE = 0.01  # ... or, for LayerNorm after, whose gamma hardly feels a slope, the variance of biases
FELT = 0.99  # power from which on a cell has to reject the control
DATA_SEED, FIRST_SEED = 0, 1001

_APPROXIMATE = "right to about half their size"
_OUT_OF_RANGE = "leaves its range"
_SECOND_ORDER = (
    "behind BatchNorm after, correlations are -1/(N - 1) on average, so that terms of order 1/width^2, which theory "
    "leaves out, compete; shown, not tested"
)
_REPLICAS = 4  # independent parts behind the standard error of sampled theory


def run(quick, say):
    """Compare all cells; ``quick``: width 256, depths 1 and 5 on the Gaussian draw and 1 on the digits."""
    cases = list(_cases(quick))
    records = []
    for number, (inputs, cell, depth, width) in enumerate(cases):
        rows = _compared(
            inputs, cell, depth, width, NETWORKS[width][depth] // (4 if quick else 1), seed=FIRST_SEED + number
        )
        records += rows
        words = " ".join(f"{row['theory']:.4g}/{row['estimate']:.4g}" for row in rows)
        say(f"[{number + 1}/{len(cases)}] {inputs} {cell} depth {depth} width {width}: {words}")
    judge(records)
    control = _control(records)
    return Outcome(
        consistent=not any(row["rejected"] for row in records),
        level=LEVEL,
        control=control,
        numbers={"counts": _counts(records), "worst": _worst(records), "rows": records},
        seeds={"data": DATA_SEED, "networks": "row by row, in rows[].seed"},
        summary=_summary(records),
        draw=lambda: figure(records),
    )


def _cases(quick):
    for width in (256,) if quick else NETWORKS:
        for inputs in ("gaussian", "digits"):
            for depth in ((1, 5) if inputs == "gaussian" else (1,)) if quick else NETWORKS[width]:
                yield from ((inputs, cell, depth, width) for cell in CELLS)


def _data(inputs):
    """The literal inputs that all networks of a row see."""
    source = ib.GaussianInputs(1000) if inputs == "gaussian" else ib.load_digits()
    return ib.Dataset(*source.draw(SAMPLES, DATA_SEED))


def _predicted(inputs, cell, net, *, law):
    if law:
        return ib.predict(net, ib.GaussianInputs(1000), samples=SAMPLES, width="leading")
    return ib.predict(net, _data(inputs), width="leading")


def _network(cell, depth, width, **changes):
    norm, placement = CELLS[cell]
    return ib.mlp(width, depth, norm=norm, placement=placement, **changes)


def _wrong_network(cell, depth, width):
    """What the negative control predicts instead."""
    if cell == "layer after":
        return _network(cell, depth, width, bias_variance=BIAS_VARIANCE)
    return _network(cell, depth, width, activation=ib.activations.leaky_relu(SLOPE))


def _compared(inputs, cell, depth, width, networks, seed):
    """The rows of one network: theory, simulation, z, and the theory of the negative control where it is made."""
    net = _network(cell, depth, width)
    batch = CELLS[cell][0] == "batch"
    law = inputs == "gaussian" and batch
    prediction = _predicted(inputs, cell, net, law=law)
    ensemble = ib.simulate(net, _data(inputs), networks=networks, seed=seed)
    wrong = None
    if inputs == "gaussian" or (width == 256 and not batch):  # elsewhere its theory takes minutes and adds nothing new
        predicted = _predicted(inputs, cell, _wrong_network(cell, depth, width), law=inputs == "gaussian")
        wrong = replace(predicted, network=net)
    setting = {
        "inputs": inputs, "cell": cell, "depth": depth, "width": width, "networks": networks, "seed": seed,
        "theory_of": "law" if law else "draw",
    }  # fmt: skip
    rows = _rows(prediction, ensemble)
    against = _rows(wrong, ensemble) if wrong else dict.fromkeys(rows)
    return [
        setting | row | _status(cell, row, prediction.notes) | _against(against[name], row)
        for name, row in rows.items()
    ]


def _rows(prediction, ensemble):
    """The rows of the logits by quantity, with degrees of freedom that know of how few parts theory is the mean.

    z is that of the whole difference; ``allowed`` is what theory says it leaves out.
    """
    rows = {}
    compared = ib.compare(replace(prediction, remainder={}), ensemble, quantities=QUANTITIES)
    for row in compared.rows[compared.rows["layer"] == "logits"]:
        name = str(row["quantity"])
        values = {key: float(row[key]) for key in ("theory", "estimate", "error", "z")}
        difference = values["estimate"] - values["theory"]
        exact = bool(row["exact"])
        total = values["error"] if exact or not values["z"] else abs(difference / values["z"])
        freedom = (
            None if exact else _freedom(total, values["error"], prediction.error.get(name, 0.0), ensemble.networks)
        )
        allowed = prediction.remainder.get(name, 0.0)
        rows[name] = {"quantity": name, "allowed": allowed} | values
        rows[name] |= {"total_error": total, "exact": exact, "freedom": freedom}
    return rows


def _freedom(total, error, sampled, networks):
    """Welch and Satterthwaite's degrees of freedom of an error with a part from networks and one from theory."""
    return 1 / ((error / total) ** 4 / (networks - 1) + (sampled / total) ** 4 / (_REPLICAS - 1))


def _status(cell, row, notes):
    """exact: no spread, compared to rounding; tested; approximate: bounded as theory's note says; shown: neither."""
    notes = " ".join(notes)
    if row["exact"]:
        return {"status": "exact", "reason": "no spread over networks: compared to rounding"}
    if _OUT_OF_RANGE in notes:
        return {"status": "shown", "reason": f"the expansion in 1/width {_OUT_OF_RANGE}"}
    if cell == "batch after":
        return {"status": "shown", "reason": _SECOND_ORDER}
    if _APPROXIMATE in notes:
        return {"status": "approximate", "reason": f"terms of order 1/width are {_APPROXIMATE} on correlated data"}
    return {"status": "tested", "reason": ""}


def _against(row, right):
    """The negative control's theory, and the error of comparing with it."""
    if row is None or row["exact"] or right["exact"]:
        return {"control_theory": None}
    return {"control_theory": row["theory"], "control_error": row["total_error"], "control_freedom": row["freedom"]}


def judge(records):
    """Mark what Holm's procedure rejects among all rows that are tested, of whatever status."""
    for row in records:
        row["p_value"] = math.nan
        if row["status"] == "exact":
            row["p_value"] = float(row["z"] == 0)
        elif row["status"] != "shown":
            row["p_value"] = _p_value(row, row["theory"], row["total_error"], row["freedom"])
    for row, rejected in zip(records, holm([row["p_value"] for row in records], LEVEL), strict=True):
        row["rejected"] = bool(rejected)


def _p_value(row, theory, error, freedom):
    """Two-sided, of what is left of a difference beyond the remainder allowed."""
    excess = max(abs(row["estimate"] - theory) - row["allowed"], 0.0)
    return float(2 * stats.t.sf(excess / error, freedom))


def _control(records):
    """Theory of a wrong network against the simulated one, in every group (inputs, cell) that can feel it."""
    rows = [row for row in records if row["control_theory"] is not None and row["status"] == "tested"]
    # a remainder may point to the control and is then allowed once more: power is that of the worst case
    apart = [abs(row["theory"] - row["control_theory"]) - 2 * row["allowed"] for row in rows]
    shifts = [max(distance, 0.0) / row["control_error"] for distance, row in zip(apart, rows, strict=True)]
    power = power_of_z(shifts, LEVEL, len(rows))
    found = holm(
        [_p_value(row, *(row[f"control_{key}"] for key in ("theory", "error", "freedom"))) for row in rows], LEVEL
    )
    groups = {}
    for row, chance, rejected in zip(rows, power, found, strict=True):
        row |= {"control_power": float(chance), "control_rejected": bool(rejected)}
        row["control_z"] = (row["estimate"] - row["control_theory"]) / row["control_error"]
        group = groups.setdefault(f"{row['inputs']}, {row['cell']}", {"power": 0.0, "rejected": 0, "rows": 0})
        group["power"] = max(group["power"], float(chance))
        group["rejected"] += int(rejected)
        group["rows"] += 1
    feeling = {name: group for name, group in groups.items() if group["power"] >= FELT}
    return Control(
        description=f"the same rows against the theory of leaky_relu({SLOPE}) instead of relu (LayerNorm after: of "
        f"biases of variance {BIAS_VARIANCE}), in every inputs and placement whose rows can feel it. BatchNorm after "
        "cannot: its gamma is -1/N whatever the activation",
        rejected=bool(feeling) and all(group["rejected"] for group in feeling.values()),
        power=min((group["power"] for group in feeling.values()), default=0.0),
        numbers={
            "groups": groups,
            "rows": len(rows),
            "expected_rejections": float(power.sum()),
            "rejections": int(found.sum()),
        },
    )


def _counts(records):
    states = [row["status"] for row in records]
    counts = {state: states.count(state) for state in ("tested", "exact", "approximate", "shown")}
    band = _band(records)
    beyond = sum(row["status"] == "tested" and abs(row["z"]) > band for row in records)
    return counts | {"rejected": sum(row["rejected"] for row in records), "beyond": beyond}


def _band(records):
    """Largest |z| that all tested rows together let pass (Bonferroni, the first step of Holm)."""
    return stats.norm.isf(LEVEL / (2 * sum(row["status"] != "shown" for row in records)))


def _worst(records):
    return max((row for row in records if row["status"] == "tested"), key=lambda row: abs(row["z"]))


def _summary(records):
    head = f"{'inputs':<9}{'cell':<14}{'depth':>5}{'width':>6}  {'quantity':<24}"
    lines = [f"{head}{'theory':>11}{'simulation':>12}{'error':>10}{'allowed':>10}{'z':>7}"]
    for row in sorted(records, key=lambda row: (row["inputs"], [*CELLS].index(row["cell"]), row["depth"])):
        state = "" if row["status"] == "tested" else row["status"]
        line = f"{row['inputs']:<9}{row['cell']:<14}{row['depth']:>5}{row['width']:>6}  {row['quantity']:<24}"
        line += f"{row['theory']:>11.4g}{row['estimate']:>12.4g}{row['total_error']:>10.2g}{row['allowed']:>10.1g}"
        lines.append(f"{line}{row['z']:>7.2f}  {state}{' REJECTED' * row['rejected']}")
    counts, worst = _counts(records), _worst(records)
    lines.append(
        f"{counts['tested']} quantities tested, {counts['exact']} compared to rounding, {counts['approximate']} tested "
        f"against the stated accuracy of an approximate theory, {counts['shown']} shown only (reasons in the verdict); "
        f"{counts['rejected']} rejected; {counts['beyond']} tested ones lie beyond the band before the remainder is "
        f"allowed, worst |z| {abs(worst['z']):.2f}: {worst['inputs']} {worst['cell']} depth {worst['depth']} width "
        f"{worst['width']} {worst['quantity']}"
    )
    return "\n".join(lines)


_MARKERS = {1: "o", 5: "s", 20: "^"}


def figure(records):
    """gamma_effective by placement above, z-scores of theory and of the negative control below."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(12.5, 8.4), layout="constrained")
    kinds = [kind for kind in ("gaussian", "digits") if any(row["inputs"] == kind for row in records)]
    axes = sheet.subplots(2, len(kinds), sharex=True, sharey="row", squeeze=False)
    for column, kind in enumerate(kinds):
        rows = [row for row in records if row["inputs"] == kind]
        title = "Gaussian inputs, 1000 features" if kind == "gaussian" else "handwritten digits"
        axes[0, column].set_title(f"{title}, {SAMPLES} samples", fontsize="medium")
        _draw_gamma(axes[0, column], rows)
        _draw_scores(axes[1, column], rows, _band(records))
        axes[1, column].set_xticks(range(len(CELLS)), [cell.replace(" ", "\n") for cell in CELLS])
    axes[0, 0].set_ylabel(r"$\gamma_{eff}$ of the logits")
    axes[1, 0].set_ylabel("z-score (simulation $-$ theory)")
    axes[0, 0].legend(handles=_legend(), frameon=False, fontsize="small", loc="lower left", ncols=2)
    handles, labels = axes[1, 0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small")
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return sheet


def _place(row):
    """Beside its cell by depth, and by width within a depth."""
    depth = [*_MARKERS].index(row["depth"]) - 1
    return [*CELLS].index(row["cell"]) + 0.27 * depth + (-0.055 if row["width"] == 256 else 0.055)


def _draw_gamma(ax, rows):
    for row in (row for row in rows if row["quantity"] == "gamma_effective"):
        x = _place(row)
        ax.plot([x - 0.09, x + 0.09], [row["theory"]] * 2, color=THEORY, linewidth=2.2, zorder=1)
        ax.errorbar(
            x, row["estimate"], row["error"], fmt=_MARKERS[row["depth"]], color=SIMULATION, markersize=5, elinewidth=1,
            markerfacecolor=SIMULATION if row["width"] == 256 else "white", zorder=2,
        )  # fmt: skip
    ax.axhline(1.0, color=INK, linestyle=":", linewidth=1)
    ax.set_yscale("symlog", linthresh=1e-3, linscale=0.5)
    ax.set_ylim(-0.1, 60)


def _draw_scores(ax, rows, band):
    reach = 30
    ax.axhspan(-band, band, color="#EEEEEE", zorder=0, label="consistent, all together")
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    tested = [row for row in rows if row["status"] in ("tested", "approximate")]
    beyond = [row for row in tested if abs(row["z"]) > band]
    kinds = (
        ("z", SIMULATION, ".", "theory", [row for row in tested if abs(row["z"]) <= band]),
        ("z", SIMULATION, "D", "theory, within its remainder", [row for row in beyond if not row["rejected"]]),
        ("z", INK, "*", "theory, rejected", [row for row in beyond if row["rejected"]]),
        ("control_z", THEORY, "x", "negative control", [row for row in tested if "control_z" in row]),
        ("z", "#777777", "+", "shown only", [row for row in rows if row["status"] == "shown"]),
    )
    for name, color, marker, label, chosen in kinds:
        z = np.array([row[name] for row in chosen], dtype=float).clip(-reach, reach)
        x = [_place(row) for row in chosen]
        ax.scatter(x, z, color=color, marker=marker, s=26, linewidths=1, label=label, zorder=2)
    ax.set_yscale("symlog", linthresh=4.0, linscale=1.5)
    ax.set_yticks([-30, -10, -4, -2, 0, 2, 4, 10, 30], ["−30", "−10", "−4", "−2", "0", "2", "4", "10", "30"])
    ax.set_ylim(-1.1 * reach, 1.1 * reach)


def _legend():
    from matplotlib.lines import Line2D

    dots = {"color": SIMULATION, "linestyle": "none", "markersize": 5}
    handles = [Line2D([], [], marker=marker, label=f"depth {depth}", **dots) for depth, marker in _MARKERS.items()]
    return [
        *handles,
        Line2D([], [], color=THEORY, linewidth=2.2, label="theory"),
        Line2D([], [], marker="o", label="width 256", **dots),
        Line2D([], [], marker="o", markerfacecolor="white", label="width 1024", **dots),
    ]


CLAIM = Claim(
    name="placement",
    sentence="Where the norm stands decides gamma, and theory with its terms of order 1/width says how: no norm and "
    "batch, layer and RMS norm before and after a ReLU, depths 1, 5 and 20, widths 256 and 1024, Gaussian inputs and "
    "digits.",
    reference="Francazi, Pinto, Lucchi and Baity-Jesi, arXiv:2505.11312; the layer maps of docs/explanation/theory.md.",
    run=run,
)
