"""Readings from Parquet files, wide or long; fulfils `pm_app.ports.ReadingsSource`."""

from collections.abc import Iterator
from typing import Literal

from connectors.parquet.columns import TimeRules
from connectors.parquet.files import BatchDescription, open_folder
from connectors.parquet.long import read_long
from connectors.parquet.plan import ReadingsFormat, plan_long, plan_wide
from connectors.parquet.wide import read_wide
from pm_app.errors import BadBatch
from pm_app.records.readings import Batch, ReadingsChunk, Rejection

# 16 MB of float64: large enough that work per chunk is small, small enough for any server.
MOST_CELLS = 2_000_000


class ParquetReadings:
    """Readings under a folder or bucket prefix.

    layout "wide": a row a moment, a column a sensor. layout "long": a row a tag's value, in
    columns tag, value and, where present, quality; pivoted to rows of moments.
    sensors: which columns (or tags) to read, None for every numeric column (or tag).
    timezone: of timestamps that carry none; None refuses such files.
    default_asset: the machine that files without an asset column are about.
    latest: the latest time accepted, in nanoseconds since 1970 UTC; None for no limit.
    table: files are plain tables, in which the asset column (each row is then its own asset,
    "<file name without ending>:<row number>") and the time column (then 1970) may be absent.
    """

    def __init__(
        self,
        uri: str,
        *,
        layout: Literal["wide", "long"] = "wide",
        asset_column: str = "asset_id",
        time_column: str = "timestamp",
        sensors: tuple[str, ...] | None = None,
        timezone: str | None = None,
        default_asset: str | None = None,
        latest: int | None = None,
        table: bool = False,
        tag_column: str = "tag",
        value_column: str = "value",
        quality_column: str = "quality",
        most_cells: int = MOST_CELLS,
    ) -> None:
        """Raises BadSettings for an address that no file system understands."""
        self._folder = open_folder(uri)
        self._most_cells = most_cells
        self._format = ReadingsFormat(
            layout=layout,
            asset=asset_column,
            time=time_column,
            sensors=sensors,
            rules=TimeRules(timezone, latest),
            default_asset=default_asset,
            table=table,
            tag=tag_column,
            value=value_column,
            quality=quality_column,
        )

    @property
    def _labels(self) -> tuple[str, ...]:
        form = self._format
        return (form.asset, form.tag, form.quality) if form.layout == "long" else (form.asset,)

    def list(self) -> Iterator[Batch]:
        """See ReadingsSource.list; an absent folder raises SourceUnavailable."""
        return self._folder.batches(absent_is_empty=False)

    def digest(self, batch: Batch) -> str:
        """See ReadingsSource.digest."""
        return self._folder.digest(batch)

    def describe(self, batch: Batch) -> BatchDescription:
        """Rows and columns of a batch, from its footer alone. Raises as `read`."""
        return self._folder.describe(batch)

    def count(self, batch: Batch) -> int:
        """See ReadingsSource.count."""
        return self._folder.count(batch)

    def read(self, batch: Batch) -> Iterator[ReadingsChunk]:
        """See ReadingsSource.read.

        A value that is infinite or beyond `LARGEST` is missing, noted in a rejection of 0
        rows. In the long layout a row is of the file, not of the moments it is pivoted to.
        """
        waiting: tuple[Rejection, ...] = ()
        used = 0
        for chunk in self._chunks(batch):
            used += len(chunk.readings.time)
            waiting += chunk.rejections
            if used:
                # Chunks without a usable row were held back until one with some came.
                yield ReadingsChunk(chunk.readings, waiting)
                waiting = ()
        if not used:
            reasons = "; ".join(dict.fromkeys(r.reason for r in waiting))
            raise BadBatch(f"{batch.name}: none of its rows can be used: {reasons}")

    def _chunks(self, batch: Batch) -> Iterator[ReadingsChunk]:
        form = self._format
        with self._folder.opened(batch, labels=self._labels) as file:
            if file.outline.rows == 0:
                raise BadBatch(f"{batch.name}: needed rows, got a Parquet file with none")
            schema = file.parquet.schema_arrow
            if form.layout == "long":
                plan = plan_long(batch.name, schema, form)
                chunks = read_long(file, plan, form, self._most_cells)
            else:
                plan = plan_wide(batch.name, schema, form)
                chunks = read_wide(file, plan, form, self._most_cells)
            came = 0
            for chunk in chunks:
                came += _rows_of(chunk)
                yield chunk
            if came != file.outline.rows:
                raise BadBatch(
                    f"{batch.name}: needed {file.outline.rows:,} rows, as its footer counts, "
                    f"got {came:,}"
                )


def _rows_of(chunk: ReadingsChunk) -> int:
    """Rows of the file that a chunk accounts for."""
    counts = chunk.readings.source_rows
    used = len(chunk.readings.time) if counts is None else int(counts.sum())
    return used + sum(rejection.rows for rejection in chunk.rejections)
