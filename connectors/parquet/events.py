"""Events from Parquet files; fulfils `pm_app.ports.EventsSource`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.files.folder import open_folder
from connectors.parquet.columns import (
    Flags,
    TextCodes,
    TimeRules,
    check_label_column,
    check_time_column,
    column_hint,
    is_text,
    read_assets,
    read_labels,
    read_times,
)
from connectors.parquet.files import CONTENTS, SUFFIXES, count_rows, open_parquet, typed_columns
from connectors.parquet.left_columns import index_columns, unused
from connectors.parquet.partitions import asset_of_path, left_partitions, partition_digest
from pm_app.errors import BadBatch
from pm_app.records.readings import (
    EVENT_KINDS,
    Batch,
    BatchDescription,
    Events,
    Int32,
    Int64,
    LeftFile,
    Text,
    no_events,
    sort_events,
)

_REASONS_SHOWN = 3
# A file of events is read whole; a plant has not had more in its life.
MOST_EVENTS = 1_000_000


@dataclass(frozen=True)
class EventsFormat:
    """What columns of events are called.

    Kinds are matched without regard to case; the code column may be absent. until_column:
    where there is one and it holds a time, the event happened between timestamp and then.
    timezone, default_asset, latest, ignore: as of ReadingsFormat.
    """

    asset_column: str = "asset_id"
    time_column: str = "timestamp"
    kind_column: str = "kind"
    code_column: str = "code"
    until_column: str | None = None
    timezone: str | None = None
    default_asset: str | None = None
    latest: int | None = None
    ignore: tuple[str, ...] = ()

    @property
    def time_rules(self) -> TimeRules:
        """How timestamps are read."""
        return TimeRules(self.timezone, self.latest, section="events")

    @property
    def columns(self) -> list[str]:
        """Every column that is read."""
        wanted = (self.asset_column, self.time_column, self.kind_column, self.code_column)
        return [*wanted, *([] if self.until_column is None else [self.until_column])]


_USUAL_FORMAT = EventsFormat()


class ParquetEvents:
    """Failures, repairs, errors and inspections under a folder or bucket prefix."""

    suffixes = SUFFIXES
    contents = CONTENTS

    def __init__(self, uri: str, form: EventsFormat = _USUAL_FORMAT) -> None:
        """Raises BadSettings for an address that no file system understands."""
        self._folder = open_folder(uri, suffixes=SUFFIXES, contents=CONTENTS)
        self._format = form

    @property
    def watched_folder(self) -> str | None:
        """See BatchSource.watched_folder."""
        return self._folder.local

    def list(self) -> Iterator[Batch]:
        """See EventsSource.list; an absent folder lists nothing."""
        return self._folder.batches(absent_is_empty=True)

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        return self._folder.left_files()

    def digest(self, batch: Batch) -> str:
        """See EventsSource.digest."""
        return partition_digest(self._folder, batch, self._format.asset_column)

    def describe(self, batch: Batch) -> BatchDescription:
        """See EventsSource.describe; from the footer alone."""
        with open_parquet(self._folder, batch) as file:
            schema = file.parquet.schema_arrow
            form = self._form_of(batch, schema)
            _check_columns(batch.name, schema, form)
            indices = index_columns(schema)
            left = tuple(
                unused(each, form.ignore, indices=indices, what="events")
                for each in schema
                if each.name not in form.columns
            )
            left += left_partitions(batch.name, form.asset_column, schema.names, form.ignore)
            columns = typed_columns(file)
        return BatchDescription(file.footer.rows, columns, left=left)

    def _form_of(self, batch: Batch, schema: Any) -> EventsFormat:
        asset = asset_of_path(batch.name, self._format.asset_column, schema.names)
        return self._format if asset is None else replace(self._format, default_asset=asset)

    def count(self, batch: Batch) -> int:
        """See EventsSource.count."""
        return count_rows(self._folder, batch)

    def read(self, batch: Batch) -> tuple[Events, tuple[str, ...]]:
        """See EventsSource.read. A file without rows reports that nothing happened."""
        with open_parquet(self._folder, batch) as file:
            schema = file.parquet.schema_arrow
            form = self._form_of(batch, schema)
            _check_columns(batch.name, schema, form)
            rows = file.footer.rows
            if rows > MOST_EVENTS:
                raise BadBatch(f"{batch.name}: needed at most {MOST_EVENTS:,} rows, got {rows:,}")
            columns = [name for name in form.columns if name in schema.names]
            file.check(columns)
            table = file.table(columns).combine_chunks()
            if table.num_rows != rows:
                raise BadBatch(f"{batch.name}: needed {rows:,} rows, got {table.num_rows:,}")
            if rows == 0:
                return no_events(), ()
            events, reasons = _read_events(table, form)
        if not len(events.time):
            shown = "; ".join(reasons[:_REASONS_SHOWN])
            raise BadBatch(f"{batch.name}: none of its {len(reasons)} rows can be used: {shown}")
        return events, reasons


def _check_columns(name: str, schema: Any, form: EventsFormat) -> None:
    for setting, column, fits in (
        ("asset_column", form.asset_column, is_text),
        ("time_column", form.time_column, pa.types.is_timestamp),
        ("kind_column", form.kind_column, is_text),
    ):
        optional = setting == "asset_column" and form.default_asset is not None
        if column not in schema.names and not optional:
            raise BadBatch(
                f"{name}: needed a column {column!r}, got columns {schema.names}"
                + column_hint(f"events.{setting}", schema, fits)
            )
    for column in set(schema.names).intersection(form.columns):
        where = f"{name}: column {column!r}"
        if schema.names.count(column) > 1:
            raise BadBatch(f"{where} comes more than once; needed distinct column names")
        kind = schema.field(column).type
        if column in (form.time_column, form.until_column):
            check_time_column(kind, where, form.time_rules)
        else:
            check_label_column(kind, where)


def _read_events(table: Any, form: EventsFormat) -> tuple[Events, tuple[str, ...]]:
    times = read_times(_array(table, form.time_column), form.time_column, form.time_rules)
    asset, code = _labels(table, form.asset_column, form), _labels(table, form.code_column, form)
    kind = _labels(table, form.kind_column, form)
    plain = [text.strip().casefold() for text in kind.names]
    unknown = [
        f"{form.kind_column} is {text!r}; needed one of {EVENT_KINDS}"
        if plain[at] not in EVENT_KINDS
        else ""
        for at, text in enumerate(kind.names)
    ]
    nothing = f"{form.kind_column} is ''; needed one of {EVENT_KINDS}"
    reasons = np.array([*unknown, nothing], dtype=object)[kind.index]
    for rows, reason in times.refused:
        reasons[rows] = reason
    reasons[asset.index < 0] = f"{form.asset_column} is null or empty"
    named = ((form.asset_column, asset), (form.kind_column, kind), (form.code_column, code))
    for rows, reason in ((rows, f"{name} {why}") for name, of in named for rows, why in of.odd):
        reasons[rows] = reason
    until = _untils(table, times.time, reasons, form)
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


def _labels(table: Any, name: str, form: EventsFormat) -> TextCodes:
    if name in table.column_names:
        read = read_assets if name == form.asset_column else read_labels
        return read(_array(table, name))
    default = form.default_asset if name == form.asset_column else None
    if default is None:
        return TextCodes((), np.full(table.num_rows, -1, dtype=np.int32))
    return TextCodes((default,), np.zeros(table.num_rows, dtype=np.int32))


def _untils(table: Any, since: Int64, reasons: Text, form: EventsFormat) -> Int64:
    """By when each event had happened; rows where that cannot be get a reason."""
    if form.until_column is None or form.until_column not in table.column_names:
        return since
    column = _array(table, form.until_column)
    given = column.is_valid().to_numpy(zero_copy_only=False)
    until = read_times(column, form.until_column, form.time_rules)
    for rows, reason in until.refused:
        reasons[rows & given] = reason
    reasons[given & (reasons == "") & (until.time < since)] = (
        f"{form.until_column} is before {form.time_column}"
    )
    return np.where(given, until.time, since)


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
