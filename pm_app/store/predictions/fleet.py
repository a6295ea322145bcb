"""Fleet table: one row an asset, filtered, sorted and paged by the database.

Nothing here reads more of the predictions than the trends of one page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    or_,
    select,
)

from pm_app.store.database.connection import Database
from pm_app.store.rows import PredictionRow
from pm_app.store.schema.predictions import alarms, latest_predictions, predictions
from pm_app.wording import drivers_text

FleetOrder = Literal["risk", "asset", "deviation", "life", "age"]
RiskLevel = Literal["high", "raised", "unusual", "low", "usual", "silent", "outdated"]
# Where words change; alarms have thresholds of their own.
RAISED_RISK: Final = 0.2
HIGH_RISK: Final = 0.5
# The level of alarms of deviations, which is what a deviation is told in.
UNUSUAL: Final = 1.0
# A trend shows deviations up to twice the level of alarms.
_TREND_DEVIATION: Final = 2.0
# What most needs a person comes first (ISA-18.2).
_ALARMS: Final = ("unacknowledged", "returned", "acknowledged", "shelved")


@dataclass(frozen=True)
class FleetQuery:
    """Which assets, in which order.

    search: a part of the name, whatever its case, taken literally. level: only those, None for
    all. Ties go by name; what is not known comes last in either direction.
    """

    search: str = ""
    level: RiskLevel | None = None
    order: FleetOrder = "risk"
    descending: bool = True


@dataclass(frozen=True)
class FleetRow(PredictionRow):
    """The prediction of one asset at its newest cutoff and longest horizon.

    level: "outdated" where the horizon of the risk has passed: it is no longer about now;
    "unusual" and "usual" of assets that are watched, which have a deviation and no risk.
    top_sensors: "" where the risk is next to none, see `drivers_text`.
    alarm: the state of its open alarm that most needs a person, "" where none is open.
    """

    level: RiskLevel
    alarm: str


# Statuses of rows that say something of the hours to come.
_SAID: Final = ("scored", "watched")
_PREDICTION_FIELDS: Final = tuple(field.name for field in fields(PredictionRow))


@dataclass(frozen=True, eq=False)
class Fleet:
    """The newest prediction of every asset. Methods raise StoreUnavailable when a later call may
    succeed."""

    database: Database

    def rows(
        self,
        query: FleetQuery,
        *,
        limit: int | None = None,
        offset: int = 0,
        now: datetime | None = None,
    ) -> list[FleetRow]:
        """The assets a query names, in its order; by risk those without one come after, the most
        unusual first, and last those that are outdated.

        now: when they are looked at; None takes every risk as if it had just been said.
        """
        among = _newest(query.search)
        with self.database.reading() as connection:
            return _fleet_rows(connection, query, among, now, limit=limit, offset=offset)

    def asset(self, name: str, *, now: datetime | None = None) -> FleetRow | None:
        """The newest prediction of one asset; None where there is none. now as for `rows`."""
        with self.database.reading() as connection:
            found = _fleet_rows(connection, FleetQuery(), _newest("", name), now)
        return next(iter(found), None)

    def levels(self, search: str = "", *, now: datetime | None = None) -> dict[RiskLevel, int]:
        """How many assets whose name holds `search` are at each level; now as for `rows`."""
        newest = _newest(search).subquery()
        found: dict[RiskLevel, int] = dict.fromkeys(get_args(RiskLevel), 0)
        with self.database.reading() as connection:
            level = _risk_level(newest, _outdated(connection, newest, now))
            query = select(level.label("level"), func.count()).group_by(level)
            return found | {name: count for name, count in connection.execute(query)}

    def trends(
        self, rows: Sequence[FleetRow], *, points: int
    ) -> dict[str, list[tuple[datetime, float | None]]]:
        """Up to so many newest cutoffs and risks of each row's asset and horizon, oldest first.

        None where the model abstained. Of a watched asset deviations, 1 being twice the level of
        alarms or more. Costs a walk of `points` along the key for each row.
        """
        found = {}
        with self.database.reading() as connection:
            for row in rows:
                asked = {"asset": row.asset_id, "horizon": row.horizon_hours, "points": points}
                walk = connection.execute(_WALK, asked).all()
                shown = _shown_deviation if row.status == "watched" else _shown_risk
                found[row.asset_id] = [(one.cutoff, shown(one)) for one in reversed(walk)]
        return found


def _shown_risk(row: Any) -> float | None:
    return None if row.risk is None else float(row.risk)


def _shown_deviation(row: Any) -> float | None:
    return None if row.deviation is None else min(row.deviation / _TREND_DEVIATION, 1.0)


def _fleet_rows(
    connection: Connection,
    query: FleetQuery,
    among: Select[Any],
    now: datetime | None,
    *,
    limit: int | None = None,
    offset: int = 0,
) -> list[FleetRow]:
    newest = among.subquery()
    opened = _open_alarms().subquery()
    outdated = _outdated(connection, newest, now)
    level = _risk_level(newest, outdated)
    chosen: Select[Any] = (
        select(
            *(newest.c[name] for name in _PREDICTION_FIELDS),
            level.label("level"),
            func.coalesce(opened.c.state, "").label("alarm"),
        )
        .outerjoin(opened, opened.c.asset_id == newest.c.asset_id)
        .order_by(*_order(newest, query, outdated))
        .limit(limit)
        .offset(offset or None)
    )
    if query.level is not None:
        chosen = chosen.where(level == query.level)
    return [
        FleetRow(**row | {"top_sensors": drivers_text(row["top_sensors"], row["risk"])})
        for row in map(dict, connection.execute(chosen).mappings())
    ]


def _outdated(connection: Connection, newest: Any, now: datetime | None) -> ColumnElement[bool]:
    """`is_outdated` as the database reckons it: there are but few horizons."""
    if now is None:
        return false()
    hours = connection.execute(select(latest_predictions.c.horizon_hours).distinct()).scalars()
    return or_(
        false(),
        *(
            and_(
                newest.c.horizon_hours == horizon,
                newest.c.cutoff < now - timedelta(hours=horizon),
                newest.c.status.in_(_SAID),
            )
            for horizon in hours
            if horizon
        ),
    )


def _newest(search: str, asset: str | None = None) -> Select[Any]:
    """The newest row of each asset, at its longest horizon."""
    latest, other = latest_predictions.c, latest_predictions.alias("other").c
    # Two looks along the key for each row; to number the rows of each asset is twice the work.
    newer = (
        select(other.asset_id)
        .where(other.asset_id == latest.asset_id)
        .where(
            or_(
                other.cutoff > latest.cutoff,
                and_(other.cutoff == latest.cutoff, other.horizon_hours > latest.horizon_hours),
            )
        )
        .exists()
    )
    query = select(*(latest[name] for name in _PREDICTION_FIELDS)).where(~newer)
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


def is_outdated(row: PredictionRow, now: datetime) -> bool:
    """Whether the horizon that a row was said for has passed by now.

    Of rows of a plain table, whose horizon is 0, nothing passes.
    """
    ends = row.cutoff + timedelta(hours=row.horizon_hours)
    return row.status in _SAID and row.horizon_hours > 0 and ends < now


def is_unusual(row: PredictionRow) -> bool:
    """Whether a row deviates as much as raises an alarm, watched or scored."""
    return (row.deviation or 0.0) >= UNUSUAL


def risk_level(row: PredictionRow, now: datetime) -> RiskLevel:
    """The level of a risk, or of an estimate: the colour and the word that pages show it by."""
    risk, value = row.risk, row.value
    if is_outdated(row, now):
        return "outdated"
    if risk is None and row.status == "watched":
        return "unusual" if is_unusual(row) else "usual"
    if risk is None:
        return "silent" if value is None else "low"
    return "high" if risk >= HIGH_RISK else "raised" if risk >= RAISED_RISK else "low"


def _risk_level(newest: Any, outdated: ColumnElement[bool]) -> ColumnElement[Any]:
    """`risk_level` as the database reckons it."""
    risk = newest.c.risk
    return case(
        (outdated, "outdated"),
        (and_(newest.c.status == "watched", newest.c.deviation >= UNUSUAL), "unusual"),
        (newest.c.status == "watched", "usual"),
        (and_(risk.is_(None), newest.c.value.is_(None)), "silent"),
        (risk >= HIGH_RISK, "high"),
        (risk >= RAISED_RISK, "raised"),
        else_="low",
    )


def _order(
    newest: Any, query: FleetQuery, outdated: ColumnElement[bool]
) -> list[ColumnElement[Any]]:
    columns = [newest.c[name] for name in _ORDERED_BY[query.order]]
    # The older the data, the earlier their cutoff.
    falls = query.descending != (query.order == "age")
    ordered = [(each.desc() if falls else each.asc()).nulls_last() for each in columns]
    ordered.append(newest.c.asset_id)
    return [case((outdated, 1), else_=0), *ordered] if query.order == "risk" else ordered


_ORDERED_BY: Final[dict[FleetOrder, Sequence[str]]] = {
    "risk": ("risk", "deviation"),
    "asset": ("asset_id",),
    "deviation": ("deviation",),
    "life": ("rul_hours",),
    "age": ("cutoff",),
}
# Put together once: for fifty rows of a page that takes longer than the walks themselves.
_WALK: Final = (
    select(predictions.c.cutoff, predictions.c.risk, predictions.c.deviation)
    .where(predictions.c.asset_id == bindparam("asset"))
    .where(predictions.c.horizon_hours == bindparam("horizon"))
    .order_by(predictions.c.cutoff.desc())
    .limit(bindparam("points"))
)
