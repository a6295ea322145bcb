"""Facts of a database: its version and size, its schema, and what this user may not do there."""

from dataclasses import dataclass
from pathlib import Path

from pm_app.errors import NoStore
from pm_app.store.database.connection import connect
from pm_app.store.database.migrate import current_revision
from pm_app.store.schema.predictions import REVISION


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
    if database.dialect.file is not None and not Path(database.name).is_file():
        raise NoStore(f"{database.name}: there is no store yet")
    try:
        with database.reading() as connection:
            revision = current_revision(connection)
            rights = database.dialect.rights(connection, database.name)
    finally:
        database.engine.dispose()
    return DatabaseFacts(rights.version, revision, REVISION, rights.denied, rights.size_bytes)


def database_file(url: str, *, folder: Path | None = None) -> Path | None:
    """Where a database that is a file lies, there or not; None for a server. Raises BadSettings."""
    database = connect(url, folder=folder, read_only=True)
    database.engine.dispose()
    return Path(database.name) if database.dialect.file is not None else None
