"""The theory of a network: moments through the layers, the law of the predictions, finite-size terms."""

from ibtheory.theory.nngp import kernel
from ibtheory.theory.prediction import predict

__all__ = ["kernel", "predict"]
