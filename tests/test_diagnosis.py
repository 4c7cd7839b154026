"""Diagnosis: healthy models are accused at the stated rate, planted faults are found, bad models are refused."""

import math

import numpy as np
import pytest
from scipy import stats

from ibtheory import diagnosis
from ibtheory.diagnosis import diagnose, uniformity
from ibtheory.fractions import ClassFraction

X = np.random.default_rng(0).standard_normal((200, 30))


def healthy(classes=4, offset=0.0, bias=None):
    """A random linear network on rectified inputs: prejudiced, its favored class drawn by the seed."""

    def model(seed):
        weights = np.random.default_rng(seed).standard_normal((30, classes))
        return lambda X: (np.maximum(X, 0) + offset) @ weights + (0 if bias is None else bias)

    return model


def drawn(gamma, classes, seeds, samples, generator):
    """Class fractions of as many healthy networks, from their law."""
    return generator.multinomial(samples, ClassFraction(gamma, classes).joint_rvs(seeds, generator)) / samples


def test_a_healthy_model_is_described_and_acquitted():
    d = diagnose(healthy(), X, seeds=60)
    assert (d.seeds[:3], d.samples, d.classes) == ((0, 1, 2), 200, 4)
    assert d.class_fractions.sum(axis=1) == pytest.approx(1)
    assert (d.favored == d.class_fractions.argmax(axis=1)).all()
    assert d.max_fraction == pytest.approx(d.class_fractions.max(axis=1).mean())
    low, high = d.max_fraction_interval
    assert low < d.max_fraction < high
    assert not d.same_for_all_seeds
    assert d.tied == 0
    assert "comes from initialization" in str(d)
    assert d.labels is None


def test_gamma_effective_is_that_of_the_kernel():
    H = np.maximum(X, 0)
    H = H / np.linalg.norm(H, axis=1, keepdims=True)
    c = (H @ H.T)[np.triu_indices(len(H), 1)]
    from ibtheory.fractions import effective_gamma

    d = diagnose(healthy(), X, seeds=300)
    z = (d.gamma_effective - effective_gamma(c, 4)) / d.gamma_effective_error
    assert abs(z) < 4, f"z = {z:.2f}"
    assert d.regime == "neutral"


@pytest.mark.parametrize(("gamma", "classes"), [(0.0, 5), (0.5, 2), (3.0, 4), (50.0, 10)])
def test_healthy_models_are_accused_at_the_stated_rate(gamma, classes):
    generator, runs = np.random.default_rng(1), 800
    p = np.array([uniformity(drawn(gamma, classes, 12, 100, generator), resamples=199) for _ in range(runs)])
    for level in (0.01, 0.05, 0.2):
        bar = 4 * math.sqrt(level * (1 - level) / runs)
        assert (p <= level).mean() < level + bar, f"{(p <= level).mean():.4f} at level {level}"
    assert (p <= 0.2).mean() > 0.1  # not conservative either


def test_a_constant_bias_is_found():
    """A logit bias of one standard deviation of the drift: found by 50 seeds in at least 95 % of diagnoses."""
    found, runs = 0, 60
    drift = math.sqrt(30 / (2 * math.pi))
    for run in range(runs):
        model = healthy(bias=np.array([0, 0, drift, 0]))
        fractions = np.array([shares(model, 50 * run + seed) for seed in range(50)])
        found += uniformity(fractions, resamples=499) < diagnosis.LEVEL
    assert found / runs > 0.95 - 4 * math.sqrt(0.95 * 0.05 / runs), f"found in {found} of {runs}"


def shares(model, seed):
    return np.bincount(model(seed)(X).argmax(axis=1), minlength=4) / len(X)


def test_a_planted_bias_is_named():
    y = np.arange(200) % 4
    d = diagnose(healthy(bias=np.array([0, 0, 8.0, 0])), X, y, seeds=range(100, 130))
    assert d.seeds == tuple(range(100, 130))
    assert d.same_for_all_seeds
    assert "class 2 takes" in str(d)
    assert "Class 2 holds 0.250 of the labels" in str(d)
    assert "order of the classes" in str(d)


def test_a_single_logit():
    column = healthy(classes=1)
    flat = lambda seed: lambda X: column(seed)(X)[:, 0]  # noqa: E731
    d, other = diagnose(column, X, np.zeros(200), seeds=10), diagnose(flat, X, seeds=10)
    assert d.classes == 2
    assert (d.class_fractions == other.class_fractions).all()
    assert d.class_fractions[3, 0] == (column(3)(X) > 0).mean()


