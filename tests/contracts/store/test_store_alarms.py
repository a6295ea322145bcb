"""What every database must do with alarms."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from factories import make_card
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from pm_app.errors import TerminalError
from pm_app.jobs.operations.alarms import give_verdict
from pm_app.jobs.retrain.request import confirmed_failures
from pm_app.jobs.score.alarm_rules import alarm_judges
from pm_app.jobs.score.champion import Champion
from pm_app.records.alarms import WORK_ORDER, AlarmRule, AlarmStep, Verdict
from pm_app.records.normality import AlarmLevel
from pm_app.scoring.alarms import RuleJudge
from pm_app.settings.plant import parse_settings
from pm_app.store import Actor
from pm_app.store.alarms import history
from pm_app.store.schema.alarms import alarm_events, alarm_marks, alarms, verdicts
from pm_app.store.schema.predictions import (
    latest_predictions,
    prediction_history,
    predictions,
    retirements,
)

DAY = datetime(2026, 3, 1, tzinfo=UTC)
RULE = AlarmRule(horizon_hours=72.0, threshold=0.5, clear=0.8, persistence=2, why="for a test")
JUDGE = RuleJudge(RULE)
HIGH, BETWEEN, LOW = 0.9, 0.45, 0.1
UNUSUAL = AlarmRule(
    72.0, threshold=1.0, clear=0.8, persistence=2, why="its level", kind="deviation"
)
BOTH = (JUDGE, RuleJudge(UNUSUAL))


def hour(number):
    return DAY + timedelta(hours=number)


@pytest.fixture
def say(store, make_predictions):
    """Commits risks by (asset, hour), at horizons of 24 and 72 hours, as scoring does, and
    deviations beside them."""

    def commit(risks, deviations=None, *, judge=JUDGE, at=DAY, live=True, statuses=None, mode=None):
        unusual = deviations or {}
        chunk = make_predictions(
            {
                (asset, hour(number), horizon): None if risk is None else risk * share
                for (asset, number), risk in risks.items()
                for horizon, share in ((24.0, 0.5), (72.0, 1.0))
            },
            mode=mode,
            deviations={
                (asset, hour(number), horizon): deviation
                for (asset, number), deviation in unusual.items()
                for horizon in (24.0, 72.0)
            },
            normal=7 if unusual else 0,
        )
        if statuses is not None:
            chunk = replace(chunk, status=np.repeat(np.array(statuses, dtype=object), 2))
        judges = judge if isinstance(judge, tuple) else () if judge is None else (judge,)
        return store.writer.commit_scores((), [chunk], scored_at=at, judges=judges, live=live)

    return commit


def states(store):
    return {row.asset_id: row.state for row in store.alarms.alarms()[::-1]}


def steps(store):
    return [(row.action, row.from_state, row.to_state) for row in store.alarms.events()]


def to(state):
    return lambda alarm: AlarmStep("moved", state, "by hand")


def test_an_alarm_keeps_what_raised_it(store, say):
    say({("a", 1): HIGH, ("a", 2): 0.8, ("b", 1): LOW, ("b", 2): HIGH}, at=hour(3))

    (alarm,) = store.alarms.alarms()
    (event,) = store.alarms.events(alarm.id)
    assert (alarm.kind, alarm.asset_id, alarm.horizon_hours) == ("risk", "a", 72.0)
    assert (alarm.state, alarm.raised_at, alarm.cutoff) == ("unacknowledged", hour(3), hour(2))
    assert (alarm.risk, alarm.threshold, alarm.reason) == (0.8, 0.5, "for a test")
    assert (alarm.top_sensors, alarm.model_version) == ("vibration 62 %", 1)
    assert (event.action, event.from_state, event.actor) == ("raised", None, "pm-app")
    assert (event.cutoff, event.note) == (hour(2), "risk 0.8, threshold 0.5 (for a test)")


def test_an_alarm_keeps_its_failure_mode_and_tells_when_another_is_likelier(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH}, mode="bearing")
    (raised,) = store.alarms.alarms()
    say({("a", 3): HIGH}, mode="seal")
    (once,) = store.alarms.alarms()
    say({("a", 4): None, ("a", 5): HIGH}, mode="seal", at=hour(6))
    say({("a", 5): HIGH}, mode="seal", at=hour(7))

    (alarm,) = store.alarms.alarms()
    event = store.alarms.events()[-1]
    assert (raised.mode, raised.mode_risks) == ("bearing", '{"bearing": 0.9}')
    assert [row.likeliest_mode for row in (raised, once, alarm)] == ["bearing", "bearing", "seal"]
    assert (alarm.mode, alarm.state) == ("bearing", "unacknowledged")
    assert [row.action for row in store.alarms.events()] == ["raised", "mode"]
    assert (event.at, event.cutoff, event.actor) == (hour(6), hour(5), "pm-app")
    assert event.note == "the likeliest failure mode is seal now, before it was bearing"


def test_an_alarm_of_before_modes_tells_the_first_and_a_shelved_one_keeps_still(store, say):
    say({(asset, number): HIGH for asset in "ab" for number in (1, 2)})
    old, shelved = sorted(store.alarms.alarms(), key=lambda row: row.asset_id)
    shelve = AlarmStep("shelved", "shelved", "", shelved_until=hour(99))
    store.alarms.act(shelved.id, lambda alarm: shelve, at=DAY, actor=Actor("ann"))
    say({(asset, number): HIGH for asset in "ab" for number in (3, 4)}, mode="seal")

    told = {row.asset_id: (row.mode, row.likeliest_mode) for row in store.alarms.alarms()}
    assert told == {"a": (None, "seal"), "b": (None, None)}
    assert store.alarms.events(old.id)[-1].note == "the likeliest failure mode is seal now"


def watch(say, deviations, *, judge=BOTH, **more):
    """Say deviations of assets of which no risk is known."""
    say(dict.fromkeys(deviations), deviations, judge=judge, **more)


def test_a_deviation_raises_an_alarm_that_names_the_sensors_behind_it(store, say):
    watch(say, {("a", 1): 1.5, ("a", 2): 2.0, ("b", 1): 0.25, ("b", 2): 1.5}, at=hour(3))

    (alarm,) = store.alarms.alarms()
    (event,) = store.alarms.events(alarm.id)
    assert (alarm.kind, alarm.asset_id, alarm.horizon_hours) == ("deviation", "a", 72.0)
    assert (alarm.state, alarm.raised_at, alarm.cutoff) == ("unacknowledged", hour(3), hour(2))
    assert (alarm.risk, alarm.mode, alarm.deviation, alarm.threshold) == (None, None, 2.0, 1.0)
    assert (alarm.top_sensors, alarm.model_version) == ("heat +18.0 (71 %)", 7)
    assert alarm.reason == "does not behave as it used to: heat +18.0 (71 %) (its level)"
    assert (event.action, event.cutoff) == ("raised", hour(2))
    assert event.note == "deviation 2, threshold 1 (its level)"


def test_a_deviation_is_told_on_every_channel_and_leaves_one_work_order(store, say):
    judge = (RuleJudge(UNUSUAL, ("message 1", WORK_ORDER)),)
    watch(say, {("a", 1): 1.5, ("a", 2): 2.0}, judge=judge)
    watch(say, {("a", 3): 0.1, ("a", 4): 0.1}, judge=judge)
    watch(say, {("a", 5): 1.5, ("a", 6): 2.0}, judge=judge)

    due = [(row.channel, row.kind, row.deviation, row.rul_hours) for row in store.outbox.due(DAY)]
    assert due == [
        ("message 1", "deviation", 2.0, None),
        (WORK_ORDER, "deviation", 2.0, None),
        ("message 1", "deviation", 2.0, None),
    ]


def test_a_watched_asset_raises_no_alarm_of_a_risk_and_one_of_both_has_both_open(store, say):
    watch(say, {("a", 1): 1.5, ("a", 2): 1.5})
    assert [alarm.kind for alarm in store.alarms.alarms()] == ["deviation"]
    first = store.alarms.alarms()

    unusual = {("a", 3): 1.5, ("a", 4): 1.5}
    say({("a", 3): HIGH, ("a", 4): HIGH}, unusual, judge=BOTH, mode="seal")
    risk, deviation = store.alarms.alarms()
    assert [risk.kind, risk.risk, risk.deviation] == ["risk", HIGH, None]
    assert [deviation] == first
    assert (risk.mode, deviation.likeliest_mode) == ("seal", None)

    store.alarms.act(risk.id, to("acknowledged"), at=DAY, actor=Actor("ann"))
    say({("a", 5): LOW, ("a", 6): LOW}, {("a", 5): 1.5, ("a", 6): 1.5}, judge=BOTH)
    assert [alarm.state for alarm in store.alarms.alarms()] == ["cleared", "unacknowledged"]


def test_alarms_of_watched_assets_go_on_as_they_are_once_a_failure_model_has_spoken(store, say):
    unusual = {("a", number): 1.5 for number in (1, 2)} | {("b", 1): 1.5, ("b", 2): 0.25}
    watch(say, unusual)
    before = store.alarms.alarms(), store.alarms.events()
    assert len(before[0]) == 1

    say(dict.fromkeys(unusual, LOW), unusual, judge=BOTH, live=False)
    say({("a", 3): LOW}, {("a", 3): 1.5}, judge=BOTH)
    assert (store.alarms.alarms(), store.alarms.events()) == before

    say({("a", 4): LOW, ("a", 5): LOW}, {("a", 4): 0.25, ("a", 5): 0.5}, judge=BOTH)
    assert states(store) == {"a": "returned"}


def test_alarms_of_deviations_go_on_where_horizons_are_others_from_now_on(
    store, say, make_predictions
):
    watch(say, {("a", 1): 1.5, ("a", 2): 1.5, ("b", 1): 0.25, ("b", 2): 1.5, ("c", 1): 1.5})
    before = store.alarms.alarms(), store.alarms.events()
    later = (RuleJudge(replace(UNUSUAL, horizon_hours=48.0)),)

    def say_at_one_horizon(deviations):
        keys = {(asset, hour(number), 48.0): value for (asset, number), value in deviations.items()}
        chunk = make_predictions(dict.fromkeys(keys), version=0, deviations=keys, normal=7)
        store.writer.commit_scores((), [chunk], scored_at=DAY, judges=later)

    say_at_one_horizon({("a", 3): 1.5})
    assert (store.alarms.alarms(), store.alarms.events()) == before

    say_at_one_horizon({("b", 3): 1.5, ("c", 1): 0.25, ("c", 2): 1.5})
    assert states(store) == {"a": "unacknowledged", "b": "unacknowledged"}
    say_at_one_horizon({("a", 4): 0.25, ("a", 5): 0.25})
    assert states(store) == {"a": "returned", "b": "unacknowledged"}


def test_only_scored_rows_raise_alarms_of_risks(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH}, statuses=["watched", "out_of_distribution"])

    assert store.alarms.alarms() == []


def test_cutoffs_without_a_deviation_are_in_no_run_of_them_and_break_none(store, say):
    watch(say, {("a", 1): 1.5, ("a", 2): None, ("a", 3): 1.5})

    assert [alarm.cutoff for alarm in store.alarms.alarms()] == [hour(3)]


def test_what_is_watched_has_readings_and_an_outage_is_told_by_the_first_judge(store, say):
    names = {("a", 1): None, ("a", 2): None, ("b", 1): None, ("b", 2): None}
    unusual = {("a", 1): 0.5, ("a", 2): 0.5}
    lost = ["watched", "watched", "sensor_missing", "sensor_missing"]
    say(names, unusual, judge=(RuleJudge(UNUSUAL, no_readings=3),), statuses=lost)
    assert store.alarms.alarms() == []
    say({("b", 3): None}, {}, judge=(RuleJudge(UNUSUAL, no_readings=3),), statuses=lost[-1:])

    (alarm,) = store.alarms.alarms()
    assert (alarm.kind, alarm.about) == ("data", ("b",))


def test_a_deviation_that_is_shelved_keeps_still_beside_a_risk_that_is_not(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH}, {("a", 1): 1.5, ("a", 2): 1.5}, judge=BOTH)
    of_kind = {alarm.kind: alarm for alarm in store.alarms.alarms()}
    shelve = AlarmStep("shelved", "shelved", "", shelved_until=hour(10))
    number = of_kind["deviation"].id
    store.alarms.act(number, lambda _: shelve, at=DAY, actor=Actor("ann"))
    say({("a", 3): LOW, ("a", 4): LOW}, {("a", 3): 0.1, ("a", 4): 0.1}, judge=BOTH, at=hour(9))
    by_kind = {alarm.kind: alarm.state for alarm in store.alarms.alarms()}
    assert by_kind == {"risk": "returned", "deviation": "shelved"}

    assert store.alarms.shelf_time_over(hour(10))
    say({("c", 1): LOW}, judge=BOTH, at=hour(10))
    assert store.alarms.alarm(number).state == "cleared"


def test_marks_of_risks_and_of_deviations_are_kept_apart(store, say):
    calm, tense = dict.fromkeys(range(3, 200), BETWEEN), dict.fromkeys(range(3, 200), 0.9)
    risks = {("a", 1): LOW, ("a", 2): LOW} | {("a", n): risk for n, risk in calm.items()}
    unusual = {("a", 1): 1.5, ("a", 2): 1.5} | {("a", n): value for n, value in tense.items()}
    say(risks, unusual, judge=BOTH)
    lengths = []

    class Looking(RuleJudge):
        def transitions(self, history):
            lengths.append(len(history.signal))
            return super().transitions(history)

    for number in range(200, 210):
        both = (Looking(RULE), Looking(UNUSUAL))
        say({("a", number): BETWEEN}, {("a", number): 0.9}, judge=both)

    assert {alarm.kind: alarm.state for alarm in store.alarms.alarms()} == {
        "deviation": "unacknowledged"
    }
    assert max(lengths) <= 2 * 4 + 4


def test_a_confirmed_deviation_is_a_verdict_as_one_of_a_risk(store, say):
    watch(say, {("a", 1): 1.5, ("a", 2): 1.5})
    (alarm,) = store.alarms.alarms()
    verdict = Verdict("confirmed", "worn seal", hour(3), hour(4), "seal", "leak")
    give_verdict(store, alarm.id, verdict, at=hour(5), actor=Actor("ann"))

    (found,) = confirmed_failures(store.alarms.verdicts())
    assert (found.asset, found.code, found.mode) == ("a", "seal", "leak")
    assert [store.alarms.alarm(alarm.id).state, store.alarms.events()[-1].action] == [
        "unacknowledged",
        "verdict",
    ]


LEVEL = AlarmLevel(3.5, 3.0, 4.0, 1 / 2191.5, 4000.0, False, "by episodes", 3, 0.7)


def judges(store, *, level=LEVEL, champion=None, **deviation):
    tables = {"alarms": {"persistence": 4}, "deviation": deviation}
    given = parse_settings(tables, folder=Path(), origin="plant.toml")
    return alarm_judges(champion, level, given, store.alarms, channels=("mail",))


def test_deviations_are_judged_by_the_level_they_were_given_and_risks_by_settings(store):
    card = make_card()
    of_risks, of_deviations = judges(store, champion=Champion(1, card, None))
    (alone,) = judges(store)

    assert (of_risks.rule.kind, of_risks.rule.threshold, of_risks.rule.persistence) == (
        "risk",
        0.5,
        4,
    )
    rule = of_deviations.rule
    assert (rule.kind, rule.threshold, rule.clear, rule.persistence) == ("deviation", 1.0, 0.7, 3)
    assert rule.why == "a level for one false alarm of an asset in 91 days"
    assert rule.horizon_hours == of_risks.rule.horizon_hours == 72.0
    assert alone.rule == rule
    assert [judge.outage_cutoffs for judge in (of_risks, of_deviations, alone)] == [4] * 3
    assert judges(store, level=None) == ()


def test_alarms_of_deviations_that_are_switched_off_return_as_assets_are_scored(store, say):
    unusual = {(asset, number): 1.5 for asset in "ab" for number in (1, 2)}
    watch(say, unusual)
    off = judges(store, level=None, enabled=False)
    say({("a", 3): LOW}, {}, judge=off)

    assert states(store) == {"a": "returned", "b": "unacknowledged"}
    assert store.alarms.events()[-1].note.endswith(
        "(deviation.enabled is false); what was said before is judged anew"
    )
    assert store.alarms.open_kinds() == {"deviation": 2}
    for alarm in store.alarms.alarms():
        store.alarms.act(alarm.id, to("cleared"), at=DAY, actor=Actor("ann"))
    assert judges(store, level=None, enabled=False) == ()


def test_saying_the_same_again_changes_no_alarm(store, say):
    risks = {("a", 1): HIGH, ("a", 2): HIGH}
    say(risks)
    before = store.alarms.alarms(), store.alarms.events()
    say(risks, at=hour(5))

    assert (store.alarms.alarms(), store.alarms.events()) == before
    assert len(before[0]) == 1


def test_what_is_said_without_a_judge_raises_nothing(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH}, judge=None)

    assert store.alarms.alarms() == []


def test_what_is_not_live_raises_only_what_stands_in_the_end(store, say):
    past = {("a", 1): HIGH, ("a", 2): HIGH, ("a", 3): LOW, ("a", 4): LOW}
    say(past | {("b", 3): HIGH, ("b", 4): HIGH}, live=False)

    assert states(store) == {"b": "unacknowledged"}


def test_a_commit_that_fails_raises_nothing(store, say):
    class Broken(RuleJudge):
        def outage(self, outage):
            raise ZeroDivisionError

    risks = {("a", 1): HIGH, ("a", 2): HIGH, ("b", 1): None, ("b", 2): None}
    with pytest.raises(ZeroDivisionError):
        say(risks, judge=Broken(RULE), statuses=["scored"] * 2 + ["sensor_missing"] * 2)

    assert store.alarms.alarms() == []
    assert list(store.tables.predictions()) == []


def test_an_alarm_returns_and_rises_again_as_the_same_one(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH})
    say({("a", 3): LOW, ("a", 4): LOW})
    say({("a", 5): HIGH, ("a", 6): HIGH})

    assert states(store) == {"a": "unacknowledged"}
    assert steps(store) == [
        ("raised", None, "unacknowledged"),
        ("returned", "unacknowledged", "returned"),
        ("raised", "returned", "unacknowledged"),
    ]


def test_one_commit_may_clear_an_alarm_and_raise_the_next(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH})
    (first,) = store.alarms.alarms()
    store.alarms.act(first.id, to("acknowledged"), at=DAY, actor=Actor("ann"))
    say({("a", 3): LOW, ("a", 4): LOW, ("a", 5): HIGH, ("a", 6): HIGH}, at=hour(9))

    second, first = store.alarms.alarms()
    assert (first.state, first.cleared_at) == ("cleared", hour(9))
    assert (second.state, second.cutoff) == ("unacknowledged", hour(6))
    assert [row.action for row in store.alarms.events(first.id)] == ["raised", "moved", "cleared"]
    assert [row.action for row in store.alarms.events(second.id)] == ["raised"]


def test_late_risks_that_take_the_cause_away_are_told_as_such(store, say):
    say({("a", 1): LOW, ("a", 2): HIGH, ("a", 3): HIGH})
    say({("a", 2): LOW})

    (alarm,) = store.alarms.alarms()
    assert (alarm.state, alarm.cutoff) == ("returned", hour(3))
    assert "judged anew" in store.alarms.events()[-1].note


def test_another_threshold_is_applied_at_the_next_scoring(store, say):
    say({("a", 1): 0.6, ("a", 2): 0.6})
    say({("a", 3): 0.6}, judge=RuleJudge(replace(RULE, threshold=0.9, why="raised")))

    assert states(store) == {"a": "returned"}
    assert "threshold 0.9 (raised)" in store.alarms.events()[-1].note


def test_at_most_one_alarm_of_an_asset_is_open(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH})
    (alarm,) = store.alarms.alarms()

    with (
        pytest.raises((TerminalError, IntegrityError)),
        store._database.writing() as connection,
    ):
        connection.execute(
            alarms.insert().from_select(
                [c.name for c in alarms.c if c.name != "id"],
                alarms.select().with_only_columns(*[c for c in alarms.c if c.name != "id"]),
            )
        )
    assert store.alarms.alarms() == [alarm]


def test_a_look_goes_back_as_far_as_it_takes(store, say, monkeypatch):
    say({("a", number): HIGH for number in (1, 2)} | {("a", n): BETWEEN for n in range(3, 40)})
    say({("a", 40): BETWEEN})
    assert states(store) == {"a": "unacknowledged"}

    monkeypatch.setattr(history, "FURTHER", (20,))
    say({("a", 41): BETWEEN})
    assert states(store) == {"a": "unacknowledged"}
    say({("a", 42): LOW, ("a", 43): LOW})
    assert states(store) == {"a": "returned"}


def test_a_look_goes_on_from_where_the_last_one_was_and_reads_no_more(store, say):
    stretch = range(3, 200)
    say({("a", 1): HIGH, ("a", 2): HIGH} | {("a", number): BETWEEN for number in stretch})
    say({("a", 200): BETWEEN})
    lengths = []

    class Counting(RuleJudge):
        def transitions(self, history):
            lengths.append(len(history.signal))
            return super().transitions(history)

    for number in range(201, 221):
        say({("a", number): BETWEEN}, judge=Counting(RULE))
    assert states(store) == {"a": "unacknowledged"}
    assert max(lengths) <= 2 * 4 + 4


def test_the_first_commit_of_many_risks_leaves_a_mark_for_the_next_look(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH} | {("a", number): BETWEEN for number in range(3, 200)})
    lengths = []

    class Counting(RuleJudge):
        def undecided(self, history):
            lengths.append(len(history.signal))
            return super().undecided(history)

    say({("a", 200): BETWEEN}, judge=Counting(RULE))
    assert states(store) == {"a": "unacknowledged"}
    assert max(lengths) <= 2 * 2 + 4


@pytest.mark.parametrize("hour_of_news", [1, 90, 196])
def test_a_look_goes_on_from_no_mark_that_late_risks_have_overtaken(store, say, hour_of_news):
    say({("a", 1): HIGH, ("a", 2): HIGH} | {("a", number): BETWEEN for number in range(3, 200)})
    for number in range(200, 203):
        say({("a", number): BETWEEN})
    assert store.alarms.alarms()[0].state == "unacknowledged"

    say({("a", hour_of_news): LOW, ("a", hour_of_news + 1): LOW})
    assert states(store) == {"a": "returned"}


def test_a_mark_of_another_threshold_is_not_gone_on_from(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH} | {("a", number): BETWEEN for number in range(3, 30)})
    say({("a", 30): BETWEEN})
    say({("a", 31): 0.85}, judge=RuleJudge(replace(RULE, threshold=0.99, clear=0.5)))

    assert states(store) == {"a": "returned"}


def test_what_a_backfill_says_anew_is_judged_at_the_next_scoring(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH} | {("a", number): BETWEEN for number in range(3, 30)})
    say({("a", 30): BETWEEN})
    say({("a", 1): LOW, ("a", 2): LOW}, judge=None, live=False)
    assert states(store) == {"a": "unacknowledged"}

    say({("a", 31): BETWEEN})
    assert states(store) == {"a": "returned"}


def test_days_that_are_retired_clear_nothing(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH} | {("a", number): BETWEEN for number in range(24, 27)})
    store.retention.retire_day(DAY)
    say({("a", 27): BETWEEN})

    assert states(store) == {"a": "unacknowledged"}


def test_shelved_alarms_keep_still_until_their_time_is_over(store, say):
    say({(name, number): HIGH for name in "ab" for number in (1, 2)})
    for alarm in store.alarms.alarms():
        shelve = AlarmStep("shelved", "shelved", "", shelved_until=hour(10))
        store.alarms.act(alarm.id, lambda _, step=shelve: step, at=DAY, actor=Actor("ann"))
    say({("a", 3): LOW, ("a", 4): LOW}, at=hour(9))
    assert states(store) == {"a": "shelved", "b": "shelved"}
    assert not store.alarms.shelf_time_over(hour(9))

    assert store.alarms.shelf_time_over(hour(10))
    say({("c", 1): LOW}, at=hour(10))
    assert states(store) == {"a": "cleared", "b": "unacknowledged"}
    assert not store.alarms.shelf_time_over(hour(11))


def test_many_assets_without_readings_are_one_data_alarm(store, say):
    names = [f"pump-{number}" for number in range(5)]
    dark = {(name, number): None for name in names for number in (1, 2)}
    say(dark, statuses=["sensor_missing", "stale_input"] * 5)
    (alarm,) = store.alarms.alarms()
    assert (alarm.kind, alarm.asset_id, alarm.about) == ("data", "", tuple(names))
    assert alarm.reason.startswith("5 of 5 assets without usable readings: pump-0, pump-1")
    assert (alarm.risk, alarm.cutoff) == (None, hour(2))

    say({(names[0], 3): LOW})
    assert store.alarms.alarms()[0].about == tuple(names[1:])
    say({(name, 3): LOW for name in names})
    assert states(store) == {"": "returned"}
    assert [row.action for row in store.alarms.events()] == ["raised", "changed", "returned"]


def test_a_machine_that_is_off_is_no_outage(store, say):
    say({("a", 1): None, ("a", 2): None})

    assert store.alarms.alarms() == []


def test_an_outage_takes_as_many_cutoffs_as_an_alarm(store, say):
    say({("a", 1): LOW, ("a", 2): None}, statuses=["scored", "sensor_missing"])
    assert store.alarms.alarms() == []

    say({("a", 3): None}, statuses=["sensor_missing"])
    assert [alarm.kind for alarm in store.alarms.alarms()] == ["data"]


def test_acts_are_kept_with_who_and_when(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH})
    (alarm,) = store.alarms.alarms()
    after = store.alarms.act(alarm.id, to("acknowledged"), at=hour(4), actor=Actor("ann"))

    event = store.alarms.events(alarm.id)[-1]
    assert after == replace(alarm, state="acknowledged", changed_at=hour(4))
    assert (event.at, event.actor, event.note) == (hour(4), "ann", "by hand")
    (audited,) = store.users.audit()
    assert (audited.at, audited.actor, audited.action) == (hour(4), "ann", "alarm moved")
    assert audited.target.startswith(f"alarm {alarm.id} of ")
    assert (event.from_state, event.to_state) == ("unacknowledged", "acknowledged")
    assert store.alarms.alarms() == [after]


def test_an_act_on_no_alarm_is_told(store, say):
    with pytest.raises(TerminalError, match="there is no alarm 7; there are none yet"):
        store.alarms.act(7, to("acknowledged"), at=DAY, actor=Actor("ann"))
    say({("a", 1): HIGH, ("a", 2): HIGH})

    with pytest.raises(TerminalError, match=r"there is no alarm 7; the newest is \d"):
        store.alarms.act(7, to("acknowledged"), at=DAY, actor=Actor("ann"))


def test_the_newest_verdict_given_until_then_counts(store, say):
    say({("a", 1): HIGH, ("a", 2): HIGH})
    (alarm,) = store.alarms.alarms()
    first = Verdict("confirmed", "worn seal", hour(3), hour(4), "seal", "leak")
    for number, verdict in enumerate((first, Verdict("not-confirmed"))):
        same = to(alarm.state)
        store.alarms.act(alarm.id, same, at=hour(5 + number), actor=Actor("ann"), verdict=verdict)

    assert store.alarms.verdicts(until=hour(4)) == []
    (then,) = store.alarms.verdicts(until=hour(5))
    assert (then.asset_id, then.verdict, then.found) == ("a", "confirmed", "worn seal")
    assert (then.code, then.mode) == ("seal", "leak")
    assert (then.failed_from, then.failed_until, then.cutoff) == (hour(3), hour(4), hour(2))
    assert [row.verdict for row in store.alarms.verdicts()] == ["not-confirmed"]


def open_states(store):
    open_now = store.alarms.alarms(only_open=True)
    return {(row.kind, row.asset_id) for row in open_now if row.state != "returned"}


def forget(store):
    tables = (alarm_marks, verdicts, alarm_events, alarms, predictions, prediction_history)
    with store._database.writing() as connection:
        for table in (*tables, latest_predictions, retirements):
            connection.execute(table.delete())


PLACES = [(asset, number) for asset in "ab" for number in range(1, 11)]


def many(examples):
    """So many examples, of a test that takes its time."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


