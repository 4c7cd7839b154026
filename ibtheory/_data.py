"""Arrays of data at the public boundary: checked, standardized, hashed; and the arrangement of blobs."""

import hashlib
import math

import numpy as np

STANDARDIZATIONS = ("feature", "global")


def numbers(name, values):
    """A fresh float64 array of finite numbers, or an error that calls it ``name``."""
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
    """One label per sample as an array of numbers or strings, or an error."""
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
    spread = X.std(axis=axis)
    constant = (np.ptp(X, axis=axis) == 0) | (spread == 0)  # a spread below 1e-162 has no square
    X -= X.mean(axis=axis)
    X /= np.where(constant, 1.0, spread)
    # A mean is rounded, so a constant column leaves a residue instead of 0.
    X *= ~constant
    return X


def read_only(array):
    """The same array, closed to writing."""
    array.flags.writeable = False
    return array


def digest(array):
    """SHA-256 of the numbers in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def regular_centers(separation, classes, features):
    """(classes, features): two centers along (1, ..., 1), or more on orthogonal cosines, at equal distances."""
    if classes == 2:
        step = separation / (2 * math.sqrt(features))
        return np.array([[-step], [step]]) * np.ones(features)
    if classes >= features:
        raise ValueError(
            f"{classes} regular blobs need at least {classes + 1} features, got {features}; "
            "raise features, or give centers"
        )
    waves = np.cos(np.pi / features * np.outer(np.arange(1, classes + 1), np.arange(features) + 0.5))
    return separation / math.sqrt(features) * waves


def shares_of(weights, classes):
    """Shares of the blobs, summing to 1."""
    if weights is None:
        return np.full(classes, 1 / classes)
    weights = numbers("Blobs.weights", weights)
    if weights.shape != (classes,):
        raise ValueError(f"Blobs.weights must have shape ({classes},), one per blob, got {weights.shape}")
    if not (weights > 0).all():
        raise ValueError(f"Blobs.weights must be above 0, got {weights.tolist()}; leave an empty blob out")
    return weights / weights.sum()


def counts(weights, samples):
    """How many of ``samples`` fall to each weight: rounded down, the rest to the largest remainders."""
    exact = weights * samples
    whole = np.floor(exact).astype(int)
    rest = np.argsort(whole - exact, kind="stable")[: samples - whole.sum()]
    whole[rest] += 1
    return whole
