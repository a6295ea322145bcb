"""Backup and restore: one state of a database in a file, and from there into any dialect."""

from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select

from pm_app.durable import copy_file, make_folder
from pm_app.errors import StoreUnavailable, TerminalError
from pm_app.store.database.connection import Database, connect
from pm_app.store.database.migrate import migrate
from pm_app.store.dialects.portable import PORTABLE, file_url, fold_log
from pm_app.store.dialects.untrusted import copy_own_tables, revision_of
from pm_app.store.schema.predictions import batches, metadata, versions

ROWS_AT_ONCE: Final = 5000


def save(database: Database, path: Path) -> None:
    """Write one state of a database, which others may be writing to, into a new SQLite file.

    Raises StoreUnavailable.
    """
    file = database.dialect.file
    if file is not None:
        with database.reading() as connection:
            file.snapshot(connection, path)
    else:
        with closing(_created(path)) as copy:
            migrate(copy.database)
            with copy.database.writing() as into, database.reading() as connection:
                _copy_tables(connection, into)
    fold_log(path)


def load(saved: Path, url: str, *, folder: Path | None = None) -> None:
    """Put what `save` wrote where `url` leads: a place without a database, or an empty one.

    Raises TerminalError where there is one already, or `saved` is of a newer program.
    """
    with closing(_Opened(url, folder)) as place:
        if place.database.dialect.file is not None:
            make_folder(Path(place.database.name).parent)
            copy_file(saved, Path(place.database.name))
            return
        with closing(_Opened(file_url(saved))) as copy:
            _load_tables(copy.database, place.database)


def require_vacant(url: str, *, folder: Path | None = None) -> None:
    """Raises TerminalError where a restored database would replace one, StoreUnavailable."""
    with closing(_Opened(url, folder)) as place:
        database = place.database
        file = database.dialect.file
        if file is not None:
            existing = file.existing(Path(database.name))
            if existing:
                raise TerminalError(f"restore needs a place without a database, got {existing[0]}")
        else:
            migrate(database)
            with database.reading() as connection:
                _require_empty(connection, database.name)


def copy_store_file(saved: Path, path: Path) -> tuple[str, ...]:
    """Copy the tables and columns that are ours out of a saved database into a new file.

    Whoever wrote `saved` may be a stranger: no view, trigger, index or other table of it comes
    along, and nothing of it is run. Returns what was left out. The copy has the newest schema.
    Raises TerminalError where a table is not as its schema says.
    """
    revision = revision_of(saved)
    with closing(_created(path)) as place:
        database = place.database
        migrate(database, revision)
        try:
            with database.writing(attached=saved) as connection:
                left_out = copy_own_tables(connection)
        except StoreUnavailable as error:
            raise TerminalError(str(error)) from error
        migrate(database)
    fold_log(path)
    return left_out


class _Opened:
    """A database that is let go of when this is closed."""

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self.database = connect(url, folder=folder)

    def close(self) -> None:
        """Let go of all connections; the log of an SQLite file is then folded into it."""
        self.database.engine.dispose()


def _created(path: Path) -> _Opened:
    """A new and empty file, opened."""
    if PORTABLE.file is not None:
        PORTABLE.file.create(path)
    return _Opened(file_url(path))


def _load_tables(saved: Database, database: Database) -> None:
    migrate(database)
    with database.writing() as target, saved.reading() as source:
        _require_empty(target, database.name)
        _copy_tables(source, target)
        for table in metadata.sorted_tables:
            number = table.autoincrement_column
            if number is not None:
                newest = target.execute(select(func.max(number))).scalar()
                if newest is not None:
                    database.dialect.count_on_from(target, table.name, number.name, newest)


def _copy_tables(source: Connection, target: Connection) -> None:
    for table in metadata.sorted_tables:
        rows = source.execution_options(stream_results=True).execute(select(table))
        for part in rows.partitions(ROWS_AT_ONCE):
            target.execute(insert(table), [row._asdict() for row in part])


def _require_empty(connection: Connection, name: str) -> None:
    for table in (batches, versions):
        if connection.execute(select(func.count()).select_from(table)).scalar():
            raise TerminalError(f"restore needs an empty database, got {name} with {table.name}")
