"""Are the p-values of a comparison what they say? Where theory is exact at finite width they have to be uniform.

Exact are, for a concrete dataset, the moments behind one hidden layer and those of the logits that read it, for its
neurons are independent; and all that a readout does with a hidden layer that is given, the class fractions too. Each is
simulated anew for hundreds of seeds, many readouts on every network, and compared by `compare`; Kolmogorov and
Smirnov's test says whether the p-values of a row are uniform over the seeds.

Two controls: a theory that is off by PLANTED in every row, and errors that take readouts, which share their hidden
layers, for independent networks.
"""

import numpy as np
from scipy import stats

import ibtheory as ib
from ibtheory.plot import INK, SIMULATION, THEORY
from validation.harness import Claim, Control, Outcome, holm

LEVEL = 0.05
SEEDS, QUICK_SEEDS = 400, 100
NETWORKS, READOUTS = 200, 64
WIDTH, SAMPLES, FEATURES, CLASSES = 64, 30, 20, 3
PLANTED, QUICK_PLANTED = 0.03, 0.06
FELT = 0.99  # power from which on a row has to reject the control
DATA_SEED, HIDDEN_SEED, SINGLE_SEED, FIRST_SEED = 0, 1, 5000, 5001
CASES = {
    "one hidden layer": (("relu 1", "logits"), ("same", "cross", "gap")),
    "readout of a given layer": (
        ("logits", "0", "1", "0, 1"),
        ("same", "cross", "gap", "gamma_effective", "class_fraction_variance", "group_variance", "group_covariance"),
    ),
}


def setting(case):
    """(network, literal inputs) of a case: the second one reads what the hidden layer of the first one gives."""
    X, y = ib.Blobs(features=FEATURES, separation=2.0).draw(SAMPLES, DATA_SEED)
    if case == "one hidden layer":
        return ib.mlp(WIDTH, 1, CLASSES), ib.Dataset(X, y)
    W = np.random.default_rng(HIDDEN_SEED).standard_normal((FEATURES, WIDTH)) * np.sqrt(2 / FEATURES)
    return ib.mlp(WIDTH, 0, CLASSES), ib.Dataset(np.maximum(X @ W, 0), y)


def run(quick, say):
    """Compare for every seed; ``quick``: fewer seeds and a coarser control."""
    seeds, planted = (QUICK_SEEDS, QUICK_PLANTED) if quick else (SEEDS, PLANTED)
    records = []
    for case in CASES:
        records += rows(case, range(FIRST_SEED, FIRST_SEED + seeds), planted)
        say(f"{case}: {seeds} ensembles of {NETWORKS} networks with {READOUTS} readouts")
    return judged(records, planted)


def rows(case, seeds, planted):
    """One record per compared quantity: p-values by seed, of theory, of planted theory, of readouts as networks."""
    net, data = setting(case)
    prediction = ib.predict(net, data)
    layers, quantities = CASES[case]

    def compared(seed, readouts):
        ensemble = ib.simulate(net, data, networks=NETWORKS, readouts=readouts, seed=seed)
        table = ib.compare(prediction, ensemble, quantities=quantities).rows
        return table[np.isin(table["layer"], layers)]

    tables = zip(*(compared(seed, READOUTS) for seed in seeds), strict=True)
    return [
        _record(case, np.array(table), single["error"] / np.sqrt(READOUTS), planted)
        for table, single in zip(tables, compared(SINGLE_SEED, 1), strict=True)
    ]


def _record(case, table, unclustered, planted):
    """``table``: the rows of one quantity, one per seed; ``unclustered``: the error with readouts as networks."""
    z, theory, error = table["z"], table["theory"][0], table["error"]
    shrunk = float(unclustered / error.mean())
    shift = planted * theory / error
    return {
        "case": case, "layer": str(table["layer"][0]), "quantity": str(table["quantity"][0]), "seeds": len(table),
        "theory": float(theory), "mean": float(table["estimate"].mean()),
        "relative_error": float(error.mean() / theory), "shift": float(shift.mean()), "unclustered_error": shrunk,
        "p": table["p_value"], "planted": _p_values(z - shift), "unclustered": _p_values(z / shrunk),
    }  # fmt: skip


def _p_values(z):
    return 2 * stats.t.sf(np.abs(z), NETWORKS - 1)


