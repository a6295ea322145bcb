"""Events from Parquet files; fulfils `pm_app.ports.EventsSource`."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.parquet.columns import (
    Flags,
    TextCodes,
    TimeRules,
    check_label_column,
    check_time_column,
    read_labels,
    read_times,
)
from connectors.parquet.files import BatchDescription, open_folder
from pm_app.errors import BadBatch
from pm_app.records.readings import (
    EVENT_KINDS,
    Batch,
    Events,
    Int32,
    Int64,
    Text,
    no_events,
    sort_events,
)

_REASONS_SHOWN = 3
# A file of events is read whole; a plant has not had more in its life.
MOST_EVENTS = 1_000_000


class ParquetEvents:
    """Failures, repairs, errors and inspections under a folder or bucket prefix.

    Columns asset_id, timestamp, kind and, where there is one, code. Kinds are matched
    without regard to case. until_column: where there is one and it holds a time, the event
    happened between timestamp and then. timezone, latest: as for ParquetReadings.
    """

    def __init__(
        self,
        uri: str,
        *,
        asset_column: str = "asset_id",
        time_column: str = "timestamp",
        kind_column: str = "kind",
        code_column: str = "code",
        until_column: str | None = None,
        timezone: str | None = None,
        default_asset: str | None = None,
        latest: int | None = None,
    ) -> None:
        """Raises BadSettings for an address that no file system understands."""
        self._folder = open_folder(uri)
        self._asset, self._time = asset_column, time_column
        self._kind, self._code = kind_column, code_column
        self._until = until_column
        self._rules = TimeRules(timezone, latest)
        self._default_asset = default_asset

    def list(self) -> Iterator[Batch]:
        """See EventsSource.list; an absent folder lists nothing."""
        return self._folder.batches(absent_is_empty=True)

    def digest(self, batch: Batch) -> str:
        """See EventsSource.digest."""
        return self._folder.digest(batch)

    def describe(self, batch: Batch) -> BatchDescription:
        """Rows and columns of a batch, from its footer alone. Raises as `read`."""
        return self._folder.describe(batch)

    def count(self, batch: Batch) -> int:
        """See EventsSource.count."""
        return self._folder.count(batch)

    def read(self, batch: Batch) -> tuple[Events, tuple[str, ...]]:
        """See EventsSource.read. A file without rows reports that nothing happened."""
        with self._folder.opened(batch, labels=(self._asset, self._kind, self._code)) as file:
            schema = file.parquet.schema_arrow
            self._check(batch.name, schema)
            rows = file.outline.rows
            if rows > MOST_EVENTS:
                raise BadBatch(f"{batch.name}: needed at most {MOST_EVENTS:,} rows, got {rows:,}")
            wanted = (self._asset, self._time, self._kind, self._code, self._until)
            columns = [name for name in wanted if name is not None and name in schema.names]
            file.check(columns)
            table = file.parquet.read(columns=columns).combine_chunks()
            if table.num_rows != rows:
                raise BadBatch(f"{batch.name}: needed {rows:,} rows, got {table.num_rows:,}")
            if rows == 0:
                return no_events(), ()
            events, reasons = self._events(table)
        if not len(events.time):
            shown = "; ".join(reasons[:_REASONS_SHOWN])
            raise BadBatch(f"{batch.name}: none of its {len(reasons)} rows can be used: {shown}")
        return events, reasons

    def _check(self, name: str, schema: Any) -> None:
        for column in (self._asset, self._time, self._kind):
            optional = column == self._asset and self._default_asset is not None
            if column not in schema.names and not optional:
                raise BadBatch(f"{name}: needed a column {column!r}, got columns {schema.names}")
        known = (self._asset, self._time, self._kind, self._code, self._until)
        for column in set(schema.names).intersection(known):
            where = f"{name}: column {column!r}"
            if schema.names.count(column) > 1:
                raise BadBatch(f"{where} comes more than once; needed distinct column names")
            kind = schema.field(column).type
            if column in (self._time, self._until):
                check_time_column(kind, where, self._rules)
            else:
                check_label_column(kind, where)

    def _events(self, table: Any) -> tuple[Events, tuple[str, ...]]:
        times = read_times(_array(table, self._time), self._time, self._rules)
        asset, code = self._labels(table, self._asset), self._labels(table, self._code)
        kind = self._labels(table, self._kind)
        plain = [text.strip().casefold() for text in kind.names]
        unknown = [
            f"{self._kind} is {text!r}; needed one of {EVENT_KINDS}"
            if plain[at] not in EVENT_KINDS
            else ""
            for at, text in enumerate(kind.names)
        ]
        nothing = f"{self._kind} is ''; needed one of {EVENT_KINDS}"
        reasons = np.array([*unknown, nothing], dtype=object)[kind.index]
        for rows, reason in times.refused:
            reasons[rows] = reason
        reasons[asset.index < 0] = f"{self._asset} is null or empty"
        named = ((self._asset, asset), (self._kind, kind), (self._code, code))
        for rows, reason in ((rows, f"{name} {why}") for name, of in named for rows, why in of.odd):
            reasons[rows] = reason
        until = self._untils(table, times.time, reasons)
        good = reasons == ""
        events = sort_events(
            _chosen(asset.names, asset.index[good]),
            until[good],
            _chosen(plain, kind.index[good]),
            _chosen(code.names, code.index[good]),
            since=times.time[good],
        )
        repeats = int(np.count_nonzero(good)) - len(events.time)
        return events, (*_numbered(reasons, ~good), *(["repeats another row"] * repeats))

    def _labels(self, table: Any, name: str) -> TextCodes:
        if name in table.column_names:
            return read_labels(_array(table, name))
        default = self._default_asset if name == self._asset else None
        if default is None:
            return TextCodes((), np.full(table.num_rows, -1, dtype=np.int32))
        return TextCodes((default,), np.zeros(table.num_rows, dtype=np.int32))

    def _untils(self, table: Any, since: Int64, reasons: Text) -> Int64:
        """By when each event had happened; rows where that cannot be get a reason."""
        if self._until is None or self._until not in table.column_names:
            return since
        column = _array(table, self._until)
        known = column.is_valid().to_numpy(zero_copy_only=False)
        until = read_times(column, self._until, self._rules)
        for rows, reason in until.refused:
            reasons[rows & known] = reason
        reasons[known & (reasons == "") & (until.time < since)] = (
            f"{self._until} is before {self._time}"
        )
        return np.where(known, until.time, since)


def _chosen(names: Sequence[str], index: Int32) -> Text:
    """The names of these places, "" for -1."""
    chosen: Text = np.array([*names, ""], dtype=object)[index]
    return chosen


def _array(table: Any, name: str) -> Any:
    """One contiguous array of a column, dictionaries of its row groups made one."""
    column = table.column(name).unify_dictionaries().combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _numbered(reasons: Text, refused: Flags) -> tuple[str, ...]:
    rows = np.flatnonzero(refused).tolist()
    return tuple(f"row {row + 1}: {reasons[row]}" for row in rows)
