"""What a program keeps, and where the parameters of a network stand."""

from typing import NamedTuple


class Layout(NamedTuple):
    """What a program keeps.

    Attributes
    ----------
    records : bool
        Whether statistics of every layer are taken.
    own : bool
        Whether every layer has its own place for its parameters; otherwise each takes that of the one before.
    tape : bool
        Whether all that the way back reads is kept.
    affine : bool
        Whether scale and shift of norms are parameters; otherwise they are the constants of the layer.
    dropout : bool
        Whether Dropout acts, on a tape.
    apart : bool
        Whether the gradient of every dense layer has its own place on a tape and is still there at the end.
    """

    records: bool = True
    own: bool = False
    tape: bool = False
    affine: bool = False
    dropout: bool = False
    apart: bool = False


class Place(NamedTuple):
    """Where the parameters of one layer stand: ``kind`` is "weights", "bias", "scale", "shift", or "zero"."""

    layer: str
    kind: str
    start: int
    stop: int
