"""Files: data read without ever unpickling, results written at once or not at all."""

import contextlib
import csv
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def replacing(path):
    """A binary file that takes the place of ``path`` when the block ends well, and disappears when it does not."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path):
    """(X, y or None) of an archive of numbers, see :func:`ibtheory.inputs.load_file`."""
    remedy = "write it with numpy.savez(path, X=X, y=y), X an array of numbers"
    with path.open("rb") as file:  # a damaged archive would leave a file open that numpy opens itself
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path.name} is not a readable .npz file (pickles are refused); {remedy}") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{path.name} holds a single array, not a .npz archive; {remedy}")
        if "X" not in archive.files:
            raise ValueError(f"{path.name} has no member 'X', only {archive.files}; {remedy}")
        try:
            return archive["X"], archive["y"] if "y" in archive.files else None
        except ValueError as error:
            raise ValueError(f"{path.name} holds pickled objects, which are refused; {remedy}") from error
        except Exception as error:  # zlib, zipfile and numpy each raise their own on a damaged member
            raise ValueError(f"{path.name} is damaged; {remedy}") from error


def read_csv(path):
    """(X, y or None) of a file of comma-separated numbers, see :func:`ibtheory.inputs.load_file`."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip()]
    if not lines:
        raise ValueError(f"{path.name} is empty; it must hold one sample per line, numbers separated by commas")
    first = next(csv.reader(lines))
    labelled = first[-1].strip().lower() in ("y", "label")
    if labelled or not any(_is_number(cell) for cell in first):
        lines = lines[1:]
    if not lines:
        raise ValueError(f"{path.name} has a header but no samples; is it comma-separated, and complete?")
    if labelled and len(first) == 1:
        raise ValueError(f"{path.name} has only the label column {first[0]!r}; add columns of features")
    words, last = {}, len(first) - 1
    number = {last: lambda word: words.setdefault(word.strip(), len(words))} if labelled else None
    try:
        cells = np.loadtxt(
            lines, delimiter=",", comments=None, quotechar='"', ndmin=2, encoding=None, converters=number
        )
    except ValueError as error:
        raise ValueError(
            f"{path.name} is not numeric: {str(error).rstrip('.')}. Every cell must be a number, all lines equally "
            "long; the first line may be a header; a last column named 'y' or 'label' is taken as labels"
        ) from error
    if not labelled:
        return cells, None
    y = np.array([*words])[cells[:, last].astype(int)]
    return cells[:, :last], y.astype(float) if all(_is_number(word) for word in words) else y


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
