"""Columns that are left out by their name or type, and index columns of pandas."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa

from connectors.columns.values import (
    LONGEST_NAME,
    holds_texts,
    is_numeric,
    is_text,
    plain_type,
    why_no_name,
)
from pm_app.records.readings import LeftColumn, is_row_number
from pm_app.settings.sources import matches_any

_PANDAS = b"pandas"


def index_columns(schema: Any) -> frozenset[str]:
    """Columns of this schema in which pandas kept the index of its rows.

    The schema's metadata names them (pandas, developer documentation, "Storing pandas
    DataFrame objects in Apache Parquet format"); names that pandas gives an index without one
    are known where other programs wrote the file again and dropped the metadata.
    """
    named = set(_named_in((schema.metadata or {}).get(_PANDAS, b"{}")))
    numbered = {name for name in schema.names if is_row_number(name)}
    return frozenset(numbered | named.intersection(schema.names))


def _named_in(metadata: bytes) -> Iterator[str]:
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError):
        return
    indices = found.get("index_columns") if isinstance(found, dict) else None
    for index in indices if isinstance(indices, list) else ():
        name = index.get("name") if isinstance(index, dict) else index
        if isinstance(name, str):
            yield name


def leave(
    field: Any,
    ignore: Sequence[str],
    *,
    indices: frozenset[str],
    learned: Collection[str] = (),
) -> LeftColumn | None:
    """Why a column is no sensor, whatever its values are; None where it is, or they decide.

    learned: sensors that versions learned from.
    """
    name, kind = field.name, plain_type(field.type)
    if matches_any(name, ignore):
        return LeftColumn(name, "is ignored by the settings", "settings")
    unfit = why_no_name(name)
    if unfit:
        shown = repr(name[:LONGEST_NAME])[1:-1] or "(without a name)"
        return LeftColumn(shown, f"has a name that {unfit}", "name")
    if name in indices:
        why = "numbers the rows (an index of pandas) and measures nothing"
        if name in learned:
            why = f"{why}; read for versions that learned from it, and no later one will"
            return LeftColumn(name, why, "index")
        return LeftColumn(name, f"{why}; if it does, name it in readings.sensors", "index")
    if pa.types.is_null(kind):
        return LeftColumn(name, "holds no value", "empty")
    if is_numeric(kind) or holds_texts(kind):
        return None
    return LeftColumn(name, f"is {kind}; {_remedy(kind)}", "kind")


def _remedy(kind: Any) -> str:
    types = pa.types
    if types.is_duration(kind):
        return "a sensor of durations is written as numbers, such as seconds"
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind):
        return "a moment is no measurement"
    if types.is_nested(kind):
        return "a sensor has one number a row: write each in a column of its own"
    if is_text(kind):
        return "bytes are no numbers: write numbers, or text"
    return "a sensor holds numbers"


def unused(field: Any, ignore: Sequence[str], *, indices: frozenset[str], what: str) -> LeftColumn:
    """A column for which a format has no place. what: what is read in that format."""
    why = leave(field, ignore, indices=indices)
    if why is not None and why.cause in ("settings", "name"):
        return why
    if why is not None and why.cause == "index":
        return LeftColumn(field.name, "numbers the rows (an index of pandas)", "index")
    return LeftColumn(field.name, f"is none of the columns that {what} are read from", "unused")
