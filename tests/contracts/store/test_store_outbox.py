"""What every database must do with news of alarms."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pm_app.records.alarms import WORK_ORDER, AlarmRule, AlarmStep, PlantCondition
from pm_app.scoring.alarms import RuleJudge, plant_step
from pm_app.store import Actor

DAY = datetime(2026, 3, 1, tzinfo=UTC)
RULE = AlarmRule(horizon_hours=24.0, threshold=0.5, clear=0.8, persistence=2, why="by hand")
HIGH, LOW = 0.9, 0.1
MAIL, CHAT = "message 1", "message 2"


def hour(number: int) -> datetime:
    return DAY + timedelta(hours=number)


@pytest.fixture
def say(store, make_predictions):
    """Commit risks by asset and hour, with these channels to be told."""

    def say(risks, *, tells=(MAIL,), at=0, live=True):
        predictions = make_predictions(
            {(name, hour(n), 24.0): risk for (name, n), risk in risks.items()}
        )
        commit = store.writer.commit_scores if live else None
        if commit is None:
            store.writer.commit_predictions(
                [predictions], scored_at=hour(at), judges=[RuleJudge(RULE, tells)]
            )
        else:
            commit((), [predictions], scored_at=hour(at), judges=[RuleJudge(RULE, tells)])

    return say


def notified(store, at=1000):
    return [(each.channel, each.asset_id) for each in store.outbox.due(hour(at))]


def raised(*assets: str):
    return {(asset, n): HIGH for asset in assets for n in (1, 2)}


def test_an_alarm_is_news_to_every_channel_from_the_commit_that_raises_it(store, say):
    say(raised("a"), tells=(MAIL, CHAT, WORK_ORDER))

    assert notified(store) == [(MAIL, "a"), (CHAT, "a"), (WORK_ORDER, "a")]
    (first, *_) = store.outbox.due(hour(0))
    assert (first.risk, first.threshold, first.state) == (HIGH, 0.5, "unacknowledged")
    assert first.rul_hours is not None and (first.attempts, first.error) == (0, "")


def test_a_commit_that_fails_is_news_to_nobody(store, make_predictions):
    def breaking():
        yield make_predictions({("a", hour(n), 24.0): HIGH for n in (1, 2)})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.writer.commit_scores((), breaking(), scored_at=DAY, judges=[RuleJudge(RULE, (MAIL,))])

    assert store.outbox.waiting() == []


def test_what_came_and_went_in_one_commit_is_nobodys_news(store, say):
    say({**raised("a"), ("a", 3): LOW, ("a", 4): LOW})

    assert [row.state for row in store.alarms.alarms()] == ["returned"]
    assert store.outbox.waiting() == []


def test_without_a_channel_nothing_is_put_out(store, say):
    say(raised("a"), tells=())

    assert store.outbox.waiting() == []


def test_an_alarm_that_goes_on_is_news_once_and_one_that_comes_again_is_news_again(store, say):
    say(raised("a"))
    say({("a", 3): HIGH})
    assert notified(store) == [(MAIL, "a")]
    say({("a", 4): LOW, ("a", 5): LOW})
    say({("a", 6): HIGH, ("a", 7): HIGH})

    assert notified(store) == [(MAIL, "a"), (MAIL, "a")]


def test_a_work_order_leaves_once_for_an_alarm(store, say):
    say(raised("a"), tells=(WORK_ORDER,))
    say({("a", 4): LOW, ("a", 5): LOW}, tells=(WORK_ORDER,))
    say({("a", 6): HIGH, ("a", 7): HIGH}, tells=(WORK_ORDER,))

    assert notified(store) == [(WORK_ORDER, "a")]


def test_what_was_told_is_out_and_what_was_put_off_waits(store, say):
    say(raised("a", "b"))
    one, two = store.outbox.due(DAY)
    store.outbox.mark_sent([one.id], at=DAY)
    store.outbox.postpone([two.id], until=hour(2), error="dead", failed=True)

    assert store.outbox.due(hour(1)) == []
    (later,) = store.outbox.due(hour(2))
    assert (later.id, later.attempts, later.error) == (two.id, 1, "dead")
    store.outbox.give_up([two.id], at=hour(3), error="nobody there")
    assert store.outbox.waiting() == []


def test_what_nobody_acknowledges_is_told_again_and_nothing_else_is(store, say):
    say(raised("a", "b"))
    four = timedelta(hours=4)
    store.outbox.mark_sent([each.id for each in store.outbox.due(DAY)], at=DAY)
    assert store.outbox.remind([MAIL], now=hour(3), after=four) == 0
    alarm = next(row for row in store.alarms.alarms() if row.asset_id == "a")
    step = AlarmStep("acknowledged", "acknowledged", "")
    store.alarms.act(alarm.id, lambda _: step, at=DAY, actor=Actor("ann"))

    assert store.outbox.remind([MAIL], now=hour(4), after=four) == 1
    assert notified(store) == [(MAIL, "b")]
    # What waits to be told is not told twice over.
    assert store.outbox.remind([MAIL], now=hour(99), after=four) == 0
    assert store.outbox.remind([CHAT], now=hour(99), after=four) == 0


def test_an_alarm_that_comes_off_the_shelf_is_news(store, say):
    say(raised("a"), tells=())
    (alarm,) = store.alarms.alarms()
    shelve = AlarmStep("shelved", "shelved", "", shelved_until=hour(3))
    store.alarms.act(alarm.id, lambda _: shelve, at=DAY, actor=Actor("ann"))
    say({("a", 3): HIGH}, at=2)
    assert store.outbox.waiting() == []

    say({("a", 4): HIGH}, at=4)

    assert notified(store) == [(MAIL, "a")]


def test_an_alarm_of_the_plant_is_raised_once_with_its_notification_and_clears_by_itself(store):
    silent = PlantCondition("readings", True, "no reading since noon", cutoff=DAY)
    steps = [
        store.plant_alarms.follow(
            [replace(silent, stands=stands)], plant_step, channels=("m",), now=DAY
        )
        for stands in (False, True, True, False, False)
    ]

    (alarm,) = store.alarms.alarms()
    assert steps == [0, 1, 0, 1, 0]
    assert (alarm.kind, alarm.asset_id, alarm.state) == ("readings", "", "returned")
    assert [event.action for event in store.alarms.events()] == ["raised", "returned"]
    (news,) = store.outbox.waiting()
    assert (news.kind, news.reason, news.risk) == ("readings", "no reading since noon", None)
