"""Sensors normalised within operating regimes, pane by pane, before windows blur them.

What a pane keeps moves with its readings under any affine map, so a pane of one regime is
normalised exactly. A pane that holds a change of regime is put right by the shares of time
that its settings tell. Every pane is worked out from itself alone, number by number in a
fixed order: together or apart, panes come out the same to the bit.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pm_app.features.panes.panes import pane_mean, pane_second_moment, select_sensors
from pm_app.features.regimes.shares import Moments, regime_shares
from pm_app.records.features import IN_REGIME, PANE_STATISTICS, Panes, Regimes
from pm_app.records.readings import Flags, Float64, Index

# Centres of one column closer than this many deviations are one level of that setting.
SAME_LEVEL = 3.0


def normalise_panes(panes: Panes, regimes: Regimes) -> Panes:
    """The same panes, each sensor of the regimes as deviations from its mean in the regime.

    Setting columns, and sensors that the regimes do not know, stay as they are. Settings
    outside every regime count as the nearest; without any setting a pane is held against all
    regimes by their shares.
    """
    place = {name: number for number, name in enumerate(panes.sensors)}
    present = [number for number, name in enumerate(regimes.sensors) if name in place]
    at = np.array([place[regimes.sensors[number]] for number in present], dtype=np.intp)
    table = _table(regimes, present)
    settings = select_sensors(panes, regimes.columns)
    mixed = mixes_regimes(settings, regimes)
    one = nearest_regime(pane_mean(settings), regimes)
    changed = _of_one_regime(panes, at, table, one)
    if mixed.any():
        rows = np.flatnonzero(mixed)
        parts = _of_several(panes.take(rows), settings.take(rows), at, table, regimes)
        for name, values in parts.items():
            changed[name][rows] = values
    columns: dict[str, Any] = {}
    for name, values in changed.items():
        columns[name] = getattr(panes, name).copy()
        columns[name][:, at] = values
    return replace(panes, **columns)


def normalise_beside(panes: Panes, regimes: Regimes, sensors: tuple[str, ...]) -> Panes:
    """The same panes, and behind them these sensors once more, normalised, by other names."""
    settings = tuple(name for name in regimes.columns if name not in sensors)
    within = normalise_panes(select_sensors(panes, (*sensors, *settings)), regimes)
    columns: dict[str, Any] = {
        name: np.hstack([getattr(panes, name), getattr(within, name)[:, : len(sensors)]])
        for name in PANE_STATISTICS
    }
    names = (f"{sensor}{IN_REGIME}" for sensor in sensors)
    return replace(panes, sensors=(*panes.sensors, *names), **columns)


def nearest_regime(settings: Float64, regimes: Regimes) -> Index:
    """Which regime each row of settings is nearest to, shape (n_rows,); k where all are missing.

    settings: (n_rows, n_columns), NaN missing; distances are in the scale of each column and
    over the columns that are there. The earlier regime wins a tie.
    """
    nearest = np.full(len(settings), len(regimes.centres), dtype=np.intp)
    closest = np.full(len(settings), np.inf)
    closest[np.isnan(settings).all(axis=1)] = -1.0
    for number, centre in enumerate(regimes.centres):
        distance = np.zeros(len(settings))
        for column, (level, scale) in enumerate(zip(centre, regimes.scale, strict=True)):
            off = (settings[:, column] - level) / scale
            distance += np.where(np.isnan(off), 0.0, off * off)
        better = distance < closest
        nearest[better], closest[better] = number, distance[better]
    return nearest


def mixes_regimes(settings: Panes, regimes: Regimes) -> Flags:
    """Which panes hold readings at several levels of a setting, shape (n_panes,)."""
    mixed = np.zeros(len(settings.pane), dtype=np.bool_)
    for column, scale in enumerate(regimes.scale):
        levels = sorted(centre[column] for centre in regimes.centres)
        for below, above in zip(levels[:-1], levels[1:], strict=True):
            if above - below > SAME_LEVEL * scale:
                border = 0.5 * (below + above)
                low, high = settings.minimum[:, column], settings.maximum[:, column]
                mixed |= (low < border) & (high >= border)
    return mixed


@dataclass(frozen=True, eq=False)
class _Table:
    """Mean and deviation of each sensor per regime, (k + 1, n_sensors); the last row is for
    panes that tell no setting: all regimes by their shares."""

    level: Float64
    spread: Float64


def _table(regimes: Regimes, present: list[int]) -> _Table:
    level = np.array(regimes.levels)[:, present]
    spread = np.array(regimes.spreads)[:, present]
    share = np.array(regimes.shares)[:, None]
    middle = (share * level).sum(axis=0)
    wide = np.sqrt((share * (spread**2 + (level - middle) ** 2)).sum(axis=0))
    return _Table(np.vstack([level, middle]), np.vstack([spread, wide]))


def _of_one_regime(panes: Panes, at: Index, table: _Table, regime: Index) -> dict[str, Float64]:
    level, spread = table.level[regime], table.spread[regime]
    changed = {
        name: (getattr(panes, name)[:, at] - level) / spread
        for name in ("first", "last", "minimum", "maximum")
    }
    changed["total"] = panes.total[:, at] / spread
    changed["squares"] = panes.squares[:, at] / (spread * spread)
    return changed


def _of_several(
    panes: Panes, settings: Panes, at: Index, table: _Table, regimes: Regimes
) -> dict[str, Float64]:
    """What panes that mix regimes keep once the regimes are taken out; (n_panes, n_sensors).

    Were every reading its regime's level + spread * z, z of one distribution all through the
    pane, mean and second moment of z follow exactly from those of the pane and the shares.
    First and last readings have regimes of their own; of other readings nobody knows, so
    that they do not extend minimum and maximum.
    """
    begins = nearest_regime(settings.first, regimes)
    ends = nearest_regime(settings.last, regimes)
    variance = pane_second_moment(settings) / np.maximum(settings.count, 1)
    moments = Moments(pane_mean(settings), variance, settings.minimum, settings.maximum)
    share = regime_shares(moments, regimes, begins, ends)
    count = panes.count[:, at]
    mean, moment = pane_mean(panes)[:, at], pane_second_moment(panes)[:, at]
    level, spread, variance = (np.zeros(mean.shape) for _ in range(3))
    for number, part in enumerate(share.T[:, :, None]):
        level += part * table.level[number]
        spread += part * table.spread[number]
        variance += part * (table.spread[number] * table.spread[number])
    middle = (mean - level) / spread
    between = np.zeros(mean.shape)
    for number, part in enumerate(share.T[:, :, None]):
        off = table.level[number] + table.spread[number] * middle - mean
        between += part * (off * off)
    left = np.maximum(moment - count * between, 0.0) / variance
    firsts = _EdgeReadings(panes.first, panes.first_time, settings.first_time, begins)
    lasts = _EdgeReadings(panes.last, panes.last_time, settings.last_time, ends)
    first, last = (_in_own_regime(edge, at, table, middle) for edge in (firsts, lasts))
    total = count * (middle - first)
    some = count > 0
    return {
        "first": first,
        "last": last,
        "minimum": np.minimum(np.minimum(first, last), middle),
        "maximum": np.maximum(np.maximum(first, last), middle),
        "total": np.where(some, total, 0.0),
        "squares": np.where(some, left + total * total / np.maximum(count, 1), 0.0),
    }


@dataclass(frozen=True, eq=False)
class _EdgeReadings:
    """First or last readings of panes, (n_panes, n_sensors); when settings were read; regimes."""

    values: Float64
    time: NDArray[np.int64]
    setting_time: NDArray[np.int64]
    regime: Index


def _in_own_regime(edge: _EdgeReadings, at: Index, table: _Table, otherwise: Float64) -> Float64:
    """Readings in their own regimes, where the settings were read at their time."""
    own = (edge.values[:, at] - table.level[edge.regime]) / table.spread[edge.regime]
    together = (edge.time[:, at, None] == edge.setting_time[:, None, :]).any(axis=2)
    return np.where(together, own, otherwise)
