"""Layers as plain data (JSON), and back."""

from dataclasses import fields

from ibtheory import activations


def encode(layer):
    """A dict of the kind and the fields of a layer; ValueError for a user's function without code."""
    data = {"kind": type(layer).__name__}
    for f in fields(layer):
        value = getattr(layer, f.name)
        if isinstance(value, tuple):
            value = [encode(inner) for inner in value]
        elif isinstance(value, activations.ActivationFunction):
            if not value.code:
                raise ValueError(
                    f"activation {value.name!r} is a Python function and cannot be written as data; "
                    "describe it with activations.from_sympy"
                )
            value = value.code
        data[f.name] = value
    return data


def decode(data, kinds):
    """The layer that :func:`encode` described, of one of ``kinds`` by name; ValueError for anything else."""
    if not isinstance(data, dict) or data.get("kind") not in kinds:
        raise ValueError(f"not the description of a layer: {data!r}; expected a dict whose 'kind' is one of {[*kinds]}")
    kind = kinds[data["kind"]]
    known = {f.name for f in fields(kind)}
    given = {name: value for name, value in data.items() if name != "kind"}
    if not given.keys() <= known:
        raise ValueError(f"{data['kind']} has no field {sorted(given.keys() - known)}; it has {sorted(known)}")
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = tuple(decode(inner, kinds) for inner in value)
        elif name == "function":
            given[name] = activations.from_code(value)
    return kind(**given)
