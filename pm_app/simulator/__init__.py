"""A plant of centrifugal pumps that wear, fail and are repaired. Pure and seeded."""

from pm_app.simulator.plan import MODES, PlantPlan
from pm_app.simulator.plant import SimulatedPlant, simulate

__all__ = ["MODES", "PlantPlan", "SimulatedPlant", "simulate"]
