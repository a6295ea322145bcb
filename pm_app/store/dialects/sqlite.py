"""SQLite: a file on a local disk, which one process writes while others read it."""

import json
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    String,
    create_engine,
    event,
    exc,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import QueuePool

from pm_app.durable import denial, make_file, make_folder
from pm_app.errors import BadSettings
from pm_app.store.dialects.dialect import (
    ConnectionOptions,
    DatabaseFile,
    DatabaseRights,
    StoreDialect,
)

_LOOK_AGAIN_SECONDS: Final = 0.01
_CACHE_KIB: Final = 8_000
_LOG_BYTES: Final = 64_000_000
# What a database consists of while it is open.
_PARTS: Final = ("", "-wal", "-shm", "-journal")


def _create(path: Path) -> None:
    make_folder(path.parent)
    make_file(path)


def _existing(path: Path) -> list[Path]:
    """The file and its logs."""
    parts = [path.with_name(path.name + part) for part in _PARTS]
    return [part for part in parts if part.exists()]


def _scratch(folder: Path, name: str) -> str:
    return f"sqlite:///{folder / name}.sqlite"


def _rights(_connection: Connection, name: str) -> DatabaseRights:
    """Those of the file and its folder."""
    path = Path(name)
    size = sum(part.stat().st_size for part in _existing(path))
    version = f"SQLite {sqlite3.sqlite_version}"
    return DatabaseRights(version, denial(path, writing=True), size)


def _snapshot(connection: Connection, path: Path) -> None:
    """In one step: it sees one state, and writers go on in the write-ahead log."""
    with closing(sqlite3.connect(path)) as target:
        _driver_of(connection).backup(target)


@contextmanager
def _attached(connection: Connection, path: Path) -> Iterator[None]:
    """As a database of the name `attached`."""
    # SQLite takes another file only while no transaction is under way.
    driver = _driver_of(connection)
    driver.execute("ATTACH ? AS attached", (unchanging_address(path),)).close()
    try:
        yield
    finally:
        try:
            driver.execute("DETACH attached").close()
        except sqlite3.Error:
            connection.invalidate()


