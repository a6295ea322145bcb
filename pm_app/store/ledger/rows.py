"""Rows of the ledger as records, and records as rows."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from pm_app.store.rows import LEFT_NAMED, BatchRow, Source
from pm_app.store.schema.ledger import CARRY, MAY_COME_AGAIN, batches
from pm_app.store.schema.predictions import assets


def same_file(connection: Connection, batch: BatchRow) -> int | None:
    """The sequence of this very file, None where it is not noted."""
    keys = ("source", "name", "digest", "size_bytes", "modified_ns")
    same = [batches.c[key] == getattr(batch, key) for key in keys]
    same.append(~MAY_COME_AGAIN)
    return connection.execute(select(batches.c.sequence).where(*same)).scalars().first()


def first_of_digest(connection: Connection, source: Source, digest: str) -> BatchRow | None:
    """The file that first brought this content, None where it is new."""
    same = (batches.c.source == source) & (batches.c.digest == digest)
    found = connection.execute(select(batches).where(same, CARRY)).first()
    return None if found is None else row_of(found)


def values_of(batch: BatchRow) -> dict[str, Any]:
    """The columns of a row that are not the store's to set."""
    values = asdict(batch)
    del values["sequence"], values["scored_at"], values["settled"]
    named = list(batch.left_columns[:LEFT_NAMED])
    return {**values, "segments": list(batch.segments), "left_columns": named}


def values_of_duplicate(batch: BatchRow, first: BatchRow) -> dict[str, Any]:
    """The columns of a row whose content another brought before."""
    return {
        **values_of(batch),
        "status": "duplicate",
        "reason": batch.reason or f"same content as {first.name}",
        "rows": 0,
        "segments": [],
    }


def row_of(found: Row[Any]) -> BatchRow:
    """A row as a record."""
    values = found._asdict()
    lists = {name: tuple(values[name]) for name in ("segments", "left_columns")}
    return BatchRow(**{**values, **lists})


_NAMES_PER_STATEMENT = 500


def widen_spans(connection: Connection, spans: Mapping[str, tuple[datetime, datetime]]) -> None:
    """Make room for these first and last times, within a transaction."""
    names = sorted(spans)
    for start in range(0, len(names), _NAMES_PER_STATEMENT):
        part = names[start : start + _NAMES_PER_STATEMENT]
        found = connection.execute(select(assets).where(assets.c.asset_id.in_(part)))
        recorded = {row.asset_id: (row.first_time, row.last_time) for row in found}
        fresh = [_row(name, spans[name]) for name in part if name not in recorded]
        if fresh:
            connection.execute(assets.insert(), fresh)
        for name, (first, last) in recorded.items():
            wider = min(first, spans[name][0]), max(last, spans[name][1])
            if wider != (first, last):
                statement = assets.update().where(assets.c.asset_id == name)
                connection.execute(statement.values(first_time=wider[0], last_time=wider[1]))


def _row(name: str, span: tuple[datetime, datetime]) -> dict[str, object]:
    return {"asset_id": name, "first_time": span[0], "last_time": span[1]}
