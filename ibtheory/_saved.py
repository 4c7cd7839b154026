"""Results as files: plain arrays and a JSON text in one .npz; nothing pickled is ever read."""

import json
from dataclasses import fields
from importlib import metadata
from pathlib import Path

import numpy as np

from ibtheory import _files
from ibtheory._version import __version__
from ibtheory.groups import GroupFractions
from ibtheory.inputs import Dataset
from ibtheory.layers import Network
from ibtheory.output import Output


class Saved:
    """Shared by all results: one file, plain arrays and a JSON text."""

    __slots__ = ()

    def save(self, path):
        """Write to ``path`` (.npz by habit) at once or not at all; :func:`ibtheory.load` reads it back.

        Raises
        ------
        ValueError
            If the network holds a user's function that cannot be written as data.
        """
        arrays, description = _encode(self)
        text = json.dumps(description, default=_plain).encode()
        with _files.replacing(path) as file:
            np.savez_compressed(file, description=np.frombuffer(text, np.uint8), **arrays)


def _encode(result):
    """(arrays by name, JSON-able rest) of a result."""
    arrays, values = {}, {}
    for f in fields(result):
        value = getattr(result, f.name)
        if f.name == "class_fraction":
            continue  # the law follows from gamma_effective and classes
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        elif isinstance(value, Dataset):
            arrays["inputs_X"] = value.X
            if value.y is not None:
                arrays["inputs_y"] = value.y
        else:
            values[f.name] = value.to_dict() if isinstance(value, Network | GroupFractions | Output) else value
    return arrays, {"kind": type(result).__name__, "values": values, "versions": versions()}


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be written as JSON")


def versions():
    """Versions of the software that shapes a result."""
    return {"ibtheory": __version__} | {name: metadata.version(name) for name in ("numpy", "numba")}


def read(path, known):
    """(description, arrays) of a saved result; ``known`` says whether there is a class of that name."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    foreign = f"{path} was not written by ibtheory, or is damaged; give a file written by save()"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        description = json.loads(arrays.pop("description").tobytes())
    except Exception as error:  # zipfile, zlib, numpy, json: each raises its own on a foreign or damaged file
        raise ValueError(foreign) from error
    if not isinstance(description, dict) or not known(description.get("kind")):
        raise ValueError(foreign)
    return description, arrays
