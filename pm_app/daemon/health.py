"""Health of the daemon: what became of each job, in a file beside the plant's state.

A scheduler can look alive and do nothing, and a job can run at every turn and fail at each. So
what counts is how old the newest *finished* work is, told by a clock that nobody sets.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import write_passing
from pm_app.errors import TransientError
from pm_app.times import Clock, Stamp, format_duration, read_clock, seconds_between

log = logging.getLogger(__name__)
FILE = "health.json"
# One failure may be a disk that was full for a moment; this many in a row are not.
MOST_FAILURES = 3
MOST_WORDS = 500
# Work that gets on is noted this often, for a first look at years of files takes hours.
NOTE_SECONDS = 5.0
# JSON has no infinity.
FOR_EVER_SECONDS = 1e9


@dataclass(frozen=True)
class JobHealth:
    """What became of one job.

    worked: when it last got on with its work, or ended well; expected_seconds: how old that may
    become. words: its last outcome, or why it failed. busy: whether it is at it.
    """

    name: str
    expected_seconds: float = 0.0
    busy: bool = False
    began: Stamp | None = None
    ended: Stamp | None = None
    succeeded: Stamp | None = None
    worked: Stamp | None = None
    seconds: float = 0.0
    failures_in_a_row: int = 0
    words: str = ""


@dataclass(frozen=True)
class Health:
    """One daemon: its process, since when, what it waits for, and its jobs.

    since: when the first of a row of daemons began that all ended without being asked to.
    waiting: what keeps it from working, "" where nothing does. stopped: it ended as asked.
    """

    process: int
    started: Stamp
    since: Stamp
    jobs: tuple[JobHealth, ...] = ()
    waiting: str = ""
    stopped: bool = False


_HEALTH = TypeAdapter(Health)


class Monitor:
    """The health of the daemon of this process, kept in its file. Safe to share between threads.

    A health file of the daemon before tells when each job last succeeded. A disk that takes no
    file is no reason to stop working: the file then grows old, which is the truth.
    """

    def __init__(self, folder: Path, *, clock: Clock = read_clock) -> None:
        self.path = folder / FILE
        self.clock = clock
        self._lock = Lock()
        before, now = read_health(folder), clock()
        self._before = {job.name: job for job in before.jobs} if before else {}
        self._patience: dict[str, Callable[[], float]] = {}
        fell = before is not None and not before.stopped
        self.health = Health(os.getpid(), now, before.since if before and fell else now)
        self._write()

    def expect(self, name: str, patience: Callable[[], float]) -> None:
        """A job is to finish work within so many seconds, asked now and after each success."""
        self._patience[name] = patience
        job = self._before.get(name) or JobHealth(name)
        self._keep(replace(job, busy=False, expected_seconds=self._wait(name)))

    def wait_for(self, words: str) -> None:
        """The daemon cannot work before something comes; "" when it has come."""
        with self._lock:
            self.health = replace(self.health, waiting=words[:MOST_WORDS])
        self._write()

    def began(self, name: str) -> None:
        """A job begins."""
        self._change(name, lambda job, now: replace(job, busy=True, began=now))

    def note_progress(self, name: str) -> None:
        """A job has finished a part of its work; noted every few seconds."""
        job, now = self._job(name), self.clock()
        if job is None or job.worked and seconds_between(job.worked, now) < NOTE_SECONDS:
            return
        self._change(name, lambda job, now: replace(job, worked=now))

    def ended(self, name: str, words: str, *, failed: bool) -> None:
        """A job has ended, with its outcome or the reason of its failure in words."""

        def end(job: JobHealth, now: Stamp) -> JobHealth:
            took = seconds_between(job.began or now, now)
            job = replace(job, busy=False, ended=now, seconds=round(took, 3))
            job = replace(job, words=words[:MOST_WORDS])
            if failed:
                return replace(job, failures_in_a_row=job.failures_in_a_row + 1)
            job = replace(job, succeeded=now, worked=now, failures_in_a_row=0)
            return replace(job, expected_seconds=self._wait(name))

        self._change(name, end)

    def stop(self) -> None:
        """The daemon ends as it was asked to."""
        with self._lock:
            self.health = replace(self.health, stopped=True)
        self._write()

    def _wait(self, name: str) -> float:
        return min(self._patience[name](), FOR_EVER_SECONDS)

    def _job(self, name: str) -> JobHealth | None:
        return next((job for job in self.health.jobs if job.name == name), None)

    def _change(self, name: str, change: Callable[[JobHealth, Stamp], JobHealth]) -> None:
        job = self._job(name)
        if job is not None:
            self._keep(change(job, self.clock()))

    def _keep(self, job: JobHealth) -> None:
        # Each job changes its own entry alone, from its own thread.
        with self._lock:
            others = tuple(other for other in self.health.jobs if other.name != job.name)
            self.health = replace(self.health, jobs=(*others, job))
        self._write()

    def _write(self) -> None:
        with self._lock:
            try:
                write_passing(self.path, _HEALTH.dump_json(self.health, indent=1))
            except TransientError as error:
                log.warning("health cannot be told: %s", error)


def read_health(folder: Path) -> Health | None:
    """What the daemon last said of itself; None where it never did, or not legibly."""
    with suppress(OSError, ValidationError):
        return _HEALTH.validate_json((folder / FILE).read_bytes())
    return None


def find_troubles(health: Health | None, *, now: Stamp, alive: bool) -> list[str]:
    """What is wrong, in words; nothing where all is well.

    alive: whether the daemon's process is there.
    """
    if health is None:
        return ["no daemon has run here yet: pm-app run starts it"]
    if health.stopped:
        return ["the daemon was stopped: pm-app run starts it"]
    if not alive:
        return [f"the daemon is gone: process {health.process} has ended without being asked to"]
    troubles = [f"waiting: {health.waiting}"] if health.waiting else []
    for job in health.jobs:
        troubles += _troubles_of(job, health, now)
    return troubles


def _troubles_of(job: JobHealth, health: Health, now: Stamp) -> list[str]:
    found = []
    if job.failures_in_a_row >= MOST_FAILURES:
        found.append(f"{job.name}: failed {job.failures_in_a_row} times in a row: {job.words}")
    # A daemon that has just been started is given the time that its jobs have, but one that
    # falls and is started again and again is not.
    since = min(seconds_between(stamp, now) for stamp in (job.worked, health.since) if stamp)
    if since > job.expected_seconds:
        found.append(
            f"{job.name}: nothing finished for {format_duration(since)}, "
            f"at most {format_duration(job.expected_seconds)}"
        )
    return found
