"""Batches of recorded values: Parquet files as the plant's readings are laid out.

Wide: a row a moment of an asset, a column a sensor; values that share asset, sensor and moment
stand in rows of their own. Long: a row a value, with its quality.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import make_folder, write_file
from pm_app.records.readings import Flags, Int64
from pm_app.records.recording import MeasuredValue
from pm_app.settings.sources import ReadingsSettings

# Values at a time where sensors are many and moments of each are few.
_CELLS: Final = 4_000_000
_STAMP: Final = pa.timestamp("ns", "UTC")


@dataclass(frozen=True)
class BatchFolder:
    """A folder of readings that recorded values go to: RECORDER/DAY/NAME.parquet below it."""

    folder: Path
    readings: ReadingsSettings

    def write(self, name: str, values: Sequence[MeasuredValue]) -> None:
        """A durable file of that name, if there is none; a name begins with its day.

        The same values give the same bytes. Raises TransientError.
        """
        path = self.folder / f"{name[:4]}-{name[4:6]}-{name[6:8]}" / f"{name}.parquet"
        if path.exists():
            return
        make_folder(path.parent)
        tables = _long if self.readings.layout == "long" else _wide
        write_file(path, lambda beside: _write(beside, tables(values, self.readings)))


def _write(path: Path, tables: Iterator[Any]) -> None:
    first = next(tables)
    with pq.ParquetWriter(
        path, first.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _long(values: Sequence[MeasuredValue], names: ReadingsSettings) -> Iterator[Any]:
    yield pa.table(
        {
            names.asset_column: pa.array([each.asset for each in values], pa.string()),
            names.time_column: pa.array([each.time for each in values], _STAMP),
            names.tag_column: pa.array([each.sensor for each in values], pa.string()),
            names.value_column: pa.array(
                np.array([each.value for each in values]), from_pandas=True
            ),
            names.quality_column: pa.array([each.quality for each in values], pa.string()),
        }
    )


def _wide(values: Sequence[MeasuredValue], names: ReadingsSettings) -> Iterator[Any]:
    assets, asset = np.unique([each.asset for each in values], return_inverse=True)
    sensors, sensor = np.unique([each.sensor for each in values], return_inverse=True)
    time = np.array([each.time for each in values], dtype=np.int64)
    value = np.array([each.value for each in values])
    order = np.lexsort((sensor, time, asset))
    asset, sensor, time, value = asset[order], sensor[order], time[order], value[order]
    nth = _occurrence(asset, time, sensor)
    order = np.lexsort((sensor, nth, time, asset))
    asset, sensor, time, value, nth = (
        column[order] for column in (asset, sensor, time, value, nth)
    )
    begins = np.append(True, _changes(asset, time, nth))
    row = np.cumsum(begins) - 1
    step = max(1, _CELLS // len(sensors))
    for start in range(0, int(row[-1]) + 1, step):
        some = slice(*np.searchsorted(row, [start, start + step]).tolist())
        first = np.flatnonzero(begins[some]) + some.start
        cells = np.full((len(sensors), len(first)), np.nan)
        cells[sensor[some], row[some] - start] = value[some]
        yield pa.table(
            {
                names.asset_column: pa.array(assets[asset[first]], pa.string()),
                names.time_column: pa.array(time[first], _STAMP),
                **{
                    str(name): pa.array(column, from_pandas=True)
                    for name, column in zip(sensors, cells, strict=True)
                },
            }
        )


def _changes(*columns: "np.ndarray[Any, Any]") -> Flags:
    """Where any of these differs from the row before, from the second row on."""
    differs: Flags = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return differs


def _occurrence(*columns: "np.ndarray[Any, Any]") -> Int64:
    """How many rows before this one are alike, of rows that are sorted."""
    begins = np.append(True, _changes(*columns))
    start = np.flatnonzero(begins)
    number: Int64 = np.arange(len(begins)) - start[np.cumsum(begins) - 1]
    return number
