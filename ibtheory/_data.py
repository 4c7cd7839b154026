"""Arrays of data at the public boundary: checked, standardized, hashed, and read from files."""

import csv
import hashlib
import zipfile

import numpy as np

STANDARDIZATIONS = ("feature", "global")


def numbers(name, values):
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: {error}; all rows must have the same length") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}; convert it with X.astype(float)")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        raise ValueError(
            f"{name} holds {len(bad)} NaN or infinite numbers, the first at index {tuple(bad[0].tolist())}; "
            "remove or impute them"
        )
    return array


def rows(X):
    """A fresh (samples, features) float64 array, or an error."""
    X = numbers("X", X)
    if X.ndim not in (2, 4):
        raise ValueError(
            f"X must have shape (samples, features) or (samples, channels, height, width), got {X.shape}; "
            "reshape it, e.g. X.reshape(len(X), -1)"
        )
    if X.size == 0:
        raise ValueError(f"X is empty: its shape is {X.shape}; give at least two samples and one feature")
    if len(X) < 2:
        raise ValueError("X holds one sample; class fractions need a dataset, give at least two")
    return np.ascontiguousarray(X.reshape(len(X), -1))


def labels(y, samples):
    y = np.array(y)
    if y.dtype.kind not in "biufU":
        raise ValueError(f"y must hold numbers or strings, got dtype {y.dtype}; convert it, e.g. y.astype(int)")
    if y.shape != (samples,):
        raise ValueError(f"y must have shape ({samples},), one label per sample of X, got {y.shape}")
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise ValueError("y holds NaN or infinite labels; remove those samples")
        if (y == np.rint(y)).all():
            y = y.astype(np.int64)
    return y


def standardized(X, how):
    """X standardized in place."""
    if how is None:
        return X
    axis = 0 if how == "feature" else None
    constant = np.ptp(X, axis=axis) == 0
    X -= X.mean(axis=axis)
    X /= np.where(constant, 1.0, X.std(axis=axis))
    # A mean is rounded, so a constant column leaves a residue instead of 0.
    X *= ~constant
    return X


def read_only(array):
    array.flags.writeable = False
    return array


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def read_npz(path):
    remedy = "write it with numpy.savez(path, X=X, y=y), X an array of numbers"
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is not a readable .npz file (pickles are refused); {remedy}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path.name} holds a single array, not a .npz archive; {remedy}")
    with archive:
        if "X" not in archive.files:
            raise ValueError(f"{path.name} has no member 'X', only {archive.files}; {remedy}")
        try:
            return archive["X"], archive["y"] if "y" in archive.files else None
        except ValueError as error:
            raise ValueError(f"{path.name} holds pickled objects, which are refused; {remedy}") from error
        except Exception as error:  # zlib, zipfile and numpy each raise their own on a damaged member
            raise ValueError(f"{path.name} is damaged; {remedy}") from error


def read_csv(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = next(csv.reader(file), [])
    if not first:
        raise ValueError(f"{path.name} is empty; it must hold one sample per line, numbers separated by commas")
    labelled = first[-1].strip().lower() in ("y", "label")
    header = labelled or not any(_is_number(cell) for cell in first)
    columns = range(len(first) - labelled)
    if labelled and not columns:
        raise ValueError(f"{path.name} has only the label column {first[-1]!r}; add columns of features")
    read = {
        "delimiter": ",",
        "skiprows": int(header),
        "comments": None,
        "quotechar": '"',
        "ndmin": 2,
        "encoding": "utf-8-sig",
    }
    with path.open(encoding="utf-8-sig") as file:
        if sum(bool(line.strip()) for line in file) - header < 1:
            raise ValueError(f"{path.name} has a header but no samples")
    try:
        X = np.loadtxt(path, usecols=columns, **read)
        y = np.loadtxt(path, usecols=[len(columns)], dtype=str, **read)[:, 0] if labelled else None
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{path.name} is not numeric: {error}. Every cell must be a number and lines equally long; "
            "the first line may be a header; a last column named 'y' or 'label' is taken as labels"
        ) from error
    if y is not None and all(_is_number(cell) for cell in y):
        y = y.astype(float)
    return X, y


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
