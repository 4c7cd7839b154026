"""The tangent kernel of a logit from ways back: Theta_ab = sum over parameters of df(x_a)/dtheta df(x_b)/dtheta."""

from ibtheory import _jit
from ibtheory.simulation.ops import pointwise, product
from ibtheory.simulation.program import CODE, FAN_IN, GRADIENT, READOUT, SOURCE, UNITS


@_jit.inner()
def from_layers(tables, address, work, grams, theta):
    """Where samples do not meet: (h_a . h_b + 1 for biases) (delta_a . delta_b), summed over the dense layers.

    ``grams`` (2, samples^2) is scratch, ``theta`` (samples^2,) float64. The gradients of all samples at once are those
    of each, and each dense layer keeps its own, see Layout.apart.
    """
    theta[:] = 0.0
    samples = tables.samples
    for k in range(tables.operations.shape[0]):
        operation = tables.operations[k]
        if operation[CODE] <= READOUT:
            product.gram(address, work.space[operation[SOURCE] :], grams[0], samples, operation[FAN_IN])
            product.gram(address, work.space[operation[GRADIENT] :], grams[1], samples, operation[UNITS])
            bias = 1.0 if tables.numbers[k, 1] > 0 else 0.0
            for j in range(theta.size):
                theta[j] += (grams[0, j] + bias) * grams[1, j]


@_jit.inner()
def keep(parameters, spans, row):
    """Put the gradients with respect to the parameters of the ``spans`` side by side in ``row``."""
    done = 0
    for index in range(spans.shape[0]):
        first, last = spans[index, 0], spans[index, 1]
        pointwise.copy(parameters[first:last], row[done : done + last - first])
        done += last - first


@_jit.inner()
def from_rows(address, rows, gram, theta):
    """Where samples meet in a batch: from the gradients of the logit of every sample, (samples, parameters)."""
    product.gram(address, rows.reshape(-1), gram, rows.shape[0], rows.shape[1])
    for j in range(theta.size):
        theta[j] = gram[j]
