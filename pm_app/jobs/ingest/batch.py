"""Ingestion of one batch into history and ledger: it is ingested, quarantined or left."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from operator import add

from pm_app.errors import BadBatch, SourceUnavailable, TornBatch
from pm_app.jobs.ingest.crash_guard import crash_guard
from pm_app.jobs.ingest.housekeeping import remove_unnamed
from pm_app.jobs.ingest.panes import KeptBatch, read_events, read_readings
from pm_app.jobs.ingest.rejections import shorten
from pm_app.jobs.plant import IngestView
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch, LeftColumn
from pm_app.settings.plant import Settings
from pm_app.store import BatchRow, Source
from pm_app.times import NS, to_nanoseconds

log = logging.getLogger(__name__)
# A file without its end that was written to this lately may still be on its way.
SETTLED_SECONDS = 60
LEFT_LOGGED = 20


@dataclass(frozen=True)
class Ingested:
    """What one look at the sources brought.

    arriving: batches that are still being written, left for later. unavailable: why batches
    that are there could not be fetched, and were left for later.
    """

    batches: int = 0
    rows: int = 0
    rejected: int = 0
    quarantined: int = 0
    arriving: int = 0
    unavailable: tuple[str, ...] = ()

    def __add__(self, other: "Ingested") -> "Ingested":
        """Both together."""
        return Ingested(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, eq=False)
class BatchFeed:
    """Batches of one source: its name in the ledger, where they lie, and what reads one."""

    source: Source
    port: ReadingsSource | EventsSource
    read: Callable[[IngestView, Batch, BatchRow], KeptBatch]


def feeds(view: IngestView) -> tuple[BatchFeed, BatchFeed]:
    """Events first: a batch of readings is scored by what is on record when it comes."""
    events = BatchFeed("events", view.events, read_events)
    return events, BatchFeed("readings", view.readings, read_readings)


def reader_digest(settings: Settings, source: Source) -> str:
    """Digest of the settings that decide how files of a source are read."""
    section = settings.readings if source == "readings" else settings.events
    relevant = [section.model_dump(mode="json"), settings.target.column, source]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:24]


def ingest_batch(view: IngestView, feed: BatchFeed, batch: Batch, now: datetime) -> Ingested:
    """Read one batch, or find why not, and note it in the ledger.

    Those that cannot be fetched now, or are still being written, are left for the next look.
    """
    try:
        with crash_guard(view.settings.state, batch):
            return _record(view, feed, batch, now)
    except TornBatch as error:
        log.info("left for the next look, still arriving: %s", error)
        return Ingested(arriving=1)
    except BadBatch as error:
        row = _row(view.settings, feed.source, batch, _no_digest(batch), now)
        return _quarantine(view, feed, batch, row, error)
    except SourceUnavailable as error:
        log.warning("left for the next look: %s", error)
        return Ingested(unavailable=(str(error),))


def _record(view: IngestView, feed: BatchFeed, batch: Batch, now: datetime) -> Ingested:
    row = _row(view.settings, feed.source, batch, feed.port.digest(batch), now)
    kept = KeptBatch(row)
    if view.ledger.find_digest(feed.source, row.digest) is None:
        try:
            kept = feed.read(view, batch, row)
        except TornBatch as error:
            if abs(to_nanoseconds(now) - batch.modified_ns) < SETTLED_SECONDS * NS:
                raise
            return _quarantine(view, feed, batch, row, error)
        except BadBatch as error:
            return _quarantine(view, feed, batch, row, error)
    fresh = view.ledger.new_left_columns(feed.source, kept.left)
    view.ledger.record_batch(kept.row, spans=kept.spans, left=kept.left)
    _log_left_columns(kept.row, fresh)
    return Ingested(1, kept.row.rows, kept.row.rejected)


def _log_left_columns(row: BatchRow, fresh: Sequence[LeftColumn]) -> None:
    """Tell once of each column and cause, not once a file."""
    for each in fresh[:LEFT_LOGGED]:
        log.warning(
            "%s: column %r of %s is left out: it %s", row.name, each.name, row.source, each.reason
        )
    if len(fresh) > LEFT_LOGGED:
        more = len(fresh) - LEFT_LOGGED
        log.warning("%s: %d columns more are left out; see the Data page", row.name, more)


def _row(settings: Settings, source: Source, batch: Batch, digest: str, now: datetime) -> BatchRow:
    return BatchRow(
        source=source,
        name=batch.name,
        digest=digest,
        size_bytes=batch.size_bytes,
        modified_ns=batch.modified_ns,
        rows=0,
        rejected=0,
        status="ingested",
        ingested_at=now,
        reader=reader_digest(settings, source),
    )


def _quarantine(
    view: IngestView, feed: BatchFeed, batch: Batch, row: BatchRow, error: BadBatch
) -> Ingested:
    reason = shorten(str(error))
    log.warning("quarantined %s: %s", row.name, reason.removeprefix(f"{row.name}: "))
    remove_unnamed((view.history, view.event_history), (), stem=row.digest[:24])
    rejected = feed.port.count(batch)
    view.ledger.record_batch(replace(row, status="quarantined", reason=reason, rejected=rejected))
    return Ingested(batches=1, rejected=rejected, quarantined=1)


def _no_digest(batch: Batch) -> str:
    """Stands for the content of a file that cannot be read at all."""
    identity = f"{batch.name}\n{batch.size_bytes}\n{batch.modified_ns}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