def power(seeds, tests, *, shift=0.0, shrunk=1.0):
    """Least chance that KS rejects as one of ``tests`` together when z is normal of mean ``shift`` over ``shrunk``."""
    p = np.linspace(0, 1, 401)[1:-1]
    c = stats.norm.isf(p / 2) * shrunk
    share = stats.norm.sf(c - shift) + stats.norm.cdf(-c - shift)
    best = np.argmax(share - p)
    needed = seeds * (p[best] + stats.kstwo.isf(LEVEL / tests, seeds))
    return float(stats.binom.sf(needed, seeds, share[best]))


def judged(records, planted):
    """The outcome of all rows."""
    count = len(records)
    for row in records:
        row["powers"] = {
            "planted": power(row["seeds"], count, shift=abs(row["shift"])),
            "unclustered": power(row["seeds"], count, shrunk=min(row["unclustered_error"], 1.0)),
        }
    for name in ("p", "planted", "unclustered"):
        tests = [float(stats.kstest(row[name], "uniform").pvalue) for row in records]
        for row, test, rejected in zip(records, tests, holm(tests, LEVEL), strict=True):
            row[f"ks_{name}"], row[f"rejected_{name}"] = test, bool(rejected)
    feeling = [(row, name) for row in records for name in row["powers"] if row["powers"][name] >= FELT]
    control = Control(
        description=f"the same tests on p-values against theory that is {planted:.0%} off, and with errors that take "
        f"readouts for independent networks, in every row whose power is at least {FELT}",
        rejected={name for _, name in feeling} == {"planted", "unclustered"}
        and all(row[f"rejected_{name}"] for row, name in feeling),
        power=min((row["powers"][name] for row, name in feeling), default=0.0),
        numbers={"tests": 2 * count, "felt": len(feeling)},
    )
    hidden = {"p", "planted", "unclustered"}
    return Outcome(
        consistent=not any(row["rejected_p"] for row in records),
        level=LEVEL,
        control=control,
        numbers={"rows": [{key: value for key, value in row.items() if key not in hidden} for row in records]},
        seeds={
            "data": DATA_SEED,
            "hidden": HIDDEN_SEED,
            "networks": [FIRST_SEED, FIRST_SEED + records[0]["seeds"] - 1],
        },
        summary=_summary(records),
        draw=lambda: figure(records, planted),
    )


def _summary(records):
    lines = [
        f"{'case':<26}{'layer':<9}{'quantity':<24}{'theory':>9}{'mean':>9}{'error':>8}{'KS p':>7}"
        f"{'planted':>9}{'power':>7}{'cluster':>9}{'power':>7}"
    ]
    for row in records:
        line = f"{row['case']:<26}{row['layer']:<9}{row['quantity']:<24}{row['theory']:>9.4g}{row['mean']:>9.4g}"
        line += f"{row['relative_error']:>8.2%}{row['ks_p']:>7.3f}"
        for name in ("planted", "unclustered"):
            line += f"{row[f'ks_{name}']:>9.1e}{row['powers'][name]:>7.3f}"
        lines.append(line + "  NOT UNIFORM" * row["rejected_p"])
    return "\n".join(lines)


def figure(records, planted):
    """Share of the p-values below p, minus p: one line per row, and the controls."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(11.5, 5.0), layout="constrained")
    axes = sheet.subplots(1, len(CASES), sharey=True)
    seeds = records[0]["seeds"]
    band = stats.kstwo.isf(LEVEL / len(records), seeds)
    kinds = (
        ("planted", THEORY, "-", 0.6, f"theory {planted:.0%} off"),
        ("unclustered", INK, ":", 0.6, "errors with readouts as units"),
        ("p", SIMULATION, "-", 1.2, "theory"),
    )
    for ax, case in zip(axes, CASES, strict=True):
        ax.axhspan(-band, band, color="#EEEEEE", zorder=0, label="uniform, all together")
        for name, color, style, width, label in kinds:
            for row in (row for row in records if row["case"] == case):
                p = np.sort(row[name])
                ax.plot(p, (np.arange(seeds) + 0.5) / seeds - p, style, color=color, linewidth=width, label=label)
                label = None
        ax.set_title(f"{case}, {seeds} seeds", fontsize="medium")
        ax.set_xlabel("p")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of p-values below p, minus p")
    handles, labels = axes[0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return sheet


CLAIM = Claim(
    name="calibration",
    sentence="Where theory is exact at finite width (the moments behind one hidden layer on a concrete dataset, and "
    "all that a readout does with a given layer) the p-values of `compare` are uniform over seeds, with many "
    "readouts on every network.",
    reference="Kolmogorov and Smirnov; docs/explanation/theory.md.",
    run=run,
)
