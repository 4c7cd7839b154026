"""Theory of concrete samples: from the Gram matrix, by drawn neurons, and at finite width."""

import numpy as np
import pytest
from reference import kernels

import ibtheory as ib
from ibtheory import fractions


def clusters(count=60, features=40, seed=0):
    """Two clusters of unequal size and samples of unequal norms: everything that one group cannot show."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, features)) * np.exp(0.3 * rng.standard_normal((count, 1)))
    X[: count // 4] += 1.5 * rng.standard_normal(features)
    return ib.Dataset(X)


def exact_relu(X, depth):
    """Kernel of the logits of a bias-free ReLU network with He weights."""
    K = 2 * X @ X.T / X.shape[1]
    for _ in range(depth):
        K = 2 * kernels.arc_cosine(K)
    return K


def summary(K, classes):
    """gamma, gamma_effective and Var f_k of a kernel, in plain NumPy for two classes."""
    count = len(K)
    off = ~np.eye(count, dtype=bool)
    r, q = K[off].mean(), np.diagonal(K).mean()
    root = np.sqrt(np.diagonal(K))
    angles = np.arcsin(np.clip(K / np.outer(root, root), -1, 1))
    np.fill_diagonal(angles, np.pi / 2)
    c = np.sin(angles[off].mean())
    return r / (q - r), c / (1 - c), angles.mean() / (2 * np.pi)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_dataset_from_its_gram_matrix(depth):
    data = clusters()
    p = ib.predict(ib.mlp(50, depth, 2), data)
    gamma, effective, variance = summary(exact_relu(data.X, depth), 2)
    assert p.gamma == pytest.approx(gamma, rel=1e-10)
    assert p.gamma_effective == pytest.approx(effective, rel=1e-9)
    assert p.class_fraction_variance == pytest.approx(variance, rel=1e-10)
    assert p.error == {}


def test_many_classes_obey_the_mean_agreement():
    data = clusters()
    p = ib.predict(ib.mlp(50, 2, 5), data)
    K = exact_relu(data.X, 2)
    root = np.sqrt(np.diagonal(K))
    agreement = fractions.agreement(np.clip(K / np.outer(root, root), -1, 1), 5)
    np.fill_diagonal(agreement, 1.0)
    assert p.class_fraction_variance == pytest.approx(agreement.mean() / 5 - 1 / 25, rel=1e-9)


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("place", ["before", "after", "both"])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_one_group_agrees_with_concrete_samples_of_the_same_moments(norm, place, name):
    c, count = 0.3, 7
    K = c + (1 - c) * np.eye(count)
    X = np.linalg.cholesky(K) * np.sqrt(count)
    # shared rows: a dataset whose Gram matrix is the group's
    data = ib.Dataset(np.concatenate([X, -X], axis=1) / np.sqrt(2) * np.sqrt(2))
    net = ib.mlp(50, 3, norm=norm, placement=place, activation=name)
    law = ib.predict(net, ib.GaussianInputs(100, correlation=c))
    concrete = ib.predict(net, data)
    assert concrete.gamma == pytest.approx(law.gamma, rel=1e-9)
    assert concrete.gamma_effective == pytest.approx(law.gamma_effective, rel=1e-7)


def test_drawn_neurons_agree_with_the_relu_integral():
    data = clusters(count=120, features=30)
    K = 2 * data.X @ data.X.T / 30
    net = ib.mlp(50, 4, 2, norm="batch", placement="before")
    p = ib.predict(net, data)
    for _ in range(4):
        K = 2 * kernels.batch_norm_relu(K)
    gamma, effective, variance = summary(K, 2)
    assert abs(p.gamma - gamma) < 5 * p.error["gamma"]  # t of 3 degrees of freedom: p = 0.015
    assert abs(p.gamma / gamma - 1) < 3e-3
    assert abs(p.gamma_effective / effective - 1) < 3e-3
    assert abs(p.class_fraction_variance / variance - 1) < 3e-3


def test_the_relu_integral_has_the_exchangeable_limit():
    # iid samples: the arc-cosine kernel at -1/(B - 1)
    G = kernels.batch_norm_relu(np.eye(16))
    assert abs(G[0, 1] - 0.14284208524) < 1e-9


def test_batch_norm_after_has_nothing_left_on_its_own_batch():
    p = ib.predict(ib.mlp(50, 2, 2, norm="batch", placement="after"), clusters())
    assert p.gamma == pytest.approx(-1 / 60, rel=1e-9)


def test_permuting_samples_changes_nothing():
    data = clusters()
    order = np.random.default_rng(1).permutation(60)
    net = ib.mlp(50, 3, 4, norm="layer", placement="after", activation="erf")
    a, b = ib.predict(net, data), ib.predict(net, ib.Dataset(data.X[order]))
    assert a.gamma == pytest.approx(b.gamma, rel=1e-10)
    assert a.class_fraction_variance == pytest.approx(b.class_fraction_variance, rel=1e-10)


def test_the_same_seed_gives_the_same_bits():
    net = ib.mlp(50, 2, 2, norm="batch", placement="before")
    first, again, other = (ib.predict(net, clusters(), seed=s).gamma for s in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("width", "moment", "effective"),
    [(64, 6.3908, 23.677), (128, 9.6757, 20.795), (256, 12.7259, 19.541), (512, 15.0136, 18.955)],
)
def test_leading_terms_without_norm(width, moment, effective):
    # ratio of means and effective gamma of ReLU, depth 20; the same digits as the kernel recursion of the literature
    p = ib.predict(ib.mlp(width, 20), ib.GaussianInputs(1000), width="leading")
    assert p.gamma == pytest.approx(moment, rel=1e-4)
    assert p.gamma_effective == pytest.approx(effective, rel=1e-4)
    assert ["range" in note for note in p.notes] == [width == 64]


def test_next_order_is_named_where_it_is_felt():
    net = ib.mlp(512, 20)
    change = (
        ib.predict(net, ib.GaussianInputs(1000)).gamma - ib.predict(net, ib.GaussianInputs(1000), width="leading").gamma
    )
    (note,) = ib.predict(net, ib.GaussianInputs(1000), width="leading").notes
    assert f"by up to about {5 * 20 / 512 * change:.2g} at depth 20 and width 512" in note
    assert ib.predict(ib.mlp(4096, 5), ib.GaussianInputs(1000), width="leading").notes == ()


def test_layer_norm_after_leaves_a_residue_of_order_one_over_width():
    # fixed point gamma* = chi_2 / ((1 - chi_0)(1 - chi_0^2) n)
    v = 0.5 - 0.5 / np.pi
    chi0, chi2 = 0.25 / v, 1 / (4 * np.pi) / v
    for width in (256, 1024):
        net = ib.mlp(width, 60, norm="layer", placement="after")
        p = ib.predict(net, ib.GaussianInputs(1000), width="leading")
        expected = chi2 / ((1 - chi0) * (1 - chi0**2) * width)
        assert p.gamma == pytest.approx(expected / (1 - expected), rel=1e-4)
    odd = ib.predict(
        ib.mlp(256, 10, norm="layer", placement="after", activation="tanh"), ib.GaussianInputs(1000), width="leading"
    )
    assert abs(odd.gamma) < 1e-12


def test_homogeneous_networks_keep_one_effective_gamma_at_finite_width():
    x = ib.GaussianInputs(300)
    cells = [("none", "after"), ("rms", "before"), ("rms", "after")]
    values = [ib.predict(ib.mlp(256, 6, norm=n, placement=p), x, width="leading").gamma_effective for n, p in cells]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_what_the_expansion_does_not_cover_is_said():
    net = ib.mlp(64, 2, norm="group", placement="before")
    p = ib.predict(net, ib.GaussianInputs(100), width="leading")
    assert any("infinite width" in note for note in p.notes)
    assert p.gamma == ib.predict(net, ib.GaussianInputs(100)).gamma


def test_depth_limits():
    cases = [
        (ib.mlp(100, 3), np.inf, "power law"),
        (ib.mlp(100, 3, norm="batch", placement="before"), 1 / (np.pi - 1), "constant"),
        (ib.mlp(100, 3, norm="layer", placement="after"), 0.0, "constant"),
        (ib.mlp(100, 3, weight_variance=1.5, bias_variance=0.1), np.inf, "exponential"),
    ]
    for net, limit, law in cases:
        found = ib.predict(net, ib.GaussianInputs(100)).depth_limit
        assert found.law == law
        assert found.gamma == pytest.approx(limit, rel=1e-9)
    start = ib.GaussianInputs(100, correlation=0.9)
    assert ib.predict(ib.mlp(100, 3, norm="layer", placement="after"), start).depth_limit.law == "exponential"
    # biases bring prejudice back behind LayerNorm: c* = .574936 at sigma_b^2 / sigma_w^2 = .2
    net = ib.mlp(100, 3, norm="layer", placement="after", weight_variance=2.0, bias_variance=0.4)
    fixed = ib.predict(net, start).depth_limit.gamma
    hidden = 0.574936 / (1 - 0.574936)
    assert fixed == pytest.approx(hidden + 0.2 * (1 + hidden), rel=1e-4)


def test_the_table_for_many_pairs_agrees_with_quadrature_pair_by_pair():
    from ibtheory import activations, gaussian
    from ibtheory.theory import tabulated
    from ibtheory.theory.state import correlation

    data = clusters(count=70)
    moments = data.moments()
    same, c, om = moments.same, *correlation(moments.same, moments.cross, moments.gap)
    for phi in (activations.tanh, activations.from_sympy("x/(1 + exp(-x))")):
        cov, gap = tabulated.moments(phi, same, c, om)
        i, j = np.random.default_rng(1).integers(70, size=(2, 200))
        exact = gaussian.gap(phi, same[i], same[j], one_minus_c=om[i, j])
        np.testing.assert_allclose(gap[i, j], exact, rtol=1e-8, atol=1e-15)
        exact = gaussian.centred(phi, same[i], same[j], c=c[i, j])
        scale = np.sqrt(gaussian.second(phi, same[i]) * gaussian.second(phi, same[j]))
        np.testing.assert_allclose(cov[i, j] / scale, exact / scale, atol=1e-9)


def test_where_a_table_is_not_right_it_is_not_used():
    from ibtheory import activations
    from ibtheory.theory import tabulated

    shifted = activations.from_function(
        lambda x: np.maximum(x - 1, 0), lambda x: np.where(x > 1, 1.0, 0.0), kinks=(1,), name="shifted"
    )
    assert tabulated.moments(shifted, np.ones(3), np.eye(3), 1 - np.eye(3)) is None


@pytest.mark.parametrize(("norm", "batch_norm"), [("layer", False), ("batch", True)])
def test_remainder_is_a_share_of_the_terms_of_order_one_over_width(norm, batch_norm):
    """Of each quantity: 5 depth/width of the change by these terms, or half of it with BatchNorm on a dataset."""
    x = ib.Dataset(np.random.default_rng(3).standard_normal((40, 20)) + 0.5, y=np.arange(40) % 2)
    net = ib.mlp(200, 2, norm=norm, placement="before")
    limit, p = (ib.predict(net, x, width=width) for width in ("infinite", "leading"))
    assert limit.remainder == {}
    share = 0.5 if batch_norm else 5 * 2 / 200
    for name in ("gamma", "gamma_effective", "class_fraction_variance"):
        change = abs(getattr(p, name) - getattr(limit, name))
        assert change > 0
        assert p.remainder[name] == pytest.approx(share * change, rel=1e-9)
    layers = share * np.abs(p.layers["gamma"] - limit.layers["gamma"])
    assert p.remainder["layers"] == pytest.approx(layers, rel=1e-9)
    covariance = share * np.abs(p.groups.covariance - limit.groups.covariance)
    assert np.array(p.remainder["group_covariance"]) == pytest.approx(covariance, rel=1e-9)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_moments_behind_a_norm_add_up_on_samples_of_unequal_size(norm):
    """The mean over neurons of ReLU grows with the sample: same = 1 = cross + gap of every pair, whatever its means."""
    rng = np.random.default_rng(5)
    x = ib.Dataset(rng.standard_normal((30, 12)) * np.geomspace(0.3, 3.0, 30)[:, None])
    layers = ib.predict(ib.mlp(64, 2, norm=norm, placement="after"), x).layers
    behind = np.char.startswith(layers["name"].astype(str), norm)
    assert behind.sum() == 2
    np.testing.assert_allclose(layers["same"][behind], 1.0, rtol=1e-12)
    np.testing.assert_allclose((layers["cross"] + layers["gap"])[behind], 1.0, rtol=1e-12)
