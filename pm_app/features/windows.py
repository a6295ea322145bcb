"""Windows composed from panes (Li, Maier, Tufte, Papadimos & Tucker 2005, "No pane, no gain").

A window of w panes ending at pane p is cut where p's block of w panes begins, blocks being
counted from 1970: one suffix of the block before and one prefix of p's own. Running statistics
from both ends of every block therefore give any window in one merge, whatever its length (van
Herk 1992; Gil & Werman 1993, there for extremes alone). Because blocks do not depend on where
history starts, and no running sum ever reaches outside the window, a window's statistics are a
function of its own panes alone, to the bit.

Inside, a row is a sensor and panes run along it, ordered by their rank in the block: a step of
the running statistics is then one addition of neighbours, and what is the same for all sensors
is held once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pm_app.features.panes.panes import (
    first_rows,
    pane_mean,
    pane_second_moment,
    panes_in_windows,
)
from pm_app.features.runs import first_values, run_starts
from pm_app.records.features import Panes
from pm_app.records.readings import Float64, Index
from pm_app.times import HOUR_NS

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
class _Values:
    """Panes as sums are made of them: a row a sensor.

    n: readings, (n_sensors, n_panes), or (1, n_panes) where they are the same for all sensors.
    mean and moment: 0 where n is. extremes: minimum and negated maximum, so that one running
    extreme serves both, (2, n_sensors, n_panes), infinite where n is 0. means: mean by pane and
    sensor, NaN where n is 0; None where it nowhere is. rows: readings with and without a value.
    """

    n: Float64
    mean: Float64
    moment: Float64
    extremes: Float64
    means: Float64 | None
    rows: Float64


@dataclass(frozen=True, eq=False)
class _BlockRuns:
    """Panes of one asset and one block, counted from one end of each run.

    starts, lengths: of each run. edge: the row that each row's run is counted from. order: rows
    by their rank from there, longer runs first; place: where each row stands in that order.
    steps: for every rank but the first its rows, and those of the rank before in the same runs.
    """

    starts: Index
    lengths: Index
    backwards: bool
    edge: Index
    order: Index
    place: Index
    steps: tuple[tuple[slice, slice], ...]


@dataclass(frozen=True, eq=False)
class _RunningSums:
    """What is added up along runs and what is compared, of one side of every window.

    One array each, so that a step along all runs is one addition and one comparison. By pane:
    the sums of deviations of the sensors, of their squares and their products with time, then n,
    n and time, n and time squared, a row or n_sensors each, then readings. Time is in panes from
    the edge of a run, deviations are from its first mean.
    """

    sums: Float64
    extremes: Float64

    def of(self, rows: int) -> "_RunningSums":
        """Memory for so many rows: this, where it is for as many."""
        if rows == self.sums.shape[-1]:
            return self
        shapes = ((*each.shape[:-1], rows) for each in (self.sums, self.extremes))
        return _RunningSums(*map(np.empty, shapes))

    def named(self, sensors: int) -> tuple[Float64, ...]:
        """Views of the sums, in the order told."""
        apart = (len(self.sums) - 1 - 3 * sensors) // 3
        ends = np.cumsum([0, *[sensors] * 3, *[apart] * 3, 1]).tolist()
        return tuple(self.sums[start:end] for start, end in pairwise(ends))


@dataclass(frozen=True, eq=False)
class _WindowSide:
    """Moments of one side of a window: weight n, values, time u in panes from `origin`.

    n, u_mean and u_moment have a row or n_sensors, rows and origin are (n_panes,), the others
    as in `_Values`. What is not there is 0, extremes infinite.
    """

    n: Float64
    mean: Float64
    moment: Float64
    u_mean: Float64
    u_moment: Float64
    cross: Float64
    extremes: Float64
    rows: Float64
    origin: Float64


def roll_windows(
    panes: Panes, *, windows_ns: Sequence[int], wanted: Index | None = None
) -> Iterator[Windows]:
    """Statistics over each of the windows that end with each pane, that pane included.

    wanted: ascending rows of the panes whose windows these are, by default all.
    """
    held: Panes | None = None
    for window_ns in windows_ns:
        near, at = panes_in_windows(panes, wanted, window_ns=window_ns)
        if near is not held:
            held, values = near, _values(near)
            # Memory that is used again costs no page faults, which took half of the time.
            scratch = [_blank(values) for _ in range(3)]
        yield _roll(values, near, window_ns // panes.pane_ns, at, scratch)


def _blank(values: _Values) -> _RunningSums:
    rows = 3 * (len(values.mean) + len(values.n)) + 1
    return _RunningSums(np.empty((rows, len(values.rows))), np.empty(values.extremes.shape))


def _roll(
    values: _Values, panes: Panes, width: int, wanted: Index, scratch: Sequence[_RunningSums]
) -> Windows:
    forwards, backwards = _runs(panes, width, False), _runs(panes, width, True)
    first = first_rows(panes, width)[wanted]
    ranked, *sides = scratch
    before = _side(values, panes, backwards, first, ranked, sides[0])
    own_start = np.repeat(forwards.starts, forwards.lengths)[wanted]
    _leave_out(before, np.flatnonzero(first >= own_start))
    own = _side(values, panes, forwards, wanted, ranked, sides[1])
    return _finish(before, own, panes.pane_ns)


def last_values(panes: Panes, *, window_ns: int) -> Float64:
    """The newest value of each sensor within the window, (n_panes, n_sensors), else NaN."""
    number = np.arange(len(panes.pane))[:, None]
    newest = np.maximum.accumulate(np.where(panes.count > 0, number, -1), axis=0)
    inside = newest >= first_rows(panes, window_ns // panes.pane_ns)[:, None]
    values = np.take_along_axis(panes.last, np.maximum(newest, 0), axis=0)
    return np.where(inside, values, np.nan)


def _values(panes: Panes) -> _Values:
    some = panes.count > 0
    mean = pane_mean(panes)
    means = None if some.all() else mean
    extremes = np.stack([panes.minimum.T, -panes.maximum.T])
    if means is not None:
        mean = np.where(some, mean, 0.0)
        extremes[:, ~some.T] = np.inf
    alike = bool((panes.count == panes.count[:, :1]).all())
    count = panes.count[:, :1] if alike else panes.count
    return _Values(
        n=np.ascontiguousarray(count.T, dtype=float),
        mean=np.ascontiguousarray(mean.T),
        moment=np.ascontiguousarray(pane_second_moment(panes).T),
        extremes=extremes,
        means=means,
        rows=panes.rows.astype(float),
    )


def _runs(panes: Panes, width: int, backwards: bool) -> _BlockRuns:
    block = panes.pane // width
    starts = np.flatnonzero(run_starts(panes.asset, block))
    lengths = np.diff(np.append(starts, len(block)))
    edge = np.repeat(starts + lengths - 1 if backwards else starts, lengths)
    rank = np.abs(np.arange(len(edge)) - edge)
    sizes = np.bincount(rank)
    begins = np.cumsum(sizes) - sizes
    among = np.empty(len(starts), dtype=np.intp)
    among[np.argsort(-lengths, kind="stable")] = np.arange(len(starts))
    place = begins[rank] + np.repeat(among, lengths)
    order = np.empty_like(place)
    order[place] = np.arange(len(place))
    return _BlockRuns(starts, lengths, backwards, edge, order, place, _steps(begins, sizes))


def _steps(begins: Index, sizes: Index) -> tuple[tuple[slice, slice], ...]:
    start, size = begins.tolist(), sizes.tolist()
    return tuple(
        (slice(start[rank], start[rank] + many), slice(start[rank - 1], start[rank - 1] + many))
        for rank, many in enumerate(size)
        if rank
    )


def _side(
    values: _Values,
    panes: Panes,
    runs: _BlockRuns,
    wanted: Index,
    ranked: _RunningSums,
    side: _RunningSums,
) -> _WindowSide:
    """Running statistics from the edge of each run to the wanted rows, in the memory of `side`."""
    shift = _shift(values, runs)
    _fill(side, values, shift, (panes.pane - panes.pane[runs.edge]).astype(float))
    _take(side.sums, runs.order, ranked.sums)
    _take(values.extremes, runs.order, ranked.extremes)
    _accumulate(ranked, runs.steps)
    at = runs.place[wanted]
    side = side.of(len(at))
    _take(ranked.sums, at, side.sums)
    _take(ranked.extremes, at, side.extremes)
    s, ss, us, n, u, uu, rows = side.named(len(values.mean))
    weight = np.maximum(n, 1)
    u_mean = u / weight
    uu -= u * u_mean
    us -= u_mean * s
    ss -= s * np.divide(s, weight, out=(mean := np.empty_like(s)))
    mean += shift.take(wanted, axis=1)
    if values.means is not None:
        mean[np.broadcast_to(n == 0, mean.shape)] = 0.0
    return _WindowSide(
        n=n,
        mean=mean,
        moment=np.maximum(ss, 0.0, out=ss),
        u_mean=u_mean,
        u_moment=np.maximum(uu, 0.0, out=uu),
        cross=us,
        extremes=side.extremes,
        rows=rows[0],
        origin=panes.pane[runs.edge[wanted]].astype(float),
    )


def _accumulate(ranked: _RunningSums, steps: tuple[tuple[slice, slice], ...]) -> None:
    """Sums and extremes along all runs at once, in place."""
    for now, before in steps:
        later, earlier = ranked.sums[:, now], ranked.sums[:, before]
        np.add(later, earlier, out=later)
        later, earlier = ranked.extremes[..., now], ranked.extremes[..., before]
        np.minimum(later, earlier, out=later)


def _take(values: Float64, rows: Index, out: Float64) -> None:
    # Checking every number against the bounds would take a copy of all.
    values.take(rows, axis=-1, out=out, mode="clip")


def _shift(values: _Values, runs: _BlockRuns) -> Float64:
    """Each run's first mean from its edge, of every row: deviations from it do not cancel."""
    if values.means is None:
        return values.mean.take(runs.edge, axis=1)
    first = first_values(values.means, runs.starts, runs.lengths, backwards=runs.backwards)
    return np.ascontiguousarray(first.T)


