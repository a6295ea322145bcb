"""One batch into history and ledger, whatever becomes of it."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import remove_file, write_passing
from pm_app.errors import BadBatch, SourceUnavailable, TornBatch
from pm_app.jobs.ingest.housekeeping import remove_batch_segments
from pm_app.jobs.ingest.panes import Spans, shorten
from pm_app.jobs.plant import Plant
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch
from pm_app.store import BatchRow, Source
from pm_app.times import NS, to_nanoseconds

log = logging.getLogger(__name__)
Reader = Callable[[Plant, Batch, BatchRow], tuple[BatchRow, Spans]]
# A file without its end that was written to this lately may still be on its way.
SETTLED_SECONDS = 60


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
        return Ingested(
            self.batches + other.batches,
            self.rows + other.rows,
            self.rejected + other.rejected,
            self.quarantined + other.quarantined,
            self.arriving + other.arriving,
            self.unavailable + other.unavailable,
        )


def reader_digest(plant: Plant, source: Source) -> str:
    """Digest of the settings that decide how files of a source are read."""
    section = plant.settings.readings if source == "readings" else plant.settings.events
    relevant = [section.model_dump(mode="json"), plant.settings.target.column, source]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:24]


def ingest_batch(
    plant: Plant,
    port: ReadingsSource | EventsSource,
    source: Source,
    batch: Batch,
    read: Reader,
    now: datetime,
) -> Ingested:
    """Read one batch, or find why not, and note it in the ledger.

    Those that cannot be fetched now, or are still being written, are left for the next look.
    """
    try:
        with reading(plant.settings.state, batch):
            return _record(plant, port, source, batch, read, now)
    except TornBatch as error:
        log.info("left for the next look, still arriving: %s", error)
        return Ingested(arriving=1)
    except BadBatch as error:
        return _quarantine(
            plant, port, batch, _row(plant, source, batch, _no_digest(batch), now), error
        )
    except SourceUnavailable as error:
        log.warning("left for the next look: %s", error)
        return Ingested(unavailable=(str(error),))


def _record(
    plant: Plant,
    port: ReadingsSource | EventsSource,
    source: Source,
    batch: Batch,
    read: Reader,
    now: datetime,
) -> Ingested:
    """Read one batch, or find why not, and note it in the ledger."""
    row = _row(plant, source, batch, port.digest(batch), now)
    spans: Spans = {}
    if plant.store.ledger.find_digest(source, row.digest) is None:
        try:
            row, spans = read(plant, batch, row)
        except TornBatch as error:
            if abs(to_nanoseconds(now) - batch.modified_ns) < SETTLED_SECONDS * NS:
                raise
            return _quarantine(plant, port, batch, row, error)
        except BadBatch as error:
            return _quarantine(plant, port, batch, row, error)
    plant.store.ledger.record_batch(row, spans=spans)
    return Ingested(1, row.rows, row.rejected)


def _row(plant: Plant, source: Source, batch: Batch, digest: str, now: datetime) -> BatchRow:
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
        reader=reader_digest(plant, source),
    )


def _quarantine(
    plant: Plant,
    port: ReadingsSource | EventsSource,
    batch: Batch,
    row: BatchRow,
    error: BadBatch,
) -> Ingested:
    reason = shorten(str(error))
    log.warning("quarantined %s: %s", row.name, reason)
    remove_batch_segments(plant, row.digest[:24])
    rejected = port.count(batch)
    plant.store.ledger.record_batch(
        replace(row, status="quarantined", reason=reason, rejected=rejected)
    )
    return Ingested(batches=1, rejected=rejected, quarantined=1)


def _no_digest(batch: Batch) -> str:
    """Stands for the content of a file that cannot be read at all."""
    identity = f"{batch.name}\n{batch.size_bytes}\n{batch.modified_ns}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()


FILE: Final = "reading.json"
# Power fails too, and whoever kills a daemon does not ask what it does: five ends in a row while
# the same file was read have been chance. A supervisor is through with this many in minutes.
MOST_ENDS: Final = 10


@dataclass(frozen=True)
class _ReadingMark:
    name: str
    size_bytes: int
    modified_ns: int
    ends: int


_MARK = TypeAdapter(_ReadingMark)


@contextmanager
def reading(state: Path, batch: Batch) -> Iterator[None]:
    """Bear in mind that this file is read, for a process that may not live to tell.

    Raises BadBatch, before anything is read, where MOST_ENDS processes in a row have ended so.
    """
    path = state / FILE
    before = _read(path)
    same = before is not None and _is_of(before, batch)
    ends = before.ends if before is not None and same else 0
    if ends >= MOST_ENDS:
        remove_file(path)
        raise BadBatch(
            f"{batch.name}: needed a file that can be read, got one whose reader ended {ends} "
            "times in a row without a word, as by a lack of memory"
        )
    mark = _ReadingMark(batch.name, batch.size_bytes, batch.modified_ns, ends + 1)
    write_passing(path, _MARK.dump_json(mark))
    try:
        yield
    finally:
        # The process lives, whatever became of the file.
        remove_file(path)


def _read(path: Path) -> _ReadingMark | None:
    with contextlib.suppress(OSError, ValidationError):
        return _MARK.validate_json(path.read_bytes())
    return None


def _is_of(mark: _ReadingMark, batch: Batch) -> bool:
    of_mark = (mark.name, mark.size_bytes, mark.modified_ns)
    return of_mark == (batch.name, batch.size_bytes, batch.modified_ns)
