from dataclasses import replace

import numpy as np
from factories import SPEC
from normals import make_normal_card

from pm_app.features.frame import feature_names
from pm_app.records.features import Frame
from pm_app.scoring.watching import may_be_watched, watched_statuses

FEATURES, SENSOR_OF = feature_names(SPEC)
CARD = make_normal_card(SPEC)


def make_frame(ages, *, missing=(), off=None) -> Frame:
    """A row an age; `missing` sensors have no newest reading in the last one."""
    size = len(ages)
    values = np.full((size, len(FEATURES)), 50.0, dtype=np.float32)
    values[:, FEATURES.index("age")] = ages
    for sensor in missing:
        values[-1, FEATURES.index(f"{sensor}.last")] = np.nan
    asset, cutoff = np.zeros(size, dtype=np.int32), np.arange(size, dtype=np.int64)
    flags = None if off is None else np.array(off)
    return Frame(("a",), asset, cutoff, FEATURES, SENSOR_OF, values, flags)


def test_an_asset_is_watched_after_a_day():
    frame = make_frame([1.0, 23.9, 24.0, 100.0])

    assert may_be_watched(frame, CARD).tolist() == [False, False, True, True]
    assert watched_statuses(frame, CARD, np.full(4, 0.3)).tolist() == [
        *("not_enough_history", "not_enough_history"),
        *("watched", "watched"),
    ]


def test_with_windows_longer_than_a_day_the_shortest_counts():
    slow = replace(CARD, spec=replace(SPEC, windows_ns=(48 * 3_600_000_000_000,)))

    assert may_be_watched(make_frame([47.0, 48.0]), slow).tolist() == [False, True]


def test_an_asset_of_unknown_age_is_watched():
    assert may_be_watched(make_frame([np.nan]), CARD).tolist() == [True]


def test_a_table_without_time_is_watched_at_once():
    table = replace(CARD, spec=replace(SPEC, windows_ns=()))

    assert may_be_watched(make_frame([0.0]), table).tolist() == [True]


def test_a_machine_that_is_off_is_not_watched():
    frame = make_frame([100.0, 1.0, 100.0], off=[True, True, False])

    assert may_be_watched(frame, CARD).tolist() == [False, False, True]
    found = watched_statuses(frame, CARD, np.array([np.nan, np.nan, 2.0]))
    assert found.tolist() == ["machine_off", "machine_off", "watched"]


def test_without_a_deviation_missing_sensors_are_told_from_stuck_ones():
    gone = make_frame([100.0, 100.0], missing=SPEC.sensors[:2])
    stuck = make_frame([100.0, 100.0], missing=SPEC.sensors[:1])
    deviation = np.array([1.0, np.nan])

    assert watched_statuses(gone, CARD, deviation).tolist() == ["watched", "sensor_missing"]
    assert watched_statuses(stuck, CARD, deviation).tolist() == ["watched", "stale_input"]
