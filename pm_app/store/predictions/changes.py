"""Changes of predictions, page by page, for programs that come back for what is new."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, literal, or_, select, tuple_

from pm_app.store.database.connection import Database
from pm_app.store.dialects.table import insert_into
from pm_app.store.rows import PredictionRow
from pm_app.store.schema.predictions import (
    COMMIT_NUMBER,
    PREDICTION_COLUMNS,
    PREDICTION_KEY,
    counters,
    predictions,
)


@dataclass(frozen=True)
class ChangeCursor:
    """Where a page of predictions ends: the commit of its last row, and the row's key."""

    commit: int
    asset_id: str
    cutoff: datetime
    horizon_hours: float


@dataclass(frozen=True, eq=False)
class PredictionChanges:
    """Predictions in the order in which they were committed. Raises StoreUnavailable when a later
    call may succeed."""

    database: Database

    def assets(self, *, after: int) -> frozenset[str]:
        """The assets of which something was said by commits past that number."""
        query = select(predictions.c.asset_id).where(predictions.c[COMMIT_NUMBER] > after)
        if after >= 0:
            # What the index of numbers takes in.
            query = query.where(predictions.c[COMMIT_NUMBER] > literal(0, literal_execute=True))
        with self.database.reading() as connection:
            return frozenset(connection.execute(query.distinct()).scalars())

    def page(
        self,
        *,
        limit: int,
        after: ChangeCursor | None = None,
        asset: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[tuple[ChangeCursor, PredictionRow]]:
        """Current predictions by commit, then by key; each row with the cursor that follows it.

        after: the end of the page before. A row that is revised comes again, in its new place,
        so that who goes on from where they ended lacks nothing. since, until: cutoffs in
        [since, until).
        """
        number = predictions.c[COMMIT_NUMBER]
        # Rows from before commits were numbered have an index of their own: that of the key.
        parts = [number == 0, number > literal(0, literal_execute=True)]
        if after is not None and after.commit > 0:
            parts = parts[1:]
        query = _chosen(asset, since, until).order_by(*_PLACE)
        if after is not None:
            query = query.where(_beyond(after))
        found: list[Row[Any]] = []
        with self.database.reading() as connection:
            for part in parts:
                if len(found) < limit:
                    rest = query.where(part).limit(limit - len(found))
                    found += connection.execute(rest).all()
        return [_placed(row) for row in found]


_PLACE = tuple(predictions.c[name] for name in (COMMIT_NUMBER, *PREDICTION_KEY))


def _chosen(asset: str | None, since: datetime | None, until: datetime | None) -> Any:
    own = predictions.c
    query = select(own[COMMIT_NUMBER], *(own[name] for name in PREDICTION_COLUMNS))
    if asset is not None:
        query = query.where(own.asset_id == asset)
    if since is not None:
        query = query.where(own.cutoff >= since)
    return query if until is None else query.where(own.cutoff < until)


def _beyond(after: ChangeCursor) -> ColumnElement[bool]:
    number, *key = _PLACE
    last: Sequence[object] = (after.asset_id, after.cutoff, after.horizon_hours)
    bound = [literal(value, column.type) for value, column in zip(last, key, strict=True)]
    same = and_(number == after.commit, tuple_(*key) > tuple_(*bound))
    return or_(number > after.commit, same)


def _placed(row: Row[Any]) -> tuple[ChangeCursor, PredictionRow]:
    fields = row._asdict()
    commit = fields.pop(COMMIT_NUMBER)
    end = ChangeCursor(commit, *(fields[name] for name in PREDICTION_KEY))
    return end, PredictionRow(**fields)


PREDICTION_COMMITS: Final = "predictions"


def newest(connection: Connection, name: str) -> int:
    """The newest number of this name, 0 before the first."""
    return (
        connection.execute(select(counters.c.newest).where(counters.c.name == name)).scalar() or 0
    )


def advance(connection: Connection, name: str, number: int) -> None:
    """Make this the newest number, in the transaction that uses it. Writers come one at a time."""
    statement = insert_into(connection, counters).values(name=name, newest=number)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"newest": number})
    )
