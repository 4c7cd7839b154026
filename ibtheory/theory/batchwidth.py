r"""The terms of order 1/width of a network with BatchNorm in every block, on exchangeable samples.

BatchNorm leaves a kernel with mean diagonal 1 and mean off-diagonal 0; what varies from pair to pair are its
off-diagonal entries, with variance D, and its diagonal, with variance A, at width n

    D' = chi_0^2 D + 1/n,     A' = alpha^2 A + (kurtosis - 1)/n,

with chi_0 = a_1^2 / Var phi, alpha = E z phi' (phi - m) / Var phi and the kurtosis of phi. The variance of a neuron
over the batch varies with them, by 2 D; for homogeneous phi that drops out.
"""

import numpy as np

from ibtheory import _quadrature, gaussian
from ibtheory.layers import BatchNorm
from ibtheory.theory import pairs

_ALONE = np.ones(1)


def correction(blocks, moments, features, classes):
    """(shift of the table (layers, 4), shift of the mean agreement)."""
    law = moments.exchangeable and len(moments.mean) == 1
    # the kernel of a dataset is exact in the population rule: only the hidden layers add to it
    off, diagonal = (1 / features, 2 / features) if law else (0.0, 0.0)
    rows, kernel = [np.zeros(4)], _kernel(0.0, 0.0)
    for block in blocks:
        dense, step = block[0]
        weight, bias = dense.variances(step.fan_in)
        kernel = kernel.affine(weight, bias)
        rows.append(pairs.row(_ALONE, kernel))
        before = len(block) > 1 and isinstance(block[1][0], BatchNorm)
        for layer, _ in block[1:]:
            if isinstance(layer, BatchNorm):
                kernel = _kernel(off, diagonal)
            else:
                terms = _Terms(layer.function, 1.0 if before else weight + bias)
                if before:
                    kernel = terms.behind(kernel, off, step.units)
                off = terms.chi**2 * off + 1 / step.units
                diagonal = terms.alpha**2 * diagonal + (terms.kurtosis - 1) / step.units
            rows.append(pairs.row(_ALONE, kernel))
    return np.array(rows), float(pairs.agreement_shift(kernel, classes)[0])


def _kernel(off, diagonal):
    """What BatchNorm leaves, as a random kernel of one pair."""
    return pairs.Kernel(np.array([[1.0, 1.0, 0.0]]), np.zeros((1, 3)), np.diag([diagonal, diagonal, off])[None])


class _Terms:
    """Moments of z -> phi(sqrt(q) z) that the recursion needs."""

    def __init__(self, phi, q):
        f, root = gaussian.integrand(phi, 1), np.sqrt(q)

        def mean(transform):
            return float(_quadrature.expectation(f, np.array([q]), lambda h, u: transform(h, u / root), degree=8)[0])

        self.phi = phi
        self.mean = m = mean(lambda h, z: h)
        variance = mean(lambda h, z: (h - m) ** 2)
        self.chi = mean(lambda h, z: h * z) ** 2 / variance
        self.kurtosis = mean(lambda h, z: (h - m) ** 4) / variance**2
        self.alpha = mean(lambda h, z: (h - m) ** 2 * (z * z - 1)) / (2 * variance)  # by parts
        self.first = _radial(mean, lambda h: h)
        self.square = _radial(mean, lambda h: h * h)

    def behind(self, kernel, off, width):
        """The kernel behind the activation, with the terms of the varying variance of a neuron over the batch."""
        kernel = pairs.averages(self.phi, kernel, width).kernel
        m = self.mean
        p, t, s = self.first
        cross = off * (-p * p / 2 - m * t + m * (1.5 * p + 0.5 * s))
        p, t, s = self.square
        same = off * (-t / 2 + 0.75 * p + s / 4)
        return pairs.Kernel(kernel.value, kernel.shift + np.array([same, same, cross]), kernel.cov)


def _radial(mean, f):
    """E z g', E (z g')'' and E z^2 g'' of a function g = f(phi), by parts."""
    return (
        mean(lambda h, z: f(h) * (z**2 - 1)),
        mean(lambda h, z: f(h) * (z**4 - 4 * z**2 + 1)),
        mean(lambda h, z: f(h) * (z**4 - 5 * z**2 + 2)),
    )
