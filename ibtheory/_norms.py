"""The norms: over the batch, over features, over groups of features."""

from dataclasses import dataclass
from typing import final

import numpy as np

from ibtheory import _check
from ibtheory._layer import Data, value


def _epsilon():
    return value(_check.Real(0.0, hint="It is added to the variance."), 0.0)


def _scale():
    return value(_check.Real(0.0, open_minimum=True, hint="A scale of 0 erases the layer."), 1.0)


def _shift():
    return value(_check.Real(), 0.0)


@final
@dataclass(frozen=True, repr=False)
class BatchNorm(Data):
    """Center and normalize each feature over the batch, then scale and shift.

    Parameters
    ----------
    mode : {"batch", "running"}
        "batch": statistics of the batch in hand (training mode). "running": running statistics (evaluation mode),
        those of a fresh layer, mean 0 and variance 1, after ``batches`` training batches.
    epsilon : float
        Added to the variance. At 0, a feature without variance gives 0.
    scale, shift : float
        Affine parameters at initialization.
    momentum : float or None
        Weight of each training batch, above 0 and at most 1, as in torch.nn.BatchNorm1d:
        running = (1 - momentum) running + momentum observed, the observed variance with B - 1 in its denominator.
        None: the mean over all training batches so far.
    batches : int
        Training batches that the running statistics have seen, without a step of training in between; 0 makes
        the layer the identity. They are the consecutive batches of the data, from the first again after the last.

    Notes
    -----
    ``momentum`` and ``batches`` belong to mode "running".

    References
    ----------
    Ioffe and Szegedy, arXiv:1502.03167.

    Examples
    --------
    >>> weights, initial = BatchNorm("running", momentum=0.5, batches=2).running_weights()
    >>> weights.tolist(), initial
    ([0.25, 0.5], 0.25)
    """

    mode: str = value(_check.Choice(("batch", "running")), "batch")
    epsilon: float = _epsilon()
    scale: float = _scale()
    shift: float = _shift()
    momentum: float | None = 0.1
    batches: int = value(_check.Integer(0, hint="0 are the running statistics of a fresh layer."), 0)

    def __post_init__(self):
        _check.check_fields(self)
        if self.momentum is not None:
            hint = "Or None: the mean over all training batches."
            momentum = _check.real("BatchNorm.momentum", self.momentum, 0.0, 1.0, open_minimum=True, hint=hint)
            object.__setattr__(self, "momentum", momentum)
        if self.mode == "batch" and (self.batches or self.momentum != 0.1):
            raise ValueError(
                f"BatchNorm(momentum={self.momentum}, batches={self.batches}) in mode 'batch' has no running "
                "statistics; say mode='running', or leave both out"
            )

    @property
    def fresh(self):
        """Whether its running statistics have seen no training batch: the layer is the identity."""
        return self.mode == "running" and not self.batches

    def running_weights(self):
        """Weights of the training batches in the running statistics, (batches,), and that of mean 0 and variance 1."""
        if self.momentum is None and self.batches:
            return np.full(self.batches, 1 / self.batches), 0.0
        past = 1.0 - (1.0 if self.momentum is None else self.momentum)
        return (1.0 - past) * past ** np.arange(self.batches - 1.0, -1.0, -1.0), past**self.batches


@final
@dataclass(frozen=True, repr=False)
class LayerNorm(Data):
    """Center and normalize each sample over its features (Ba, Kiros and Hinton, arXiv:1607.06450)."""

    epsilon: float = _epsilon()
    scale: float = _scale()
    shift: float = _shift()


@final
@dataclass(frozen=True, repr=False)
class RMSNorm(Data):
    """Divide each sample by its root mean square over features (Zhang and Sennrich, arXiv:1910.07467)."""

    epsilon: float = _epsilon()
    scale: float = _scale()


@final
@dataclass(frozen=True, repr=False)
class GroupNorm(Data):
    """LayerNorm within each of ``groups`` equal blocks of features (Wu and He, arXiv:1803.08494)."""

    groups: int = value(_check.Integer(1))
    epsilon: float = _epsilon()
    scale: float = _scale()
    shift: float = _shift()
