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
from pm_app.features.runs import places_among, ranks, run_ends, run_starts
from pm_app.records.features import FeatureSpec, Panes
from pm_app.records.memory import MEMORY_STATISTICS, Memory
from pm_app.records.readings import Flags, Float64, Index, Int32, Int64

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
class _Lived:
    """Panes that count: their rows among `panes`, ascending, and asset, pane and start of each,
    see `life_starts`; (n_rows,)."""

    panes: Panes
    rows: Index
    asset: Int32
    pane: Int64
    start: Int64


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
    lived = _lived(panes, start, _counts(panes, start, before))
    rows = np.arange(len(panes.pane)) if wanted is None else wanted
    place = np.searchsorted(lived.rows, rows)
    there = np.flatnonzero(np.append(lived.rows, -1)[place] == rows)
    whole = _follow(lived, spec, before, place[there])[0]
    return _finish(whole, there, len(rows))


def remember(
    panes: Panes, start: Int64, spec: FeatureSpec, *, before: Memory, boundary: int
) -> Memory:
    """The memory of every asset with panes in a life or in `before`, at this boundary.

    panes: with what `spec.seen` names, all that each asset has from its boundary in `before`
    (else from its life's first pane) up to this boundary, a multiple of BLOCK_PANES.
    """
    lived = _lived(panes, start, _counts(panes, start, before) & (panes.pane < boundary))
    last = np.flatnonzero(run_ends(lived.asset))
    new, begun = _follow(lived, spec, before, last)
    here = [panes.assets[number] for number in lived.asset[last].tolist()]
    names = sorted({*here, *before.assets})
    columns = {
        "start": (before.start, lived.start[last]),
        "begun": (before.begun, begun),
        "newest": (before.newest, lived.pane[last]),
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


def _lived(panes: Panes, start: Int64, counts: Flags) -> _Lived:
    rows = np.flatnonzero(counts)
    return _Lived(panes, rows, panes.asset[rows], panes.pane[rows], start[rows])


def _follow(
    lived: _Lived, spec: FeatureSpec, before: Memory, wanted: Index
) -> tuple[FadingMeans, Int64]:
    """The memory of panes that are wanted, and the pane the life of each has begun with."""
    runs = _cut(lived)
    begun_of_life, carry = _carried_in(lived, spec, runs, before)
    life_rows = np.diff(np.append(runs.segment[runs.life], len(lived.rows)))
    begun = np.repeat(begun_of_life, life_rows)
    ends = runs.segment + runs.lengths - 1
    goes_on = np.ones(len(ends), dtype=bool)
    goes_on[runs.life + runs.segments - 1] = False
    asked = np.union1d(ends[goes_on], wanted)
    inside = _scan(lived, begun, spec, runs, asked)
    half_lives = half_lives_of(spec)
    for segments in ranks(runs.life, runs.segments, backwards=False):
        earlier = segments - 1
        given = inside.at(np.searchsorted(asked, ends[earlier]))
        carry.put(segments, merge_traces(carry.at(earlier), given, half_lives))
    rows = np.searchsorted(runs.segment, wanted, side="right") - 1
    own = inside.at(np.searchsorted(asked, wanted))
    return merge_traces(carry.at(rows), own, half_lives), begun[wanted]


def _cut(lived: _Lived) -> _LifeRuns:
    segment = np.flatnonzero(run_starts(lived.asset, lived.start, lived.pane // BLOCK_PANES))
    life = np.flatnonzero(run_starts(lived.asset, lived.start)[segment])
    lengths = np.diff(np.append(segment, len(lived.rows)))
    return _LifeRuns(segment, lengths, life, np.diff(np.append(life, len(segment))))


def _carried_in(
    lived: _Lived, spec: FeatureSpec, runs: _LifeRuns, before: Memory
) -> tuple[Int64, FadingMeans]:
    """The pane each life has begun with, and what each segment is given: as yet only the
    first of a life that `before` knows gets something."""
    size = len(runs.segment)
    first = runs.segment[runs.life]
    shape = (size, 2 + len(spec.smooth_ns), len(spec.seen))
    carry = FadingMeans(
        lived.pane[runs.segment],
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.full((size, len(spec.seen)), np.inf),
        np.full((size, len(spec.seen)), -np.inf),
    )
    row = places_among(lived.panes.assets, before.assets)[lived.asset[first]]
    recorded = np.flatnonzero((row >= 0) & (np.append(before.start, 0)[row] == lived.start[first]))
    row = row[recorded]
    begun = lived.pane[first]
    begun[recorded] = before.begun[row]
    statistics = [getattr(before, name)[row] for name in MEMORY_STATISTICS]
    carry.put(runs.life[recorded], FadingMeans(before.newest[row], *statistics))
    return begun, carry


@dataclass(frozen=True, eq=False)
class _RankedPanes:
    """Panes of segments by their rank in the segment, in each rank the longest segment first.

    rows: which those are, of what `_Lived` counts; ends: where each rank ends among them.
    size: how many segments there are. added: count, sum of deviations and of their squares that
    each pane adds to its segment's, (3, n_rows, n_sensors). extremes: minimum and negated
    maximum, infinite where there is no value, (2, n_rows, n_sensors). shift: by segment what
    deviations are taken from, (n_segments, n_sensors).
    """

    rows: Index
    ends: Index
    size: int
    added: Float64
    extremes: Float64
    shift: Float64


def _scan(
    lived: _Lived, begun: Int64, spec: FeatureSpec, runs: _LifeRuns, asked: Index
) -> FadingMeans:
    """Running statistics from each segment's first pane on, at these rows: ascending."""
    segment = np.searchsorted(runs.segment, asked, side="right") - 1
    last = np.flatnonzero(run_ends(segment))
    # No pane after the last one that is asked for has to be looked at.
    starts = runs.segment[segment[last]]
    lengths = asked[last] - starts + 1
    longest_first = np.argsort(-lengths, kind="stable")
    ranked = _rank(lived, starts[longest_first], lengths[longest_first])
    place = np.empty(len(last), dtype=np.intp)
    place[longest_first] = np.arange(len(last))
    among = np.repeat(place, np.diff(np.append(-1, last)))
    rank = asked - runs.segment[segment]
    sums, extremes = _accumulate(lived, begun, spec, ranked, (rank, among))
    n, s, ss = np.moveaxis(sums, 2, 0)
    some_weight = n > 0
    weight = np.where(some_weight, n, 1.0)
    shift = ranked.shift[among][:, None]
    return FadingMeans(
        lived.pane[asked],
        n,
        np.where(some_weight, shift + s / weight, 0.0),
        np.where(some_weight, np.maximum(ss - s * s / weight, 0.0), 0.0),
        extremes[:, 0],
        -extremes[:, 1],
    )


def _rank(lived: _Lived, starts: Index, lengths: Index) -> _RankedPanes:
    """The first panes, so many, of segments: longest first."""
    parts = [starts, *ranks(starts, lengths, backwards=False)]
    sizes = [len(part) for part in parts]
    rows = np.concatenate(parts)
    at, panes = lived.rows[rows], lived.panes
    mean = pane_mean(panes).take(at, axis=0)
    # Deviations are taken from the segment's first value: sums do not cancel.
    shift = np.full((len(starts), mean.shape[1]), np.nan)
    ends = np.cumsum(sizes)
    for size, end in zip(sizes, ends.tolist(), strict=True):
        missing = np.isnan(shift[:size])
        if not missing.any():
            break
        shift[:size][missing] = mean[end - size : end][missing]
    shift[np.isnan(shift)] = 0.0
    some = ~np.isnan(mean)
    y = mean
    y -= shift.take(np.concatenate([np.arange(size) for size in sizes]), axis=0)
    y[~some] = 0.0
    added = np.empty((3, *y.shape))
    added[0] = panes.count.take(at, axis=0)
    np.multiply(added[0], y, out=added[1])
    np.multiply(added[1], y, out=added[2])
    added[2] += np.where(some, pane_second_moment(panes).take(at, axis=0), 0.0)
    extremes = np.stack([panes.minimum.take(at, axis=0), -panes.maximum.take(at, axis=0)])
    extremes[:, ~some] = np.inf
    return _RankedPanes(rows, ends, len(starts), added, extremes, shift)


def _accumulate(
    lived: _Lived, begun: Int64, spec: FeatureSpec, ranked: _RankedPanes, asked: tuple[Index, Index]
) -> tuple[Float64, Float64]:
    """Sums (n_asked, n_traces, 3, n_sensors) and extremes (n_asked, 2, n_sensors) along segments,
    at these ranks of these segments."""
    rank, among = asked
    by_rank = np.argsort(rank, kind="stable")
    until = np.searchsorted(rank[by_rank], np.arange(len(ranked.ends)), side="right").tolist()
    pane, sensors = lived.pane[ranked.rows], ranked.shift.shape[1]
    days = 0 if spec.beginning_ns is None else spec.beginning_ns // spec.pane_ns
    early = pane < begun[ranked.rows] + days
    half_lives = half_lives_of(spec)
    gap = np.diff(lived.pane, prepend=0)[ranked.rows]
    gap[: ranked.size] = 0
    fading = fading_over(gap, half_lives)[:, BEGINNING + 1 :, :, None]
    sums = np.zeros((ranked.size, len(half_lives), 3, sensors))
    extremes = np.full((ranked.size, 2, sensors), np.inf)
    found = np.empty((len(rank), *sums.shape[1:])), np.empty((len(rank), *extremes.shape[1:]))
    start = done = 0
    for end, upto in zip(ranked.ends.tolist(), until, strict=True):
        ours, x = slice(0, end - start), ranked.added[:, start:end].swapaxes(0, 1)
        sums[ours, LIFE] += x
        some = early[start:end]
        if some.any():
            sums[ours, BEGINNING][some] += x[some]
        sums[ours, BEGINNING + 1 :] *= fading[start:end]
        sums[ours, BEGINNING + 1 :] += x[:, None]
        new = ranked.extremes[:, start:end].swapaxes(0, 1)
        np.minimum(extremes[ours], new, out=extremes[ours])
        here = by_rank[done:upto]
        for values, running in zip(found, (sums, extremes), strict=True):
            values[here] = running.take(among[here], axis=0)
        start, done = end, upto
    return found


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
