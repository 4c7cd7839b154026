"""Are the weights independent Gaussian numbers? Moments, shape, correlations between lanes, networks and seeds.

Every test is a sum of squares of standardized deviations, chi-square under the claim: of the powers z ... z^6 with
their exact covariance; of the counts of equally probable bins; of the correlations of all pairs of the lanes that fill
a network, at the same place and one place later, and of all pairs of streams, for z and for z^2.

The control is the same numbers made a little too large, with a little of the neighboring lane and stream added.
"""

import numpy as np
from scipy import special, stats

from ibtheory.plot import INK, SIMULATION, THEORY
from ibtheory.simulation import random
from validation.harness import Claim, Control, Outcome, holm

LEVEL = 0.05
STREAMS, NUMBERS, QUICK_NUMBERS = 64, 1 << 18, 1 << 15
GROWN, MIXED = 2e-3, 6e-3  # of the control; sqrt(8) times as much where there are an eighth of the numbers
BINS, POWERS = 1000, 6
FAMILIES = {  # (seed, network) of every stream: neighbors, and both words of the counter and of the key
    "networks in a row": [(1, index) for index in range(STREAMS)],
    "networks far apart": [(2, 2**shift + end) for shift in range(2, STREAMS // 2 + 2) for end in (0, 1)],
    "seeds in a row": [(index, 5) for index in range(STREAMS)],
    "seeds far apart": [(2**shift + end, 6) for shift in range(2, STREAMS // 2 + 2) for end in (0, 1)],
}


def run(quick, say):
    """Draw all streams and test them; ``quick``: an eighth of the numbers and a coarser control."""
    count = QUICK_NUMBERS if quick else NUMBERS
    coarser = np.sqrt(NUMBERS / count)
    records = []
    for name, streams in FAMILIES.items():
        z = np.stack([draw(seed, network, count) for seed, network in streams])
        right, wrong = tests(z), tests(spoiled(z, GROWN * coarser, MIXED * coarser))
        records += [_record(name, test, right[test], wrong[test]) for test in right]
        say(f"{name}: {len(streams)} streams of {count} numbers")
    return judged(records, coarser)


def draw(seed, network, count):
    """Numbers of one stream, (count,) float32."""
    state, raw = np.zeros(random.WORDS, np.uint32), np.empty(2 * random.CHUNK, np.uint32)
    random.seed_lanes(state, np.uint64(seed), network)
    out = np.empty(count + random.SLACK, np.float32)
    random.fill(out, count, 1.0, False, state, raw)
    return out[:count]


def spoiled(z, grown, mixed):
    """The numbers of the control: ``z`` (streams, numbers) with neighbors added, too large."""
    lanes = np.roll(z.reshape(len(z), -1, random.LANES), 1, axis=2).reshape(z.shape)
    return ((1 + grown) * (z + mixed * (lanes + np.roll(z, 1, axis=0)))).astype(np.float32)


def tests(z):
    """{name: (chi-square, degrees of freedom)} of ``z`` (streams, numbers)."""
    lanes = z.reshape(len(z), -1, random.LANES)
    rows = lanes.reshape(-1, random.LANES).T
    pairs = {
        "lanes": _scores(rows, rows),
        "sizes of lanes": _scores(_size(rows), _size(rows)),
        "streams": _scores(z, z),
        "sizes of streams": _scores(_size(z), _size(z)),
    }
    before, after = (part.reshape(-1, random.LANES).T for part in (lanes[:, :-1], lanes[:, 1:]))
    later = _scores(before, after)
    return {
        "moments": _moments(z),
        "shape": _shape(z),
        **{name: _squares(scores[np.triu_indices(len(scores), 1)]) for name, scores in pairs.items()},
        "lanes, one place later": _squares(later),
    }


def _size(z):
    return (z**2 - 1) / np.float32(np.sqrt(2))


def _scores(a, b):
    """Correlations of all rows, in standard errors."""
    return (a @ b.T).astype(float) / np.sqrt(a.shape[1])


def _squares(scores):
    return float(np.sum(scores**2)), scores.size


def _moments(z):
    powers = np.arange(1, POWERS + 1)
    raw = [special.factorial2(k - 1) if k % 2 == 0 else 0.0 for k in range(2 * POWERS + 1)]
    raw[0] = 1.0
    expected = np.array([raw[k] for k in powers])
    cov = np.array([[raw[j + k] for k in powers] for j in powers]) - np.outer(expected, expected)
    sums = np.zeros(POWERS)
    for row in z:
        x = row.astype(float)
        sums += [np.sum(x**k) for k in powers]
    off = sums / z.size - expected
    return float(z.size * off @ np.linalg.solve(cov, off)), POWERS


def _shape(z):
    counts = np.zeros(BINS)
    for row in z:
        counts += np.bincount((special.ndtr(row.astype(float)) * BINS).astype(int), minlength=BINS)
    return float(np.sum((counts - z.size / BINS) ** 2) * BINS / z.size), BINS - 1


def _record(family, test, right, wrong):
    """Both p-values, and the chi-square by its mean and deviation for the picture."""
    (value, freedom), (control, _) = right, wrong
    return {
        "streams": family, "test": test, "freedom": freedom, "chi_square": value, "control_chi_square": control,
        "p_value": 2 * min(stats.chi2.sf(value, freedom), stats.chi2.cdf(value, freedom)),
        "control_p_value": float(stats.chi2.sf(control, freedom)),
    }  # fmt: skip


def power(freedom, shift, count):
    """Chance that a chi-square of noncentrality ``shift`` is rejected as one of ``count`` tests (Bonferroni)."""
    return float(stats.ncx2.sf(stats.chi2.isf(LEVEL / count, freedom), freedom, shift))


def shifts():
    """Noncentrality of the control's chi-square by test, to the leading order, whatever the number of numbers."""
    total = STREAMS * NUMBERS
    grown = 2 * GROWN + 2 * MIXED**2  # of the variance
    return {"moments": total * grown**2 / 2, "lanes": total * MIXED**2, "streams": total * MIXED**2}


def judged(records, coarser):
    """The outcome of all tests."""
    for key, mark in (("p_value", "rejected"), ("control_p_value", "control_rejected")):
        for row, found in zip(records, holm([row[key] for row in records], LEVEL), strict=True):
            row[mark] = bool(found)
    felt = shifts()
    for row in records:
        row["power"] = power(row["freedom"], felt[row["test"]], len(records)) if row["test"] in felt else None
    feeling = [row for row in records if row["power"] is not None]
    control = Control(
        description=f"the same tests on numbers {GROWN * coarser:.2%} too large, with {MIXED * coarser:.2%} of the "
        "neighboring lane and stream added: the moments and the correlations of lanes and of streams have to see it",
        rejected=all(row["control_rejected"] for row in feeling),
        power=min(row["power"] for row in feeling),
        numbers={"felt": len(feeling), "rejected": sum(row["control_rejected"] for row in records)},
    )
    return Outcome(
        consistent=not any(row["rejected"] for row in records),
        level=LEVEL,
        control=control,
        numbers={"tests": records},
        seeds={name: [str(pair) for pair in streams] for name, streams in FAMILIES.items()},
        summary=_summary(records),
        draw=lambda: figure(records),
    )


def _summary(records):
    lines = [f"{'streams':<20}{'test':<24}{'chi-square':>12}{'freedom':>9}{'p':>9}{'control p':>11}{'power':>8}"]
    for row in records:
        line = f"{row['streams']:<20}{row['test']:<24}{row['chi_square']:>12.1f}{row['freedom']:>9}"
        known = "" if row["power"] is None else f"{row['power']:.4f}"
        line += f"{row['p_value']:>9.3f}{row['control_p_value']:>11.1e}{known:>8}"
        lines.append(line + "  REJECTED" * row["rejected"])
    return "\n".join(lines)


def figure(records):
    """Every chi-square in deviations from its mean, with that of the control."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(8.5, 7.0), layout="constrained")
    ax = sheet.subplots()
    band = stats.norm.isf(LEVEL / (2 * len(records)))
    ax.axvspan(-band, band, color="#EEEEEE", zorder=0, label="Gaussian and independent, all together")
    place = np.arange(len(records))[::-1]
    for key, color, marker, label in (
        ("control_p_value", THEORY, "x", "negative control"),
        ("p_value", SIMULATION, "o", "the generator"),
    ):
        name = "chi_square" if key == "p_value" else "control_chi_square"
        z = [_normal(row[name], row["freedom"]) for row in records]
        ax.scatter(np.clip(z, -40, 40), place, color=color, marker=marker, s=26, linewidths=1.2, label=label, zorder=2)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_xscale("symlog", linthresh=4.0, linscale=1.5)
    ax.set_xticks([-4, -2, 0, 2, 4, 10, 40], ["−4", "−2", "0", "2", "4", "10", "40"])
    ax.set_yticks(place, [f"{row['streams']}: {row['test']}" for row in records], fontsize="small")
    ax.set_xlabel(r"$\chi^2$ as a normal score")
    ax.spines[["top", "right"]].set_visible(False)
    sheet.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return sheet


def _normal(value, freedom):
    """The score of Wilson and Hilferty."""
    part = 2 / (9 * freedom)
    return ((value / freedom) ** (1 / 3) - 1 + part) / np.sqrt(part)


CLAIM = Claim(
    name="generator",
    sentence="The weights are independent standard Gaussian numbers: their moments and their shape, and no correlation "
    "between the lanes that fill a network, between networks, or between seeds.",
    reference="Salmon et al., SC 2011 (Philox); Blackman and Vigna, ACM TOMS 47 (2021) (xoshiro128++).",
    run=run,
)
