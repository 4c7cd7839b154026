"""The law of G_0, the share of the data that an untrained network of two classes gives to class 0.

Reference: each of N samples falls to class 0 with chance Phi(sqrt(gamma) Z), Z one normal number per network, so that
the count is a binomial mixture. gamma is gamma_effective of theory, not a fit. Each network counts once, by its first
readout. Two tests per cell: chi-square over bins of about equal probability, which feels the width of the law, and
Kolmogorov-Smirnov on the randomized probability integral transform, which is exact for counts.
"""

import numpy as np
from scipy import special, stats

import ibtheory as ib
from ibtheory.plot import INK, PALE, SIMULATION, THEORY
from validation.harness import Claim, Control, Outcome, holm

LEVEL = 0.05
SAMPLES = 500
WIDTH, QUICK_WIDTH = 256, 128
NETWORKS = {1: 6000, 5: 6000, 20: 8000}  # far from gamma = 1 more are needed for the power
QUICK_NETWORKS = 1200
BINS = 16
FACTOR, QUICK_FACTOR = 1.2, 1.5  # of gamma in the negative control
FELT = 0.99  # power from which on a cell has to reject the control
DATA_SEED = 0
CASES = [
    ("none", "after", 1), ("none", "after", 5), ("none", "after", 20),
    ("batch", "before", 5), ("batch", "before", 20), ("layer", "before", 5),
    ("layer", "after", 1), ("layer", "after", 5), ("layer", "after", 20),
]  # fmt: skip


def run(quick, say):
    """Simulate all cells on one Gaussian draw; ``quick``: depths 1 and 5, less and narrower, a control farther off."""
    data = ib.Dataset(*ib.GaussianInputs(1000).draw(SAMPLES, DATA_SEED))
    width, factor = (QUICK_WIDTH, QUICK_FACTOR) if quick else (WIDTH, FACTOR)
    cells = []
    for number, (norm, placement, depth) in enumerate(CASES):
        if quick and depth > 5:
            continue
        net = ib.mlp(width, depth, norm=norm, placement=placement)
        gamma = _gamma(net, data, norm)
        ensemble = ib.simulate(
            net, data, networks=QUICK_NETWORKS if quick else NETWORKS[depth], readouts=1, seed=number + 1
        )
        counts = np.rint(ensemble.class_fractions[:, 0] * SAMPLES).astype(int)
        name = f"no norm, depth {depth}" if norm == "none" else f"{norm} {placement}, depth {depth}"
        cells.append(_cell(name, gamma, factor, counts, seed=number + 1))
        say(f"{name}: gamma_effective {gamma:.4g}, p-values {cells[-1]['p_values']}")
    return judged(cells, factor)


def _gamma(net, data, norm):
    """gamma_effective of the literal inputs; with BatchNorm of their law, whose terms of order 1/width are exact."""
    if norm == "batch":
        return ib.predict(net, ib.GaussianInputs(1000), samples=SAMPLES, width="leading").gamma_effective
    return ib.predict(net, data, width="leading").gamma_effective


def folded_pmf(gamma, samples):
    """P(n samples of N in class 0), n = 0 ... N: a binomial of chance Phi(sqrt(gamma) Z) averaged over Z."""
    step = 0.2 / np.sqrt(samples * max(gamma, 1.0))  # finer than any binomial is wide, seen along Z
    z = np.arange(-9.0, 9.0, min(step, 0.02))
    weights = np.exp(-(z**2) / 2)
    score = np.sqrt(gamma) * z
    n = np.arange(samples + 1)
    log_choose = special.gammaln(samples + 1) - special.gammaln(n + 1) - special.gammaln(samples - n + 1)
    pmf = np.empty(samples + 1)
    log_chance, log_rest = special.log_ndtr(score), special.log_ndtr(-score)
    for k in n:
        pmf[k] = weights @ np.exp(log_choose[k] + k * log_chance + (samples - k) * log_rest)
    return pmf / weights.sum()


