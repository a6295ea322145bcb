"""The rows of one batch into pane segments or an event segment, and what the ledger notes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
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
    take_panes,
)
from pm_app.features.panes.readings import count_delivered, take_readings
from pm_app.jobs.ingest.late import (
    events_in_time,
    panes_in_history,
    readings_in_time,
    rebuild_panes,
)
from pm_app.jobs.plant import Plant
from pm_app.records.features import Panes
from pm_app.records.readings import (
    MOST_ASSETS,
    MOST_TABLE_ROWS,
    Batch,
    Readings,
    ReadingsChunk,
    Rejection,
)
from pm_app.store import BatchRow
from pm_app.times import to_moment

# A file that comes in one chunk gains nothing from a second core.
_LARGE_BYTES: Final = 4_000_000
Spans = dict[str, tuple[datetime, datetime]]


def read_events(plant: Plant, batch: Batch, row: BatchRow) -> tuple[BatchRow, Spans]:
    """Keep the events of a batch. Raises BadBatch and SourceUnavailable."""
    read, reasons = plant.events.read(batch)
    events, refused = events_in_time(plant, read, row.ingested_at)
    reasons = (*reasons, *refused)
    name = plant.event_history.write(row.digest[:24], events)
    times = events.time
    noted = replace(
        row,
        rows=len(times),
        rejected=len(reasons),
        reason=summarise([Rejection(1, reason) for reason in reasons]),
        first_time=to_moment(int(times.min())) if len(times) else None,
        last_time=to_moment(int(times.max())) if len(times) else None,
        segments=(name,),
    )
    return noted, {}


def read_readings(plant: Plant, batch: Batch, row: BatchRow) -> tuple[BatchRow, Spans]:
    """Keep the panes of a batch; also each asset's first and last time in it.

    Raises BadBatch and SourceUnavailable.
    """
    segments: list[str] = []
    rejections: list[Rejection] = []
    spans: dict[str, tuple[int, int]] = {}
    whole = no_panes(plant.history.pane_ns)
    rows = came = 0
    required = dict.fromkeys(plant.settings.readings.required, 0)
    for chunk in _chunks(plant, batch):
        plant.beat()
        _count_values(required, chunk.readings)
        rejections += chunk.rejections
        came += count_delivered(chunk.readings) + _rows_of(chunk.rejections)
        _bound_assets(plant, batch, spans, chunk.readings)
        timely, refused = readings_in_time(plant, chunk.readings, row.ingested_at)
        rejections += refused
        folded = _fold_chunk(plant, batch, row, timely, segments, whole)
        panes, readings, whole = folded.panes, folded.used, folded.whole
        rejections += folded.refused
        rows += count_delivered(readings)
        if not len(readings.time):
            continue
        _widen(spans, readings)
        if len(panes.pane):
            stem = f"{row.digest[:24]}-{len(segments):04d}"
            segments.append(plant.history.write(stem, panes))
    if not rows:
        raise BadBatch(f"{batch.name}: no usable row: {summarise(rejections) or '0 rows'}")
    if rows + _rows_of(rejections) != came:
        raise BadBatch(
            f"{batch.name}: {came:,} rows came, but {rows:,} were used and "
            f"{_rows_of(rejections):,} rejected: an error of pm-app, nothing of it is kept"
        )
    without = [sensor for sensor, values in required.items() if not values]
    if without:
        raise BadBatch(
            f"{batch.name}: needed values of {', '.join(map(repr, without))} "
            f"(readings.required), got none in {rows:,} rows"
        )
    noted = replace(
        row,
        rows=rows,
        rejected=_rows_of(rejections),
        reason=summarise(rejections),
        first_time=to_moment(min(first for first, _ in spans.values())),
        last_time=to_moment(max(last for _, last in spans.values())),
        segments=tuple(segments),
    )
    return noted, {name: (to_moment(low), to_moment(high)) for name, (low, high) in spans.items()}


def _chunks(plant: Plant, batch: Batch) -> Iterator[ReadingsChunk]:
    chunks = plant.readings.read(batch)
    return prefetch(chunks) if batch.size_bytes > _LARGE_BYTES else chunks


def _rows_of(rejections: Sequence[Rejection]) -> int:
    return sum(rejection.rows for rejection in rejections)


def _bound_assets(
    plant: Plant, batch: Batch, spans: dict[str, tuple[int, int]], readings: Readings
) -> None:
    """Raises BadBatch where these readings bring a file more assets than it may have."""
    most = MOST_TABLE_ROWS if plant.settings.target.kind == "column" else MOST_ASSETS
    if len(spans) + len(readings.assets) <= most:
        return
    fresh = [asset for asset in readings.assets if asset not in spans]
    if len(spans) + len(fresh) > most:
        raise BadBatch(
            f"{batch.name}: needed at most {most:,} different "
            f"{plant.settings.readings.asset_column}, got more, {fresh[-1]!r} among them"
        )


def _count_values(required: dict[str, int], readings: Readings) -> None:
    """Add how many values of each required sensor are there."""
    for sensor in required.keys() & set(readings.sensors):
        values = readings.values[readings.sensors.index(sensor)]
        required[sensor] += int(np.count_nonzero(values == values))


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


@dataclass(frozen=True, eq=False)
class _Folded:
    """What became of a chunk. whole: panes that hold all there is of this batch, their keys."""

    panes: Panes
    used: Readings
    refused: list[Rejection]
    whole: Panes


def _fold_chunk(
    plant: Plant,
    batch: Batch,
    row: BatchRow,
    readings: Readings,
    segments: Sequence[str],
    whole: Panes,
) -> _Folded:
    """The panes these readings make or change, the readings used, and what was refused.

    A pane that comes out as it was is left out: a batch that repeats what is known is no
    reason to speak again. Readings of panes that are whole are in them already.
    """
    pane_ns = plant.history.pane_ns
    inside = rows_in_panes(readings, whole)
    fresh = take_readings(readings, ~inside) if inside.any() else readings
    if not len(fresh.time):
        return _Folded(no_panes(pane_ns), readings, [], whole)
    existing = panes_in_history(plant, row, fresh, segments)
    late = overlapping_panes(fresh, existing)
    if not len(late.pane):
        panes = build_panes(fresh, pane_ns=pane_ns, onto=existing)
        return _Folded(panes, readings, [], whole)
    again, gone = rebuild_panes(plant, batch, row, late)
    refused = rows_too_late(fresh, take_panes(late, ~panes_among(late, again)))
    on_time = take_readings(fresh, ~refused & ~rows_in_panes(fresh, again))
    folded = build_panes(on_time, pane_ns=pane_ns, onto=existing)
    panes = merge_panes([folded, again], pane_ns=pane_ns)
    used = inside.copy()
    used[~inside] = ~refused
    return _Folded(
        take_panes(panes, panes_changed(panes, existing)),
        take_readings(readings, used),
        [_too_late(count_delivered(fresh, refused), gone)] if refused.any() else [],
        merge_panes([whole, select_sensors(again, ())], pane_ns=pane_ns),
    )


def _too_late(rows: int, gone: Sequence[str]) -> Rejection:
    behind = f"of {', '.join(gone)}" if gone else "of files replaced since"
    return Rejection(
        rows,
        f"timestamp: {rows} readings fall between earlier ones {behind}, no longer there to be "
        "put in order with",
    )


REASONS_KEPT = 20
MOST_CHARACTERS = 2000


def summarise(rejections: Sequence[Rejection]) -> str:
    """Like reasons added up, most rows first."""
    rows: dict[str, int] = {}
    for rejection in rejections:
        rows[rejection.reason] = rows.get(rejection.reason, 0) + rejection.rows
    most = sorted(rows.items(), key=lambda counted: -counted[1])[:REASONS_KEPT]
    return shorten("; ".join(f"{count} rows: {reason}" for reason, count in most))


def shorten(text: str) -> str:
    """At most MOST_CHARACTERS of a text."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


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
