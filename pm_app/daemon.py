"""When jobs run and how the process stops. The only user of APScheduler.

Scoring comes round every few seconds, retraining follows its cron in the plant's time zone,
each on a thread of its own, so that a long training never delays a score. What was due while
the process was down runs once at the start. Health is the age of the last finished score: a
scheduler can look alive and do nothing, so a daemon without progress ends with exit code 1
and its supervisor starts it again.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pm_app.errors import BadSettings, TransientError
from pm_app.settings import Settings
from pm_app.times import NS, parse_duration

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
# A score that is this many turns late, and at least ten minutes, will not come any more.
MOST_TURNS_LATE = 20
LEAST_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Job:
    """Something to run: a name for the log and a call that returns its outcome in words."""

    name: str
    run: Callable[[datetime], str]


@dataclass
class Pulse:
    """When a job last finished, well or badly, on the monotonic clock."""

    finished: float = field(default_factory=time.monotonic)
    failed: bool = False


def run_daemon(
    settings: Settings,
    *,
    score: Job,
    retrain: Job,
    last_retraining: datetime | None,
    stop: threading.Event,
) -> int:
    """Run until SIGTERM or SIGINT, then finish the batch in hand; returns the exit code."""
    pulse = Pulse()
    scheduler = make_scheduler()
    scoring = IntervalTrigger(seconds=parse_duration(settings.scoring.every) / NS)
    cron = make_cron(settings)
    now = datetime.now(tz=UTC)
    scheduler.add_job(
        _guarded(score, pulse), scoring, executor="scoring", id="score", next_run_time=now
    )
    later: dict[str, datetime] = (
        {"next_run_time": now} if overdue(cron, last_retraining, now) else {}
    )
    scheduler.add_job(_guarded(retrain, Pulse()), cron, executor="training", id="retrain", **later)
    _stop_on_signals(stop)
    scheduler.start()
    log.info("started: %s; scoring every %s", settings.plant.name, settings.scoring.every)
    try:
        return _watch(pulse, patience_seconds(settings), stop)
    finally:
        stop.set()
        scheduler.shutdown(wait=True)
        log.info("stopped")


def make_scheduler() -> BackgroundScheduler:
    """A scheduler with a thread for each job."""
    return BackgroundScheduler(
        executors={"scoring": ThreadPoolExecutor(1), "training": ThreadPoolExecutor(1)},
        # APScheduler 3 skips a run that starts over 1 s late; a late score beats none.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        timezone=UTC,
    )


def make_cron(settings: Settings) -> CronTrigger:
    """The retraining schedule in plant time. Raises BadSettings naming the key."""
    zone = ZoneInfo(settings.plant.timezone)
    try:
        return CronTrigger.from_crontab(settings.retraining.cron, timezone=zone)
    except ValueError as error:
        raise BadSettings(
            f"retraining.cron cannot be read: {error}, got {settings.retraining.cron!r}"
        ) from error


def overdue(cron: CronTrigger, last: datetime | None, now: datetime) -> bool:
    """Whether a run was due since the last one finished; before the first one it always is."""
    if last is None:
        return True
    due = cron.get_next_fire_time(None, last)
    return due is not None and due <= now


def patience_seconds(settings: Settings) -> float:
    """How long without a finished score is too long."""
    every = parse_duration(settings.scoring.every) / NS
    return max(MOST_TURNS_LATE * every, LEAST_PATIENCE_SECONDS)


def _guarded(job: Job, pulse: Pulse) -> Callable[[], None]:
    """The job as the scheduler calls it: its outcome in one line, never an exception.

    An exception that reaches APScheduler's own thread would end scheduling for good.
    """

    def run() -> None:
        try:
            outcome = job.run(datetime.now(tz=UTC))
            pulse.failed = False
            log.info("%s: %s", job.name, outcome)
        except TransientError as error:
            pulse.failed = True
            log.warning("%s: will try again: %s", job.name, error)
        except Exception:
            pulse.failed = True
            log.exception("%s failed", job.name)
        pulse.finished = time.monotonic()

    return run


def _watch(pulse: Pulse, patience: float, stop: threading.Event) -> int:
    while not stop.wait(LOOK_SECONDS):
        age = time.monotonic() - pulse.finished
        if age > patience:
            log.error("no score finished for %.0f s, at most %.0f s: giving up", age, patience)
            return 1
    return 0


def _stop_on_signals(stop: threading.Event) -> None:
    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        log.info("%s: finishing what is in hand", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
