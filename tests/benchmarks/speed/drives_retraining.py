"""A retraining of 25,000 simulated drives, a reading a day; measured only when asked for."""

from dataclasses import replace
from pathlib import Path

from benchmarks.quality.sets.drives import LIFE, PLANT_TOML, DrivesPlan, simulate_drives
from benchmarks.quality.sets.plants import lay_out
from benchmarks.speed.retraining import retrained
from benchmarks.speed.rows import Row

ASSETS = 25_000


def measure(folder: Path) -> list[Row]:
    """One file of readings and one of failures; the booster is fitted to the same features."""
    drives = simulate_drives(replace(DrivesPlan(), assets=ASSETS))
    readings, events = drives.readings(), drives.events()
    told = f"{ASSETS:,} drives, {drives.plan.days} days, {readings.num_rows:,} readings"
    lay_out(folder / "plant", PLANT_TOML, readings, events)
    return [retrained(told, folder / "plant", LIFE.horizon_hours, LIFE.cap_hours)]
