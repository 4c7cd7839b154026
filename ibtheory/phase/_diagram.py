"""Phase diagrams over weight and bias variance."""

from dataclasses import dataclass
from typing import final

import numpy as np

from ibtheory._saved import Saved
from ibtheory.layers import Network
from ibtheory.phase._scales import PHASES, network_of, table_of, variances_of
from ibtheory.theory import fixed


@final
@dataclass(frozen=True, eq=False)
class PhaseDiagram(Saved):
    """The plane of weight and bias variance; made by :func:`phase_diagram`, saved by ``save``, read by ``ib.load``.

    Attributes
    ----------
    network : Network
    weight_variance : (W,) array
    bias_variance : (B,) array
    table : (B, W) structured array
        Fields q, c, gamma, chi_1, slope, xi_q, xi_c as in :class:`DepthScales`, and phase, an index of ``PHASES``.
    """

    network: Network
    weight_variance: np.ndarray
    bias_variance: np.ndarray
    table: np.ndarray

    @property
    def phase(self):
        """(B, W) array of words."""
        return np.array(PHASES)[self.table["phase"]]

    def plot(self, ax=None):
        """The diagram with its lines, see :func:`ibtheory.plot.phase_diagram`."""
        from ibtheory import plot

        return plot.phase_diagram(self, ax=ax)

    def __str__(self):
        table, size = self.table, self.table.size
        shares = [f"{np.sum(self.phase == word) / size:.1%} {word}" for word in PHASES]
        shares += [f"{np.sum(table['gamma'] <= 1) / size:.1%} neutral or unbiased"]
        shares += [f"{np.sum(np.isinf(table['q'])) / size:.1%} without a finite q*"]
        spans = [f"{v[0]:g} to {v[-1]:g} ({v.size})" for v in (self.weight_variance, self.bias_variance)]
        return f"PhaseDiagram: weight variance {spans[0]}, bias variance {spans[1]}\n  " + ", ".join(shares)


def phase_diagram(net, weight_variance, bias_variance):
    """Fixed points and phases over a grid of weight and bias variances.

    Parameters
    ----------
    net : Network
        Its own variances are replaced, in all Dense layers of the block.
    weight_variance : (W,) array_like
    bias_variance : (B,) array_like
        At least 0.

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As for :func:`critical_line`.

    Examples
    --------
    >>> from ibtheory import mlp
    >>> diagram = phase_diagram(mlp(100, 10, activation="erf"), [0.5, 1.0, 3.0], [0.05, 0.1])
    >>> diagram.phase.tolist()
    [['ordered', 'ordered', 'chaotic'], ['ordered', 'ordered', 'chaotic']]
    """
    weight = variances_of("weight_variance", np.asarray(weight_variance, float))
    bias = variances_of("bias_variance", np.asarray(bias_variance, float))
    weights, biases = (grid.ravel() for grid in np.meshgrid(weight, bias))
    block = fixed.block_of(network_of(net), weights, biases)
    table = table_of(block, fixed.squares(block)).reshape(len(bias), len(weight))
    return PhaseDiagram(net, weight, bias, table)
