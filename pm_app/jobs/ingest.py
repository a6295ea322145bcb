"""Unread batches into pane segments, event segments and ledger rows.

A segment is durable before the ledger names it, so a crash leaves at most a file that no row
names, which the next run removes and writes again.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from pm_app.jobs.fold import read_events, read_readings
from pm_app.jobs.garbage import remove_garbage
from pm_app.jobs.rebuild import repairing
from pm_app.jobs.site import Progress, Site, silent
from pm_app.jobs.take_in import Ingested, Reader, take_in
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch
from pm_app.store import Source

# After this many batches in one look it is the source that cannot be reached, not they.
MOST_UNAVAILABLE = 5


def ingest(
    site: Site,
    *,
    now: datetime,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Ingested:
    """Take in every batch the ledger does not know, events first, in order of name.

    `stop` is asked between batches. One that cannot be fetched now is left for the next look.
    Raises SourceUnavailable where a source cannot be listed, and StoreUnavailable; what was
    taken in before is kept. Segments that are missing on the way are rebuilt.
    """
    with site.ingesting:
        remove_garbage(site)
        total = Ingested()
        steps: tuple[tuple[Source, Reader], ...] = (
            ("events", read_events),
            ("readings", read_readings),
        )
        for source, read in steps:
            port = site.events if source == "events" else site.readings
            fresh = _unread(site, port, source)
            for number, batch in enumerate(fresh):
                if stop() or len(total.unavailable) >= MOST_UNAVAILABLE:
                    return total
                progress(number / len(fresh), f"reading {batch.name}")
                take = partial(take_in, site, port, source, batch, read, now)
                total += repairing(site, take)
    progress(1.0, f"{total.batches} batches read")
    return total


def _unread(site: Site, port: ReadingsSource | EventsSource, source: Source) -> list[Batch]:
    seen = site.store.ledger.seen(source)
    return [b for b in port.list() if (b.name, b.size_bytes, b.modified_ns) not in seen]
