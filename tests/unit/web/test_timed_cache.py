"""What many ask for at once is looked up once, and not told for longer than it may."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pm_app.web.timed_cache import TimedCache


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_of_many_who_ask_at_once_one_looks_it_up():
    recent, calls, together = TimedCache(), [], Barrier(8)

    def ask(_):
        together.wait()
        return recent.get("fleet", lambda: calls.append(1) or "found")

    with ThreadPoolExecutor(8) as readers:
        assert set(readers.map(ask, range(8))) == {"found"}
    assert len(calls) == 1


def test_an_answer_is_told_for_its_time_and_then_looked_up_anew():
    clock = Clock()
    recent = TimedCache(seconds=2.0, clock=clock)
    assert recent.get("a", lambda: 1) == 1
    clock.now += 2.0
    assert recent.get("a", lambda: 2) == 1
    assert recent.get("b", lambda: 3) == 3
    clock.now += 0.1
    assert recent.get("a", lambda: 4) == 4


def test_what_could_not_be_looked_up_is_tried_again():
    recent = TimedCache()
    with pytest.raises(ValueError, match="gone"):
        recent.get("a", _gone)
    assert recent.get("a", lambda: 1) == 1


def _gone():
    raise ValueError("gone")


def test_addresses_without_end_are_not_remembered_without_end():
    recent = TimedCache()
    for number in range(5000):
        recent.get(number, lambda: 0)

    assert len(recent._slots) <= 200
