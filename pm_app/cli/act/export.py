"""Results into files; predictions with exactly the columns of the table."""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, print_rows, say
from pm_app.durable import write_file
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA

MOST_TABLE_ROWS = 1000
# The columns that fit a terminal; exports have all.
_SHOWN = (
    "asset_id",
    "cutoff",
    "horizon_hours",
    "status",
    "risk",
    "rul_hours",
    "value",
    "top_sensors",
    "attention",
    "revision",
)


def export_predictions(tables: Iterator[pa.Table], kind: str, path: Path | None) -> None:
    """Write chunks of predictions as table, csv, json or parquet, one chunk in memory.

    A file is there whole or not at all. Raises BadSettings where kind and path do not go
    together or the path's folder is not there.
    """
    if kind == "parquet" and path is None:
        raise BadSettings("--format parquet needs --out FILE: it cannot go to a terminal")
    if kind == "table" and path is not None:
        raise BadSettings("--out takes --format csv, json or parquet, got table")
    if path is not None and (not path.parent.is_dir() or path.is_dir()):
        raise BadSettings(f"--out needs a file in a folder that is there, got {path}")
    if path is not None:
        write_file(path, lambda beside: _write(tables, kind, beside), mode=0o777)
    elif kind == "table":
        _print_table(tables)
    else:
        (_write_csv if kind == "csv" else _write_json)(tables, sys.stdout)


def export_text(text: str, path: Path) -> None:
    """A file with this text, there whole or not at all."""
    write_file(path, lambda beside: beside.write_text(text, encoding="utf-8"), mode=0o777)


def _write(tables: Iterator[pa.Table], kind: str, path: Path) -> None:
    if kind == "parquet":
        with pq.ParquetWriter(path, PREDICTIONS_SCHEMA) as writer:
            for table in tables:
                writer.write_table(table)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        (_write_csv if kind == "csv" else _write_json)(tables, file)


def _write_csv(tables: Iterator[pa.Table], file: TextIO) -> None:
    writer = csv.DictWriter(file, PREDICTIONS_SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    for table in tables:
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
    for table in tables:
        rows += table.slice(0, MOST_TABLE_ROWS - len(rows)).to_pylist()
        if len(rows) >= MOST_TABLE_ROWS:
            break
    said = [name for name in _SHOWN if any(row[name] is not None for row in rows)]
    print_rows([_short(row) for row in rows], said, as_json=False)
    if len(rows) >= MOST_TABLE_ROWS:
        sys.stderr.write(f"first {MOST_TABLE_ROWS} rows; --format csv writes all\n")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """For the eye: times to the minute, and nothing where nothing is said."""
    cutoff = row["cutoff"].strftime("%Y-%m-%d %H:%MZ")
    return {name: "" if value is None else value for name, value in row.items()} | {
        "cutoff": cutoff
    }


def export(
    delta: Annotated[
        str, typer.Option("--delta", help="A Delta table: a folder, or s3://bucket/table.")
    ],
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Append what was said since the last export to a Delta table, every revision once."""
    from pm_app.jobs.operations.lake import export_to_lake
    from pm_app.wiring import open_lake, open_views

    with open_views(read_settings(config)) as store:
        done = export_to_lake(store, open_lake(delta))
    if as_json:
        print_json(asdict(done))
    else:
        say(f"{done.rows:,} rows appended, up to commit {done.commit}")
