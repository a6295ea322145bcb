"""Moments of maintenance, of failures and of nothing, and what sensors read before and after each.

Readings before work are those of a window that ends with the failure it repairs, else a window
before it was booked: orders are booked when work is done, and a machine that stands still for it
reads like no machine that runs. Readings after it are those of the window that begins with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from pm_app.features.lives import NEVER, LifeEnds, count_until, life_ends
from pm_app.features.panes.panes import pane_mean
from pm_app.features.runs import places_among, run_starts
from pm_app.records.features import Panes
from pm_app.records.readings import Events, Flags, Float64, Index, Int64
from pm_app.times import HOUR_NS

WINDOW_NS: Final = 24 * HOUR_NS
LEAST_PANES: Final = 6
# So many panes of a window have to hold a value: readings may be rarer than panes.
LEAST_VALUES: Final = 3
# Moments of nothing that an asset is looked at in.
MOST_CONTROLS: Final = 80
CONTROL, FIRST = -1, -2
_CELLS = 2_000_000


@dataclass(frozen=True, eq=False)
class WorkMoments:
    """Moments of assets, by asset, then time; before and after have shape (n_moments, n_sensors),
    near (n_moments, n_codes), cutoffs (n_moments, 2), asset and what (n_moments,).

    codes: of maintenance; causes: codes of failures. what: number of a code, or, counted on from
    there, of a cause; CONTROL; or FIRST, the beginning of an asset's readings. before, after:
    medians of each sensor in the windows, NaN where too few panes hold a value. near: which codes
    were booked in or between the windows. cutoffs: at which the windows end, nanoseconds UTC. risk:
    what the champion says there, (n_moments, 2), NaN where nothing; empty without a champion.
    """

    codes: tuple[str, ...]
    causes: tuple[str, ...]
    sensors: tuple[str, ...]
    asset: Int64
    what: Int64
    near: Flags
    before: Float64
    after: Float64
    cutoffs: Int64
    risk: Float64 = field(default_factory=lambda: np.empty((0, 2)))


@dataclass(frozen=True, eq=False)
class _Spans:
    """From when until when something was done, nanoseconds UTC, by asset; (n,) each."""

    asset: Int64
    begin: Int64
    end: Int64
    what: Int64

    def take(self, rows: Index | Flags) -> "_Spans":
        return _Spans(self.asset[rows], self.begin[rows], self.end[rows], self.what[rows])


def window_of(pane_ns: int) -> int:
    """Length of the windows, nanoseconds: whole panes."""
    return max(-(-WINDOW_NS // pane_ns), LEAST_PANES) * pane_ns


def work_moments(
    panes: Panes, events: Events, codes: Sequence[str], causes: Sequence[str]
) -> WorkMoments:
    """Every moment of these assets at which one of these codes was booked (once within a window),
    a failure of one of these causes was, or, evenly over their panes, nothing was asked for.

    Left out are those with a failure in or between their windows, but for the one that is
    repaired. panes: whole assets, without those in which they stood still where that is told.
    """
    window = window_of(panes.pane_ns)
    owner = places_among(events.asset.tolist(), panes.assets)
    ends = life_ends(owner, events, known_until=None)
    work = _booked(owner, events, ("maintenance", codes), window)
    failed = _booked(owner, events, ("failure", causes), window)
    failed = replace(failed, what=failed.what + len(codes))
    spans = _join(_since_failure(work, ends, window), failed, _nothing(panes, window))
    spans = spans.take(np.lexsort((spans.begin, spans.asset)))
    spans = spans.take(_undisturbed(spans, ends, window, len(codes)))
    before = spans.begin // panes.pane_ns * panes.pane_ns
    after = -(-spans.end // panes.pane_ns) * panes.pane_ns
    return WorkMoments(
        tuple(codes),
        tuple(causes),
        panes.sensors,
        spans.asset,
        spans.what,
        _near(spans, work, len(codes), window),
        _medians(panes, spans.asset, before - window, window),
        _medians(panes, spans.asset, after, window),
        np.column_stack([before, after + window]),
    )


def join_moments(parts: Sequence[WorkMoments]) -> WorkMoments:
    """Moments of different assets, of the same codes, causes and sensors, as one."""
    counts = np.cumsum([0, *(int(part.asset.max(initial=-1)) + 1 for part in parts)])
    moved = [replace(p, asset=p.asset + at) for p, at in zip(parts, counts.tolist(), strict=False)]
    names = ("asset", "what", "near", "before", "after", "cutoffs", "risk")
    columns = (np.concatenate([getattr(part, name) for part in moved]) for name in names)
    return WorkMoments(parts[0].codes, parts[0].causes, parts[0].sensors, *columns)


def _booked(owner: Int64, events: Events, wanted: tuple[str, Sequence[str]], window: int) -> _Spans:
    """Events of a kind with these codes, each code once within a window."""
    kind, codes = wanted
    place = {code: number for number, code in enumerate(codes)}
    number = np.array([place.get(code, -1) for code in events.code.tolist()], dtype=np.int64)
    chosen = np.flatnonzero((owner >= 0) & (events.kind == kind) & (number >= 0))
    rows = chosen[np.lexsort((events.time[chosen], number[chosen], owner[chosen]))]
    new = run_starts(owner[rows], number[rows])[: len(rows)]
    new[1:] |= np.diff(events.time[rows]) >= window
    rows = rows[new]
    return _Spans(owner[rows], events.since[rows], events.time[rows], number[rows])


def _since_failure(work: _Spans, ends: LifeEnds, window: int) -> _Spans:
    """Work that begins with the failure that it repairs, else a window before it was done."""
    failures = ends.failures
    latest = count_until((failures.asset, failures.time), work.asset, work.end) - 1
    owner, since = np.append(failures.asset, -1)[latest], np.append(failures.since, 0)[latest]
    repairs = (owner == work.asset) & (np.append(ends.repaired, NEVER)[latest] == work.end)
    return replace(work, begin=np.where(repairs, since, work.begin - window))


def _nothing(panes: Panes, window: int) -> _Spans:
    """Moments over each asset's panes, as far apart as a window is long, and its first."""
    first = np.flatnonzero(run_starts(panes.asset)[: len(panes.asset)])
    last = np.append(first[1:], len(panes.pane)) - 1
    asset = panes.asset[first].astype(np.int64)
    begin, end = panes.pane[first] * panes.pane_ns, (panes.pane[last] + 1) * panes.pane_ns
    # Two windows before, one after.
    room = np.maximum((end - begin) // window - 3, 0)
    count = np.minimum(room, MOST_CONTROLS)
    rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    place = ((rank + 0.5) * np.repeat(room / np.maximum(count, 1), count)).astype(np.int64)
    time = np.repeat(begin + 2 * window, count) + place * window
    what = np.full(len(time), CONTROL)
    controls = _Spans(np.repeat(asset, count), time - window, time, what)
    return _join(controls, _Spans(asset, begin, begin, np.full(len(asset), FIRST)))


def _undisturbed(spans: _Spans, ends: LifeEnds, window: int, codes: int) -> Flags:
    """Which have no failure, nor its downtime, in or between their windows but their own."""
    failures, repaired = ends.failures, np.append(ends.repaired, NEVER)
    until = np.where(spans.what >= codes, spans.end, spans.end + window)
    upto = count_until((failures.asset, failures.time), spans.asset, until)
    owner, since = np.append(failures.asset, -1), np.append(failures.since, 0)
    own = (upto > 0) & (owner[upto - 1] == spans.asset) & (since[upto - 1] == spans.begin)
    before = upto - own - 1
    earlier = (before >= 0) & (owner[before] == spans.asset)
    clear = ~earlier | (repaired[before] <= spans.begin - window) | (spans.what == FIRST)
    return np.asarray(clear, dtype=np.bool_)


def _near(spans: _Spans, work: _Spans, codes: int, window: int) -> Flags:
    found = np.zeros((len(spans.asset), codes), dtype=np.bool_)
    for number in range(codes):
        pairs = tuple(each[work.what == number] for each in (work.asset, work.end))
        until = count_until((pairs[0], pairs[1]), spans.asset, spans.end + window)
        before = count_until((pairs[0], pairs[1]), spans.asset, spans.begin - window - 1)
        found[:, number] = until > before
    return found


def _join(*parts: _Spans) -> _Spans:
    names = ("asset", "begin", "end", "what")
    return _Spans(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _medians(panes: Panes, asset: Int64, since: Int64, window: int) -> Float64:
    """Median of each sensor over the panes that begin within a window from `since` on."""
    width, means = window // panes.pane_ns, pane_mean(panes)
    stride = int(panes.pane.max(initial=0)) + 2
    keys = panes.asset.astype(np.int64) * stride + panes.pane
    first = since // panes.pane_ns
    begin = np.searchsorted(keys, asset * stride + np.clip(first, 0, stride - 1))
    end = np.searchsorted(keys, asset * stride + np.clip(first + width, 0, stride - 1))
    found = np.full((len(asset), means.shape[1]), np.nan)
    size = max(_CELLS // max(width * means.shape[1], 1), 1)
    for part in (slice(at, at + size) for at in range(0, len(asset), size)):
        place = np.arange(width)
        outside = place >= (end - begin)[part, None]
        values = means[np.where(outside, 0, begin[part, None] + place)]
        values[outside] = np.nan
        found[part] = _median(values)
    return found


def _median(values: Float64) -> Float64:
    """Median along the second of three axes; NaN of fewer than `LEAST_VALUES`."""
    values = np.sort(values, axis=1)
    count = np.isfinite(values).sum(axis=1)
    middle = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    low, high = (np.take_along_axis(values, at[:, None], axis=1)[:, 0] for at in middle)
    return np.where(count >= LEAST_VALUES, (low + high) / 2, np.nan)
