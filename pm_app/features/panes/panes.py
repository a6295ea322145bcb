"""Panes: built from readings by a left fold in time, and put together.

A pane that arrives in several batches has to come out the same, to the bit, as if it had come
in one. Sums in floating point depend on their order, so there is exactly one order: a left
fold in time, which a stored pane can be continued with.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pm_app.features.panes.folding import fold_values
from pm_app.features.panes.readings import order_rows
from pm_app.features.runs import join_names, places_among, run_ends, run_starts
from pm_app.records.features import PANE_KEYS, PANE_STATISTICS, Panes
from pm_app.records.readings import Flags, Float64, Index, Int64, Readings

Columns = dict[str, Any]
_EMPTY: dict[str, int | float] = dict.fromkeys(PANE_STATISTICS, np.nan)
_EMPTY |= {"count": 0, "total": 0.0, "squares": 0.0, "first_time": 0, "last_time": 0}


def no_panes(pane_ns: int) -> Panes:
    """Panes of a plant that has sent nothing."""
    keys: Columns = {
        name: np.empty(0, np.int32 if name == "asset" else np.int64) for name in PANE_KEYS
    }
    return Panes(pane_ns=pane_ns, assets=(), sensors=(), **keys, **_blank(0, 0))


def build_panes(readings: Readings, *, pane_ns: int, onto: Panes | None = None) -> Panes:
    """The panes that these readings fall into, continued from `onto` where it has them.

    Rows may come in any order; of equal (asset, time) the last delivered value counts. Every
    reading must be later than what `onto` holds of its pane (see `overlapping_panes`).
    Panes of `onto` that no reading falls into are not part of the result; its sensors are.
    """
    readings, order = order_rows(readings)
    asset, time = readings.asset[order], readings.time[order]
    pane = time // pane_ns
    starts = np.flatnonzero(run_starts(asset, pane))
    state = _panes_at(onto, readings, asset[starts], pane[starts], pane_ns)
    sensors = tuple(sorted({*readings.sensors, *state.sensors}))
    state = select_sensors(state, sensors)
    lengths = np.diff(np.append(starts, len(pane)))
    fresh = state.rows == 0
    return Panes(
        pane_ns=pane_ns,
        assets=readings.assets,
        asset=asset[starts],
        pane=pane[starts],
        rows=state.rows + lengths,
        first_row_time=np.where(fresh, time[starts], state.first_row_time),
        last_row_time=time[starts + lengths - 1],
        sensors=sensors,
        **_fold_sensors(readings, order, starts, state),
    )


def overlapping_panes(readings: Readings, panes: Panes) -> Panes:
    """Those of `panes` that hold a reading as late as one of these or later.

    They cannot be continued and have to be folded again from all their readings.
    """
    index = _find(panes, readings.assets, readings.asset, readings.time // panes.pane_ns)[0]
    return panes.take(np.unique(index[rows_too_late(readings, panes)]))


def rows_too_late(readings: Readings, panes: Panes) -> Flags:
    """Which rows fall into one of these panes no later than its newest row, shape (n_rows,)."""
    index, found = _find(panes, readings.assets, readings.asset, readings.time // panes.pane_ns)
    late = found.copy()
    late[found] = readings.time[found] <= panes.last_row_time[index[found]]
    return late


def panes_among(panes: Panes, others: Panes) -> Flags:
    """Which of `panes` others have too, by asset and pane, shape (n_panes,)."""
    return _find(others, panes.assets, panes.asset, panes.pane)[1]


def panes_touched(panes: Panes, readings: Readings) -> Flags:
    """Which of `panes` some of these readings fall into, shape (n_panes,)."""
    index, found = _find(panes, readings.assets, readings.asset, readings.time // panes.pane_ns)
    touched = np.zeros(len(panes.pane), dtype=bool)
    touched[index[found]] = True
    return touched


def panes_changed(panes: Panes, before: Panes) -> Flags:
    """Which of `panes` are not to the bit what `before` has of them, shape (n_panes,)."""
    sensors = tuple(sorted({*panes.sensors, *before.sensors}))
    panes, before = select_sensors(panes, sensors), select_sensors(before, sensors)
    index, found = _find(before, panes.assets, panes.asset, panes.pane)
    here, there = np.flatnonzero(found), index[found]
    same = np.ones(len(here), dtype=bool)
    for name in (*PANE_KEYS[2:], *PANE_STATISTICS):
        now, then = getattr(panes, name)[here], getattr(before, name)[there]
        alike = (now == then) | ((now != now) & (then != then))
        same &= alike.all(axis=tuple(range(1, alike.ndim)))
    changed = np.ones(len(panes.pane), dtype=bool)
    changed[here] = ~same
    return changed


def rows_held(panes: Panes, others: Panes) -> Int64:
    """How many rows `others` hold of each of `panes`, shape (n_panes,)."""
    index, found = _find(others, panes.assets, panes.asset, panes.pane)
    held = np.zeros(len(panes.pane), dtype=np.int64)
    held[found] = others.rows[index[found]]
    return held


def rows_in_panes(readings: Readings, panes: Panes) -> Flags:
    """Which rows fall into one of these panes, shape (n_rows,)."""
    return _find(panes, readings.assets, readings.asset, readings.time // panes.pane_ns)[1]


def merge_panes(parts: Sequence[Panes], *, pane_ns: int) -> Panes:
    """All panes of all parts; of the same asset and pane the one of the latest part.

    Assets and sensors are the sorted unions.
    """
    parts = [part for part in parts if len(part.pane)]
    if not parts:
        return no_panes(pane_ns)
    assets = join_names([part.assets for part in parts])
    sensors = join_names([part.sensors for part in parts])
    parts = [_rename_assets(select_sensors(part, sensors), assets) for part in parts]
    asset, pane = (np.concatenate([getattr(part, key) for part in parts]) for key in PANE_KEYS[:2])
    order = np.lexsort((pane, asset))
    rows = order[run_ends(asset[order], pane[order])]
    in_order = len(rows) == len(order) and bool((rows[1:] > rows[:-1]).all())
    columns: Columns = {"asset": asset, "pane": pane}
    # One after the other: what is put in order is held twice.
    for name in PANE_KEYS + PANE_STATISTICS:
        column = columns.get(name)
        if column is None:
            column = np.concatenate([getattr(part, name) for part in parts])
        columns[name] = column if in_order else column.take(rows, axis=0)
    return Panes(pane_ns=pane_ns, assets=assets, sensors=sensors, **columns)


def select_sensors(panes: Panes, sensors: tuple[str, ...]) -> Panes:
    """The same panes with exactly these sensors; one they do not have is missing."""
    if panes.sensors == sensors:
        return panes
    source = places_among(sensors, panes.sensors)
    columns = _blank(len(panes.pane), len(sensors))
    for name, column in columns.items():
        values = getattr(panes, name)
        if panes.sensors and not values.shape[1]:
            columns[name] = values
        else:
            column[:, source >= 0] = values[:, source[source >= 0]]
    return replace(panes, sensors=sensors, **columns)


def pane_mean(panes: Panes) -> Float64:
    """Mean of each sensor in each pane, (n_panes, n_sensors); NaN where it has no value."""
    with np.errstate(invalid="ignore"):
        return np.asarray(
            panes.first + panes.total / np.where(panes.count > 0, panes.count, np.nan)
        )


def pane_second_moment(panes: Panes) -> Float64:
    """Sum of squared deviations from the pane's mean; 0 where there is no value."""
    moment = panes.squares - panes.total * panes.total / np.maximum(panes.count, 1)
    return np.maximum(moment, 0.0)


