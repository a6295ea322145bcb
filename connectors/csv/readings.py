"""Readings from CSV and Excel files, wide or long; fulfils `pm_app.ports.ReadingsSource`."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from connectors.columns.moments import MomentRules, read_moments
from connectors.csv.spool import SpooledColumns, spooled
from connectors.csv.tables import MOST_READINGS_BYTES, SUFFIXES
from connectors.csv.texts import TABLES, TextFile, open_table
from connectors.files.folder import FetchedFile, open_folder
from connectors.files.partitions import partition_digest
from connectors.parquet.plan import ColumnPlan, ReadingsFormat
from connectors.parquet.readings import MOST_CELLS, plan_file, read_rows, usable_chunks
from pm_app.errors import PmAppError, TornBatch
from pm_app.records.readings import Batch, BatchDescription, LeftColumn, LeftFile, ReadingsChunk

# A file without a last line end that was written to this lately may still be on its way.
_SETTLED_SECONDS: Final = 60.0
_PLAIN: Final = tuple(each for each in SUFFIXES if not each.endswith(".gz"))


@dataclass(frozen=True, eq=False)
class _PlannedFile:
    """A file and what is read of it. left: columns that nobody can name."""

    file: TextFile
    plan: ColumnPlan
    form: ReadingsFormat
    left: tuple[LeftColumn, ...]

    @property
    def columns(self) -> SpooledColumns:
        """What is read, in the order of the file."""
        plan, form = self.plan, self.form
        labels = [plan.asset, plan.quality]
        values = list(plan.sensors)
        if form.layout == "long":
            labels.append(form.tag_column)
            values = [form.value_column]
        wanted = {*labels, plan.time, *values}
        return SpooledColumns(
            tuple(name for name in self.file.columns if name in wanted),
            plan.time,
            tuple(name for name in labels if name is not None),
        )


class CsvReadings:
    """Readings under a folder or bucket prefix, at most `most_cells` values at a time.

    kind: "csv", "excel", or "auto" for both.
    """

    def __init__(
        self,
        uri: str,
        form: ReadingsFormat | None = None,
        *,
        kind: str = "csv",
        most_cells: int = MOST_CELLS,
    ) -> None:
        """Raises BadSettings for an address that no file system understands."""
        self.suffixes, self.contents = TABLES[kind]
        self._folder = open_folder(uri, suffixes=self.suffixes, contents=self.contents)
        self._format = ReadingsFormat(dates="auto") if form is None else form
        self._most_cells = most_cells

    @property
    def watched_folder(self) -> str | None:
        """See BatchSource.watched_folder."""
        return self._folder.local

    def list(self) -> Iterator[Batch]:
        """See ReadingsSource.list; an absent folder raises SourceUnavailable."""
        return self._folder.batches(absent_is_empty=False)

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        return self._folder.left_files()

    def digest(self, batch: Batch) -> str:
        """See ReadingsSource.digest."""
        return partition_digest(self._folder, batch, self._format.asset_place, self._names_of)

    def _names_of(self, batch: Batch) -> tuple[str, ...]:
        with self._opened(batch) as file:
            return file.columns

    def _opened(self, batch: Batch) -> AbstractContextManager[TextFile]:
        form = self._format
        keys = [form.asset_column, form.time_column]
        if form.layout == "long":
            keys += [form.tag_column, form.value_column]
        return open_table(
            self._folder,
            batch,
            wanted=[*keys, *(form.sensors or ())],
            most_bytes=MOST_READINGS_BYTES,
            measured=True,
        )

    def count(self, batch: Batch) -> int:
        """See ReadingsSource.count."""
        with suppress(PmAppError), self._opened(batch) as file:
            return _count_rows(file)
        return 0

    def describe(self, batch: Batch) -> BatchDescription:
        """See ReadingsSource.describe; lines have to be read to count them."""
        with self._opened(batch) as file:
            planned = self._planned(batch, file)
            rows = _count_rows(file)
        plan, kinds = planned.plan, {planned.plan.time: _written_as(planned)}
        columns = tuple((name, kinds.get(name, "text")) for name in file.columns if name)
        return BatchDescription(
            rows,
            columns,
            undecided=plan.sensors,
            left=(*plan.left, *planned.left),
            written=file.written,
        )

    def read(self, batch: Batch) -> Iterator[ReadingsChunk]:
        """See ReadingsSource.read; rows are those under the header, a row of units none."""
        return usable_chunks(batch.name, self._chunks(batch))

    def _chunks(self, batch: Batch) -> Iterator[ReadingsChunk]:
        self._check_arrived(batch)
        with self._opened(batch) as file:
            planned = self._planned(batch, file)
            with spooled(file, planned.columns, batch) as (rows, spool):
                form = replace(planned.form, dates=_decided(planned.form, spool.order))
                chunks = read_rows(rows, planned.plan, form, self._most_cells)
                notes, left = spool.notes, planned.left
                for chunk in chunks:
                    yield replace(
                        chunk,
                        rejections=(*notes, *chunk.rejections),
                        left=(*chunk.left, *left),
                    )
                    notes, left = (), ()

    def _check_arrived(self, batch: Batch) -> None:
        """Raises TornBatch where the last line has no end, and may be half written."""
        age = time.time() - batch.modified_ns / 1e9
        # The others tell by themselves.
        if abs(age) > _SETTLED_SECONDS or not batch.name.lower().endswith(_PLAIN):
            return
        with self._folder.opened(batch) as raw:
            size = raw.size()
            end = FetchedFile(raw, batch.name).read_at(max(size - 2, 0), 2)
        if size and not set(end).intersection(b"\r\n"):
            raise TornBatch(
                f"{batch.name}: its last line has no end and it was written to just now, so more "
                f"may be coming; it is read as it is {_SETTLED_SECONDS:.0f} seconds later"
            )

    def _planned(self, batch: Batch, file: TextFile) -> _PlannedFile:
        schema = _schema(file, self._format)
        plan, form = plan_file(batch, schema, self._format)
        return _PlannedFile(file, plan, form, _unnamed(file))


def _decided(form: ReadingsFormat, shown: Any) -> Any:
    return (shown or "unclear") if form.dates == "auto" else form.dates


def _count_rows(file: TextFile) -> int:
    rows: int = sum(batch.num_rows for batch in file.batches([0]))
    return rows + len(file.refused)


def _schema(file: TextFile, form: ReadingsFormat) -> Any:
    """Columns with a name: text, or times where the first rows hold nothing else."""
    fields = []
    for place, name in enumerate(file.columns):
        texts = [row[place] for row in file.head if row[place]]
        is_time = name != form.time_column and _are_times(texts)
        if name:
            fields.append((name, pa.timestamp("s") if is_time else pa.string()))
    return pa.schema(fields)


def _are_times(texts: list[str]) -> bool:
    if not texts or not all(any(sign in text for sign in "-./:") for text in texts):
        return False
    found = read_moments(texts, MomentRules("UTC", "day first"))
    return not any(map(str.strip, found.reason.tolist()))


def _unnamed(file: TextFile) -> tuple[LeftColumn, ...]:
    places = [place for place, name in enumerate(file.columns) if not name]
    if not places:
        return ()
    columns = "1 column stands" if len(places) == 1 else f"{len(places)} columns stand"
    filled = any(row[place] for row in file.head for place in places)
    why = f"is what {columns} under that the header does not name"
    if not filled:
        return (LeftColumn("(without a name)", f"{why}, without any value", "empty"),)
    return (LeftColumn("(without a name)", f"{why}; give it one to have it read", "name"),)


def _written_as(planned: _PlannedFile) -> str:
    """The type of the column of times, as a type with a zone is called."""
    place = planned.file.columns.index(str(planned.plan.time)) if planned.plan.time else 0
    texts = [row[place] for row in planned.file.head if row[place]]
    found = read_moments(texts[-1:], MomentRules(None, "day first"))
    zoned = bool(texts) and not found.reason[0]
    return "timestamp[text, tz=as written]" if zoned else "timestamp[text]"
