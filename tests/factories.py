"""Factories with readable defaults."""

import numpy as np

from pm_app.records.readings import Readings

HOUR = 3_600_000_000_000
START = 470_000 * HOUR  # 2023-08-14T08:00Z, a whole hour


def random_readings(
    *,
    rows: int = 500,
    assets: int = 3,
    sensors: int = 3,
    hours: float = 60,
    missing: float = 0.2,
    seed: int = 0,
) -> Readings:
    """Readings at random whole seconds in random order, some values missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(sensors, rows)) * 10.0 ** rng.integers(-3, 4, (sensors, 1))
    values += 10.0 ** rng.integers(0, 6, (sensors, 1))
    values[rng.random(values.shape) < missing] = np.nan
    return Readings(
        assets=tuple(f"pump-{number}" for number in range(assets)),
        asset=rng.integers(0, assets, rows).astype(np.int32),
        time=START + 10**9 * rng.integers(0, max(int(hours * 3600), 1), rows),
        sensors=tuple(f"sensor-{number}" for number in range(sensors)),
        values=values,
    )
