"""Identity of a database: which plant it belongs to, and how far it has come."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select

from pm_app.store.database.connection import Database
from pm_app.store.schema.predictions import batches, plant, versions


@dataclass(frozen=True)
class DatabaseState:
    """A database as it stands: its identity ("" before it has one), and its newest numbers.

    sequence: of the newest batch, version: the newest; 0 where there is none. Both only grow,
    so a database that has less than it once had has been put back to an earlier day.
    """

    identity: str
    sequence: int
    version: int

    @property
    def empty(self) -> bool:
        """Whether nothing was ever noted in it."""
        return not (self.sequence or self.version)


@dataclass(frozen=True, eq=False)
class Identity:
    """The identity of a database. Methods raise StoreUnavailable when a later call may succeed."""

    database: Database

    def state(self) -> DatabaseState:
        """The database as it stands now."""
        with self.database.reading() as connection:
            return DatabaseState(
                connection.execute(select(plant.c.identity)).scalar() or "",
                connection.execute(select(func.max(batches.c.sequence))).scalar() or 0,
                connection.execute(select(func.max(versions.c.version))).scalar() or 0,
            )

    def assign(self, identity: str, *, at: datetime) -> str:
        """Name the database where it has no name yet, and return the one it has."""
        with self.database.writing() as connection:
            found: str | None = connection.execute(select(plant.c.identity)).scalar()
            if found is None:
                connection.execute(insert(plant).values(identity=identity, created_at=at))
            return found or identity
