"""Events from Parquet files; fulfils `pm_app.ports.EventsSource`."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from connectors.columns.times import check_time_column
from connectors.columns.values import (
    check_label_column,
    is_text,
)
from connectors.events.form import EventsFormat
from connectors.events.rows import (
    MOST_EVENTS,
    RowFates,
    check_names,
    events_of,
    read_fates,
)
from connectors.files.folder import open_folder
from connectors.files.partitions import asset_of_path, left_partitions, partition_digest
from connectors.parquet.files import (
    CONTENTS,
    SUFFIXES,
    column_names,
    count_rows,
    open_parquet,
    typed_columns,
)
from connectors.parquet.left_columns import index_columns, unused
from pm_app.errors import BadBatch
from pm_app.records.readings import Batch, BatchDescription, Events, LeftFile, no_events

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
        place = self._format.of_file(batch.name).asset_place
        names = partial(column_names, self._folder)
        digest = partition_digest(self._folder, batch, place, names)
        return self._format.digest_of(batch.name, digest)

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
            left += left_partitions(batch.name, form.asset_place, schema.names, form.ignore)
            columns = typed_columns(file)
        return BatchDescription(file.footer.rows, columns, left=left)

    def _form_of(self, batch: Batch, schema: Any) -> EventsFormat:
        form = self._format.of_file(batch.name)
        asset = asset_of_path(batch.name, form.asset_place, schema.names)
        return form if asset is None else replace(form, default_asset=asset)

    def count(self, batch: Batch) -> int:
        """See EventsSource.count."""
        return count_rows(self._folder, batch)

    def read(self, batch: Batch) -> tuple[Events, tuple[str, ...]]:
        """See EventsSource.read. A file without rows reports that nothing happened."""
        form, fates = self.fates(batch)
        return (no_events(), ()) if fates is None else events_of(batch.name, fates, form)

    def fates(self, batch: Batch) -> tuple[EventsFormat, RowFates | None]:
        """What becomes of each row, None where there is none; and by what format.

        Raises as `read`.
        """
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
            return form, read_fates(table, form) if rows else None


def _check_columns(name: str, schema: Any, form: EventsFormat) -> None:
    check_names(name, schema, form)
    for column in set(schema.names).intersection(form.columns):
        where = f"{name}: column {column!r}"
        kind = schema.field(column).type
        if column in form.moment_columns:
            check_time_column(kind, where, form.time_rules)
        elif column == form.text_column and not is_text(kind):
            raise BadBatch(f"{where} is {kind}; needed text")
        else:
            check_label_column(kind, where)
