"""What the logits say: predictions, and the shape of their law over the data."""

import numpy as np

from ibtheory import _jit
from ibtheory.output import EDGES


@_jit.inner
def winner(row):
    """The predicted class: of a single output by its sign (class 0 if positive), else the first of the largest."""
    if row.size == 1:
        return np.int64(0 if row[0] > 0 else 1)
    best = np.int64(0)
    largest = row[0]
    for k in range(1, row.size):
        best = k if row[k] > largest else best
        largest = max(row[k], largest)
    return best


@_jit.inner
def tally(logits, labels, hits, counts):
    """Right predictions of each class into ``hits``, predictions into ``counts``, both (classes,)."""
    outputs = logits.size // labels.size
    hits[:] = 0
    counts[:] = 0
    for x in range(labels.size):
        best = winner(logits[x * outputs : (x + 1) * outputs])
        counts[best] += 1
        hits[best] += best == labels[x]


@_jit.inner
def count(logits, outputs, groups, counts):
    """Predictions per class into ``counts`` (readouts, groups, classes); columns of a readout stand side by side."""
    counts[:] = 0
    for x in range(logits.shape[0]):
        for readout in range(counts.shape[0]):
            best = winner(logits[x, readout * outputs : (readout + 1) * outputs])
            counts[readout, groups[x], best] += 1


# Of the logits of one network over the data, mean over logits: skewness; variance m2 and its square; m3^2, m4 (central
# moments); second and fourth moment about 0; then the shares of the samples in the bins of ibtheory.output.EDGES.
SHAPE = ("skewness", "m2", "m2^2", "m3^2", "m4", "z^2", "z^4")
BINS = len(EDGES) + 1
_FIRST_BIN = len(SHAPE)
_PER_DEVIATION = round(1 / (EDGES[1] - EDGES[0]))


@_jit.inner
def _powers(row, mean, third, fourth):
    for j in range(row.size):
        d = row[j] - mean[j]
        third[j] += d * d * d
        fourth[j] += d * d * d * d


@_jit.inner
def _bin(row, mean, factor, shares):
    """Count the numbers (row - mean) * factor, in bins of width 1 around 0."""
    for j in range(row.size):
        place = np.int64(np.floor((row[j] - mean[j]) * factor[j])) + shares.size // 2
        shares[min(max(place, 0), shares.size - 1)] += 1.0


@_jit.inner
def shape(logits, mean, squares, sums, out):
    """The numbers of ``SHAPE`` and the bins into ``out``; NaN if a logit does not vary.

    ``mean`` and centred sums of ``squares`` are given; ``sums`` is scratch (3, columns).
    """
    samples, columns = logits.shape
    third, fourth, factor = sums[0, :columns], sums[1, :columns], sums[2, :columns]
    for j in range(columns):
        if squares[j] == 0:
            out[:] = np.nan
            return
        third[j] = fourth[j] = 0.0
        factor[j] = _PER_DEVIATION / np.sqrt(squares[j] / samples)
    out[:] = 0.0
    for x in range(samples):
        _powers(logits[x], mean, third, fourth)
        _bin(logits[x], mean, factor, out[_FIRST_BIN:])
    for j in range(columns):
        m2, mu = squares[j] / samples, mean[j]
        m3, m4 = third[j] / samples, fourth[j] / samples
        out[0] += m3 / (m2 * np.sqrt(m2))
        out[1] += m2
        out[2] += m2 * m2
        out[3] += m3 * m3
        out[4] += m4
        out[5] += m2 + mu * mu
        out[6] += m4 + 4.0 * m3 * mu + 6.0 * m2 * mu * mu + mu**4
    for k in range(out.size):
        out[k] /= columns if k < _FIRST_BIN else columns * samples