RISKS = st.lists(st.sampled_from([HIGH, BETWEEN, LOW, None]), min_size=20, max_size=20)
DEVIATIONS = st.lists(st.sampled_from([1.5, 0.9, 0.25, None]), min_size=20, max_size=20)
any_order = given(
    truth=st.tuples(RISKS, DEVIATIONS),
    order=st.permutations(PLACES),
    size=st.integers(1, 7),
    wrong=st.sets(st.sampled_from(PLACES), max_size=4),
)
any_cuts = given(truth=st.tuples(RISKS, DEVIATIONS), cuts=st.sets(st.integers(2, 10)))


@many(8)
@any_order
def test_risks_in_any_order_and_revised_leave_the_alarms_of_one_commit_standing(
    store, say, truth, order, size, wrong
):
    hold_order(store, say, truth, order, size, wrong)


@pytest.mark.slow
@many(300)
@any_order
def test_risks_in_any_order_leave_the_same_alarms_many_times(store, say, truth, order, size, wrong):
    hold_order(store, say, truth, order, size, wrong)


def hold_order(store, say, truth, order, size, wrong):
    risks, deviations = (dict(zip(PLACES, values, strict=True)) for values in truth)
    forget(store)
    say(risks, deviations, judge=BOTH)
    expected = open_states(store)

    forget(store)
    if wrong:
        unusual = dict.fromkeys(sorted(wrong), 1.5)
        say(dict.fromkeys(unusual, HIGH), unusual, judge=BOTH)
    for start in range(0, len(order), size):
        part = sorted(order[start : start + size])
        some, unusual = ({place: every[place] for place in part} for every in (risks, deviations))
        say(some, unusual, judge=BOTH)
    assert open_states(store) == expected
    assert not expected or store.alarms.events()


@many(8)
@any_cuts
def test_history_in_order_gives_the_same_alarms_however_it_is_cut(store, say, truth, cuts):
    risks, deviations = (dict(zip(PLACES, values, strict=True)) for values in truth)

    def event_states():
        names = {row.id: (row.kind, row.asset_id) for row in store.alarms.alarms()}
        events = store.alarms.events()
        return sorted((names[row.alarm_id], row.cutoff, row.action, row.to_state) for row in events)

    forget(store)
    say(risks, deviations, judge=BOTH)
    expected = event_states()
    forget(store)
    for low, high in zip([1, *sorted(cuts)], [*sorted(cuts), 11], strict=True):
        part = {place: risk for place, risk in risks.items() if low <= place[1] < high}
        if part:
            say(part, {place: deviations[place] for place in part}, judge=BOTH)
    assert event_states() == expected
