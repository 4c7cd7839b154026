"""The networks that are timed."""

from itertools import pairwise
from typing import NamedTuple


class Case(NamedTuple):
    """A multilayer perceptron on Gaussian samples; ``placement`` of its norm, epsilon 0."""

    depth: int
    width: int
    samples: int
    features: int
    classes: int
    activation: str = "relu"
    norm: str = "layer"
    placement: str = "after"

    @property
    def shapes(self):
        """(fan_in, units) of the dense layers."""
        sizes = [self.features, *[self.width] * self.depth, self.classes]
        return list(pairwise(sizes))

    @property
    def flops(self):
        """Of the matrix products of one network."""
        return 2 * self.samples * sum(a * b for a, b in self.shapes)


CASES = {
    "a": Case(5, 100, 500, 784, 10),
    "b": Case(20, 256, 1000, 1000, 2),
    "c": Case(50, 64, 256, 100, 2),
    "a tanh": Case(5, 100, 500, 784, 10, activation="tanh"),
    "a batch": Case(5, 100, 500, 784, 10, norm="batch", placement="before"),
    "c tanh": Case(50, 64, 256, 100, 2, activation="tanh"),
    "c batch": Case(50, 64, 256, 100, 2, norm="batch", placement="before"),
}

STEPS = 20  # of training, full batch
