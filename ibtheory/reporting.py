"""The page: every placement of the norm on one dataset, predicted, simulated, compared, in words and pictures."""

import json
import os
import shlex
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ibtheory import _blas, _check, _files, _page, activations, inputs, results, zoo
from ibtheory._page import plain

__all__ = ["Cell", "Report", "build", "plain", "read_data", "report"]

NORMS = ("none", "batch", "layer", "rms", "group")
PLACEMENTS = ("before", "after", "both")
NETWORKS = 400
SAMPLES = 500  # theory with BatchNorm grows like their cube
DEFAULTS = {
    "data": "digits",
    "standardize": "feature",
    "offset": 0.0,
    "activation": "relu",
    "width": 256,
    "depth": 5,
    "classes": None,
    "norms": ("none", "batch", "layer", "rms"),
    "placements": ("before", "after"),
    "weight_variance": 2.0,
    "bias_variance": 0.0,
    "init": None,
    "networks": NETWORKS,
    "samples": None,
    "batch": "all",
    "alpha": 0.05,
    "seed": 0,
}


class Cell(NamedTuple):
    """One placement of the norm: its name, e.g. "batch before", and the three readings of it."""

    name: str
    prediction: results.Prediction
    ensemble: results.Ensemble
    comparison: results.Comparison


@dataclass(frozen=True, eq=False)
class Report:
    """What :func:`report` found.

    Attributes
    ----------
    cells : tuple of Cell
    settings : dict
        The options that made it.
    data : dict
        Description of the inputs.
    seconds : float
    """

    cells: tuple
    settings: dict
    data: dict
    seconds: float

    @property
    def verdict(self):
        """Three sentences: the bias, what the norm does to it, and whether theory and simulation agree."""
        return _page.verdict(self.cells)

    @property
    def command(self):
        """The command line that makes the page again, or None where an option is a Python object."""
        return _command(self.settings)

    def __str__(self):
        return "\n".join(self.verdict)


def read_data(data, *, standardize="feature", offset=0.0):
    """Inputs from the word "digits" or "gaussian", from the path of a .npz or .csv file, or from inputs themselves."""
    if not isinstance(data, str | os.PathLike):
        return inputs.check_inputs(data)
    if data == "digits":
        return inputs.load_digits(standardize, offset=offset)
    if data == "gaussian":
        return inputs.GaussianInputs()
    if not Path(data).suffix:
        raise ValueError(f"data must be digits, gaussian, or the path of a .npz or .csv file; got {data!r}")
    return inputs.load_file(data, standardize, offset=offset)


def classes_of(x, classes=None):
    """``classes`` if given, else as many as the data has labels, or 2."""
    if classes is not None:
        return classes
    return 2 if x.y is None else max(2, len(np.unique(x.y)))


def activation_of(word):
    """An activation from its name or, with arguments, its code: "relu", "leaky_relu(0.1)"."""
    if isinstance(word, str) and "(" in word:
        return activations.from_code(f"activations.{word}")
    return activations.get(word)


def samples_of(x, samples=None):
    """``samples`` if given, else 500, or all rows of a smaller dataset."""
    return min(SAMPLES, x.samples or SAMPLES) if samples is None else samples


def report(output="report", *, progress=False, **options):
    """Predict, simulate and compare every placement of the norm, and write a page about it.

    Parameters
    ----------
    output : str or Path
        Folder of index.html, its pictures and results.json; made if it does not exist.
    progress : bool
        Show a progress bar on stderr.
    data : "digits", "gaussian", path of a .npz or .csv file, or inputs
    standardize : {"feature", "global", None}
        Of a file or the digits, as in :class:`ibtheory.Dataset`; ``offset`` too.
    activation, width, depth, classes, weight_variance, bias_variance, init
        As in :func:`ibtheory.mlp`; ReLU, 256, 5. Without ``classes``, as many as the data has labels, or 2.
    norms, placements : sequence of str
        The cells; "none" stands alone, every other norm is placed everywhere.
    samples : int
        At most that many of the data, chosen by ``seed``; 500 unless the dataset is smaller.
    networks, batch, seed
        As in :func:`ibtheory.simulate`; 400 networks.
    alpha : float
        Probability that true theories are rejected anywhere on the page.

    Returns
    -------
    Report

    Raises
    ------
    OSError
        If the folder cannot be written; nothing is computed then.
    ValueError, TypeError
        For an option out of range.
    """
    started = time.perf_counter()
    unknown = options.keys() - DEFAULTS.keys()
    if unknown:
        raise TypeError(f"report() has no option {sorted(unknown)}; its options are {[*DEFAULTS]}")
    options = DEFAULTS | options
    _check.extra("jinja2", "report")
    folder = _writable(Path(output))
    alpha = _check.real("alpha", options["alpha"], 0.0, 1.0, open_minimum=True)
    x = read_data(options["data"], standardize=options["standardize"], offset=options["offset"])
    samples = samples_of(x, options["samples"])
    networks = _networks(options, x)
    tasks = [(name, net, x, samples, options, alpha / len(networks)) for name, net in networks.items()]
    made = Report(tuple(_run(tasks, progress)), options, x.describe(), time.perf_counter() - started)
    for name, content in build(made).items():
        with _files.replacing(folder / name) as file:
            file.write(content)
    return made


