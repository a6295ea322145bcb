"""Unread batches into pane segments, event segments and ledger rows.

A segment is durable before the ledger names it, so a crash leaves at most a file that no row
names, which the next run removes and writes again.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from pm_app.errors import BadBatch, SourceUnavailable
from pm_app.features.panes import (
    fold_panes,
    merge_panes,
    no_panes,
    overlapping_panes,
    panes_among,
    panes_changed,
    rows_in_panes,
    rows_too_late,
    take_panes,
)
from pm_app.features.readings import take_readings
from pm_app.jobs.late import fold_again, known_panes
from pm_app.jobs.site import Progress, Site, silent, to_moment
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.features import Panes
from pm_app.records.readings import Batch, Readings, Rejection
from pm_app.store import BatchRow, Source

log = logging.getLogger(__name__)
REASONS_KEPT = 20
# After this many batches in one look it is the source that cannot be reached, not they.
MOST_UNAVAILABLE = 5


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
    taken in before is kept.
    """
    with site.ingesting:
        remove_garbage(site)
        total = Ingested()
        steps: tuple[tuple[Source, Reader], ...] = (
            ("events", _ingest_events),
            ("readings", _ingest_readings),
        )
        for source, read in steps:
            port = site.events if source == "events" else site.readings
            fresh = _unread(site, port, source)
            for number, batch in enumerate(fresh):
                if stop() or len(total.unavailable) >= MOST_UNAVAILABLE:
                    return total
                progress(number / len(fresh), f"reading {batch.name}")
                total += _take_in(site, port, source, batch, read, now)
    progress(1.0, f"{total.batches} batches read")
    return total


def remove_garbage(site: Site) -> None:
    """Delete segments that no ledger row names: what a crash left behind."""
    named = site.store.ledger.segments()
    for gone in (*site.history.remove_unnamed(named), *_unnamed_events(site, named)):
        log.info("removed %s: no batch names it", gone)


def _unnamed_events(site: Site, named: set[str]) -> list[str]:
    garbage = [p for p in site.event_history.folder.iterdir() if p.name not in named]
    for path in garbage:
        path.unlink()
    return [path.name for path in garbage]


def _unread(site: Site, port: ReadingsSource | EventsSource, source: Source) -> list[Batch]:
    seen = site.store.ledger.seen(source)
    return [b for b in port.list() if (b.name, b.size_bytes, b.modified_ns) not in seen]


Spans = dict[str, tuple[datetime, datetime]]
Reader = Callable[[Site, Batch, BatchRow], tuple[BatchRow, Spans]]


def _take_in(
    site: Site,
    port: ReadingsSource | EventsSource,
    source: Source,
    batch: Batch,
    read: Reader,
    now: datetime,
) -> Ingested:
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
    )
    spans: Spans = {}
    if site.store.ledger.find_digest(source, row.digest) is None:
        try:
            row, spans = read(site, batch, row)
        except BadBatch as error:
            row = replace(row, status="quarantined", reason=str(error))
            log.warning("quarantined %s: %s", batch.name, error)
            remove_garbage(site)
    site.store.ledger.record_batch(row, spans=spans)
    return Ingested(1, row.rows, row.rejected, int(row.status == "quarantined"))


def _ingest_events(site: Site, batch: Batch, row: BatchRow) -> tuple[BatchRow, Spans]:
    events, reasons = site.events.read(batch)
    name = f"{row.digest[:24]}.parquet"
    site.event_history.write(name, events)
    times = events.time
    noted = replace(
        row,
        rows=len(times),
        rejected=len(reasons),
        reason=_summary([Rejection(1, reason) for reason in reasons]),
        first_time=to_moment(int(times.min())) if len(times) else None,
        last_time=to_moment(int(times.max())) if len(times) else None,
        segments=(name,),
    )
    return noted, {}


def _ingest_readings(site: Site, batch: Batch, row: BatchRow) -> tuple[BatchRow, Spans]:
    segments: list[str] = []
    rejections: list[Rejection] = []
    spans: dict[str, tuple[int, int]] = {}
    rows = 0
    for chunk in site.readings.read(batch):
        rejections += chunk.rejections
        panes, readings, refused = _fold_chunk(site, batch, chunk.readings, segments)
        rejections += refused
        rows += len(readings.time)
        if not len(readings.time):
            continue
        _widen(spans, readings)
        if len(panes.pane):
            segments.append(f"{row.digest[:24]}-{len(segments):04d}.parquet")
            site.history.write(segments[-1], panes)
    if not rows:
        raise BadBatch(f"{batch.name}: no usable row: {_summary(rejections) or '0 rows'}")
    noted = replace(
        row,
        rows=rows,
        rejected=sum(rejection.rows for rejection in rejections),
        reason=_summary(rejections),
        first_time=to_moment(min(first for first, _ in spans.values())),
        last_time=to_moment(max(last for _, last in spans.values())),
        segments=tuple(segments),
    )
    return noted, {name: (to_moment(low), to_moment(high)) for name, (low, high) in spans.items()}


def _widen(spans: dict[str, tuple[int, int]], readings: Readings) -> None:
    """Note each asset's first and last time among these readings."""
    size = len(readings.assets)
    first, last = np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)
    np.minimum.at(first, readings.asset, readings.time)
    np.maximum.at(last, readings.asset, readings.time)
    for name, low, high in zip(readings.assets, first.tolist(), last.tolist(), strict=True):
        if low <= high:
            old = spans.get(name, (low, high))
            spans[name] = (min(old[0], low), max(old[1], high))


def _fold_chunk(
    site: Site, batch: Batch, readings: Readings, segments: Sequence[str]
) -> tuple[Panes, Readings, list[Rejection]]:
    """The panes these readings make or change, the readings used, and what was refused.

    A pane that comes out as it was is left out: a batch that repeats what is known is no
    reason to speak again.
    """
    pane_ns = site.history.pane_ns
    if not len(readings.time):
        return no_panes(pane_ns), readings, []
    known = known_panes(site, readings, segments)
    late = overlapping_panes(readings, known)
    if not len(late.pane):
        return fold_panes(readings, pane_ns=pane_ns, onto=known), readings, []
    again, gone = fold_again(site, batch, late)
    refused = rows_too_late(readings, take_panes(late, ~panes_among(late, again)))
    on_time = take_readings(readings, ~refused & ~rows_in_panes(readings, again))
    folded = fold_panes(on_time, pane_ns=pane_ns, onto=known)
    panes = merge_panes([folded, again], pane_ns=pane_ns)
    return (
        take_panes(panes, panes_changed(panes, known)),
        take_readings(readings, ~refused),
        [_too_late(int(refused.sum()), gone)] if refused.any() else [],
    )


def _too_late(rows: int, gone: Sequence[str]) -> Rejection:
    behind = f"of {', '.join(gone)}" if gone else "of files replaced since"
    return Rejection(
        rows,
        f"timestamp: {rows} readings fall between earlier ones {behind}, no longer there to be "
        "put in order with",
    )


def _summary(rejections: Sequence[Rejection]) -> str:
    """Like reasons added up, most rows first."""
    rows: dict[str, int] = {}
    for rejection in rejections:
        rows[rejection.reason] = rows.get(rejection.reason, 0) + rejection.rows
    order = np.argsort([-count for count in rows.values()], kind="stable")
    texts = [f"{count} rows: {reason}" for reason, count in rows.items()]
    return "; ".join(texts[number] for number in order[:REASONS_KEPT])
