"""Connections: where the database is, how it is opened, and what its errors mean here."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import QueuePool

from pm_app.durable import announce
from pm_app.errors import BadSettings, StoreUnavailable, TerminalError

BUSY_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10
# A server that is gone without a word (power, cable, firewall) is noticed within a minute or so,
# not after the two hours of the system's own keepalives. Settings of libpq; an address may say
# otherwise.
_NOTICE: Final = {
    "connect_timeout": str(_CONNECT_SECONDS),
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "pm-app",
}
# What a commit has confirmed is on the server's disk, and no connection that a dead process left
# holds the writers' lock for long.
_SESSION: Final = (
    "-c timezone=UTC -c synchronous_commit=on -c idle_in_transaction_session_timeout=600s"
)
_LOOK_AGAIN_SECONDS: Final = 0.01
_SQLITE_CACHE_KIB: Final = 8_000
_LOG_BYTES: Final = 64_000_000
# One writer at a time, as SQLite has it: any number will do that others are unlikely to use.
_WRITER_LOCK: Final = 0x706D_6170_70
_KINDS: Final = '"sqlite:///file.sqlite" or "postgresql+psycopg://user@host/database"'


@dataclass(frozen=True, eq=False)
class Database:
    """One database, for writing or only for reading. Safe to share between threads.

    name is for messages: the file, or the address without its password.
    """

    engine: Engine = field(repr=False)
    name: str
    read_only: bool

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, and blocks no one.

        Raises StoreUnavailable when a later call may succeed.
        """
        with self._translated(), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(
        self, prepare: Callable[[Connection], None] | None = None, *, attached: str | None = None
    ) -> Iterator[Connection]:
        """A transaction that commits as a whole, or, on any exception, leaves nothing.

        One at a time: a second writer waits up to BUSY_SECONDS, then gets StoreUnavailable.
        prepare: what the same connection does first, in temporary tables of its own, while
        others may still write. attached: the address of another file of SQLite's, whose tables
        are seen meanwhile.
        Raises StoreUnavailable when a later call may succeed.
        """
        if self.read_only:
            raise TerminalError(f"{self.name} was opened for reading, a write needs open_store")
        with self._translated():
            with self.engine.connect() as connection, _attaching(connection, attached):
                if prepare is not None:
                    with connection.begin():
                        prepare(connection)
                connection.execution_options(pm_app_writes=True)
                with connection.begin():
                    if self.dialect == "postgresql":
                        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
                    yield connection
                    announce("commit", self.name)
            announce("committed", self.name)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
            raise StoreUnavailable(f"{self.name}: {_reason(error)}") from error
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                raise StoreUnavailable(f"{self.name}: {_reason(error)}") from error
            raise TerminalError(f"{self.name}: {_reason(error)}") from error
        except self._driver.OperationalError as error:
            # Bulk loading goes past SQLAlchemy: nobody has wrapped what the driver says there.
            raise StoreUnavailable(f"{self.name}: {_reason(error)}") from error
        except self._driver.Error as error:
            raise TerminalError(f"{self.name}: {_reason(error)}") from error

    @property
    def _driver(self) -> Any:
        return self.engine.dialect.dbapi


@contextmanager
def _attaching(connection: Connection, address: str | None) -> Iterator[None]:
    if address is None:
        yield
        return
    # SQLite takes another file only while no transaction is under way.
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    driver.execute("ATTACH ? AS attached", (address,)).close()
    try:
        yield
    finally:
        try:
            driver.execute("DETACH attached").close()
        except sqlite3.Error:
            connection.invalidate()


def connect(url: str, *, folder: Path | None = None, read_only: bool = False) -> Database:
    """The database at `url`, not yet connected to.

    A relative SQLite path starts at `folder`, by default the working directory.
    Raises BadSettings where the address cannot be used, never showing its password.
    """
    address = _parse(url)
    if address.get_backend_name() == "postgresql":
        return _postgresql(address, read_only=read_only)
    return _sqlite(_sqlite_path(address, folder), read_only=read_only)


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError):
        # The library's error may quote the address, and with it the password.
        raise BadSettings(f"store.url must look like {_KINDS}; it cannot be read") from None
    drivers = {"sqlite": "sqlite", "sqlite+pysqlite": "sqlite"}
    drivers |= dict.fromkeys(("postgresql", "postgresql+psycopg"), "postgresql+psycopg")
    if address.drivername not in drivers:
        raise BadSettings(f"store.url must look like {_KINDS}, got {address.drivername!r}")
    return address.set(drivername=drivers[address.drivername])


