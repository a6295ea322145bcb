"""Tasks over lanes: whoever waits behind a task that breaks its lane is not to blame for it."""

from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor

import pytest

from pm_app.errors import TerminalError
from pm_app.jobs.site import unwatched
from pm_app.jobs.spread import spread


class Fragile(Executor):
    """Does tasks in order; one that breaks it takes those behind it along, as a process does."""

    def __init__(self, deaths):
        self._deaths, self._broken = deaths, False
        self._thread = ThreadPoolExecutor(1)

    def submit(self, work, place, task):
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
    """One lane that is given a task more than it works at. deaths: how often each task kills."""

    name, lanes, width, lost = "fragile", 1, 2, (BrokenExecutor,)

    def __init__(self, deaths):
        self._deaths = Counter(deaths)

    def open(self):
        return Fragile(self._deaths)

    def workers(self):
        return 1


def spread_over(deaths, tasks):
    return spread(
        FragileEngine(deaths),
        lambda place, task: f"{place} {task}",
        "here",
        range(tasks),
        describe=lambda task: f"task {task}",
        beat=unwatched,
    )


def test_two_neighbours_that_each_lose_two_workers_are_both_done():
    found = dict(spread_over({0: 2, 1: 2}, 5))

    assert found == {task: f"here {task}" for task in range(5)}


def test_a_task_that_loses_every_worker_is_named_and_not_who_waited_behind_it():
    done = []

    def collect():
        for task, _ in spread_over({1: 99}, 4):
            done.append(task)

    with pytest.raises(TerminalError, match="fragile: task 1 lost its worker 3 times"):
        collect()

    assert 0 in done
    assert 1 not in done
