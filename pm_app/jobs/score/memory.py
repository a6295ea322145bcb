"""Memory of assets at the boundaries before their cutoffs, restored without reading lives again.

Stored memory counts where nothing has come since that it does not know of: no batch later in the
ledger with panes of the asset before the boundary, and no event that moves the beginning of
the life. Otherwise, and where none is kept, it is folded on from an older boundary, or from
the beginning of the life.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pm_app.features.frame import see_panes
from pm_app.features.lives import life_starts
from pm_app.features.memory import BLOCK_PANES, no_memory, remember
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.plant import PlantView
from pm_app.records.features import FeatureSpec, Panes
from pm_app.records.memory import Memory
from pm_app.records.readings import Events, Int64
from pm_app.state.memory import StoredMemory, join_stored_memory
from pm_app.store import BatchRow, segments_of
from pm_app.times import to_moment

# Panes times sensors read at once where a life has to be folded again.
GROUP_CELLS = 60_000
# Memory further back than this many boundaries is not looked for: the life is read again.
MOST_BOUNDARIES = 64
Starts = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class _Restoration:
    """What one restoration of memory goes by; newest is the newest batch there is."""

    plant: PlantView
    spec: FeatureSpec
    events: Events
    first_seen: Mapping[str, int]
    newest: BatchRow


def boundary_before(pane: int) -> int:
    """The first pane of the block that a pane lies in."""
    return pane // BLOCK_PANES * BLOCK_PANES


def restore_memory(
    plant: PlantView,
    spec: FeatureSpec,
    events: Events,
    *,
    first_seen: Mapping[str, int],
    boundaries: Mapping[str, int],
) -> Memory:
    """The memory of each asset at its boundary, a pane (see `boundary_before`).

    Assets without a pane in the life they lead there are left out. What had to be folded is
    kept for the next time once `plant.memories` is flushed. Raises MissingSegment.
    """
    # Noted before anything is read: a batch that comes in meanwhile counts as unknown.
    newest = plant.ledger.newest_batch("readings")
    if newest is None or not boundaries:
        return no_memory(spec)
    plant.memories.open(spec, block_panes=BLOCK_PANES)
    run = _Restoration(plant, spec, events, first_seen, newest)
    by_boundary: dict[int, list[str]] = {}
    for name, boundary in sorted(boundaries.items()):
        by_boundary.setdefault(boundary, []).append(name)
    parts = [_at_boundary(run, names, at) for at, names in sorted(by_boundary.items())]
    return join_stored_memory(parts).memory


def _at_boundary(run: _Restoration, names: Sequence[str], boundary: int) -> StoredMemory:
    """What these assets remember at one boundary; what had to be folded is put by."""
    starts = _lives_at(run, names, boundary)
    kept = join_stored_memory([_empty(run.spec), *_kept_before(run, starts, boundary)])
    here = kept.memory.boundary == boundary
    there_already = {kept.memory.assets[row] for row in np.flatnonzero(here).tolist()}
    behind = {name: start for name, start in starts.items() if name not in there_already}
    done = kept.take(np.flatnonzero(here))
    if not behind:
        return done
    fresh = _continued(run, behind, kept.take(np.flatnonzero(~here)).memory, boundary)
    run.plant.memories.put(boundary, fresh)
    return join_stored_memory([done, fresh])


def _lives_at(run: _Restoration, names: Sequence[str], boundary: int) -> dict[str, int]:
    """The pane from which each asset's life counts, of those that live it at the boundary."""
    size, spec = len(names), run.spec
    cutoff = np.full(size, boundary * spec.pane_ns, dtype=np.int64)
    start = life_starts(
        (tuple(names), np.arange(size, dtype=np.int32), cutoff),
        run.events,
        first_seen=run.first_seen,
        pane_ns=spec.pane_ns,
        renewals=spec.renewals,
    )
    lives = zip(names, start.tolist(), strict=True)
    return {name: since for name, since in lives if since < boundary}


def _kept_before(run: _Restoration, starts: Starts, boundary: int) -> Iterator[StoredMemory]:
    """Of each asset the newest kept memory that counts, up to the boundary."""
    wanted = dict(starts)
    places = [at for at in run.plant.memories.boundaries() if at <= boundary]
    for place in places[::-1][:MOST_BOUNDARIES]:
        wanted = {name: start for name, start in wanted.items() if start < place}
        kept = run.plant.memories.read(place, assets=wanted) if wanted else None
        if kept is None:
            continue
        lives = zip(kept.memory.assets, kept.memory.start.tolist(), strict=True)
        same = np.flatnonzero([wanted.get(name) == start for name, start in lives])
        counts = _still_valid(run, kept.take(same), place)
        wanted = {n: start for n, start in wanted.items() if n not in set(counts.memory.assets)}
        yield counts


