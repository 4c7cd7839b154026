"""Words, numbers and pictures of the report's page."""

import base64
import io
import math
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from ibtheory import _check, plot, results
from ibtheory.layers import Network

_FELT = 0.1  # excess kurtosis over the data from which tails are called heavy or light
# large; the seed redraws them
_HIDDEN = (
    *("readout_fractions", "class_fractions", "dead", "agreement"),
    *("per_layer", "per_layer_gradient", "per_network_tangent"),
)


def plain(value):
    """Any result or part of one as plain data for JSON: NaN becomes None, infinity "inf", large arrays are left out.

    >>> plain({"gamma": np.float64(np.inf), "z": [float("nan"), 1]})
    {'gamma': 'inf', 'z': [None, 1]}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)
    if isinstance(value, np.ndarray) and value.dtype.names:
        return [{name: plain(row[name]) for name in value.dtype.names} for row in value]
    if isinstance(value, Network):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if hasattr(value, "describe"):
        return plain(value.describe())
    if is_dataclass(value):
        return _plain_result(value)
    return str(value)


def _plain_result(result):
    data = {f.name: getattr(result, f.name) for f in fields(result)}
    data = {name: plain(value) for name, value in data.items() if name not in (*_HIDDEN, "class_fraction")}
    if isinstance(result, results.Prediction):
        data |= {"max_fraction": result.max_fraction, "unbiased_max": result.unbiased_max}
        data |= {"max_exceeds_0.9": result.max_exceeds(0.9)}
    elif isinstance(result, results.Ensemble):
        share, error = result.max_exceeds(0.9)
        data |= {"unbiased_max": result.unbiased_max, "max_exceeds_0.9": share, "max_exceeds_0.9_error": plain(error)}
    elif isinstance(result, results.Comparison):
        data |= {"consistent": bool(result.consistent), "rejected": plain(result.rejected)}
    return data


# Numbers in words


def number(value):
    """A number in at most four digits.

    >>> number(0.46694), number(23184.86), number(1.2e-7), number(float("inf")), number(float("nan"))
    ('0.467', '2.32e+04', '1.20e-07', '∞', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:.5f}" if 1e-4 <= abs(value) < 1e-2 else f"{value:.2e}"


def measured(value, error):
    """A value with its standard error, both to the first digit of the error.

    >>> measured(0.58512, 0.0031), measured(0.1413, 0.0), measured(13.2, 2.1)
    ('0.585 ± 0.003', '0.141', '13.2 ± 2.1')
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > 1e-6 * abs(value)):
        return number(value)
    digits = min(max(-math.floor(math.log10(error)), 1), 6)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def percent(value):
    """A share in percent.

    >>> percent(0.5851).split(), percent(0.0042).split(), percent(0.0).split()
    (['58.5', '%'], ['0.42', '%'], ['0', '%'])
    """
    if value == 0:
        return "0\N{NO-BREAK SPACE}%"
    return f"{100 * value:.{2 if value < 0.01 else 3}g}\N{NO-BREAK SPACE}%"


def listed(words):
    """Words as an enumeration.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


# The verdict


def verdict(cells):
    """Three sentences: the bias, what the norm does to it, and whether theory and simulation agree."""
    return _bias_sentence(cells), _norm_sentence(cells), agreement_sentence(cells)


def _bias_sentence(cells):
    cell = next((cell for cell in cells if cell.name == "none"), cells[0])
    e = cell.ensemble
    norm = "without a norm" if cell.name == "none" else f"with norm “{cell.name}”"
    return (
        f"Before any training, a network {norm} gives {percent(e.max_fraction)} of the data to one class on average "
        f"(unbiased: {percent(e.unbiased_max)}), and in {_how_many(e.max_exceeds(0.9)[0])} networks one class takes "
        "more than 90 %."
    )


def _how_many(share):
    return f"{percent(share)} of the" if share > 0 else "no"


