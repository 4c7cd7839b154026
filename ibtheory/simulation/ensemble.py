"""simulate: an ensemble of random networks on concrete inputs."""

import os
import secrets
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from ibtheory import _blas, _check
from ibtheory.inputs import Dataset, check_inputs
from ibtheory.layers import Activation, Dense, Network, flatten
from ibtheory.results import Ensemble, ensemble_table
from ibtheory.simulation import statistics
from ibtheory.simulation.blocks import Task, run_block
from ibtheory.simulation.parameters import flatten_parameters
from ibtheory.simulation.program import compile_network

_MOMENTS = ("same", "cross", "gap", "mean")
_MOST_READOUTS = 64
_READOUT_SHARE = 0.25  # of the time of the hidden layers
_BLOCK_SECONDS = 0.02


def simulate(
    net,
    x,
    *,
    networks=1000,
    samples=None,
    readouts="auto",
    batch="all",
    seed=0,
    dtype="float32",
    parameters=None,
    keep="all",
    executor=None,
    workers=None,
    progress=False,
):
    r"""Run an ensemble of random networks on the same inputs and measure what they predict.

    Per layer, over neurons and samples: :math:`same = \overline{h^2}`, the unbiased average over pairs of distinct
    samples :math:`cross = (|\sum_x h_x|^2 - \sum_x |h_x|^2) / (n N (N - 1))`, :math:`gap = same - cross` (computed
    from differences), and :math:`\gamma` = mean cross / mean gap over networks.

    Parameters
    ----------
    net : Network
    x : GaussianInputs, Blobs or Dataset
        One draw, by ``seed``, serves all networks.
    networks : int
        At least 1; standard errors need 2.
    samples : int, optional
        Number of samples; needed for a law, at most the rows of a Dataset. At least 2.
    readouts : int or "auto"
        Independent readouts on the hidden layers of each network. They share its hidden layers, so the network
        remains the unit of all errors. "auto": up to 64, as many as take a quarter of the time of the hidden layers.
    batch : int or "all"
        Consecutive samples per BatchNorm statistic, at least 2; divides the number of samples.
    seed : int
        0 to 2**64 - 1. The weights of a network follow from the seed, its index and the sizes of its layers; norms
        draw nothing, so networks that differ in norms only have the same weights. The first k networks of a longer
        run are those of a run of k.
    dtype : {"float32", "float64"}
        Both draw the same networks.
    parameters : sequence, optional
        Explicit weights instead of random ones: per network a list of (W, b) per dense layer, W (fan_in, units), b
        (units,) or None; or one (W, b) per dense layer with the networks as leading axis. Then ``networks`` may be
        left out, ``readouts`` is 1, and "float64" is recommended.
    keep : {"all", "summary"}
        "summary" keeps running sums only: the memory does not grow with ``networks``; ``class_fractions``,
        ``readout_fractions``, ``per_layer``, ``dead`` and ``agreement`` are then None.
    executor : concurrent.futures.Executor, optional
        Where blocks of networks run: threads, processes, dask or MPI. Default: threads.
    workers : int, optional
        Number of threads without an executor; default: the processors this process may use. Neither changes a bit.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError, TypeError
        For an argument out of range; if values overflow or vanish in ``dtype``; if a user's activation fails.

    Notes
    -----
    When a first Dense layer with Gaussian weights receives more features than samples, the inputs are replaced by
    the triangle R^T of their QR decomposition X^T = Q R: Q^T W has the law of W, so the ensemble has the same law
    with fewer weights.

    Examples
    --------
    >>> import ibtheory as ib
    >>> e = simulate(ib.mlp(50, 3), ib.GaussianInputs(20), networks=10, samples=30)
    >>> e.class_fractions.shape, e.layers["name"][-1].item()
    ((10, 2), 'logits')
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}; build one with ibtheory.mlp(...)")
    seed, dtype, networks, workers = _check_numbers(seed, dtype, networks, workers, executor)
    keep = _check.choice("keep", keep, ("all", "summary"))
    data = _draw(check_inputs(x), samples, seed)
    size = _batch(batch, data.samples)
    with _blas.one_thread():
        task, given = _prepare(net, data, size, readouts, seed, dtype, parameters)
        networks = _count(networks, given)
        ranges = _ranges(networks, _block(task))
        collected = _Collected(task, _input_moments(data.X), keep)
        with _pool(executor, workers) as pool, _bar(progress, networks) as advance:
            for outcome in _in_order(pool, task, ranges, given):
                collected.add(outcome)
                advance(len(outcome.stop))
    return collected.ensemble(net, data, networks, batch, seed, dtype)


def _check_numbers(seed, dtype, networks, workers, executor):
    seed = _check.integer("seed", seed, 0)
    if seed >= 2**64:
        raise ValueError(f"seed must be below 2**64, got {seed}")
    dtype = _check.choice("dtype", dtype, ("float32", "float64"))
    networks = _check.integer("networks", networks, 1)
    if workers is not None and executor is not None:
        raise ValueError("give workers or an executor, not both; an executor has its own workers")
    workers = _processors() if workers is None else _check.integer("workers", workers, 1)
    return seed, dtype, networks, workers


def _processors():
    """Processors this process may use (Linux can restrict them)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _draw(x, samples, seed):
    """The literal inputs of the run, as a Dataset."""
    if isinstance(x, Dataset) and samples is None:
        return x
    return Dataset(*x.draw(samples, seed))


