"""Input laws and datasets: exact moments for theory and samples for simulation, from one object.

Every input has ``features``, ``samples`` (None for a law), ``y``, ``draw(samples, seed)``,
``moments(samples, seed)`` and ``describe()``, so that both sides of a comparison read the same thing.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from scipy.spatial import distance

from ibtheory import _check, _data, _files
from ibtheory._moments import Moments, fluctuation_of

__all__ = ["Blobs", "Dataset", "GaussianInputs", "Moments", "check_inputs", "load_digits", "load_file"]

_VARIANCE = _check.Real(0.0, open_minimum=True, hint="Without variance all samples would be equal.")


def _value(domain, default):
    return field(default=default, metadata={"domain": domain})


def _sample_count(samples):
    if samples is None:
        raise ValueError("a law has no number of samples of its own; say how many, e.g. samples=1000")
    return _check.integer("samples", samples, 2, hint="Moments over the data need two distinct samples.")


def _law_seed(seed):
    return np.random.default_rng(_check.integer("seed", seed, 0))


@final
@dataclass(frozen=True)
class GaussianInputs:
    """Gaussian features of mean 0, any two samples correlated by ``correlation``.

    h = sqrt(variance) (sqrt(correlation) u + sqrt(1 - correlation) e), with e iid N(0, 1) and one common u per
    draw, of mean 0 and mean square 1 over the features, so that each draw has the correlation it names.

    Parameters
    ----------
    features : int
        At least 1; at least 2 with a correlation.
    variance : float
        Above 0.
    correlation : float
        In [0, 1): a negative one is impossible for many exchangeable samples, 1 makes them all equal.

    Examples
    --------
    >>> x = GaussianInputs(features=100, correlation=0.5)
    >>> X, y = x.draw(20, seed=0)
    >>> X.shape, y
    ((20, 100), None)
    >>> m = x.moments()
    >>> float(m.cross[0, 0]), float(m.gap[0, 0])
    (0.5, 0.5)
    """

    features: int = _value(_check.Integer(1), 1000)
    variance: float = _value(_VARIANCE, 1.0)
    correlation: float = _value(_check.Real(0.0, 1.0), 0.0)

    samples = None
    y = None

    def __post_init__(self):
        _check.check_fields(self)
        if self.correlation == 1.0:
            raise ValueError("GaussianInputs.correlation = 1 makes all samples equal; choose it below 1")
        if self.correlation and self.features < 2:
            raise ValueError("GaussianInputs with a correlation needs at least 2 features, got 1; raise features")

    def draw(self, samples=None, seed=0):
        """(X, None): ``samples`` rows drawn from ``seed``; X is float64 of shape (samples, features)."""
        samples, rng = _sample_count(samples), _law_seed(seed)
        X = rng.standard_normal((samples, self.features))
        X *= math.sqrt(self.variance * (1 - self.correlation))
        if self.correlation:
            common = rng.standard_normal(self.features)
            common -= common.mean()
            common *= math.sqrt(self.variance * self.correlation / np.mean(common**2))
            X += common
        return X, None

    def moments(self, samples=None, seed=0):
        """:class:`Moments` of the law: one group; ``samples`` and ``seed`` do not change it."""
        v, c = self.variance, self.correlation
        return Moments(
            mean=np.zeros(1),
            cov=np.array([[v * c]]),
            gap=np.array([[v * (1 - c)]]),
            weights=np.ones(1),
            exchangeable=True,
            fluctuation=fluctuation_of(c, self.features),
        )

    def describe(self):
        """Plain data (JSON) that say what the inputs are."""
        return {
            "kind": "GaussianInputs",
            "features": self.features,
            "variance": self.variance,
            "correlation": self.correlation,
        }


@final
@dataclass(frozen=True, eq=False)
class Blobs:
    """Gaussian clouds around one center per class; y is the blob.

    h = centers[y] + offset + sqrt(variance) e, e iid N(0, 1). With a ``separation`` s the centers stand at
    mutual distance s: two of them at -s/2 and +s/2 along (1, ..., 1)/sqrt(features), as in the experiments of
    the field (N(-m 1, I) and N(+m 1, I), m = 1/sqrt(features), is separation 2); more of them on orthogonal
    directions of zero mean feature (cosines), each s/sqrt(2) from the origin.

    Parameters
    ----------
    centers : (classes, features) array, optional
        Instead of ``separation``, ``classes`` and ``features``.
    separation : float, optional
        Distance between any two centers, at least 0; 2 if neither is given.
    classes, features : int
        At least 2 blobs; more than two need at least classes + 1 features.
    variance : float
        Of each feature within a blob, above 0.
    weights : (classes,) array, optional
        Shares of the blobs, above 0, normalized to sum 1; equal by default. A draw keeps them up to rounding.
    offset : float
        Added to every feature.

    Examples
    --------
    >>> x = Blobs(separation=2.0, features=100)
    >>> X, y = x.draw(6, seed=0)
    >>> X.shape, sorted(y.tolist())
    ((6, 100), [0, 0, 0, 1, 1, 1])
    >>> x.moments().gap
    array([[1.  , 1.02],
           [1.02, 1.  ]])
    """

    centers: np.ndarray | None = None
    separation: float | None = None
    classes: int = _value(_check.Integer(2, hint="One blob is GaussianInputs."), 2)
    features: int = _value(_check.Integer(1), 1000)
    variance: float = _value(_VARIANCE, 1.0)
    weights: np.ndarray | None = None
    offset: float = _value(_check.Real(), 0.0)

    samples = None
    y = None

    def __post_init__(self):
        _check.check_fields(self)
        if self.centers is None:
            separation = 2.0 if self.separation is None else self.separation
            self._set("separation", _check.real("Blobs.separation", separation, 0.0))
            centers = _data.regular_centers(self.separation, self.classes, self.features)
        else:
            if self.separation is not None:
                raise ValueError("Blobs takes centers or a separation, not both; leave one out")
            centers = _data.numbers("Blobs.centers", self.centers)
            if centers.ndim != 2 or len(centers) < 2:
                raise ValueError(
                    f"Blobs.centers must have shape (classes, features) with at least 2 rows, got {centers.shape}"
                )
            for name, size, default in zip(("classes", "features"), centers.shape, (2, 1000), strict=True):
                if getattr(self, name) not in (size, default):
                    raise ValueError(
                        f"Blobs.{name}={getattr(self, name)} but centers has shape {centers.shape}; leave {name} out"
                    )
                self._set(name, size)
        self._set("centers", _data.read_only(centers))
        self._set("weights", _data.read_only(_data.shares_of(self.weights, self.classes)))

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def draw(self, samples=None, seed=0):
        """(X, y): ``samples`` rows in random order, each blob with its share of them up to rounding."""
        samples, rng = _sample_count(samples), _law_seed(seed)
        y = np.repeat(np.arange(self.classes), _data.counts(self.weights, samples))
        rng.shuffle(y)
        X = rng.standard_normal((samples, self.features))
        X *= math.sqrt(self.variance)
        X += self.centers[y] + self.offset
        return X, y

    def moments(self, samples=None, seed=0):
        """:class:`Moments` of the law: one group per blob; ``samples`` and ``seed`` do not change it."""
        mean = self.centers.mean(axis=1)
        around = self.centers - mean[:, None]
        cov = around @ around.T / self.features
        between = distance.squareform(distance.pdist(self.centers, "sqeuclidean"))
        mean = mean + self.offset
        common = np.diagonal(cov) + mean**2
        fluctuation = fluctuation_of(common / (common + self.variance), self.features)
        return Moments(
            mean=mean,
            cov=cov,
            gap=self.variance + between / (2 * self.features),
            weights=np.array(self.weights),
            exchangeable=True,
            fluctuation=float(self.weights @ fluctuation),
        )

    def describe(self):
        """Plain data (JSON) that say what the inputs are; given centers appear by shape and SHA-256."""
        where = {"separation": self.separation}
        if self.separation is None:
            where = {"centers": [*self.centers.shape], "sha256": _data.digest(self.centers)}
        return {
            "kind": "Blobs",
            **where,
            "classes": self.classes,
            "features": self.features,
            "variance": self.variance,
            "weights": self.weights.tolist(),
            "offset": self.offset,
        }


@final
@dataclass(frozen=True, eq=False)
class Dataset:
    """Concrete samples, kept as the network sees them.

    Parameters
    ----------
    X : (samples, features) or (samples, channels, height, width) array
        Finite numbers, at least two samples that differ; images are flattened. The field ``X`` holds the result
        of ``standardize`` and ``offset``: a read-only float64 array of shape (samples, features).
    y : (samples,) array, optional
        Labels.
    standardize : {None, "feature", "global"}
        "feature": each column to mean 0 and variance 1 (constant columns become 0). "global": one mean and
        one variance for all numbers.
    offset : float
        Added to every feature afterwards; inputs off center start a network prejudiced.

    Examples
    --------
    >>> data = Dataset([[0.0, 1.0], [2.0, 1.0]], standardize="feature")
    >>> data.X
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> data.moments().gap
    array([[0., 1.],
           [1., 0.]])
    """

    X: np.ndarray
    y: np.ndarray | None = None
    standardize: str | None = None
    offset: float = _value(_check.Real(), 0.0)
    _sha256: str = field(init=False, repr=False, default="")

    def __post_init__(self):
        _check.check_fields(self)
        if self.standardize is not None:
            _check.choice("standardize", self.standardize, _data.STANDARDIZATIONS, hint="Or None, to leave X as it is.")
        X = _data.rows(self.X)
        values = {"_sha256": _data.digest(X)}
        values["y"] = None if self.y is None else _data.read_only(_data.labels(self.y, len(X)))
        X = _data.standardized(X, self.standardize)
        X += self.offset
        if not np.ptp(X, axis=0).any():
            raise ValueError("X is constant: all samples are equal, so predictions cannot vary; check how X was read")
        values["X"] = _data.read_only(X)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def samples(self):
        """Number of rows."""
        return self.X.shape[0]

    @property
    def features(self):
        """Number of columns."""
        return self.X.shape[1]

    def draw(self, samples=None, seed=0):
        """(X, y): all rows in order, or ``samples`` distinct rows chosen by ``seed``, in their order."""
        rows = self._choose(samples, seed)
        if rows is None:
            return self.X, self.y
        return self.X[rows], None if self.y is None else self.y[rows]

    def moments(self, samples=None, seed=0):
        """:class:`Moments` of the rows that :meth:`draw` returns: one group per sample."""
        X, _ = self.draw(samples, seed)
        mean = X.mean(axis=1)
        around = X - mean[:, None]
        return Moments(
            mean=mean,
            cov=around @ around.T / self.features,
            gap=distance.squareform(distance.pdist(X, "sqeuclidean") / (2 * self.features)),
            weights=np.full(len(X), 1 / len(X)),
            exchangeable=False,
        )

    def describe(self):
        """Plain data (JSON): shape, standardization, offset, SHA-256 of X as given (float64, C order)."""
        return {
            "kind": "Dataset",
            "samples": self.samples,
            "features": self.features,
            "labels": self.y is not None,
            "standardize": self.standardize,
            "offset": self.offset,
            "sha256": self._sha256,
        }

    def _choose(self, samples, seed):
        if samples is None:
            return None
        samples = _sample_count(samples)
        if samples > self.samples:
            raise ValueError(
                f"samples={samples} but the dataset has {self.samples}; ask for at most {self.samples}, or leave it out"
            )
        return np.sort(_law_seed(seed).choice(self.samples, samples, replace=False))


def check_inputs(x):
    """Return ``x`` if it is an input object, or raise a TypeError that names the remedy."""
    if isinstance(x, GaussianInputs | Blobs | Dataset):
        return x
    raise TypeError(
        f"inputs must be GaussianInputs, Blobs or Dataset, got {type(x).__name__}; "
        "wrap an array as Dataset(X, standardize='feature')"
    )


def load_digits(standardize="feature", *, offset=0.0):
    """The 1797 handwritten digits of scikit-learn (8 x 8 pixels, 10 classes), a :class:`Dataset` with labels.

    Parameters
    ----------
    standardize, offset
        As in :class:`Dataset`. Three pixels never vary and stay 0 under "feature".

    Raises
    ------
    ImportError
        Without scikit-learn (extra "report").

    References
    ----------
    UCI Machine Learning Repository, Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998).
    """
    X, y = _check.extra("sklearn.datasets", "report").load_digits(return_X_y=True)
    return Dataset(X, y, standardize=standardize, offset=offset)


def load_file(path, standardize="feature", *, offset=0.0):
    """A :class:`Dataset` from a file.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with a member X and, optionally, y; or ``.csv`` of comma-separated numbers with an optional
        header, whose last column, if named "y" or "label", is y.
    standardize, offset
        As in :class:`Dataset`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For another suffix, a member that is missing or pickled (nothing of it is executed), non-numeric data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    readers = {".npz": _files.read_npz, ".csv": _files.read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(f"cannot read {path.name}: the suffix must be .npz or .csv, got {path.suffix!r}")
    X, y = readers[path.suffix.lower()](path)
    return Dataset(X, y, standardize=standardize, offset=offset)