def _norm_sentence(cells):
    means = np.array([cell.ensemble.max_fraction for cell in cells])
    errors = np.nan_to_num([cell.ensemble.max_fraction_error for cell in cells])
    most, least = means.argmax(), means.argmin()
    top = np.abs(means - means[most]) <= 2 * np.hypot(errors, errors[most])
    if top[least]:
        p = cells[0].prediction
        which = "The network" if len(cells) == 1 else "All placements start alike; the network"
        gamma = f"effective γ {number(p.gamma_effective)}"
        return f"{which} is {p.regime} at this depth ({gamma}) and {p.depth_limit.regime} in the limit of depth."
    biased = listed([f"“{cell.name}”" for cell, chosen in zip(cells, top, strict=True) if chosen])
    fair = cells[least].ensemble
    return (
        f"The placement of the norm decides: {biased} start{'s' if top.sum() == 1 else ''} most biased "
        f"({percent(means[most])} to one class), “{cells[least].name}” least ({percent(fair.max_fraction)}; above 90 % "
        f"in {_how_many(fair.max_exceeds(0.9)[0])} networks)."
    )


def agreement_sentence(cells):
    """How many quantities were compared, how many rejected, where, and the largest \\|z\\|."""
    count = sum(cell.comparison.tested.sum() for cell in cells)
    untested = sum(len(cell.comparison.rows) for cell in cells) - count
    shown = f" {untested} more are shown without a test; their notes say why." if untested else ""
    rejected = {cell.name: int(cell.comparison.rejected.sum()) for cell in cells}
    off = [f"“{name}” ({many})" for name, many in rejected.items() if many]
    z = np.abs(np.concatenate([cell.comparison.rows["z"][plot.scored(cell.comparison)] for cell in cells]))
    worst = f" (largest |z| {z.max():.1f})" if z.size else ""
    if not off:
        return f"Theory agrees with simulation in all {count} compared quantities{worst}.{shown}"
    return (
        f"Theory and simulation agree in {count - sum(rejected.values())} of {count} compared quantities{worst}; "
        f"theory is rejected in {listed(off)}, listed below.{shown}"
    )


def output_sentence(cells):
    """Symmetry and tails of the law of a logit over the data, by placement."""
    kurtosis = {cell.name: cell.ensemble.kurtosis for cell in cells}
    error = {cell.name: cell.ensemble.kurtosis_error for cell in cells}
    skew = max(cell.ensemble.skewness_spread for cell in cells)
    heavy = [name for name, value in kurtosis.items() if value > max(_FELT, 2 * error[name])]
    light = [name for name, value in kurtosis.items() if value < -max(_FELT, 2 * error[name])]
    parts = [
        f"{word} in {listed([f'“{name}” ({number(kurtosis[name])})' for name in names])}"
        for word, names in (("heavier", heavy), ("lighter", light))
        if names
    ]
    tails = "those of a Gaussian everywhere" if not parts else f"{' and '.join(parts)} than those of a Gaussian"
    return (
        "The law of a logit is symmetric over networks, before and after the activation alike: a network and its "
        f"mirror image are equally likely (in a single network its skewness over these samples is up to "
        f"{number(skew)} in size). Its tails are {tails} (excess kurtosis over the data)."
    )


# The page


def subject(made):
    """What the page is about, in a few words."""
    s, data = made.settings, made.data
    names = {"GaussianInputs": "Gaussian inputs", "Blobs": "Gaussian blobs", "Dataset": "a dataset"}
    name = names[data["kind"]]
    if isinstance(s["data"], str):
        words = {"digits": "handwritten digits", "gaussian": "Gaussian inputs"}
        name = words.get(s["data"], Path(s["data"]).name)
    activation = s["activation"] if isinstance(s["activation"], str) else s["activation"].name
    samples = made.cells[0].ensemble.samples
    if data.get("samples", samples) > samples:
        samples = f"{samples} of the {data['samples']}"
    return f"MLP, {activation}, width {s['width']}, depth {s['depth']}, on {samples} samples of {name}"


