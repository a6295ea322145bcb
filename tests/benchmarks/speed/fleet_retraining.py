"""A retraining of 1,000 simulated assets over 90 days; long, so measured only when asked for."""

from dataclasses import replace
from pathlib import Path

from benchmarks.quality.sets.plants import lay_out
from benchmarks.speed.retraining import retrained
from benchmarks.speed.rows import Row

from pm_app.cli.demo.plant import demo_plan
from pm_app.simulator import simulate

ASSETS, DAYS = 1_000, 90
TOML = """\
[plant]
name = "A thousand pumps"

[features]
pane = "1h"
windows = ["6h", "24h", "72h"]

[target]
horizons = ["72h"]
rul_cap = "10d"
"""


def measure(folder: Path) -> list[Row]:
    """A reading an hour, one file of readings and one of events."""
    plan = replace(demo_plan(0), assets=ASSETS, days=DAYS, interval_minutes=60)
    plant = simulate(plan)
    readings, events = plant.readings(0, DAYS), plant.events_table(0, DAYS)
    told = f"{ASSETS:,} pumps, {DAYS} days, {readings.num_rows:,} readings"
    lay_out(folder / "plant", TOML, readings, events)
    return [retrained(told, folder / "plant", 72.0, 240.0)]
