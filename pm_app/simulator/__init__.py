"""A plant of centrifugal pumps that wear, fail and are repaired. Pure and seeded."""

from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.plant import SimulatedPlant, simulate
from pm_app.simulator.policy import MODES, MaintenancePolicy

__all__ = ["MODES", "MaintenancePolicy", "PlantPlan", "SimulatedPlant", "simulate"]
