"""Unread batches into pane segments, event segments and ledger rows.

A segment is durable before the ledger names it, so a crash leaves at most a file that no row
names, which the next run removes and writes again.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from heapq import nsmallest
from time import monotonic

from pm_app.jobs.ingest.batch import Ingested, Reader, ingest_batch, reader_digest
from pm_app.jobs.ingest.housekeeping import remove_orphans
from pm_app.jobs.ingest.ownership import note_progress, require_own
from pm_app.jobs.ingest.panes import read_events, read_readings
from pm_app.jobs.ingest.repair import repairing
from pm_app.jobs.plant import Plant
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.progress import Progress, silent
from pm_app.records.readings import Batch
from pm_app.store import Source

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
    """Take in every batch the ledger does not know, events first, in order of name.

    `stop` is asked between batches. One that cannot be fetched now is left for the next look.
    Raises SourceUnavailable where a source cannot be listed, and StoreUnavailable; what was
    taken in before is kept. Segments that are missing on the way are rebuilt.
    """
    with plant.ingesting:
        require_own(plant.settings.state, plant.store)
        if plant.orphans.possible:
            remove_orphans(plant)
        plant.orphans.possible = True
        total = _look(plant, now, progress, stop, clock)
        plant.orphans.possible = bool(total.unavailable)
        if total.batches:
            note_progress(plant.settings.state, plant.store)
    progress(1.0, f"{total.batches} batches read")
    return total


def _look(
    plant: Plant,
    now: datetime,
    progress: Progress,
    stop: Callable[[], bool],
    clock: Callable[[], float],
) -> Ingested:
    """Both sources once through."""
    total = Ingested()
    steps: tuple[tuple[Source, Reader], ...] = (
        ("events", read_events),
        ("readings", read_readings),
    )
    for source, read in steps:
        port = plant.events if source == "events" else plant.readings
        _release(plant, source)
        lost = 0.0
        for before, batch in _unread(plant, port, source):
            unreachable = lost > MOST_SECONDS_LOST and len(total.unavailable) > MOST_UNAVAILABLE
            if stop() or unreachable:
                return total
            plant.beat()
            progress(before, f"reading {batch.name}")
            begun = clock()
            done = repairing(plant, partial(ingest_batch, plant, port, source, batch, read, now))
            lost += clock() - begun if done.unavailable else 0.0
            total += done
    return total


def _release(plant: Plant, source: Source) -> None:
    """Take files again that other settings have refused."""
    for row in plant.store.ledger.release(source, other_reader=reader_digest(plant, source)):
        log.info("%s is read again: the settings it was refused by have changed", row.name)


def _unread(
    plant: Plant, port: ReadingsSource | EventsSource, source: Source
) -> Iterator[tuple[float, Batch]]:
    """What waits to be read, in order of name; and what share of it came before.

    Only so many names are kept at once: after a long absence a million files may wait.
    """
    after = ""
    while True:
        unseen = plant.store.ledger.new_files(source, port.list())
        later = (batch for batch in unseen if batch.name > after)
        fresh = nsmallest(MOST_AT_ONCE, later, key=lambda batch: batch.name)
        for number, batch in enumerate(fresh):
            yield number / len(fresh), batch
        if len(fresh) < MOST_AT_ONCE:
            return
        after = fresh[-1].name
