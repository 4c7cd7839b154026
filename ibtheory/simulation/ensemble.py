"""simulate: an ensemble of random networks on concrete inputs."""

import hashlib
import secrets
from dataclasses import replace

import numpy as np

from ibtheory import _blas, _check
from ibtheory.groups import label_groups
from ibtheory.inputs import Dataset, check_inputs
from ibtheory.layers import Activation, BatchNorm, Dense, Network, flatten
from ibtheory.results import Ensemble, ensemble_table
from ibtheory.simulation import execution, probe, statistics
from ibtheory.simulation.blocks import KERNEL_NUMBERS, Task, run_block
from ibtheory.simulation.machine import Outcome
from ibtheory.simulation.parameters import flatten_parameters
from ibtheory.simulation.program import compile_network
from ibtheory.store import Store

_MOMENTS = ("same", "cross", "gap", "mean")
_MOST_READOUTS = 64
_READOUT_SHARE = 0.25  # of the time of the hidden layers
_BLOCK_SECONDS, _SENT_SECONDS, _STORED_SECONDS = 0.02, 0.2, 2.0


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
    gradients=None,
    tangent=None,
    store=None,
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
        ``readout_fractions``, ``dead``, ``agreement`` and all that is ``per_`` layer or network are then None.
    gradients : {"independent", "common"}, optional
        Also go back from a residual e at the logits, and fill the gradient columns of ``layers``. e(x) has C entries
        +-1/sqrt(C): "independent" draws their signs anew for every sample and network, "common" is 1/sqrt(C) for all
        samples. The two differ by orders of magnitude where gradients of samples agree. About three times the time.
    tangent : int, optional
        Also measure the tangent kernel of this logit f (of the first readout), in the standard parametrization:
        :math:`\Theta_{ab} = \sum_\theta \partial_\theta f(x_a)\, \partial_\theta f(x_b)` over all weights, and the
        biases of layers that have a ``bias_variance``; see ``Ensemble.tangent``. One way back serves all samples;
        with BatchNorm it takes one for each, and memory for the gradients of all.
    store : path, optional
        A folder in which finished networks are kept; the same call goes on there after an interruption, to the same
        bits, and more ``networks`` extend it.
    executor : concurrent.futures.Executor, optional
        Where blocks of networks run: threads, processes, dask's or MPI's. Default: threads.
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
    When a first Dense layer with normal weights receives more features than samples, the inputs are replaced by
    the triangle R^T of their QR decomposition X^T = Q R: Q^T W has the law of W, so the ensemble has the same law
    with fewer weights. It has not for uniform weights, nor for orthogonal ones, of which Q^T W is a part; with them
    the inputs stay as they are. Several readouts are drawn one by one and have their law whatever the weights.

    Examples
    --------
    >>> import ibtheory as ib
    >>> e = simulate(ib.mlp(50, 3), ib.GaussianInputs(20), networks=10, samples=30)
    >>> e.class_fractions.shape, e.layers["name"][-1].item()
    ((10, 2), 'logits')
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}; build one with ibtheory.mlp(...)")
    seed, workers = execution.check_seed(seed), execution.check_workers(workers, executor)
    dtype, networks = _check.choice("dtype", dtype, ("float32", "float64")), _check.integer("networks", networks, 1)
    keep = _check.choice("keep", keep, ("all", "summary"))
    data = _draw(check_inputs(x), samples, seed)
    size = _batch(batch, data.samples)
    _check_back(gradients, tangent, net, data.features)
    with _blas.one_thread():
        task, given = _prepare(net, data, size, readouts, seed, dtype, parameters, gradients, tangent)
        networks = _count(networks, given)
        kept = None if store is None else Store(store, _description(task, given))
        seconds = _STORED_SECONDS if kept else _SENT_SECONDS if executor else _BLOCK_SECONDS
        blocks = execution.ranges(networks, _block(task, seconds))
        collected, sent = _Collected(task, _input_moments(data.X), keep), execution.shared(executor, task)

        def run(first, stop):
            return run_block, sent, first, stop, None if given is None else given[first:stop]

        with execution.pool(executor, workers) as pool, execution.bar(progress, networks) as advance:
            for arrays in execution.in_order(pool, blocks, run, kept, advance):
                collected.add(arrays)
    return collected.ensemble(net, data, networks, batch, seed, dtype)


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