def _sqlite_path(address: URL, folder: Path | None) -> Path:
    if not address.database or address.database == ":memory:" or address.query or address.host:
        raise BadSettings(
            'store.url must name a file after "sqlite:///" and nothing else, got '
            f"{address.render_as_string(hide_password=True)!r}"
        )
    path = (folder or Path()) / address.database
    kind = network_filesystem(path)
    if kind is not None:
        raise BadSettings(
            f"store.url must lie on a local disk, because SQLite cannot share a file over a "
            f"network; got {path} on {kind}. Use PostgreSQL for a database on another machine"
        )
    return path


def _sqlite(path: Path, *, read_only: bool) -> Database:
    target = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"

    def open_file() -> sqlite3.Connection:
        # isolation_level None: transactions are begun by _begin below, not guessed by Python.
        return sqlite3.connect(
            target, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    engine = create_engine(
        "sqlite://", creator=open_file, poolclass=QueuePool, hide_parameters=True
    )
    event.listen(engine, "connect", _read_only_pragmas if read_only else _pragmas)
    event.listen(engine, "begin", _begin)
    return Database(engine, str(path), read_only)


def _pragmas(connection: Any, _record: object) -> None:
    _use_a_write_ahead_log(connection)
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        # A large commit leaves a large log; give the disk back at the next checkpoint.
        f"journal_size_limit = {_LOG_BYTES}",
        f"cache_size = -{_SQLITE_CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _use_a_write_ahead_log(connection: Any) -> None:
    # Whoever changes the journal needs the file alone, and for that SQLite does not wait by
    # itself: of several that open a new file at once, all but one are refused on the spot.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return


def _read_only_pragmas(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON").close()


def _begin(connection: Connection) -> None:
    # A write that begins as a read may find another writer ahead of it when it comes to
    # write, and then fails at once, whatever the busy timeout: take the lock first.
    writes = connection.get_execution_options().get("pm_app_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(address: URL, *, read_only: bool) -> Database:
    options = f"{_SESSION} -c lock_timeout={1000 * BUSY_SECONDS:.0f}ms"
    if read_only:
        options += " -c default_transaction_read_only=on"
    # Settings of the address go last, so that they win.
    given = str(address.query.get("options", ""))
    address = address.update_query_dict({"options": f"{options} {given}".strip()})
    absent = {key: value for key, value in _NOTICE.items() if key not in address.query}
    address = address.update_query_dict(absent)
    try:
        engine = create_engine(address, pool_pre_ping=True, hide_parameters=True)
    except ImportError as error:
        raise BadSettings(
            "store.url names PostgreSQL, which needs the driver psycopg: "
            "pip install 'pm-app[postgresql]'"
        ) from error
    shown = address.set(query={}).render_as_string(hide_password=True)
    return Database(engine, shown, read_only)


def _reason(error: Exception) -> str:
    # The wrapped error carries SQL and a link to the manual; a person needs the driver's words.
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())


_MOUNTS = Path("/proc/mounts")
_NETWORK = re.compile(
    r"(fuse\.)?(nfs\d*|cifs|smb\w*|ncpfs|afs|ceph|lustre|gluster\w*|sshfs|davfs\d*|s3fs|gcsfuse|rclone)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_filesystem(path: Path, *, mounts: str | None = None) -> str | None:
    """The type of the network file system `path` lies on, None where its disk is local.

    SQLite's WAL mode keeps its index in memory shared between processes, which no network file
    system offers (https://www.sqlite.org/wal.html, "all processes must be on the same host").

    mounts: text in the form of /proc/mounts, read from there by default; where a system has
    no such file every disk counts as local.
    """
    text = _read_mounts() if mounts is None else mounts
    resolved = path.resolve()
    deepest, kind = -1, ""
    for line in text.splitlines():
        _, point, kind_here, *_ = line.split(" ")
        folder = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), point))
        # A later mount on the same folder hides the earlier one.
        if resolved.is_relative_to(folder) and len(folder.parts) >= deepest:
            deepest, kind = len(folder.parts), kind_here
    return kind if _NETWORK.fullmatch(kind) else None


def _read_mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
