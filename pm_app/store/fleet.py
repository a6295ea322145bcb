"""The fleet, read for people: one row an asset, filtered, sorted and paged by the database.

Nothing here reads more of the predictions than the trends of one page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, case, func, select, union_all

from pm_app.store.engine import Database
from pm_app.store.schema import alarms, latest_predictions, predictions

Order = Literal["risk", "asset", "life", "age"]
Level = Literal["high", "raised", "low", "silent"]
# Where words change; alarms have thresholds of their own.
RAISED_RISK: Final = 0.2
HIGH_RISK: Final = 0.5
# What most needs a person comes first (ISA-18.2).
_ALARMS: Final = ("unacknowledged", "returned", "acknowledged", "shelved")


@dataclass(frozen=True)
class FleetQuery:
    """Which assets, in which order.

    search: a part of the name, whatever its case, taken literally. level: only those, None for
    all. Ties go by name; what is not known comes last in either direction.
    """

    search: str = ""
    level: Level | None = None
    order: Order = "risk"
    descending: bool = True


@dataclass(frozen=True)
class FleetRow:
    """What is said of one asset at its newest cutoff and longest horizon.

    alarm: the state of its open alarm that most needs a person, "" where none is open.
    """

    asset_id: str
    cutoff: datetime
    horizon_hours: float
    status: str
    risk: float | None
    rul_hours: float | None
    rul_low_hours: float | None
    rul_high_hours: float | None
    value: float | None
    top_sensors: str
    attention: str
    model_version: int
    revision: int
    scored_at: datetime
    level: Level
    alarm: str


_SAID: Final = tuple(field.name for field in fields(FleetRow))[:-2]


@dataclass(frozen=True, eq=False)
class Fleet:
    """The newest word on every asset. Methods raise StoreUnavailable when a later call may
    succeed."""

    database: Database

    def rows(
        self, query: FleetQuery, *, limit: int | None = None, offset: int = 0
    ) -> list[FleetRow]:
        """The assets a query names, in its order."""
        return self._rows(query, _newest(query.search), limit, offset)

    def _rows(
        self, query: FleetQuery, among: Select[Any], limit: int | None, offset: int
    ) -> list[FleetRow]:
        newest = among.subquery()
        opened = _open_alarms().subquery()
        level = _level(newest)
        chosen: Select[Any] = (
            select(
                *(newest.c[name] for name in _SAID),
                level.label("level"),
                func.coalesce(opened.c.state, "").label("alarm"),
            )
            .outerjoin(opened, opened.c.asset_id == newest.c.asset_id)
            .where(newest.c.place == 1)
            .order_by(*_order(newest, query))
            .limit(limit)
            .offset(offset or None)
        )
        if query.level is not None:
            chosen = chosen.where(level == query.level)
        with self.database.reading() as connection:
            return [FleetRow(**row) for row in connection.execute(chosen).mappings()]

    def asset(self, name: str) -> FleetRow | None:
        """What is said of one asset; None where nothing is."""
        query = FleetQuery()
        return next(iter(self._rows(query, _newest("", name), None, 0)), None)

    def levels(self, search: str = "") -> dict[Level, int]:
        """How many assets whose name holds `search` are at each level."""
        newest = _newest(search).subquery()
        level = _level(newest)
        query = select(level, func.count()).where(newest.c.place == 1).group_by(level)
        found: dict[Level, int] = {"high": 0, "raised": 0, "low": 0, "silent": 0}
        with self.database.reading() as connection:
            return found | {name: count for name, count in connection.execute(query)}

    def trends(
        self, rows: Sequence[FleetRow], *, points: int
    ) -> dict[str, list[tuple[datetime, float | None]]]:
        """Up to so many newest cutoffs and risks of each row's asset and horizon, oldest first.

        None where nothing was said. Costs a walk of `points` along the key for each row.
        """
        if not rows:
            return {}
        walks = [_walk(row, points) for row in rows]
        found: dict[str, list[tuple[datetime, float | None]]] = {row.asset_id: [] for row in rows}
        with self.database.reading() as connection:
            for asset, cutoff, risk in connection.execute(union_all(*walks)):
                found[asset].append((cutoff, risk))
        return {asset: sorted(trend, key=lambda point: point[0]) for asset, trend in found.items()}


def _newest(search: str, asset: str | None = None) -> Select[Any]:
    latest = latest_predictions.c
    place = func.row_number().over(
        partition_by=latest.asset_id, order_by=(latest.cutoff.desc(), latest.horizon_hours.desc())
    )
    query = select(*(latest[name] for name in _SAID), place.label("place"))
    if search:
        query = query.where(func.lower(latest.asset_id).contains(search.lower(), autoescape=True))
    if asset is not None:
        query = query.where(latest.asset_id == asset)
    return query


def _open_alarms() -> Select[Any]:
    rank = case({name: place for place, name in enumerate(_ALARMS)}, value=alarms.c.state, else_=9)
    worst = (
        select(alarms.c.asset_id, func.min(rank).label("rank"))
        .where(alarms.c.cleared_at.is_(None))
        .group_by(alarms.c.asset_id)
        .subquery()
    )
    names = {place: name for place, name in enumerate(_ALARMS)}
    return select(worst.c.asset_id, case(names, value=worst.c.rank, else_="").label("state"))


def _level(newest: Any) -> ColumnElement[Any]:
    risk = newest.c.risk
    return case(
        (and_(risk.is_(None), newest.c.value.is_(None)), "silent"),
        (risk >= HIGH_RISK, "high"),
        (risk >= RAISED_RISK, "raised"),
        else_="low",
    )


def _order(newest: Any, query: FleetQuery) -> list[ColumnElement[Any]]:
    names = {"risk": "risk", "asset": "asset_id", "life": "rul_hours", "age": "cutoff"}
    column = newest.c[names[query.order]]
    # The older the data, the earlier their cutoff.
    falls = query.descending != (query.order == "age")
    return [(column.desc() if falls else column.asc()).nulls_last(), newest.c.asset_id]


def _walk(row: FleetRow, points: int) -> Select[Any]:
    said = predictions.c
    newest_first = (
        select(said.asset_id, said.cutoff, said.risk)
        .where(said.asset_id == row.asset_id, said.horizon_hours == row.horizon_hours)
        .order_by(said.cutoff.desc())
        .limit(points)
        .subquery()
    )
    return select(newest_first)
