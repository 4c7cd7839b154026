r"""The terms of order 1/width of a network with BatchNorm in every block.

BatchNorm leaves a kernel whose mean diagonal is 1 and whose mean off-diagonal is 0 (-1/(B-1) in its batch), whatever
the width; what the width changes is how its entries vary around their infinite-width values. Centring over the batch
is taken as the subtraction of the neuron mean m: for two samples at correlation 0 and width n the variances D of an
off-diagonal and A of a diagonal entry obey

    D' = chi_0^2 D + 1/n,     A' = eta^2 A + (kurtosis - 1)/n,

with chi_0 = a_1^2 / Var phi and eta = E z phi' (phi - m) / Var phi. The variance of a neuron over the batch varies
with them, by 2 D; for homogeneous phi that drops out. On concrete data the noise of finitely many neurons is read off
drawn neurons, with their own means and variances over the batch.
"""

from dataclasses import dataclass

import numpy as np

from ibtheory import _quadrature, gaussian
from ibtheory.layers import Activation, BatchNorm
from ibtheory.theory import pairs, population

_AT_ONCE = 16  # pairs whose products are held


@dataclass(frozen=True)
class Trace:
    """Infinite-width states of every layer, read at some pairs of groups.

    ``noises`` keeps what :meth:`noise` has found for all pairs, of which ``chosen`` are the ones in hand.
    """

    states: list
    first: np.ndarray
    second: np.ndarray
    chosen: slice
    noises: dict

    def noise(self, row, layers, width):
        """Covariance of (aa, bb, ab) of ``width`` neurons, centred over the batch behind ``layers``; None for a law.

        ``row`` is that of the dense layer below.
        """
        state = self.states[row]
        if not state.data.concrete:
            return None
        if row not in self.noises:
            self.noises[row] = self._drawn_noise(state, layers, np.random.default_rng(row)) / width
        return self.noises[row][self.chosen]

    def _drawn_noise(self, state, layers, rng):
        particles = population.draw(state.field, state.data, rng)
        for layer, _ in layers:
            particles = population.behind(layer, particles, state.data)
        values = particles.values
        blocks = values.reshape(len(values), -1, int(state.data.batch))
        values = np.ascontiguousarray((blocks - blocks.mean(axis=2, keepdims=True)).reshape(values.shape).T)
        parts = np.array_split(np.stack([self.first, self.second]), max(1, len(self.first) // _AT_ONCE), axis=1)
        return np.concatenate([_covariances(values[first], values[second]) for first, second in parts])

    def value(self, row):
        """(aa, bb, ab) of the pairs behind a layer, (P, 3)."""
        state = self.states[row]
        same, cross = state.same, state.cross
        first, second = self.first[self.chosen], self.second[self.chosen]
        return np.stack([same[first], same[second], cross[first, second]], axis=-1)

    def average(self, row):
        """(same, cross, gap, mean) averaged over the data."""
        return self.states[row].average()


def _covariances(a, b):
    """Covariance over neurons of (a a, b b, a b), values (P, neurons): (P, 3, 3)."""
    products = np.stack([a * a, b * b, a * b], axis=1)
    products -= products.mean(axis=2, keepdims=True)
    return products @ products.transpose(0, 2, 1) / a.shape[1]


def correction(blocks, weights, kernel, trace, classes):
    """(shift of the table (layers, 4), shifts of the agreements (P,)) for pairs with these weights."""
    rows = [np.zeros(4)]
    varying = kernel  # what the next BatchNorm sees of the layer below
    for block in blocks:
        dense, step = block[0]
        weight, bias = dense.variances(step.fan_in)
        kernel, varying = kernel.affine(weight, bias), varying.affine(weight, bias)
        rows.append(pairs.row(weights, kernel))
        before = len(block) > 1 and isinstance(block[1][0], BatchNorm)
        noise = trace.noise(len(rows) - 1, block[1:], step.units) if len(block) > 1 else None
        for layer, _ in block[1:]:
            value = trace.value(len(rows) - 1)
            if isinstance(layer, BatchNorm):
                kernel = _normalized(varying, trace.average(len(rows) - 1)[2], trace.value(len(rows)), weights)
                varying = kernel
            elif isinstance(layer, Activation):
                behind = pairs.averages(layer.function, pairs.Kernel(value, kernel.shift, kernel.cov), step.units)
                kernel = behind.kernel
                if before:
                    kernel = _with_varying_variance(kernel, layer.function, weights @ varying.cov[:, 2, 2])
                m, variance = trace.average(len(rows))[3], 1.0 if before else trace.average(len(rows))[2]
                varying = _centred(behind, m, None if noise is None else noise * variance**2)
            rows.append(pairs.row(weights, kernel))
    final = pairs.Kernel(trace.value(-1), kernel.shift, kernel.cov)
    return np.array(rows), pairs.agreement_shift(final, classes)


def _centred(averages, m, noise):
    """Averages of (h - m)(h' - m): shift and covariance of (aa, bb, ab); ``noise`` of drawn neurons where there is."""
    slope = np.array([[1.0, 0, 0, -2 * m, 0], [0, 1, 0, 0, -2 * m], [0, 0, 1, -m, -m]])
    value = averages.value @ slope.T + m * m
    noise = slope @ averages.noise @ slope.T if noise is None else noise
    return pairs.Kernel(value, averages.shift @ slope.T, slope @ averages.carried @ slope.T + noise)


def _normalized(kernel, variance, value, weights):
    """Behind BatchNorm: the mean over a batch and the variance over it stay what they are, so neither shifts."""
    shift = kernel.shift / variance
    same, cross = weights @ shift[:, :2].mean(axis=1), weights @ shift[:, 2]
    slope = (same - cross) / (weights @ (value[:, :2].mean(axis=1) - value[:, 2]))
    constant = same - slope * (weights @ value[:, :2].mean(axis=1))
    return pairs.Kernel(value, shift - constant - slope * value, kernel.cov / variance**2)


def _with_varying_variance(kernel, phi, off):
    """The terms of E phi(z_a / s) phi(z_b / s) for a variance s^2 over the batch that varies by 2 D."""
    f, one = gaussian.integrand(phi, 1), np.ones(1)

    def mean(transform):
        return float(_quadrature.expectation(f, one, transform, degree=4)[0])

    def radial(g):
        """E z g', E (z g')'' and E z^2 g'' of a function g of z, by parts."""
        return (
            mean(lambda h, z: g(h) * (z**2 - 1)),
            mean(lambda h, z: g(h) * (z**4 - 4 * z**2 + 1)),
            mean(lambda h, z: g(h) * (z**4 - 5 * z**2 + 2)),
        )

    m = mean(lambda h, z: h)
    p, t, s = radial(lambda h: h)
    cross = off * (-p * p / 2 - m * t + m * (1.5 * p + 0.5 * s))
    p, t, s = radial(lambda h: h * h)
    same = off * (-t / 2 + 0.75 * p + s / 4)
    return pairs.Kernel(kernel.value, kernel.shift + np.array([same, same, cross]), kernel.cov)
