"""What all layers share: fields that are checked, and a repr that rebuilds."""

from dataclasses import MISSING, field, fields

from ibtheory import _check


def value(domain, default=MISSING):
    """A field with the values that :mod:`ibtheory._check` allows it."""
    return field(default=default, metadata={"domain": domain})


def describe(layer):
    """Code that rebuilds a layer: its class with every field that differs from the default."""
    parts = []
    for index, f in enumerate(fields(layer)):
        given = getattr(layer, f.name)
        if f.default is MISSING or given != f.default:
            parts.append(repr(given) if index == 0 else f"{f.name}={given!r}")
    return f"{type(layer).__name__}({', '.join(parts)})"


class Data:
    """Shared by all layers: checked fields, a repr that rebuilds, nothing else."""

    __slots__ = ()

    def __post_init__(self):
        _check.check_fields(self)

    __repr__ = describe
