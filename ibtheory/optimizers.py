"""Optimizers and learning-rate schedules as data: frozen records with the update they stand for.

w: parameters, g: gradient of the loss, eta: learning rate times the factor of the schedule, at step t = 1, 2, ...
The updates are those of torch.optim, with the same defaults.
"""

from dataclasses import dataclass, field
from typing import final

import numpy as np

from ibtheory import _check

__all__ = ["SGD", "Adam", "AdamW", "check_optimizer", "check_schedule", "cosine", "step", "warm_up"]

_SHARE = _check.Real(0.0, 1.0)


def _value(domain, default):
    return field(default=default, metadata={"domain": domain})


def _rate():
    return _value(_check.Real(0.0, hint="0 leaves the network as it is."), 1e-3)


def _decay(default=0.0):
    return _value(_check.Real(0.0), default)


@final
@dataclass(frozen=True)
class SGD:
    """Gradient descent: d = g + weight_decay w; v <- momentum v + d; w <- w - eta v.

    With ``nesterov`` w <- w - eta (d + momentum v). v starts at 0.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    learning_rate: float = _rate()
    momentum: float = _value(_SHARE, 0.0)
    nesterov: bool = False
    weight_decay: float = _decay()

    def __post_init__(self):
        _check.check_fields(self)
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"SGD.nesterov must be True or False, got {self.nesterov!r}")
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD.nesterov needs a momentum; set momentum above 0, e.g. 0.9")


@final
@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1), with g + weight_decay w for the gradient.

    m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
    w <- w - eta / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon).

    Examples
    --------
    >>> Adam(1e-4).beta2
    0.999
    """

    learning_rate: float = _rate()
    beta1: float = _value(_SHARE, 0.9)
    beta2: float = _value(_SHARE, 0.999)
    epsilon: float = _value(_check.Real(0.0, open_minimum=True), 1e-8)
    weight_decay: float = _decay()

    def __post_init__(self):
        _check_betas(self)


@final
@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101): first w <- (1 - eta weight_decay) w.

    Examples
    --------
    >>> AdamW().weight_decay
    0.01
    """

    learning_rate: float = _rate()
    beta1: float = _value(_SHARE, 0.9)
    beta2: float = _value(_SHARE, 0.999)
    epsilon: float = _value(_check.Real(0.0, open_minimum=True), 1e-8)
    weight_decay: float = _decay(0.01)

    def __post_init__(self):
        _check_betas(self)


def _check_betas(record):
    _check.check_fields(record)
    for name in ("beta1", "beta2"):
        if getattr(record, name) == 1:
            raise ValueError(f"{type(record).__name__}.{name} must be below 1, got 1; the average would never move")


KINDS = {kind.__name__: kind for kind in (SGD, Adam, AdamW)}


def check_optimizer(optimizer):
    """Return ``optimizer`` if it is one, or raise.

    >>> check_optimizer(SGD(0.1)).learning_rate
    0.1
    """
    if isinstance(optimizer, tuple(KINDS.values())):
        return optimizer
    raise TypeError(f"optimizer must be SGD, Adam or AdamW, got {optimizer!r}; e.g. ibtheory.SGD(0.1, momentum=0.9)")


def cosine(steps, end=0.0):
    """Half a cosine from 1 to ``end``: (steps,) factors of the learning rate (Loshchilov and Hutter, 1608.03983).

    >>> cosine(3).round(3).tolist()
    [1.0, 0.75, 0.25]
    """
    steps, end = _check.integer("steps", steps, 1), _check.real("end", end, 0.0)
    return end + (1 - end) * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2


def warm_up(steps, rising, then=None):
    """A linear rise over ``rising`` steps, then 1 or the factors ``then``, of steps - rising steps.

    >>> warm_up(5, 2).tolist()
    [0.5, 1.0, 1.0, 1.0, 1.0]
    """
    steps, rising = _check.integer("steps", steps, 1), _check.integer("rising", rising, 1)
    if rising > steps:
        raise ValueError(f"rising={rising} is more than the {steps} steps; let it rise for fewer")
    rest = np.ones(steps - rising) if then is None else check_schedule(then, steps - rising)
    return np.concatenate([np.arange(1, rising + 1) / rising, rest])


def step(steps, every, factor=0.1):
    """1, then ``factor`` times as much after every ``every`` steps.

    >>> step(5, 2).round(4).tolist()
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """
    steps, every = _check.integer("steps", steps, 1), _check.integer("every", every, 1)
    return _check.real("factor", factor, 0.0) ** (np.arange(steps) // every)


def check_schedule(schedule, steps):
    """(steps,) factors of the learning rate: 1 for None, "cosine", or an array of them.

    >>> check_schedule(None, 2).tolist()
    [1.0, 1.0]
    """
    if schedule is None:
        return np.ones(steps)
    if isinstance(schedule, str):
        hint = "Or factors of the learning rate, (steps,): see ibtheory.optimizers.warm_up and step."
        _check.choice("schedule", schedule, ("constant", "cosine"), hint=hint)
        return np.ones(steps) if schedule == "constant" else cosine(steps)
    factors = np.asarray(schedule, float)
    if factors.shape != (steps,) or not np.all(np.isfinite(factors)) or (factors < 0).any():
        raise ValueError(
            f"schedule must be {steps} finite factors of the learning rate, one per step and none negative, got an "
            f"array of shape {factors.shape}; e.g. ibtheory.optimizers.warm_up({steps}, 10)"
        )
    return factors
