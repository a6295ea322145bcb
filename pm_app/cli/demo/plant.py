"""Simulated plant laid out as a real one: its folders, its settings, its daily files."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import write_file
from pm_app.errors import BadSettings
from pm_app.simulator import PlantPlan, SimulatedPlant

MARKER = ".pm-app-demo"
PLANT_TOML = """\
[plant]
name = "Simulated pumps"

[features]
pane = "3h"
windows = ["12h", "72h"]

[target]
horizons = ["24h", "72h"]
rul_cap = "10d"

[allocation]
strategy = "tiers+regularized"  # so that the demo shows guidance; "auto" picks what is best
max_parameters = 15000          # small enough to learn in a minute

[modes.bearing]                 # failures by their cause, and what to do about each
action = "Check lubrication and alignment; order the bearing"

[modes.seal]
action = "Check the flush; order the mechanical seal"

[modes.impeller]
action = "Look for cavitation; order the impeller"

[drift]
in_a_row = 1                    # a real plant waits for a second look
p_value = 0.05                  # and asks for more evidence than four months can give

[web]
listen = "127.0.0.1:8080"       # this machine alone
open = true                     # and whoever sits at it may look; to act, sign in
"""


def demo_plan(seed: int) -> PlantPlan:
    """Thirty pumps over four months; after 52 days other faults begin to dominate."""
    return PlantPlan(assets=30, days=115, change_at=52 / 115, seed=seed)


def lay_out(folder: Path) -> Path:
    """An empty plant in `folder`, an earlier demo there replaced; returns its plant.toml.

    Raises BadSettings where the folder holds anything that is no demo.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise BadSettings(f"{folder} holds other files; name a new folder for the demo")
        shutil.rmtree(folder)
    for name in ("readings", "events"):
        (folder / name).mkdir(parents=True)
    (folder / MARKER).touch()
    settings = folder / "plant.toml"
    settings.write_text(PLANT_TOML, encoding="utf-8")
    return settings


def drop_days(plant: SimulatedPlant, folder: Path, first: int, last: int) -> None:
    """One file of readings, and one of events where there are any, for each day [first, last)."""
    drop_readings(plant, folder, first, last)
    drop_events(plant, folder, first, last)


def drop_readings(plant: SimulatedPlant, folder: Path, first: int, last: int) -> None:
    """One file of readings for each day [first, last)."""
    for day in range(first, last):
        _drop(plant.readings(day, day + 1), folder / "readings", day)


def drop_events(plant: SimulatedPlant, folder: Path, first: int, last: int) -> None:
    """One file of events for each of these days that has any."""
    for day in range(first, last):
        events = plant.events_table(day, day + 1)
        if events.num_rows:
            _drop(events, folder / "events", day)


def start_of(plan: PlantPlan, day: int) -> datetime:
    """When a day of the plan begins."""
    return datetime.fromtimestamp(plan.start_ns / 1e9, tz=UTC) + timedelta(days=day)


def _drop(table: pa.Table, folder: Path, day: int) -> None:
    write_file(folder / f"day-{day:04d}.parquet", lambda path: pq.write_table(table, path))
