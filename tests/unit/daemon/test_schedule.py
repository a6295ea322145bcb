"""Turns: whatever becomes of the clocks, exactly one run where one was due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from pm_app.daemon.schedule import (
    NORMAL_CRON,
    Calendar,
    Interval,
    UntilFirst,
    make_cron,
    make_schedules,
)
from pm_app.errors import BadSettings
from pm_app.settings.plant import parse_settings
from pm_app.times import Stamp

BERLIN = "Europe/Berlin"


def make_settings(cron="0 2 * * *", timezone=BERLIN, every="30s"):
    tables = {
        "plant": {"timezone": timezone},
        "scoring": {"every": every},
        "retraining": {"cron": cron},
    }
    return parse_settings(tables, folder=".", origin="plant.toml")


def moment(text):
    return datetime.fromisoformat(text)


class Machine:
    """Two clocks, and a daemon that looks at its turns once a minute."""

    def __init__(self, begins, turns):
        self.at, self.seconds, self.turns = moment(begins).astimezone(UTC), 50_000.0, turns
        self.runs = []

    def stamp(self):
        return Stamp(self.at, "boot", self.seconds)

    def work(self, hours, *, step=60.0, again=False):
        for _ in range(round(hours * 3600 / step)):
            if self.turns.due(self.stamp()):
                self.turns.began(self.stamp())
                self.runs.append(self.at)
                self.turns.ended(self.stamp(), again=again)
            self.pass_by(step)

    def pass_by(self, seconds):
        """Time goes on and nobody looks: a suspend."""
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds

    def set_clock(self, hours):
        self.at += timedelta(hours=hours)


def nightly(begins, *, cron="30 2 * * *", last="2026-01-01T12:00+01:00"):
    machine = Machine(begins, Calendar(make_cron(make_settings(cron)), moment(last)))
    machine.turns.last = moment(begins)
    return machine


def shown(runs):
    return [run.astimezone(ZoneInfo(BERLIN)).strftime("%d. %H:%M") for run in runs]


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *"])
@pytest.mark.parametrize("begins", ["2026-03-28T12:00+01:00", "2026-10-24T12:00+02:00"])
def test_a_night_with_a_change_of_time_has_one_retraining(cron, begins):
    machine = nightly(begins, cron=cron)

    machine.work(23, step=300)

    assert len(machine.runs) == 1
    machine.work(48, step=300)
    assert len(machine.runs) == 3


def test_a_time_that_spring_leaves_out_comes_an_hour_later_by_the_wall():
    machine = nightly("2026-03-28T12:00+01:00")

    machine.work(24)

    assert shown(machine.runs) == ["29. 03:30"]


def test_of_the_hour_that_autumn_has_twice_the_first_counts():
    machine = nightly("2026-10-24T12:00+02:00")

    machine.work(24)

    assert [run.isoformat() for run in machine.runs] == ["2026-10-25T00:30:00+00:00"]


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("at", [0.5, 1.2, 2.0, 2.4, 2.6, 3.2])
def test_a_clock_that_is_set_by_an_hour_moves_a_retraining_and_makes_no_second(hours, at):
    machine = nightly("2026-01-05T00:00+01:00")

    machine.work(at)
    machine.set_clock(hours)
    machine.work(12)

    assert len(machine.runs) == 1


@pytest.mark.parametrize("asleep_at", [0.0, 1.0, 2.6, 6.0])
def test_a_machine_that_slept_eight_hours_does_what_it_missed_once(asleep_at):
    machine = nightly("2026-01-05T00:00+01:00")

    machine.work(asleep_at)
    machine.pass_by(8 * 3600)
    machine.work(8)

    assert len(machine.runs) == 1


def test_a_run_noted_by_a_clock_that_was_years_ahead_does_not_silence_the_nights():
    machine = nightly("2026-01-05T12:00+01:00")
    machine.set_clock(24 * 365)
    machine.work(24, step=300)
    machine.set_clock(-24 * 365)
    before = len(machine.runs)

    machine.work(48, step=300)

    assert len(machine.runs) == before + 2


@pytest.mark.parametrize("hours", [-1, 1, 0])
def test_a_clock_that_is_set_neither_stops_scoring_nor_doubles_it(hours):
    machine = Machine("2026-01-05T12:00+01:00", Interval(30.0))

    machine.work(0.5, step=1.0)
    machine.set_clock(hours)
    machine.work(0.5, step=1.0)

    assert len(machine.runs) == 120


def test_after_a_suspend_scoring_comes_at_once_and_once():
    machine = Machine("2026-01-05T12:00+01:00", Interval(3600.0))
    machine.work(0.5)
    machine.pass_by(8 * 3600)

    machine.work(0.9)

    assert len(machine.runs) == 2


def test_a_retraining_that_failed_for_now_is_tried_again_within_minutes_then_less_often():
    machine = nightly("2026-01-05T02:00+01:00")

    machine.work(5, again=True)

    assert shown(machine.runs) == [
        f"05. {at}" for at in ("02:30", "02:40", "03:00", "03:40", "04:40", "05:40", "06:40")
    ]
    machine.work(3)
    assert shown(machine.runs)[7:] == ["05. 07:40"]
    machine.work(24)
    assert shown(machine.runs)[8:] == ["06. 02:30"]


def test_a_retraining_that_failed_for_good_waits_for_the_next_night():
    machine = nightly("2026-01-05T02:00+01:00")

    machine.work(24, again=False)

    assert len(machine.runs) == 1


@pytest.mark.parametrize(
    "last, now, due",
    [
        (None, "2026-01-05T12:00+01:00", True),
        ("2026-01-05T02:00:01+01:00", "2026-01-06T01:59+01:00", False),
        ("2026-01-05T02:00:01+01:00", "2026-01-06T02:00+01:00", True),
        ("2026-01-05T01:59:59+01:00", "2026-01-05T02:00+01:00", True),
        # Clocks go from 2:00 to 3:00 on 2026-03-29: what was due at 2:00 is due at 3:00.
        ("2026-03-28T02:00:01+01:00", "2026-03-29T01:59+01:00", False),
        ("2026-03-28T02:00:01+01:00", "2026-03-29T03:00+02:00", True),
        ("2026-03-29T03:00:01+02:00", "2026-03-30T01:59+02:00", False),
        ("2026-03-29T03:00:01+02:00", "2026-03-30T02:00+02:00", True),
        # Clocks go from 3:00 back to 2:00 on 2026-10-25.
        ("2026-10-24T02:00:01+02:00", "2026-10-25T01:59+02:00", False),
        ("2026-10-24T02:00:01+02:00", "2026-10-25T02:00+02:00", True),
        ("2026-10-25T02:00:01+02:00", "2026-10-25T02:59+01:00", False),
        ("2026-10-25T02:00:01+01:00", "2026-10-26T01:59+01:00", False),
        ("2026-10-25T02:00:01+01:00", "2026-10-26T02:00+01:00", True),
    ],
)
def test_a_retraining_is_due_once_its_hour_in_plant_time_has_come(last, now, due):
    cron = make_cron(make_settings())

    for zone in (None, UTC):
        began = last and moment(last).astimezone(zone)
        calendar = Calendar(cron, began)
        assert calendar.due(Stamp(moment(now).astimezone(zone), "", 0.0)) == due


def test_what_waits_for_the_next_turn_counts_down_to_it():
    machine = nightly("2026-01-05T02:00+01:00")

    assert machine.turns.until_next(machine.stamp()) == 1800
    machine.pass_by(2000)
    assert machine.turns.until_next(machine.stamp()) == 0


@pytest.mark.parametrize(
    "cron, said",
    [
        ("0 25 * * *", "retraining.cron cannot be read: .*25.*, got '0 25 "),
        ("x 2 * * *", "retraining.cron cannot be read: .*, got 'x 2"),
        ("0 2 30 2 *", "retraining.cron never comes, got '0 2 30 2"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(cron, said):
    with pytest.raises(BadSettings, match=said):
        make_schedules(make_settings(cron=cron), None)


class TestUntilFirst:
    """What is learned for the first time as soon as it can be, then by the calendar."""

    def machine(self, *, there_after, last=None):
        asked = []

        def is_there():
            asked.append(1)
            return len(machine.runs) >= there_after

        calendar = Calendar(make_cron(make_settings(), "retraining.cron"), last)
        machine = Machine("2026-01-10T12:00+01:00", UntilFirst(calendar, is_there))
        machine.asked = asked
        return machine

    def test_it_is_tried_every_ten_minutes_until_there_is_one(self):
        machine = self.machine(there_after=6)
        machine.work(5)

        apart = [(b - a).total_seconds() for a, b in pairwise(machine.runs)]
        assert len(machine.runs) == 6
        assert apart == [600.0] * 5
        # Asked at the first look and after each run, not at every look.
        assert len(machine.asked) == 7

    def test_then_it_follows_the_calendar(self):
        machine = self.machine(there_after=1)
        machine.work(48)

        assert [run.astimezone(ZoneInfo(BERLIN)).hour for run in machine.runs] == [12, 2, 2]

    def test_a_daemon_that_starts_again_where_there_is_one_waits_for_its_turn(self):
        machine = self.machine(there_after=0, last=moment("2026-01-10T11:00+01:00"))
        machine.work(12)

        assert machine.runs == []


def test_the_cron_of_normal_behaviour_is_named_where_it_never_comes():
    tables = {"deviation": {"cron": "0 0 31 2 *"}}
    settings = parse_settings(tables, folder=".", origin="plant.toml")

    with pytest.raises(BadSettings, match=r"deviation\.cron never comes"):
        make_cron(settings, NORMAL_CRON)