def _cell(name, gamma, factor, counts, seed):
    """Tests of one cell against its law and against the control, whose power comes from the two laws alone."""
    right, wrong = folded_pmf(gamma, SAMPLES), folded_pmf(factor * gamma, SAMPLES)
    uniforms = np.random.default_rng([seed, 1]).random(len(counts))
    tests, against = (
        {"chi-square": _chi_square(counts, pmf), "KS": _ks(counts, pmf, uniforms)} for pmf in (right, wrong)
    )
    return {
        "name": name, "gamma_effective": gamma, "seed": seed, "networks": len(counts),
        "variance": float(np.var(counts / SAMPLES)), "theory_variance": _variance(right),
        "p_values": tests, "control_p_values": against, "divergence": _divergence(right, wrong),
        "counts": np.bincount(counts, minlength=SAMPLES + 1), "pmf": right, "control_pmf": wrong,
    }  # fmt: skip


def _variance(pmf):
    return float(pmf @ (np.arange(len(pmf)) / (len(pmf) - 1) - 0.5) ** 2)


def _groups(pmf):
    """Index of the bin of each count: about BINS bins of equal probability, fewer where one count holds more."""
    middle = np.cumsum(pmf) - pmf / 2
    return np.unique((middle * BINS).astype(int).clip(0, BINS - 1), return_inverse=True)[1]


def _chi_square(counts, pmf):
    group = _groups(pmf)
    observed = np.bincount(group[counts], minlength=group.max() + 1)
    return float(stats.chisquare(observed, len(counts) * np.bincount(group, weights=pmf)).pvalue)


def _ks(counts, pmf, uniforms):
    below = np.concatenate([[0.0], np.cumsum(pmf)])
    return float(stats.kstest(below[counts] + uniforms * pmf[counts], "uniform").pvalue)


def _divergence(right, wrong):
    """(noncentrality of chi-square per network, degrees of freedom) of data of one law against the other."""
    group = _groups(wrong)
    p, q = (np.bincount(group, weights=pmf) for pmf in (right, wrong))
    return float(np.sum((p - q) ** 2 / q)), int(group.max())


def power(cell, count):
    """Chance that chi-square rejects the control as one of ``count`` tests together (Bonferroni, a lower bound)."""
    divergence, freedom = cell["divergence"]
    critical = stats.chi2.isf(LEVEL / count, freedom)
    return float(stats.ncx2.sf(critical, freedom, cell["networks"] * divergence))


def judged(cells, factor):
    """The outcome of all cells."""
    tests = ("chi-square", "KS")
    places = [(cell, test) for cell in cells for test in tests]
    for cell in cells:
        cell["power"] = power(cell, len(places))
    for key, mark in (("p_values", "rejected"), ("control_p_values", "control_rejected")):
        found = holm([cell[key][test] for cell, test in places], LEVEL)
        for number, cell in enumerate(cells):
            cell[mark] = bool(found[2 * number : 2 * number + 2].any())
    feeling = [cell for cell in cells if cell["power"] >= FELT]
    control = Control(
        description=f"the same tests against laws whose gamma is {factor:g} times that of theory, in every cell whose "
        f"power is at least {FELT}: where the binomial noise of {SAMPLES} samples hides gamma no cell can feel it",
        rejected=bool(feeling) and all(cell["control_rejected"] for cell in feeling),
        power=min((cell["power"] for cell in feeling), default=0.0),
        numbers={cell["name"]: {"power": cell["power"], "rejected": cell["control_rejected"]} for cell in cells},
    )
    hidden = {"counts", "pmf", "control_pmf", "divergence"}
    return Outcome(
        consistent=not any(cell["rejected"] for cell in cells),
        level=LEVEL,
        control=control,
        numbers={"cells": [{key: value for key, value in cell.items() if key not in hidden} for cell in cells]},
        seeds={"data": DATA_SEED, "networks": "cell by cell, in cells[].seed"},
        summary=_summary(cells),
        draw=lambda: figure(cells, factor),
    )


