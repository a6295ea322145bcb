"""Windows composed from panes (Li, Maier, Tufte, Papadimos & Tucker 2005, "No pane, no gain").

A window of w panes ending at pane p is cut where p's block of w panes begins, blocks being
counted from 1970: one suffix of the block before and one prefix of p's own. Running statistics
from both ends of every block therefore give any window in one merge, whatever its length (van
Herk 1992; Gil & Werman 1993, there for extremes alone). Because blocks do not depend on where
history starts, and no running sum ever reaches outside the window, a window's statistics are a
function of its own panes alone, to the bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pm_app.features.panes import pane_mean, pane_second_moment
from pm_app.records.features import Panes
from pm_app.records.readings import Float64
from pm_app.times import HOUR_NS

Index = NDArray[np.intp]
WINDOW_STATISTICS = ("mean", "deviation", "minimum", "maximum", "slope", "missing")


@dataclass(frozen=True, eq=False)
class Windows:
    """Statistics of one window length at the end of every pane, (n_panes, n_sensors).

    mean, deviation (population standard deviation), minimum, maximum over the readings;
    slope of the pane means over time, weighted by their counts, per hour; missing, the share
    of readings without a value. NaN where the window holds no value (slope: under two panes).
    """

    mean: Float64
    deviation: Float64
    minimum: Float64
    maximum: Float64
    slope: Float64
    missing: Float64


@dataclass(frozen=True, eq=False)
class _Part:
    """Moments of one side of a window: weight n, values, time u in panes from `origin`.

    All (n_rows, n_sensors) but rows and origin, (n_rows, 1). Means are 0 where n is 0, so
    that merging with an empty side changes no bit.
    """

    n: Float64
    mean: Float64
    moment: Float64
    u_mean: Float64
    u_moment: Float64
    cross: Float64
    minimum: Float64
    maximum: Float64
    rows: Float64
    origin: Float64


def roll_windows(panes: Panes, *, window_ns: int) -> Windows:
    """Statistics over the window that ends with each pane, that pane included."""
    width = window_ns // panes.pane_ns
    if not len(panes.pane):
        return Windows(*(np.empty(panes.count.shape) for _ in fields(Windows)))
    starts, lengths = _segments(panes, width)
    prefix = _scan(panes, starts, lengths, backwards=False)
    suffix = _scan(panes, starts, lengths, backwards=True)
    first = first_rows(panes, width)
    own_start = np.repeat(starts, lengths)
    reaches_back = first < own_start
    before = _take(suffix, first, reaches_back)
    return _finish(_merge(before, prefix), panes.pane_ns)


def last_values(panes: Panes, *, window_ns: int) -> Float64:
    """The newest value of each sensor within the window, (n_panes, n_sensors), else NaN."""
    number = np.arange(len(panes.pane))[:, None]
    newest = np.maximum.accumulate(np.where(panes.count > 0, number, -1), axis=0)
    inside = newest >= first_rows(panes, window_ns // panes.pane_ns)[:, None]
    values = np.take_along_axis(panes.last, np.maximum(newest, 0), axis=0)
    return np.where(inside, values, np.nan)


def first_rows(panes: Panes, width: int) -> Index:
    """Row number of the first pane in the window of `width` panes that ends with each row."""
    if not len(panes.pane):
        return np.empty(0, dtype=np.intp)
    pane = panes.pane - panes.pane.min()
    stride = int(pane.max()) + width + 1
    keys = panes.asset.astype(np.int64) * stride + pane
    return np.asarray(np.searchsorted(keys, keys - np.minimum(width - 1, pane)))


def _segments(panes: Panes, width: int) -> tuple[Index, Index]:
    """First row and length of every run of panes of one asset and one block."""
    block = panes.pane // width
    changes = np.ones(len(block), dtype=bool)
    changes[1:] = (panes.asset[1:] != panes.asset[:-1]) | (block[1:] != block[:-1])
    starts = np.flatnonzero(changes)
    return starts, np.diff(np.append(starts, len(block)))


def _scan(panes: Panes, starts: Index, lengths: Index, *, backwards: bool) -> _Part:
    """Running statistics from one end of each segment, at every row."""
    edge = np.repeat(starts + lengths - 1 if backwards else starts, lengths)
    some = panes.count > 0
    n = panes.count.astype(float)
    # Deviations are taken from the segment's first value on this side: sums do not cancel.
    mean = pane_mean(panes)
    shift = first_values(mean, starts, lengths, backwards=backwards)
    y = np.where(some, mean - shift, 0.0)
    u = (panes.pane - panes.pane[edge])[:, None].astype(float)
    nu, ny = n * u, n * y
    sums = np.stack([n, ny, pane_second_moment(panes) + ny * y, nu, nu * u, ny * u], axis=1)
    rows = panes.rows.astype(float)[:, None]
    # Maxima as minima of the negative: one running extreme serves both.
    extremes = np.stack(
        [np.where(some, panes.minimum, np.inf), np.where(some, -panes.maximum, np.inf)], axis=1
    )
    back = 1 if backwards else -1
    for at in ranks(starts, lengths, backwards=backwards):
        sums[at] += sums[at + back]
        rows[at] += rows[at + back]
        extremes[at] = np.minimum(extremes[at], extremes[at + back])
    return _moments(sums, extremes, rows, shift, panes.pane[edge][:, None].astype(float))


def ranks(starts: Index, lengths: Index, *, backwards: bool) -> Iterator[Index]:
    """Rows that are second, third, ... from their segment's edge: no loop over segments."""
    edge = starts + lengths - 1 if backwards else starts
    order = np.argsort(-lengths, kind="stable")
    edge, sorted_lengths = edge[order], -lengths[order]
    for rank in range(1, int(lengths.max(initial=1))):
        longer = int(np.searchsorted(sorted_lengths, -rank, side="left"))
        yield edge[:longer] + (-rank if backwards else rank)


