"""Explicit parameters, brought to the flat order in which the machine would draw them."""

import numpy as np


def flatten_parameters(parameters, shapes, dtype):
    """(networks, parameters) array: per dense layer the weights (fan_in, units), the last transposed, then biases.

    Parameters
    ----------
    parameters : sequence
        Either per network a sequence of (W, b) per dense layer, or one (W, b) per dense layer whose arrays have
        the networks as leading axis. W is (fan_in, units), b (units,) or None for 0.
    shapes : sequence of (fan_in, units)

    Raises
    ------
    ValueError
        If a number of layers or a shape does not fit, or a number is not finite.
    """
    networks = _by_network(parameters, len(shapes))
    flat = [np.concatenate(_network(layers, shapes, index)) for index, layers in enumerate(networks)]
    flat = np.array(flat, dtype)
    if not np.all(np.isfinite(flat)):
        index = int(np.flatnonzero(~np.isfinite(flat).all(axis=1))[0])
        raise ValueError(f"parameters of network {index} hold NaN or infinity in {np.dtype(dtype)}; all must be finite")
    return flat


def _by_network(parameters, layers):
    parameters = list(parameters)
    if not parameters:
        raise ValueError("parameters is empty; give at least one network, or leave it out")
    if not _is_stacked(parameters):
        return parameters
    counts = {len(a) for pair in parameters for a in pair if a is not None}
    if len(parameters) != layers:
        raise ValueError(f"parameters describe {len(parameters)} dense layers, the network has {layers}")
    if len(counts) != 1:
        raise ValueError(f"the leading axes of parameters must all be the number of networks, got {sorted(counts)}")
    count = counts.pop()
    return [[(W[i], None if b is None else b[i]) for W, b in parameters] for i in range(count)]


def _is_stacked(parameters):
    first = parameters[0]
    return len(first) == 2 and getattr(first[0], "ndim", 0) == 3


def _network(layers, shapes, index):
    if len(layers) != len(shapes):
        raise ValueError(
            f"parameters of network {index} describe {len(layers)} dense layers, the network has {len(shapes)}; "
            "give one (W, b) for each, the readout last"
        )
    parts = []
    for number, ((W, b), (fan_in, units)) in enumerate(zip(layers, shapes, strict=True)):
        W = np.asarray(W, np.float64)
        b = np.zeros(units) if b is None else np.asarray(b, np.float64)
        if W.shape != (fan_in, units) or b.shape != (units,):
            raise ValueError(
                f"parameters of network {index}, dense layer {number}: W must be {(fan_in, units)} (fan_in, units) and "
                f"b {(units,)}, got {W.shape} and {b.shape}"
            )
        parts += [(W.T if number == len(shapes) - 1 else W).ravel(), b]
    return parts
