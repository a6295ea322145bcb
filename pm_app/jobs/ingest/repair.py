"""Segments that are gone, damaged or of other panes, made anew from the files they came from.

Panes are derived data: a batch is read again as it was when it came, on top of the batches
ledgered before it, and its row then names what was made. So nothing is said again, and no
revision is raised.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from pm_app.errors import BadBatch
from pm_app.jobs.ingest.housekeeping import remove_orphans
from pm_app.jobs.ingest.late import content_of
from pm_app.jobs.ingest.panes import read_events, read_readings
from pm_app.jobs.plant import Plant
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch
from pm_app.state.segments import MissingSegment
from pm_app.store import BatchRow, Source, segments_of

log = logging.getLogger(__name__)
Result = TypeVar("Result")


def repairing(plant: Plant, job: Callable[[], Result]) -> Result:
    """What the job returns, begun again after every segment it misses is rebuilt.

    Raises MissingSegment where one is missing again once it has been rebuilt, and
    SourceUnavailable where the files cannot be reached now.
    """
    missing: set[str] = set()
    while True:
        try:
            return job()
        except MissingSegment as error:
            if error.name in missing:
                raise
            log.warning("rebuilding: %s", error)
            missing.add(error.name)
            _rebuild_until_whole(plant, missing)


def rebuild(plant: Plant, missing: Collection[str] = ()) -> int:
    """Rebuild these segments and all that do not prove themselves; how many batches it took.

    In the order of the ledger, a transaction each, so that a crash repeats only what it has
    to. A batch whose file is no longer there is noted as lost, and what is left of it kept.
    Raises MissingSegment where one that is not among these has damaged values.
    """
    steps: tuple[tuple[Source, ReadingsSource | EventsSource], ...] = (
        ("events", plant.events),
        ("readings", plant.readings),
    )
    done = 0
    with plant.ingesting:
        for source, port in steps:
            rows = plant.store.ledger.ingested_batches(source)
            lost = _lost_segments(plant, source, segments_of(rows), missing)
            looked = [(row, tuple(n for n in row.segments if n not in lost)) for row in rows]
            broken = [(row, whole) for row, whole in looked if whole != row.segments]
            there = {batch.name: batch for batch in port.list()} if broken else {}
            plant.orphans.possible |= bool(broken)
            for row, whole in broken:
                _rebuild_batch(plant, port, row, whole, there)
            done += len(broken)
        if done:
            remove_orphans(plant)
    return done


def _rebuild_until_whole(plant: Plant, missing: set[str]) -> None:
    """As rebuild, also where it meets damage that nobody has met yet."""
    while True:
        try:
            rebuild(plant, missing)
            return
        except MissingSegment as error:
            if error.name in missing:
                raise
            missing.add(error.name)


def _lost_segments(
    plant: Plant, source: Source, names: Sequence[str], missing: Collection[str]
) -> set[str]:
    """Those of these segments that are missing, or do not prove themselves."""
    history = plant.event_history if source == "events" else plant.history
    lost = set()
    for name in names:
        try:
            if name not in missing:
                history.check(name)
                continue
        except MissingSegment as error:
            log.info("to be rebuilt: %s", error)
        lost.add(name)
    return lost


def _rebuild_batch(
    plant: Plant,
    port: ReadingsSource | EventsSource,
    row: BatchRow,
    whole: tuple[str, ...],
    there: dict[str, Batch],
) -> None:
    batch, same = content_of(plant, port, row, there)
    if batch is None:
        plant.store.ledger.replace_segments(_lost(row, whole, "its file is no longer there"))
        return
    try:
        again, _ = (read_events if row.source == "events" else read_readings)(plant, batch, row)
    except BadBatch as error:
        plant.store.ledger.replace_segments(_lost(row, whole, str(error)))
        return
    # Of a file that has grown since, the newer row counts the readings.
    kept = again if same else replace(row, segments=again.segments)
    plant.store.ledger.replace_segments(kept)


def _lost(row: BatchRow, whole: tuple[str, ...], why: str) -> BatchRow:
    count = len(row.segments) - len(whole)
    reason = f"{count} of {len(row.segments)} segments lost: {why}"
    log.warning("%s: %s", row.name, reason)
    if row.reason:
        reason = f"{reason}; {row.reason}"
    if whole:
        return replace(row, segments=whole, reason=reason)
    rejected = row.rejected + row.rows
    return replace(row, segments=(), status="lost", reason=reason, rows=0, rejected=rejected)
