"""The NNGP kernel: covariances of a logit of infinitely wide networks at the samples of a dataset."""

import numpy as np

from ibtheory import _blas, _check
from ibtheory.layers import Network
from ibtheory.theory.start import start
from ibtheory.theory.walk import follow


def kernel(net, x, *, samples=None, batch="all", seed=0):
    """The NNGP kernel of the logits: E z(x) z(x') over networks, at infinite width.

    Parameters
    ----------
    net : Network
    x : Dataset
    samples : int, optional
        So many rows, the ones that ``predict`` takes with this seed; all by default.
    batch : "all" or int
        Samples per BatchNorm statistic.
    seed : int
        Of the choice of rows, and of drawn neurons (BatchNorm), which leave a sampling error.

    Returns
    -------
    ndarray (N, N)

    Raises
    ------
    TypeError, ValueError
        For arguments out of range.

    References
    ----------
    Lee et al., Deep neural networks as Gaussian processes, arXiv:1711.00165.

    Examples
    --------
    >>> from ibtheory import Dataset, mlp
    >>> print(kernel(mlp(100, 1), Dataset([[1.0, 0.0], [0.0, 1.0]])).round(6))
    [[1.      0.31831]
     [0.31831 1.     ]]
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {net!r}; build one with ibtheory.mlp(...)")
    if getattr(x, "samples", None) is None:
        raise TypeError(
            f"x must be a Dataset, got {type(x).__name__}; draw samples first: Dataset(*x.draw(1000, seed=0))"
        )
    from ibtheory.theory import nodes  # loads the compiler

    seed = _check.integer("seed", seed, 0)
    steps = net.steps(x.features)
    rows, _ = x.draw(samples, seed)
    with _blas.one_thread(), np.errstate(over="ignore", invalid="ignore"):
        found = nodes.kernel(steps, rows)
        if found is None:
            state, *_ = start(x, steps, samples, batch, "exact", seed, [])
            found = follow(steps, state, np.random.default_rng(seed)).logits.cross
    return found
