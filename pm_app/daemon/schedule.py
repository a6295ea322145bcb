"""Schedules of jobs: intervals and cron. The only user of APScheduler, whose cron it reads.

Both kinds of schedule are asked at every look of the daemon whether they are due, so that a clock
that is set, a machine that slept or a day without 02:30 only ever moves a turn, and never makes
two of one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from pm_app.errors import BadSettings
from pm_app.settings.plant import Settings
from pm_app.times import NS, Stamp, parse_duration, seconds_between

# What failed and may succeed later is tried again this soon, then half as often each time.
FIRST_RETRY_SECONDS = 600.0
LONGEST_RETRY_SECONDS = 3600.0
# A run that lies further ahead than this was noted by a clock that was wrong then, not now.
MOST_AHEAD = timedelta(days=1)
NORMAL_CRON: Final = "deviation.cron"
_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


@dataclass
class Interval:
    """A turn every so many seconds, counted from the beginning of the one before.

    Whoever runs the job tells when it began and how it ended.
    """

    every_seconds: float
    last: Stamp | None = None

    def due(self, now: Stamp) -> bool:
        """At once at first."""
        return self.until_next(now) <= 0

    def began(self, now: Stamp) -> None:
        """The next turn is counted from here."""
        self.last = now

    def ended(self, now: Stamp, *, again: bool) -> None:
        """The next turn is soon anyway."""

    def until_next(self, now: Stamp) -> float:
        """Seconds that neither sleep nor a clock that is set can change."""
        if self.last is None:
            return 0.0
        return max(self.every_seconds - seconds_between(self.last, now), 0.0)


@dataclass
class Calendar:
    """A turn at every time that a cron expression names, made up for where it was missed.

    last: when the job last began, None where it never did: then it is due. A turn that failed
    and may succeed comes again after FIRST_RETRY_SECONDS, then twice that, until it succeeds.
    """

    cron: CronTrigger
    last: datetime | None
    failures: int = 0
    failed: Stamp | None = None

    def due(self, now: Stamp) -> bool:
        """Whether a time has come since the last run began, or a failed one is to be repeated."""
        return self._to_be_repeated(now) or self.until_next(now) <= 0

    def began(self, now: Stamp) -> None:
        """What was due until now is being done."""
        self.last, self.failed = now.at, None

    def ended(self, now: Stamp, *, again: bool) -> None:
        """again: it failed and may succeed when tried soon: it is not left for the next night."""
        self.failures = self.failures + 1 if again else 0
        self.failed = now if again else None

    def until_next(self, now: Stamp) -> float:
        """Seconds on the wall clock."""
        if self.last is not None and self.last > now.at + MOST_AHEAD:
            self.last = now.at
        if self.last is None:
            return 0.0
        coming = next_time(self.cron, self.last)
        return math.inf if coming is None else max((coming - now.at).total_seconds(), 0.0)

    def _to_be_repeated(self, now: Stamp) -> bool:
        if self.failed is None:
            return False
        waits = FIRST_RETRY_SECONDS * 2.0 ** min(self.failures - 1, 16)
        return seconds_between(self.failed, now) >= min(waits, LONGEST_RETRY_SECONDS)


@dataclass
class UntilFirst:
    """A turn every so often until the first of something is there, then those of a calendar.

    is_there: asked at the first look and after each run until it says so.
    """

    calendar: Calendar
    is_there: Callable[[], bool]
    interval: Interval = field(default_factory=lambda: Interval(FIRST_RETRY_SECONDS))
    there: bool | None = None

    def due(self, now: Stamp) -> bool:
        """At once at first, and then as the interval or the calendar says."""
        return self._turns().due(now)

    def began(self, now: Stamp) -> None:
        """Both count from here."""
        self.interval.began(now)
        self.calendar.began(now)

    def ended(self, now: Stamp, *, again: bool) -> None:
        """What ended may have been the first."""
        self.calendar.ended(now, again=again)
        self.there = self.there or None

    def until_next(self, now: Stamp) -> float:
        """Seconds."""
        return self._turns().until_next(now)

    def _turns(self) -> Interval | Calendar:
        if self.there is None:
            self.there = self.is_there()
        return self.calendar if self.there else self.interval


JobSchedule = Interval | Calendar | UntilFirst


def make_cron(settings: Settings, key: str = "retraining.cron") -> CronTrigger:
    """The schedule of a key, of what is learned, in plant time. Raises BadSettings naming it."""
    zone = ZoneInfo(settings.plant.timezone)
    text = {"retraining.cron": settings.retraining.cron, NORMAL_CRON: settings.deviation.cron}[key]
    try:
        cron = CronTrigger.from_crontab(text, timezone=zone)
    except ValueError as error:
        raise BadSettings(f"{key} cannot be read: {error}, got {text!r}") from error
    if cron.get_next_fire_time(None, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise BadSettings(f"{key} never comes, got {text!r}")
    return cron


def make_schedules(
    settings: Settings, last_retraining: datetime | None
) -> tuple[Interval, Calendar]:
    """The schedules of scoring and of retraining. Raises BadSettings."""
    every = parse_duration(settings.scoring.every) / NS
    return Interval(every), Calendar(make_cron(settings), last_retraining)


def next_time(cron: CronTrigger, after: datetime) -> datetime | None:
    """The first time after `after`; of an hour that comes twice in autumn the first counts.

    A time that spring leaves out comes an hour later by the wall, as far from midnight.
    """
    # APScheduler takes "after" for "not before".
    found: datetime | None = cron.get_next_fire_time(None, after + _MICROSECOND)
    while found is not None and found.utcoffset() != found.replace(fold=0).utcoffset():
        found = cron.get_next_fire_time(None, found.astimezone(UTC) + _SECOND)
    return found
