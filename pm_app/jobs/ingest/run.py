"""Ingestion of unread batches: into pane segments, event segments and ledger rows.

A segment is durable before the ledger names it, so a crash leaves at most a file that no row
names, which the next run removes and writes again.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from heapq import nsmallest
from time import monotonic

from pm_app.jobs.ingest.batch import BatchFeed, Ingested, feeds, ingest_batch, reader_digest
from pm_app.jobs.ingest.housekeeping import remove_orphans
from pm_app.jobs.ingest.ownership import note_progress, require_own
from pm_app.jobs.ingest.repair import repairing
from pm_app.jobs.ingest.sweep import sweep
from pm_app.jobs.plant import IngestView, Plant
from pm_app.progress import Progress, silent
from pm_app.records.readings import Batch
from pm_app.store.ledger.ledger import Ledger

log = logging.getLogger(__name__)
# After so many batches, and so long waited for them, it is the source that cannot be reached.
# A file that cannot be opened says so at once, and keeps no other waiting.
MOST_UNAVAILABLE, MOST_SECONDS_LOST = 5, 10.0
# Names of files kept at once.
MOST_AT_ONCE = 10_000


def ingest(
    plant: Plant,
    *,
    now: datetime,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = monotonic,
) -> Ingested:
    """Ingest every batch the ledger does not know, events first, in order of name.

    `stop` is asked between batches. One that cannot be fetched now is left for the next look.
    Raises SourceUnavailable where a source cannot be listed, and StoreUnavailable; what was
    ingested before is kept. Segments that are missing on the way are rebuilt.
    """

    def take(feed: BatchFeed, batch: Batch) -> Ingested:
        return repairing(plant, partial(ingest_batch, plant.ingest_view, feed, batch, now))

    with plant.ingesting:
        require_own(plant.settings.state, plant.store)
        if plant.orphans.possible:
            remove_orphans(
                (plant.history, plant.event_history), plant.store, state=plant.settings.state
            )
        plant.orphans.possible = True
        plant.fetch()
        total = _look(plant.ingest_view, take, progress, stop, clock)
        if not (stop() or total.unavailable):
            total += sweep(plant.ingest_view, feeds(plant.ingest_view), take, now)
        plant.orphans.possible = bool(total.unavailable)
        if total.batches:
            note_progress(plant.settings.state, plant.store)
    progress(1.0, f"{total.batches} batches read")
    return total


def _look(
    view: IngestView,
    take: Callable[[BatchFeed, Batch], Ingested],
    progress: Progress,
    stop: Callable[[], bool],
    clock: Callable[[], float],
) -> Ingested:
    """Both sources once through."""
    total = Ingested()
    for feed in feeds(view):
        reader = reader_digest(view.settings, feed.source)
        for row in view.ledger.release(feed.source, other_reader=reader):
            log.info("%s is read again: the settings it was refused by have changed", row.name)
        lost = 0.0
        for before, batch in _unread(view.ledger, feed):
            unreachable = lost > MOST_SECONDS_LOST and len(total.unavailable) > MOST_UNAVAILABLE
            if stop() or unreachable:
                return total
            view.beat()
            progress(before, f"reading {batch.name}")
            begun = clock()
            done = take(feed, batch)
            lost += clock() - begun if done.unavailable else 0.0
            total += done
    return total


def _unread(ledger: Ledger, feed: BatchFeed) -> Iterator[tuple[float, Batch]]:
    """What waits to be read, in order of name; and what share of it came before.

    Only so many names are kept at once: after a long absence a million files may wait.
    """
    after = ""
    while True:
        unseen = ledger.new_files(feed.source, feed.port.list())
        later = (batch for batch in unseen if batch.name > after)
        fresh = nsmallest(MOST_AT_ONCE, later, key=lambda batch: batch.name)
        for number, batch in enumerate(fresh):
            yield number / len(fresh), batch
        if len(fresh) < MOST_AT_ONCE:
            return
        after = fresh[-1].name
