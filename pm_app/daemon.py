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
GRACE_SECONDS = 10.0
# A score that is this many turns late, and at least ten minutes, will not come any more.
MOST_TURNS_LATE = 20
LEAST_PATIENCE_SECONDS = 600.0


@dataclass
class Pulse:
    """When a job last got on with its work, on the monotonic clock, and whether it is at it."""

    beaten: float = field(default_factory=time.monotonic)
    busy: bool = False
    failed: bool = False

    def beat(self) -> None:
        """Note that work went on just now."""
        self.beaten = time.monotonic()


@dataclass(frozen=True)
class Job:
    """Something to run: a name for the log and a call that returns its outcome in words.

    pulse: for the call to beat while it has much to do; its end counts by itself.
    """

    name: str
    run: Callable[[datetime], str]
    pulse: Pulse = field(default_factory=Pulse)


def run_daemon(
    settings: Settings,
    *,
    score: Job,
    retrain: Job,
    last_retraining: datetime | None,
    stop: threading.Event,
    patience: float | None = None,
) -> int:
    """Run until SIGTERM or SIGINT, then finish the batch in hand; returns the exit code.

    patience: seconds without progress in scoring that are too long, by default a multiple of
    its interval. The code is then 1, and a job may still hang: only `os._exit` ends that.
    """
    scheduler = make_scheduler()
    scoring = IntervalTrigger(seconds=parse_duration(settings.scoring.every) / NS)
    cron = make_cron(settings)
    now = datetime.now(tz=UTC)
    scheduler.add_job(_guarded(score), scoring, executor="scoring", id="score", next_run_time=now)
    later: dict[str, datetime] = (
        {"next_run_time": now} if overdue(cron, last_retraining, now) else {}
    )
    scheduler.add_job(_guarded(retrain), cron, executor="training", id="retrain", **later)
    _stop_on_signals(stop)
    scheduler.start()
    log.info("started: %s; scoring every %s", settings.plant.name, settings.scoring.every)
    alive = False
    try:
        alive = _watch(score.pulse, patience or patience_seconds(settings), stop)
    finally:
        stop.set()
        scheduler.shutdown(wait=alive)
        if not alive:
            _wait_for(retrain.pulse)
        log.info("stopped")
    return 0 if alive else 1


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
        cron = CronTrigger.from_crontab(settings.retraining.cron, timezone=zone)
    except ValueError as error:
        raise BadSettings(
            f"retraining.cron cannot be read: {error}, got {settings.retraining.cron!r}"
        ) from error
    if cron.get_next_fire_time(None, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise BadSettings(f"retraining.cron never comes, got {settings.retraining.cron!r}")
    return cron


def overdue(cron: CronTrigger, last: datetime | None, now: datetime) -> bool:
    """Whether a run was due since the last one began; before the first one it always is."""
    if last is None:
        return True
    due = cron.get_next_fire_time(None, last)
    return due is not None and due <= now


def patience_seconds(settings: Settings) -> float:
    """How long without progress in scoring is too long."""
    every = parse_duration(settings.scoring.every) / NS
    return max(MOST_TURNS_LATE * every, LEAST_PATIENCE_SECONDS)


def _guarded(job: Job) -> Callable[[], None]:
    """The job as the scheduler calls it: its outcome in one line, never an exception.

    An exception that reaches APScheduler's own thread would end scheduling for good.
    """
    pulse = job.pulse

    def run() -> None:
        pulse.busy = True
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
        pulse.busy = False
        pulse.beat()

    return run


def _watch(pulse: Pulse, patience: float, stop: threading.Event) -> bool:
    """Wait for `stop`; False where scoring has made no progress for too long."""
    while not stop.wait(min(LOOK_SECONDS, patience)):
        age = time.monotonic() - pulse.beaten
        if age > patience:
            log.error("no progress in scoring for %.0f s, at most %.0f s: giving up", age, patience)
            return False
    return True


def _wait_for(pulse: Pulse) -> None:
    """Give a training that was asked to stop the time to end its process."""
    deadline = time.monotonic() + GRACE_SECONDS
    while pulse.busy and time.monotonic() < deadline:
        time.sleep(0.1)


def _stop_on_signals(stop: threading.Event) -> None:
    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        log.info("%s: finishing what is in hand", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
