"""Statistics of sensors by regime: variance explained, creep, the usual in each."""

import numpy as np

from pm_app.features.regimes.levels import Label
from pm_app.records.features import Panes
from pm_app.records.readings import Float64

# Wild readings at either end are drawn in.
WILD = 0.01
# A deviation below these shares of what is usual for the sensor is rounding.
LEAST_SPREAD = 0.1
LEAST_SPREAD_OVERALL = 1e-3


def creep(panes: Panes, values: Float64, stretch_panes: int) -> float:
    """Share of a column's variance that lies between stretches of an asset's time.

    0 where it comes and goes within every stretch, 1 where it only ages or differs by asset.
    """
    there = np.isfinite(values)
    values, asset = _tamed(values[there, None])[:, 0], panes.asset[there].astype(np.int64)
    stretch = panes.pane[there] // stretch_panes
    stretch -= stretch.min(initial=0)
    key = asset * (int(stretch.max(initial=0)) + 1) + stretch
    group = np.unique(key, return_inverse=True)[1]
    count = np.bincount(group)
    off = values - (np.bincount(group, values) / count)[group]
    whole = float(np.var(values))
    free = len(values) - len(count)
    if whole <= 0 or free <= 0:
        return 1.0
    return 1.0 - float((off * off).sum()) / free / whole


def explained(mean: Float64, label: Label, count: int) -> Float64:
    """Share of each sensor's variance over panes that the labels explain, shape (n_sensors,)."""
    values = _tamed(mean[label >= 0])
    label = label[label >= 0]
    there = np.isfinite(values)
    total = np.where(there, values, 0.0)
    number = np.maximum(there.sum(axis=0), 1)
    off = np.where(there, values - total.sum(axis=0) / number, 0.0)
    member = (label[:, None] == np.arange(count)).astype(float)
    sums, counts = member.T @ off, member.T @ there.astype(float)
    between = (sums * sums / np.maximum(counts, 1)).sum(axis=0)
    whole = (off * off).sum(axis=0)
    return np.asarray(np.where(whole > 0, between / np.where(whole > 0, whole, 1.0), 0.0))


def _tamed(values: Float64) -> Float64:
    """Values with the wildest of each column drawn in, (n_rows, n_sensors); NaN stays."""
    ordered = np.sort(values, axis=0)
    last = np.isfinite(values).sum(axis=0) - 1
    columns = np.arange(values.shape[1])
    low, high = (
        ordered[np.maximum(np.round(share * last).astype(np.intp), 0), columns]
        for share in (WILD, 1 - WILD)
    )
    return np.clip(values, low, high)


def usual(mean: Float64, deviation: Float64, label: Label, count: int) -> tuple[Float64, Float64]:
    """Mean and deviation of each sensor in each regime, (k, n_sensors); never 0 or missing.

    What a regime never showed of a sensor is taken from all regimes.
    """
    every, wide = _mean_and_deviation(mean, deviation)
    every = np.where(np.isfinite(every), every, 0.0)
    parts = [
        _mean_and_deviation(mean[label == number], deviation[label == number])
        for number in range(count)
    ]
    level, spread = (np.array([part[side] for part in parts]) for side in (0, 1))
    unseen = ~np.isfinite(level)
    level, spread = np.where(unseen, every, level), np.where(unseen, wide, spread)
    least = np.maximum(LEAST_SPREAD * np.median(spread, axis=0), LEAST_SPREAD_OVERALL * wide)
    spread = np.maximum(spread, least)
    return level, np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)


def _mean_and_deviation(mean: Float64, deviation: Float64) -> tuple[Float64, Float64]:
    """Over readings of these panes, panes counting alike, NaN where none has a value."""
    values = _tamed(mean) if len(mean) else mean
    number = np.isfinite(values).sum(axis=0)
    weight = np.where(number > 0, number, np.nan)
    middle = np.nansum(values, axis=0) / weight
    between = np.nansum((values - middle) ** 2, axis=0) / weight
    inside = np.nansum(np.where(number > 0, _tamed_above(deviation**2), np.nan), axis=0) / weight
    return middle, np.sqrt(between + inside)


def _tamed_above(variance: Float64) -> Float64:
    if not len(variance):
        return variance
    return np.minimum(variance, np.quantile(variance, 1 - WILD, axis=0))
