"""Predictions into files: exactly the columns of the table."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.cli.output import print_rows
from pm_app.durable import write_file
from pm_app.errors import BadSettings

MOST_TABLE_ROWS = 1000


def export_predictions(tables: Iterator[pa.Table], kind: str, path: Path | None) -> None:
    """Write chunks of predictions as table, csv, json or parquet, one chunk in memory."""
    if kind == "parquet":
        if path is None:
            raise BadSettings("--format parquet needs --out FILE: it cannot go to a terminal")
        write_file(path, lambda beside: _write_parquet(tables, beside))
    elif kind == "table":
        _print_table(tables)
    else:
        with _opened(path) as file:
            (_write_csv if kind == "csv" else _write_json)(tables, file)


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        yield file


def _write_parquet(tables: Iterator[pa.Table], path: Path) -> None:
    writer = None
    for table in tables:
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is None:
        raise BadSettings("there are no predictions to write")
    writer.close()


def _write_csv(tables: Iterator[pa.Table], file: TextIO) -> None:
    writer = None
    for table in tables:
        if writer is None:
            writer = csv.DictWriter(file, table.column_names, lineterminator="\n")
            writer.writeheader()
        writer.writerows(_plain(row) for row in table.to_pylist())


def _write_json(tables: Iterator[pa.Table], file: TextIO) -> None:
    opening = "["
    for table in tables:
        for row in table.to_pylist():
            file.write(f"{opening}\n{json.dumps(_plain(row))}")
            opening = ","
    file.write("[]\n" if opening == "[" else "\n]\n")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }


def _print_table(tables: Iterator[pa.Table]) -> None:
    rows: list[dict[str, Any]] = []
    columns: list[str] = []
    for table in tables:
        columns = table.column_names
        rows += table.slice(0, MOST_TABLE_ROWS - len(rows)).to_pylist()
        if len(rows) >= MOST_TABLE_ROWS:
            break
    print_rows([_plain(row) for row in rows], columns, as_json=False)
    if len(rows) >= MOST_TABLE_ROWS:
        sys.stderr.write(f"first {MOST_TABLE_ROWS} rows; --format csv writes all\n")
