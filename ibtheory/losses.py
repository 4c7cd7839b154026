"""What training minimizes, by name: the mean over samples of class weight times the loss of a sample.

For logits f, label y and C classes; a single logit has the target t = +1 for class 0 and -1 for class 1:

- cross_entropy: :math:`\\log \\sum_k e^{f_k - f_y}`; single: :math:`\\log(1 + e^{-t f})`
- mse: :math:`\\tfrac12 \\sum_k (f_k - [k = y])^2`; single: :math:`\\tfrac12 (f - t)^2`
- hinge: :math:`\\sum_{k \\ne y} \\max(0, 1 + f_k - f_y)` (Weston and Watkins, ESANN 1999); single:
  :math:`\\max(0, 1 - t f)`
"""

from ibtheory import _check

__all__ = ["LOSSES", "get"]

LOSSES = ("cross_entropy", "mse", "hinge")
CROSS_ENTROPY, MSE, HINGE = range(3)


def get(name):
    """The number of a loss.

    >>> get("mse")
    1
    """
    return LOSSES.index(_check.choice("loss", name, LOSSES))