def _batch(batch, samples):
    if isinstance(batch, str):
        _check.choice("batch", batch, ("all",), hint="Or an integer.")
        return samples
    batch = _check.integer("batch", batch, 2, hint="BatchNorm needs two samples per statistic.")
    if samples % batch:
        raise ValueError(f"batch={batch} does not divide the {samples} samples; choose a divisor, or samples to fit")
    return batch


def _prepare(net, data, batch, readouts, seed, dtype, parameters):
    """The task, and explicit parameters flattened (or None)."""
    X, given, triangular = data.X, None, False
    if parameters is not None:
        if readouts not in ("auto", 1):
            raise ValueError(f"explicit parameters hold one readout per network; leave out readouts={readouts}")
        readouts = 1
        shapes = compile_network(net, data.features, data.samples, batch=batch, readouts=1).shapes
        given = flatten_parameters(parameters, shapes, dtype)
    elif data.features > data.samples and _rotatable(net.steps(data.features)[0].layer):
        X, triangular = np.linalg.qr(X.T, mode="r").T, True
    X = np.ascontiguousarray(X, dtype)
    task = Task(net, X, data.features, batch, 1, seed, secrets.token_hex(8), triangular, given is not None)
    if readouts == "auto":
        readouts = _auto_readouts(task)
    readouts = _check.integer("readouts", readouts, 1, hint='Or "auto".')
    return replace(task, readouts=readouts), given


def _rotatable(layer):
    return isinstance(layer, Dense) and layer.distribution == "normal"


def _hidden_seconds(task, program):
    samples, passes = len(task.inputs), len(program.names)
    width = np.mean([units for _, units in program.shapes[:-1]] or [0])
    return program.flops / 8e10 + 3e-10 * samples * width * passes


def _readout_seconds(task, program):
    fan_in, units = program.shapes[-1]
    return len(task.inputs) * units * (2 * fan_in / 8e10 + 4e-9)


def _auto_readouts(task):
    program = task.program()
    number = _READOUT_SHARE * _hidden_seconds(task, program) / _readout_seconds(task, program)
    return int(min(max(number, 1), _MOST_READOUTS))


def _block(task):
    """Networks per block: a function of the task alone."""
    program = task.program()
    seconds = _hidden_seconds(task, program) + task.readouts * _readout_seconds(task, program)
    return int(min(max(_BLOCK_SECONDS / seconds, 1), statistics.CHUNK))


