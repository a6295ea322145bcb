"""Panes, windows and horizons that suit how often readings come and how long machines live."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pm_app.features.spans import suitable_spans, unsuitable_spans, usual_life
from pm_app.settings.plant import parse_settings
from pm_app.times import HOUR_NS, NS, parse_duration

MINUTE, DAY = 60 * NS, 24 * HOUR_NS


def settings_of(keys):
    return parse_settings(keys, folder=Path(), origin="plant.toml")


@pytest.mark.parametrize("interval", [NS, 10 * MINUTE, HOUR_NS])
@pytest.mark.parametrize("life", [None, 5 * DAY, 200 * DAY])
def test_readings_of_minutes_and_lives_of_weeks_need_no_other_spans(interval, life):
    assert suitable_spans(interval, life) == {}
    assert unsuitable_spans(settings_of({}), interval_ns=interval, life_ns=life) == []


def test_a_reading_a_day_has_windows_of_days_and_a_stop_a_minute_horizons_of_seconds():
    daily, robot = suitable_spans(DAY), suitable_spans(NS, 75 * NS)

    assert daily["features"]["pane"] == "1d" and daily["features"]["windows"] == ["1d", "7d", "28d"]
    assert daily["target"]["horizons"] == ["7d", "14d"]
    assert robot["features"]["pane"] == "1s" and robot["target"]["rul_cap"] == "1min"
    assert robot["target"]["horizons"] == ["5s", "10s"]


@pytest.mark.parametrize("hours", [2, 3, 6, 8, 12, 24])
def test_a_pane_is_as_long_as_readings_are_apart(hours):
    """Of longer ones every other held twice as many readings."""
    assert suitable_spans(hours * HOUR_NS)["features"]["pane"] == (
        "1d" if hours == 24 else f"{hours}h"
    )


@settings(max_examples=300)
@example(261 * DAY + 1, None)
@example(1_383_219_003, 18_782_070_174)
@example(1_329_587_555_043_031, 16_069_093_203_434_346)
@given(
    st.integers(NS // 1000, 400 * DAY),
    st.one_of(st.none(), st.integers(NS, 4000 * DAY)),
)
def test_what_is_proposed_is_valid_and_suits(interval, life):
    if life is not None and life < 12 * max(interval, NS):
        return
    keys = suitable_spans(interval, life)
    found = settings_of(keys)

    assert unsuitable_spans(found, interval_ns=interval, life_ns=life) == []
    horizons = [parse_duration(each) for each in found.target.horizons]
    assert max(horizons) <= parse_duration(found.target.rul_cap)
    assert all(each >= found.features.pane_ns for each in horizons)


def test_what_does_not_suit_is_told_with_both_figures():
    rare = unsuitable_spans(settings_of({}), interval_ns=DAY, life_ns=None)
    short = unsuitable_spans(settings_of({}), interval_ns=NS, life_ns=HOUR_NS)
    coarse = settings_of({"target": {"horizons": ["5min"]}})

    assert rare == ["an asset is read every 24 h, and the longest window is 1d"]
    assert short == ["an asset fails every 60 min, and the shortest horizon is 1d"]
    assert unsuitable_spans(coarse, interval_ns=NS, life_ns=20 * MINUTE) == [
        "an asset fails every 20 min, and a pane is 10min"
    ]


def test_a_usual_life_is_between_failures_of_one_machine_that_has_run_in_between():
    hours = [0, 10, 20, 30, 41, 50]
    failures = {"a": [each * HOUR_NS for each in hours], "b": [3 * HOUR_NS]}
    # A state told at every reading is no life.
    lasting = {"a": [*failures["a"], *(50 * HOUR_NS + each * MINUTE for each in range(90))]}

    assert usual_life(failures, interval_ns=MINUTE) == 10 * HOUR_NS
    assert usual_life(lasting, interval_ns=MINUTE) == 10 * HOUR_NS
    assert usual_life({"a": failures["a"][:5]}, interval_ns=MINUTE) is None