def _writable(folder):
    """The folder, made if need be and tried, before any computing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"cannot write to the folder {folder}: {reason}; choose another output folder") from error
    return folder


def _words(name, words, allowed):
    words = (words,) if isinstance(words, str) else tuple(words)
    if not words:
        raise ValueError(f"{name} is empty; choose from {', '.join(allowed)}")
    return tuple(dict.fromkeys(_check.choice(name, word, allowed) for word in words))


def _networks(options, x):
    """Name of each cell to its network."""
    norms = _words("norms", options["norms"], NORMS)
    placements = _words("placements", options["placements"], PLACEMENTS)
    classes = classes_of(x, options["classes"])
    shared = {name: options[name] for name in ("weight_variance", "bias_variance", "init")}
    shared["activation"] = activation_of(options["activation"])
    networks = {}
    for norm in norms:
        for placement in ("after",) if norm == "none" else placements:
            name = norm if norm == "none" else f"{norm} {placement}"
            networks[name] = zoo.mlp(
                options["width"], options["depth"], classes, norm=norm, placement=placement, **shared
            )
    return networks


def _cell(name, net, x, samples, options, alpha):
    from ibtheory.comparison import compare
    from ibtheory.simulation import simulate
    from ibtheory.theory import predict

    shared = {"samples": samples, "batch": options["batch"], "seed": options["seed"]}
    ensemble = simulate(net, x, networks=options["networks"], workers=1, **shared)
    prediction = predict(net, x, width="leading", **shared)
    return Cell(name, prediction, ensemble, compare(prediction, ensemble, alpha=alpha))


def _run(tasks, progress):
    """The cells, as many at a time as there are cores.

    BLAS stays on one thread: several threads of ours that each call a threaded BLAS slow down fourfold.
    """
    import tqdm

    with (
        _blas.one_thread(),
        ThreadPoolExecutor(min(len(tasks), _blas.cores())) as pool,
        tqdm.tqdm(total=len(tasks), unit="cell", disable=not progress) as bar,
    ):
        futures = [pool.submit(_cell, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def build(made):
    """The files of a :class:`Report`: a dict of name to bytes.

    index.html holds its pictures itself; results.json holds every number, with null for NaN and "inf" for infinity.
    """
    pictures = _page.pictures(made.cells, _page.subject(made))
    page = _page.html(made, pictures).encode()
    return {"index.html": page, "results.json": numbers(made).encode()} | pictures


def numbers(made):
    """The text of results.json."""
    data = {
        "verdict": [*made.verdict],
        "command": made.command,
        "settings": plain(made.settings),
        "data": plain(made.data),
        "versions": results.versions(),
        "seconds": made.seconds,
        "cells": {cell.name: {part: plain(getattr(cell, part)) for part in cell._fields[1:]} for cell in made.cells},
    }
    return json.dumps(data, indent=1, allow_nan=False)


def _command(settings):
    parts = ["ibtheory", "report"]
    for name, default in DEFAULTS.items():
        value = settings[name]
        if name in ("norms", "placements"):
            value, default = ",".join(value) if not isinstance(value, str) else value, ",".join(default)
        if not isinstance(value, str | int | float | None | Path):
            return None
        if value != default:
            parts += [f"--{name.replace('_', '-')}", str(value).lower() if value is None else str(value)]
    return shlex.join(parts)
