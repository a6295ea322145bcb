"""Tasks over lanes: side by side, one ahead where asked, and who is to blame for a broken lane."""

from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from pm_app.errors import TerminalError
from pm_app.jobs.workers.dispatch import Tasks, dispatch
from pm_app.progress import unwatched


class Fragile(Executor):
    """Does tasks in order; one that breaks it takes those behind it along, as a process does."""

    def __init__(self, engine, deaths):
        self._engine, self._deaths, self._broken = engine, deaths, False
        self._thread = ThreadPoolExecutor(1)

    def submit(self, work, place, task):
        self._engine.note()
        return self._thread.submit(self._do, work, place, task)

    def _do(self, work, place, task):
        if not self._broken and self._deaths[task]:
            self._deaths[task] -= 1
            self._broken = True
        if self._broken:
            raise BrokenExecutor("its process ended")
        return work(place, task)

    def shutdown(self, wait=True):
        self._thread.shutdown(wait=wait)


class FragileEngine:
    """Lanes that do a task each. deaths: how often each task kills. given: tasks so far."""

    name, width, lost = "fragile", 1, (BrokenExecutor,)

    def __init__(self, deaths=(), lanes=1):
        self._deaths = Counter(deaths)
        self.lanes, self.given, self.two_given = lanes, 0, Event()

    def open(self):
        return Fragile(self, self._deaths)

    def note(self):
        self.given += 1
        if self.given >= 2:
            self.two_given.set()

    def workers(self):
        return self.lanes


def greet(place, task):
    return f"{place} {task}"


def dispatch_over(deaths, tasks):
    return dispatch_on(FragileEngine(deaths), greet, tasks, ahead=1)


def dispatch_on(engine, work, count, ahead):
    tasks = Tasks(work, Path("here"), range(count), lambda number: f"task {number}")
    return dispatch(engine, tasks, beat=unwatched, ahead=ahead)


@pytest.mark.parametrize("ahead", [0, 1])
def test_two_tasks_are_done_side_by_side_by_two_lanes(ahead):
    both = Barrier(2, timeout=20)

    def meet(place, task):
        both.wait()
        return greet(place, task)

    found = dict(dispatch_on(FragileEngine(lanes=2), meet, 2, ahead))

    assert found == {0: "here 0", 1: "here 1"}


def test_a_lane_has_its_next_task_while_it_works_where_asked():
    engine = FragileEngine()

    def wait_for_company(place, task):
        assert engine.two_given.wait(20)
        return greet(place, task)

    found = dict(dispatch_on(engine, wait_for_company, 3, ahead=1))

    assert len(found) == 3


def test_a_lane_has_one_task_at_a_time_where_not_asked():
    engine, done, unasked = FragileEngine(), [], []

    def count(place, task):
        unasked.append(engine.given - len(done) - 1)
        done.append(task)
        return greet(place, task)

    list(dispatch_on(engine, count, 4, ahead=0))

    assert unasked == [0, 0, 0, 0]


def test_two_neighbours_that_each_lose_two_workers_are_both_done():
    found = dict(dispatch_over({0: 2, 1: 2}, 5))

    assert found == {task: f"here {task}" for task in range(5)}


def test_a_task_that_loses_every_worker_is_named_and_not_who_waited_behind_it():
    done = []

    def collect():
        for task, _ in dispatch_over({1: 99}, 4):
            done.append(task)

    with pytest.raises(TerminalError, match="fragile: task 1 lost its worker 3 times"):
        collect()

    assert 0 in done
    assert 1 not in done
