"""Readings from Parquet files, wide or long; fulfils `pm_app.ports.ReadingsSource`."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from connectors.files.folder import open_folder
from connectors.files.partitions import (
    asset_of_path,
    differing_asset,
    left_partitions,
    partition_digest,
)
from connectors.parquet.files import (
    CONTENTS,
    SUFFIXES,
    OpenFile,
    column_names,
    count_rows,
    open_parquet,
    typed_columns,
)
from connectors.parquet.long import read_long
from connectors.parquet.plan import ColumnPlan, ReadingsFormat, plan_long, plan_wide
from connectors.parquet.side_by_side import read_side_by_side
from connectors.parquet.wide import read_wide
from pm_app.errors import BadBatch
from pm_app.records.readings import (
    Batch,
    BatchDescription,
    LeftColumn,
    LeftFile,
    ReadingsChunk,
    Rejection,
)

# 16 MB of float64: large enough that work per chunk is small, small enough for any server.
MOST_CELLS = 2_000_000
_USUAL_FORMAT = ReadingsFormat()


class ParquetReadings:
    """Readings under a folder or bucket prefix, at most `most_cells` values at a time."""

    suffixes = SUFFIXES
    contents = CONTENTS

    def __init__(
        self,
        uri: str,
        form: ReadingsFormat = _USUAL_FORMAT,
        *,
        most_cells: int = MOST_CELLS,
        absent_is_empty: bool = False,
    ) -> None:
        """absent_is_empty: whether a folder that is not there has no files yet.

        Raises BadSettings for an address that no file system understands.
        """
        self._folder = open_folder(uri, suffixes=SUFFIXES, contents=CONTENTS)
        self._format, self._most_cells = form, most_cells
        self._absent_is_empty = absent_is_empty

    @property
    def watched_folder(self) -> str | None:
        """See BatchSource.watched_folder."""
        return self._folder.local

    def keep(self, learned: frozenset[str]) -> None:
        """See KeepsLearnedSensors.keep."""
        self._format = replace(self._format, learned=learned)

    def list(self) -> Iterator[Batch]:
        """See ReadingsSource.list; an absent folder raises SourceUnavailable or is empty."""
        return self._folder.batches(absent_is_empty=self._absent_is_empty)

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        return self._folder.left_files()

    def digest(self, batch: Batch) -> str:
        """See ReadingsSource.digest."""
        return partition_digest(
            self._folder, batch, self._format.asset_place, partial(column_names, self._folder)
        )

    def describe(self, batch: Batch) -> BatchDescription:
        """See ReadingsSource.describe; from the footer alone."""
        with open_parquet(self._folder, batch) as file:
            plan, _ = plan_file(batch, file.parquet.schema_arrow, self._format)
            certain = tuple(name for name in plan.sensors if name not in plan.texts)
            columns = typed_columns(file)
        return BatchDescription(file.footer.rows, columns, certain, plan.texts, plan.left)

    def count(self, batch: Batch) -> int:
        """See ReadingsSource.count."""
        return count_rows(self._folder, batch)

    def read(self, batch: Batch) -> Iterator[ReadingsChunk]:
        """See ReadingsSource.read.

        A value that is infinite or beyond `LARGEST` is missing, noted in a rejection of 0
        rows. In the long layout a row is of the file, not of the moments it is pivoted to.
        """
        return usable_chunks(batch.name, self._chunks(batch))

    def _chunks(self, batch: Batch) -> Iterator[ReadingsChunk]:
        with open_parquet(self._folder, batch) as file:
            if file.footer.rows == 0:
                raise BadBatch(f"{batch.name}: needed rows, got a Parquet file with none")
            plan, form = plan_file(batch, file.parquet.schema_arrow, self._format)
            yield from read_rows(file, plan, form, self._most_cells)


def plan_file(batch: Batch, schema: Any, form: ReadingsFormat) -> tuple[ColumnPlan, ReadingsFormat]:
    """What is read of a file's columns, and the format with what its path tells."""
    asset = asset_of_path(batch.name, form.asset_place, schema.names)
    if asset is not None:
        form = replace(form, default_asset=asset)
    plan = (plan_long if form.layout == "long" else plan_wide)(batch.name, schema, form)
    left = left_partitions(batch.name, form.asset_place, schema.names, form.ignore)
    return replace(plan, left=(*plan.left, *left)), form


def read_rows(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[ReadingsChunk]:
    """All rows of a file, at most `cells` values at a time. Raises BadBatch, also where other
    rows come than it says it has."""
    read = read_side_by_side if form.tags else read_wide
    read = read_long if form.layout == "long" else read
    came = 0
    for chunk in read(file, plan, form, cells):
        came += _rows_of(chunk)
        notes = differing_asset(plan.name, form.asset_place, chunk.readings.assets)
        yield replace(chunk, rejections=(*chunk.rejections, *notes))
    if came != file.footer.rows:
        raise BadBatch(
            f"{plan.name}: needed {file.footer.rows:,} rows, as its footer counts, got {came:,}"
        )


def usable_chunks(name: str, chunks: Iterator[ReadingsChunk]) -> Iterator[ReadingsChunk]:
    """The same from the first with a usable row on. Raises BadBatch where there is none."""
    waiting: tuple[Rejection, ...] = ()
    left: tuple[LeftColumn, ...] = ()
    used = 0
    for chunk in chunks:
        used += len(chunk.readings.time)
        waiting += chunk.rejections
        left += chunk.left
        if used:
            # Chunks without a usable row were held back until one with some came.
            yield ReadingsChunk(chunk.readings, waiting, left)
            waiting, left = (), ()
    if not used:
        reasons = "; ".join(dict.fromkeys(r.reason for r in waiting))
        raise BadBatch(f"{name}: none of its rows can be used: {reasons}")


def _rows_of(chunk: ReadingsChunk) -> int:
    """Rows of the file that a chunk accounts for."""
    counts = chunk.readings.source_rows
    used = len(chunk.readings.time) if counts is None else int(counts.sum())
    return used + sum(rejection.rows for rejection in chunk.rejections)
