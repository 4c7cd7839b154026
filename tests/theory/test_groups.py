"""Labelled data: fractions within groups, directions of the logits, norms that vary; BatchNorm over groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import kernels
from scipy import stats

import ibtheory as ib
from ibtheory.theory.forward import forward
from ibtheory.theory.start import start

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


def correlations(K):
    root = np.sqrt(np.diagonal(K))
    c = np.clip(K / np.outer(root, root), -1, 1)
    np.fill_diagonal(c, 1.0)
    return c


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


# BatchNorm over groups: inputs of unit variance, two groups of correlation +-.2


def crossed(weights=None, cross=0.2):
    centers = np.sqrt(cross) * np.where(np.arange(200) % 2, 1.0, -1.0)
    return ib.Blobs(centers=[centers, -centers], variance=1 - cross, weights=weights)


def logits_by_group(net, x, seeds=4):
    """(mean, standard error) over populations of (same (G,), cross (G, G)) of the logits."""
    steps = net.steps(x.features)
    found = []
    for seed in range(seeds):
        state, *_ = start(x, steps, None, "all", "exact", 0, [])
        rng = np.random.default_rng(seed)
        for step in steps:
            state = forward(step.layer, state, step.fan_in, rng)
        found.append(np.concatenate([state.same, state.cross.ravel()]))
    return np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(seeds)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.8, 0.2)])
def test_batch_norm_before_over_groups_is_the_relu_integral_at_every_depth(weights):
    weights = np.array(weights)
    same, cross = np.ones(2), 0.2 * np.array([[1, -1], [-1, 1.0]])
    for depth in (1, 2, 3):
        same, cross = kernels.batch_norm_relu_groups(2 * cross, 2 * (same - np.diagonal(cross)), weights)
        if depth in (1, 3):
            found, error = logits_by_group(ib.mlp(50, depth, norm="batch", placement="before"), crossed(weights))
            expected = 2 * np.concatenate([same, cross.ravel()])
            assert np.all(abs(found - expected) < 8 * error + 1e-6)  # t of 3 degrees of freedom, 24 numbers
            assert np.all(abs(found / expected - 1) < 5e-4)


PAGE = [  # same of both groups, cross (0, 0), (0, 1), (1, 1)
    ("before", (0.5, 0.5), (1, 1, 0.340441, 0.296789, 0.340441)),
    ("before", (0.8, 0.2), (0.93070, 1.27720, 0.301533, 0.326248, 0.494310)),
    ("after", (0.5, 0.5), (2, 2, 0.065158, -0.065158, 0.065158)),
    ("after", (0.8, 0.2), (1.84558, 2.61767, 0.01592, -0.06368, 0.25473)),
]


@pytest.mark.parametrize(("placement", "weights", "expected"), PAGE)
def test_batch_norm_over_groups_against_published_numbers(placement, weights, expected):
    found, error = logits_by_group(ib.mlp(50, 4, norm="batch", placement=placement), crossed(weights))
    kept = [0, 1, 2, 3, 5]
    assert np.all(abs(found[kept] - expected) < 8 * error[kept] + 5e-5)


def test_two_tight_clusters():
    # 150 + 50 samples: Var f_0 = .06604 .05677 .05257 behind 1, 2, 5 layers; the distance of the clusters is unknown
    group = np.repeat([0.0, 1.0], [150, 50])

    def variances(ratio, depth):
        K, found = ratio * np.outer(group, group) + np.eye(200), []
        for _ in range(depth):
            K = 2 * kernels.batch_norm_relu(K, nodes=24)
            found.append(np.arcsin(correlations(K)).mean() / (2 * np.pi))
        return np.array(found)

    ratio = 34.39  # by the first of the numbers
    found = variances(ratio, 5)
    assert found[0] == pytest.approx(0.06604, abs=5e-6)
    # published for one draw of the clusters; centring of the kernel says .08213 and .06819
    np.testing.assert_allclose(found[[1, 4]], [0.05677, 0.05257], rtol=3e-3)
    x = ib.Blobs(centers=np.sqrt(ratio * 100) * np.eye(1, 100) * [[0], [1]], weights=[0.75, 0.25])
    net = ib.mlp(50, 1, norm="batch", placement="before")
    p = ib.predict(net, x, samples=200)
    assert abs(p.class_fraction_variance - found[0]) < 6 * p.error["class_fraction_variance"] + 1e-5
    assert p.class_fraction_variance == pytest.approx(found[0], rel=2e-3)
    large = ib.predict(net, x).groups
    finite = ib.groups.finite_covariance(large.covariance, 2, np.array([150, 50]))
    assert large.weights @ finite @ large.weights == pytest.approx(found[0], rel=1e-2)  # 1/200


@pytest.mark.parametrize("placement", ["before", "after", "both"])
def test_batch_norm_over_groups_against_drawn_batches(placement):
    # plain Monte Carlo of one layer: neurons by their group means, batches of many samples of each group
    x, weights = crossed((0.7, 0.3), cross=0.5), np.array([0.7, 0.3])
    rng, size, each = np.random.default_rng(5), 4000, 600
    phi = ib.activations.get("gelu").function
    shared = np.array([1, -1]) * rng.standard_normal((size, 1))
    z = shared[:, :, None] + rng.standard_normal((size, 2, each))  # weight variance 2: cross +-1, within 1

    def normalize(h):
        mean = (weights * h.mean(axis=2)).sum(axis=1)[:, None, None]
        return (h - mean) / np.sqrt((weights * ((h - mean) ** 2).mean(axis=2)).sum(axis=1))[:, None, None]

    h = phi(normalize(z) if placement in ("before", "both") else z)
    h = normalize(h) if placement in ("after", "both") else h
    centers = h.mean(axis=2)
    products = centers[:, :, None] * centers[:, None, :]
    expected, error = 2 * products.mean(axis=0), 2 * products.std(axis=0) / np.sqrt(size)
    found, _ = logits_by_group(ib.mlp(50, 1, norm="batch", placement=placement, activation="gelu"), x)
    assert np.all(abs(found[2:].reshape(2, 2) - expected) < 4.5 * error + 2 / each)


def test_one_group_and_two_equal_groups_are_the_same_population():
    for placement in ("before", "after"):
        net = ib.mlp(50, 2, norm="batch", placement=placement, activation="gelu")
        two = ib.predict(net, ib.Blobs(separation=0.0, features=100))
        one = ib.predict(net, ib.GaussianInputs(100))
        assert abs(two.gamma - one.gamma) < 8 * two.error["gamma"] + 1e-6


@pytest.mark.slow
def test_finite_batches_over_groups_are_those_of_drawn_samples():
    x = ib.Blobs(separation=12.0, features=4000, weights=[0.75, 0.25])
    net = ib.mlp(400, 1, norm="batch", placement="before")
    laws = [ib.predict(net, x, samples=48, batch=8, seed=seed).class_fraction_variance for seed in range(3)]
    # both depend on the order of the labels, that of the law a random one too
    draws = [ib.predict(net, ib.Dataset(*x.draw(48, seed)), batch=8).class_fraction_variance for seed in range(3)]
    assert stats.ttest_ind(laws, draws, equal_var=False).pvalue > 1e-3
    assert np.mean(laws) == pytest.approx(np.mean(draws), rel=0.02)
    whole = ib.predict(net, x, samples=48)
    assert whole.notes[0].startswith("neurons are drawn: 48 samples stand for the law")
    assert abs(np.mean(draws) / whole.class_fraction_variance - 1) > 0.02  # the size of the batch is felt


def test_leading_terms_do_not_cover_batch_norm_over_groups():
    p = ib.predict(ib.mlp(50, 1, norm="batch"), ib.Blobs(separation=9.0, features=50), width="leading")
    assert any("do not cover BatchNorm over groups" in note for note in p.notes)


# Running statistics


@pytest.mark.parametrize(("batches", "gamma"), [(0, 1.0004), (1, 0.8987), (5, 0.6520), (20, 0.4747), (50, 0.4670)])
def test_momentum_after_training_batches(batches, gamma):
    q, r = 2.98, 0.98
    x = ib.GaussianInputs(1000, variance=q / 2, correlation=r / q)
    net = ib.mlp(100, 1, norm=ib.BatchNorm("running", batches=batches), placement="before")
    p = ib.predict(net, x)
    v, s = q - r, 1 - 0.9**batches
    row = p.layers[2]
    assert row["same"] == pytest.approx((v + (1 - s) ** 2 * r) / (1 - s + s * v), rel=1e-12)
    assert row["cross"] == pytest.approx((1 - s) ** 2 * r / (1 - s + s * v), rel=1e-9)
    assert p.gamma == pytest.approx(gamma, abs=1e-4)
    assert p.error == {}


@pytest.mark.parametrize(
    ("batch", "batches", "gamma"), [(16, 1, 0.5344), pytest.param(16, 10, 0.4737, marks=pytest.mark.slow)]
)
def test_cumulative_statistics_of_small_batches(batch, batches, gamma):
    net = ib.mlp(100, 1, norm=ib.BatchNorm("running", momentum=None, batches=batches), placement="before")
    p = ib.predict(net, ib.GaussianInputs(1000), batch=batch)
    freedom, count = batches * (batch - 1), batches * batch
    g = freedom / (freedom - 2)
    assert p.layers[2]["same"] == pytest.approx((1 + 1 / count) * g, rel=2e-3)
    assert p.layers[2]["cross"] == pytest.approx(g / count, rel=2e-2)
    assert abs(p.gamma - gamma) < 6 * p.error["gamma"] + 5e-5  # t of 3 degrees of freedom
    assert abs(p.gamma - gamma) < 2e-3


def test_running_statistics_in_the_limits():
    x = ib.GaussianInputs(200, correlation=0.4)
    for placement in ("before", "after"):

        def gamma(norm, placement=placement):
            return ib.predict(ib.mlp(50, 2, norm=norm, placement=placement), x).gamma

        # long momentum or one batch of weight 1: the statistics of the population, as in training mode
        batch = gamma("batch")
        for norm in (ib.BatchNorm("running", momentum=1.0, batches=1), ib.BatchNorm("running", batches=400)):
            assert gamma(norm) == pytest.approx(batch, abs=1e-9)
        # momentum to 0: the identity
        assert gamma(ib.BatchNorm("running", momentum=1e-6, batches=1)) == pytest.approx(gamma("none"), rel=1e-3)


@pytest.mark.parametrize("placement", ["before", "after"])
def test_deep_running_statistics_against_their_own_samples(placement):
    # the rule for a population in large batches against drawn samples of training batches and of the data
    norm = ib.BatchNorm("running", momentum=0.4, batches=2)
    net, x = ib.mlp(50, 2, norm=norm, placement=placement), ib.GaussianInputs(200, correlation=0.4)
    p = ib.predict(net, x)
    drawn = ib.predict(net, x, samples=128, batch=64)
    assert drawn.error["gamma"] > 0
    assert drawn.gamma == pytest.approx(p.gamma, rel=0.08)  # 1/64, and the sampling error


def test_refusals_of_running_statistics():
    net = ib.mlp(50, 1, norm=ib.BatchNorm("running", batches=100))
    with pytest.raises(NotImplementedError, match='batch="all"'):
        ib.predict(net, ib.GaussianInputs(50), batch=64)
    assert ib.predict(net, ib.GaussianInputs(50)).depth_limit.law == "unknown"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"momentum": 0.0}, ValueError, "momentum"),
        ({"momentum": 1.5}, ValueError, "momentum"),
        ({"momentum": "fast"}, TypeError, "momentum must be a real number.*None"),
        ({"momentum": float("nan")}, ValueError, "finite"),
        ({"batches": -1}, ValueError, "at least 0"),
        ({"batches": 2.5}, TypeError, "integer"),
        ({"mode": "batch", "batches": 3}, ValueError, "mode='running'"),
        ({"mode": "batch", "momentum": None}, ValueError, "mode='running'"),
    ],
)
def test_bad_running_statistics(words, error, message):
    with pytest.raises(error, match=message):
        ib.BatchNorm(**({"mode": "running"} | words))


@given(st.one_of(st.none(), st.floats(0.01, 1.0)), st.integers(0, 30))
def test_weights_of_running_statistics(momentum, batches):
    norm = ib.BatchNorm("running", momentum=momentum, batches=batches)
    weights, initial = norm.running_weights()
    mean, rng = 1.0, np.random.default_rng(batches)
    observed = rng.standard_normal(batches)
    for index, value in enumerate(observed):  # as torch does, batch by batch
        share = 1 / (index + 1) if momentum is None else momentum
        mean = (1 - share) * mean + share * value
    assert weights @ observed + initial == pytest.approx(mean, abs=1e-12)
    assert weights.sum() + initial == pytest.approx(1, abs=1e-12)
    net = ib.Network((ib.Dense(4), norm, ib.Dense(2)))
    assert ib.Network.from_dict(net.to_dict()) == net
    assert eval(repr(norm), vars(ib.layers)) == norm