def first_values(values: Float64, starts: Index, lengths: Index, *, backwards: bool) -> Float64:
    """Per row, the value nearest its segment's edge that is not missing; 0 where none is."""
    number = np.arange(len(values))[:, None]
    missing = np.isnan(values)
    if backwards:
        nearest = np.maximum.reduceat(np.where(missing, -1, number), starts, axis=0)
    else:
        nearest = np.minimum.reduceat(np.where(missing, len(values), number), starts, axis=0)
    none = (nearest < 0) | (nearest >= len(values))
    found = np.take_along_axis(values, np.where(none, 0, nearest), axis=0)
    return np.repeat(np.where(none, 0.0, found), lengths, axis=0)


def _moments(
    sums: Float64, extremes: Float64, rows: Float64, shift: Float64, origin: Float64
) -> _Part:
    n, s, ss, u, uu, us = (sums[:, number] for number in range(6))
    weight = np.maximum(n, 1)
    return _Part(
        n=n,
        mean=np.where(n > 0, shift + s / weight, 0.0),
        moment=np.maximum(ss - s * s / weight, 0.0),
        u_mean=u / weight,
        u_moment=np.maximum(uu - u * u / weight, 0.0),
        cross=us - u * s / weight,
        minimum=extremes[:, 0],
        maximum=-extremes[:, 1],
        rows=rows,
        origin=origin,
    )


def _take(part: _Part, rows: Index, present: NDArray[np.bool_]) -> _Part:
    """One side's moments at these rows, empty where it is not present."""
    blank = {"minimum": np.inf, "maximum": -np.inf}
    return _Part(
        **{
            f.name: np.where(present[:, None], getattr(part, f.name)[rows], blank.get(f.name, 0.0))
            for f in fields(_Part)
        }
    )


def _merge(a: _Part, b: _Part) -> _Part:
    """Both sides as one (pairwise update, Chan, Golub & LeVeque 1979), time seen from b."""
    n = a.n + b.n
    share = b.n / np.maximum(n, 1)
    weight = a.n * share
    a_u_mean = np.where(a.n > 0, a.u_mean + (a.origin - b.origin), 0.0)
    dy, du = b.mean - a.mean, b.u_mean - a_u_mean
    return _Part(
        n=n,
        mean=a.mean + dy * share,
        moment=a.moment + b.moment + dy * dy * weight,
        u_mean=a_u_mean + du * share,
        u_moment=a.u_moment + b.u_moment + du * du * weight,
        cross=a.cross + b.cross + du * dy * weight,
        minimum=np.minimum(a.minimum, b.minimum),
        maximum=np.maximum(a.maximum, b.maximum),
        rows=a.rows + b.rows,
        origin=b.origin,
    )


def _finish(whole: _Part, pane_ns: int) -> Windows:
    some = whole.n > 0
    n = np.maximum(whole.n, 1)
    spans = whole.u_moment > 0
    per_pane = whole.cross / np.where(spans, whole.u_moment, 1.0)
    return Windows(
        mean=np.where(some, whole.mean, np.nan),
        deviation=np.where(some, np.sqrt(whole.moment / n), np.nan),
        minimum=np.where(some, whole.minimum, np.nan),
        maximum=np.where(some, whole.maximum, np.nan),
        slope=np.where(spans, per_pane * (HOUR_NS / pane_ns), np.nan),
        missing=1.0 - whole.n / np.maximum(whole.rows, 1),
    )
