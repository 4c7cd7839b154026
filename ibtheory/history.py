"""History: how an ensemble of networks learned, note by note; single networks stay visible behind every average."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from ibtheory import _check
from ibtheory._saved import Saved
from ibtheory.inputs import Dataset
from ibtheory.layers import Network

__all__ = ["History"]

_DATA = ("train", "held_out")
_PER_NETWORK = (
    *("loss", "recall", "class_fractions", "held_out_loss", "held_out_recall", "held_out_class_fractions"),
    *("gradient_norm", "distance", "cosine", "loss_rise", "diverged"),
)


@final
@dataclass(frozen=True, eq=False)
class History(Saved):
    """The training of an ensemble of networks; made by :func:`ibtheory.train`.

    Attributes
    ----------
    network : Network
    inputs : Dataset
        The literal X and y that were trained on.
    held_out_X, held_out_y : array or None
    classes, networks, samples, batch, seed : int
    dtype, objective, optimizer, statistics : str
        ``objective``: the loss; ``optimizer``: code that rebuilds it.
    learning_rates : (steps,) array
    steps : (times,) int array
        Steps done when a note was taken; 0 is the start.
    loss : (networks, times) array
    recall, class_fractions : (networks, times, classes) array
        Share of the samples of each class that are predicted right; share of all samples predicted to be of it.
    held_out_loss, held_out_recall, held_out_class_fractions : array or None
        The same on the held-out samples.
    gradient_norm : (networks, times, dense layers) array
        Norm of the gradient of the weights, on the batch of the next step.
    distance, cosine : (networks, times) array
        Between all trained parameters and their start.
    loss_rise : (networks,) array
        First step with a larger loss than one step before, inf if there is none; with smaller batches or Dropout the
        first such note.
    diverged : (networks,) array
        Step at which the loss was no longer finite, inf if it always was.
    """

    network: Network
    inputs: Dataset
    held_out_X: np.ndarray | None
    held_out_y: np.ndarray | None
    classes: int
    networks: int
    samples: int
    batch: int
    seed: int
    dtype: str
    objective: str
    optimizer: str
    statistics: str
    learning_rates: np.ndarray
    steps: np.ndarray
    loss: np.ndarray
    recall: np.ndarray
    class_fractions: np.ndarray
    held_out_loss: np.ndarray | None
    held_out_recall: np.ndarray | None
    held_out_class_fractions: np.ndarray | None
    gradient_norm: np.ndarray
    distance: np.ndarray
    cosine: np.ndarray
    loss_rise: np.ndarray
    diverged: np.ndarray

    @property
    def majority(self):
        """(networks, classes): the classes by their share at the first note, the largest first, for curves of training.

        Ranked on the held-out samples if there are any: a ranking on the samples that are plotted is biased.
        """
        return self.ranking("train")

    def ranking(self, data="train"):
        """(networks, classes): the classes by initial share, ranked on the other data than ``data`` where there are."""
        self._values("recall", data)
        other = "held_out" if data == "train" and self.held_out_recall is not None else "train"
        return np.argsort(-self._values("class_fractions", other)[:, 0], axis=1, kind="stable")

    @property
    def initial_bias(self):
        """(networks,): largest minus smallest class fraction at the first note; two classes: \\|f_0 - f_1\\|."""
        return np.ptp(self.class_fractions[:, 0], axis=1)

    def select(self, which):
        """The history of some networks: a (networks,) mask or indices, e.g. ``h.select(h.initial_bias > 0.9)``.

        Raises
        ------
        ValueError
            If no network is left.
        """
        rows = np.arange(self.networks)[which]
        if not rows.size:
            raise ValueError("no network is left; the initial bias of all is in initial_bias")
        arrays = {name: getattr(self, name) for name in _PER_NETWORK}
        return replace(self, networks=len(rows), **{name: None if a is None else a[rows] for name, a in arrays.items()})

    def ordered(self, quantity="recall", data="train"):
        """(networks, times, classes) of "recall" or "class_fractions", the classes by initial majority."""
        _check.choice("quantity", quantity, ("recall", "class_fractions"))
        return np.take_along_axis(self._values(quantity, data), self.ranking(data)[:, None], axis=2)

    def ordered_mean(self, quantity="recall", data="train"):
        """(mean, standard error), both (times, classes), of :meth:`ordered`; the network is the unit of the error."""
        values = self.ordered(quantity, data)
        return values.mean(axis=0), _error(values)

    def worst_recall(self, data="train"):
        """(networks, times): recall of the class with the lowest one at that time; classes without samples left out."""
        return np.fmin.reduce(self._values("recall", data), axis=2)

    def steps_until(self, level, data="train"):
        """(networks,): first noted step whose worst-class recall exceeds ``level``, inf if none does."""
        above = self.worst_recall(data) > _check.real("level", level, 0.0, 1.0)
        return np.where(above.any(axis=1), self.steps[above.argmax(axis=1)], np.inf)

    def mean_steps_until(self, level, data="train"):
        """First noted step at which the mean over networks of the worst-class recall exceeds ``level``, or inf."""
        above = self.worst_recall(data).mean(axis=0) > _check.real("level", level, 0.0, 1.0)
        return float(self.steps[above.argmax()]) if above.any() else np.inf

    def spread(self, level, data="train"):
        """(lower quartile, median, upper quartile) over networks of :meth:`steps_until`."""
        return np.quantile(self.steps_until(level, data), (0.25, 0.5, 0.75), method="inverted_cdf")

    def _values(self, quantity, data):
        _check.choice("data", data, _DATA)
        values = getattr(self, quantity if data == "train" else f"held_out_{quantity}")
        if values is None:
            raise ValueError("this history has no held-out samples; train with held_out=")
        return values

    def plot(self, axes=None, *, data="train"):
        """Picture of the learning curves, see :func:`ibtheory.plot.history`."""
        from ibtheory import plot

        return plot.history(self, axes, data=data)

    def __str__(self):
        size = f"{self.networks} networks, {self.samples} samples, {self.classes} classes, seed {self.seed}"
        lines = [f"History of {size}: {self.objective} by {self.optimizer}, batches of {self.batch}"]
        picked = np.unique(np.linspace(0, len(self.steps) - 1, 6).astype(int))
        lines.append(f"  {'step':<40}" + "".join(f"{step:>9}" for step in self.steps[picked]))
        for words, values in self._rows():
            lines.append(f"  {words:<40}" + "".join(f"{value:>9.3g}" for value in values[picked]))
        failed = int(np.isfinite(self.diverged).sum())
        if failed:
            lines.append(f"  {failed} networks diverged")
        return "\n".join(lines)

    def _rows(self):
        """(words, values (times,)): medians and quartiles over networks; one that diverged is the worst of all."""
        yield "loss, median", np.median(np.nan_to_num(self.loss, nan=np.inf), axis=0)
        for data in _DATA[: 1 + (self.held_out_recall is not None)]:
            words = "worst recall" if data == "train" else "worst recall, held out"
            worst = np.nan_to_num(self.worst_recall(data))
            for name, share in (("median", 0.5), ("lower quartile", 0.25)):
                yield f"{words}, {name}", np.quantile(worst, share, axis=0)


def _error(values):
    """Standard error over networks, NaN for one."""
    return values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1:], np.nan)
