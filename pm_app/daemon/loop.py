"""The daemon's loop: runs the jobs on their schedules, watches over them, stops when asked.

Scoring comes round every few seconds, retraining follows its cron in the plant's time zone,
each on a thread of its own, so that a long training never delays a score. What was due while
the process was down runs once at the start. A daemon without progress ends with exit code 1 and
its supervisor starts it again.
"""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType
from typing import TypeVar

from pm_app.daemon.health import Monitor
from pm_app.daemon.schedule import (
    NORMAL_CRON,
    Calendar,
    Interval,
    JobSchedule,
    UntilFirst,
    make_cron,
    make_schedules,
)
from pm_app.errors import PmAppError, StoreUnavailable, TransientError
from pm_app.settings.plant import Settings
from pm_app.times import NS, Stamp, parse_duration
from pm_app.wording import nothing_happened

Opened = TypeVar("Opened")
# Calls what it is given whenever something new may have come, as long as it is entered.
Watching = Callable[[Callable[[], None]], AbstractContextManager[bool]]
log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
GRACE_SECONDS = 10.0
NOTIFY_SECONDS = 15.0
WATCH_SECONDS = 30.0
SENSORS_SECONDS = 60.0
# A score that is this many turns late, and at least ten minutes, will not come any more.
MOST_TURNS_LATE = 20
LEAST_PATIENCE_SECONDS = 600.0
# What a retraining may be late beyond its own timeout.
LATE_RETRAINING_SECONDS = 3600.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
# systemd is told that the daemon lives this often; the unit waits much longer.
PING_SECONDS = 10.0


@dataclass
class Heartbeat:
    """When a job last got on with its work, on the monotonic clock."""

    beaten: float = field(default_factory=time.monotonic)
    parts: int = 0

    def beat(self) -> None:
        """Note that a part of the work was done just now."""
        self.beaten = time.monotonic()
        self.parts += 1

    def end(self) -> None:
        """Note that the job has ended, well or not: it does not hang."""
        self.beaten = time.monotonic()

    def has_progressed(self) -> bool:
        """Whether parts were done since this was last asked."""
        parts, self.parts = self.parts, 0
        return parts > 0


@dataclass(frozen=True)
class Job:
    """Something to run: a name for the log and a call that returns its outcome in words.

    heartbeat: for the call to beat while it has much to do; its end counts by itself.
    """

    name: str
    run: Callable[[datetime], str]
    heartbeat: Heartbeat = field(default_factory=Heartbeat)


@dataclass(frozen=True)
class DaemonJobs:
    """What a daemon runs.

    notify, publish: send alarms, predictions every NOTIFY_SECONDS; None where nobody wants any.
    watch: looks every WATCH_SECONDS for what has stopped. sensors: every SENSORS_SECONDS judges
    those of some assets.
    last_retraining: when one last began, None where none did. normal: what learns normal
    behaviour, None where nobody wants deviations.
    """

    score: Job
    retrain: Job
    notify: Job | None = None
    publish: Job | None = None
    watch: Job | None = None
    sensors: Job | None = None
    last_retraining: datetime | None = None
    normal: "NormalJob | None" = None


@dataclass(frozen=True)
class NormalJob:
    """The job that learns normal behaviour: when one last began, and whether one speaks yet."""

    job: Job
    last: datetime | None
    is_there: Callable[[], bool]


def run_daemon(
    settings: Settings,
    jobs: DaemonJobs,
    *,
    stop: threading.Event,
    monitor: Monitor,
    watching: Watching = lambda on_change: nullcontext(False),
    patience: float | None = None,
) -> int:
    """Run until `stop` is set, then finish the batch in hand; returns the exit code.

    watching: tells of new files, which are scored at once; without it they wait for their turn.

    patience: seconds without progress in scoring that are too long, by default a multiple of
    its interval. The code is then 1, and a job may still hang: only `os._exit` ends that.
    """
    interval, calendar = make_schedules(settings, jobs.last_retraining)
    allowed = patience or patience_seconds(settings)
    scorer = _JobRunner(jobs.score, interval, monitor)
    others = [_JobRunner(jobs.retrain, calendar, monitor)]
    others += _normal_runners(settings, jobs.normal, monitor)
    others += [_JobRunner(job, Interval(every), monitor) for job, every in _small(jobs)]
    _expect(settings, jobs, calendar, monitor, allowed)
    log.info("started: %s; scoring every %s", settings.plant.name, settings.scoring.every)
    look = min(LOOK_SECONDS, allowed, interval.every_seconds)
    alive = False
    try:
        with watching(scorer.run_soon):
            alive = _watch(scorer, [scorer, *others], patience=allowed, look=look, stop=stop)
    finally:
        stop.set()
        notify_supervisor("STOPPING=1")
        scorer.wait(None if alive else 0.0)
        for runner in others:
            runner.wait(None if alive else GRACE_SECONDS)
        if alive:
            monitor.stop()
        log.info("stopped")
    return 0 if alive else 1


def _expect(
    settings: Settings, jobs: DaemonJobs, calendar: Calendar, monitor: Monitor, allowed: float
) -> None:
    """Tell the monitor how old the newest finished work of each job may become."""
    late = LATE_RETRAINING_SECONDS + parse_duration(settings.retraining.timeout) / NS
    monitor.expect(jobs.score.name, lambda: allowed)
    monitor.expect(jobs.retrain.name, lambda: calendar.until_next(monitor.clock()) + late)
    for job, _ in _small(jobs):
        monitor.expect(job.name, lambda: LEAST_PATIENCE_SECONDS)


