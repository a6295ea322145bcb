"""Deliveries: when the newest files of a source came and what times they held; what waits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select

from pm_app.store.database.connection import Database
from pm_app.store.rows import Source
from pm_app.store.schema.ledger import INGESTED, QUARANTINED, UNSCORED, assets, batches
from pm_app.store.schema.predictions import predictions

# So many files tell how often a source delivers.
MOST_FILES = 2000
# Of so many with the newest times all may be of clocks that run ahead.
_NEWEST_TIMES = 50


@dataclass(frozen=True)
class DeliveredFile:
    """A file that was taken in: when, its rows, and the first and last time in them."""

    arrived: datetime
    first: datetime
    last: datetime
    rows: int

    @property
    def newest(self) -> datetime:
        """Its last time, or when it came where a clock ran ahead: nothing is read before it is."""
        return min(self.last, self.arrived)


@dataclass(frozen=True, eq=False)
class Deliveries:
    """Deliveries of a source. Methods raise StoreUnavailable when a later call may succeed."""

    database: Database

    def newest(self, source: Source, *, limit: int = MOST_FILES) -> list[DeliveredFile]:
        """The files taken in last, in order of ingestion."""
        query = _files(source).order_by(batches.c.sequence.desc()).limit(limit)
        return self._rows(query)[::-1]

    def newest_times(self, source: Source) -> list[DeliveredFile]:
        """The files with the newest times, whenever they came."""
        return self._rows(_files(source).order_by(batches.c.last_time.desc()).limit(_NEWEST_TIMES))

    def waiting_since(self) -> datetime | None:
        """When the first file came of those that wait to be scored; None where none waits."""
        query = select(batches.c.ingested_at).where(UNSCORED).order_by(batches.c.sequence).limit(1)
        with self.database.reading() as connection:
            return connection.execute(query).scalar()

    def refused_since(self, source: Source, moment: datetime) -> int:
        """How many files of a source came after that and stand quarantined."""
        query = select(func.count()).where(
            QUARANTINED, batches.c.source == source, batches.c.ingested_at > moment
        )
        with self.database.reading() as connection:
            found: int = connection.execute(query.select_from(batches)).scalar_one()
        return found

    def silent_assets(
        self, since: datetime, *, before: datetime, limit: int
    ) -> dict[str, datetime]:
        """Assets whose newest reading is from [since, before), with its time, oldest first."""
        last = assets.c.last_time
        query = select(assets.c.asset_id, last).where(last >= since, last < before)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(last, assets.c.asset_id).limit(limit))
            return {name: moment for name, moment in found}

    def cutoffs(self, asset: str, *, limit: int) -> list[datetime]:
        """The newest cutoffs of an asset, oldest first."""
        cutoff = predictions.c.cutoff
        query = select(cutoff).distinct().where(predictions.c.asset_id == asset)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(cutoff.desc()).limit(limit))
            return list(found.scalars())[::-1]

    def _rows(self, query: Select[Any]) -> list[DeliveredFile]:
        with self.database.reading() as connection:
            return [_delivery(found) for found in connection.execute(query)]


def _files(source: Source) -> Select[Any]:
    kept: ColumnElement[bool] = (batches.c.source == source) & INGESTED
    columns = batches.c.ingested_at, batches.c.first_time, batches.c.last_time, batches.c.rows
    return select(*columns).where(kept, batches.c.last_time.is_not(None))


def _delivery(found: Row[Any]) -> DeliveredFile:
    return DeliveredFile(found.ingested_at, found.first_time, found.last_time, found.rows)
