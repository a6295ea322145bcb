"""`pm-app predictions`: predictions as a table or a file; the newest one of each asset."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_time, require_asset
from pm_app.cli.output import print_rows, talk
from pm_app.durable import write_file
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA
from pm_app.wording import (
    STATUS_WORDS,
    age_text,
    deviation_text,
    drivers_text,
    extrapolated_text,
    life_text,
    mode_text,
    outdated_text,
    percent_text,
    semicolon_cell,
    spreadsheet_cell,
    time_text,
)

if TYPE_CHECKING:
    from pm_app.store import Store

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
    "mode",
    "top_sensors",
    "deviation",
    "deviation_sensors",
    "attention",
    "revision",
)


_DEVIATION = ("deviation", "deviation_sensors")


class Format(StrEnum):
    """How predictions are written."""

    table = "table"
    csv = "csv"
    semicolon = "csv-semicolon"
    json = "json"
    parquet = "parquet"


def predictions(
    config: PlantOption = PLANT,
    latest: Annotated[bool, typer.Option("--latest", help="One line an asset.")] = False,
    asset: Annotated[str | None, typer.Option(metavar="NAME", help="Only this asset.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only cutoffs from then on, e.g. 2026-01-31T14:00."),
    ] = None,
    format: Annotated[Format, typer.Option(help="How to write them.")] = Format.table,
    file: Annotated[Path | None, typer.Option("--out", help="Into this file.")] = None,
    peaks: Annotated[
        bool, typer.Option("--peaks", help="Of days that retention deleted, the riskiest cutoff.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Predictions: every one, or the newest of each asset, riskiest first."""
    from pm_app.wiring import open_views

    settings = read_settings(config)
    kind = Format.json if as_json else format
    start = parse_time(since, "--since", zone=settings.plant.timezone)
    if latest and start is not None:
        raise BadSettings("--since goes with all predictions, --latest shows the newest only")
    if peaks and (latest or start is not None or file is not None):
        raise BadSettings("--peaks takes --asset and --json, nothing else")
    with open_views(settings) as store:
        # Programs are answered without rows.
        if asset is not None and kind is Format.table:
            require_asset(store, asset)
        if peaks:
            _print_peaks(store, asset, as_json=kind is Format.json)
        elif not latest:
            found = store.tables.predictions(asset=asset, since=start)
            export_predictions(found, kind.value, file, zone=settings.plant.timezone)
        elif kind is Format.table and file is None:
            _print_latest(store.tables.latest_predictions(asset=asset), settings.target.cap_hours)
        else:
            export_predictions(
                iter([store.tables.latest_predictions(asset=asset)]), kind.value, file
            )


def _print_peaks(store: "Store", asset: str | None, *, as_json: bool) -> None:
    rows = [asdict(row) for row in store.retention.peaks(asset=asset)]
    columns = ["asset_id", "day", "horizon_hours", "risk", "cutoff", "top_sensors"]
    columns += [name for name in _DEVIATION if any(row[name] is not None for row in rows)]
    print_rows(rows, columns, as_json=as_json)


def _print_latest(table: pa.Table, cap_hours: float) -> None:
    if table.num_rows:
        rows = latest_rows(table, now=now(), cap_hours=cap_hours)
        print_rows(rows, latest_columns(table))
    else:
        talk.print("no predictions yet: pm-app score makes them")


def export_predictions(
    tables: Iterator[pa.Table], kind: str, path: Path | None, *, zone: str = "UTC"
) -> None:
    """Write chunks of predictions as table, csv, json or parquet, one chunk in memory.

    zone: of the times in a table; files and JSON have them in UTC.

    A file is there whole or not at all. Raises BadSettings where kind and path do not go
    together or the path's folder is not there.
    """
    if kind == "parquet" and path is None:
        raise BadSettings("--format parquet needs --out FILE: it cannot go to a terminal")
    if kind == "table" and path is not None:
        raise BadSettings("--out takes --format csv, csv-semicolon, json or parquet, got table")
    if path is not None and (not path.parent.is_dir() or path.is_dir()):
        raise BadSettings(f"--out needs a file in a folder that is there, got {path}")
    if path is not None:
        write_file(path, lambda beside: _write(tables, kind, beside), mode=0o777)
    elif kind == "table":
        _print_table(tables, zone)
    else:
        _WRITERS[kind](tables, sys.stdout)


def _write(tables: Iterator[pa.Table], kind: str, path: Path) -> None:
    if kind == "parquet":
        with pq.ParquetWriter(path, PREDICTIONS_SCHEMA) as writer:
            for table in tables:
                writer.write_table(table)
        return
    # Excel takes UTF-8 for it by the mark alone.
    encoding = "utf-8-sig" if kind == "csv-semicolon" else "utf-8"
    with path.open("w", encoding=encoding, newline="") as file:
        _WRITERS[kind](tables, file)