def _normal_runners(
    settings: Settings, normal: NormalJob | None, monitor: Monitor
) -> "list[_JobRunner]":
    """What learns normal behaviour: it may wait for a retraining, and is given the time of one."""
    if normal is None:
        return []
    turns = UntilFirst(Calendar(make_cron(settings, NORMAL_CRON), normal.last), normal.is_there)
    late = LATE_RETRAINING_SECONDS + 2 * parse_duration(settings.retraining.timeout) / NS
    monitor.expect(normal.job.name, lambda: turns.until_next(monitor.clock()) + late)
    return [_JobRunner(normal.job, turns, monitor)]


def _small(jobs: DaemonJobs) -> list[tuple[Job, float]]:
    """The jobs beside scoring and retraining that there are, and how often they run."""
    pairs = (
        *((job, NOTIFY_SECONDS) for job in (jobs.notify, jobs.publish)),
        (jobs.watch, WATCH_SECONDS),
        (jobs.sensors, SENSORS_SECONDS),
    )
    return [(job, every) for job, every in pairs if job is not None]


def wait_for_store(
    open_it: Callable[[], Opened], *, stop: threading.Event, monitor: Monitor
) -> Opened | None:
    """What `open_it` returns, tried until the store answers; None where `stop` came first.

    The pauses double up to LONGEST_WAIT_SECONDS. Errors but StoreUnavailable pass through.
    """
    pause = FIRST_WAIT_SECONDS
    while not stop.is_set():
        try:
            opened = open_it()
        except StoreUnavailable as error:
            log.warning("waiting %.0f s for the store: %s", pause, error)
            monitor.wait_for(str(error))
            notify_supervisor("WATCHDOG=1", f"STATUS=waiting for the store: {error}")
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_WAIT_SECONDS)
        else:
            monitor.wait_for("")
            notify_supervisor("WATCHDOG=1", "STATUS=")
            return opened
    return None


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` at SIGTERM and SIGINT."""

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        log.info("%s: finishing what is in hand", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)


def patience_seconds(settings: Settings) -> float:
    """How long without progress in scoring is too long."""
    every = parse_duration(settings.scoring.every) / NS
    return max(MOST_TURNS_LATE * every, LEAST_PATIENCE_SECONDS)


class _JobRunner:
    """A job, its schedule, and the thread that it runs on, one run at a time."""

    def __init__(self, job: Job, schedule: JobSchedule, monitor: Monitor) -> None:
        self.job, self.schedule, self.monitor, self.clock = job, schedule, monitor, monitor.clock
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._asked = self._closed = False
        self._words = ""

    def look(self) -> None:
        """Start the job where it is its turn and it is not at it."""
        with self._lock:
            now = self.clock()
            if self._closed or (self._thread is not None and self._thread.is_alive()):
                return
            if self._asked or self.schedule.due(now):
                self._begin(now)
                self._thread = threading.Thread(target=self._work, args=(now,), daemon=True)
                self._thread.start()

    def run_soon(self) -> None:
        """It is the job's turn now; where it is at it, as soon as it is done."""
        self._asked = True
        self.look()

    def wait(self, seconds: float | None) -> None:
        """Give a run that is under way so much time to end; None: as long as it takes."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join(seconds)

    def _begin(self, now: Stamp) -> None:
        self._asked = False
        self.schedule.began(now)
        self.monitor.began(self.job.name)

    def _work(self, now: Stamp) -> None:
        """Run, and again for what came meanwhile."""
        self._run(now.at)
        while self._asked and not self._closed:
            now = self.clock()
            self._begin(now)
            self._run(now.at)

    def _run(self, now: datetime) -> None:
        """The job at its turn: its outcome in one line, never an exception."""
        failed, again, words = True, False, "ended without a word"
        try:
            words = self.job.run(now)
            failed = False
            quiet = words == self._words or nothing_happened(words)
            log.log(logging.DEBUG if quiet else logging.INFO, "%s: %s", self.job.name, words)
        except TransientError as error:
            again, words = True, str(error)
            log.warning("%s: will try again: %s", self.job.name, error)
        except PmAppError as error:
            words = str(error)
            log.error("%s failed: %s", self.job.name, error)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            log.exception("%s failed", self.job.name)
        finally:
            self._words = words
            self.schedule.ended(self.clock(), again=again)
            self.monitor.ended(self.job.name, words, failed=failed)
            self.job.heartbeat.end()


def _watch(
    score: _JobRunner,
    runners: Sequence[_JobRunner],
    *,
    patience: float,
    look: float,
    stop: threading.Event,
) -> bool:
    """Start what is due until `stop`; False where scoring has made no progress for too long."""
    heartbeat, pinged = score.job.heartbeat, -math.inf
    while not stop.is_set():
        for runner in runners:
            runner.look()
        if heartbeat.has_progressed():
            score.monitor.note_progress(score.job.name)
        if time.monotonic() - pinged > PING_SECONDS:
            pinged = time.monotonic()
            notify_supervisor("WATCHDOG=1")
        stop.wait(look)
        age = time.monotonic() - heartbeat.beaten
        if age > patience and not stop.is_set():
            log.error("no progress in scoring for %.0f s, at most %.0f s: giving up", age, patience)
            return False
    return True


VARIABLE = "NOTIFY_SOCKET"


def notify_supervisor(*lines: str) -> None:
    """Send lines such as "READY=1" to systemd, or whoever started the daemon (sd_notify(3)).

    Nothing happens where nobody listens on $NOTIFY_SOCKET.
    """
    address = os.environ.get(VARIABLE, "")
    if address[:1] not in ("/", "@"):
        return
    # "@" stands for the zero byte that abstract names begin with.
    name = "\0" + address[1:] if address[0] == "@" else address
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel,
    ):
        channel.sendto("\n".join(lines).encode(), name)
