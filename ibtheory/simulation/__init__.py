"""Simulation: random networks drawn, run, measured and trained."""

from ibtheory.simulation.ensemble import simulate
from ibtheory.simulation.training import train

__all__ = ["simulate", "train"]
