"""Silence: what stops coming is told against the clock on the wall."""

import json
import shutil
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from factories import (
    NOW,
    drop,
    events_table,
    hour,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.cli.run.daemon import watch_plant
from pm_app.daemon.freshness import read_freshness
from pm_app.jobs.operations.alarms import acknowledge, shelve
from pm_app.jobs.score.run import score
from pm_app.records.alarms import SILENCES
from pm_app.settings.plant import read_settings
from pm_app.store import Actor
from pm_app.times import read_clock
from pm_app.wiring import open_views

HOURS = 24
MINUTES = timedelta(minutes=1)


@pytest.fixture(scope="module")
def fed_hourly(tmp_path_factory):
    """A plant whose readings have come every hour, and events with them, until hour 24."""
    config = make_plant(tmp_path_factory.mktemp("hourly") / "plant")
    with opened(config) as plant:
        promote_handmade(plant, at=hour(0))
        for number in range(HOURS):
            feed(config, number)
            happened = events_table([("pump-00", number + 0.5, "error", "E1")])
            drop(config, f"{number:03d}.parquet", happened, source="events")
            score(plant, now=hour(number + 1))
    return config


@pytest.fixture
def hourly(fed_hourly, tmp_path):
    """Such a plant of a test's own."""
    return Path(shutil.copytree(fed_hourly.parent, tmp_path / "plant")) / fed_hourly.name


def feed(config, number, **options):
    table = readings_table(first_hour=number, hours=1, seed=number, **options)
    drop(config, f"{number:03d}.parquet", table)


def freshness(config, at):
    settings = read_settings(config)
    with open_views(settings) as store:
        return {each.feed: each for each in read_freshness(store, settings, now=at)}


def test_a_historian_that_stops_is_overdue_after_twice_what_is_usual(hourly):
    quiet, late = freshness(hourly, hour(25.9)), freshness(hourly, hour(26.2))

    assert not quiet["readings"].overdue
    found = late["readings"]
    assert found.overdue and found.newest == pytest.approx(hour(24), abs=20 * MINUTES)
    assert 3600 <= found.usual_seconds < 2 * 3600
    for words in ("no reading since 2023-08-15", "usually at most", "look at the historian"):
        assert words in found.words
    assert not late["events"].overdue and not late["scores"].overdue


def test_readings_that_come_again_are_no_longer_overdue(hourly):
    feed(hourly, 47)
    with opened(hourly) as plant:
        score(plant, now=hour(48))

    assert not freshness(hourly, hour(48.5))["readings"].overdue


def test_a_clock_that_runs_ahead_hides_no_silence(hourly):
    drop(hourly, "ahead.parquet", readings_table(first_hour=24 + 20, hours=1))
    with opened(hourly) as plant:
        score(plant, now=hour(25))

    found = freshness(hourly, hour(36))["readings"]
    assert found.newest == hour(25)
    assert found.overdue


def test_a_file_that_is_quarantined_is_no_reading(hourly):
    torn = readings_table(first_hour=27, hours=1).drop_columns(["timestamp"])
    drop(hourly, "torn.parquet", torn)
    with opened(hourly) as plant:
        score(plant, now=hour(28))

    found = freshness(hourly, hour(29))["readings"]
    assert found.overdue
    assert "1 files came since and are quarantined: pm-app batches" in found.words


def test_events_that_stop_are_told_and_a_folder_that_was_always_empty_is_not(hourly, new_plant):
    for number in range(HOURS, 5 * HOURS):
        feed(hourly, number)
    with opened(hourly) as plant:
        score(plant, now=hour(5 * HOURS))
    found = freshness(hourly, hour(5 * HOURS))
    without = freshness(new_plant({"a.parquet": readings_table()}), NOW)["events"]

    assert found["events"].overdue and "no event since 2023-08-15" in found["events"].words
    assert "look at what fills events.uri" in found["events"].words
    assert not found["readings"].overdue
    assert (without.newest, without.overdue) == (None, False)


def test_files_that_wait_to_be_scored_make_scores_overdue_and_no_files_do_not(hourly):
    assert not freshness(hourly, hour(1000))["scores"].overdue
    feed(hourly, 24)
    with opened(hourly) as plant:
        plant.store.ledger.record_batch(
            replace(plant.store.ledger.batches(limit=1)[0], digest="f" * 64, ingested_at=hour(25))
        )

    soon, late = (freshness(hourly, hour(at))["scores"] for at in (25.2, 26.0))
    assert not soon.overdue
    assert late.overdue and "nothing is scored: files wait since" in late.words


def test_a_retraining_that_does_not_come_is_told_when_it_was_due(hourly):
    # Made at 8:00, due at 2:00 the next night, given six hours and one.
    before, after = (freshness(hourly, hour(at))["retraining"] for at in (24.9, 25.1))

    assert not before.overdue
    assert after.overdue and "it was due 2023-08-15 02:00 UTC" in after.words
    assert after.usual_seconds == 86_400


def test_a_clock_that_was_set_back_is_told(hourly):
    words = freshness(hourly, hour(-10_000))["readings"].words

    assert "the clock of this machine stands at 2022" in words and "it was set back" in words


def test_status_of_old_readings_is_not_fine_and_says_how_old(hourly, pm_app, monkeypatch):
    days = replace(read_clock(), at=hour(HOURS + 213 * 24))
    monkeypatch.setattr("pm_app.cli.look.status.read_clock", lambda: days)

    code, out, _ = pm_app("status", "-c", hourly)
    found = json.loads(pm_app("status", "-c", hourly, "--json")[1])

    assert code == 1
    assert "trouble: no reading since 2023-08-15" in out and "the newest is 213 d old" in out
    feeds = {each["feed"]: each["overdue"] for each in found["freshness"]}
    assert feeds == {
        "readings": True,
        "assets": False,
        "events": True,
        "scores": False,
        "retraining": True,
    }


class Night:
    """The daemon's look for what has stopped, at hours of a test's own."""

    def __init__(self, plant):
        self.plant = replace(plant, channels=("message 1",))
        self.looked = threading.Event()
        self.looked.set()

    def look(self, at):
        return watch_plant(self.plant, self.looked, hour(at))

    def alarms(self):
        rows = self.plant.store.alarms.alarms()
        return [(row.kind, row.state) for row in rows if row.kind in SILENCES]

    def actions(self, kind):
        numbers = [row.id for row in self.plant.store.alarms.alarms() if row.kind == kind]
        return [
            (event.action, event.to_state)
            for number in numbers[::-1]
            for event in self.plant.store.alarms.events(number)
        ]


def test_a_historian_that_stops_is_one_alarm_told_once_until_readings_come_again(hourly):
    with opened(hourly) as plant:
        night = Night(plant)
        for at in (24.5, 24.8, 26.5, 26.6, 27, 28):
            night.look(at)
        (alarm,) = [row for row in plant.store.alarms.alarms() if row.kind == "readings"]
        (news,) = [row for row in plant.store.outbox.waiting() if row.kind == "readings"]
        feed(hourly, 28)
        score(plant, now=hour(29))
        night.look(29)

        assert (alarm.state, alarm.asset_id, alarm.raised_at) == ("unacknowledged", "", hour(26.5))
        assert alarm.reason.startswith("no reading since 2023-08-15 0")
        assert hour(23.5) < alarm.cutoff < hour(24)
        assert news.reason == alarm.reason
        assert night.actions("readings") == [
            ("raised", "unacknowledged"),
            ("returned", "returned"),
        ]
        assert plant.store.alarms.events(alarm.id)[-1].note == "readings come again"


def test_an_alarm_of_silence_is_acknowledged_shelved_and_shown_like_others(hourly, pm_app):
    with opened(hourly) as plant:
        night = Night(plant)
        night.look(26.5)
        number = next(r.id for r in plant.store.alarms.alarms() if r.kind == "readings")
        acknowledge(plant.store, number, at=hour(26.6), actor=Actor("ann"))
        night.look(27)
        shelve(plant.store, number, until=hour(30), at=hour(27), actor=Actor("ann"))
        night.look(29)
        night.look(30)

        assert night.actions("readings") == [
            ("raised", "unacknowledged"),
            ("acknowledged", "acknowledged"),
            ("shelved", "shelved"),
            ("unshelved", "unacknowledged"),
        ]
    assert "(No new readings)" in pm_app("alarms", "-c", hourly)[1]


def test_what_waited_while_the_plant_was_off_is_no_silence(hourly):
    with opened(hourly) as plant:
        night = Night(plant)
        night.looked.clear()
        words = night.look(60)

        assert words == "waits for the first look at new files"
        assert night.alarms() == []


def test_one_asset_that_stops_while_others_go_on_is_an_alarm_that_names_it(hourly):
    for number in range(24, 24 + 30):
        feed(hourly, number, assets=2)
    with opened(hourly) as plant:
        score(plant, now=hour(54))
        Night(plant).look(54)
        (row,) = [row for row in plant.store.alarms.alarms() if row.kind == "assets"]

    assert row.about == ("pump-02",)
    assert row.reason.startswith("no reading of pump-02 since 2023-08-15")


def test_predictions_know_nothing_of_the_wall_clock(hourly, tmp_path):
    """Law 3: only how alarms of silence stand differs, whenever the same files are read."""
    feed(hourly, 24)
    late = Path(shutil.copytree(hourly.parent, tmp_path / "late")) / hourly.name
    found = []
    for config, at in ((hourly, 25), (late, 25 + 20 * 24)):
        with opened(config) as plant:
            Night(plant).look(at)
            score(plant, now=hour(at))
            found.append(said(plant.store, without=["scored_at"]))

    assert found[0] == found[1]


def test_a_quarantined_file_that_is_repaired_clears_from_status_and_figures(new_plant, pm_app):
    good = readings_table()
    config = new_plant({"a.parquet": good.drop_columns(["timestamp"])})
    counts = []

    def look(minutes):
        with opened(config) as plant:
            for _ in range(2):
                score(plant, now=NOW + minutes * MINUTES)
        status = json.loads(pm_app("status", "-c", config, "--json")[1])
        listed = json.loads(pm_app("batches", "--quarantined", "--json", "-c", config)[1])
        assert len(listed) == status["quarantined"]
        counts.append(status["quarantined"])

    look(0)
    drop(config, "a.parquet", good.drop_columns(["asset_id"]))
    drop(config, "copy.parquet", good.drop_columns(["asset_id"]))
    look(1)
    drop(config, "a.parquet", good)
    look(2)
    drop(config, "copy.parquet", readings_table(first_hour=40, seed=1))
    look(3)

    assert counts == [1, 1, 1, 0]
