"""One simulated machine that fails about once a day: little to learn from, much to judge by.

It teaches with its first 27 failures, 19 of them to fit by and 4 each to choose and to calibrate
by, in time order and no life cut; what follows is judged.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from benchmarks.quality.sets.folds import Fold, QualitySet, Task, make_fold, part_by_group
from benchmarks.quality.sets.plants import gather, lay_out
from benchmarks.quality.sets.seeds import plant_seeds

from pm_app.simulator import PlantPlan, simulate

LEARNED_FAILURES = 27
LIFE = Task("life", horizon_hours=4.0, cap_hours=24.0)
PLANT_TOML = """\
[features]
pane = "30min"
windows = ["2h", "8h"]

[target]
horizons = ["4h"]
rul_cap = "24h"
"""
_MIX = {"bearing": 0.45, "seal": 0.25, "impeller": 0.25, "electrical": 0.05}
# A life is about 0.8 days to the first sign, six hours of warning, an hour of repair.
PLAN = PlantPlan(assets=1, days=90, interval_minutes=5, mix_before=_MIX, mix_after=_MIX,
                 typical_life_days=0.9, warning_days=0.25, repair_hours=1.0)  # fmt: skip


def folds(open_data: Path, work: Path) -> Iterator[Fold]:
    """One machine a seed."""
    for name, plan in plant_seeds(PLAN):
        plant = simulate(plan)
        tables = plant.readings(0, plan.days), plant.events_table(0, plan.days)
        known = gather(lay_out(work / name, PLANT_TOML, *tables))
        frame, labels = known.chosen, known.labels
        rows = np.flatnonzero(labels.usable)
        # Lives are numbered in time; what follows the last failure was never judged by one.
        lives = np.unique(labels.life[rows[labels.failed[rows]]])
        border = lives[LEARNED_FAILURES]
        learn = rows[labels.life[rows] < border]
        judged = rows[np.isin(labels.life[rows], lives[LEARNED_FAILURES:])]
        split = part_by_group(
            labels.life, learn, judged, "by time, lives whole", level=None, seed=plan.seed
        )
        yield make_fold(name, frame, labels, split, known.paces)


SINGLE = QualitySet("single machine", "a failure a day, 27 to learn from", LIFE, folds, seeds=3)
