"""Readings put together, put in order, and rid of repeats."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pm_app.features.runs import join_names, places_among, run_ends
from pm_app.records.readings import AssetSpans, Flags, Index, Int32, Int64, Readings


def concat_readings(parts: Sequence[Readings]) -> Readings:
    """All rows of all parts, part by part; sensors and assets are the sorted unions.

    A sensor that a part does not have is missing in its rows. What each row is made of is lost.
    """
    assets = join_names([part.assets for part in parts])
    sensors = join_names([part.sensors for part in parts])
    asset = [places_among(part.assets, assets).astype(np.int32)[part.asset] for part in parts]
    values = np.full((len(sensors), sum(len(part.time) for part in parts)), np.nan)
    start = 0
    for part in parts:
        stop = start + len(part.time)
        values[places_among(part.sensors, sensors), start:stop] = part.values
        start = stop
    return Readings(
        assets=assets,
        asset=np.concatenate([np.empty(0, dtype=np.int32), *asset]),
        time=np.concatenate([np.empty(0, dtype=np.int64), *(part.time for part in parts)]),
        sensors=sensors,
        values=values,
    )


def take_readings(readings: Readings, rows: Index | Flags) -> Readings:
    """The same readings with only these rows, in the order given."""
    return replace(
        readings,
        asset=readings.asset[rows],
        time=readings.time[rows],
        values=readings.values[:, rows],
        source_rows=None if readings.source_rows is None else readings.source_rows[rows],
    )


def count_delivered(readings: Readings, rows: Flags | None = None) -> int:
    """How many rows of the file these readings are made of, or those of them that are marked."""
    if readings.source_rows is None:
        return len(readings.time) if rows is None else int(np.count_nonzero(rows))
    return int(readings.source_rows.sum() if rows is None else readings.source_rows[rows].sum())


def order_rows(readings: Readings) -> tuple[Readings, Index]:
    """Numbers of the rows by asset, then time, one a moment; and the readings these are of.

    Of rows of the same asset and time the last one stands for all: of each sensor it has the last
    value that is there, so that files with some of the sensors each make whole moments.
    """
    order = np.lexsort((readings.time, readings.asset))
    last = run_ends(readings.asset[order], readings.time[order])
    if last.all():
        return readings, order
    return _completed(readings, order, last), order[last]


def _completed(readings: Readings, order: Index, last: Flags) -> Readings:
    """The readings with what the last row of a moment lacks and earlier ones have."""
    repeated = ~last
    repeated[1:] |= ~last[:-1]
    rows, ends = order[repeated], np.flatnonzero(last[repeated])
    starts, kept = np.append(0, ends[:-1] + 1), rows[ends]
    place = np.arange(len(rows))
    values = readings.values
    for sensor in range(len(values)):
        lacking = np.isnan(values[sensor, kept])
        if not lacking.any():
            continue
        if values is readings.values:
            values = values.copy()
        given = values[sensor, rows]
        newest = np.maximum.reduceat(np.where(np.isnan(given), -1, place), starts)
        values[sensor, kept] = np.where(newest < 0, np.nan, given[newest])
    return readings if values is readings.values else replace(readings, values=values)


def spans_of(assets: tuple[str, ...], asset: Int32, values: Int64) -> AssetSpans:
    """The first and last value, a time or a pane, of each asset that has rows."""
    first = np.full(len(assets), np.iinfo(np.int64).max)
    last = np.full(len(assets), np.iinfo(np.int64).min)
    np.minimum.at(first, asset, values)
    np.maximum.at(last, asset, values)
    spans, some = AssetSpans(assets, first, last), first <= last
    return spans if some.all() else spans.take(some)


def join_spans(parts: Sequence[AssetSpans]) -> AssetSpans:
    """What all parts span together, by asset."""
    assets = join_names([part.assets for part in parts])
    place = np.concatenate([places_among(part.assets, assets) for part in parts])
    first = np.full(len(assets), np.iinfo(np.int64).max)
    last = np.full(len(assets), np.iinfo(np.int64).min)
    np.minimum.at(first, place, np.concatenate([part.first for part in parts]))
    np.maximum.at(last, place, np.concatenate([part.last for part in parts]))
    return AssetSpans(assets, first, last)
