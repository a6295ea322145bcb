"""Simulated pumps: three plants that fail in different ways, a fold a seed.

Parted by the product's own rule: pumps are repaired and run on, so the newest rows are the
test, and what comes before is dealt by pump.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.quality.sets.folds import Fold, QualitySet, Task, make_fold
from benchmarks.quality.sets.plants import gather, lay_out
from benchmarks.quality.sets.seeds import plant_seeds

from pm_app.cli.demo.plant import demo_plan
from pm_app.learning.data.splits import split_rows
from pm_app.simulator import PlantPlan, simulate

LIFE = Task("life", horizon_hours=72.0, cap_hours=240.0)
PLANT_TOML = """\
[features]
pane = "6h"
windows = ["12h", "72h"]

[target]
horizons = ["72h"]
rul_cap = "10d"
"""


@dataclass(frozen=True)
class Pumps:
    """The folds of a plan: one a seed."""

    plan: PlantPlan

    def __call__(self, open_data: Path, work: Path) -> Iterator[Fold]:
        """One plant a seed, parted by the product."""
        for name, plan in plant_seeds(self.plan):
            plant = simulate(plan)
            readings, events = (
                table(0, plant.plan.days) for table in (plant.readings, plant.events_table)
            )
            known = gather(lay_out(work / name, PLANT_TOML, readings, events))
            frame, labels = known.chosen, known.labels
            split = split_rows(frame, labels, horizon_hours=LIFE.horizon_hours, seed=plan.seed)
            yield make_fold(name, frame, labels, split, known.paces)


_DEMO = replace(demo_plan(0), interval_minutes=60)
_SEALS = {"seal": 0.85, "bearing": 0.1, "electrical": 0.05}
_SEAL_PLAN = replace(_DEMO, mix_before=_SEALS, mix_after=_SEALS, nuisance=30, missing_share=0.05,
                     outages_per_sensor_month=0.6)  # fmt: skip
_MIXED = {"bearing": 0.35, "seal": 0.3, "impeller": 0.3, "electrical": 0.05}
_MIXED_PLAN = replace(_DEMO, assets=50, days=70, mix_before=_MIXED, mix_after=_MIXED, regimes=6,
                      warning_days=3.0)  # fmt: skip

PUMPS = (
    QualitySet("pumps, demo", "bearings, later impellers fail", LIFE, Pumps(_DEMO)),
    QualitySet("pumps, seals", "seals fail among 30 nuisance sensors, 5 % missing", LIFE,
               Pumps(_SEAL_PLAN)),
    QualitySet("pumps, mixed", "50 pumps, all modes, 6 regimes, 3 days of warning", LIFE,
               Pumps(_MIXED_PLAN)),
)  # fmt: skip