def test_one_class_for_everything():
    d = diagnose(healthy(offset=1e6), X, seeds=80)
    assert d.max_fraction == 1
    assert d.max_fraction_interval == (1, 1)
    assert d.gamma_effective == math.inf
    assert d.regime == "deeply prejudiced"
    assert d.exceeds == 1
    assert d.exceeds_interval == pytest.approx((0.025 ** (1 / 80), 1))
    assert not d.same_for_all_seeds
    assert "gamma_effective = inf: deeply" in str(d)


def test_a_model_that_ignores_its_seed():
    d = diagnose(lambda seed: healthy()(0), X, seeds=20)
    assert d.same_for_all_seeds
    assert "uses its seed" in str(d)


def test_dead_logits_are_ties():
    d = diagnose(lambda seed: lambda X: np.zeros((len(X), 3)), X, seeds=5)
    assert d.tied == 1
    assert "cannot be told from 5 seeds" in str(d)
    assert "ties of equal logits" in str(d)
    assert (d.favored == 0).all()


def test_too_few_seeds_to_tell():
    d = diagnose(healthy(classes=2, bias=np.array([50.0, 0])), X, seeds=4)
    assert "cannot be told from 4 seeds" in str(d)
    assert not d.same_for_all_seeds


def test_intervals_cover():
    """95 % intervals of the share above 0.9 (Clopper and Pearson never cover less) and of E f_max."""
    generator, runs, covered = np.random.default_rng(2), 400, np.zeros(2)
    law = ClassFraction(2.0)
    truth = law.exceeds(0.9), law.expected_max()
    for _ in range(runs):
        counts = np.rint(1e9 * law.joint_rvs(30, generator)).astype(np.int64)
        counts[:, 1] = 10**9 - counts[:, 0]
        largest = counts.max(axis=1) / 1e9
        low, high = diagnosis._clopper_pearson(int((largest > 0.9).sum()), 30)
        half = stats.t.isf(0.025, 29) * stats.sem(largest)
        covered += low <= truth[0] <= high, abs(largest.mean() - truth[1]) <= half
    bar = 4 * math.sqrt(0.95 * 0.05 / runs)
    assert (covered / runs > 0.95 - bar).all(), covered / runs


def test_tensors_with_gradients():
    class Tensor:
        def __init__(self, values):
            self.values = values

        def detach(self):
            return self

        def cpu(self):
            return self.values

    d = diagnose(lambda seed: lambda X: Tensor(healthy()(seed)(X)), X, seeds=3)
    assert d.classes == 4


def test_many_classes_take_fewer_relabellings():
    fractions = np.zeros((12, 3000))
    fractions[:, 7] = 1
    assert uniformity(fractions) == 1e-3
    with pytest.raises(ValueError, match=r"shape \(networks, classes\)"):
        uniformity([0.5, 0.5])


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("net", {}, TypeError, "model must be a callable seed -> network, got str"),
        (lambda seed: 3, {}, TypeError, r"model\(0\) must return a callable X -> logits, got int"),
        (lambda seed: lambda X: np.full((200, 3), np.nan), {}, ValueError, "seed 0 are NaN or infinite for 200 of 200"),
        (lambda seed: lambda X: np.zeros((199, 3)), {}, ValueError, r"seed 0 gives \(199, 3\)"),
        (lambda seed: lambda X: np.zeros((200, 3, 1)), {}, ValueError, r"seed 0 gives \(200, 3, 1\)"),
        (lambda seed: lambda X: np.zeros((200, 3 + seed)), {}, ValueError, "seed 1 gives 4 classes, seed 0 gave 3"),
        (healthy(), {"seeds": 1}, ValueError, "seeds must be at least 2"),
        (healthy(), {"seeds": [5]}, ValueError, "at least 2 seeds"),
        (healthy(), {"seeds": [5, 5]}, ValueError, "seeds must differ"),
        (healthy(), {"seeds": "ab"}, TypeError, "seeds must be an integer or a sequence"),
        (healthy(), {"seeds": 2.5}, TypeError, "seeds must be an integer or a sequence"),
        (healthy(), {"y": np.zeros(199, int)}, ValueError, "one label per sample"),
        (healthy(), {"y": np.full(200, 4)}, ValueError, "class indices 0 to 3"),
        (healthy(), {"X": X[:0]}, ValueError, "X must hold at least 2 samples, got 0"),
        (healthy(), {"X": 5}, TypeError, "X must be an array of samples"),
    ],
)
def test_bad_input(model, options, error, message):
    options = {"X": X, "seeds": 3} | options
    with pytest.raises(error, match=message):
        diagnose(model, options.pop("X"), **options)
