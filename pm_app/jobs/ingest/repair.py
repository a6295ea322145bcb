"""Repair of segments that are gone, damaged or of other panes, from the files they came from.

Panes are derived data: a batch is read again as it was when it came, on top of the batches
ledgered before it, and its row then names what was made. So nothing is said again, and no
revision is raised.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from pm_app.errors import BadBatch
from pm_app.jobs.ingest.batch import BatchFeed, feeds
from pm_app.jobs.ingest.housekeeping import remove_orphans
from pm_app.jobs.ingest.late_readings import content_of
from pm_app.jobs.plant import IngestView, Plant
from pm_app.records.readings import Batch
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.state.segments import MissingSegment
from pm_app.store import BatchRow, segments_of

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
            if missing:
                rebuild(plant, missing)
            return job()
        except MissingSegment as error:
            # Rebuilding may meet damage that nobody has met yet.
            if error.name in missing:
                raise
            log.warning("rebuilding: %s", error)
            missing.add(error.name)


def rebuild(plant: Plant, missing: Collection[str] = ()) -> int:
    """Rebuild these segments and all that do not prove themselves; how many batches it took.

    In the order of the ledger, a transaction each, so that a crash repeats only what it has
    to. A batch whose file is no longer there is noted as lost, and what is left of it kept.
    Raises MissingSegment where one that is not among these has damaged values.
    """
    done, view = 0, plant.ingest_view
    with plant.ingesting:
        for feed in feeds(view):
            rows = plant.ledger.ingested_batches(feed.source)
            history = plant.event_history if feed.source == "events" else plant.history
            lost = _lost_segments(history, segments_of(rows), missing)
            looked = [(row, tuple(n for n in row.segments if n not in lost)) for row in rows]
            broken = [(row, whole) for row, whole in looked if whole != row.segments]
            there = {batch.name: batch for batch in feed.port.list()} if broken else {}
            plant.orphans.possible |= bool(broken)
            for row, whole in broken:
                plant.ledger.replace_segments(_rebuilt(view, feed, row, whole, there))
            done += len(broken)
        if done:
            remove_orphans(
                (plant.history, plant.event_history), plant.store, state=plant.settings.state
            )
    return done


def reread_events(plant: Plant) -> tuple[int, tuple[str, ...]]:
    """Read the files of events again by the settings of now; how many, and why others were not.

    What a file gave stays where it is no longer there, or where none of its rows can be used.
    Raises as `rebuild`.
    """
    there = {batch.name: batch for batch in plant.events.list()}
    again: list[str] = []
    left: list[str] = []
    for row in plant.ledger.ingested_batches("events"):
        batch, _ = content_of(plant.ledger, plant.events, row, there)
        if batch is None:
            left.append(f"{row.name}: its file is no longer there")
            continue
        try:
            plant.events.read(batch)
        except BadBatch as error:
            left.append(str(error))
        else:
            again += row.segments
    return rebuild(plant, again), tuple(left)


def _lost_segments(
    history: History | EventHistory, names: Sequence[str], missing: Collection[str]
) -> set[str]:
    """Those of these segments that are missing, or do not prove themselves."""
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


def _rebuilt(
    view: IngestView,
    feed: BatchFeed,
    row: BatchRow,
    whole: tuple[str, ...],
    there: dict[str, Batch],
) -> BatchRow:
    """The row of a batch, its segments written again as far as its file allows."""
    batch, same = content_of(view.ledger, feed.port, row, there)
    if batch is None:
        return _lost(row, whole, "its file is no longer there")
    try:
        again = feed.read(view, batch, row).row
    except BadBatch as error:
        return _lost(row, whole, str(error))
    # Of a file that has grown since, the newer row counts the readings.
    return again if same else replace(row, segments=again.segments)


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
