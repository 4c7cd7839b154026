"""Simulation: random networks drawn, run and measured."""

from ibtheory.simulation.ensemble import simulate

__all__ = ["simulate"]
