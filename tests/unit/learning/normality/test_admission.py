"""Admission of a new normal: no worse than the one that speaks, on newest healthy time."""

from dataclasses import replace

import pytest
from unit.learning.normality.quiet_plants import learn, learn_again, quiet_frame

from pm_app.learning.normality.admission import NewestTime

LOAD, NOISE = 0, 1
SPOILT = slice(24 * 22, 24 * 42)


def rows_of(frame, first_day, last_day):
    days = (frame.cutoff - frame.cutoff.min()) / 8.64e13
    return (days > first_day) & (days <= last_day)


def follow(values, hours):
    """Noise goes with load, loosely."""
    values[NOISE] += 0.4 * (values[LOAD] - 60)


def spoilt(values, hours):
    """For three weeks it goes against it, around the level that it always had."""
    values[NOISE] += 0.4 * (values[LOAD] - 60)
    values[NOISE, :, SPOILT] -= 0.8 * (values[LOAD, :, SPOILT] - 60)


def learn_twice(harm, days=60):
    frame = quiet_frame(assets=3, days=days, harm=harm)
    first = learn(frame, rows_of(frame, 0, 20))
    # The spoilt weeks teach the new one; the one that speaks was learned just after them.
    card = replace(
        first.card,
        taught=replace(first.card.taught, trained_until="2024-02-13T00:00:00+00:00"),
    )
    healthy = rows_of(frame, 20, days)
    return learn_again(frame, healthy, speaks=replace(first, card=card)), frame, card


def test_a_normal_that_explains_newest_health_worse_waits_for_a_person():
    learned, *_ = learn_twice(spoilt)

    assert not learned.publish
    assert learned.reason.startswith("waits for a person: on the newest ")
    assert "explains sensors worse than the one that speaks" in learned.reason
    assert learned.card.checks["newest_low"] > 1.05
    assert learned.card.moved == ()


def test_a_normal_that_is_as_good_speaks():
    learned, frame, card = learn_twice(follow)
    again = learn_again(frame, rows_of(frame, 20, 60), before=card)

    assert learned.publish, learned.reason
    assert learned.card.checks["newest_ratio"] == pytest.approx(1.0, abs=0.1)
    assert learned.onnx == again.onnx
    assert "newest_ratio" not in again.card.checks


def newest(**changes):
    return replace(NewestTime(720.0, 1.0, 0.95, 1.05, 2, 2, 3.0), **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"ratio": 1.2, "low": 1.04, "high": 1.4}, ""),
        ({"ratio": 1.2, "low": 1.06, "high": 1.4}, "1.20 times its squared error (1.06 to 1.40)"),
        ({"alarms": 8}, ""),
        ({"alarms": 9}, "raises 9 alarms where the budget allows 3.0 and the one that speaks"),
        ({"alarms": 9, "alarms_before": 9}, ""),
    ],
)
def test_what_keeps_a_normal_from_speaking_is_clear_and_said(changes, words):
    reason = newest(**changes).reason

    assert words in reason
    assert bool(reason) == bool(words)


def test_too_little_time_since_the_one_before_says_nothing():
    learned, *_ = learn_twice(follow, days=44)

    assert learned.publish
    assert not any(name.startswith("newest") for name in learned.card.checks)
