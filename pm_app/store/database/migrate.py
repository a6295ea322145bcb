"""Schema migrations: a database brought to the schema of this program, or refused."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from pm_app.errors import NoStore, TerminalError
from pm_app.store.database.connection import Database
from pm_app.store.schema.predictions import REVISION

MIGRATIONS: Final = Path(__file__).parents[1] / "migrations"


def migrate(database: Database, revision: str = REVISION) -> None:
    """Create or upgrade the tables, in one transaction; harmless where nothing is due.

    revision: an earlier one for the tables as they were then.
    Raises TerminalError where a newer program has been here.
    """
    with database.reading() as connection:
        if current_revision(connection) == revision:
            return
    with database.writing() as connection:
        _upgrade(connection, database.name, revision)


def check_current(database: Database) -> None:
    """Raises NoStore where the tables are absent or await a migration, StoreUnavailable."""
    with database.reading() as connection:
        found = current_revision(connection)
    if found != REVISION:
        raise NoStore(
            f"{database.name} must hold schema {REVISION}, got {found or 'none'}; "
            "pm-app run or pm-app score brings it there"
        )


def current_revision(connection: Connection) -> str | None:
    """The migration the database stands at, None where there was none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def _upgrade(connection: Connection, name: str, revision: str) -> None:
    # Alembic is needed once in a database's life; scoring processes do without.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    revisions = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    for found in (current_revision(connection), revision):
        if found is not None and found not in revisions:
            raise TerminalError(
                f"{name} holds schema {found[:100]}, this program knows up to {REVISION}; "
                "a newer pm-app has written it: upgrade this one"
            )
    command.upgrade(config, revision)
