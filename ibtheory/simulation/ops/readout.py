"""What the logits say: predictions, and the shape of their law over the data."""

import numpy as np

from ibtheory import _jit


@_jit.inner()
def count(logits, outputs, counts):
    """Predictions per class into ``counts`` (readouts, classes); the columns of a readout stand side by side.

    A single output decides by its sign (class 0 if positive); otherwise the largest wins, the first of equals.
    """
    counts[:] = 0
    for x in range(logits.shape[0]):
        for readout in range(counts.shape[0]):
            row = logits[x, readout * outputs : (readout + 1) * outputs]
            if outputs == 1:
                counts[readout, 0 if row[0] > 0 else 1] += 1
                continue
            best = 0
            largest = row[0]
            for k in range(1, outputs):
                best = k if row[k] > largest else best
                largest = max(row[k], largest)
            counts[readout, best] += 1


@_jit.inner()
def _powers(row, mean, third, fourth):
    for j in range(row.size):
        d = row[j] - mean[j]
        third[j] += d * d * d
        fourth[j] += d * d * d * d


@_jit.inner()
def shape(logits, mean, squares, third, fourth):
    """Skewness and excess kurtosis of a logit over the data, mean over logits; NaN if no logit varies.

    ``mean`` and centred sums of ``squares`` are given; ``third`` and ``fourth`` are scratch (columns,).
    """
    samples, columns = logits.shape
    third[:columns] = 0.0
    fourth[:columns] = 0.0
    for x in range(samples):
        _powers(logits[x], mean, third[:columns], fourth[:columns])
    skewness = kurtosis = 0.0
    varying = 0
    for j in range(columns):
        variance = squares[j] / samples
        if variance > 0:
            varying += 1
            skewness += third[j] / samples / (variance * np.sqrt(variance))
            kurtosis += fourth[j] / samples / (variance * variance) - 3.0
    if varying == 0:
        return np.nan, np.nan
    return skewness / varying, kurtosis / varying
