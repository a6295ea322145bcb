"""Predictions laid down before they are merged: in a temporary table, or in a file.

A file is a database of SQLite's with one table. Whoever scores elsewhere fills it, and the one
writer of the store then has nothing left to do but merge it.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Join, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.compiler import SQLCompiler

from pm_app.durable import write_file
from pm_app.errors import TransientError
from pm_app.records.predictions import Predictions
from pm_app.records.readings import Float64
from pm_app.store.schema.predictions import (
    PREDICTION_KEY,
    PREDICTION_VALUES,
    brought_predictions,
    staged_predictions,
)
from pm_app.store.schema.types import stored_moments

ROWS_PER_INSERT: Final = 20_000
STAGED: Final = (*PREDICTION_KEY, *PREDICTION_VALUES)
_NUMBERS: Final = ("risk", "rul_hours", "rul_low_hours", "rul_high_hours", "value")
_NAMES: Final = ", ".join(STAGED)
_INSERT: Final = (
    f"INSERT INTO staged_predictions ({_NAMES}) VALUES ({', '.join('?' * len(STAGED))})"
)
_COPY: Final = f"COPY staged_predictions ({_NAMES}) FROM STDIN"


class StagedJoin(Join):
    """Rows laid down, each beside what it finds in another table.

    SQLite knows the sizes of neither, and may read all of a table that has grown for years to
    find in it the few rows that were laid down. A CROSS JOIN keeps to the order written.
    """

    inherit_cache = True


@compiles(StagedJoin, "sqlite")
def _in_order(join: StagedJoin, compiler: SQLCompiler, **options: Any) -> str:
    written: str = compiler.visit_join(join, **options)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return written.replace(" JOIN ", " CROSS JOIN ", 1)


def write_staged(path: Path, chunks: Iterable[Predictions]) -> str:
    """Lay predictions down in a new file, durable when this returns the SHA-256 of its bytes.

    Memory is that of a chunk. A key must not come twice. Raises TransientError where the file
    cannot be written, and what `chunks` raises.
    """

    def fill(beside: Path) -> None:
        # One process writes it, and then others read: locks, which folders that are shared over
        # a network may not have, are not needed.
        alone = f"{beside.absolute().as_uri()}?nolock=1"
        with (
            _told(path, "written", sqlite3.OperationalError),
            closing(sqlite3.connect(alone, uri=True, isolation_level=None)) as file,
        ):
            # Whoever dies here leaves a file that nobody asks for.
            file.execute("PRAGMA journal_mode = OFF").close()
            file.execute("PRAGMA synchronous = OFF").close()
            create = CreateTable(brought_predictions).compile(dialect=sqlite.dialect())
            file.execute(str(create)).close()
            file.execute("BEGIN").close()
            for chunk, rows in _pieces(chunks):
                file.executemany(_INSERT, _rows(chunk, rows, "sqlite")).close()
            file.execute("COMMIT").close()

    write_file(path, fill)
    return _digest(path)


def require_whole(path: Path, digest: str) -> None:
    """Raises TransientError where the file is not the one that `write_staged` left."""
    try:
        found = _digest(path)
    except OSError as error:
        raise TransientError(f"{path}: cannot be read: {error.strerror or error}") from error
    if found != digest:
        raise TransientError(f"{path}: damaged: its SHA-256 is {found}, {digest} was written")


def stage(connection: Connection, chunks: Iterable[Predictions]) -> None:
    """Lay predictions down in a temporary table of this connection."""
    _begin(connection)
    for chunk, rows in _pieces(chunks):
        columns = _rows(chunk, rows, connection.dialect.name)
        if connection.dialect.name == "postgresql":
            _copy(connection, columns)
        else:
            connection.exec_driver_sql(_INSERT, list(columns))
    _end(connection)


def stage_file(connection: Connection, path: Path) -> None:
    """Lay down what a file holds in a temporary table of this connection to PostgreSQL."""
    _begin(connection)
    with (
        _told(path, "read", sqlite3.Error),
        closing(sqlite3.connect(address(path), uri=True)) as file,
    ):
        _copy(connection, file.execute(f"SELECT {_NAMES} FROM staged_predictions"))
    _end(connection)


def address(path: Path) -> str:
    """Where SQLite finds a file of `write_staged`, which nobody writes any more."""
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def forget_staged(connection: Connection) -> None:
    """Remove what is laid down; the pool may give a connection again whose last commit failed."""
    staged_predictions.drop(connection, checkfirst=True)


def _begin(connection: Connection) -> None:
    forget_staged(connection)
    staged_predictions.create(connection)


def _end(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE staged_predictions"))


def _pieces(chunks: Iterable[Predictions]) -> Iterator[tuple[Predictions, slice]]:
    for chunk in chunks:
        for start in range(0, len(chunk.asset), ROWS_PER_INSERT):
            yield chunk, slice(start, start + ROWS_PER_INSERT)


def _copy(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    cursor = connection.connection.cursor()
    with cursor, cursor.copy(_COPY) as copy:  # type: ignore[attr-defined]  # psycopg's own
        for row in rows:
            copy.write_row(row)


def _rows(chunk: Predictions, rows: slice, dialect: str) -> Iterator[tuple[object, ...]]:
    names = np.array(chunk.assets, dtype=object)
    asset_ids = names[chunk.asset[rows]].tolist()
    columns: list[Sequence[object]] = [
        asset_ids,
        stored_moments(chunk.cutoff[rows], dialect),
        chunk.horizon_hours[rows].tolist(),
        chunk.status[rows].tolist(),
        *(_nullable(getattr(chunk, name)[rows]) for name in _NUMBERS),
        chunk.top_sensors[rows].tolist(),
        [chunk.model_version] * len(asset_ids),
        chunk.attention[rows].tolist(),
    ]
    return zip(*columns, strict=True)


def _nullable(values: Float64) -> list[object]:
    boxed = values.astype(object)
    boxed[np.isnan(values)] = None
    listed: list[object] = boxed.tolist()
    return listed


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _told(path: Path, what: str, kind: type[sqlite3.Error]) -> Iterator[None]:
    try:
        yield
    except kind as error:
        raise TransientError(f"{path}: cannot be {what}: {error}") from error
