"""A plant of centrifugal pumps that wear, fail and are repaired. Pure and seeded.

`simulate` makes it from a plan; under a maintenance policy its `truth` knows every life and work,
`true_hazards` and `true_risks` what a pump was about to do, and `export_orders` writes its work
orders as badly as asked for, with what each row really is.
"""

from pm_app.simulator.hazards import TrueRisks, true_hazards, true_risks
from pm_app.simulator.order_files import OrderExport, OrderFile, order_csv
from pm_app.simulator.orders import ExportFlaws, export_orders
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.plant import SimulatedPlant, simulate
from pm_app.simulator.policy import MODES, MaintenancePolicy
from pm_app.simulator.truth import TruePlant

__all__ = [
    "MODES",
    "ExportFlaws",
    "MaintenancePolicy",
    "OrderExport",
    "OrderFile",
    "PlantPlan",
    "SimulatedPlant",
    "TruePlant",
    "TrueRisks",
    "export_orders",
    "order_csv",
    "simulate",
    "true_hazards",
    "true_risks",
]
