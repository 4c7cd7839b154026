"""A folder in which a long run leaves what it has, and from which it goes on after an interruption, to the same bits.

Each chunk of networks is a file that appears at once or not at all. The file ``description.json`` says which run it is:
what shapes the results, and the versions of the software; every chunk carries its digest. Two processes may share a
folder: they write the same arrays.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ibtheory import _files
from ibtheory._saved import versions

__all__ = ["Store"]

_DESCRIPTION = "description.json"
_FORMAT = 1
_RUN = "run"  # the digest in a chunk


class Store:
    """The folder of one run.

    Parameters
    ----------
    path : str or Path
        Made if it is missing; otherwise it has to be empty or a store of the same run.
    description : dict
        JSON-able: all that the results depend on, but for the number of networks.

    Raises
    ------
    ValueError
        If the folder holds something else, or another run.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = Store(folder.name, {"seed": 0})
    >>> store.write(0, 2, {"loss": np.zeros((2, 3))})
    >>> Store(folder.name, {"seed": 0}).read(0, 2)["loss"].shape
    (2, 3)
    >>> Store(folder.name, {"seed": 1})
    Traceback (most recent call last):
    ...
    ValueError: ... holds another run: seed is 0 there and 1 here; choose another folder
    >>> folder.cleanup()
    """

    def __init__(self, path, description):
        self.path = Path(path)
        own = json.loads(json.dumps({"format": _FORMAT, "versions": versions(), **description}))
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; store= takes a folder")
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / _DESCRIPTION
        names = {entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")}
        if not names:
            with _files.replacing(file) as target:
                target.write(json.dumps(own, indent=1).encode())
        elif _DESCRIPTION not in names:
            raise ValueError(f"{self.path} is not empty and not a store of ibtheory; choose another folder")
        self._compare(self._description(file), own)  # another process may have begun another run here
        self._digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()

    def _description(self, file):
        try:
            found = json.loads(file.read_bytes())
        except ValueError as error:
            raise ValueError(f"{file} is damaged; choose another folder") from error
        if not isinstance(found, dict) or "format" not in found:
            raise ValueError(f"{file} was not written by ibtheory; choose another folder")
        return found

    def _compare(self, found, own):
        for name in [*own, *found]:
            there, here = found.get(name), own.get(name)
            if there != here:
                raise ValueError(
                    f"{self.path} holds another run: {name} is {_short(there)} there and {_short(here)} here; "
                    "choose another folder"
                )

    def read(self, first, stop):
        """Arrays by name of the networks ``first`` to ``stop``, or None if they are not there yet."""
        file = self._file(first, stop)
        if not file.exists():
            return None
        try:
            with file.open("rb") as source, np.load(source, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # zipfile, zlib, numpy: each raises its own on a damaged file
            raise ValueError(f"{file} is damaged; delete it, and its networks are run again") from error
        digest = arrays.pop(_RUN, None)
        if not arrays or any(array.ndim == 0 or len(array) != stop - first for array in arrays.values()):
            raise ValueError(f"{file} does not hold {stop - first} networks; delete it, and they are run again")
        if digest != self._digest:
            raise ValueError(f"{file} is of another run; delete it, and its networks are run again")
        return arrays

    def write(self, first, stop, arrays):
        """Keep the arrays, networks first, of the networks ``first`` to ``stop``."""
        with _files.replacing(self._file(first, stop)) as target:
            np.savez(target, **arrays, **{_RUN: self._digest})

    def _file(self, first, stop):
        return self.path / f"networks-{first:09d}-{stop:09d}.npz"


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
