"""Housekeeping of segments: compaction of small ones, and orphans that no ledger row names.

Many small segments of batches long past become one: a file a minute is half a million a year.

What is joined is always a run: batches that follow each other in the ledger, each with all its
segments. So whoever reads the ledger in order finds the joined panes where those of the run were,
and whichever of the same pane counted, counts. Each batch of the run then names the joined
segment, which notes whose panes it holds; names are read once (`segments_of`). Where it is lost or
damaged, every batch of the run is rebuilt from its file, in order of the ledger.

The joined segment is durable before one transaction lets the run name it; only then the old ones
go. A job that meets one of them gone begins again.
"""

import hashlib
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import numpy as np

from pm_app.features.panes.panes import merge_panes, panes_among
from pm_app.jobs.ingest.ownership import require_own
from pm_app.jobs.plant import Plant
from pm_app.records.features import Panes
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.store import BatchRow, Store, segments_of
from pm_app.store.ledger.ledger import Ledger

log = logging.getLogger(__name__)
# Late readings mostly come within this; what they touch later is merely read from a larger file.
SETTLED = timedelta(days=2)
# So many batches are joined at once; fewer are left as they are.
RUN_BATCHES, LEAST_BATCHES = 256, 64
# Panes times sensors of a run: some 30 MB while it is joined. Larger files need no joining.
MOST_CELLS = 400_000


def compact(plant: Plant, *, now: datetime) -> int:
    """Join the oldest run of settled batches, if there is one; how many segments were saved.

    0 while a trainer reads them: it would have to begin again. Raises MissingSegment where
    one of them has to be rebuilt first.
    """
    if not plant.learning.acquire(blocking=False):
        return 0
    try:
        with plant.ingesting:
            return _join_oldest(plant.history, plant.ledger, now)
    finally:
        plant.learning.release()


def _join_oldest(history: History, ledger: Ledger, now: datetime) -> int:
    settled = ledger.unsettled(RUN_BATCHES, before=now - SETTLED)
    if not settled or any(row.scored_at is None for row in settled):
        return 0
    parts = _read(history, settled)
    run = settled[: max(len(parts), 1)]
    if len(run) < LEAST_BATCHES:
        ledger.settle(run, joined=None)
        return 0
    return _join(history, ledger, run, parts)


def _read(history: History, rows: Sequence[BatchRow]) -> list[Panes]:
    """The panes of each of the first batches, as many as may be joined."""
    parts: list[Panes] = []
    cells = 0
    for row in rows:
        part = merge_panes(list(history.read(row.segments)), pane_ns=history.pane_ns)
        cells += part.count.size
        if cells > MOST_CELLS:
            break
        parts.append(part)
    return parts


def _join(history: History, ledger: Ledger, run: Sequence[BatchRow], parts: Sequence[Panes]) -> int:
    before = segments_of(run)
    if not before:
        ledger.settle(run, joined=None)
        return 0
    panes = merge_panes(parts, pane_ns=history.pane_ns)
    carried = {
        row.digest: np.flatnonzero(panes_among(panes, part))
        for row, part in zip(run, parts, strict=True)
    }
    stem = hashlib.sha256("".join(before).encode()).hexdigest()[:24]
    joined = history.write(f"{stem}-joined", panes, carried=carried)
    ledger.settle(run, joined=joined)
    history.remove(before)
    log.info("joined the panes of %d files, up to %s", len(run), run[-1].name)
    return len(before) - 1


def remove_orphans(histories: tuple[History, EventHistory], store: Store, *, state: Path) -> None:
    """Delete segments that no ledger row names: what a crash left behind.

    Raises TerminalError where the ledger is not the one of this state folder.
    """
    require_own(state, store)
    remove_unnamed(histories, store.ledger.segments())


def remove_unnamed(
    histories: tuple[History, EventHistory], named: Collection[str], *, stem: str = ""
) -> None:
    """Delete segments, those of this stem alone, that are not among these."""
    removed = (history.remove_unnamed(named, stem=stem) for history in histories)
    for gone in chain.from_iterable(removed):
        log.info("removed %s: no batch names it", gone)
