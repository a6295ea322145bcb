"""Many small segments of batches long past into one: a file a minute is half a million a year.

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

import numpy as np

from pm_app.features.panes.panes import merge_panes, panes_among
from pm_app.jobs.ingest.ownership import require_own
from pm_app.jobs.plant import Site
from pm_app.records.features import Panes
from pm_app.store import BatchRow, segments_of

log = logging.getLogger(__name__)
# Late readings mostly come within this; what they touch later is merely read from a larger file.
SETTLED = timedelta(days=2)
# So many batches are joined at once; fewer are left as they are.
RUN_BATCHES, LEAST_BATCHES = 256, 64
# Panes times sensors of a run: some 30 MB while it is joined. Larger files need no joining.
MOST_CELLS = 400_000


def compact(site: Site, *, now: datetime) -> int:
    """Join the oldest run of settled batches, if there is one; how many segments were saved.

    None while a trainer reads them: it would have to begin again. Raises MissingSegment where
    one of them has to be rebuilt first.
    """
    if not site.learning.acquire(blocking=False):
        return 0
    try:
        return _compact(site, now)
    finally:
        site.learning.release()


def _compact(site: Site, now: datetime) -> int:
    with site.ingesting:
        settled = site.store.ledger.unsettled(RUN_BATCHES, before=now - SETTLED)
        if not settled or any(row.scored_at is None for row in settled):
            return 0
        parts = _read(site, settled)
        run = settled[: max(len(parts), 1)]
        if len(run) < LEAST_BATCHES:
            site.store.ledger.settle(run, joined=None)
            return 0
        return _join(site, run, parts)


def _read(site: Site, rows: Sequence[BatchRow]) -> list[Panes]:
    """The panes of each of the first batches, as many as may be joined."""
    parts: list[Panes] = []
    cells = 0
    for row in rows:
        part = merge_panes(list(site.history.read(row.segments)), pane_ns=site.history.pane_ns)
        cells += part.count.size
        if cells > MOST_CELLS:
            break
        parts.append(part)
    return parts


def _join(site: Site, run: Sequence[BatchRow], parts: Sequence[Panes]) -> int:
    before = segments_of(run)
    if not before:
        site.store.ledger.settle(run, joined=None)
        return 0
    panes = merge_panes(parts, pane_ns=site.history.pane_ns)
    carried = {
        row.digest: np.flatnonzero(panes_among(panes, part))
        for row, part in zip(run, parts, strict=True)
    }
    stem = hashlib.sha256("".join(before).encode()).hexdigest()[:24]
    joined = site.history.write(f"{stem}-joined", panes, carried=carried)
    site.store.ledger.settle(run, joined=joined)
    site.history.remove(before)
    log.info("joined the panes of %d files, up to %s", len(run), run[-1].name)
    return len(before) - 1


def remove_garbage(site: Site) -> None:
    """Delete segments that no ledger row names: what a crash left behind.

    Raises TerminalError where the ledger is not the one of this state folder.
    """
    require_own(site.settings.state, site.store)
    named = site.store.ledger.segments()
    _remove(site, named, "")


def remove_leftovers(site: Site, stem: str) -> None:
    """Delete all segments of this stem: those of a batch that carries none in the end."""
    _remove(site, (), stem)


def _remove(site: Site, named: Collection[str], stem: str) -> None:
    histories = (site.history, site.event_history)
    removed = (h.remove_unnamed(named, stem=stem) for h in histories)
    for gone in chain.from_iterable(removed):
        log.info("removed %s: no batch names it", gone)
