"""Windows against a plain loop over the readings they cover."""

import numpy as np
from factories import HOUR, random_readings, sorted_readings
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.features.panes.panes import build_panes
from pm_app.features.windows import WINDOW_STATISTICS, last_values, roll_windows


@given(
    width=st.integers(1, 80),
    rows=st.integers(1, 250),
    hours=st.sampled_from([1, 30, 400]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=50, deadline=None)
def test_windows_equal_a_plain_loop_over_readings(width, rows, hours, seed):
    readings = sorted_readings(random_readings(rows=rows, hours=hours, missing=0.4, seed=seed))
    panes = build_panes(readings, pane_ns=HOUR)

    (windows,) = roll_windows(panes, windows_ns=[width * HOUR])
    last = last_values(panes, window_ns=width * HOUR)

    for row in np.random.default_rng(seed).integers(0, len(panes.pane), 12):
        pane = readings.time // HOUR
        inside = (
            (readings.asset == panes.asset[row])
            & (pane > panes.pane[row] - width)
            & (pane <= panes.pane[row])
        )
        for sensor in range(len(panes.sensors)):
            column = readings.values[sensor][inside]
            there = ~np.isnan(column)
            values, hour = column[there], pane[inside][there]
            assert windows.missing[row, sensor] == np.float64(1 - len(values) / inside.sum())
            if not len(values):
                for name in ("mean", "deviation", "minimum", "maximum", "slope"):
                    assert np.isnan(getattr(windows, name)[row, sensor])
                assert np.isnan(last[row, sensor])
                continue
            assert windows.minimum[row, sensor] == values.min()
            assert windows.maximum[row, sensor] == values.max()
            assert last[row, sensor] == values[-1]
            scale = max(np.abs(values).max(), 1)
            np.testing.assert_allclose(windows.mean[row, sensor], values.mean(), rtol=1e-9)
            np.testing.assert_allclose(
                windows.deviation[row, sensor], values.std(), rtol=1e-6, atol=1e-9 * scale
            )
            slope = windows.slope[row, sensor]
            if len(set(hour)) < 2:
                assert np.isnan(slope)
            else:
                expected = np.polyfit(hour - hour.mean(), values, 1)[0]
                np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-9 * scale)


@given(width=st.integers(1, 50), drop=st.integers(1, 60), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_window_does_not_depend_on_panes_outside_it_to_the_bit(width, drop, seed):
    panes = build_panes(random_readings(rows=400, hours=100, seed=seed), pane_ns=HOUR)
    since = panes.pane.min() + drop
    recent = panes.take(panes.pane >= since)

    (whole,) = roll_windows(panes, windows_ns=[width * HOUR])
    (partial,) = roll_windows(recent, windows_ns=[width * HOUR])

    covered = recent.pane - width + 1 >= since
    for name in WINDOW_STATISTICS:
        np.testing.assert_array_equal(
            getattr(whole, name)[panes.pane >= since][covered], getattr(partial, name)[covered]
        )


def test_windows_rolled_together_are_each_what_it_is_by_itself():
    panes = build_panes(random_readings(rows=400, hours=100), pane_ns=HOUR)
    lengths = [3 * HOUR, 24 * HOUR, 50 * HOUR]

    together = list(roll_windows(panes, windows_ns=lengths))

    for length, windows in zip(lengths, together, strict=True):
        (alone,) = roll_windows(panes, windows_ns=[length])
        for name in WINDOW_STATISTICS:
            np.testing.assert_array_equal(getattr(windows, name), getattr(alone, name), name)


def test_windows_of_no_panes_are_empty():
    panes = build_panes(random_readings(rows=0), pane_ns=HOUR)

    assert [w.mean.shape for w in roll_windows(panes, windows_ns=[HOUR, 2 * HOUR])] == [(0, 3)] * 2
    assert last_values(panes, window_ns=HOUR).shape == (0, 3)