def _check_back(gradients, tangent, net, features):
    if gradients is None and tangent is None:
        return
    if gradients is not None:
        _check.choice("gradients", gradients, ("independent", "common"))
    if tangent is not None and _check.integer("tangent", tangent, 0) >= net.outputs:
        raise ValueError(f"tangent={tangent} names no logit: the network has {net.outputs}, counted from 0")
    for step in flatten(net.steps(features)):
        if isinstance(step.layer, BatchNorm) and step.layer.batches:
            raise ValueError(
                f"no gradients through {step.layer!r}, which has seen batches; use BatchNorm() without them"
            )


def _description(task, given):
    """What the results depend on, for a store."""
    arrays = {"inputs": task.inputs, "groups": task.groups, "parameters": np.zeros(0) if given is None else given}
    names = ("features", "batch", "readouts", "seed", "training", "gradients", "tangent")
    return {
        "kind": "Ensemble",
        "network": task.network.to_dict(),
        **{name: getattr(task, name) for name in names},
        "dtype": task.inputs.dtype.name,
        **{name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for name, array in arrays.items()},
    }


def _prepare(net, data, batch, readouts, seed, dtype, parameters, gradients, tangent=None):
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
    training = _training(net, data, batch)
    X = np.ascontiguousarray(np.concatenate([X[:training], X]), dtype)
    _, groups = label_groups(data.y, data.samples)
    names = (net, X, groups, data.features, batch, 1, seed, secrets.token_hex(8), triangular, given is not None)
    task = Task(*names, training=training, gradients=gradients, tangent=tangent)
    if readouts == "auto":
        readouts = _auto_readouts(task)
    readouts = _check.integer("readouts", readouts, 1, hint='Or "auto".')
    return replace(task, readouts=readouts), given


def _training(net, data, batch):
    """Samples of the training batches that running statistics see: the consecutive batches of the data."""
    layers = [step.layer for step in flatten(net.steps(data.features))]
    batches = max((layer.batches for layer in layers if isinstance(layer, BatchNorm)), default=0)
    return min(batches * batch, data.samples)


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


def _block(task, seconds):
    """Networks per block: a function of the task and of the seconds that a block is to take."""
    program = task.program()
    each = _hidden_seconds(task, program) + task.readouts * _readout_seconds(task, program)
    if task.tangent is not None:
        each *= 1 + 2 * probe.passes(program)
    return int(min(max(seconds / each, 1), 100 * statistics.CHUNK))


