"""Tables that results hold, one row per layer or per comparison, and the limit of depth."""

from typing import NamedTuple

import numpy as np

_MOMENTS = ("same", "cross", "gap", "mean", "gamma")
_LAYER = np.dtype([("name", "U48"), *((name, "f8") for name in (*_MOMENTS, "gradient", "gradient_factor"))])
_ESTIMATES = (*_MOMENTS, "gradient", "gradient_cross", "weight_gradient")
_ENSEMBLE_LAYER = np.dtype(
    [("name", "U48"), *((f"{name}{end}", "f8") for name in _ESTIMATES for end in ("", "_error"))]
)
COMPARISON_ROW = np.dtype(
    [("layer", "U48"), ("quantity", "U24")]
    + [(name, "f8") for name in ("theory", "estimate", "error", "z", "p_value")]
    + [("exact", "?"), ("note", "U96")]
)


def _table(names, dtype):
    table = np.full(len(names), np.nan, dtype=dtype)
    table["name"] = names
    return table


def layer_table(names):
    """Structured array of theory per layer: name, same, cross, gap, mean, gamma, gradient, gradient_factor; NaN.

    >>> layer_table(["input", "logits"])["name"].tolist()
    ['input', 'logits']
    """
    return _table(names, _LAYER)


def ensemble_table(names):
    """Structured array of estimates per layer: name, then quantities, each with name_error; NaN.

    Quantities: same, cross, gap, mean, gamma; and with L the sum over samples of residual times logits and delta(x) its
    gradient with respect to the layer at sample x: gradient :math:`|\\delta(x)|^2`, gradient_cross
    :math:`\\delta(x) \\cdot \\delta(x')` of two samples, weight_gradient
    :math:`|\\partial (L/N) / \\partial W|^2` of a dense layer.
    """
    return _table(names, _ENSEMBLE_LAYER)


class DepthLimit(NamedTuple):
    """Where gamma goes when a block is repeated for ever.

    Attributes
    ----------
    gamma : float
        Limit of gamma of the logits; inf where it grows without bound.
    regime : str
        unbiased, neutral, prejudiced or deeply prejudiced.
    law : str
        How it gets there: "constant", "exponential", "power law", "logarithmic" (gamma grows as the square of the
        logarithm), "slow" (not settled after the blocks tried, and no fixed point decides; gamma is then the value
        there), "no repeated block", or "unknown" where the moments do not determine it (in both cases gamma is that
        of the network itself).
    """

    gamma: float
    regime: str
    law: str

    def __str__(self):
        return f"{self.regime} (gamma = {self.gamma:.4g}, {self.law})"
