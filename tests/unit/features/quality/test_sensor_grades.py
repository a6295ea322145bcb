"""Grades of sensors by their panes: what is the sensor's fault, and what is none."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from factories import HOUR, START

from pm_app.features.panes.panes import build_panes, merge_panes, no_panes
from pm_app.features.sensor_quality.grading import QualityRules, grade_sensors, look_back
from pm_app.records.features import RunningRule
from pm_app.records.readings import Readings
from pm_app.records.sensor_quality import worst_first

SIZE = 24 * 25
PANE = HOUR
LATER = START + SIZE * HOUR
BERLIN = ZoneInfo("Europe/Berlin")


def sound(seed=0):
    """A machine of two loads with what follows them, and the weather; an hour a value."""
    rng = np.random.default_rng(seed)
    hours = np.arange(SIZE)
    load = np.where(rng.random(SIZE // 10) < 0.5, 60.0, 90.0).repeat(10)
    return {
        "load": load + rng.normal(0, 0.5, SIZE),
        "current": 0.4 * load + rng.normal(0, 0.3, SIZE),
        "heat": 20 + 0.3 * load + rng.normal(0, 0.4, SIZE),
        "weather": 12 + 5 * np.sin(hours * np.pi / 12) + rng.normal(0, 0.3, SIZE),
    }


def panes_of(values, *, asset="m"):
    names = tuple(sorted(values))
    readings = Readings(
        (asset,),
        np.zeros(SIZE, np.int32),
        START + np.arange(SIZE, dtype=np.int64) * HOUR,
        names,
        np.array([values[name] for name in names], dtype=float),
    )
    return build_panes(readings, pane_ns=PANE)


def remarks(values, *, now=LATER, **rules):
    (quality,) = grade_sensors(panes_of(values), QualityRules(**rules), now=now)
    return list(quality.remarks)


def found(values, **more):
    return [(each.sensor, each.kind, each.grade) for each in remarks(values, **more)]


def hours_before_end(remark):
    return (LATER - remark.since) / HOUR


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_said_of_sound_sensors(seed):
    assert found(sound(seed)) == []


def test_nothing_is_said_without_panes_or_of_a_day():
    assert list(grade_sensors(no_panes(PANE), QualityRules(), now=LATER)) == []
    (quality,) = grade_sensors(panes_of(sound()).take(slice(0, 24)), QualityRules(), now=LATER)
    assert (quality.remarks, quality.judged, quality.sensors) == ((), 0, 4)


# Stuck.


def test_a_sensor_that_holds_its_value_while_others_move_is_bad():
    values = sound()
    values["heat"][-20:] = 40.25
    (remark,) = remarks(values)

    assert (remark.sensor, remark.kind, remark.grade) == ("heat", "stuck", "bad")
    assert hours_before_end(remark) == 20
    assert "reads 40.25 without change, while other" in remark.text


def test_a_machine_that_stands_still_has_no_stuck_sensors():
    values = sound()
    for name in ("load", "current", "heat"):
        values[name][-30:] = 0.0

    assert found(values) == []


def test_one_sensor_at_rest_is_in_doubt_while_its_machine_goes_on():
    values = sound()
    values["current"][-20:] = 0.0

    assert found(values) == [("current", "stuck", "doubtful")]


def test_one_sensor_at_rest_beside_others_that_are_unlike_before_is_the_machines():
    values = sound()
    values["current"][-20:] = 0.0
    values["load"][-20:] = 5 + np.arange(20) % 3
    values["heat"][-20:] = 15 - np.arange(20) / 10

    assert ("current", "stuck", "doubtful") not in found(values)


def test_a_coarse_sensor_may_hold_as_long_as_it_did_before():
    values = sound()
    weather = np.round(values["weather"])
    weather[100:110] = weather[200:212][0]
    values["weather"] = weather
    values["weather"][-14:] = 12.0
    values["coarse"] = np.round(30 + np.cumsum(np.random.default_rng(3).normal(0, 0.2, SIZE)))
    values["coarse"][300:306] = values["coarse"][300]
    values["coarse"][-14:] = values["coarse"][-15]

    assert found(values) == []


@pytest.mark.parametrize(
    "name, values",
    [
        ("counter", np.cumsum(np.r_[np.random.default_rng(0).random(SIZE - 40), np.zeros(40)])),
        ("running", np.r_[np.arange(SIZE - 40) % 3 == 0, np.zeros(40)].astype(float)),
        ("constant", np.full(SIZE, 4.0)),
        ("set point", np.r_[np.arange(SIZE - 40) // 9 * 1.5, np.full(40, 7.0)]),
    ],
)
def test_states_counters_constants_and_set_points_are_never_stuck(name, values):
    assert found({**sound(), name: values}) == []


def test_while_a_machine_is_off_nothing_is_judged():
    values = sound()
    for start in (100, 300, SIZE - 40):
        values["current"][start : start + 40] = 33.0
        values["load"][start : start + 40] = 0.0
    values["current"][SIZE - 40 :] = 31.0

    assert found(values, running=RunningRule("load", 10.0)) == []


# Dropped.


def test_a_sensor_without_values_where_others_have_some_is_bad():
    values = sound()
    values["heat"][-8:] = np.nan
    (remark,) = remarks(values)

    assert (remark.sensor, remark.kind, remark.grade) == ("heat", "dropped", "bad")
    assert hours_before_end(remark) == 8


def test_a_sensor_that_comes_and_goes_is_in_doubt():
    values = sound()
    values["heat"][-24::2] = np.nan

    assert found(values) == [("heat", "dropped", "doubtful")]


def test_rare_values_and_values_that_rest_with_the_machine_are_not_missed():
    values = sound()
    rare = np.full(SIZE, np.nan)
    rare[::24] = np.arange(SIZE // 24) % 7
    for start in (200, SIZE - 9):
        values["heat"][start : start + 9] = values["current"][start : start + 9] = np.nan

    assert found({**values, "rare": rare}) == []


# Values.


def test_beyond_its_limits_a_sensor_is_bad_or_once_in_doubt():
    values = sound()
    values["heat"][-10:] = 300.0 + np.arange(10)
    values["weather"][-5] = -60.0
    limits = {"heat": (-np.inf, 200.0), "weather": (-40.0, 50.0), "load": (0.0, np.inf)}
    marks = [each for each in remarks(values, limits=limits) if each.kind == "limits"]

    assert [(each.sensor, each.grade) for each in marks] == [
        ("heat", "bad"),
        ("weather", "doubtful"),
    ]
    assert "beyond its limits (… to 200) in 42% of the newest panes" in marks[0].text
    assert hours_before_end(marks[0]) == 10


def test_what_was_beyond_limits_before_the_newest_day_is_past():
    values = sound()
    values["heat"][-80:-60] = 300.0

    assert found(values, limits={"heat": (0.0, 200.0)}) == []


def test_a_sensor_that_alone_scatters_as_never_before_is_in_doubt():
    values, rng = sound(), np.random.default_rng(1)
    values["weather"][-24:] += rng.normal(0, 8, 24)
    assert found(values) == [("weather", "noisy", "doubtful")]

    values["heat"][-24:] += rng.normal(0, 40, 24)
    assert found(values) == []


# Steps.


def test_a_level_that_one_sensor_alone_keeps_is_a_question_about_the_sensor():
    values = sound()
    values["heat"][-100:] += 15
    (remark,) = remarks(values, zone=BERLIN)

    assert (remark.sensor, remark.kind, remark.grade) == ("heat", "step", "doubtful")
    assert hours_before_end(remark) == pytest.approx(100, abs=1)
    assert remark.text.startswith("was it moved, replaced or recalibrated on 20")
    assert "no other sensor of the asset shows why" in remark.text


@pytest.mark.parametrize(
    "change",
    [
        {"heat": np.r_[np.full(100, 15.0)], "current": np.full(100, 15.0)},
        {"heat": np.r_[np.full(60, 15.0), np.zeros(40)]},
        {"heat": np.linspace(0, 25, 100)},
        {"heat": np.r_[np.zeros(95), np.full(5, 15.0)]},
    ],
    ids=["others too", "it came back", "slowly", "just now"],
)
def test_other_changes_are_no_question_about_a_sensor(change):
    values = sound()
    for name, by in change.items():
        values[name][-100:] += by

    assert found(values) == []


def test_a_load_that_stays_is_the_machines():
    values = sound()
    values["load"][-100:] = 110 + np.random.default_rng(0).normal(0, 0.5, 100)
    values["current"][-100:] = 44 + np.random.default_rng(1).normal(0, 0.3, 100)
    values["heat"][-100:] = 53 + np.random.default_rng(2).normal(0, 0.4, 100)

    assert found(values) == []


# All of them.


def test_grades_of_an_asset_do_not_depend_on_others_nor_change_the_panes():
    stuck, fine = sound(), sound(1)
    stuck["heat"][-20:] = 40.0
    parts = [panes_of(stuck, asset="a"), panes_of({**fine, "more": fine["heat"] + 1}, asset="b")]
    panes = merge_panes(parts, pane_ns=PANE)
    before = panes.total.copy()
    first, second = grade_sensors(panes, QualityRules(), now=LATER)

    (alone,) = grade_sensors(parts[0], QualityRules(), now=LATER)
    assert first == alone
    assert (second.asset, second.sensors, second.remarks) == ("b", 5, ())
    np.testing.assert_array_equal(panes.total, before)


def test_stamps_from_the_future_are_of_the_whole_asset():
    (remark,) = remarks(sound(), now=LATER - 3 * HOUR)

    assert (remark.sensor, remark.kind, remark.grade) == ("", "clock", "bad")
    assert remark.text == (
        "its newest stamp lies 2.0 h in the future: whole hours, so a time zone or summer time?"
    )


def test_bad_comes_before_doubtful():
    values = sound()
    values["heat"][-20:], values["weather"][-24::2] = 40.0, np.nan
    ordered = worst_first(remarks(values)[::-1])

    assert [each.grade for each in ordered] == ["bad", "doubtful"]


@pytest.mark.parametrize("pane, panes", [(HOUR, 720), (HOUR // 6, 2016), (HOUR // 3600, 20_160)])
def test_two_weeks_are_looked_at_or_a_month_of_long_panes(pane, panes):
    assert look_back(pane) == panes
