"""Long memory: features of an asset's whole life so far at every pane, without reading it again.

Time is cut into blocks of BLOCK_PANES panes, counted from 1970. A life is a strict left fold:
the memory before a block merged with the running statistics inside it (pairwise update, Chan,
Golub & LeVeque 1979) gives every pane's memory, and that of the block's last pane is carried
into the next block the life has panes in. The fold therefore can stop at any block's boundary
and be continued from what it carried, with the same bits as if it had never stopped.

Statistics are traces (see there): those of the whole life, of its beginning, and one for each
half-life.
"""

from dataclasses import dataclass

import numpy as np

from pm_app.features.fading_means import (
    BEGINNING,
    LIFE,
    FadingMeans,
    fading_over,
    half_lives_of,
    merge_traces,
)
from pm_app.features.panes.panes import pane_mean, pane_second_moment
from pm_app.features.runs import first_values, places_among, ranks, run_ends, run_starts
from pm_app.records.features import FeatureSpec, Panes
from pm_app.records.memory import MEMORY_STATISTICS, Memory
from pm_app.records.readings import Flags, Float64, Index, Int64

# Scoring one cutoff reads half a block on average, training loops over ranks within one.
BLOCK_PANES = 128


@dataclass(frozen=True, eq=False)
class AssetMemories:
    """Memory at the end of every pane, NaN where the life holds no value.

    life: mean, deviation, minimum and maximum of the life so far; beginning: mean and
    deviation of its beginning; smooth: an exponentially weighted mean for each half-life.
    Each (n_panes, n_sensors).
    """

    life: tuple[Float64, Float64, Float64, Float64]
    beginning: tuple[Float64, Float64]
    smooth: tuple[Float64, ...]


@dataclass(frozen=True, eq=False)
class _LifeRuns:
    """Panes cut by life, and lives by block.

    segment: first row of each run of one life and block; lengths: its rows; life: number of
    the first segment of each life; segments: how many it has.
    """

    segment: Index
    lengths: Index
    life: Index
    segments: Index


def no_memory(spec: FeatureSpec) -> Memory:
    """The memory of a plant that has sent nothing."""
    keys = (np.empty(0, dtype=np.int64),) * 4
    shape = (0, 2 + len(spec.smooth_ns), len(spec.seen))
    traces, extremes = np.empty(shape), np.empty((0, len(spec.seen)))
    return Memory((), *keys, traces, traces, traces, extremes, extremes)


def recall(
    panes: Panes, start: Int64, spec: FeatureSpec, *, before: Memory, wanted: Index | None = None
) -> AssetMemories:
    """What each asset remembers at the end of every pane, or of these: ascending rows.

    panes: with what `spec.seen` names, from each asset's boundary in `before` on; those of an
    asset that is not there from its life's first pane on. Earlier ones are left out, their rows
    NaN. start: shape (n_panes,), see `life_starts`.
    """
    kept = np.flatnonzero(_counts(panes, start, before))
    rows = np.arange(len(panes.pane)) if wanted is None else wanted
    place = np.searchsorted(kept, rows)
    lived = np.flatnonzero(np.append(kept, -1)[place] == rows)
    whole = _follow(panes.take(kept), start[kept], spec, before, place[lived])[0]
    return _finish(whole, lived, len(rows))


def remember(
    panes: Panes, start: Int64, spec: FeatureSpec, *, before: Memory, boundary: int
) -> Memory:
    """The memory of every asset with panes in a life or in `before`, at this boundary.

    panes: with what `spec.seen` names, all that each asset has from its boundary in `before`
    (else from its life's first pane) up to this boundary, a multiple of BLOCK_PANES.
    """
    kept = np.flatnonzero(_counts(panes, start, before) & (panes.pane < boundary))
    panes, start = panes.take(kept), start[kept]
    last = np.flatnonzero(run_ends(panes.asset))
    new, begun = _follow(panes, start, spec, before, last)
    here = [panes.assets[number] for number in panes.asset[last].tolist()]
    names = sorted({*here, *before.assets})
    columns = {
        "start": (before.start, start[last]),
        "begun": (before.begun, begun),
        "newest": (before.newest, panes.pane[last]),
        **{name: (getattr(before, name), getattr(new, name)) for name in MEMORY_STATISTICS},
    }
    old_rows, new_rows = (places_among(part, names) for part in (before.assets, here))
    at = np.full(len(names), boundary, dtype=np.int64)
    at[old_rows] = np.maximum(before.boundary, boundary)
    merged = {}
    for name, (old, fresh) in columns.items():
        merged[name] = np.empty((len(names), *fresh.shape[1:]), dtype=fresh.dtype)
        merged[name][old_rows] = old
        merged[name][new_rows] = fresh
    return Memory(tuple(names), at, **merged)


def _counts(panes: Panes, start: Int64, before: Memory) -> Flags:
    """Which panes belong to a life, and are not in `before` yet."""
    row = places_among(panes.assets, before.assets)
    known_until = np.append(before.boundary, np.iinfo(np.int64).min)[row]
    return np.asarray((panes.pane >= start) & (panes.pane >= known_until[panes.asset]))


