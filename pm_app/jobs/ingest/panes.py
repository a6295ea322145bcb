"""Panes of one batch into segments, its events too, and what the ledger notes of it."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import numpy as np

from pm_app.errors import BadBatch
from pm_app.features.panes.panes import (
    build_panes,
    merge_panes,
    no_panes,
    overlapping_panes,
    panes_among,
    panes_changed,
    rows_in_panes,
    rows_too_late,
    select_sensors,
)
from pm_app.features.panes.readings import (
    count_delivered,
    join_spans,
    spans_of,
    take_readings,
)
from pm_app.jobs.ingest.late_readings import panes_in_history, rebuild_panes
from pm_app.jobs.ingest.rejections import events_in_time, readings_in_time, summarise
from pm_app.jobs.plant import IngestView
from pm_app.records.features import Panes
from pm_app.records.readings import (
    MOST_ASSETS,
    MOST_TABLE_ROWS,
    AssetSpans,
    Batch,
    LeftColumn,
    Readings,
    ReadingsChunk,
    Rejection,
    no_spans,
)
from pm_app.settings.plant import Settings
from pm_app.store import BatchRow
from pm_app.times import to_moment

# A file that comes in one chunk gains nothing from a second core.
_LARGE_BYTES: Final = 4_000_000


@dataclass(frozen=True, eq=False)
class KeptBatch:
    """What was kept of a batch: its row, first and last time of each asset, and what was left.

    left: but for what the settings leave.
    """

    row: BatchRow
    spans: AssetSpans = field(default_factory=no_spans)
    left: tuple[LeftColumn, ...] = ()


def read_events(view: IngestView, batch: Batch, row: BatchRow) -> KeptBatch:
    """Keep the events of a batch. Raises BadBatch and SourceUnavailable."""
    left = _to_tell(view.events.describe(batch).left)
    read, reasons = view.events.read(batch)
    events, refused = events_in_time(view.settings, read, row.ingested_at)
    reasons = (*reasons, *refused)
    name = view.event_history.write(row.digest[:24], events)
    times = events.time
    noted = replace(
        row,
        rows=len(times),
        rejected=len(reasons),
        reason=summarise([Rejection(1, reason) for reason in reasons]),
        first_time=to_moment(int(times.min())) if len(times) else None,
        last_time=to_moment(int(times.max())) if len(times) else None,
        segments=(name,),
        left_columns=tuple(each.name for each in left),
    )
    return KeptBatch(noted, left=left)


def _to_tell(left: Iterable[LeftColumn]) -> tuple[LeftColumn, ...]:
    return tuple(each for each in left if each.cause != "settings")


def read_readings(view: IngestView, batch: Batch, row: BatchRow) -> KeptBatch:
    """Keep the panes of a batch.

    Raises BadBatch and SourceUnavailable.
    """
    required = dict.fromkeys(view.settings.readings.required, 0)
    tally = _BatchTally(required, no_panes(view.history.pane_ns))
    chunks = view.readings.read(batch)
    for chunk in prefetch(chunks) if batch.size_bytes > _LARGE_BYTES else chunks:
        view.beat()
        _read_chunk(view, batch, row, chunk, tally)
    _require_usable(batch, tally)
    left = _to_tell(tally.left)
    noted = replace(
        row,
        rows=tally.used,
        rejected=_rows_of(tally.rejections),
        reason=summarise(tally.rejections),
        first_time=to_moment(int(tally.spans.first.min())),
        last_time=to_moment(int(tally.spans.last.max())),
        segments=tuple(tally.segments),
        left_columns=tuple(each.name for each in left),
    )
    return KeptBatch(noted, tally.spans, left)


@dataclass(eq=False)
class _BatchTally:
    """A batch so far: rows that came and were used, and what was made of them.

    required: values of each sensor that has to have some. whole: panes that hold all there is
    of the batch, their keys. spans: first and last time of each asset.
    """

    required: dict[str, int]
    whole: Panes
    came: int = 0
    used: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    left: list[LeftColumn] = field(default_factory=list)
    spans: AssetSpans = field(default_factory=no_spans)
    segments: list[str] = field(default_factory=list)


def _read_chunk(
    view: IngestView, batch: Batch, row: BatchRow, chunk: ReadingsChunk, tally: _BatchTally
) -> None:
    """Keep the panes of a part of a batch."""
    _count_values(tally.required, chunk.readings)
    tally.rejections += chunk.rejections
    tally.left += chunk.left
    tally.came += count_delivered(chunk.readings) + _rows_of(chunk.rejections)
    _bound_assets(view.settings, batch, tally.spans, chunk.readings)
    timely, refused = readings_in_time(view.settings, chunk.readings, row.ingested_at)
    tally.rejections += refused
    panes, used = _build_chunk(view, batch, row, timely, tally)
    if not len(used.time):
        return
    tally.used += count_delivered(used)
    tally.spans = join_spans([tally.spans, spans_of(used.assets, used.asset, used.time)])
    if len(panes.pane):
        stem = f"{row.digest[:24]}-{len(tally.segments):04d}"
        tally.segments.append(view.history.write(stem, panes))


def _require_usable(batch: Batch, tally: _BatchTally) -> None:
    """Raises BadBatch where no row is, rows were lost, or a sensor has no value."""
    rejected = _rows_of(tally.rejections)
    if not tally.used:
        raise BadBatch(f"{batch.name}: no usable row: {summarise(tally.rejections) or '0 rows'}")
    if tally.used + rejected != tally.came:
        raise BadBatch(
            f"{batch.name}: {tally.came:,} rows came, but {tally.used:,} were used and "
            f"{rejected:,} rejected: an error of pm-app, nothing of it is kept"
        )
    without = [sensor for sensor, values in tally.required.items() if not values]
    if without:
        raise BadBatch(
            f"{batch.name}: needed values of {', '.join(map(repr, without))} "
            f"(readings.required), got none in {tally.used:,} rows"
        )


def _rows_of(rejections: Sequence[Rejection]) -> int:
    return sum(rejection.rows for rejection in rejections)


def _bound_assets(settings: Settings, batch: Batch, spans: AssetSpans, readings: Readings) -> None:
    """Raises BadBatch where these readings bring a file more assets than it may have."""
    most = MOST_TABLE_ROWS if settings.target.kind == "column" else MOST_ASSETS
    if len(spans.assets) + len(readings.assets) <= most:
        return
    before = set(spans.assets)
    fresh = [asset for asset in readings.assets if asset not in before]
    if len(before) + len(fresh) > most:
        raise BadBatch(
            f"{batch.name}: needed at most {most:,} different "
            f"{settings.readings.asset_column}, got more, {fresh[-1]!r} among them"
        )


def _count_values(required: dict[str, int], readings: Readings) -> None:
    """Add how many values of each required sensor are there."""
    for sensor in required.keys() & set(readings.sensors):
        values = readings.values[readings.sensors.index(sensor)]
        required[sensor] += int(np.count_nonzero(values == values))


def _build_chunk(
    view: IngestView, batch: Batch, row: BatchRow, readings: Readings, tally: _BatchTally
) -> tuple[Panes, Readings]:
    """The panes these readings make or change, and the readings used; others are rejected.

    A pane that comes out as it was is left out: a batch that repeats what is known is no
    reason to speak again. Readings of panes that are whole are in them already.
    """
    pane_ns, whole = view.history.pane_ns, tally.whole
    inside = rows_in_panes(readings, whole)
    fresh = take_readings(readings, ~inside) if inside.any() else readings
    if not len(fresh.time):
        return no_panes(pane_ns), readings
    existing = panes_in_history(view, row, fresh, tally.segments)
    late = overlapping_panes(fresh, existing)
    if not len(late.pane):
        return build_panes(fresh, pane_ns=pane_ns, onto=existing), readings
    again, gone = rebuild_panes(view, batch, row, late)
    refused = rows_too_late(fresh, late.take(~panes_among(late, again)))
    on_time = take_readings(fresh, ~refused & ~rows_in_panes(fresh, again))
    folded = build_panes(on_time, pane_ns=pane_ns, onto=existing)
    panes = merge_panes([folded, again], pane_ns=pane_ns)
    tally.whole = merge_panes([whole, select_sensors(again, ())], pane_ns=pane_ns)
    if refused.any():
        tally.rejections.append(_too_late(count_delivered(fresh, refused), gone))
    used = inside.copy()
    used[~inside] = ~refused
    return panes.take(panes_changed(panes, existing)), take_readings(readings, used)


def _too_late(rows: int, gone: Sequence[str]) -> Rejection:
    behind = f"of {', '.join(gone)}" if gone else "of files replaced since"
    return Rejection(
        rows,
        f"timestamp: {rows} readings fall between earlier ones {behind}, no longer there to be "
        "put in order with",
    )


Item = TypeVar("Item")
_END: Final = object()


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The same items in order, each made by a thread while the one before is in use.

    Pays where making and using both leave Python's lock, as decoding and numpy do. One item
    more is held at a time. What making one raises is raised in its place; where the user ends
    early, the rest is not made, and `items`, where it can be, is closed.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        try:
            coming = thread.submit(next, items, _END)
            while (item := coming.result()) is not _END:
                coming = thread.submit(next, items, _END)
                yield item  # type: ignore[misc]
        finally:
            # The thread may be in the middle of one; what is read from is closed after it.
            thread.submit(getattr(items, "close", bool)).result()
