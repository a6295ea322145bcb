"""Sweep of what lies in the folders: left files are said, and known files are hashed again.

A look asks for name, size and time stamp alone. A file whose content was exchanged under the same
three is met by hashing every file again in the course of days, some megabytes a minute, and is
then read like any other that was replaced.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import nsmallest
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import write_passing
from pm_app.errors import BadBatch, SourceUnavailable
from pm_app.jobs.ingest.batch import BatchFeed, Ingested
from pm_app.jobs.ingest.left_files import count_left
from pm_app.jobs.plant import IngestView
from pm_app.records.readings import Batch
from pm_app.times import to_moment, to_nanoseconds

log = logging.getLogger(__name__)
FILE: Final = "sweep.json"
EVERY: Final = timedelta(minutes=1)
# Once through in a week, and never more than this: a disk of a plant bears it beside its work.
ROUND_MINUTES: Final = 7 * 24 * 60
LEAST_BYTES_A_MINUTE, MOST_BYTES_A_MINUTE = 4_000_000, 100_000_000
_MOST_FILES: Final = 500
Take = Callable[[BatchFeed, Batch], Ingested]


@dataclass(frozen=True)
class _Progress:
    """After which name to go on, by source; and when, in nanoseconds."""

    after: dict[str, str] = field(default_factory=dict)
    due_ns: int = 0
    since_ns: int = 0


_PROGRESS = TypeAdapter(_Progress)


def sweep(view: IngestView, feeds: tuple[BatchFeed, ...], take: Take, now: datetime) -> Ingested:
    """A minute's part of the sweep, where it is due: what was found changed, taken in.

    Raises SourceUnavailable where a source cannot be listed, and StoreUnavailable.
    """
    path = view.settings.state / FILE
    before, now_ns = _read(path), to_nanoseconds(now)
    # A clock that was put back must not end it.
    if before.since_ns <= now_ns < before.due_ns:
        return Ingested()
    done, after, minutes = Ingested(), dict(before.after), 1.0
    for feed in feeds:
        _log_left(view, feed)
        # Storage that gives files its own time stamps gives a new one with every change.
        if feed.port.watched_folder is not None:
            part = _next_part(feed, after.get(feed.source, ""))
            done += _look_again(view, feed, part.batches, take)
            after[feed.source] = part.last
            minutes = max(minutes, part.minutes)
    progress = _Progress(after, to_nanoseconds(now + minutes * EVERY), now_ns)
    write_passing(path, _PROGRESS.dump_json(progress))
    return done


def _log_left(view: IngestView, feed: BatchFeed) -> None:
    """Say what is left once, and again where it has become twice as much."""
    for left in count_left(feed.source, feed.port):
        key = feed.source, left.reason
        if left.files >= 2 * view.left_logged.get(key, 0):
            view.left_logged[key] = left.files
            log.warning("%s", left.words)


@dataclass(frozen=True)
class _Part:
    """Files to hash, the last name among them ("" at the end of a round), and for how long."""

    batches: list[Batch]
    last: str
    minutes: float


def _next_part(feed: BatchFeed, after: str) -> _Part:
    total = 0

    def later() -> Iterator[Batch]:
        nonlocal total
        for batch in feed.port.list():
            total += batch.size_bytes
            if batch.name > after:
                yield batch

    waiting = nsmallest(_MOST_FILES, later(), key=lambda batch: batch.name)
    rate = min(max(total / ROUND_MINUTES, LEAST_BYTES_A_MINUTE), MOST_BYTES_A_MINUTE)
    chosen: list[Batch] = []
    size = 0
    for batch in waiting:
        if chosen and size + batch.size_bytes > rate:
            break
        chosen.append(batch)
        size += batch.size_bytes
    ended = len(chosen) == len(waiting) < _MOST_FILES
    return _Part(chosen, "" if ended else chosen[-1].name, size / rate)


def _look_again(view: IngestView, feed: BatchFeed, batches: list[Batch], take: Take) -> Ingested:
    done = Ingested()
    unknown = set(view.ledger.new_files(feed.source, batches))
    for batch in batches:
        if batch in unknown:
            continue
        view.beat()
        try:
            digest = feed.port.digest(batch)
        except (BadBatch, SourceUnavailable):  # a matter of the look itself
            continue
        if not view.ledger.holds(feed.source, batch.name, digest):
            stamp = to_moment(batch.modified_ns)
            log.warning(
                "%s has another content than when it was read, under the same size and time "
                "stamp (%d bytes, %s): it is read again",
                *(batch.name, batch.size_bytes, stamp),
            )
            done += take(feed, batch)
    return done


def _read(path: Path) -> _Progress:
    try:
        return _PROGRESS.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return _Progress()