def _follow(
    panes: Panes, start: Int64, spec: FeatureSpec, before: Memory, wanted: Index
) -> tuple[FadingMeans, Int64]:
    """The memory of panes that are wanted, and the pane the life of each has begun with."""
    runs = _cut(panes, start)
    begun_of_life, carry = _carried_in(panes, start, spec, runs, before)
    life_rows = np.diff(np.append(runs.segment[runs.life], len(start)))
    begun = np.repeat(begun_of_life, life_rows)
    inside = _scan(panes, begun, spec, runs)
    half_lives = half_lives_of(spec)
    ends = runs.segment + runs.lengths - 1
    for segments in ranks(runs.life, runs.segments, backwards=False):
        earlier = segments - 1
        carry.put(segments, merge_traces(carry.at(earlier), inside.at(ends[earlier]), half_lives))
    rows = np.repeat(np.arange(len(runs.segment)), runs.lengths)[wanted]
    return merge_traces(carry.at(rows), inside.at(wanted), half_lives), begun[wanted]


def _cut(panes: Panes, start: Int64) -> _LifeRuns:
    segment = np.flatnonzero(run_starts(panes.asset, start, panes.pane // BLOCK_PANES))
    life = np.flatnonzero(run_starts(panes.asset, start)[segment])
    lengths = np.diff(np.append(segment, len(start)))
    return _LifeRuns(segment, lengths, life, np.diff(np.append(life, len(segment))))


def _carried_in(
    panes: Panes, start: Int64, spec: FeatureSpec, runs: _LifeRuns, before: Memory
) -> tuple[Int64, FadingMeans]:
    """The pane each life has begun with, and what each segment is given: as yet only the
    first of a life that `before` knows gets something."""
    size = len(runs.segment)
    first = runs.segment[runs.life]
    shape = (size, 2 + len(spec.smooth_ns), len(spec.seen))
    carry = FadingMeans(
        panes.pane[runs.segment],
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.full((size, len(spec.seen)), np.inf),
        np.full((size, len(spec.seen)), -np.inf),
    )
    row = places_among(panes.assets, before.assets)[panes.asset[first]]
    recorded = np.flatnonzero((row >= 0) & (np.append(before.start, 0)[row] == start[first]))
    row = row[recorded]
    begun = panes.pane[first]
    begun[recorded] = before.begun[row]
    statistics = [getattr(before, name)[row] for name in MEMORY_STATISTICS]
    carry.put(runs.life[recorded], FadingMeans(before.newest[row], *statistics))
    return begun, carry


def _scan(panes: Panes, begun: Int64, spec: FeatureSpec, runs: _LifeRuns) -> FadingMeans:
    """Running statistics from each segment's first pane on, at every row."""
    half_lives = half_lives_of(spec)
    n = np.repeat(panes.count.astype(float)[:, None], len(half_lives), axis=1)
    days = 0 if spec.beginning_ns is None else spec.beginning_ns // panes.pane_ns
    n[panes.pane >= begun + days, BEGINNING] = 0.0
    # Deviations are taken from the segment's first value: sums do not cancel.
    mean = pane_mean(panes)
    shift = first_values(mean, runs.segment, runs.lengths, backwards=False)
    some = panes.count > 0
    y = np.where(some, mean - shift, 0.0)[:, None]
    moment = np.where(n > 0, pane_second_moment(panes)[:, None], 0.0)
    sums = np.stack([n, n * y, moment + n * y * y], axis=1)
    extremes = np.stack(
        [np.where(some, panes.minimum, np.inf), np.where(some, -panes.maximum, np.inf)], axis=1
    )
    gap = np.diff(panes.pane, prepend=panes.pane[:1])
    for at in ranks(runs.segment, runs.lengths, backwards=False):
        sums[at] += sums[at - 1] * fading_over(gap[at], half_lives)[:, None]
        extremes[at] = np.minimum(extremes[at], extremes[at - 1])
    n, s, ss = (sums[:, number] for number in range(3))
    some_weight = n > 0
    weight = np.where(some_weight, n, 1.0)
    return FadingMeans(
        panes.pane,
        n,
        np.where(some_weight, shift[:, None] + s / weight, 0.0),
        np.where(some_weight, np.maximum(ss - s * s / weight, 0.0), 0.0),
        extremes[:, 0],
        -extremes[:, 1],
    )


def _finish(whole: FadingMeans, kept: Index, size: int) -> AssetMemories:
    """FadingMeans of the rows kept as features of all rows."""

    def spread(values: Float64, present: Flags) -> Float64:
        out = np.full((size, values.shape[1]), np.nan)
        out[kept] = np.where(present, values, np.nan)
        return out

    some = whole.weight > 0
    deviation = np.sqrt(whole.moment / np.where(some, whole.weight, 1.0))
    lived, begun = some[:, LIFE], some[:, BEGINNING]
    return AssetMemories(
        life=(
            spread(whole.mean[:, LIFE], lived),
            spread(deviation[:, LIFE], lived),
            spread(whole.minimum, lived),
            spread(whole.maximum, lived),
        ),
        beginning=(spread(whole.mean[:, BEGINNING], begun), spread(deviation[:, BEGINNING], begun)),
        smooth=tuple(
            spread(whole.mean[:, trace], some[:, trace]) for trace in range(2, some.shape[1])
        ),
    )
