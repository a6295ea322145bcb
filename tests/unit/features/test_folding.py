"""Sums of panes: one reading after another, however many stand side by side."""

import numpy as np
import pytest
from factories import HOUR, random_readings
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.features.panes.panes import build_panes


def sums_one_by_one(readings, asset, pane, sensor, pane_ns):
    """Sum and squares of deviations from the first value, as a loop adds them."""
    inside = (readings.asset == asset) & (readings.time // pane_ns == pane)
    inside &= ~np.isnan(readings.values[sensor])
    latest = dict(zip(readings.time[inside], readings.values[sensor, inside], strict=True))
    values = [value for _, value in sorted(latest.items())]
    total = squares = 0.0
    for value in values:
        deviation = value - values[0]
        total += deviation
        squares += deviation * deviation
    return total, squares


@given(
    rows=st.integers(1, 1500),
    assets=st.integers(1, 3),
    sensors=st.integers(1, 3),
    hours=st.sampled_from([1, 5, 40]),
    missing=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=40, deadline=None)
def test_every_sum_is_that_of_a_loop_to_the_bit(rows, assets, sensors, hours, missing, seed):
    readings = random_readings(
        rows=rows, assets=assets, sensors=sensors, hours=hours, missing=missing, seed=seed
    )

    panes = build_panes(readings, pane_ns=5 * HOUR)

    for at, (asset, pane) in enumerate(zip(panes.asset, panes.pane, strict=True)):
        for sensor in range(sensors):
            wanted = sums_one_by_one(readings, asset, pane, sensor, 5 * HOUR)
            assert (panes.total[at, sensor], panes.squares[at, sensor]) == wanted


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_panes_too_many_for_one_block_are_those_of_each_asset_alone(missing):
    readings = random_readings(rows=60_000, assets=40, sensors=4, missing=missing)

    together = build_panes(readings, pane_ns=HOUR)

    for asset in (0, 17, 39):
        rows = readings.asset == asset
        alone = build_panes(
            type(readings)(
                assets=readings.assets,
                asset=readings.asset[rows],
                time=readings.time[rows],
                sensors=readings.sensors,
                values=readings.values[:, rows],
            ),
            pane_ns=HOUR,
        )
        for name in ("count", "first", "total", "squares", "minimum", "maximum", "last_time"):
            expected = getattr(together, name)[together.asset == asset]
            np.testing.assert_array_equal(getattr(alone, name), expected, err_msg=name)
