"""Networks of the tests of phases."""

import ibtheory as ib
from ibtheory.layers import Activation, Dense, FeaturePool, Network, Repeat


def mlp(activation="relu", weight=2.0, bias=0.0, **words):
    return ib.mlp(64, 3, activation=activation, weight_variance=weight, bias_variance=bias, **words)


def pooled(activation, reduction, **dense):
    return Network((Repeat((Dense(64, **dense), Activation(activation), FeaturePool(reduction)), 3), Dense(2, **dense)))
