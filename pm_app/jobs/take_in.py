"""One batch into history and ledger, whatever becomes of it."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pm_app.errors import BadBatch, SourceUnavailable
from pm_app.jobs.fold import Spans
from pm_app.jobs.garbage import remove_leftovers
from pm_app.jobs.site import Site
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch
from pm_app.store import BatchRow, Source

log = logging.getLogger(__name__)
Reader = Callable[[Site, Batch, BatchRow], tuple[BatchRow, Spans]]


@dataclass(frozen=True)
class Ingested:
    """What one look at the sources brought.

    unavailable: why batches that are there could not be fetched, and were left for later.
    """

    batches: int = 0
    rows: int = 0
    rejected: int = 0
    quarantined: int = 0
    unavailable: tuple[str, ...] = ()

    def __add__(self, other: "Ingested") -> "Ingested":
        """Both together."""
        return Ingested(
            self.batches + other.batches,
            self.rows + other.rows,
            self.rejected + other.rejected,
            self.quarantined + other.quarantined,
            self.unavailable + other.unavailable,
        )


def reader_of(site: Site, source: Source) -> str:
    """Digest of the settings that decide how files of a source are read."""
    section = site.settings.readings if source == "readings" else site.settings.events
    told = [section.model_dump(mode="json"), site.settings.target.column, source]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def take_in(
    site: Site,
    port: ReadingsSource | EventsSource,
    source: Source,
    batch: Batch,
    read: Reader,
    now: datetime,
) -> Ingested:
    """Read one batch, or find why not, and note it in the ledger; unavailable ones are left."""
    try:
        return _record(site, port, source, batch, read, now)
    except SourceUnavailable as error:
        log.warning("left for the next look: %s", error)
        return Ingested(unavailable=(str(error),))


def _record(
    site: Site,
    port: ReadingsSource | EventsSource,
    source: Source,
    batch: Batch,
    read: Reader,
    now: datetime,
) -> Ingested:
    """Read one batch, or find why not, and note it in the ledger."""
    row = BatchRow(
        source=source,
        name=batch.name,
        digest=port.digest(batch),
        size_bytes=batch.size_bytes,
        modified_ns=batch.modified_ns,
        rows=0,
        rejected=0,
        status="ingested",
        ingested_at=now,
        reader=reader_of(site, source),
    )
    spans: Spans = {}
    if site.store.ledger.find_digest(source, row.digest) is None:
        try:
            row, spans = read(site, batch, row)
        except BadBatch as error:
            row = replace(row, status="quarantined", reason=str(error))
            log.warning("quarantined %s: %s", batch.name, error)
            remove_leftovers(site, row.digest[:24])
    site.store.ledger.record_batch(row, spans=spans)
    return Ingested(1, row.rows, row.rejected, int(row.status == "quarantined"))