def _engine(address: URL, options: ConnectionOptions) -> tuple[Engine, str]:
    """An engine over a file, whose writers take the lock before they read."""
    path = _local_path(address, options.folder)
    if closed := denial(path, writing=not options.read_only):
        raise BadSettings(f"store.url cannot be used: {closed}")
    # Never created here: in place of a file that was moved away an empty one would be no better.
    target = f"{path.absolute().as_uri()}?mode={'ro' if options.read_only else 'rw'}"

    file = _WatchedDatabase(path, options.read_only)

    def open_file() -> sqlite3.Connection:
        file.require()
        # isolation_level None: transactions are begun by _begin below, not guessed by Python.
        return sqlite3.connect(
            target,
            uri=True,
            timeout=options.wait_seconds,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine(
        "sqlite://", creator=open_file, poolclass=QueuePool, hide_parameters=True
    )

    def pragmas(connection: Any, _record: object) -> None:
        _pragmas(connection, options.wait_seconds)

    event.listen(engine, "connect", _read_only_pragmas if options.read_only else pragmas)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", file.opened)
    event.listen(engine, "checkout", file.check)
    event.listen(engine, "commit", lambda _: file.require())
    return engine, str(path)


@dataclass(eq=False)
class _WatchedDatabase:
    """The file behind an engine, which has to lie where it was when it was opened first.

    Linux lets a file be moved, deleted or replaced while it is open, and what is written goes on
    landing in it. Who only reads is given the file that lies there now.
    """

    path: Path
    read_only: bool
    identity: tuple[int, int] | None = None

    def opened(self, _connection: Any, record: Any) -> None:
        """Remember which file a new connection has, and the first of all."""
        record.info[_FILE] = self._found()
        self.identity = self.identity or record.info[_FILE]

    def check(self, _connection: Any, record: Any, _proxy: Any) -> None:
        """Before a connection is used again."""
        if self.read_only and self._found() not in (None, record.info[_FILE]):
            raise exc.DisconnectionError
        self.require()

    def require(self) -> None:
        """Raises the driver's own error where the file is another or none."""
        found = self._found()
        if found is None:
            raise sqlite3.OperationalError(
                "the file was moved or deleted; nothing is written before it is put back"
            )
        if not self.read_only and found != (self.identity or found):
            raise sqlite3.OperationalError(
                "another file lies in place of the one that was opened; nothing is written before "
                "pm-app is stopped and started again"
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


_FILE: Final = "file that was opened"


def _stored_moments(nanoseconds: NDArray[np.int64]) -> list[object]:
    instants = (nanoseconds // 1000).astype("datetime64[us]")
    return np.char.add(np.datetime_as_string(instants), "Z").tolist()  # type: ignore[no-any-return]  # numpy types tolist as Any


def _among(column: ColumnElement[str], names: Sequence[str]) -> ColumnElement[bool]:
    listed = func.json_each(json.dumps(names)).table_valued("value")
    return column.in_(select(type_coerce(listed.c.value, String)))


def _insert_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[object, ...]],
) -> None:
    connection.exec_driver_sql(insert_text(table, columns), list(rows))


def _keep_join_order(join: str) -> str:
    """SQLite knows the sizes of neither table, and may read all of one that has grown for
    years; a CROSS JOIN keeps to the order written."""
    return join.replace(" JOIN ", " CROSS JOIN ", 1)


def moment_text(moment: datetime) -> str:
    """The sortable text of an aware UTC time."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def insert_text(table: str, columns: Sequence[str]) -> str:
    """An INSERT of rows of stored values."""
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"


def unchanging_address(path: Path) -> str:
    """The address of a file which nobody writes any more."""
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _driver_of(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.driver_connection)


def _local_path(address: URL, folder: Path | None) -> Path:
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


def _pragmas(connection: Any, wait_seconds: float) -> None:
    _use_a_write_ahead_log(connection, wait_seconds)
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        # A large commit leaves a large log; give the disk back at the next checkpoint.
        f"journal_size_limit = {_LOG_BYTES}",
        f"cache_size = -{_CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _use_a_write_ahead_log(connection: Any, wait_seconds: float) -> None:
    # Whoever changes the journal needs the file alone, and for that SQLite does not wait by
    # itself: of several that open a new file at once, all but one are refused on the spot.
    deadline = time.monotonic() + wait_seconds
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


SQLITE: Final = StoreDialect(
    example="sqlite:///file.sqlite",
    drivers={"sqlite": "sqlite", "sqlite+pysqlite": "sqlite"},
    file=DatabaseFile(_create, _existing, _snapshot, _attached, _scratch),
    # SQLite numbers rows by itself only in a column typed exactly INTEGER.
    number_type=Integer(),
    asset_type=None,
    # Text of a fixed width, for want of a type.
    moment_type=String(27),
    # Without it the number of a newest row that went is given again.
    numbered={"sqlite_autoincrement": True},
    # The rows live in the key's own tree: half the pages, and neighbours are together.
    clustered={"sqlite_with_rowid": False},
    partial="sqlite_where",
    engine=_engine,
    rights=_rights,
    # A transaction sees one state anyway, and BEGIN IMMEDIATE locks.
    begin_reading=lambda _connection: None,
    lock_writers=lambda _connection: None,
    insert=sqlite.insert,
    stored_moment=moment_text,
    stored_moments=_stored_moments,
    # Arrow parses the text of a whole column faster than Python its single values.
    arrow_moment=lambda column: type_coerce(column, String),
    among=_among,
    insert_rows=_insert_rows,
    # SQLite would keep what it finds, and the order of joins says enough.
    analyze=lambda _connection, _table: None,
    keep_join_order=_keep_join_order,
    # AUTOINCREMENT follows numbers that were inserted.
    count_on_from=lambda _connection, _table, _column, _newest: None,
)
