"""Events and work orders from any file of a folder, by its ending.

Fulfils of `pm_app.ports.SourceFormat` what is about events.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from connectors.csv.texts import TABLES, open_table
from connectors.events.form import EventsFormat, events_format
from connectors.events.rows import (
    MOST_EVENTS,
    RowFates,
    check_names,
    events_of,
    preview_of,
    read_fates,
    with_refused,
)
from connectors.files.folder import open_folder
from connectors.files.partitions import asset_of_path, left_partitions, partition_digest
from connectors.parquet.events import ParquetEvents
from connectors.parquet.files import SUFFIXES as PARQUET
from connectors.parquet.left_columns import unused
from pm_app.errors import BadBatch, PmAppError
from pm_app.records.previews import EventsPreview
from pm_app.records.readings import Batch, BatchDescription, Events, LeftFile, no_events
from pm_app.settings.sources import EventsSettings

_AUTO: Final = "auto"
_ALL: Final = ((*PARQUET, *TABLES[_AUTO][0]), f"Parquet, {TABLES[_AUTO][1]}")


@dataclass(frozen=True, eq=False)
class TextTable:
    """Rows of texts. refused: number, from 1 on, and reason of rows of the file that are none."""

    table: Any
    refused: list[tuple[int, str]]


class FileEvents:
    """Events from CSV and Excel files, and Parquet files alone where there is any of those.

    kind: "csv", "excel", or "auto" for all of them. Parquet files that lie beside others are
    what these were converted to: both would say everything twice.
    """

    def __init__(self, uri: str, form: EventsFormat, *, kind: str = _AUTO) -> None:
        """Raises BadSettings for an address that no file system understands."""
        self.suffixes, self.contents = _ALL if kind == _AUTO else TABLES[kind]
        self._folder = open_folder(uri, suffixes=self.suffixes, contents=self.contents)
        self._parquet = ParquetEvents(uri, form) if kind == _AUTO else None
        self._format = form

    @property
    def watched_folder(self) -> str | None:
        """See BatchSource.watched_folder."""
        return self._folder.local

    def list(self) -> Iterator[Batch]:
        """See EventsSource.list; an absent folder lists nothing."""
        if self._only_parquet() and self._parquet is not None:
            return self._parquet.list()
        return self._folder.batches(absent_is_empty=True)

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        if self._only_parquet() and self._parquet is not None:
            return self._parquet.left_files()
        return self._folder.left_files()

    def _only_parquet(self) -> bool:
        return self._parquet is not None and any(True for _ in self._parquet.list())

    def _parquet_of(self, batch: Batch) -> ParquetEvents | None:
        return self._parquet if batch.name.lower().endswith(PARQUET) else None

    def digest(self, batch: Batch) -> str:
        """See EventsSource.digest."""
        parquet = self._parquet_of(batch)
        if parquet is not None:
            return parquet.digest(batch)
        place = self._format.of_file(batch.name).asset_place
        digest = partition_digest(self._folder, batch, place, self._names_of)
        return self._format.digest_of(batch.name, digest)

    def _names_of(self, batch: Batch) -> Sequence[str]:
        names: list[str] = self._table(batch).table.column_names
        return names

    def count(self, batch: Batch) -> int:
        """See EventsSource.count."""
        parquet = self._parquet_of(batch)
        if parquet is not None:
            return parquet.count(batch)
        with suppress(PmAppError):
            table = self._table(batch)
            return int(table.table.num_rows) + len(table.refused)
        return 0

    def describe(self, batch: Batch) -> BatchDescription:
        """See EventsSource.describe; texts have to be read to count them."""
        parquet = self._parquet_of(batch)
        if parquet is not None:
            return parquet.describe(batch)
        table = self._table(batch)
        schema, form = table.table.schema, self._form_of(batch, table.table.schema)
        check_names(batch.name, schema, form)
        left = tuple(
            unused(each, form.ignore, indices=frozenset(), what="events")
            for each in schema
            if each.name not in form.columns
        )
        left += left_partitions(batch.name, form.asset_place, schema.names, form.ignore)
        rows = table.table.num_rows + len(table.refused)
        return BatchDescription(rows, tuple((each.name, "text") for each in schema), left=left)

    def read(self, batch: Batch) -> tuple[Events, tuple[str, ...]]:
        """See EventsSource.read. A file without rows reports that nothing happened."""
        parquet = self._parquet_of(batch)
        if parquet is not None:
            return parquet.read(batch)
        form, fates = self.fates(batch)
        return (
            (no_events(), ())
            if fates is None
            else events_of(batch.name, fates, form, numbered=False)
        )

    def preview(self, batch: Batch) -> EventsPreview:
        """See PreviewsEvents.preview."""
        form, fates = self.fates(batch)
        return EventsPreview((), ()) if fates is None else preview_of(fates, form)

    def fates(self, batch: Batch) -> tuple[EventsFormat, RowFates | None]:
        """What becomes of each row, None where there is none; and by what format.

        Raises as `read`.
        """
        parquet = self._parquet_of(batch)
        if parquet is not None:
            return parquet.fates(batch)
        table = self._table(batch)
        form = self._form_of(batch, table.table.schema)
        check_names(batch.name, table.table.schema, form)
        if not (table.table.num_rows or table.refused):
            return form, None
        wanted = [name for name in form.columns if name in table.table.column_names]
        fates = read_fates(table.table.select(wanted), form)
        return form, with_refused(fates, table.refused) if table.refused else fates

    def _form_of(self, batch: Batch, schema: Any) -> EventsFormat:
        form = self._format.of_file(batch.name)
        asset = asset_of_path(batch.name, form.asset_place, schema.names)
        return form if asset is None else replace(form, default_asset=asset)

    def _table(self, batch: Batch) -> TextTable:
        form = self._format.of_file(batch.name)
        with open_table(self._folder, batch, wanted=form.columns) as file:
            batches, rows = [], 0
            for each in file.batches():
                batches.append(each)
                rows += each.num_rows
                if rows + len(file.refused) > MOST_EVENTS:
                    raise BadBatch(f"{batch.name}: needed at most {MOST_EVENTS:,} rows, got more")
            schema = pa.schema([(name, pa.string()) for name in file.columns])
            return TextTable(pa.Table.from_batches(batches, schema=schema), file.refused)


def open_events(settings: EventsSettings, *, uri: str) -> FileEvents:
    """See SourceFormat.open_events."""
    return FileEvents(uri, events_format(settings), kind=settings.format)
