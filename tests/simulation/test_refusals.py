"""Bad input and bad numbers: each with a message that says how to mend it."""

import numpy as np
import pytest

import ibtheory as ib
from ibtheory import activations

NET = ib.mlp(6, 2, 3)
X = ib.GaussianInputs(5)
RNG = np.random.default_rng(0)
GIVEN = [(RNG.normal(size=(5, 6)), None), (RNG.normal(size=(6, 6)), None), (RNG.normal(size=(6, 3)), None)]


def run(net=NET, x=X, **options):
    return ib.simulate(net, x, **{"networks": 3, "samples": 10, **options})


REFUSED = {
    "networks 0": ({"networks": 0}, ValueError, "networks must be at least 1"),
    "networks 2.5": ({"networks": 2.5}, TypeError, "networks must be an integer"),
    "seed x": ({"seed": "x"}, TypeError, "seed must be an integer"),
    "seed -1": ({"seed": -1}, ValueError, "seed must be at least 0"),
    "seed 2**64": ({"seed": 2**64}, ValueError, "below 2\\*\\*64"),
    "dtype": ({"dtype": "float16"}, ValueError, "'float32', 'float64'"),
    "keep": ({"keep": "some"}, ValueError, "'all', 'summary'"),
    "workers 0": ({"workers": 0}, ValueError, "workers must be at least 1"),
    "batch word": ({"batch": "al"}, ValueError, "Did you mean 'all'"),
    "batch 1": ({"batch": 1}, ValueError, "two samples"),
    "batch 3 of 10": ({"batch": 3}, ValueError, "does not divide the 10 samples"),
    "readouts 0": ({"readouts": 0}, ValueError, "readouts must be at least 1"),
    "readouts word": ({"readouts": "many"}, TypeError, '"auto"'),
    "no samples": ({"samples": None}, ValueError, "how many"),
    "network": ({"net": "mlp"}, TypeError, "ibtheory.mlp"),
    "array": ({"x": np.ones((3, 2))}, TypeError, "Dataset"),
    "no parameters": ({"parameters": []}, ValueError, "empty"),
    "layers": ({"parameters": [GIVEN[:2]]}, ValueError, "2 dense layers, the network has 3"),
    "shape": ({"parameters": [[GIVEN[1], *GIVEN[1:]]]}, ValueError, r"dense layer 0: W must be \(5, 6\)"),
    "nan": ({"parameters": [[(GIVEN[0][0] * np.nan, None), *GIVEN[1:]]]}, ValueError, "NaN"),
    "count": ({"parameters": [GIVEN], "networks": 7}, ValueError, "hold 1 networks"),
    "readouts": ({"parameters": [GIVEN], "networks": 1, "readouts": 2}, ValueError, "one readout"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    options, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        run(**options)


def test_workers_and_executor_exclude_each_other():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="not both"):
        run(workers=2, executor=pool)


def test_leading_axes_of_parameters_must_agree():
    stacked = [(np.stack([W, W]), np.zeros((2, W.shape[1]))) for W, _ in GIVEN]
    assert run(parameters=stacked, networks=2).networks == 2
    stacked[0] = (stacked[0][0][:1], stacked[0][1])
    with pytest.raises(ValueError, match=r"got \[1, 2\]"):
        run(parameters=stacked, networks=2)


def test_both_forms_of_parameters_are_the_same():
    stacked = [(np.stack([W, 2 * W]), None) for W, _ in GIVEN]
    listed = [GIVEN, [(2 * W, None) for W, _ in GIVEN]]
    a, b = (ib.simulate(NET, X, samples=10, parameters=p, dtype="float64") for p in (stacked, listed))
    np.testing.assert_array_equal(a.per_layer, b.per_layer)


def test_overflow_names_the_layer_and_the_remedy():
    net = ib.mlp(10, 60, weight_variance=100.0)
    with pytest.raises(ValueError, match=r"'(dense|relu) \d+' overflow float32.*float64.*weight_variance"):
        run(net)
    assert np.isfinite(run(net, dtype="float64").gamma)


def test_underflow_names_the_layer_and_the_remedy():
    net = ib.mlp(10, 60, weight_variance=0.05)
    with pytest.raises(ValueError, match=r"'(dense|relu) \d+' are too small for float32.*float64"):
        run(net)
    assert np.isfinite(run(net, dtype="float64").gamma)


def fails(x):
    if x.size == 60:  # not in the checks of from_function
        raise RuntimeError("no such luck")
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_users_activation_that_raises(dtype):
    bad = activations.from_function(fails, np.ones_like, name="moody")
    with pytest.raises(ValueError, match=r"'moody' failed.*no such luck"):
        run(ib.mlp(6, 2, activation=bad), dtype=dtype)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: np.where(np.abs(x) < 9, x, np.nan), "NaN or infinity"),
        (lambda x: x if x.size != 60 else x[:3], "shape"),
    ],
)
def test_a_users_activation_that_returns_nonsense(function, words):
    bad = activations.from_function(function, np.ones_like, name="odd")
    with pytest.raises(ValueError, match=rf"'odd' failed.*{words}"):
        run(ib.mlp(6, 2, activation=bad, weight_variance=1e4))


def test_a_failure_does_not_outlive_its_run():
    bad = activations.from_function(fails, np.ones_like, name="moody")
    with pytest.raises(ValueError, match="moody"):
        run(ib.mlp(6, 2, activation=bad))
    assert np.isfinite(run().gamma)
