from datetime import timedelta

import pytest
from factories import HOUR, NOW, START, hour

from pm_app.jobs.retrain.request import alarm_spans
from pm_app.learning.normality.teaching import ALARM, LeftSpan
from pm_app.store import VerdictRow
from pm_app.store.alarms.alarms import AlarmEventRow, AlarmRow

LATE = hour(1000)


def alarm(number: int, asset: str = "a", kind: str = "deviation", raised: float = 0.0) -> AlarmRow:
    fields = dict.fromkeys(AlarmRow.__dataclass_fields__)
    fields |= {"id": number, "asset_id": asset, "kind": kind, "raised_at": hour(raised)}
    return AlarmRow(**fields)


def event(number: int, state: str, at: float, *, cutoff: float | None = None) -> AlarmEventRow:
    moment = None if cutoff is None else hour(cutoff)
    return AlarmEventRow(0, number, hour(at), "", "", state, "", "", moment)


def verdict(number: int, words: str, at: float = 0.0) -> VerdictRow:
    fields = dict.fromkeys(VerdictRow.__dataclass_fields__)
    fields |= {"alarm_id": number, "verdict": words, "at": hour(at)}
    return VerdictRow(**fields)


RAISED = event(1, "unacknowledged", 12, cutoff=10)
SEEN = event(1, "acknowledged", 15)
GONE = event(1, "cleared", 21, cutoff=20)


def span(first: float, last: float, asset: str = "a") -> LeftSpan:
    return LeftSpan(asset, START + int(first * HOUR), START + int(last * HOUR), ALARM)


@pytest.mark.parametrize("kind", ["risk", "deviation"])
def test_an_alarm_leaves_out_from_the_cutoff_that_raised_it_to_the_one_that_ended_it(kind):
    found = alarm_spans([alarm(1, kind=kind)], [RAISED, SEEN, GONE], [], as_of=LATE)

    assert found == (span(10, 20),)


def test_an_alarm_that_stands_leaves_out_until_now():
    assert alarm_spans([alarm(1)], [RAISED, SEEN], [], as_of=hour(40)) == (span(10, 40),)


def test_an_alarm_that_comes_again_leaves_out_twice():
    events = [RAISED, event(1, "returned", 16, cutoff=14)]
    events += [event(1, "unacknowledged", 26, cutoff=25), event(1, "returned", 31, cutoff=30)]
    events += [event(1, "cleared", 50)]

    assert alarm_spans([alarm(1)], events, [], as_of=LATE) == (span(10, 14), span(25, 30))


def test_what_a_person_dismissed_teaches_again():
    events, alarms = [RAISED, SEEN, GONE], [alarm(1)]

    assert alarm_spans(alarms, events, [verdict(1, "not-confirmed")], as_of=LATE) == ()
    for words in ("confirmed", "unclear"):
        assert alarm_spans(alarms, events, [verdict(1, words)], as_of=LATE) == (span(10, 20),)


def test_what_came_later_was_not_there():
    late = verdict(1, "not-confirmed", at=30)

    assert alarm_spans([alarm(1)], [RAISED, SEEN, GONE], [late], as_of=hour(18)) == (span(10, 18),)
    assert alarm_spans([alarm(1, raised=20)], [RAISED], [], as_of=hour(18)) == ()


def test_alarms_of_the_plant_leave_nothing_out():
    assert alarm_spans([alarm(1, "", "data")], [RAISED], [], as_of=NOW + timedelta(1)) == ()
