"""One state of a database in an SQLite file, and back from there into either kind of database."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select, text

from pm_app.durable import copy_file, make_folder
from pm_app.errors import TerminalError
from pm_app.store.database.connection import Database, connect
from pm_app.store.database.migrate import migrate
from pm_app.store.schema.predictions import batches, metadata, versions

ROWS_AT_ONCE: Final = 5000
# What an SQLite database consists of while it is open.
_PARTS: Final = ("", "-wal", "-shm", "-journal")


def save(database: Database, path: Path) -> None:
    """Write one state of a database, which others may be writing to, into a new SQLite file.

    Raises StoreUnavailable.
    """
    if database.dialect == "sqlite":
        with database.reading() as connection, closing(sqlite3.connect(path)) as target:
            # In one step: it sees one state, and writers go on in the write-ahead log.
            source: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # the pool does not know its kind
            source.backup(target)
    else:
        with closing(_Opened(f"sqlite:///{path.absolute()}")) as copy:
            migrate(copy.database)
            with copy.database.writing() as into, database.reading() as connection:
                _copy_tables(connection, into)
    with closing(sqlite3.connect(path)) as target:
        # The file alone is the database then, with no log beside it.
        target.execute("PRAGMA journal_mode = DELETE").close()


def load(saved: Path, url: str, *, folder: Path | None = None) -> None:
    """Put what `save` wrote where `url` leads: a place without a database, or an empty one.

    Raises TerminalError where there is one already, or `saved` is of a newer program.
    """
    with closing(_Opened(url, folder)) as place:
        if place.database.dialect == "sqlite":
            make_folder(Path(place.database.name).parent)
            copy_file(saved, Path(place.database.name))
            return
        with closing(_Opened(f"sqlite:///{saved.absolute()}")) as copy:
            _load_tables(copy.database, place.database)


def require_vacant(url: str, *, folder: Path | None = None) -> None:
    """Raises TerminalError where a restored database would replace one, StoreUnavailable."""
    with closing(_Opened(url, folder)) as place:
        database = place.database
        if database.dialect == "sqlite":
            there = [database.name + part for part in _PARTS if Path(database.name + part).exists()]
            if there:
                raise TerminalError(f"restore needs a place without a database, got {there[0]}")
        else:
            migrate(database)
            with database.reading() as connection:
                _require_empty(connection, database.name)


class _Opened:
    """A database that is let go of when this is closed."""

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self.database = connect(url, folder=folder)

    def close(self) -> None:
        """Let go of all connections; the log of an SQLite file is then folded into it."""
        self.database.engine.dispose()


def _load_tables(saved: Database, database: Database) -> None:
    migrate(database)
    with database.writing() as target, saved.reading() as source:
        _require_empty(target, database.name)
        _copy_tables(source, target)
        for table in metadata.sorted_tables:
            number = table.autoincrement_column
            if number is not None:
                newest = target.execute(select(func.max(number))).scalar()
                _count_on_from(target, f"'{table.name}', '{number.name}'", newest)


def _count_on_from(target: Connection, place: str, newest: int | None) -> None:
    if newest is not None:
        target.execute(text(f"SELECT setval(pg_get_serial_sequence({place}), {newest})"))


def _copy_tables(source: Connection, target: Connection) -> None:
    for table in metadata.sorted_tables:
        rows = source.execution_options(stream_results=True).execute(select(table))
        for part in rows.partitions(ROWS_AT_ONCE):
            target.execute(insert(table), [row._asdict() for row in part])


def _require_empty(connection: Connection, name: str) -> None:
    for table in (batches, versions):
        if connection.execute(select(func.count()).select_from(table)).scalar():
            raise TerminalError(f"restore needs an empty database, got {name} with {table.name}")