def _count(networks, given):
    if given is None:
        return networks
    if networks not in (1000, len(given)):
        raise ValueError(f"networks={networks} but parameters hold {len(given)} networks; leave networks out")
    return len(given)


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
        self.groups = int(task.groups.max()) + 1
        self.moments = statistics.Moments(len(self.names), self.groups)
        self.gradients, self.tangent = statistics.Means(), statistics.Means()
        self.blocks, self.more = [], []

    def add(self, arrays):
        if self.task.back:
            tangent = arrays.pop("tangent")
            gradients = self._gradients(arrays.pop("gradients"), arrays.pop("weight_gradients"))
            self.tangent.add(tangent)
            self.gradients.add(gradients)
            if self.keep == "all":
                self.more.append((gradients, tangent))
        outcome = Outcome(**arrays)
        outcome.layers[:, 0] = self.inputs
        self.moments.add(statistics.network_values(outcome, self.width))
        if self.keep == "all":
            self.blocks.append(outcome)

    def ensemble(self, net, data, networks, batch, seed, dtype):
        means, errors = self.moments.close().estimates()
        layers = self._layers(means, errors)
        names, start = statistics.QUANTITIES, 4 * len(self.names)
        scalar = slice(start, start + len(names))
        named = {
            name: (float(mean), float(error))
            for name, mean, error in zip(names, means[scalar], errors[scalar], strict=True)
        }
        named |= self.moments.shape(data.samples)
        effective, effective_error = statistics.effective(*named["agreement"], net.classes)
        scalars = {}
        for name in named.keys() - {"agreement", "dead"}:
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
            histogram=means[-statistics.BINS :],
            histogram_error=errors[-statistics.BINS :],
            **self._groups(data, means, errors),
            **self._arrays(),
            **self._back(),
        )

    def _groups(self, data, means, errors):
        names, _ = label_groups(data.y, data.samples)
        if names is None:
            return dict.fromkeys(("group_labels", "group_fractions", "group_covariance", "group_covariance_error"))
        shares = None
        if self.keep == "all":
            shares = statistics.fractions_of(np.concatenate([block.counts[:, 0] for block in self.blocks]))
        start = 4 * len(self.names) + len(statistics.QUANTITIES)
        pairs = slice(start, start + self.groups * (self.groups + 1) // 2)
        covariance, error = (statistics.square(values[pairs], self.groups) for values in (means, errors))
        return {
            "group_labels": names,
            "group_fractions": shares,
            "group_covariance": covariance,
            "group_covariance_error": error,
        }

    def _layers(self, means, errors):
        table = ensemble_table(self.names)
        size = 4 * len(self.names)
        for index, name in enumerate(_MOMENTS):
            table[name] = means[index:size:4]
            table[f"{name}_error"] = errors[index:size:4]
        table["gamma"], table["gamma_error"] = self.moments.gamma()
        if self.task.gradients:
            means, errors = (column.reshape(3, -1) for column in self.gradients.close().estimates())
            for index, name in enumerate(("gradient", "gradient_cross", "weight_gradient")):
                table[name], table[f"{name}_error"] = means[index], errors[index]
        return table

    def _gradients(self, gradients, weight_gradients):
        """(networks, 3 rows): squared gradients of a sample, products of two samples, squared gradients of weights."""
        steps = flatten(self.task.network.steps(self.task.features))
        units = np.array([np.nan, *(step.units for step in steps)])
        units[-1] *= self.task.readouts
        weights = np.full(gradients.shape[:2], np.nan)
        weights[:, 1:][:, [isinstance(step.layer, Dense) for step in steps]] = weight_gradients
        parts = gradients[..., 0] * units, gradients[..., 1] * units, weights / len(self.task.inputs) ** 2
        return np.concatenate(parts, axis=1)

    def _back(self):
        """What the ways back say of each network, and the tangent kernel."""
        task, found = self.task, {}
        if task.tangent is not None:
            estimates = zip(KERNEL_NUMBERS, *self.tangent.close().estimates(), strict=True)
            found["tangent"] = {}
            for name, mean, error in estimates:
                found["tangent"] |= {name: float(mean), f"{name}_error": float(error)}
        if self.more:
            gradients, tangents = (np.concatenate(arrays) for arrays in zip(*self.more, strict=True))
            by_layer = gradients.reshape(len(gradients), 3, -1).transpose(0, 2, 1)
            found["per_layer_gradient"] = by_layer if task.gradients else None
            found["per_network_tangent"] = None if task.tangent is None else tangents
        return found

    def _arrays(self):
        if self.keep == "summary":
            return dict.fromkeys(("class_fractions", "readout_fractions", "dead", "per_layer", "agreement"))
        counts = np.concatenate([block.counts.sum(axis=2) for block in self.blocks])
        shares = statistics.fractions_of(counts)
        return {
            "class_fractions": shares[:, 0].copy(),
            "readout_fractions": shares,
            "dead": np.concatenate([block.dead for block in self.blocks]) / self.width,
            "per_layer": np.concatenate([block.layers for block in self.blocks]),
            "agreement": statistics.agreement_of(counts),
        }