def _summary(cells):
    lines = [
        f"{'cell':<24}{'gamma_eff':>10}{'Var theory':>12}{'Var sim':>11}{'p chi2':>8}{'p KS':>7}{'power':>8}  control"
    ]
    for cell in cells:
        line = f"{cell['name']:<24}{cell['gamma_effective']:>10.4g}{cell['theory_variance']:>12.4g}"
        line += f"{cell['variance']:>11.4g}{cell['p_values']['chi-square']:>8.3f}{cell['p_values']['KS']:>7.3f}"
        line += f"{cell['power']:>8.3f}  {'rejected' if cell['control_rejected'] else 'not rejected'}"
        lines.append(line + "  LAW REJECTED" * cell["rejected"])
    return "\n".join(lines)


def figure(cells, factor):
    """Density of f_0: simulated networks as bars, the law, the law seen through N samples, and the control."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(11.5, 3.0 * -(-len(cells) // 3) + 0.6), layout="constrained")
    axes = sheet.subplots(-(-len(cells) // 3), 3, squeeze=False)
    for ax, cell in zip(axes.flat, cells, strict=False):
        _draw(ax, cell, factor)
    for ax in axes.flat[len(cells) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("density")
    for ax in axes[-1]:
        ax.set_xlabel("share of the data given to class 0, $f_0$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    sheet.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return sheet


def _draw(ax, cell, factor):
    spread = np.sqrt(cell["theory_variance"])
    narrow = spread < 0.1
    low, high = (0.5 - 4 * spread, 0.5 + 4 * spread) if narrow else (0.0, 1.0)
    edges = _edges(low, high)
    heights, error = _density(cell["counts"], edges, cell["networks"])
    ax.bar(
        (edges[1:] + edges[:-1]) / 2, heights, np.diff(edges), color=PALE, edgecolor="white", linewidth=0.4,
        yerr=error, error_kw={"ecolor": SIMULATION, "elinewidth": 1}, label="simulation, networks as units",
    )  # fmt: skip
    for key, color, style, label in (
        ("control_pmf", INK, (0, (2, 1.5)), rf"negative control, ${factor:g}\,\gamma$"),
        ("pmf", THEORY, "-", f"theory for {SAMPLES} samples, same bins"),
    ):
        share, _ = _density(cell[key], edges, 1)
        ax.stairs(share, edges, color=color, linestyle=style, linewidth=1.5, label=label)
    x = np.linspace(low, high, 801)[1:-1]
    law = ib.ClassFraction(cell["gamma_effective"], 2).pdf(x)
    ax.plot(x, law, color="#009E73", linewidth=1.2, linestyle="-.", label=r"law of $\Phi(\sqrt{\gamma} Z)$")
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.25 * max(heights.max(), share.max()))
    ax.set_title(cell["name"], fontsize="medium", fontweight="bold")
    text = rf"$\gamma_{{eff}}$ = {cell['gamma_effective']:.3g}, $\chi^2$ p = {cell['p_values']['chi-square']:.2f}"
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    ax.text(0.5, 0.985, text, transform=ax.transAxes, ha="center", va="top", fontsize="small", color=INK, bbox=box)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")


def _edges(low, high):
    """About 25 edges that lie between counts; all bins but the last hold the same number of them."""
    first, last = max(round(low * SAMPLES), 0), min(round(high * SAMPLES), SAMPLES)
    edges = np.arange(first, last + 1, max((last - first) // 24, 1)) - 0.5
    edges[-1] = last + 0.5
    return edges / SAMPLES


def _density(weights, edges, total):
    """(height, standard error) of each bin of a distribution over the counts 0 ... N."""
    share = np.arange(len(weights)) / (len(weights) - 1)
    inside = np.histogram(share, edges, weights=weights)[0] / total
    error = np.sqrt(inside * (1 - inside).clip(0) / total)
    return inside / np.diff(edges), error / np.diff(edges)


CLAIM = Claim(
    name="fraction_law",
    sentence="The share of the data that an untrained network of two classes gives to class 0 is distributed as "
    "Phi(sqrt(gamma) Z), seen through the binomial noise of N samples, at the gamma_effective of theory.",
    reference="Francazi, Lucchi and Baity-Jesi, arXiv:2306.00809 (Initial Guessing Bias); docs/explanation/theory.md.",
    run=run,
)
