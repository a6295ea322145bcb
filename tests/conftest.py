"""Factories with readable defaults, and where the open data sets lie."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pm_app.records.readings import Readings

HOUR = 3_600_000_000_000
START = 470_000 * HOUR  # 2023-08-14T08:00Z, a whole hour


@pytest.fixture
def open_data() -> Path:
    """The folder of public data sets; the test skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PM_APP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"needs the public data sets; set PM_APP_TEST_DATA (looked in {folder})")
    return folder


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


@pytest.fixture
def make_readings() -> Callable[..., Readings]:
    return random_readings
