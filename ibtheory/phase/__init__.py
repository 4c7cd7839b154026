r"""Phases of deep networks: fixed points, depth scales, edges of chaos, neutrality lines and phase diagrams.

Everything is about the block that a network repeats, at infinite width, for an exchangeable population in large
batches. q is the variance of the pre-activations of a block, c the correlation of those of two samples.
"""

from ibtheory.phase._diagram import PhaseDiagram, phase_diagram
from ibtheory.phase._gradient import gradient_factor
from ibtheory.phase._lines import CriticalLine, CriticalPoint, critical_line
from ibtheory.phase._scales import PHASES, DepthScales, FixedPoint, depth_scales

__all__ = [
    "PHASES",
    "CriticalLine",
    "CriticalPoint",
    "DepthScales",
    "FixedPoint",
    "PhaseDiagram",
    "critical_line",
    "depth_scales",
    "gradient_factor",
    "phase_diagram",
]
