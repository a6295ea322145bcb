"""Retention: old predictions are deleted, the peaks of each day stay."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, insert, literal, select

from pm_app.store.database.connection import Database
from pm_app.store.dialects.table import insert_into
from pm_app.store.rows import PeakRow
from pm_app.store.schema.predictions import (
    latest_predictions,
    prediction_history,
    prediction_peaks,
    predictions,
    retirements,
)
from pm_app.store.schema.types import Moment

_DAY = timedelta(days=1)
_DEVIATION = ("deviation", "deviation_sensors")
_PEAK_COLUMNS = ("cutoff", "status", "risk", "rul_hours", "top_sensors", "model_version")


@dataclass(frozen=True, eq=False)
class Retention:
    """Deletion of old predictions, by UTC day. Methods raise StoreUnavailable when a later call may
    succeed."""

    database: Database

    def oldest_day(self, before: datetime) -> datetime | None:
        """The first UTC day, ending by `before`, of which predictions are kept; None without."""
        names = latest_predictions.alias("known").c
        first = (
            select(func.min(predictions.c.cutoff))
            .where(predictions.c.asset_id == names.asset_id)
            .scalar_subquery()
        )
        # By asset, each found at once along the key: the oldest of all would read the table.
        every = select(first.label("cutoff")).select_from(names.asset_id.table).distinct()
        with self.database.reading() as connection:
            cutoffs = [row.cutoff for row in connection.execute(every) if row.cutoff is not None]
        day = min((_day_of(cutoff) for cutoff in cutoffs), default=None)
        return day if day is not None and day + _DAY <= before else None

    def retire_day(self, day: datetime) -> int:
        """Put the peaks of a UTC day in place of its predictions, and what they superseded, all
        or nothing; returns how many predictions went. `latest_predictions` stays as it is."""
        with self.database.writing() as connection:
            _keep_peaks(connection, day)
            rows = _forget(connection, predictions, day)
            _forget(connection, prediction_history, day)
            connection.execute(insert(retirements).values(day=day, rows=rows))
        return rows

    def retired_until(self) -> datetime | None:
        """The end of the newest retired day, None where none was."""
        with self.database.reading() as connection:
            newest: datetime | None = connection.execute(
                select(retirements.c.day).order_by(retirements.c.id.desc()).limit(1)
            ).scalar()
        return None if newest is None else newest + _DAY

    def peaks(self, *, asset: str | None = None) -> Iterator[PeakRow]:
        """What is left of retired days, by asset, day and horizon."""
        key = prediction_peaks.c
        query = select(prediction_peaks).order_by(key.asset_id, key.day, key.horizon_hours)
        if asset is not None:
            query = query.where(key.asset_id == asset)
        with self.database.reading() as connection:
            for found in connection.execution_options(stream_results=True).execute(query):
                yield PeakRow(**found._asdict())


def _keep_peaks(connection: Connection, day: datetime) -> None:
    """The peaks of a day; of an asset whose day went before, what was kept then stays."""
    key, columns = ["asset_id", "day", "horizon_hours"], [*_PEAK_COLUMNS, "cutoffs"]
    columns += _DEVIATION
    statement = insert_into(connection, prediction_peaks).from_select([*key, *columns], _peaks(day))
    connection.execute(statement.on_conflict_do_nothing(index_elements=key))


def _peaks(day: datetime) -> Select[Any]:
    prediction = predictions.c
    own = (prediction.asset_id, prediction.horizon_hours)
    unusual = (prediction.deviation.desc().nulls_last(), prediction.cutoff)
    riskiest = (prediction.risk.desc().nulls_last(), *unusual)
    place = func.row_number().over(partition_by=own, order_by=riskiest)
    ranked = (
        select(
            prediction.asset_id,
            prediction.horizon_hours,
            *(prediction[name] for name in _PEAK_COLUMNS),
            func.count().over(partition_by=own).label("cutoffs"),
            *(
                func.first_value(prediction[name])
                .over(partition_by=own, order_by=unusual)
                .label(name)
                for name in _DEVIATION
            ),
            place.label("place"),
        )
        .where(_of_day(predictions, day))
        .subquery("ranked")
    )
    columns = [ranked.c.asset_id, literal(day, Moment), ranked.c.horizon_hours]
    columns += [ranked.c[name] for name in (*_PEAK_COLUMNS, "cutoffs", *_DEVIATION)]
    return select(*columns).where(ranked.c.place == 1)


def _of_day(table: Any, day: datetime) -> Any:
    # Every asset has a latest row: naming them lets the database walk along the key.
    return and_(
        table.c.asset_id.in_(select(latest_predictions.c.asset_id)),
        table.c.cutoff >= day,
        table.c.cutoff < day + _DAY,
    )


def _forget(connection: Connection, table: Any, day: datetime) -> int:
    return connection.execute(delete(table).where(_of_day(table, day))).rowcount


def _day_of(cutoff: datetime) -> datetime:
    return cutoff.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
