"""Growth of the squared gradient per layer."""

import numpy as np

from ibtheory import _check, activations, zoo
from ibtheory.theory import fixed


def gradient_factor(activation, norm="none", placement="after", *, batch=None, weight_variance=2.0, bias_variance=0.0):
    r"""Growth of the squared gradient per layer of a deep network, at infinite width.

    With a_k the normalized Hermite coefficients at the variance that phi sees, without biases: sum k a_k^2 divided by
    sum a_k^2 over k >= 0 where the mean over neurons is kept, over k >= 1 where it is removed. Without norm it is
    sigma_w^2 E phi'(u)^2 at q*. BatchNorm before relu with batches of B, c = -1/(B - 1), R and K_0 the arc-cosine
    kernels of order 1 and 0: ((B - 2)/2 + K_0 + R)/((B - 3)(1/2 - R)).

    Parameters
    ----------
    activation : str or ActivationFunction
    norm, placement
        As in :func:`ibtheory.mlp`.
    batch : int, optional
        Samples per BatchNorm statistic, more than 3; the limit of large batches if left out.
    weight_variance, bias_variance : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For words or variances out of range, ``batch`` without BatchNorm, or of 3 and less: the factor is infinite.
    NotImplementedError
        For finite batches other than BatchNorm before relu.

    References
    ----------
    Yang et al. 2019, arXiv:1902.08129 (large batches).

    Examples
    --------
    >>> print(f"{gradient_factor('relu', 'layer', 'after'):.10f}")  # pi/(pi - 1)
    1.4669422069
    >>> print(f"{gradient_factor('relu', 'batch', 'before', batch=8):.8f}")
    1.78818998
    """
    activation = activations.get(activation)
    words = {"norm": norm, "placement": placement, "weight_variance": weight_variance, "bias_variance": bias_variance}
    net = zoo.mlp(64, 1, activation=activation, **words)
    if batch is not None:
        return _finite_batch(activation, norm, placement, batch)
    block = fixed.block_of(net)
    return float(fixed.near(block, fixed.squares(block))[0][0])


def _finite_batch(activation, norm, placement, batch):
    if norm != "batch":
        raise ValueError(f"batch={batch!r} belongs to norm='batch', got norm={norm!r}; leave it out")
    hint = "The variance of 3 samples or fewer has no finite mean inverse; the gradient is infinite."
    size = _check.integer("batch", batch, 4, hint=hint)
    if placement != "before" or activation != activations.relu:
        raise NotImplementedError(
            f"finite batches are known for BatchNorm before relu, not {placement} {activation.name}; leave batch out"
        )
    c = -1 / (size - 1)
    angle = np.arccos(c)
    kernel_1 = (np.sqrt(1 - c * c) + c * (np.pi - angle)) / (2 * np.pi)
    kernel_0 = (np.pi - angle) / (2 * np.pi)
    return float(((size - 2) / 2 + kernel_0 + kernel_1) / ((size - 3) * (0.5 - kernel_1)))
