"""Open the store: to write, or only to read."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import make_url, text

from pm_app.errors import BadSettings, NoStore, TransientError
from pm_app.store.alarms.alarms import Alarms
from pm_app.store.alarms.outbox import Outbox
from pm_app.store.alarms.plant import PlantAlarms
from pm_app.store.database.backup import save
from pm_app.store.database.connection import Database, connect
from pm_app.store.database.identity import Identity
from pm_app.store.database.migrate import check_current, migrate
from pm_app.store.ledger.deliveries import Deliveries
from pm_app.store.ledger.ledger import Ledger
from pm_app.store.ledger.left_columns import LeftColumns
from pm_app.store.ledger.pages import LedgerPages
from pm_app.store.lineage import Lineage
from pm_app.store.oidc_sessions import OidcSessions
from pm_app.store.predictions.changes import PredictionChanges
from pm_app.store.predictions.fleet import Fleet
from pm_app.store.predictions.read import PredictionTables
from pm_app.store.predictions.retention import Retention
from pm_app.store.predictions.series import AssetPredictions
from pm_app.store.predictions.write import PredictionWriter
from pm_app.store.sign_in_attempts import SignInAttempts
from pm_app.store.users import Users


@dataclass(frozen=True, eq=False)
class Store:
    """The output store, by subject. Close it, or use it as a context.

    Times go in and come out aware and in UTC, kept to the microsecond.
    """

    ledger: Ledger
    writer: PredictionWriter
    lineage: Lineage
    tables: PredictionTables
    fleet: Fleet
    series: AssetPredictions
    ledger_pages: LedgerPages
    deliveries: Deliveries
    left_columns: LeftColumns
    changes: PredictionChanges
    retention: Retention
    alarms: Alarms
    plant_alarms: PlantAlarms
    outbox: Outbox
    users: Users
    oidc_sessions: OidcSessions
    sign_in_attempts: SignInAttempts
    identity: Identity
    _database: Database

    def check(self) -> None:
        """Raises NoStore where the tables are not of this program, StoreUnavailable."""
        check_current(self._database)

    def save(self, path: Path) -> None:
        """Write one state of the store into a new SQLite file, while others write.

        Raises StoreUnavailable.
        """
        save(self._database, path)

    def close(self) -> None:
        """Let go of all connections; closing twice is harmless."""
        self._database.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(url: str, *, folder: Path | None = None) -> Store:
    """The store at `url`, its folder created and its tables brought up to date.

    A relative SQLite path starts at `folder`, by default the working directory.
    Raises BadSettings where the address cannot be used, TerminalError where a newer program
    has written the tables, StoreUnavailable when a later call may succeed.
    """
    database = connect(url, folder=folder)
    try:
        _create_file(database)
        migrate(database)
    except BaseException:
        database.engine.dispose()
        raise
    return _store(database)


def open_reader(url: str, *, folder: Path | None = None) -> Store:
    """As open_store, only for reading: creates nothing, migrates nothing, blocks no one.

    Raises NoStore where there is no store yet, or one of another schema, StoreUnavailable.
    """
    database = connect(url, folder=folder, read_only=True)
    try:
        _require_file(database)
        check_current(database)
    except BaseException:
        database.engine.dispose()
        raise
    return _store(database)


def _store(database: Database) -> Store:
    return Store(
        Ledger(database),
        PredictionWriter(database),
        Lineage(database),
        PredictionTables(database),
        Fleet(database),
        AssetPredictions(database),
        LedgerPages(database),
        Deliveries(database),
        LeftColumns(database),
        PredictionChanges(database),
        Retention(database),
        Alarms(database),
        PlantAlarms(database),
        Outbox(database),
        Users(database),
        OidcSessions(database),
        SignInAttempts(database),
        Identity(database),
        database,
    )


def _create_file(database: Database) -> None:
    file = database.dialect.file
    if file is None:
        return
    try:
        file.create(Path(database.name))
    except TransientError as error:
        raise BadSettings(f"store.url needs a file it can write to: {error}") from error


def _require_file(database: Database) -> None:
    if database.dialect.file is not None and not Path(database.name).is_file():
        raise NoStore(
            f"{database.name}: there is no store; pm-app run or pm-app score makes that of a new "
            "plant, one that was moved or deleted has to be put back"
        )


@contextmanager
def scratch_stores(url: str, folder: Path) -> Iterator[Callable[[str], str]]:
    """Addresses of empty scratch stores by name, of the kind that `url` is, gone with the block.

    Raises BadSettings, StoreUnavailable, and TerminalError where this user may make no schema.
    """
    database = connect(url)
    file = database.dialect.file
    if file is not None:
        database.engine.dispose()
        yield partial(file.scratch, folder)
        return
    schemas: list[str] = []

    def store(name: str) -> str:
        schema = f"pm_app_selftest_{os.getpid()}_{name}"
        with database.writing() as connection:
            connection.execute(text(f'CREATE SCHEMA "{schema}"'))
        schemas.append(schema)
        options = f"-c search_path={schema}"
        address = make_url(url).update_query_dict({"options": options})
        return address.render_as_string(hide_password=False)

    try:
        yield store
    finally:
        for schema in schemas:
            with database.writing() as connection:
                connection.execute(text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
        database.engine.dispose()
