"""Panes: one order of summation, whatever the order of arrival."""

from dataclasses import fields

import numpy as np
import pytest
from factories import HOUR, START, random_readings, sorted_readings
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.features.panes.panes import (
    build_panes,
    merge_panes,
    overlapping_panes,
    pane_mean,
    pane_second_moment,
    select_sensors,
)
from pm_app.features.panes.readings import concat_readings, order_rows, take_readings
from pm_app.records.features import Panes, pane_arrays
from pm_app.records.readings import Readings


def assert_same_panes(left: Panes, right: Panes) -> None:
    assert (left.assets, left.sensors) == (right.assets, right.sensors)
    for name, values in pane_arrays(left).items():
        np.testing.assert_array_equal(values, getattr(right, name), err_msg=name)


@given(
    rows=st.integers(1, 200),
    pane_minutes=st.sampled_from([1, 7, 60, 1440]),
    cuts=st.lists(st.floats(0, 60), max_size=6),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_panes_continued_in_time_equal_panes_folded_at_once_to_the_bit(
    rows, pane_minutes, cuts, seed
):
    readings = random_readings(rows=rows, seed=seed, missing=0.3)
    pane_ns = pane_minutes * 60 * 10**9
    bounds = [START + int(cut * HOUR) for cut in sorted(cuts)]

    state = None
    for low, high in zip([0, *bounds], [*bounds, 2**62], strict=True):
        part = take_readings(readings, (readings.time >= low) & (readings.time < high))
        folded = build_panes(part, pane_ns=pane_ns, onto=state)
        state = folded if state is None else merge_panes([state, folded], pane_ns=pane_ns)

    whole = build_panes(readings, pane_ns=pane_ns)
    assert_same_panes(merge_panes([whole], pane_ns=pane_ns), state)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_matter(seed):
    readings = sorted_readings(random_readings(seed=seed))
    shuffled = take_readings(readings, np.random.default_rng(seed).permutation(len(readings.time)))

    assert_same_panes(build_panes(readings, pane_ns=HOUR), build_panes(shuffled, pane_ns=HOUR))


def test_pane_statistics_equal_a_plain_loop_over_readings():
    readings = sorted_readings(random_readings(rows=400))
    panes = build_panes(readings, pane_ns=HOUR)
    mean, moment = pane_mean(panes), pane_second_moment(panes)

    for row in range(len(panes.pane)):
        inside = (readings.asset == panes.asset[row]) & (readings.time // HOUR == panes.pane[row])
        assert panes.rows[row] == inside.sum()
        assert panes.first_row_time[row] == readings.time[inside].min()
        assert panes.last_row_time[row] == readings.time[inside].max()
        for sensor in range(len(panes.sensors)):
            column = readings.values[sensor][inside]
            values = column[~np.isnan(column)]
            times = readings.time[inside][~np.isnan(column)]
            assert panes.count[row, sensor] == len(values)
            if not len(values):
                assert np.isnan(mean[row, sensor])
                continue
            assert panes.first[row, sensor] == values[0]
            assert panes.last[row, sensor] == values[-1]
            assert panes.minimum[row, sensor] == values.min()
            assert panes.maximum[row, sensor] == values.max()
            assert panes.first_time[row, sensor] == times[0]
            assert panes.last_time[row, sensor] == times[-1]
            np.testing.assert_allclose(mean[row, sensor], values.mean(), rtol=1e-12)
            spread = ((values - values.mean()) ** 2).sum()
            np.testing.assert_allclose(moment[row, sensor], spread, rtol=1e-6, atol=1e-9)


def test_the_last_delivered_of_two_readings_with_one_time_counts():
    readings = Readings(
        assets=("a",),
        asset=np.zeros(3, dtype=np.int32),
        time=np.array([START, START, START + 1]),
        sensors=("x",),
        values=np.array([[1.0, 2.0, 5.0]]),
    )

    panes = build_panes(readings, pane_ns=HOUR)

    assert panes.rows.tolist() == [2]
    assert panes.first.tolist() == [[2.0]]


def test_readings_at_or_before_the_last_known_one_overlap_and_later_ones_do_not():
    known = build_panes(random_readings(rows=300, assets=1), pane_ns=HOUR)
    late = random_readings(rows=1, assets=1)
    at = known.last_row_time[3]

    def overlap(time: int) -> int:
        reading = Readings(late.assets, late.asset, np.array([time]), late.sensors, late.values)
        return len(overlapping_panes(reading, known).pane)

    assert overlap(at) == 1
    assert overlap(at - 1) == 1
    assert overlap(at + 1) == 0
    assert overlap(START - HOUR) == 0


def test_of_two_segments_with_the_same_pane_the_later_one_counts():
    older = build_panes(random_readings(rows=200), pane_ns=HOUR)
    newer = build_panes(random_readings(rows=50, seed=1), pane_ns=HOUR)

    merged = merge_panes([older, newer], pane_ns=HOUR)

    rows = {
        (merged.assets[a], p): r
        for a, p, r in zip(merged.asset, merged.pane, merged.rows, strict=True)
    }
    for asset, pane, count in zip(newer.asset, newer.pane, newer.rows, strict=True):
        assert rows[newer.assets[asset], pane] == count
    keys_of_both = {
        (part.assets[a], p)
        for part in (older, newer)
        for a, p in zip(part.asset, part.pane, strict=True)
    }
    assert set(rows) == keys_of_both


def test_a_sensor_that_appears_later_is_missing_before():
    first = random_readings(rows=100, sensors=1)
    second = random_readings(rows=100, sensors=2, seed=1)
    both = concat_readings([first, second])

    assert both.sensors == ("sensor-0", "sensor-1")
    assert np.isnan(both.values[1, :100]).all()
    panes = select_sensors(build_panes(first, pane_ns=HOUR), ("sensor-1", "sensor-0"))
    assert panes.count[:, 0].sum() == 0
    assert np.isnan(panes.last[:, 0]).all()
    assert panes.count[:, 1].sum() == (~np.isnan(first.values)).sum()


def test_rows_of_one_moment_make_a_whole_one_of_the_last_values_that_are_there():
    nan, moments = np.nan, np.array([1, 2, 1, 1, 2])
    values = np.array([[1.0, 2.0, nan, 3.0, nan], [nan, nan, 5.0, nan, nan]])
    readings = Readings(("p",), np.zeros(5, np.int32), moments, ("x", "y"), values.copy())

    whole, order = order_rows(readings)

    assert whole.time[order].tolist() == [1, 2]
    np.testing.assert_array_equal(whole.values[:, order], [[3.0, 2.0], [5.0, nan]])
    np.testing.assert_array_equal(readings.values, values)


def test_folding_leaves_its_input_unchanged():
    readings = random_readings()
    before = readings.values.copy(), readings.time.copy()
    state = build_panes(readings, pane_ns=HOUR)
    kept = {field.name: np.copy(getattr(state, field.name)) for field in fields(state)[2:]}
    later = Readings(
        readings.assets,
        readings.asset,
        readings.time + 100 * HOUR,
        readings.sensors,
        readings.values,
    )

    build_panes(later, pane_ns=1000 * HOUR, onto=state)
    build_panes(readings, pane_ns=HOUR, onto=None)

    np.testing.assert_array_equal(readings.values, before[0])
    np.testing.assert_array_equal(readings.time, before[1])
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(state, name), values)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_the_second_moment_does_not_cancel_far_from_zero(offset):
    spread = np.array([[-1.0, 1.0, -1.0, 1.0]]) + offset
    readings = Readings(("a",), np.zeros(4, dtype=np.int32), START + np.arange(4), ("x",), spread)

    panes = build_panes(readings, pane_ns=HOUR)

    assert pane_second_moment(panes)[0, 0] == pytest.approx(4.0, abs=1e-6)
