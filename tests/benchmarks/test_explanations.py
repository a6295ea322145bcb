"""Whether explanations name what really drove a failure: on a plant that knows its own faults.

    python -m pytest -m benchmark tests/benchmarks/test_explanations.py -s

A plant of pumps is simulated and learned from; of every later failure that gave a warning, what
each sensor adds to the last risk before it (Shapley values) is held against the sensors that its
fault really moves. Failures that the model did not see coming explain nothing and are told apart.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from scipy.stats import beta

from pm_app.cli.demo.plant import drop_days, lay_out, start_of
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.explain import provenance
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.simulator import PlantPlan, simulate
from pm_app.times import to_moment
from pm_app.wiring import open_plant

# What each fault moves, by the physics of the simulator (pm_app/simulator/sensors.py).
DRIVERS = {
    "bearing": {
        "vibration",
        "vibration_rear",
        "bearing_temperature",
        "bearing_temperature_rear",
        "oil_debris",
        "motor_current",
    },
    "impeller": {"flow", "discharge_pressure", "vibration", "vibration_rear"},
    "seal": {"seal_leakage", "flow", "discharge_pressure"},
}
MIX = {"bearing": 0.4, "impeller": 0.4, "seal": 0.2}
PLAN = PlantPlan(assets=40, days=150, change_at=0.0, mix_before=MIX, mix_after=MIX, seed=5)
LEARNED_DAYS = 100
# A risk at or above this is a failure seen coming.
SEEN = 0.5
TRAINER_SECONDS = 3600


@dataclass(frozen=True)
class Told:
    """One failure, and the sensor that adds most to the last risk before it."""

    mode: str
    risk: float
    leading: str
    first_named: str
    off: float

    @property
    def right(self):
        return self.leading in DRIVERS[self.mode]


@contextmanager
def learn_and_score(folder, plant):
    """A plant that learned until one day and scored the days after it."""
    config = lay_out(folder)
    with config.open("a", encoding="utf-8") as file:
        file.write('\n[scoring]\nbackfill = "365d"\n')
    drop_days(plant, folder, 0, LEARNED_DAYS)
    with open_plant(read_settings(config)) as live:
        trainer = partial(run_trainer, timeout_seconds=TRAINER_SECONDS)
        then = start_of(PLAN, LEARNED_DAYS)
        print(retrain(live, now=then, trainer=trainer).reason)
        drop_days(plant, folder, LEARNED_DAYS, PLAN.days)
        score(live, now=start_of(PLAN, PLAN.days))
        yield live


def explained(live, plant):
    """Every failure after the learned days that its fault announced."""
    failures = plant.failures
    begin = start_of(PLAN, LEARNED_DAYS) + timedelta(days=1)
    for asset, time, mode in zip(failures.asset, failures.time, failures.mode, strict=True):
        moment = to_moment(int(time))
        if moment < begin or mode not in DRIVERS:
            continue
        found = provenance(live, asset=asset, cutoff=moment)
        told = found.explanation
        if told is None or found.predictions[-1]["status"] != "scored":
            continue
        yield Told(
            mode=mode,
            risk=found.predictions[-1]["risk"],
            leading=told.sensors[int(np.argmax(told.added))],
            first_named=found.predictions[-1]["top_sensors"].split(", ")[0].rsplit(" ", 2)[0],
            off=abs(float(told.added.sum()) - (told.signal - told.base)),
        )


def interval(hits, count):
    """Clopper & Pearson's, 95 %."""
    low = beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    return low, high


def tell(name, hits, rows):
    low, high = interval(hits, len(rows))
    print(f"{name:>30}: {hits} of {len(rows)} ({hits / len(rows):.1%}, {low:.1%} to {high:.1%})")


@pytest.mark.benchmark
def test_a_sensor_that_the_fault_moves_leads_the_explanation(tmp_path):
    plant = simulate(PLAN)
    with learn_and_score(tmp_path / "plant", plant) as live:
        rows = list(explained(live, plant))
    seen = [row for row in rows if row.risk >= SEEN]
    print(f"{len(rows)} later failures with a warning, {len(seen)} of them seen coming")
    for mode in DRIVERS:
        own = [row for row in seen if row.mode == mode]
        tell(mode, sum(row.right for row in own), own)
    tell("all seen coming", sum(row.right for row in seen), seen)
    tell("all", sum(row.right for row in rows), rows)
    # What the predictions table names first is cheaper: occlusion, one sensor at a time.
    named = sum(row.first_named in DRIVERS[row.mode] for row in seen)
    tell("first named in the table", named, seen)
    wrong = sorted((row.mode, row.leading) for row in rows if not row.right)
    print(f"otherwise led: {wrong}")
    print(f"largest difference from the log-odds: {max(row.off for row in rows):.1e}")

    assert sum(row.right for row in seen) >= 0.95 * len(seen)
    assert max(row.off for row in rows) <= 1e-4