def _write_csv(tables: Iterator[pa.Table], file: TextIO) -> None:
    writer = csv.DictWriter(file, PREDICTIONS_SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for row in table.to_pylist():
            cells = {name: spreadsheet_cell(value) for name, value in _plain(row).items()}
            writer.writerow(cells)


def _write_semicolon_csv(tables: Iterator[pa.Table], file: TextIO) -> None:
    writer = csv.writer(file, delimiter=";", lineterminator="\n")
    writer.writerow(PREDICTIONS_SCHEMA.names)
    for table in tables:
        for row in table.to_pylist():
            writer.writerow([semicolon_cell(row[name]) for name in PREDICTIONS_SCHEMA.names])


def _write_json(tables: Iterator[pa.Table], file: TextIO) -> None:
    opening = "["
    for table in tables:
        for row in table.to_pylist():
            file.write(f"{opening}\n{json.dumps(_plain(row))}")
            opening = ","
    file.write("[]\n" if opening == "[" else "\n]\n")


_WRITERS: Final[Mapping[str, Callable[[Iterator[pa.Table], TextIO], None]]] = {
    "csv": _write_csv,
    "csv-semicolon": _write_semicolon_csv,
    "json": _write_json,
}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }


def _print_table(tables: Iterator[pa.Table], zone: str) -> None:
    rows: list[dict[str, Any]] = []
    for table in tables:
        rows += table.slice(0, MOST_TABLE_ROWS - len(rows)).to_pylist()
        if len(rows) >= MOST_TABLE_ROWS:
            break
    columns = [name for name in _SHOWN if any(row[name] is not None for row in rows)]
    cutoffs = [{"cutoff": time_text(row["cutoff"], zone)} for row in rows]
    shown = [row | cutoff for row, cutoff in zip(rows, cutoffs, strict=True)]
    print_rows(shown, columns, title="" if rows else "predictions")
    if len(rows) >= MOST_TABLE_ROWS:
        sys.stderr.write(f"first {MOST_TABLE_ROWS} rows; --format csv writes all\n")


def latest_rows(table: pa.Table, *, now: datetime, cap_hours: float) -> list[dict[str, Any]]:
    """One row an asset from `latest_predictions`, the riskiest at the longest horizon first, then
    the most unusual."""
    by_asset: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        by_asset.setdefault(row["asset_id"], []).append(row)
    rows = [_asset_row(rows, now, cap_hours) for rows in by_asset.values()]
    return sorted(rows, key=lambda row: (-row["order"], -row["unusual"], row["asset"]))


def latest_columns(table: pa.Table) -> list[str]:
    """Column names of `latest_rows` in their order."""
    horizons = sorted(set(table.column("horizon_hours").to_pylist()))
    any_deviation = table.column("deviation").null_count < len(table)
    unusual = ["deviation", "deviates by"] if any_deviation else []
    if horizons == [0.0]:
        return ["asset", "risk", "value", "driven by", *unusual, "attention", "note"]
    risks = [_risk_name(hours) for hours in horizons]
    modes = ["mode"] if table.column("mode").null_count < len(table) else []
    more = [*modes, "driven by", *unusual, "attention", "data age", "note"]
    return ["asset", *risks, "life left", *more]


def _asset_row(rows: Sequence[dict[str, Any]], now: datetime, cap: float) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: row["horizon_hours"])
    longest = rows[-1]
    shown: dict[str, Any] = {
        "asset": longest["asset_id"],
        "order": longest["risk"] if longest["risk"] is not None else -1.0,
        "life left": _life_text(longest, cap),
        "value": "" if longest["value"] is None else f"{longest['value']:.4g}",
        "mode": mode_text(longest["mode"], longest["risk"]),
        "driven by": drivers_text(longest["top_sensors"], longest["risk"]),
        "deviation": deviation_text(longest["deviation"]),
        "deviates by": longest["deviation_sensors"] or "",
        "unusual": longest["deviation"] or 0.0,
        "attention": longest["attention"],
        "data age": age_text((now - longest["cutoff"]).total_seconds()),
        "note": STATUS_WORDS[longest["status"]] or extrapolated_text(longest["extrapolated"]),
    }
    ends = longest["cutoff"] + timedelta(hours=longest["horizon_hours"])
    if longest["status"] == "scored" and longest["horizon_hours"] and ends < now:
        age = (now - longest["cutoff"]).total_seconds()
        shown["note"] = f"outdated: {outdated_text(age, longest['horizon_hours'])}"
        shown["order"] -= 1.0
    for row in rows:
        shown[_risk_name(row["horizon_hours"])] = percent_text(row["risk"])
    return shown


def _risk_name(hours: float) -> str:
    return "risk" if hours == 0 else f"risk {hours:g} h"


def _life_text(row: dict[str, Any], cap: float) -> str:
    bounds = row["rul_low_hours"], row["rul_high_hours"]
    return life_text(row["rul_hours"], *bounds, cap_hours=cap)
