"""The gradient factor of a repeated block as a SymPy expression."""

from ibtheory.symbolic.arguments import batch_size, variance
from ibtheory.symbolic.averages import derivative_dual, mean, ratio, second
from ibtheory.symbolic.batch import batch_moments, batch_slopes
from ibtheory.symbolic.maps import block_of, pinned


def gradient_factor(
    activation="relu",
    norm="none",
    placement="after",
    *,
    batch=None,
    weight_variance=2,
    bias_variance=0,
    q=None,
):
    r"""Factor of the mean square gradient per block, chi.

    Parameters
    ----------
    activation, norm, placement, weight_variance, bias_variance
        As for :func:`variance_map`.
    batch : int or sympy.Expr, optional
        Samples per BatchNorm statistic, above 3; without it, many. A finite batch needs ``norm="batch"`` before the
        activation.
    q : number or sympy.Expr, optional
        Same-sample moment in front of the activation, where no norm fixes it; the symbol q without it.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    NotImplementedError
        For BatchNorm after the activation with biases: every neuron then has a variance of its own.

    Notes
    -----
    With the Hermite coefficients of the activation at the variance it sees, and without biases,
    :math:`\chi = \sum_k k a_k^2/\sum_{k \ge 0} a_k^2` where the norm keeps the mean, and
    :math:`\sum_k k a_k^2/\sum_{k \ge 1} a_k^2` where it is removed. Infinite width; the first block may differ.

    References
    ----------
    Yang et al. 2019, arXiv:1902.08129 (BatchNorm).

    Examples
    --------
    >>> gradient_factor("relu", norm="layer", placement="after")
    pi/(-1 + pi)
    >>> gradient_factor("relu", norm="layer", placement="before")
    1
    >>> from ibtheory.symbolic import symbols
    >>> gradient_factor("linear", norm="batch", placement="before", batch=symbols().B)
    (B - 2)/(B - 3)
    """
    block = block_of(activation, norm, placement, weight_variance, bias_variance)
    if batch is not None:
        return _gradient_in_batches(block, batch)
    if block.after == "batch" and block.b != 0:
        raise NotImplementedError(
            "BatchNorm after the activation gives every neuron a variance that depends on its bias; set bias_variance=0"
        )
    q = variance("q", q, pinned(block))
    v = block.entering(q)
    slope = derivative_dual(block.activation, v, c=1)
    scale = block.leaving(q)[1] if block.after != "none" else 1
    if block.before == "batch":  # takes the mean out of what its own dense layer was given
        entering = (
            block.w
            if block.after != "none"
            else block.w * (second(block.activation, v) - mean(block.activation, v) ** 2)
        )
    elif block.before != "none":
        entering = q if block.after != "none" else block.w * second(block.activation, v) + block.b
    else:
        entering = 1
    return ratio(block.w * slope, scale * entering)


def _gradient_in_batches(block, batch):
    r"""[(B - 1) E phi'^2 + E phi'phi' - E u^2 phi'^2 + E u v phi'phi'] / [(B - 3)(Q - R)].

    From the Jacobian (I - 11'/B - uu'/B)/sd of BatchNorm: the direction u is uniform on its sphere and independent of
    the variance, whose inverse has mean B/((B - 3) sigma_w^2 (Q - R)); gradients in front of it sum to 0 over a batch.
    """
    if (block.before, block.after) != ("batch", "none"):
        raise NotImplementedError(
            "a finite batch is closed for norm='batch' before the activation alone; leave out batch"
        )
    batch = batch_size(batch)
    if batch.is_number and batch <= 3:
        raise ValueError(f"batch must exceed 3, got {batch}: the mean inverse variance of a smaller batch is infinite")
    found, slopes = batch_moments(block.activation, batch), batch_slopes(block.activation, batch)
    above = (batch - 1) * slopes.second + slopes.dual - slopes.weighted_second + slopes.weighted_dual
    return ratio(above, (batch - 3) * (found.second - found.dual))
