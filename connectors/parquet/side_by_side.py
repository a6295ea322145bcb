"""Machines side by side: columns that name asset and sensor both, parted into rows of each."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from connectors.parquet.files import OpenFile
from connectors.parquet.plan import ColumnPlan, ReadingsFormat
from connectors.parquet.wide import read_wide
from pm_app.records.readings import Readings, ReadingsChunk
from pm_app.settings.values import asset_and_sensor


def read_side_by_side(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[ReadingsChunk]:
    """As read_wide, of files whose columns name their assets."""
    of_none = replace(form, default_asset="-", sensors=None)
    named = [asset_and_sensor(column, form.tags) or ("", "") for column in plan.sensors]
    # Machines with few sensors in common take more room apart than side by side.
    apart = len({asset for asset, _ in named}) * len({sensor for _, sensor in named})
    cells = cells * len(named) // apart
    for chunk in read_wide(file, replace(plan, asset=None), of_none, cells):
        yield replace(chunk, readings=part_machines(chunk.readings, form.tags))


def part_machines(readings: Readings, patterns: tuple[str, ...]) -> Readings:
    """A row of each moment for every asset that has a value then, by moment, then asset.

    readings: of columns that each fit a pattern, whatever their asset. The first row of a moment
    stands for that of the file; where no asset has a value, one row without any does.
    """
    named = [asset_and_sensor(column, patterns) or ("", "") for column in readings.sensors]
    assets = tuple(sorted({asset for asset, _ in named}))
    sensors = tuple(sorted({sensor for _, sensor in named}))
    values = np.full((len(sensors), len(readings.time), len(assets)), np.nan)
    for column, (owner, sensor) in zip(readings.values, named, strict=True):
        values[sensors.index(sensor), :, assets.index(owner)] = column
    there = ~np.isnan(values).all(axis=0)
    there[:, 0] |= ~there.any(axis=1)
    moment, asset = np.nonzero(there)
    present = np.unique(asset)
    first = np.append(True, moment[1:] != moment[:-1])[: len(moment)]
    return Readings(
        assets=tuple(assets[each] for each in present.tolist()),
        asset=np.searchsorted(present, asset).astype(np.int32),
        time=readings.time[moment],
        sensors=sensors,
        values=np.ascontiguousarray(values[:, there]),
        source_rows=first.astype(np.int64),
    )
