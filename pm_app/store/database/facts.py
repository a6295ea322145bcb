"""Facts of a database: its version and size, its schema, and what this user may not do there."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from pm_app.durable import denial
from pm_app.errors import NoStore
from pm_app.store.database.connection import connect
from pm_app.store.database.migrate import current_revision
from pm_app.store.schema.predictions import REVISION

_RIGHTS = """
SELECT string_agg(t.table_name, ', ' ORDER BY t.table_name) FROM information_schema.tables t
WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
AND NOT (SELECT bool_and(has_table_privilege(format('%I.%I', t.table_schema, t.table_name), r))
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r)
"""


@dataclass(frozen=True)
class DatabaseFacts:
    """version: of the database program. revision: schema of the tables, None without any; newest:
    of this program. denied: what this user may not do, "" where nothing. size_bytes: 0 unknown."""

    version: str
    revision: str | None
    newest: str
    denied: str
    size_bytes: int


def database_facts(url: str, *, folder: Path | None = None) -> DatabaseFacts:
    """Only looks. Raises NoStore where there is no file yet, BadSettings, StoreUnavailable."""
    database = connect(url, folder=folder, read_only=True)
    is_file = database.dialect.file is not None
    path = Path(database.name)
    if is_file and not path.is_file():
        raise NoStore(f"{path}: there is no store yet")
    try:
        with database.reading() as connection:
            revision = current_revision(connection)
            if is_file:
                version, denied, size = _of_file(path)
            else:
                version, denied, size = _of_server(connection)
    finally:
        database.engine.dispose()
    return DatabaseFacts(version, revision, REVISION, denied, size)


def database_file(url: str, *, folder: Path | None = None) -> Path | None:
    """Where a database that is a file lies, there or not; None for a server. Raises BadSettings."""
    database = connect(url, folder=folder, read_only=True)
    database.engine.dispose()
    return Path(database.name) if database.dialect.file is not None else None


def _of_file(path: Path) -> tuple[str, str, int]:
    parts = (path, path.with_name(f"{path.name}-wal"))
    size = sum(part.stat().st_size for part in parts if part.is_file())
    return f"SQLite {sqlite3.sqlite_version}", denial(path, writing=True), size


def _of_server(connection: Connection) -> tuple[str, str, int]:
    dialect = connection.dialect
    number = ".".join(map(str, dialect.server_version_info or ()))
    size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar()
    tables = connection.execute(text(_RIGHTS)).scalar()
    denied = f"this user may not read and write {tables}" if tables else ""
    return f"PostgreSQL {number}", denied, int(size or 0)