def _count(networks, given):
    if given is None:
        return networks
    if networks not in (1000, len(given)):
        raise ValueError(f"networks={networks} but parameters hold {len(given)} networks; leave networks out")
    return len(given)


def _ranges(networks, block):
    return [(first, min(first + block, networks)) for first in range(0, networks, block)]


@contextmanager
def _pool(executor, workers):
    """(executor, number of blocks in flight)."""
    if executor is not None:
        yield executor, 64
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ibtheory") as pool:
        yield pool, 2 * workers


@contextmanager
def _bar(progress, networks):
    if not progress:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=networks, unit=" networks") as bar:
        yield bar.update


def _in_order(pool, task, ranges, given):
    """Outcomes of all blocks in the order of the networks, with few blocks waiting."""
    executor, window = pool
    waiting = deque()
    try:
        for first, stop in ranges:
            if len(waiting) == window:
                yield waiting.popleft().result()
            part = None if given is None else given[first:stop]
            waiting.append(executor.submit(run_block, task, first, stop, part))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _input_moments(X):
    """same, cross, gap, mean of the inputs themselves, which all networks share."""
    samples, features = X.shape
    center = X.mean(axis=0)
    gap = np.sum((X - center) ** 2) / (features * (samples - 1))
    cross = np.mean(center**2) - gap / samples
    return np.array([cross + gap, cross, gap, center.mean()])


class _Collected:
    """Outcomes put together in the order of the networks."""

    def __init__(self, task, inputs, keep):
        self.task, self.inputs, self.keep = task, inputs, keep
        self.names = task.program().names
        hidden = flatten(task.network.steps(task.features)[:-1])
        activations = [step for step in hidden if isinstance(step.layer, Activation)]
        self.width = (activations or hidden or task.network.steps(task.features))[-1].units
        self.moments = statistics.Moments(len(self.names))
        self.blocks = []

    def add(self, outcome):
        outcome.layers[:, 0] = self.inputs
        self.moments.add(statistics.network_values(outcome, self.width))
        if self.keep == "all":
            self.blocks.append(outcome)

    def ensemble(self, net, data, networks, batch, seed, dtype):
        means, errors = self.moments.close().estimates()
        layers = self._layers(means, errors)
        count = len(statistics.QUANTITIES)
        named = {
            name: (float(mean), float(error))
            for name, mean, error in zip(statistics.QUANTITIES, means[-count:], errors[-count:], strict=True)
        }
        effective, effective_error = statistics.effective(*named["agreement"], net.classes)
        scalars = {}
        for name in ("max_fraction", "class_fraction_variance", "skewness", "kurtosis"):
            scalars[name], scalars[f"{name}_error"] = named[name]
        return Ensemble(
            network=net,
            inputs=data,
            classes=net.classes,
            networks=networks,
            samples=data.samples,
            readouts=self.task.readouts,
            batch=batch,
            seed=seed,
            dtype=dtype,
            layers=layers,
            gamma=float(layers["gamma"][-1]),
            gamma_error=float(layers["gamma_error"][-1]),
            gamma_effective=effective,
            gamma_effective_error=effective_error,
            **scalars,
            **self._arrays(),
        )

    def _layers(self, means, errors):
        table = ensemble_table(self.names)
        size = 4 * len(self.names)
        for index, name in enumerate(_MOMENTS):
            table[name] = means[index:size:4]
            table[f"{name}_error"] = errors[index:size:4]
        table["gamma"], table["gamma_error"] = self.moments.gamma()
        return table

    def _arrays(self):
        if self.keep == "summary":
            return dict.fromkeys(("class_fractions", "readout_fractions", "dead", "per_layer", "agreement"))
        counts = np.concatenate([block.counts for block in self.blocks])
        shares = statistics.fractions_of(counts)
        return {
            "class_fractions": shares[:, 0].copy(),
            "readout_fractions": shares,
            "dead": np.concatenate([block.dead for block in self.blocks]) / self.width,
            "per_layer": np.concatenate([block.layers for block in self.blocks]),
            "agreement": statistics.agreement_of(counts),
        }
