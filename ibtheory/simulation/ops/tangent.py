"""The tangent kernel of a logit, Theta_ab = sum over parameters of df(x_a)/dtheta df(x_b)/dtheta, layer by layer."""

from ibtheory import _jit
from ibtheory.simulation.ops import product
from ibtheory.simulation.program import CODE, FAN_IN, GRADIENT, READOUT, SOURCE, UNITS


@_jit.door
def add_layers(tables, address, work, grams, theta):
    """Add (h_a . h_b + 1 for biases) (delta_a . delta_b) of every dense layer to ``theta`` (samples^2,) float64.

    For networks in which samples do not meet: the gradients of all at once, one way back, are those of each. Every
    dense layer has kept its own, see Layout.apart. ``grams`` (2, samples^2) is scratch.
    """
    for k in range(tables.operations.shape[0]):
        operation = tables.operations[k]
        if operation[CODE] <= READOUT:
            product.gram(address, work.space[operation[SOURCE] :], grams[0], tables.samples, operation[FAN_IN])
            product.gram(address, work.space[operation[GRADIENT] :], grams[1], tables.samples, operation[UNITS])
            bias = 1.0 if tables.numbers[k, 1] > 0 else 0.0
            for j in range(theta.size):
                theta[j] += (grams[0, j] + bias) * grams[1, j]
