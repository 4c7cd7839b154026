"""Inputs: what is drawn has the moments that theory is told; bad data is refused with a remedy."""

import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ibtheory import inputs
from ibtheory.inputs import Blobs, Dataset, GaussianInputs

LAWS = {
    "gaussian": GaussianInputs(400),
    "scaled": GaussianInputs(400, variance=3.0),
    "correlated": GaussianInputs(400, variance=2.0, correlation=0.6),
    "two blobs": Blobs(separation=15.0, features=400),
    "offset": Blobs(separation=10.0, features=400, offset=0.5),
    "four blobs": Blobs(separation=20.0, classes=4, features=400, variance=0.5, weights=[1, 2, 3, 4]),
    "centers": Blobs(centers=np.linspace(-1, 1, 3 * 400).reshape(3, 400) ** 3, offset=-0.2),
}


def groups(law, y, samples):
    """Rows of each group, in plain words: the blob, or everything."""
    labels = np.zeros(samples, int) if y is None else y
    return [np.flatnonzero(labels == g) for g in range(len(law.moments().weights))]


@pytest.mark.parametrize("name", LAWS)
def test_draws_have_the_moments(name):
    law, samples, draws = LAWS[name], 24, 200
    moments = law.moments()
    sums = []
    for seed in range(draws):
        X, y = law.draw(samples, seed)
        rows = groups(law, y, samples)
        values = []
        for g, of_g in enumerate(rows):
            values += [X[of_g].mean(), (X[of_g] ** 2).mean()]
            for h in range(g + 1):
                a, b = (of_g[:1], of_g[1:]) if g == h else (of_g, rows[h])
                if len(a) and len(b):
                    values += [(X[a] @ X[b].T).mean() / law.features]
                    values += [((X[a][:, None] - X[b]) ** 2).mean() / 2]
        sums.append(values)
    expected = []
    for g, of_g in enumerate(rows):
        expected += [moments.mean[g], moments.same[g]]
        for h in range(g + 1):
            if g != h or len(of_g) > 1:
                expected += [moments.cross[g, h], moments.gap[g, h]]
    sums = np.array(sums)
    error = sums.std(axis=0, ddof=1) / np.sqrt(draws)
    # A draw fixes the mean and mean square of the common part, so some moments have no spread at all.
    z = (sums.mean(axis=0) - expected) / np.maximum(error, 1e-12)
    bar = stats.norm.isf(0.001 / len(z))
    assert np.abs(z).max() < bar, f"worst |z| {np.abs(z).max():.2f} at {np.abs(z).argmax()}, bar {bar:.2f}"


@pytest.mark.parametrize("name", ["gaussian", "correlated", "two blobs", "offset"])
def test_fluctuation_is_the_variance_of_correlations(name):
    law = LAWS[name]
    moments = law.moments()
    correlation = moments.cross.diagonal() / moments.same
    spread = []
    for seed in range(100):
        X, y = law.draw(24, seed)
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
        squares = []
        for rows, c in zip(groups(law, y, 24), correlation, strict=True):
            pairs = (X[rows] @ X[rows].T)[np.triu_indices(len(rows), 1)]
            squares.append(np.mean((pairs - c) ** 2))
        spread.append(np.mean(squares))  # the blobs of this test have equal weights
    spread = np.array(spread)
    error = spread.std(ddof=1) / 10
    # The delta method leaves terms of relative order 1/features.
    assert abs(spread.mean() - moments.fluctuation) < 4 * error + 3 / law.features * moments.fluctuation


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_reproducible_and_described(name):
    law = LAWS[name]
    X, y = law.draw(10, seed=3)
    again, _ = law.draw(10, seed=3)
    other, _ = law.draw(10, seed=4)
    assert X.shape == (10, law.features)
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    assert (again == X).all()
    assert (other != X).any()
    assert y is None or len(y) == 10
    assert json.loads(json.dumps(law.describe())) == law.describe()
    assert law.samples is None
    assert law.y is None
    assert law.moments().exchangeable
    assert law.moments().weights.sum() == pytest.approx(1, abs=1e-15)