def first_rows(panes: Panes, width: int) -> Index:
    """Row number of the first pane in the window of `width` panes that ends with each row."""
    if not len(panes.pane):
        return np.empty(0, dtype=np.intp)
    pane = panes.pane - panes.pane.min()
    stride = int(pane.max()) + width + 1
    keys = panes.asset.astype(np.int64) * stride + pane
    return np.asarray(np.searchsorted(keys, keys - np.minimum(width - 1, pane)))


def panes_in_windows(panes: Panes, wanted: Index | None, *, window_ns: int) -> tuple[Panes, Index]:
    """The panes that lie in a window ending with one that is wanted, and where those stand.

    A window's statistics are those of its own panes, to the bit: the others need not be there.
    """
    size = len(panes.pane)
    if wanted is None:
        return panes, np.arange(size)
    first = first_rows(panes, window_ns // panes.pane_ns)[wanted]
    begun = np.bincount(first, minlength=size + 1)
    inside = np.cumsum(begun - np.bincount(wanted + 1, minlength=size + 1))[:size] > 0
    if inside.all():
        return panes, wanted
    return panes.take(inside), (np.cumsum(inside) - 1)[wanted]


def _fold_sensors(readings: Readings, order: Index, starts: Index, state: Panes) -> Columns:
    """Statistics of all sensors of `state` after these readings, (n_panes, n_sensors)."""
    columns = places_among(readings.sensors, state.sensors)
    statistics: Columns = {name: getattr(state, name) for name in PANE_STATISTICS}
    before = {name: array[:, columns] for name, array in statistics.items()}
    after = fold_values(readings.values, readings.time, order, starts, before)
    for name, array in statistics.items():
        array[:, columns] = after[name]
    return statistics


def _panes_at(
    onto: Panes | None, readings: Readings, asset: NDArray[np.int32], pane: Int64, pane_ns: int
) -> Panes:
    """The state of `onto` at these keys, blank where it has none."""
    if onto is None:
        onto = no_panes(pane_ns)
    index, found = _find(onto, readings.assets, asset, pane)
    columns = _blank(len(pane), len(onto.sensors))
    columns |= {name: np.zeros(len(pane), dtype=np.int64) for name in PANE_KEYS[2:]}
    for name, column in columns.items():
        column[found] = getattr(onto, name)[index[found]]
    columns |= {"assets": readings.assets, "asset": asset, "pane": pane}
    return Panes(pane_ns=pane_ns, sensors=onto.sensors, **columns)


def _find(
    panes: Panes, assets: tuple[str, ...], asset: NDArray[np.int32], pane: Int64
) -> tuple[Index, Flags]:
    """Row number in `panes` of each (asset, pane), and whether it is there."""
    if not len(panes.pane) or not len(pane):
        return np.zeros(len(pane), dtype=np.intp), np.zeros(len(pane), dtype=bool)
    number = places_among(assets, panes.assets)[asset]
    low = min(int(panes.pane.min()), int(pane.min()))
    width = max(int(panes.pane.max()), int(pane.max())) - low + 1
    keys = panes.asset.astype(np.int64) * width + (panes.pane - low)
    wanted = number * width + (pane - low)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return index, (keys[index] == wanted) & (number >= 0)


def _rename_assets(panes: Panes, assets: tuple[str, ...]) -> Panes:
    if panes.assets == assets:
        return panes
    numbers = places_among(panes.assets, assets).astype(np.int32)
    return replace(panes, assets=assets, asset=numbers[panes.asset])


def _blank(panes: int, sensors: int) -> Columns:
    return {
        name: np.full((panes, sensors), value, np.int64 if isinstance(value, int) else float)
        for name, value in _EMPTY.items()
    }
