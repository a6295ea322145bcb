"""Columns that files have and nothing uses: why, since which file, and how often they came."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from pm_app.records.readings import LeftColumn
from pm_app.store.database.connection import Database
from pm_app.store.rows import Source
from pm_app.store.schema.ledger import batches, left_columns


@dataclass(frozen=True)
class LeftColumnRow:
    """A column left out of files of a source, for the reason that the first of them gave.

    since and last: the names of the first and the newest file it came in.
    """

    source: Source
    name: str
    cause: str
    reason: str
    since: str
    last: str
    files: int


@dataclass(frozen=True, eq=False)
class LeftColumns:
    """Columns left out. Methods raise StoreUnavailable when a later call may succeed."""

    database: Database

    def indices(self) -> tuple[str, ...]:
        """Columns of readings that number rows, as files have told."""
        table = left_columns.c
        query = select(table.name).where(table.source == "readings", table.cause == "index")
        with self.database.reading() as connection:
            return tuple(connection.execute(query.order_by(table.name)).scalars())

    def rows(self) -> list[LeftColumnRow]:
        """Every column and cause, by source and name."""
        first, last, left = batches.alias(), batches.alias(), left_columns.c
        query = (
            select(left.source, left.name, left.cause, left.reason, first.c.name, last.c.name)
            .add_columns(left.files)
            .join_from(left_columns, first, first.c.sequence == left.first_sequence)
            .join(last, last.c.sequence == left.last_sequence)
            .order_by(left.source.desc(), left.name, left.cause)
        )
        with self.database.reading() as connection:
            return [LeftColumnRow(*row) for row in connection.execute(query)]


def new_left_columns(
    connection: Connection, source: Source, left: Sequence[LeftColumn]
) -> tuple[LeftColumn, ...]:
    """Those columns that are not noted for the same cause."""
    table = left_columns.c
    query = select(table.name, table.cause).where(table.source == source)
    noted = {tuple(row) for row in connection.execute(query)}
    return tuple(each for each in left if (each.name, each.cause) not in noted)


def note_left_columns(
    connection: Connection, source: Source, sequence: int, left: Sequence[LeftColumn]
) -> None:
    """Count the columns left out of one file, within a transaction."""
    if not left:
        return
    fresh = new_left_columns(connection, source, left)
    table, come = left_columns.c, {"last_sequence": sequence, "files": left_columns.c.files + 1}
    for each in left:
        key = and_(table.source == source, table.name == each.name, table.cause == each.cause)
        connection.execute(left_columns.update().where(key).values(come))
    for each in fresh:
        numbers = {"first_sequence": sequence, "last_sequence": sequence, "files": 1}
        row = {"source": source, "name": each.name, "cause": each.cause, "reason": each.reason}
        connection.execute(left_columns.insert().values(row | numbers))
