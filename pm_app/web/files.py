"""Rows of the fleet as CSV, JSON or Parquet."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.store import FleetRow
from pm_app.store.views import PREDICTIONS_SCHEMA

FLEET_SCHEMA: Final = PREDICTIONS_SCHEMA.append(pa.field("level", pa.string())).append(
    pa.field("alarm", pa.string())
)
# A cell that begins so is a formula to a spreadsheet, and names of assets come from files.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def to_csv(rows: Sequence[FleetRow]) -> bytes:
    """A header and a line a row; UTC times; text that a spreadsheet would run is quoted by '."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, FLEET_SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in _plain(row).items()})
    return file.getvalue().encode()


def to_json(rows: Sequence[FleetRow]) -> bytes:
    """A list of objects; UTC times as ISO text."""
    return json.dumps([_plain(row) for row in rows], indent=1, allow_nan=False).encode()


def to_parquet(rows: Sequence[FleetRow]) -> bytes:
    """FLEET_SCHEMA: the columns of the predictions table, then level and alarm."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], FLEET_SCHEMA), file)
    return file.getvalue()


WRITERS: Final[Mapping[str, tuple[str, Callable[[Sequence[FleetRow]], bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", to_csv),
    "json": ("application/json", to_json),
    "parquet": ("application/vnd.apache.parquet", to_parquet),
}


def _plain(row: FleetRow) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in ((name, getattr(row, name)) for name in FLEET_SCHEMA.names)
    }


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
