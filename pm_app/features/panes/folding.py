"""Folding of values into panes one after another, many panes side by side.

Panes of like length stand beside each other in a matrix, readings downwards, so that numpy adds
whole rows of it: each pane's sum is a strict left fold, and still no loop runs over panes. A sum
along contiguous readings would be taken pairwise (`np.add.reduceat` too), and come out with
other last bits when a pane is continued.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pm_app.records.readings import Flags, Float64, Index, Int64

Statistics = dict[str, Any]
# Numbers that are worked on at once: what stays in the cache of one core.
_CELLS: Final = 1 << 17


@dataclass(frozen=True, eq=False)
class _Block:
    """Panes of like length side by side.

    panes: their numbers, (n,). rows: numbers of their readings, (longest, n), a shorter pane's
    last one repeated; beyond: where it is repeated, None where nowhere.
    """

    panes: Index
    rows: Index
    beyond: Flags | None

    @property
    def cells(self) -> int:
        """Numbers of one sensor: its readings, and a row for the sums known before."""
        return self.rows.size + len(self.panes)


def fold_values(
    values: Float64, time: Int64, order: Index, starts: Index, before: Statistics
) -> Statistics:
    """Statistics of panes after these readings, by name as in `PANE_STATISTICS`.

    values: (n_sensors, n_rows); order: rows by pane, then time; starts: where each pane's rows
    begin in it. before: the same panes' statistics, (n_panes, n_sensors), not changed. A pane
    continued gives the same bits as one folded at once.
    """
    after = {name: array.copy() for name, array in before.items()}
    lengths = np.diff(np.append(starts, len(order)))
    blocks = list(_blocks(order, starts, lengths))
    # Memory that is used again costs no page faults, which took half of the time.
    scratch = np.empty(
        max((_step(block, len(values)) * block.cells for block in blocks), default=0)
    )
    for block in blocks:
        step = _step(block, len(values))
        for first in range(0, len(values), step):
            sensors = slice(first, first + step)
            _fold_block(values[sensors], time, block, sensors, after, scratch)
    return after


def _step(block: _Block, sensors: int) -> int:
    """How many sensors are folded at once."""
    return min(max(1, _CELLS // block.cells), sensors)


def _blocks(order: Index, starts: Index, lengths: Index) -> Iterator[_Block]:
    """Every pane once, with at most as many repeated readings as there are."""
    _, kind = np.frexp(lengths)
    for one in np.unique(kind):
        panes = np.flatnonzero(kind == one)
        if len(panes) == 1:
            # A lone column would be contiguous, and be added up pairwise.
            panes = panes.repeat(2)
        length = lengths[panes]
        down = np.arange(length.max())[:, None]
        at = np.minimum(down, length - 1)
        beyond = None if length.min() == length.max() else down >= length
        yield _Block(panes, order[starts[panes] + at], beyond)


def _fold_block(
    values: Float64, time: Int64, block: _Block, sensors: slice, after: Statistics, scratch: Float64
) -> None:
    """Continue the statistics of the panes of a block with the values of some sensors."""
    where = (block.panes, sensors)
    state = {name: array[where].T for name, array in after.items()}
    # Sensors, readings, panes; a row of zero in front is where the sums that are known stand.
    cells = scratch[: len(values) * block.cells].reshape(len(values), -1, len(block.panes))
    ours = cells[:, 1:]
    values.take(block.rows, axis=1, out=ours, mode="clip")
    absent = _absent(ours, block.beyond)
    found = _whole(ours, time, block) if absent is None else _partly(ours, time, block, absent)
    fresh, some = state["count"] == 0, found["count"] > 0
    for name in ("first", "first_time"):
        state[name] = np.where(fresh & some, found[name], state[name])
    for name in ("last", "last_time"):
        state[name] = np.where(some, found[name], state[name])
    state["minimum"] = np.fmin(state["minimum"], found["minimum"])
    state["maximum"] = np.fmax(state["maximum"], found["maximum"])
    state["count"] = state["count"] + found["count"]
    ours -= state["first"][:, None]
    if absent is not None:
        ours[absent] = 0.0
    cells[:, 0] = state["total"]
    state["total"] = np.add.reduce(cells, axis=1)
    np.multiply(ours, ours, out=ours)
    cells[:, 0] = state["squares"]
    state["squares"] = np.add.reduce(cells, axis=1)
    for name, array in after.items():
        array[where] = state[name].T


def _absent(values: Float64, beyond: Flags | None) -> Flags | None:
    """Where no reading holds a value; None where all do."""
    missing = np.isnan(values)
    if beyond is not None:
        missing |= beyond
        return missing
    return missing if missing.any() else None


def _whole(values: Float64, time: Int64, block: _Block) -> Statistics:
    return {
        "count": np.full(values.shape[::2], values.shape[1]),
        "first": values[:, 0],
        "last": values[:, -1],
        "minimum": np.minimum.reduce(values, axis=1),
        "maximum": np.maximum.reduce(values, axis=1),
        "first_time": time[block.rows[0]],
        "last_time": time[block.rows[-1]],
    }


def _partly(values: Float64, time: Int64, block: _Block, absent: Flags) -> Statistics:
    """As `_whole`, of the values that are there."""
    first = absent.argmin(axis=1)
    last = values.shape[1] - 1 - absent[:, ::-1].argmin(axis=1)
    across = np.arange(len(block.panes))
    return {
        "count": values.shape[1] - absent.sum(axis=1),
        "first": np.take_along_axis(values, first[:, None], axis=1)[:, 0],
        "last": np.take_along_axis(values, last[:, None], axis=1)[:, 0],
        "minimum": np.fmin.reduce(values, axis=1),
        "maximum": np.fmax.reduce(values, axis=1),
        "first_time": time[block.rows[first, across]],
        "last_time": time[block.rows[last, across]],
    }
