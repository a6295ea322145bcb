"""Status of the plant: its daemon, its backlog, and what scores; for people and programs."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pm_app.daemon.freshness import Freshness, read_freshness
from pm_app.daemon.health import FILE, Health, JobHealth, find_troubles, read_health
from pm_app.durable import denial
from pm_app.errors import PmAppError
from pm_app.jobs.ingest.left_files import LeftFiles, count_left
from pm_app.jobs.operations.approvals import approval_texts
from pm_app.jobs.record.health import RecorderState, recorder_states, troubles_of
from pm_app.jobs.retrain.first_version import first_version_text
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.settings.plant import Settings
from pm_app.store import LedgerBalance, Source, Store
from pm_app.times import Stamp, seconds_between


@dataclass(frozen=True)
class Backlog:
    """Files: not read yet, read but not scored yet, and set aside because they cannot be used.

    left: what lies in the folders and is not read at all, with the reason.
    """

    unread_readings: int
    unread_events: int
    unscored: int
    quarantined: int
    left: tuple[LeftFiles, ...] = ()


def count_backlog(store: Store, readings: ReadingsSource, events: EventsSource) -> Backlog:
    """What waits at this moment. Raises SourceUnavailable and StoreUnavailable."""
    return Backlog(
        unread_readings=_unread(store, readings, "readings"),
        unread_events=_unread(store, events, "events"),
        unscored=store.ledger.count_unscored(),
        quarantined=store.ledger.count(status="quarantined"),
        left=(*count_left("readings", readings), *count_left("events", events)),
    )


def _unread(store: Store, port: ReadingsSource | EventsSource, source: Source) -> int:
    return sum(1 for _ in store.ledger.new_files(source, port.list()))


@dataclass(frozen=True)
class JobStatus:
    """What became of a job; ages in seconds, None where it never did."""

    job: str
    busy: bool
    began: datetime | None
    ended: datetime | None
    succeeded: datetime | None
    success_age_seconds: float | None
    progress_age_seconds: float | None
    expected_seconds: float
    took_seconds: float
    failures_in_a_row: int
    words: str


@dataclass(frozen=True)
class Status:
    """Whether all is well, and if not why not; what is unknown is None.

    process: the daemon's, None where none is at work. champion: the version that says risks;
    normal: the one that says deviations. first_version: why none scores yet, what is
    missing and what a person can do; "" where one does. waiting: versions that wait for a person,
    in words.
    """

    fine: bool
    troubles: tuple[str, ...]
    process: int | None
    jobs: tuple[JobStatus, ...]
    backlog: Backlog | None = None
    balance: LedgerBalance | None = None
    champion: int | None = None
    normal: int | None = None
    freshness: tuple[Freshness, ...] = ()
    first_version: str = ""
    recorders: tuple[RecorderState, ...] = ()
    waiting: tuple[str, ...] = ()


def plant_status(
    settings: Settings,
    store: Callable[[], Store],
    count: Callable[[Store], Backlog],
    *,
    now: Stamp,
    today: datetime | None = None,
) -> Status:
    """The status of a plant.

    today: by which readings and scores are old, by default now. What cannot be read is a trouble.
    """
    health = read_health(settings.state)
    troubles = _closed(settings) or daemon_troubles(health, now=now)
    backlog = balance = champion = normal = None
    words, waiting = "", tuple[str, ...]()
    freshness: tuple[Freshness, ...] = ()
    try:
        opened = store()
        balance, champion = opened.ledger.balance(), opened.lineage.champion()
        normal = opened.lineage.champion(kind="normal")
        words, waiting = first_version_text(opened.lineage), approval_texts(opened.lineage)
        freshness = read_freshness(opened, settings, now=today or now.at)
        backlog = count(opened)
    except PmAppError as error:
        troubles.append(str(error))
    recorders = recorder_states(settings.state, settings.recorders, now=now)
    troubles += [*(each.words for each in freshness if each.overdue), *troubles_of(recorders)]
    return Status(
        fine=not troubles,
        troubles=tuple(troubles),
        process=health.process if health and _at_work(health) else None,
        jobs=tuple(_job_status(job, now) for job in health.jobs) if health else (),
        backlog=backlog,
        balance=balance,
        champion=champion,
        normal=normal,
        freshness=freshness,
        first_version=words,
        recorders=recorders,
        waiting=waiting,
    )


def daemon_troubles(health: Health | None, *, now: Stamp) -> list[str]:
    """What is wrong with the daemon of this health, in words."""
    return find_troubles(health, now=now, alive=health is not None and _is_there(health.process))


def _closed(settings: Settings) -> list[str]:
    words = denial(settings.state / FILE)
    return [words] if words else []


def _at_work(health: Health) -> bool:
    return not health.stopped and _is_there(health.process)


def _is_there(process: int) -> bool:
    try:
        with suppress(PermissionError):
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _job_status(job: JobHealth, now: Stamp) -> JobStatus:
    return JobStatus(
        job=job.name,
        busy=job.busy,
        began=job.began.at if job.began else None,
        ended=job.ended.at if job.ended else None,
        succeeded=job.succeeded.at if job.succeeded else None,
        success_age_seconds=_age(job.succeeded, now),
        progress_age_seconds=_age(job.worked, now),
        expected_seconds=job.expected_seconds,
        took_seconds=job.seconds,
        failures_in_a_row=job.failures_in_a_row,
        words=job.words,
    )


def _age(stamp: Stamp | None, now: Stamp) -> float | None:
    return None if stamp is None else round(seconds_between(stamp, now), 1)
