"""Labelled data: fractions within groups, directions of the logits, norms that vary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import kernels
from reference.kernels import correlations

import ibtheory as ib

CELLS = [("none", "after"), ("layer", "before"), ("layer", "after"), ("rms", "after")]


def labelled(count=45, features=30, seed=0):
    """Three labels of unequal size, apart and of unequal norms."""
    rng = np.random.default_rng(seed)
    y = rng.choice(["a", "b", "c"], size=count, p=[0.5, 0.3, 0.2])
    centers = dict(zip("abc", rng.standard_normal((3, features)), strict=True))
    X = np.array([centers[label] for label in y]) + rng.standard_normal((count, features))
    return ib.Dataset(X * np.exp(0.3 * rng.standard_normal((count, 1))), y)


def relu_kernel(X, depth):
    K = 2 * X @ X.T / X.shape[1]
    for _ in range(depth):
        K = 2 * kernels.arc_cosine(K)
    return K


def test_covariances_are_averages_over_pairs_each_sample_with_itself_included():
    data = labelled()
    groups = ib.predict(ib.mlp(50, 3, 2), data).groups
    angles = np.arcsin(correlations(relu_kernel(data.X, 3))) / (2 * np.pi)
    assert groups.labels.tolist() == ["a", "b", "c"]
    for g, first in enumerate(groups.labels):
        assert groups.samples[g] == np.sum(data.y == first)
        for h, second in enumerate(groups.labels):
            block = angles[data.y == first][:, data.y == second]
            assert groups.covariance[g, h] == pytest.approx(block.mean(), abs=1e-13)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("norm", "placement"), CELLS)
def test_groups_add_up_to_the_total(norm, placement, classes):
    net = ib.mlp(50, 2, classes, norm=norm, placement=placement, activation="gelu")
    for x, samples in ((labelled(), None), (ib.Blobs(separation=9.0, classes=3, features=50), None)):
        p = ib.predict(net, x, samples=samples)
        assert p.groups.total_variance == pytest.approx(p.class_fraction_variance, abs=1e-13)
        joint = np.kron(p.groups.covariance, np.eye(classes)) + np.kron(
            p.groups.across_classes, 1 - np.eye(classes)
        )  # classes within a group add up to 1
        np.testing.assert_allclose(joint.reshape(3, classes, 3, classes).sum(axis=3), 0, atol=1e-14)


@settings(max_examples=12)
@given(st.integers(2, 40), st.floats(0.1, 0.9), st.sampled_from([2, 5]))
def test_a_law_of_blobs_and_its_draws_add_up(samples, share, classes):
    x = ib.Blobs(separation=5.0, features=60, weights=[share, 1 - share])
    p = ib.predict(ib.mlp(30, 1, classes), x, samples=2 * samples)
    assert p.groups.total_variance == pytest.approx(p.class_fraction_variance, rel=1e-10)


def test_homogeneous_groups_have_the_arcsine_of_their_correlation():
    x = ib.Blobs(separation=20.0, features=100, weights=[0.7, 0.3], variance=2.0)
    moments = x.moments()
    same = 2 * moments.same
    q, r = 2 * same / 2, 2 * moments.cross
    K = np.array([[q[0], 0, 0, 0], [0, q[0], 0, 0], [0, 0, q[1], 0], [0, 0, 0, q[1]]])
    index = [0, 0, 1, 1]
    for i in range(4):
        for j in range(4):
            if i != j:
                K[i, j] = r[index[i], index[j]]
    for _ in range(2):
        K = 2 * kernels.arc_cosine(K)
    c = correlations(K)
    expected = np.arcsin([[c[0, 1], c[0, 2]], [c[0, 2], c[2, 3]]]) / (2 * np.pi)
    np.testing.assert_allclose(ib.predict(ib.mlp(50, 2), x).groups.covariance, expected, atol=1e-13)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_draws_of_the_joint_law_have_its_covariances(classes):
    groups = ib.predict(ib.mlp(50, 2, classes), ib.Blobs(separation=25.0, classes=3, features=100)).groups
    size = 8000
    f = groups.joint_rvs(size, seed=classes)
    np.testing.assert_allclose(f.sum(axis=2), 1, atol=1e-12)
    around = f - 1 / classes
    for g in range(3):
        for h in range(3):
            for k, expected in ((0, groups.covariance[g, h]), (1, groups.across_classes[g, h])):
                products = around[:, g, 0] * around[:, h, k]
                assert abs(products.mean() - expected) < 4.5 * products.std() / np.sqrt(size)
    if classes == 3:
        accuracy = np.einsum("ngg,g->n", f, groups.weights)
        assert np.var(accuracy) == pytest.approx(groups.accuracy_variance, rel=5 * np.sqrt(2 / size))


def test_tight_groups_fall_to_one_class():
    groups = ib.predict(ib.mlp(50, 0, 2), ib.Blobs(separation=60.0, features=50, variance=1e-6)).groups
    assert groups.covariance == pytest.approx(0.25 * np.array([[1, -1], [-1, 1]]), abs=1e-3)
    f = groups.joint_rvs(200, seed=1)
    assert np.mean((f < 1e-3) | (f > 1 - 1e-3)) > 0.98


def test_accuracy_needs_a_class_per_label():
    with pytest.raises(ValueError, match="classes=3"):
        ib.predict(ib.mlp(50, 1, 2), labelled()).groups.accuracy_variance  # noqa: B018


def test_without_labels_there_are_no_groups():
    assert ib.predict(ib.mlp(50, 1), ib.GaussianInputs(50)).groups is None
    assert ib.predict(ib.mlp(50, 1), ib.Dataset(labelled().X)).groups is None
    many = ib.Dataset(np.random.default_rng(0).standard_normal((80, 5)), np.arange(80))
    assert ib.predict(ib.mlp(50, 1), many).groups is None


def test_groups_are_saved_with_a_prediction(tmp_path):
    p = ib.predict(ib.mlp(50, 1, 3), labelled())
    p.save(tmp_path / "p.npz")
    groups = ib.load(tmp_path / "p.npz").groups
    for name in ("labels", "weights", "samples", "covariance", "correlation"):
        np.testing.assert_array_equal(getattr(groups, name), getattr(p.groups, name))
    assert groups.classes == 3


def test_participation_ratio():
    data = labelled()
    c = correlations(relu_kernel(data.X, 2))
    centring = np.eye(len(c)) - 1 / len(c)
    value = np.linalg.eigvalsh(centring @ c @ centring)
    p = ib.predict(ib.mlp(50, 2), data)
    assert p.participation_ratio == pytest.approx(value.sum() ** 2 / (value**2).sum(), rel=1e-10)
    # N exchangeable samples have N - 1 equal directions, also in batches
    for options in ({}, {"norm": "batch", "placement": "before"}):
        p = ib.predict(ib.mlp(50, 2, **options), ib.GaussianInputs(100, correlation=0.3), samples=40)
        assert p.participation_ratio == pytest.approx(39, rel=1e-9)
    assert ib.predict(ib.mlp(50, 2), ib.GaussianInputs(100)).participation_ratio == np.inf


def test_participation_ratio_of_blobs_is_the_limit_of_many_samples():
    x, net = ib.Blobs(separation=20.0, classes=3, features=100, weights=[0.5, 0.3, 0.2]), ib.mlp(50, 1)
    group = np.repeat([0, 1, 2], [500, 300, 200])
    moments = x.moments()
    K = moments.cross[np.ix_(group, group)] + np.diag(np.diagonal(moments.gap)[group])
    c = correlations(2 * kernels.arc_cosine(2 * K))
    centring = np.eye(1000) - 1 / 1000
    centred = centring @ c @ centring
    expected = np.trace(centred) ** 2 / np.sum(centred**2)
    assert ib.predict(net, x, samples=1000).participation_ratio == pytest.approx(expected, rel=1e-9)
    population = ib.predict(net, x).participation_ratio
    assert abs(population / expected - 1) < 0.2
    assert ib.predict(net, x, samples=10**7).participation_ratio == pytest.approx(population, rel=1e-3)


def test_few_directions_are_said():
    rng = np.random.default_rng(0)
    flat = ib.Dataset(rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40)) + 0.5)
    p = ib.predict(ib.mlp(50, 1), flat)
    assert p.participation_ratio < 15
    assert any("participation ratio" in note for note in p.notes)
    assert not ib.predict(ib.mlp(50, 1), ib.load_digits(), samples=100).notes


@pytest.mark.parametrize(("norm", "depth"), [("none", 0), ("none", 3)])
def test_norms_that_vary_hide_correlation_from_the_moment_gamma(norm, depth):
    rng = np.random.default_rng(3)
    directions, _ = ib.GaussianInputs(2000, correlation=0.4).draw(300, seed=1)
    scale = np.exp(0.6 * rng.standard_normal((300, 1)))
    net = ib.mlp(50, depth, norm=norm)
    p, level = ib.predict(net, ib.Dataset(directions * scale)), ib.predict(net, ib.Dataset(directions))
    v = p.norm_heterogeneity
    assert v == pytest.approx(np.var(scale) / np.mean(scale) ** 2, rel=0.02)
    assert p.gamma < 0.75 * p.gamma_effective
    c = p.gamma * (1 + v) / (1 + p.gamma)
    assert c / (1 - c) == pytest.approx(p.gamma_effective, rel=0.01)
    # fractions see directions only
    assert p.class_fraction_variance == pytest.approx(level.class_fraction_variance, rel=1e-9)
    assert level.norm_heterogeneity < 1e-3
