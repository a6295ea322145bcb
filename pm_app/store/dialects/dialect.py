"""What a store asks of a database dialect; everything else is the same SQL everywhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import URL, ColumnElement, Connection, Engine
from sqlalchemy.types import TypeEngine


@dataclass(frozen=True)
class ConnectionOptions:
    """How to open a database.

    folder: where a relative file starts, None for the working directory. wait_seconds: for
    how long a writer waits for another.
    """

    folder: Path | None
    read_only: bool
    wait_seconds: float


@dataclass(frozen=True)
class DatabaseFile:
    """A database that is one file on a local disk, for those dialects that are.

    create: make the folder and the file where they are not; raises TransientError. existing:
    the parts of the database that are there. snapshot: write one state, which others may be
    writing to, into a new file. attached: the tables of another file of this dialect, seen by
    a connection meanwhile. scratch: the address of a file in a folder, which need not be there.
    """

    create: Callable[[Path], None]
    existing: Callable[[Path], list[Path]]
    snapshot: Callable[[Connection, Path], None]
    attached: Callable[[Connection, Path], AbstractContextManager[None]]
    scratch: Callable[[Path, str], str]


@dataclass(frozen=True)
class DatabaseRights:
    """version: of the database program. denied: what this user may not do there, in words, ""
    where nothing. size_bytes: 0 where it is not known."""

    version: str
    denied: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class StoreDialect:
    """One kind of database: facts, and functions where it takes more than SQL."""

    # An address, for messages.
    example: str
    # The names an address may begin with, and the SQLAlchemy driver of each.
    drivers: Mapping[str, str]
    # None for a server, whose tables are copied row by row into and out of backups.
    file: DatabaseFile | None
    # Of columns that the database numbers itself, None for BIGINT.
    number_type: TypeEngine[int] | None
    # Of names that sort by code points, None for TEXT.
    asset_type: TypeEngine[str] | None
    # Of points in time.
    moment_type: TypeEngine[Any]
    # Options of a table whose numbers are never used twice.
    numbered: Mapping[str, object]
    # Options of a table whose rows lie in the order of its key.
    clustered: Mapping[str, object]
    # The option of an index of some rows only, which unique indexes rely on.
    partial: str
    # An engine, not yet connected, and the name of the database for messages. Raises BadSettings
    # where the address cannot be used, never showing its password.
    engine: Callable[[URL, ConnectionOptions], tuple[Engine, str]]
    # Version and size of a database, and what this user may not do; its name as `engine` gives it.
    rights: Callable[[Connection, str], DatabaseRights]
    # Before a transaction that is to see one state of the database.
    begin_reading: Callable[[Connection], None]
    # Within a transaction, wait until no other one writes.
    lock_writers: Callable[[Connection], None]
    # An insert that takes `on_conflict_do_...`.
    insert: Callable[[Any], Any]
    # What the driver is handed for an aware UTC time.
    stored_moment: Callable[[datetime], object]
    # The same for a column of nanoseconds since 1970 UTC.
    stored_moments: Callable[[NDArray[np.int64]], list[object]]
    # A column of times as Arrow reads it fastest: as text, or as datetimes.
    arrow_moment: Callable[[ColumnElement[Any]], ColumnElement[Any]]
    # Whether a column holds one of these names, however many they are: one parameter.
    among: Callable[[ColumnElement[str], Sequence[str]], ColumnElement[bool]]
    # Insert many rows of stored values, as fast as the driver can: table, columns, rows.
    insert_rows: Callable[
        [Connection, str, Sequence[str], Iterable[tuple[object, ...]]],
        None,
    ]
    # Tell the planner how many rows a table has that was just filled.
    analyze: Callable[[Connection, str], None]
    # The text of a join whose left table, the small one, is to be read first.
    keep_join_order: Callable[[str], str]
    # Number the next row of a table's column after this one, once rows came with numbers of
    # their own.
    count_on_from: Callable[[Connection, str, str, int], None]