def _fill(running: _RunningSums, values: _Values, shift: Float64, u: Float64) -> None:
    """What each pane alone adds."""
    s, ss, us, n, nu, nuu, rows = running.named(len(values.mean))
    n[:] = values.n
    np.multiply(values.n, u, out=nu)
    np.multiply(nu, u, out=nuu)
    rows[:] = values.rows
    # The deviation itself is needed for its square alone.
    deviation = np.subtract(values.mean, shift, out=us)
    if values.means is not None:
        deviation[np.broadcast_to(n == 0, deviation.shape)] = 0.0
    np.multiply(deviation, n, out=s)
    np.multiply(deviation, s, out=ss)
    ss += values.moment
    np.multiply(s, u, out=us)


def _leave_out(side: _WindowSide, rows: Index) -> None:
    """Make this side empty at these rows."""
    for name in ("n", "mean", "moment", "u_mean", "u_moment", "cross", "rows"):
        getattr(side, name)[..., rows] = 0.0
    side.extremes[..., rows] = np.inf


def _finish(a: _WindowSide, b: _WindowSide, pane_ns: int) -> Windows:
    """Both sides as one (pairwise update, Chan, Golub & LeVeque 1979), time seen from b.

    Where a is empty its share is 0 and nothing of b changes, and the other way round.
    """
    n = a.n + b.n
    weight = np.maximum(n, 1)
    share = a.n / weight
    both = b.n * share
    du = a.u_mean + (a.origin - b.origin) - b.u_mean
    u_moment = a.u_moment + b.u_moment + du * du * both
    dy = a.mean - b.mean
    mean = dy * share
    mean += b.mean
    moment = dy * dy
    moment *= both
    moment += a.moment
    moment += b.moment
    np.sqrt(np.divide(moment, weight, out=moment), out=moment)
    dy *= du * both
    dy += a.cross
    dy += b.cross
    spans = u_moment > 0
    dy *= np.where(spans, HOUR_NS / pane_ns / np.where(spans, u_moment, 1.0), np.nan)
    extremes = np.minimum(a.extremes, b.extremes, out=a.extremes)
    if not n.all():
        none = np.broadcast_to(n == 0, mean.shape)
        mean[none] = moment[none] = extremes[:, none] = np.nan
    missing = np.broadcast_to(1.0 - n / np.maximum(a.rows + b.rows, 1), mean.shape)
    # The memory of `a` is that of the next window too.
    minimum = extremes[0].copy()
    return Windows(mean.T, moment.T, minimum.T, -extremes[1].T, dy.T, missing.T)
