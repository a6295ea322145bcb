"""Course of an asset's sensors: its panes in order of time, the newest span and that before."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from pm_app.features.panes.panes import pane_mean, pane_second_moment, select_sensors
from pm_app.records.features import Panes, RunningRule
from pm_app.records.readings import Flags, Float64, Index, Int64
from pm_app.times import HOUR_NS

# The newest day is judged by what came before it, in panes at least and as a share at most.
NEWEST_PANES, NEWEST_SHARE = 24, 0.25
# Fewer values say nothing about what is usual, and fewer than these are states, not measurements.
LEAST_BEFORE: Final = 96
LEAST_LEVELS: Final = 12
# A sensor that holds its value in more of its panes is a set point, or told of by exception.
MOST_HELD: Final = 0.5


@dataclass(frozen=True, eq=False)
class SensorCourse:
    """Panes of one asset while it runs, ascending in time: (n_panes,) and (n_panes, n_sensors).

    held: the value did not move in the pane, nor from the pane before that has one. newest: the
    first pane of the newest span.
    """

    asset: str
    sensors: tuple[str, ...]
    pane_ns: int
    pane: Int64
    there: Flags
    mean: Float64
    minimum: Float64
    maximum: Float64
    scatter: Float64
    held: Flags
    newest: int

    @cached_property
    def levels(self) -> Index:
        """How many values each sensor showed before the newest span, (n_sensors,)."""
        ordered = np.sort(self.mean[: self.newest], axis=0)
        return np.asarray((np.diff(ordered, axis=0) > 0).sum(axis=0) + 1)

    @cached_property
    def measures(self) -> Flags:
        """Which sensors measure something that moves, (n_sensors,): neither states, set points and
        constants nor counters, and enough of it before the newest span, or before they stopped."""
        stopped = np.minimum(len(self.pane) - trailing(self.held | ~self.there), self.newest)
        before = self.there & (np.arange(len(self.pane))[:, None] < stopped)
        count = before.sum(axis=0)
        held = (self.held & before).sum(axis=0) / np.maximum(count, 1)
        enough = (count >= LEAST_BEFORE) & (self.levels >= LEAST_LEVELS)
        return np.asarray(enough & (held < MOST_HELD) & ~self._counts())

    def _counts(self) -> Flags:
        """Which sensors only ever rise, but for being set back."""
        last = _carried(self.mean, self.there)
        with np.errstate(invalid="ignore"):
            steps = np.diff(last, axis=0)
            falls, rises = (steps < 0).sum(axis=0), (steps > 0).sum(axis=0)
        return np.asarray(falls <= 0.01 * rises)

    def moment(self, row: int) -> int:
        """When a pane begins, nanoseconds UTC."""
        return int(self.pane[row]) * self.pane_ns

    @property
    def end(self) -> int:
        """When the newest pane ends, nanoseconds UTC."""
        return (int(self.pane[-1]) + 1) * self.pane_ns


def courses(panes: Panes, running: RunningRule | None) -> Iterator[SensorCourse]:
    """The course of each asset that has panes; sensors without any value are left out."""
    edges = np.searchsorted(panes.asset, np.arange(len(panes.assets) + 1))
    for number, asset in enumerate(panes.assets):
        rows = slice(int(edges[number]), int(edges[number + 1]))
        if rows.stop > rows.start:
            own = panes.take(rows)
            spoke = np.flatnonzero((own.count > 0).any(axis=0)).tolist()
            names = tuple(own.sensors[number] for number in spoke)
            own = select_sensors(_while_running(own, running), names)
            if len(own.pane) and names:
                yield _course(asset, own)


def _while_running(panes: Panes, running: RunningRule | None) -> Panes:
    if running is None or running.sensor not in panes.sensors:
        return panes
    highest = panes.maximum[:, panes.sensors.index(running.sensor)]
    # Starting and stopping is neither: what is measured then is not compared.
    on = ~(highest <= running.above)
    beside = on.copy()
    beside[1:] &= on[:-1]
    beside[:-1] &= on[1:]
    return panes.take(beside)


def _course(asset: str, panes: Panes) -> SensorCourse:
    there = panes.count > 0
    last = _carried(panes.last, there)
    before = np.vstack([np.full((1, last.shape[1]), np.nan), last[:-1]])
    held = there & (panes.minimum == panes.maximum) & (panes.minimum == before)
    day = int(panes.pane[-1]) - max(24 * HOUR_NS // panes.pane_ns, NEWEST_PANES) + 1
    newest = max(int(np.searchsorted(panes.pane, day)), int(len(there) * (1 - NEWEST_SHARE)))
    with np.errstate(invalid="ignore", divide="ignore"):
        scatter = np.sqrt(
            pane_second_moment(panes) / np.where(panes.count > 1, panes.count - 1, np.nan)
        )
    return SensorCourse(
        asset,
        panes.sensors,
        panes.pane_ns,
        panes.pane,
        there,
        pane_mean(panes),
        panes.minimum,
        panes.maximum,
        scatter,
        held,
        newest,
    )


def _carried(values: Float64, there: Flags) -> Float64:
    """Each pane's value, where it has none that of the pane before; NaN before the first."""
    rows = np.where(there, np.arange(len(values))[:, None], -1)
    rows = np.maximum.accumulate(rows, axis=0)
    found = np.take_along_axis(values, np.maximum(rows, 0), axis=0)
    return np.where(rows >= 0, found, np.nan)


def trailing(flags: Flags) -> Index:
    """How many of the last rows of each column are true without a break, (n_columns,)."""
    broken = ~flags[::-1]
    return np.where(broken.any(axis=0), broken.argmax(axis=0), len(flags))


def longest_run(flags: Flags) -> Index:
    """The longest run of true rows in each column, (n_columns,)."""
    number = np.arange(1, len(flags) + 1)[:, None]
    broken = np.maximum.accumulate(np.where(flags, 0, number), axis=0)
    return np.asarray((number - broken).max(axis=0, initial=0))
