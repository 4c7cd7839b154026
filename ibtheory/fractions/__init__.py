"""Laws of class fractions: which share of the data an untrained network gives to each class."""

from ibtheory.fractions.asymptotics import (
    Exponents,
    agreement_many_classes,
    agreement_near_one,
    exponents,
    many_class_exponents,
    vertex_density,
)
from ibtheory.fractions.law import ClassFraction, regime
from ibtheory.fractions.pairs import (
    agreement,
    agreement_excess,
    agreement_inverse,
    disagreement,
    effective_gamma,
    gamma_from_agreement,
)
from ibtheory.fractions.shapes import Thresholds, thresholds

__all__ = [
    "ClassFraction",
    "Exponents",
    "Thresholds",
    "agreement",
    "agreement_excess",
    "agreement_inverse",
    "agreement_many_classes",
    "agreement_near_one",
    "disagreement",
    "effective_gamma",
    "exponents",
    "gamma_from_agreement",
    "many_class_exponents",
    "regime",
    "thresholds",
    "vertex_density",
]
