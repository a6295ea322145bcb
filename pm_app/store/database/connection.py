"""Database connections: addresses, transactions, and errors translated."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Select, exc, make_url

from pm_app.durable import announce, denial
from pm_app.errors import BadSettings, StoreUnavailable, TerminalError
from pm_app.store.dialects.dialect import ConnectionOptions, StoreDialect
from pm_app.store.dialects.table import DIALECTS

BUSY_SECONDS: Final = 30.0
_EXAMPLES: Final = " or ".join(f'"{dialect.example}"' for dialect in DIALECTS.values())


@dataclass(frozen=True, eq=False)
class Database:
    """One database, for writing or only for reading. Safe to share between threads.

    name is for messages: the file, or the address without its password.
    """

    engine: Engine = field(repr=False)
    name: str
    read_only: bool

    @property
    def dialect(self) -> StoreDialect:
        """What is its kind's own."""
        return DIALECTS[self.engine.dialect.name]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, and blocks no one.

        Raises StoreUnavailable when a later call may succeed.
        """
        with self._translated(), self.engine.connect() as connection:
            self.dialect.begin_reading(connection)
            yield connection

    @contextmanager
    def writing(
        self, prepare: Callable[[Connection], None] | None = None, *, attached: Path | None = None
    ) -> Iterator[Connection]:
        """A transaction that commits as a whole, or, on any exception, leaves nothing.

        One at a time: a second writer waits up to BUSY_SECONDS, then gets StoreUnavailable.
        prepare: what the same connection does first, in temporary tables of its own, while
        others may still write. attached: another file of a database that is one itself, whose
        tables are seen meanwhile.
        Raises StoreUnavailable when a later call may succeed.
        """
        if self.read_only:
            raise TerminalError(f"{self.name} was opened for reading, a write needs open_store")
        with self._translated():
            with self.engine.connect() as connection, self._attached(connection, attached):
                if prepare is not None:
                    with connection.begin():
                        prepare(connection)
                connection.execution_options(pm_app_writes=True)
                with connection.begin():
                    self.dialect.lock_writers(connection)
                    yield connection
                    announce("commit", self.name)
            announce("committed", self.name)

    def _attached(self, connection: Connection, path: Path | None) -> AbstractContextManager[None]:
        file = self.dialect.file
        if path is None or file is None:
            return nullcontext()
        return file.attached(connection, path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
            raise StoreUnavailable(f"{self.name}: {self._closed() or _reason(error)}") from error
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                raise StoreUnavailable(f"{self.name}: {_reason(error)}") from error
            raise TerminalError(f"{self.name}: {_reason(error)}") from error
        except self._driver.OperationalError as error:
            # Bulk loading goes past SQLAlchemy: nobody has wrapped what the driver says there.
            raise StoreUnavailable(f"{self.name}: {_reason(error)}") from error
        except self._driver.Error as error:
            raise TerminalError(f"{self.name}: {_reason(error)}") from error

    def _closed(self) -> str:
        """Who may write a file that this user may not; who reads it has to write its logs, too."""
        if self.dialect.file is None:
            return ""
        path = Path(self.name)
        return denial(path, writing=True) or denial(
            path.with_name(f"{path.name}-shm"), writing=True
        )

    @property
    def _driver(self) -> Any:
        return self.engine.dialect.dbapi


def connect(url: str, *, folder: Path | None = None, read_only: bool = False) -> Database:
    """The database at `url`, not yet connected to.

    A relative path of a file starts at `folder`, by default the working directory.
    Raises BadSettings where the address cannot be used, never showing its password.
    """
    address = _parse(url)
    options = ConnectionOptions(folder, read_only, wait_seconds=BUSY_SECONDS)
    engine, name = DIALECTS[address.get_backend_name()].engine(address, options)
    return Database(engine, name, read_only)


def columns_as_stored(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    """The columns of a query's rows as the driver gives them: of many rows several times as fast
    as one record a row. None of them may have a type of our own (see `arrow_moment`)."""
    result = connection.execute(query)
    rows = result.cursor.fetchall() if result.cursor is not None else []
    result.close()
    return list(zip(*rows, strict=True)) if rows else [() for _ in query.selected_columns]


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError):
        # The library's error may quote the address, and with it the password.
        raise BadSettings(f"store.url must look like {_EXAMPLES}; it cannot be read") from None
    drivers = {
        name: driver for dialect in DIALECTS.values() for name, driver in dialect.drivers.items()
    }
    if address.drivername not in drivers:
        raise BadSettings(f"store.url must look like {_EXAMPLES}, got {address.drivername!r}")
    return address.set(drivername=drivers[address.drivername])


def _reason(error: Exception) -> str:
    # The wrapped error carries SQL and a link to the manual; a person needs the driver's words.
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())
