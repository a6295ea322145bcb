"""Alarms of a plant that runs: raised by scoring, worked on from the command line."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from factories import (
    ALARMING_TOML,
    NOW,
    FakeTrainer,
    drop,
    events_table,
    expected_alarms,
    hour,
    opened,
    promote_handmade,
    readings_table,
    standing,
)

from pm_app.errors import BadSettings, TerminalError
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.operations.alarms import acknowledge, comment, give_verdict, shelve
from pm_app.jobs.retrain.run import RetrainingOptions, retrain
from pm_app.jobs.score.alarm_rules import threshold_of
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.learning.data.failures import ConfirmedFailure
from pm_app.records.alarms import Verdict
from pm_app.records.learning import RenewedLives
from pm_app.store import Actor, segments_of
from pm_app.store.schema.alarms import alarms
from pm_app.times import to_nanoseconds

TABLE = readings_table()
LATER = NOW + timedelta(hours=1)
ANN = Actor("ann")


@pytest.fixture
def alarmed(new_plant):
    """A plant with alarms; threshold 39 %."""
    config = new_plant({"a.parquet": TABLE}, toml=ALARMING_TOML)
    with opened(config) as plant:
        score(plant, now=NOW)
    return config


def alarms_of(config, **which):
    with opened(config) as plant:
        return plant.store.alarms.alarms(**which)


def standing_alarm(config):
    return next(row for row in alarms_of(config, only_open=True) if row.state == "unacknowledged")


def test_scoring_raises_the_alarms_that_its_predictions_give(alarmed):
    with opened(alarmed) as plant:
        assert standing(plant.store) == expected_alarms(plant.store) != set()
    row = standing_alarm(alarmed)
    assert row.risk >= row.threshold == 0.39
    assert (row.horizon_hours, row.reason, row.model_version) == (72.0, "alarms.threshold", 1)


def test_without_a_threshold_the_default_holds_and_says_so(new_plant):
    config = new_plant({"a.parquet": TABLE})
    with opened(config) as plant:
        score(plant, now=NOW)
        assert plant.store.alarms.alarms() == []

        threshold = threshold_of(plant.settings.alarms, plant.store.alarms, 72.0)
        assert (threshold.risk, threshold.why) == (
            0.5,
            "the default: neither alarms.threshold nor a backtest has set another",
        )


def test_the_first_champion_raises_only_what_stands(new_plant):
    config = new_plant({"a.parquet": TABLE}, toml=ALARMING_TOML, champion=False)
    with opened(config) as plant:
        score(plant, now=NOW)
        assert plant.store.alarms.alarms() == []
        promote_handmade(plant)
        score(plant, now=LATER)

        rows = plant.store.alarms.alarms()
        assert {row.asset_id for row in rows} == expected_alarms(plant.store) != set()
        assert {row.state for row in rows} == {"unacknowledged"}


def test_backfill_and_replay_touch_no_alarm(alarmed):
    with opened(alarmed) as plant:
        before = plant.store.alarms.alarms(), plant.store.alarms.events()
        promote_handmade(plant, seed=5, at=NOW)
        done = backfill(plant, first=hour(0), last=hour(40), now=LATER)
        replay(plant, first=hour(0), last=hour(40))

        assert done.revised > 0
        assert (plant.store.alarms.alarms(), plant.store.alarms.events()) == before


def test_what_was_shelved_comes_back_at_a_scoring_without_news(alarmed):
    number = standing_alarm(alarmed).id
    with opened(alarmed) as plant:
        shelve(plant.store, number, until=LATER, at=NOW, actor=ANN)
        score(plant, now=NOW + timedelta(minutes=30))
        assert [e.action for e in plant.store.alarms.events(number)][-1] == "shelved"
        score(plant, now=LATER)

        event = plant.store.alarms.events(number)[-1]
        assert (event.action, event.to_state, event.at) == ("unshelved", "unacknowledged", LATER)


def test_sensors_that_fall_silent_are_one_data_alarm(new_plant):
    config = new_plant({"a.parquet": TABLE}, toml=ALARMING_TOML)
    with opened(config) as plant:
        score(plant, now=NOW)
        silent = readings_table(first_hour=30, hours=12, seed=1)
        nothing = pa.nulls(len(silent), pa.float64())
        for name in [name for name in silent.column_names if name.startswith("sensor")]:
            silent = silent.set_column(silent.column_names.index(name), name, nothing)
        drop(config, "silent.parquet", silent)
        score(plant, now=LATER)

        (row,) = [row for row in plant.store.alarms.alarms() if row.kind == "data"]
        assert row.about == ("pump-00", "pump-01", "pump-02")
        assert row.reason.startswith("3 of 3 assets without usable readings")


def test_a_list_of_alarms_names_what_a_person_needs(alarmed, pm_app):
    row = standing_alarm(alarmed)
    code, out, _ = pm_app("alarms", "-c", alarmed, "--asset", row.asset_id)

    assert code == 0
    for text in (row.asset_id, "unacknowledged", f"{row.risk:.0%}", "39%", "alarms.threshold"):
        assert text in out
    (listed,) = json.loads(pm_app("alarms", "-c", alarmed, "--json", "--asset", row.asset_id)[1])
    assert (listed["id"], listed["risk"]) == (row.id, row.risk)
    assert listed["events"][0]["action"] == "raised"


def test_what_is_done_to_an_alarm_is_shown_with_who_and_why(alarmed, pm_app):
    number = standing_alarm(alarmed).id
    assert pm_app("alarms", "acknowledge", number, "-c", alarmed, "--by", "Ann")[0] == 0
    pm_app("alarms", "comment", number, "looks like the seal", "-c", alarmed, "--by", "Bo")
    pm_app("alarms", "verdict", number, "not-confirmed", "-c", alarmed, "--found", "dry run")
    soon = (datetime.now(tz=UTC) + timedelta(hours=1)).isoformat()
    code, out, _ = pm_app(
        "alarms", "-c", alarmed, "shelve", number, "--until", soon, "--note", "wait"
    )

    assert code == 0
    assert f"shelved until {soon}" in out
    shown = json.loads(pm_app("alarms", "show", number, "-c", alarmed, "--json")[1])
    assert shown["state"] == "shelved"
    assert [(e["action"], e["to_state"]) for e in shown["events"][-4:]] == [
        ("acknowledged", "acknowledged"),
        ("comment", "acknowledged"),
        ("verdict", "acknowledged"),
        ("shelved", "shelved"),
    ]
    assert [e["actor"] for e in shown["events"][-4:-2]] == ["Ann", "Bo"]
    table = pm_app("alarms", "show", number, "-c", alarmed)[1]
    for text in ("looks like the seal", "not-confirmed; dry run", ": wait", "Bo"):
        assert text in table
    assert "not-confirmed" in pm_app("alarms", "-c", alarmed)[1]


def test_a_returned_alarm_is_cleared_by_acknowledging_and_then_shown_only_with_all(alarmed, pm_app):
    row = next(row for row in alarms_of(alarmed, only_open=True) if row.state == "returned")
    code, out, _ = pm_app("alarms", "acknowledge", row.id, "-c", alarmed)

    assert (code, out.strip()) == (0, f"alarm {row.id} of {row.asset_id}: cleared")
    asked = ("alarms", "-c", alarmed, "--json", "--asset", row.asset_id)
    assert json.loads(pm_app(*asked)[1]) == []
    assert [found["id"] for found in json.loads(pm_app(*asked, "--all")[1])] == [row.id]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["acknowledge", "999"], 1, "there is no alarm 999; the newest is"),
        (["show", "999"], 1, "there is no alarm 999"),
        (["comment", "1", " "], 2, "a comment needs words"),
        (["comment", "1", "a\x1b[2Jb"], 2, "no control characters"),
        (["acknowledge", "1", "--by", " "], 2, "who does it needs a name"),
        (["shelve", "1", "--until", "2020-01-01"], 2, "until a time to come, got 2020-01"),
        (["shelve", "1", "--until", "soon"], 2, "--until takes a time like"),
        (["verdict", "1", "confirmed", "--failed-at", "2199-01-01"], 2, "has happened, got 2199"),
        (["verdict", "1", "unclear", "--failed-at", "2020-01-01"], 2, "goes with confirmed"),
        (
            ["verdict", "1", "confirmed", "--failed-between", "2021-01-02", "2021-01-01"],
            2,
            "the failure began before it ended",
        ),
        (
            ["verdict", "1", "confirmed", "--failed-at", "2021-01-02"]
            + ["--failed-between", "2021-01-02", "2021-01-03"],
            2,
            "exclude each other",
        ),
        (["verdict", "1", "perhaps"], 2, "perhaps"),
    ],
)
def test_what_cannot_be_done_to_an_alarm_is_told(alarmed, pm_app, words, code, message):
    found, _, err = pm_app("alarms", words[0], "-c", alarmed, *words[1:])

    assert found == code
    assert message in " ".join(err.replace("│", " ").split())


def test_what_a_state_does_not_allow_is_refused(alarmed):
    row = standing_alarm(alarmed)
    with opened(alarmed) as plant:
        store = plant.store
        acknowledge(store, row.id, at=NOW, actor=ANN)
        with pytest.raises(TerminalError, match="is acknowledged: there is nothing to ackn"):
            acknowledge(store, row.id, at=NOW, actor=ANN)
        shelve(store, row.id, until=LATER, at=NOW, actor=ANN)
        with pytest.raises(TerminalError, match="is shelved until 2023-10-01T01:00"):
            acknowledge(store, row.id, at=NOW, actor=ANN)
        comment(store, row.id, "still on the shelf", at=NOW, actor=ANN)
        assert next(r for r in store.alarms.alarms() if r.id == row.id).shelved_until == LATER
        returned = next(r for r in store.alarms.alarms() if r.state == "returned")
        with pytest.raises(TerminalError, match="only an alarm that stands can be shelved"):
            shelve(store, returned.id, until=LATER, at=NOW, actor=ANN)
        with pytest.raises(BadSettings, match="a verdict is one of confirmed, not-confirmed"):
            give_verdict(store, row.id, Verdict("maybe"), at=NOW, actor=ANN)
        with pytest.raises(BadSettings, match="a failure mode goes with confirmed, got unclear"):
            give_verdict(store, row.id, Verdict("unclear", mode="seal"), at=NOW, actor=ANN)
        with pytest.raises(BadSettings, match="is one of bearing, seal or other, as .* got 'sael'"):
            named = {"at": NOW, "actor": ANN, "modes": ("bearing", "seal")}
            give_verdict(store, row.id, Verdict("confirmed", mode="sael"), **named)


def test_a_data_alarm_takes_no_verdict(alarmed):
    row = standing_alarm(alarmed)
    with opened(alarmed) as plant:
        with plant.store._database.writing() as connection:
            connection.execute(alarms.update().where(alarms.c.id == row.id).values(kind="data"))
        with pytest.raises(TerminalError, match="is of the plant; a verdict needs"):
            give_verdict(plant.store, row.id, Verdict("unclear"), at=NOW, actor=ANN)


def test_a_confirmed_verdict_is_a_failure_to_learn_from_once_it_is_given(alarmed):
    with opened(alarmed) as plant:
        two, one = [row.id for row in plant.store.alarms.alarms()][:2]
        known = Verdict("confirmed", "worn", hour(20), hour(22), "WO 7", "seal")
        give_verdict(plant.store, one, known, at=hour(30), actor=ANN)
        give_verdict(plant.store, two, Verdict("confirmed"), at=hour(40), actor=ANN)
        trainer = FakeTrainer("keep", made=False)
        for as_of in (29, 30, 40):
            retrain(plant, now=NOW, trainer=trainer, options=RetrainingOptions(as_of=hour(as_of)))
        give_verdict(plant.store, one, Verdict("not-confirmed"), at=hour(41), actor=ANN)
        retrain(plant, now=NOW, trainer=trainer, options=RetrainingOptions(as_of=hour(41)))
        raised = {row.id: row for row in plant.store.alarms.alarms()}

    told = [order.confirmed_failures for order in trainer.orders]
    moments = {number: to_nanoseconds(hour(number)) for number in (20, 22, 30, 40)}
    first = ConfirmedFailure(
        raised[one].asset_id, moments[20], moments[22], moments[30], "WO 7", "seal"
    )
    second = ConfirmedFailure(
        raised[two].asset_id, to_nanoseconds(raised[two].cutoff), moments[40], moments[40]
    )
    assert told == [
        (),
        (first,),
        (first, second),
        (second,),
    ]


def test_events_may_say_until_when(new_plant):
    toml = ALARMING_TOML + '[events]\nuntil_column = "by"\n'
    events = events_table(
        [("pump-00", 5.5, "failure", ""), ("pump-01", 6.0, "maintenance", "seal")]
    )
    by = pa.array([hour(8), None], pa.timestamp("us", "UTC"))
    config = new_plant(
        {"a.parquet": TABLE}, events={"e.parquet": events.append_column("by", by)}, toml=toml
    )
    with opened(config) as plant:
        score(plant, now=NOW)
        first = plant.event_history.read(segments_of(plant.store.ledger.ingested_batches("events")))
    with opened(config) as plant:
        again = plant.event_history.read(segments_of(plant.store.ledger.ingested_batches("events")))

    for found in (first, again):
        assert found.time.tolist() == [to_nanoseconds(hour(number)) for number in (8, 6)]
        assert found.since.tolist() == [to_nanoseconds(hour(number)) for number in (5.5, 6)]


def test_a_version_tells_how_many_of_its_failures_people_told_of(new_plant, pm_app):
    config = new_plant({"a.parquet": TABLE}, champion=False)
    with opened(config) as plant:
        retrain(plant, now=NOW, trainer=FakeTrainer(failures=12, failures_from_verdicts=3))

    (version,) = json.loads(pm_app("models", "-c", config, "--json")[1])["versions"]
    assert (version["failures"], version["of these from verdicts"]) == (12, 3)


def test_a_version_tells_how_many_lives_renewals_ended_and_what_that_leaves_open(new_plant, pm_app):
    config = new_plant({"a.parquet": TABLE}, champion=False)
    renewed = RenewedLives(120, 37, (24.0, 72.0), (0.01, 0.031), (0.01, 0.025), (0.05, 0.0976))
    with opened(config) as plant:
        retrain(plant, now=NOW, trainer=FakeTrainer(renewed=renewed))
        (number,) = (row.version for row in plant.store.lineage.versions())

        assert plant.registry.load(number).card.renewed == renewed
    (version,) = json.loads(pm_app("models", "-c", config, "--json")[1])["versions"]
    assert version["ended by renewal"] == "37 of 120 lives (31%)"
    assert version["fail within horizon"] == "3.10% (2.50% to 9.76%) in 72 h"
