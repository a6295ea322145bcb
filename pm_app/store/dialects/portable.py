"""Portable files: SQLite databases in which backups and staged predictions travel, whatever the
dialect of the store is."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from pm_app.errors import TransientError
from pm_app.store.dialects.sqlite import SQLITE, insert_text, unchanging_address

PORTABLE: Final = SQLITE


def file_url(path: Path) -> str:
    """The address of a database in this file."""
    return f"sqlite:///{path.absolute()}"


def fold_log(path: Path) -> None:
    """Let the file alone be the database, with no log beside it."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = DELETE").close()


def write_table_file(
    path: Path,
    table: Table,
    columns: Sequence[str],
    parts: Iterable[Iterable[tuple[object, ...]]],
) -> None:
    """Write a new file with one table, filled with rows of stored values, some at a time.

    Whoever dies here leaves a file that nobody asks for. Raises sqlite3.Error, which
    `write_errors` translates.
    """
    # One process writes it, and then others read: locks, which folders that are shared over
    # a network may not have, are not needed.
    alone = f"{path.absolute().as_uri()}?nolock=1"
    with closing(sqlite3.connect(alone, uri=True, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = OFF").close()
        file.execute("PRAGMA synchronous = OFF").close()
        file.execute(str(CreateTable(table).compile(dialect=sqlite.dialect()))).close()
        file.execute("BEGIN").close()
        for rows in parts:
            file.executemany(insert_text(table.name, columns), rows).close()
        file.execute("COMMIT").close()


@contextmanager
def reading_table_file(
    path: Path, table: str, columns: Sequence[str]
) -> Iterator[Iterable[tuple[object, ...]]]:
    """The rows of such a file. Raises TransientError where it cannot be read."""
    try:
        with closing(sqlite3.connect(unchanging_address(path), uri=True)) as file:
            yield file.execute(f"SELECT {', '.join(columns)} FROM {table}")
    except sqlite3.Error as error:
        raise TransientError(f"{path}: cannot be read: {error}") from error


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raises TransientError where the system refuses to write a file, in SQLite's words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TransientError(f"{path}: cannot be written: {error}") from error
