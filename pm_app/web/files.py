"""File export of a page's rows: CSV of two kinds, JSON or Parquet."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import Response
from starlette.exceptions import HTTPException

from pm_app.wording import semicolon_cell, spreadsheet_cell

Writer = Callable[[Iterable[pa.Table], pa.Schema], bytes]


def to_csv(tables: Iterable[pa.Table], schema: pa.Schema) -> bytes:
    """A header and a line a row; UTC times; text that a spreadsheet would run is quoted by '."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(schema.names)
    for row in _rows(tables):
        writer.writerow([spreadsheet_cell(value) for value in row.values()])
    return file.getvalue().encode()


def to_semicolon_csv(tables: Iterable[pa.Table], schema: pa.Schema) -> bytes:
    """CSV that a German or French Excel opens: semicolons, decimal commas, a mark of UTF-8."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=";", lineterminator="\n")
    writer.writerow(schema.names)
    for table in tables:
        for row in table.to_pylist():
            writer.writerow([semicolon_cell(value) for value in row.values()])
    return file.getvalue().encode("utf-8-sig")


def to_json(tables: Iterable[pa.Table], schema: pa.Schema) -> bytes:
    """A list of objects; UTC times as ISO text."""
    return json.dumps(list(_rows(tables)), indent=1, allow_nan=False).encode()


def to_parquet(tables: Iterable[pa.Table], schema: pa.Schema) -> bytes:
    """The tables one after the other, of this schema."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, schema) as writer:
        for table in tables:
            writer.write_table(table)
    return file.getvalue()


WRITERS: Final[Mapping[str, tuple[str, Writer]]] = {
    "csv": ("text/csv; charset=utf-8", to_csv),
    "semicolon.csv": ("text/csv; charset=utf-8", to_semicolon_csv),
    "json": ("application/json", to_json),
    "parquet": ("application/vnd.apache.parquet", to_parquet),
}


def as_file(kind: str, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> Response:
    """Rows as a file to keep, of this kind and name. Raises HTTPException for another kind."""
    if kind not in WRITERS:
        raise HTTPException(404)
    media, write = WRITERS[kind]
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(write(tables, schema), media_type=media, headers=disposition)


def _rows(tables: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        for row in table.to_pylist():
            yield {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in row.items()
            }
