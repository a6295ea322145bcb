"""Prediction series of one asset over time, and the verdicts of people on its alarms.

Every query walks along the key from the first moment that is asked for; none reads another asset.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, func, select

from pm_app.records.readings import Float64, Int64, Text
from pm_app.store.alarms.alarms import VerdictRow
from pm_app.store.database.connection import Database
from pm_app.store.rows import PredictionRow
from pm_app.store.schema.alarms import alarms, verdicts
from pm_app.store.schema.ledger import assets
from pm_app.store.schema.predictions import PREDICTION_COLUMNS, latest_predictions, predictions
from pm_app.store.schema.types import moment_array

_NUMBERS: Final = (
    *("risk", "rul_hours", "rul_low_hours", "rul_high_hours", "value"),
    "deviation",
)
_ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, eq=False)
class PredictionSeries:
    """Predictions of one asset and horizon in a span of time, oldest first.

    All have shape (n_rows,). cutoff: nanoseconds since 1970 UTC. Numbers are NaN where nothing
    was said.
    """

    cutoff: Int64
    status: Text
    risk: Float64
    rul_hours: Float64
    rul_low_hours: Float64
    rul_high_hours: Float64
    value: Float64
    deviation: Float64
    top_sensors: Text


@dataclass(frozen=True, eq=False)
class AssetPredictions:
    """Predictions and verdicts of one asset at a time. Methods raise StoreUnavailable when a later
    call may succeed."""

    database: Database

    def end(self, asset: str) -> datetime | None:
        """The newest cutoff of an asset, else its newest reading; None where it is not known."""
        prediction = select(func.max(latest_predictions.c.cutoff))
        queries = (
            prediction.where(latest_predictions.c.asset_id == asset),
            select(assets.c.last_time).where(assets.c.asset_id == asset),
        )
        with self.database.reading() as connection:
            found = [connection.execute(query).scalar() for query in queries]
        return next((moment for moment in found if moment is not None), None)

    def newest(self, asset: str) -> list[PredictionRow]:
        """The newest predictions, one row a horizon that is still predicted, shortest first."""
        prediction = latest_predictions.c
        query = (
            select(*(prediction[name] for name in PREDICTION_COLUMNS))
            .where(prediction.asset_id == asset)
            .order_by(prediction.horizon_hours)
        )
        with self.database.reading() as connection:
            found = [PredictionRow(**row._asdict()) for row in connection.execute(query)]
        newest = max((row.cutoff for row in found), default=None)
        return [row for row in found if row.cutoff == newest]

    def predictions(
        self, asset: str, *, horizon_hours: float, since: datetime, until: datetime
    ) -> PredictionSeries:
        """Predictions at cutoffs in [since, until]. Read once, in the order of the key."""
        prediction = predictions.c
        columns = [prediction[name] for name in ("status", *_NUMBERS, "top_sensors")]
        query = (
            select(self._cutoff(), *columns)
            .where(*_within(asset, since, until), prediction.horizon_hours == horizon_hours)
            .order_by(prediction.cutoff)
        )
        with self.database.reading() as connection:
            streamed = connection.execution_options(stream_results=True).execute(query)
            parts = [_columns(rows) for rows in streamed.partitions(_ROWS_AT_ONCE)]
        parts = parts or [_columns([])]
        return PredictionSeries(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def rows(
        self, asset: str, *, since: datetime, until: datetime, limit: int, offset: int = 0
    ) -> list[PredictionRow]:
        """Rows with a cutoff in [since, until], newest first, then by horizon."""
        prediction = predictions.c
        query = (
            select(*(prediction[name] for name in PREDICTION_COLUMNS))
            .where(*_within(asset, since, until))
            .order_by(prediction.cutoff.desc(), prediction.horizon_hours)
            .limit(limit)
            .offset(offset or None)
        )
        with self.database.reading() as connection:
            return [PredictionRow(**row._asdict()) for row in connection.execute(query)]

    def count(self, asset: str, *, since: datetime, until: datetime) -> int:
        """How many rows have a cutoff in [since, until]."""
        query = select(func.count()).select_from(predictions)
        with self.database.reading() as connection:
            found: int = connection.execute(query.where(*_within(asset, since, until))).scalar_one()
        return found

    def verdicts(self, asset: str, *, limit: int) -> list[VerdictRow]:
        """The newest verdict of each of the asset's newest alarms, newest alarm first."""
        newest_verdicts = (
            select(func.max(verdicts.c.id))
            .join_from(verdicts, alarms)
            .where(alarms.c.asset_id == asset)
            .group_by(verdicts.c.alarm_id)
        )
        query = (
            select(verdicts, alarms.c.asset_id, alarms.c.cutoff)
            .join_from(verdicts, alarms)
            .where(verdicts.c.id.in_(newest_verdicts))
            .order_by(verdicts.c.alarm_id.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [VerdictRow(**row._asdict()) for row in connection.execute(query)]

    def _cutoff(self) -> ColumnElement[Any]:
        return self.database.dialect.arrow_moment(predictions.c.cutoff)


def _within(asset: str, since: datetime, until: datetime) -> list[ColumnElement[bool]]:
    prediction = predictions.c
    return [prediction.asset_id == asset, prediction.cutoff >= since, prediction.cutoff <= until]


def _columns(rows: Any) -> list[NDArray[Any]]:
    cutoff, status, *rest = list(zip(*rows, strict=True)) or [()] * (3 + len(_NUMBERS))
    instants = moment_array(cutoff, pa.timestamp("ns", "UTC")).cast(pa.int64())
    numbers = [np.array(column, dtype=np.float64) for column in rest[:-1]]
    return [
        instants.to_numpy(),
        np.array(status, dtype=object),
        *numbers,
        np.array(rest[-1], dtype=object),
    ]
