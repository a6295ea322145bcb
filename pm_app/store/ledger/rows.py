"""Rows of the ledger as records, and records as rows."""

from dataclasses import asdict
from typing import Any

import pyarrow as pa
from sqlalchemy import Column, Connection, MetaData, Row, Table, case, or_, select, true

from pm_app.records.readings import AssetSpans
from pm_app.store.database.connection import columns_as_stored
from pm_app.store.dialects.table import CLUSTERED, dialect_of, insert_into
from pm_app.store.rows import LEFT_NAMED, BatchRow, Source
from pm_app.store.schema.ledger import CARRY, MAY_COME_AGAIN, batches
from pm_app.store.schema.predictions import assets
from pm_app.store.schema.types import ASSET, Moment, moment_array


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


# Laid down before they are merged; never seen by another connection.
_staged_spans = Table(
    "staged_spans",
    MetaData(),
    Column("asset_id", ASSET, primary_key=True),
    Column("first_time", Moment, nullable=False),
    Column("last_time", Moment, nullable=False),
    prefixes=["TEMPORARY"],
    **CLUSTERED,
)


def widen_spans(connection: Connection, spans: AssetSpans) -> None:
    """Make room for these first and last times of readings, within a transaction."""
    if not spans.assets:
        return
    dialect, columns = dialect_of(connection), _staged_spans.columns.keys()
    times = (dialect.stored_moments(each) for each in (spans.first, spans.last))
    _staged_spans.create(connection, checkfirst=False)
    rows = zip(spans.assets, *times, strict=True)
    dialect.insert_rows(connection, _staged_spans.name, columns, rows)
    # SQLite reads "FROM t ON CONFLICT" as a join without a condition.
    rows_staged = select(_staged_spans).where(true())
    statement = insert_into(connection, assets).from_select(columns, rows_staged)
    new, old = statement.excluded, assets.c
    earlier, later = new.first_time < old.first_time, new.last_time > old.last_time
    widened = statement.on_conflict_do_update(
        index_elements=["asset_id"],
        set_={
            "first_time": case((earlier, new.first_time), else_=old.first_time),
            "last_time": case((later, new.last_time), else_=old.last_time),
        },
        where=or_(earlier, later),
    )
    connection.execute(widened)
    _staged_spans.drop(connection, checkfirst=False)


def spans_seen(connection: Connection) -> AssetSpans:
    """The times of each asset's first reading ever and of its newest one."""
    moment = dialect_of(connection).arrow_moment
    query = select(assets.c.asset_id, moment(assets.c.first_time), moment(assets.c.last_time))
    names, *columns = columns_as_stored(connection, query.order_by(assets.c.asset_id))
    kind = pa.timestamp("us", tz="UTC")
    first, last = (moment_array(each, kind).cast(pa.int64()).to_numpy() for each in columns)
    return AssetSpans(names, 1000 * first, 1000 * last)
