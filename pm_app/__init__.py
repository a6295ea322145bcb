"""Predictive maintenance: which asset fails next, why, and how long it has left."""

__version__ = "0.1.0"
