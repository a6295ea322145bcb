"""Ledger pages: delivered files page by page, what was refused, assets that are silent."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import pyarrow as pa
from sqlalchemy import ColumnElement, Row, and_, func, or_, select

from pm_app.store.database.connection import Database
from pm_app.store.ledger.rows import row_of
from pm_app.store.rows import BatchRow
from pm_app.store.schema.ledger import INGESTED, QUARANTINED, assets, batches
from pm_app.store.schema.predictions import latest_predictions

LedgerFilter = Literal["all", "refused", "quarantined"]
_UTC: Final = pa.timestamp("us", tz="UTC")
# The ledger as people read it: which segments carry a batch is the program's own business.
BATCHES_SCHEMA: Final = pa.schema(
    [
        ("sequence", pa.int64()),
        ("source", pa.string()),
        ("name", pa.string()),
        ("status", pa.string()),
        ("rows", pa.int64()),
        ("rejected", pa.int64()),
        ("reason", pa.string()),
        ("first_time", _UTC),
        ("last_time", _UTC),
        ("ingested_at", _UTC),
        ("scored_at", _UTC),
        ("size_bytes", pa.int64()),
        ("digest", pa.string()),
        ("left_columns", pa.string()),
    ]
)


@dataclass(frozen=True)
class SilentAsset:
    """An asset of which no reading has come since then."""

    asset_id: str
    last_time: datetime


@dataclass(frozen=True, eq=False)
class LedgerPages:
    """The ledger and the assets it tells of. Methods raise StoreUnavailable when a later call
    may succeed."""

    database: Database

    def page(self, show: LedgerFilter, *, limit: int, before: int | None = None) -> list[BatchRow]:
        """Files newest first, from the one before this sequence on.

        "refused" are those of which something was refused: the whole file, or some rows.
        """
        query = select(batches).where(*_chosen(show, before)).order_by(batches.c.sequence.desc())
        with self.database.reading() as connection:
            return [row_of(found) for found in connection.execute(query.limit(limit))]

    def tables(self, show: LedgerFilter, *, rows_per_chunk: int = 20_000) -> Iterator[pa.Table]:
        """The same as tables of BATCHES_SCHEMA, all of them, newest first."""
        columns = [batches.c[name] for name in BATCHES_SCHEMA.names]
        query = select(*columns).where(*_chosen(show, None)).order_by(batches.c.sequence.desc())
        with self.database.reading() as connection:
            streamed = connection.execution_options(stream_results=True).execute(query)
            for rows in streamed.partitions(rows_per_chunk):
                named = [
                    row._asdict() | {"left_columns": ", ".join(row.left_columns)} for row in rows
                ]
                yield pa.Table.from_pylist(named, BATCHES_SCHEMA)

    def newest(self) -> BatchRow | None:
        """The file of readings that was taken in last, None without any."""
        newest = and_(batches.c.source == "readings", INGESTED)
        query = select(batches).where(newest).order_by(batches.c.sequence.desc()).limit(1)
        with self.database.reading() as connection:
            found = connection.execute(query).first()
        return None if found is None else row_of(found)

    def newest_scored(self) -> datetime | None:
        """When the newest file of readings that is scored was; None without any."""
        query = (
            select(batches.c.scored_at)
            .where(batches.c.source == "readings", INGESTED, batches.c.scored_at.is_not(None))
            .order_by(batches.c.sequence.desc())
            .limit(1)
        )
        with self.database.reading() as connection:
            return connection.execute(query).scalar()

    def silent(self, since: datetime, *, limit: int) -> list[SilentAsset]:
        """Assets without a reading since then, the longest silence first."""
        query = (
            select(assets.c.asset_id, assets.c.last_time)
            .where(assets.c.last_time < since)
            .order_by(assets.c.last_time, assets.c.asset_id)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [SilentAsset(*row) for row in connection.execute(query)]

    def count_silent(self, since: datetime) -> tuple[int, int]:
        """How many assets had no reading since then, and how many there are."""
        query = select(func.count()).select_from(assets)
        with self.database.reading() as connection:
            silent: int = connection.execute(query.where(assets.c.last_time < since)).scalar_one()
            total: int = connection.execute(query).scalar_one()
        return silent, total

    def statuses(self) -> dict[str, int]:
        """How many assets are judged ("scored") at their newest cutoff, or why they are not."""
        latest = latest_predictions.c
        place = func.row_number().over(
            partition_by=latest.asset_id,
            order_by=(latest.cutoff.desc(), latest.horizon_hours.desc()),
        )
        newest = select(latest.status, place.label("place")).subquery()
        query = (
            select(newest.c.status, func.count())
            .where(newest.c.place == 1)
            .group_by(newest.c.status)
        )
        with self.database.reading() as connection:
            found: list[Row[Any]] = list(connection.execute(query))
        return {status: count for status, count in sorted(map(tuple, found))}


def _chosen(show: LedgerFilter, before: int | None) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if show == "quarantined":
        chosen.append(QUARANTINED)
    if show == "refused":
        chosen.append(or_(QUARANTINED, batches.c.rejected > 0))
    if before is not None:
        chosen.append(batches.c.sequence < before)
    return chosen
