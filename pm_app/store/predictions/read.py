"""Prediction tables: Arrow tables with exactly the columns of the database's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    func,
    literal,
    or_,
    select,
    union_all,
)

from pm_app.store.database.connection import Database
from pm_app.store.predictions import changes as counters
from pm_app.store.rows import VersionKind
from pm_app.store.schema.predictions import (
    COMMIT_NUMBER,
    PREDICTION_COLUMNS,
    PREDICTION_KEY,
    latest_predictions,
    prediction_history,
    predictions,
)
from pm_app.store.schema.types import Moment, moment_array

_UTC: Final = pa.timestamp("us", tz="UTC")
PREDICTIONS_SCHEMA: Final = pa.schema(
    [
        ("asset_id", pa.string()),
        ("cutoff", _UTC),
        ("horizon_hours", pa.float64()),
        ("status", pa.string()),
        ("risk", pa.float64()),
        ("rul_hours", pa.float64()),
        ("rul_low_hours", pa.float64()),
        ("rul_high_hours", pa.float64()),
        ("value", pa.float64()),
        ("top_sensors", pa.string()),
        ("model_version", pa.int32()),
        ("revision", pa.int32()),
        ("scored_at", _UTC),
        ("attention", pa.string()),
        ("extrapolated", pa.float64()),
        ("mode", pa.string()),
        ("mode_risks", pa.string()),
        ("mode_sensors", pa.string()),
        ("deviation", pa.float64()),
        ("deviation_sensors", pa.string()),
        ("normal_version", pa.int32()),
    ]
)
# The same, and the commit that wrote each row.
NUMBERED_SCHEMA: Final = PREDICTIONS_SCHEMA.append(pa.field(COMMIT_NUMBER, pa.int64()))


@dataclass(frozen=True, eq=False)
class PredictionTables:
    """Predictions as tables, for people and exports. Never blocks a writer, nor is blocked by one.

    Tables follow PREDICTIONS_SCHEMA. Methods raise StoreUnavailable when a later call may
    succeed.
    """

    database: Database

    def latest_predictions(
        self,
        *,
        asset: str | None = None,
        horizon_hours: float | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Predictions at each asset's newest cutoff, riskiest first, abstentions last.

        A horizon that is no longer predicted is left out, though its last row stays in the
        table. Ties go by asset, then horizon.
        """
        latest, newest = latest_predictions.c, latest_predictions.alias("newest").c
        newest_cutoff = (
            select(func.max(newest.cutoff)).where(newest.asset_id == latest.asset_id)
        ).scalar_subquery()
        query = (
            select(*self._columns(latest_predictions))
            .where(latest.cutoff == newest_cutoff)
            .order_by(latest.risk.desc().nulls_last(), latest.asset_id, latest.horizon_hours)
            .limit(limit)
        )
        if asset is not None:
            query = query.where(latest.asset_id == asset)
        if horizon_hours is not None:
            query = query.where(latest.horizon_hours == horizon_hours)
        with self.database.reading() as connection:
            return _table(connection.execute(query).all())

    def predictions(
        self,
        *,
        asset: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        rows_per_chunk: int = 20_000,
    ) -> Iterator[pa.Table]:
        """The current revision of every row with cutoff in [since, until), in chunks.

        Sorted by asset, cutoff, horizon. Memory is that of a chunk; all chunks show one
        state of the database. Nothing found yields no chunk.
        """
        query = (
            select(*self._columns(predictions))
            .where(*_within(asset, since, until))
            .order_by(*(predictions.c[name] for name in PREDICTION_KEY))
        )
        return self._stream(query, rows_per_chunk)

    def cutoffs_without_model(
        self, since: datetime, *, kind: VersionKind = "failure"
    ) -> dict[str, tuple[datetime, datetime]]:
        """First and last cutoff from `since` on that wait for a version, per asset.

        kind "failure": of which no failure model has spoken, watched or not. "normal": of which
        no version of either kind has.
        """
        prediction, with_model = predictions.c, predictions.alias("spoken").c
        waits, spoken = _WAITING[kind]
        has_model_row = (
            select(with_model.asset_id)
            .where(
                with_model.asset_id == prediction.asset_id, with_model.cutoff == prediction.cutoff
            )
            .where(or_(*(with_model[name] > 0 for name in spoken)))
            .exists()
        )
        # SQLite takes an index of waiting rows only where its condition is written out, and
        # only where groups are not those of the key; else it reads the whole table.
        name = prediction.asset_id.concat(literal("", literal_execute=True))
        query = (
            select(name, func.min(prediction.cutoff), func.max(prediction.cutoff))
            .where(waits)
            .where(prediction.cutoff >= since, ~has_model_row)
            .group_by(name)
        )
        with self.database.reading() as connection:
            return {name: (first, last) for name, first, last in connection.execute(query)}

    def superseded(
        self, *, asset: str | None = None, rows_per_chunk: int = 20_000
    ) -> Iterator[pa.Table]:
        """Superseded predictions, in chunks, oldest revision first."""
        history = prediction_history.c
        query = select(*self._columns(prediction_history)).order_by(
            history.asset_id, history.cutoff, history.horizon_hours, history.revision
        )
        if asset is not None:
            query = query.where(history.asset_id == asset)
        return self._stream(query, rows_per_chunk)

    def newest_commit(self) -> int:
        """The number of the newest commit of predictions, 0 before the first numbered one.

        Commits are numbered in their order, whatever the clocks say; numbers are never used
        twice, so that who has read all up to this one lacks only what has higher ones.
        """
        with self.database.reading() as connection:
            return counters.newest(connection, counters.PREDICTION_COMMITS)

    def committed(
        self, *, after: int, until: int, rows_per_chunk: int = 20_000
    ) -> Iterator[pa.Table]:
        """Every revision written by the commits in (after, until], superseded or not, in no order.

        Tables follow NUMBERED_SCHEMA. after=-1 begins with what was said before commits were
        numbered. A row is found once, also where it is superseded meanwhile; what retention
        has retired is not.
        """
        parts = [
            select(*self._columns(table), table.c[COMMIT_NUMBER]).where(
                *_committed_in(table, after, until)
            )
            for table in (predictions, prediction_history)
        ]
        return self._stream(union_all(*parts), rows_per_chunk, NUMBERED_SCHEMA)

    def _stream(
        self, query: Any, rows_per_chunk: int, schema: pa.Schema = PREDICTIONS_SCHEMA
    ) -> Iterator[pa.Table]:
        with self.database.reading() as connection:
            streamed = connection.execution_options(stream_results=True).execute(query)
            for rows in streamed.partitions(rows_per_chunk):
                yield _table(rows, schema)

    def _columns(self, table: Any) -> list[ColumnElement[Any]]:
        return [self._arrow_column(table.c[name]) for name in PREDICTION_COLUMNS]

    def _arrow_column(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        if not isinstance(column.type, Moment):
            return column
        fast = self.database.dialect.arrow_moment(column)
        return column if fast is column else fast.label(column.key)


_WAITING: Final[dict[VersionKind, tuple[ColumnElement[bool], Sequence[str]]]] = {
    "failure": (
        predictions.c.model_version == literal(0, literal_execute=True),
        ("model_version",),
    ),
    "normal": (
        predictions.c.status == literal("no_model", literal_execute=True),
        ("model_version", "normal_version"),
    ),
}


def _within(
    asset: str | None, since: datetime | None, until: datetime | None
) -> Iterator[ColumnElement[bool]]:
    key = predictions.c
    if asset is not None:
        yield key.asset_id == asset
    elif since is not None or until is not None:
        # Every asset has a latest row. Naming them all lets SQLite walk along the key from
        # asset to asset, each from its first cutoff to its last, in order and without a sort.
        yield key.asset_id.in_(select(latest_predictions.c.asset_id))
    if since is not None:
        yield key.cutoff >= since
    if until is not None:
        yield key.cutoff < until


def _committed_in(table: Table, after: int, until: int) -> Iterator[ColumnElement[bool]]:
    number = table.c[COMMIT_NUMBER]
    yield number <= until
    if after >= 0:
        yield number > after
        # Written out, for only then an index of such rows is taken.
        yield number > literal(0, literal_execute=True)


def _table(rows: Sequence[Row[Any]], schema: pa.Schema = PREDICTIONS_SCHEMA) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return moment_array(values, kind) if kind == _UTC else pa.array(values, kind)