def _still_valid(run: _Restoration, kept: StoredMemory, place: int) -> StoredMemory:
    """The rows that know of every batch with panes of their asset before this boundary."""
    if not kept.memory.assets:
        return kept
    ledger = run.plant.ledger
    digests = ledger.digests(set(kept.sequence.tolist()))
    batches = zip(kept.sequence.tolist(), kept.digest.tolist(), strict=True)
    kept = kept.take(np.flatnonzero([digests.get(number) == digest for number, digest in batches]))
    if not kept.memory.assets:
        return kept
    until = to_moment(place * run.spec.pane_ns)
    later = ledger.ingested_after("readings", int(kept.sequence.min()), until=until)
    if not later:
        return kept
    reached = _reached(run, later, place)
    newest = np.array([reached.get(name, 0) for name in kept.memory.assets])
    kept = _up_to_date(run, kept.take(np.flatnonzero(newest <= kept.sequence)).memory)
    # Next time these batches need not be looked into again.
    run.plant.memories.put(place, kept)
    return kept


def _reached(run: _Restoration, batches: Sequence[BatchRow], place: int) -> dict[str, int]:
    """Assets with panes before this boundary in these batches: the newest such batch of each."""
    reached: dict[str, int] = {}
    for batch in batches:
        for keys in run.plant.history.keys(batch.segments, batch=batch.digest):
            early = np.unique(keys.asset[keys.pane < place]).tolist()
            reached.update({keys.assets[number]: batch.sequence for number in early})
    return reached


def _continued(run: _Restoration, starts: Starts, before: Memory, boundary: int) -> StoredMemory:
    """Memory at the boundary from older memory, or from where lives begin; flat in memory."""
    memory, spec = before, run.spec
    boundaries = dict(zip(before.assets, before.boundary.tolist(), strict=True))
    low = boundary_before(min(boundaries.get(name, start) for name, start in starts.items()))
    blocks = GROUP_CELLS // max(len(spec.seen) * len(starts) * BLOCK_PANES, 1)
    step = max(blocks, 1) * BLOCK_PANES
    batches = run.plant.ledger.batches_overlapping(
        "readings", to_moment(low * spec.pane_ns), to_moment(boundary * spec.pane_ns)
    )
    for first in range(low, boundary, step):
        until = min(first + step, boundary)
        names = _segments(batches, first * spec.pane_ns, until * spec.pane_ns)
        if not names and until < boundary:
            continue
        panes, start = _load(run, names, starts, first, until)
        memory = remember(panes, start, spec, before=memory, boundary=until)
    return _up_to_date(run, memory)


def _segments(batches: Sequence[BatchRow], first_ns: int, until_ns: int) -> list[str]:
    """Segments of those batches that may hold something in a span of time."""
    low, high = to_moment(first_ns), to_moment(until_ns)
    return segments_of(
        row
        for row in batches
        if row.first_time is not None and row.last_time is not None
        if row.first_time <= high and row.last_time >= low
    )


def _load(
    run: _Restoration, names: Sequence[str], starts: Starts, first: int, until: int
) -> tuple[Panes, Int64]:
    """Panes of the lives in [first, until), and where each one's life begins."""
    history = run.plant.history
    parts = history.read(
        names,
        assets=starts,
        since_pane=first,
        until_pane=until - 1,
        times=run.spec.regimes is not None,
    )
    panes = merge_panes(list(parts), pane_ns=history.pane_ns)
    start = np.array([starts.get(name, until) for name in panes.assets], dtype=np.int64)
    lived = panes.pane >= start[panes.asset]
    panes = see_panes(panes.take(lived), run.spec)
    return panes, start[panes.asset]


def _up_to_date(run: _Restoration, memory: Memory) -> StoredMemory:
    """Memory that knows of every batch there is."""
    size = len(memory.assets)
    return StoredMemory(
        memory,
        np.full(size, run.newest.sequence, dtype=np.int64),
        np.full(size, run.newest.digest, dtype=object),
    )


def _empty(spec: FeatureSpec) -> StoredMemory:
    return StoredMemory(no_memory(spec), np.empty(0, dtype=np.int64), np.empty(0, dtype=object))
