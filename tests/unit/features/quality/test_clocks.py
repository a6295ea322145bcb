"""Clocks that are off, by when files came and what they were stamped."""

from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, START

from pm_app.features.sensor_quality.clocks import NO_STAMP, Arrivals, shifted_stamps

MINUTE = HOUR // 60
FILES = 24


def arrivals(*, shift=None, delay=None, assets=6):
    """A file an hour, come five minutes after its newest stamps."""
    last = START + np.arange(FILES, dtype=np.int64) * HOUR
    newest = np.repeat(last[:, None], assets, axis=1)
    newest += np.array(shift or [0] * assets, dtype=np.int64)
    late = np.full(FILES, 5 * MINUTE) if delay is None else np.array(delay, dtype=np.int64)
    names = tuple(f"a-{number}" for number in range(assets))
    return Arrivals(names, last + late, last, newest, step=10 * MINUTE)


def found(given):
    return [(each.asset, each.grade, each.text) for each in shifted_stamps(given)]


def test_clocks_that_agree_are_fine():
    assert found(arrivals()) == []
    assert found(arrivals(shift=[0, 0, 0, 10 * MINUTE, 0, -20 * MINUTE])) == []


@pytest.mark.parametrize(
    "shift, grade, words",
    [
        (-HOUR, "doubtful", "60 min behind those of the other assets in the last 24 files: wh"),
        (2 * HOUR, "bad", "2.0 h ahead of those of the other assets in the last 24 files: wh"),
        (-100 * MINUTE, "doubtful", "100 min behind those of the other assets in the last 24 f"),
    ],
)
def test_an_asset_as_far_from_the_others_in_every_file_is_off(shift, grade, words):
    ((asset, grade_found, text),) = found(arrivals(shift=[0, 0, 0, shift, 0, 0]))

    assert (asset, grade_found) == ("a-3", grade)
    assert words in text
    assert text.endswith("summer time?") == (shift % HOUR == 0)


def test_an_asset_that_is_late_now_and_then_is_not_off():
    given = arrivals()
    given.newest[::2, 3] -= HOUR
    given.newest[1::5, 4] = NO_STAMP

    assert found(given) == []


def test_files_that_all_end_at_one_time_of_day_say_nothing():
    given = arrivals(shift=[0, 0, 0, -2 * HOUR, 0, 0])
    days = np.arange(FILES, dtype=np.int64) * 23 * HOUR
    daily = replace(
        given, came=given.came + days, last=given.last + days, newest=given.newest + days[:, None]
    )

    assert found(daily) == []


def test_too_few_assets_or_files_say_nothing():
    assert found(arrivals(shift=[0, HOUR, 0], assets=3)) == []


def test_delays_that_change_by_whole_hours_at_once_are_of_all_stamps():
    delay = np.r_[np.full(14, 5 * MINUTE), np.full(10, 65 * MINUTE)]
    ((asset, grade, text),) = found(arrivals(delay=delay))

    assert (asset, grade) == ("", "doubtful")
    assert text.startswith("since then all stamps are 60 min older when their file comes: whole")


@pytest.mark.parametrize(
    "delay",
    [
        np.r_[np.full(14, 5 * MINUTE), np.full(10, 45 * MINUTE)],
        np.r_[np.full(20, 5 * MINUTE), np.full(4, 65 * MINUTE)],
        np.arange(FILES) * 10 * MINUTE,
        np.r_[np.arange(14) * HOUR, np.full(10, 5 * MINUTE)],
    ],
    ids=["no whole hour", "too few files", "slowly", "unsteady before"],
)
def test_other_delays_are_delays(delay):
    assert found(arrivals(delay=delay)) == []