def pictures(cells, title):
    """The PNG files of the page: a dict of name to bytes."""
    ensembles = {cell.name: cell.ensemble for cell in cells}
    predictions = {cell.name: cell.prediction for cell in cells}
    figures = {
        "placements.png": plot.placements(ensembles, predictions, title=title),
        "output.png": plot.outputs(ensembles, predictions),
        "z-scores.png": plot.comparisons({cell.name: cell.comparison for cell in cells}).figure,
    }
    return {name: _png(figure) for name, figure in figures.items()}


def _png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130)
    return file.getvalue()


def html(made, images):
    """The page as text, its pictures inside it."""
    jinja2 = _check.extra("jinja2", "report")
    text = (Path(__file__).parent / "templates" / "report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    inline = {name: f"data:image/png;base64,{base64.b64encode(data).decode()}" for name, data in images.items()}
    first = made.cells[0].ensemble
    return environment.from_string(text).render(
        subject=subject(made),
        verdict=made.verdict,
        unbiased=number(1 / first.classes),
        unbiased_max=number(first.unbiased_max),
        classes=first.classes,
        cells=[_row(cell) for cell in made.cells],
        pictures={name.removesuffix(".png").replace("-", "_"): data for name, data in inline.items()},
        output=output_sentence(made.cells),
        alt=_alt(made.cells),
        agreement=agreement_sentence(made.cells),
        networks=first.networks,
        readouts=first.readouts,
        samples=first.samples,
        batch="all samples" if first.batch == "all" else f"{first.batch} samples",
        dtype=first.dtype,
        seed=first.seed,
        alpha=made.settings["alpha"],
        network=repr(first.network),
        data=", ".join(f"{name} {value}" for name, value in made.data.items() if value is not None),
        versions=", ".join(f"{name} {version}" for name, version in results.versions().items()),
        seconds=f"{made.seconds:.0f}",
        command=made.command,
    )


def _row(cell):
    p, e, c = cell.prediction, cell.ensemble, cell.comparison
    return {
        "name": cell.name,
        "pairs": [
            ("E f_max", (number(p.max_fraction), measured(e.max_fraction, e.max_fraction_error))),
            ("P(f_max > .9)", (_probability(p.max_exceeds(0.9)), measured(*e.max_exceeds(0.9)))),
            ("γ", (number(p.gamma), measured(e.gamma, e.gamma_error))),
            ("γ effective", (number(p.gamma_effective), measured(e.gamma_effective, e.gamma_effective_error))),
        ],
        "z": _z_of(c, "gamma_effective"),
        "regime": p.regime,
        "limit": f"in the limit {p.depth_limit.regime}, γ\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}"
        f"{number(p.depth_limit.gamma)} ({p.depth_limit.law})",
        "notes": p.notes,
        "compared": int(c.tested.sum()),
        "rejected": int(c.rejected.sum()),
        "rows": [_compared(row, off) for row, off in zip(c.rows, c.rejected, strict=True)],
    }


def _probability(value):
    return "< 0.0001" if 0 < value < 1e-4 else number(value)


def _z_of(comparison, quantity):
    rows = comparison.rows[comparison.rows["quantity"] == quantity]
    if not len(rows):
        return "–"
    return "exact" if rows[-1]["exact"] else f"{rows[-1]['z']:.1f}"


def _compared(row, rejected):
    return {
        "layer": row["layer"],
        "quantity": row["quantity"].replace("_", " "),
        "theory": number(row["theory"]),
        "estimate": number(row["estimate"]),
        "error": number(row["error"]),
        "z": "exact" if row["exact"] else number(row["z"]) if math.isnan(row["z"]) else f"{row['z']:.2f}",
        "note": row["note"],
        "rejected": bool(rejected),
    }


def _alt(cells):
    parts = [f"{cell.name}: E f_max {cell.ensemble.max_fraction:.2f}, γ {cell.ensemble.gamma:.2f}" for cell in cells]
    return "Histograms of class fractions and γ by depth for every placement of the norm. " + "; ".join(parts) + "."
