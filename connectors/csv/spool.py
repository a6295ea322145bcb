"""Rows of a CSV file that readings are read from, written beside as Parquet: read more than once.

Which sign decimals have, which columns are sensors and which hours are which is only known once
all rows were seen. What is no row of readings (a row of units, a header that comes again) is left
out on the way, with a reason.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.columns.moments import DateOrder
from connectors.columns.numbers_in_text import is_number
from connectors.columns.times import date_order
from connectors.csv.texts import TextFile
from connectors.files.folder import FetchedFile
from connectors.parquet.files import OpenFile, opened_parquet
from pm_app.errors import BadBatch, SourceUnavailable
from pm_app.records.readings import Batch, Rejection

# Kept in memory up to this; what is larger lies where systems keep passing files on a disk.
_IN_MEMORY_BYTES: Final = 32_000_000
_PASSING: Final = Path("/var/tmp")
_ROW_GROUP_ROWS: Final = 100_000
_MOST_UNIT_ROWS: Final = 3
_UNITS_SHOWN: Final = 4
_TRUE: Final = ("True", "true", "TRUE", "Wahr", "wahr", "WAHR")
_FALSE: Final = ("False", "false", "FALSE", "Falsch", "falsch", "FALSCH")


@dataclass(frozen=True)
class SpooledColumns:
    """Names of the columns that are written: all, the one of times, those told apart by name.

    labels: columns whose texts come again and again.
    """

    names: tuple[str, ...]
    time: str | None
    labels: tuple[str, ...]


@dataclass(eq=False)
class Spool:
    """What was written of a file. order: of days and months in its times.

    dropped: rows that are none of readings, by reason; units: the texts of a row under the header.
    """

    columns: SpooledColumns
    order: DateOrder | None = None
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    units: list[str] = field(default_factory=list)
    _begun: bool = False

    @property
    def notes(self) -> tuple[Rejection, ...]:
        """Rows that were left out, and why."""
        found = [Rejection(rows, f"a row {why}") for why, rows in self.dropped.items()]
        if self.units:
            shown = ", ".join(map(repr, self.units[:_UNITS_SHOWN]))
            more = ", ..." if len(self.units) > _UNITS_SHOWN else ""
            why = f"the row under the header names units and holds no values: {shown}{more}"
            found.append(Rejection(0, why))
        return tuple(found)

    def add(self, batch: Any) -> Any:
        """These rows without what is none of readings, as they are to be written."""
        start = 0 if self._begun else self._count_unit_rows(batch)
        self._begun = self._begun or batch.num_rows > 0
        batch = self._without_headers(batch.slice(start))
        time = self.columns.time
        if time is not None:
            self.order = date_order(batch.column(time), self.order)
        self.rows += batch.num_rows
        plain = {time, *self.columns.labels}
        arrays = [
            _nulls(column if name in plain else _as_numbers(column))
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

    def _count_unit_rows(self, batch: Any) -> int:
        """How many rows under the header hold no time and no number, but words."""
        time, count = self.columns.time, 0
        if time is None:
            return 0
        for row in batch.slice(0, _MOST_UNIT_ROWS).to_pylist():
            words = [text for text in row.values() if text]
            if not words or any(map(str.isdigit, row[time])) or any(map(is_number, words)):
                break
            self.units += [text for text in words if text not in self.units]
            count += 1
        return count

    def _without_headers(self, batch: Any) -> Any:
        time = self.columns.time
        if time is None:
            return batch
        again = pc.equal(batch.column(time), time)
        if not pc.any(again).as_py():
            return batch
        self.dropped["repeats the header"] += pc.sum(again).as_py()
        return batch.filter(pc.invert(again))


@contextmanager
def spooled(
    file: TextFile, columns: SpooledColumns, batch: Batch
) -> Iterator[tuple[OpenFile, Spool]]:
    """The rows of a file, to be read as often as need be while the block lasts, and what is
    to be told of them.

    Raises BadBatch where it holds none, SourceUnavailable where there is no room for them.
    """
    spool = Spool(columns)
    folder = str(_PASSING) if os.access(_PASSING, os.W_OK) and "TMPDIR" not in os.environ else None
    with SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=folder) as passing:
        _write(file, spool, passing)
        if not spool.rows:
            needed = f"{batch.name}: needed rows, got a file with none"
            why = "; ".join(f"{rows:,} rows: {reason}" for reason, rows in spool.dropped.items())
            raise BadBatch(f"{needed} that is one: {why}" if why else needed)
        size = passing.tell()
        passing.seek(0)
        plain = [name for name in columns.names if name not in columns.labels]
        fetched = FetchedFile(pa.PythonFile(passing, mode="r"), batch.name)
        yield opened_parquet(fetched, size, batch, plain=plain), spool


def _write(file: TextFile, spool: Spool, passing: Any) -> None:
    names = spool.columns.names
    places = [file.columns.index(name) for name in names]
    schema = pa.schema([(name, pa.string()) for name in names])
    waiting: list[Any] = []
    sink = pa.PythonFile(passing, mode="w")
    try:
        with pq.ParquetWriter(
            sink, schema, compression="lz4", use_dictionary=[*spool.columns.labels]
        ) as writer:
            for batch in file.batches(places):
                spool.dropped.update(why for _, why in file.refused)
                # As many as the file has rows: they would not fit.
                file.refused.clear()
                waiting.append(spool.add(batch))
                if sum(each.num_rows for each in waiting) >= _ROW_GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting, schema))
                    waiting = []
            writer.write_table(pa.Table.from_batches(waiting, schema))
        spool.dropped.update(why for _, why in file.refused)
    except OSError as error:
        if error.errno is None:
            raise
        why = f"no room to put its rows in order: {os.strerror(error.errno)}"
        raise SourceUnavailable(f"{file.name}: cannot be read: {why}") from error


def _nulls(column: Any) -> Any:
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _as_numbers(column: Any) -> Any:
    """What is true as 1, and what is false as 0."""
    either = pc.is_in(column, pa.array([*_TRUE, *_FALSE]))
    if not pc.any(either).as_py():
        return column
    values = pc.if_else(pc.is_in(column, pa.array(_TRUE)), "1", "0")
    return pc.if_else(either, values, column)