def test_the_blobs_of_the_field():
    law = Blobs(features=100)
    assert law.separation == 2
    np.testing.assert_allclose(law.centers, np.array([[-0.1], [0.1]]) * np.ones(100))
    np.testing.assert_allclose(law.moments().mean, [-0.1, 0.1])


@given(classes=st.integers(3, 8), separation=st.floats(0.1, 30))
@settings(max_examples=20, deadline=None)
def test_regular_blobs_stand_at_equal_distances(classes, separation):
    centers = Blobs(separation=separation, classes=classes, features=20).centers
    distances = np.linalg.norm(centers[:, None] - centers, axis=2)
    np.testing.assert_allclose(distances[~np.eye(classes, dtype=bool)], separation)
    np.testing.assert_allclose(centers.mean(axis=1), 0, atol=1e-13 * separation)


@given(samples=st.integers(2, 60), weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
@settings(max_examples=30, deadline=None)
def test_blobs_keep_their_shares(samples, weights):
    law = Blobs(separation=1.0, classes=len(weights), weights=weights, features=9)
    counts = np.bincount(law.draw(samples, 0)[1], minlength=len(weights))
    assert counts.sum() == samples
    assert np.abs(counts - law.weights * samples).max() < 1


def arrays(minimum=3):
    shape = st.tuples(st.integers(minimum, 12), st.integers(1, 6))
    return st.tuples(shape, st.integers(0, 1000)).map(lambda s: np.random.default_rng(s[1]).normal(size=s[0]))


@given(X=arrays(), scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100), offset=st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
def test_standardization(X, scale, shift, offset):
    for how, axis in (("feature", 0), ("global", None)):
        data = Dataset(X, standardize=how, offset=offset).X
        np.testing.assert_allclose(data.mean(axis=axis), offset, atol=1e-12)
        np.testing.assert_allclose(data.std(axis=axis), 1, rtol=1e-12)
        moved = Dataset(scale * X + shift, standardize=how, offset=offset).X
        np.testing.assert_allclose(moved, data, atol=1e-8)


def test_constant_features_stay_zero():
    # 0.1 has no exact mean: the residue of its centring must not be blown up to order 1.
    X = np.column_stack([np.full(7, 0.1), np.arange(7.0)])
    data = Dataset(X, standardize="feature", offset=0.0).X
    assert (data[:, 0] == 0).all()
    assert (Dataset(X, standardize="feature", offset=2.0).X[:, 0] == 2).all()


@given(X=arrays())
@settings(max_examples=30, deadline=None)
def test_moments_of_a_dataset_are_its_gram_matrix(X):
    data = Dataset(X)
    moments = data.moments()
    n = X.shape[1]
    np.testing.assert_allclose(moments.cross, X @ X.T / n, atol=1e-12)
    np.testing.assert_allclose(moments.same, (X**2).mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(moments.gap, ((X[:, None] - X) ** 2).mean(axis=2) / 2, atol=1e-12)
    assert (moments.gap.diagonal() == 0).all()
    assert not moments.exchangeable
    assert moments.weights.sum() == pytest.approx(1)


def test_gap_survives_a_large_offset():
    # q - r by subtraction would leave nothing of a gap of 1e-20 beside moments of 1.
    X = 1.0 + 1e-10 * np.eye(3)
    near = Dataset(X).moments().gap[0, 1]
    assert near == pytest.approx(1e-20 / 3, rel=1e-5)


def test_a_dataset_draws_its_rows():
    data = Dataset(np.arange(20.0).reshape(10, 2), np.arange(10))
    X, y = data.draw()
    assert (X == data.X).all()
    assert (y == np.arange(10)).all()
    X, y = data.draw(4, seed=1)
    assert (np.diff(y) > 0).all()
    assert (data.X[y] == X).all()
    assert (data.draw(4, seed=1)[1] == y).all()
    assert len(data.moments(4, seed=1).weights) == 4
    np.testing.assert_array_equal(data.moments(4, seed=1).gap, Dataset(X).moments().gap)
    with pytest.raises(ValueError, match="at most 10"):
        data.draw(11)


def test_images_are_flattened_and_data_is_frozen():
    images = np.random.default_rng(0).normal(size=(5, 3, 4, 2))
    given_before = images.copy()
    data = Dataset(images, [0, 1, 0, 1, 1], standardize="global")
    assert data.X.shape == (5, 24)
    assert (images == given_before).all()
    with pytest.raises(ValueError, match="read-only"):
        data.X[0] = 0
    with pytest.raises(AttributeError):
        data.X = images


def test_description_of_a_dataset():
    X = np.random.default_rng(0).normal(size=(5, 3))
    told = Dataset(X, standardize="feature", offset=1.0).describe()
    assert json.loads(json.dumps(told)) == told
    assert told["sha256"] == Dataset(X).describe()["sha256"]
    assert told["sha256"] != Dataset(X + 1).describe()["sha256"]
    assert (told["samples"], told["features"], told["standardize"]) == (5, 3, "feature")


def test_digits():
    data = inputs.load_digits()
    assert data.X.shape == (1797, 64)
    assert sorted(set(data.y.tolist())) == [*range(10)]
    constant = (data.X == 0).all(axis=0)
    assert constant.sum() == 3
    np.testing.assert_allclose(data.X[:, ~constant].std(axis=0), 1)


GOOD = np.arange(6.0).reshape(3, 2)
BAD = {
    "nan": (lambda: Dataset([[0.0, np.nan], [1, 2]]), "index \\(0, 1\\)"),
    "inf": (lambda: Dataset([[0.0, 1], [np.inf, 2]]), "NaN or infinite"),
    "words": (lambda: Dataset([["a", "b"], ["c", "d"]]), "astype"),
    "objects": (lambda: Dataset(np.array([[1, None], [2, 3]])), "real numbers"),
    "complex": (lambda: Dataset(GOOD * 1j), "real numbers"),
    "ragged": (lambda: Dataset([[1.0, 2.0], [3.0]]), "same length"),
    "vector": (lambda: Dataset(np.arange(5.0)), "reshape"),
    "cube": (lambda: Dataset(np.ones((2, 3, 4))), "reshape"),
    "empty": (lambda: Dataset(np.ones((0, 4))), "empty"),
    "no feature": (lambda: Dataset(np.ones((4, 0))), "empty"),
    "one sample": (lambda: Dataset([[1.0, 2.0]]), "at least two"),
    "constant": (lambda: Dataset(np.ones((4, 3))), "constant"),
    "equal rows": (lambda: Dataset(np.ones((4, 1)) * [1.0, 2.0], standardize="feature"), "constant"),
    "short y": (lambda: Dataset(GOOD, [0, 1]), "one label per sample"),
    "nan y": (lambda: Dataset(GOOD, [0, 1, np.nan]), "remove"),
    "object y": (lambda: Dataset(GOOD, [0, 1, None]), "numbers or strings"),
    "standardize": (lambda: Dataset(GOOD, standardize="features"), "Did you mean 'feature'"),
    "offset": (lambda: Dataset(GOOD, offset=np.inf), "finite"),
    "samples of a law": (lambda: GaussianInputs().draw(), "say how many"),
    "one of a law": (lambda: GaussianInputs().draw(1), "at least 2"),
    "features": (lambda: GaussianInputs(0), "at least 1"),
    "variance": (lambda: GaussianInputs(variance=0.0), "Without variance"),
    "negative correlation": (lambda: GaussianInputs(correlation=-0.1), "must lie in"),
    "correlation 1": (lambda: GaussianInputs(correlation=1.0), "below 1"),
    "correlated feature": (lambda: GaussianInputs(1, correlation=0.5), "at least 2 features"),
    "both": (lambda: Blobs(centers=GOOD, separation=1.0), "not both"),
    "one blob": (lambda: Blobs(classes=1), "GaussianInputs"),
    "centers": (lambda: Blobs(centers=[1.0, 2.0]), "classes, features"),
    "classes": (lambda: Blobs(centers=GOOD, classes=5), "leave classes out"),
    "many blobs": (lambda: Blobs(classes=5, features=4), "raise features"),
    "negative weight": (lambda: Blobs(weights=[1, -1]), "above 0"),
    "weights": (lambda: Blobs(weights=[1, 1, 1]), "one per blob"),
    "array": (lambda: inputs.check_inputs(GOOD), "Dataset\\(X"),
    "seed": (lambda: GaussianInputs().draw(3, seed="x"), "seed must be an integer"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_a_remedy(name):
    make, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_npz(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, X=GOOD, y=[2, 0, 1])
    data = inputs.load_file(path, standardize=None)
    assert (data.X == GOOD).all()
    assert data.y.tolist() == [2, 0, 1]
    np.savez(path, X=GOOD)
    assert inputs.load_file(str(path)).y is None


CSV = {
    "plain": ("1,2\n3,4\n", None),
    "header": ("a,b\n1,2\n3,4\n", None),
    "label": ("a,b,label\n1,2,1\n3,4,0\n", [1, 0]),
    "y and numbers for names": ("0,1,y\n1,2,7\n3,4,8\n\n", [7, 8]),
    "words as labels": ('"a","b","Y"\n1,2,"cat"\n3,4,"dog"\n', ["cat", "dog"]),
    "mark of Excel": ("\ufeffa,b\n1,2\n3,4\n", None),
}


@pytest.mark.parametrize("name", CSV)
def test_csv(tmp_path, name):
    text, labels = CSV[name]
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8")
    data = inputs.load_file(path, standardize=None)
    assert data.X.tolist() == [[1, 2], [3, 4]]
    assert (None if data.y is None else data.y.tolist()) == labels


BAD_FILES = {
    "word.csv": (b"1,2\n3,four\n", "not numeric"),
    "ragged.csv": (b"1,2\n3\n", "equally long"),
    "first.csv": (b"1,two\n3,4\n", "not numeric"),
    "only.csv": (b"a,b\n", "no samples"),
    "empty.csv": (b"", "empty"),
    "y.csv": (b"y\n1\n2\n", "only the label column"),
    "wide.csv": (b"a,y\n1,2\n3,4,5\n", "equally long"),
    "nan.csv": (b"1,nan\n3,4\n", "NaN"),
    "semicolons.csv": (b"1;2\n3;4\n", "not numeric|no samples"),
    "random.npz": (b"\x00" * 100, "not a readable"),
    "data.txt": (b"1,2\n", "suffix"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_with_a_remedy(tmp_path, name):
    content, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        inputs.load_file(path)


class Trap:
    """Its pickle makes a folder when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickles_are_refused_and_nothing_is_executed(tmp_path):
    sprung = tmp_path / "sprung"
    member = np.empty(1, dtype=object)
    member[0] = Trap(sprung)
    for name, keep in (("member.npz", {"X": member}), ("label.npz", {"X": GOOD, "y": member})):
        np.savez(tmp_path / name, **keep)
        with pytest.raises(ValueError, match="pickle"):
            inputs.load_file(tmp_path / name)
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match="pickle"):
        inputs.load_file(tmp_path / "raw.npz")
    assert not sprung.exists()


def test_npz_without_x_or_damaged(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, data=GOOD)
    with pytest.raises(ValueError, match="no member 'X'"):
        inputs.load_file(path)
    np.save(tmp_path / "array.npy", GOOD)
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(ValueError, match="single array"):
        inputs.load_file(tmp_path / "array.npz")
    np.savez_compressed(path, X=np.random.default_rng(0).normal(size=(50, 50)))
    content = bytearray(path.read_bytes())
    content[500:520] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        inputs.load_file(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        inputs.load_file(tmp_path / "absent.csv")
