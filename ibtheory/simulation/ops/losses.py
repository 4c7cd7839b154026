"""Losses of one sample and their gradients; which is which is said in :mod:`ibtheory.losses`.

A single logit f stands for two classes: its target t is +1 for class 0 and -1 for class 1.
"""

import math

from ibtheory import _jit, _math
from ibtheory.losses import CROSS_ENTROPY, MSE


@_jit.inner
def residuals(kind, logits, labels, weights, gradient):
    """Mean over samples of weight times loss; its derivative by the logits into ``gradient``, which may be ``logits``.

    ``logits`` (samples outputs,); ``labels`` (samples,); ``weights`` (classes,).
    """
    samples = labels.size
    outputs = logits.size // samples
    total = 0.0
    for x in range(samples):
        label = labels[x]
        scale = weights[label] / samples
        row, back = logits[x * outputs : (x + 1) * outputs], gradient[x * outputs : (x + 1) * outputs]
        if outputs == 1:
            loss, slope = _single(kind, float(row[0]), 1.0 if label == 0 else -1.0)
            back[0] = scale * slope
        elif kind == CROSS_ENTROPY:
            loss = _cross_entropy(row, label, scale, back)
        elif kind == MSE:
            loss = _squares(row, label, scale, back)
        else:
            loss = _hinge(row, label, scale, back)
        total += scale * loss
    return total


@_jit.inner
def _single(kind, f, target):
    """(loss, derivative) of a single logit."""
    if kind == CROSS_ENTROPY:
        tail = math.exp(-abs(f))
        positive = target * f > 0
        loss = math.log1p(tail) + (0.0 if positive else abs(f))
        return loss, -target * (tail if positive else 1.0) / (1.0 + tail)
    if kind == MSE:
        return 0.5 * (f - target) ** 2, f - target
    margin = 1.0 - target * f
    return (margin, -target) if margin > 0 else (0.0, 0.0)


@_jit.inner
def _cross_entropy(row, label, scale, back):
    top = row[0]
    for k in range(1, row.size):
        top = max(top, row[k])
    own = float(row[label] - top)
    total = 0.0
    for k in range(row.size):
        back[k] = _math.exp(row[k] - top)
        total += back[k]
    for k in range(row.size):
        back[k] = scale * (back[k] / total - (1.0 if k == label else 0.0))
    return math.log(total) - own


@_jit.inner
def _squares(row, label, scale, back):
    total = 0.0
    for k in range(row.size):
        error = row[k] - (1.0 if k == label else 0.0)
        back[k] = scale * error
        total += error * error
    return 0.5 * total


@_jit.inner
def _hinge(row, label, scale, back):
    own = float(row[label])
    total = pushed = 0.0
    for k in range(row.size):
        margin = 1.0 + row[k] - own
        active = k != label and margin > 0
        back[k] = scale if active else 0.0
        total += margin if active else 0.0
        pushed += 1.0 if active else 0.0
    back[label] = -scale * pushed
    return total
