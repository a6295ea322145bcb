"""What a store asks of a database dialect; everything else is the same SQL everywhere."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

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


class DatabaseFile(Protocol):
    """A database that is one file on a local disk, for those dialects that are."""

    def create(self, path: Path) -> None:
        """Make the folder and the file where they are not. Raises TransientError."""
        ...

    def existing(self, path: Path) -> list[Path]:
        """The parts of the database that are there."""
        ...

    def snapshot(self, connection: Connection, path: Path) -> None:
        """Write one state, which others may be writing to, into a new file."""
        ...

    def attached(self, connection: Connection, path: Path) -> AbstractContextManager[None]:
        """The tables of another file of this dialect, seen by a connection meanwhile."""
        ...


class StoreDialect(Protocol):
    """One kind of database."""

    @property
    def example(self) -> str:
        """An address, for messages."""
        ...

    @property
    def drivers(self) -> Mapping[str, str]:
        """The names an address may begin with, and the SQLAlchemy driver of each."""
        ...

    @property
    def file(self) -> DatabaseFile | None:
        """None for a server, whose tables are copied row by row into and out of backups."""
        ...

    @property
    def number_type(self) -> TypeEngine[int] | None:
        """Of columns that the database numbers itself, None for BIGINT."""
        ...

    @property
    def asset_type(self) -> TypeEngine[str] | None:
        """Of names that sort by code points, None for TEXT."""
        ...

    @property
    def moment_type(self) -> TypeEngine[Any]:
        """Of points in time."""
        ...

    @property
    def numbered(self) -> Mapping[str, object]:
        """Options of a table whose numbers are never used twice."""
        ...

    @property
    def clustered(self) -> Mapping[str, object]:
        """Options of a table whose rows lie in the order of its key."""
        ...

    def partial(self, rows: ColumnElement[bool]) -> Mapping[str, object]:
        """Options of an index of these rows only, which unique indexes rely on."""
        ...

    def engine(self, address: URL, options: ConnectionOptions) -> tuple[Engine, str]:
        """An engine, not yet connected, and the name of the database for messages.

        Raises BadSettings where the address cannot be used, never showing its password.
        """
        ...

    def begin_reading(self, connection: Connection) -> None:
        """Before a transaction that is to see one state of the database."""
        ...

    def lock_writers(self, connection: Connection) -> None:
        """Within a transaction, wait until no other one writes."""
        ...

    def insert(self, table: Any) -> Any:
        """An insert that takes `on_conflict_do_...`."""
        ...

    def stored_moment(self, moment: datetime) -> object:
        """What the driver is handed for an aware UTC time."""
        ...

    def stored_moments(self, nanoseconds: NDArray[np.int64]) -> list[object]:
        """The same for a column of nanoseconds since 1970 UTC."""
        ...

    def arrow_moment(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A column of times as Arrow reads it fastest: as text, or as datetimes."""
        ...

    def insert_rows(
        self,
        connection: Connection,
        table: str,
        columns: Sequence[str],
        rows: Iterable[tuple[object, ...]],
    ) -> None:
        """Insert many rows of stored values, as fast as the driver can."""
        ...

    def analyze(self, connection: Connection, table: str) -> None:
        """Tell the planner how many rows a table has that was just filled."""
        ...

    def keep_join_order(self, join: str) -> str:
        """The text of a join whose left table, the small one, is to be read first."""
        ...

    def count_on_from(self, connection: Connection, table: str, column: str, newest: int) -> None:
        """Number the next row after this one, once rows came with numbers of their own."""
        ...
