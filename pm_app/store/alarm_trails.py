"""What alarms are judged by: the newest risks of assets that something was just said of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, String, and_, func, select, type_coerce

from pm_app.ports import AlarmJudge
from pm_app.records.alarms import NO_ALARM, OUTAGES, RISK, SHELVED, Trail
from pm_app.records.readings import Int64
from pm_app.store.alarm_tables import OPEN, alarms
from pm_app.store.moments import moment_of, nanoseconds_of
from pm_app.store.schema import latest_predictions, predictions, retirements, staged_predictions

# Calm assets are below the threshold at their newest cutoffs; the far look is for the others.
# A condition that nothing has decided for longer than that stays as it is.
NEAR_RUNS: Final = 4
FAR: Final = 4096
ASSETS_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 200_000
_NEVER: Final = int(np.iinfo(np.int64).min)
_EVER: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Touched:
    """An asset that a commit says something of.

    said_until: the newest cutoff that was said before, nanoseconds UTC. since: the cutoff from
    which its risks are looked at, None where that is all of them. rows: said now.
    """

    asset: str
    said_until: int
    since: datetime | None
    rows: int


@dataclass(frozen=True)
class Standing:
    """An open alarm: its row's number, state, and whether its time on the shelf is over."""

    id: int
    state: str
    due: bool


def open_risk_alarms(connection: Connection, now: datetime) -> dict[str, Standing]:
    """The open alarm of each asset that has one."""
    own = alarms.c
    query = select(own.id, own.asset_id, own.state, own.shelved_until)
    rows = connection.execute(query.where(OPEN, own.kind == RISK))
    return {
        row.asset_id: Standing(row.id, row.state, row.state == SHELVED and row.shelved_until <= now)
        for row in rows
    }


def touched_assets(
    connection: Connection, judge: AlarmJudge, standing: Mapping[str, Standing], *, live: bool
) -> list[Touched]:
    """Assets that staged rows speak of, and those whose time on the shelf is over.

    Asked before the staged rows are merged: what is the newest then has been judged. Without
    `live` all that is said now counts as judged as well.
    """
    staged, horizon = staged_predictions.c, judge.rule.horizon_hours
    spoken = (
        select(staged.asset_id, func.count().label("rows"))
        .where(staged.horizon_hours == horizon)
        .group_by(staged.asset_id)
    )
    rows = {row.asset_id: row.rows for row in connection.execute(spoken)}
    rows |= {name: rows.get(name, 0) for name, alarm in standing.items() if alarm.due}
    near = NEAR_RUNS * judge.rule.persistence
    found: list[Touched] = []
    for part in _some(sorted(rows), ASSETS_AT_ONCE):
        newest = _newest(connection, part, horizon, back=near)
        for name in part:
            cutoff, since = newest.get(name, (None, None))
            until = nanoseconds_of(cutoff) if cutoff is not None else _NEVER
            found.append(Touched(name, until if live else _EVER, since, rows[name]))
    return sorted(found, key=lambda one: (one.since is None, one.since, one.asset))


def _newest(
    connection: Connection, names: Sequence[str], horizon: float, *, back: int
) -> dict[str, tuple[datetime, datetime | None]]:
    """The newest cutoff of each asset, and the one so many before."""
    latest, said = latest_predictions.c, predictions.c
    before = (
        select(said.cutoff)
        .where(said.asset_id == latest.asset_id, said.horizon_hours == horizon)
        .order_by(said.cutoff.desc())
        .limit(1)
        .offset(back)
        .scalar_subquery()
    )
    query = select(latest.asset_id, latest.cutoff, before.label("since"))
    query = query.where(latest.asset_id.in_(names), latest.horizon_hours == horizon)
    return {row.asset_id: (row.cutoff, row.since) for row in connection.execute(query)}


def trails(
    connection: Connection,
    judge: AlarmJudge,
    touched: Sequence[Touched],
    standing: Mapping[str, Standing],
) -> Iterator[Trail]:
    """The newest risks of these assets, so many assets at a time; far back where it takes that."""
    retired = connection.execute(select(retirements.c.id).limit(1)).first() is not None
    horizon = judge.rule.horizon_hours
    for part in _groups(touched):
        trail = _read(connection, part, horizon, standing, retired=retired)
        further = judge.undecided(trail)
        if further.any():
            part = [
                _further_back(connection, one, horizon) if more else one
                for one, more in zip(part, further.tolist(), strict=True)
            ]
            trail = _read(connection, part, horizon, standing, retired=retired)
        yield trail


def _groups(touched: Sequence[Touched]) -> Iterator[list[Touched]]:
    """Assets whose looks begin at about the same time, with not too many rows together."""
    group: list[Touched] = []
    rows = 0
    for one in touched:
        if group and (rows + one.rows > ROWS_AT_ONCE or len(group) == ASSETS_AT_ONCE):
            yield group
            group, rows = [], 0
        group.append(one)
        rows += one.rows
    if group:
        yield group


def _further_back(connection: Connection, one: Touched, horizon: float) -> Touched:
    said = predictions.c
    query = (
        select(said.cutoff)
        .where(said.asset_id == one.asset, said.horizon_hours == horizon)
        .order_by(said.cutoff.desc())
        .limit(1)
        .offset(FAR)
    )
    if one.said_until != _EVER:
        query = query.where(said.cutoff <= moment_of(one.said_until))
    return Touched(one.asset, one.said_until, connection.execute(query).scalar(), one.rows)


def _read(
    connection: Connection,
    part: Sequence[Touched],
    horizon: float,
    standing: Mapping[str, Standing],
    *,
    retired: bool,
) -> Trail:
    part = sorted(part, key=lambda one: one.asset)
    assets = tuple(one.asset for one in part)
    asset, cutoff, risk = _rows(connection, part, horizon)
    since = np.array(
        [_NEVER if one.since is None else nanoseconds_of(one.since) for one in part],
        dtype=np.int64,
    )
    inside = cutoff >= since[asset]
    alarms_of = [standing.get(name, Standing(0, NO_ALARM, due=False)) for name in assets]
    return Trail(
        assets=assets,
        asset=asset[inside].astype(np.int32),
        cutoff=cutoff[inside],
        risk=risk[inside],
        said_until=np.array([one.said_until for one in part], dtype=np.int64),
        whole=np.array([one.since is None and not retired for one in part], dtype=np.bool_),
        state=np.array([alarm.state for alarm in alarms_of], dtype=object),
        due=np.array([alarm.due for alarm in alarms_of], dtype=np.bool_),
    )


def _rows(
    connection: Connection, part: Sequence[Touched], horizon: float
) -> tuple[Int64, Int64, Any]:
    """Place in `part`, cutoff and risk of the scored rows since the earliest look begins."""
    said, sqlite = predictions.c, connection.dialect.name == "sqlite"
    # Arrow parses the text of a whole column faster than Python its single values.
    cutoff = type_coerce(said.cutoff, String) if sqlite else said.cutoff
    query = (
        select(said.asset_id, cutoff, said.risk)
        .where(said.asset_id.in_([one.asset for one in part]), said.horizon_hours == horizon)
        .where(said.status == "scored", said.risk.is_not(None))
        .order_by(said.asset_id, said.cutoff)
    )
    begins = [one.since for one in part]
    if None not in begins:
        query = query.where(said.cutoff >= min(begin for begin in begins if begin is not None))
    found = connection.execute(query).all()
    names, cutoffs, risks = zip(*found, strict=True) if found else ((), (), ())
    kind = pa.timestamp("us", tz="UTC")
    moments = pa.array(cutoffs, pa.string()).cast(kind) if sqlite else pa.array(cutoffs, kind)
    known = pa.array([one.asset for one in part], pa.string())
    place = pa.compute.index_in(pa.array(names, pa.string()), value_set=known)
    return (
        place.to_numpy(zero_copy_only=False).astype(np.int64),
        1000 * moments.cast(pa.int64()).to_numpy(),
        np.array(risks, dtype=np.float64),
    )


def dark_assets(
    connection: Connection, horizon: float, persistence: int
) -> tuple[tuple[str, ...], datetime | None]:
    """Assets whose newest cutoffs all abstain for lack of readings, and the newest of these."""
    latest, said = latest_predictions.c, predictions.c
    own = and_(said.asset_id == latest.asset_id, said.horizon_hours == horizon)
    first = (
        select(said.cutoff)
        .where(own)
        .order_by(said.cutoff.desc())
        .limit(1)
        .offset(persistence - 1)
        .scalar_subquery()
    )
    spoke = (
        select(said.asset_id)
        .where(own, said.cutoff >= first.correlate(latest_predictions))
        .where(said.status.not_in(OUTAGES))
        .exists()
    )
    query = select(latest.asset_id, latest.cutoff).where(
        latest.horizon_hours == horizon,
        latest.status.in_(OUTAGES),
        first.is_not(None),
        ~spoke.correlate(latest_predictions),
    )
    rows = connection.execute(query.order_by(latest.asset_id)).all()
    return tuple(row.asset_id for row in rows), max((row.cutoff for row in rows), default=None)


def assets_told_of(connection: Connection, horizon: float) -> int:
    """How many assets something was ever said of."""
    query = select(func.count()).where(latest_predictions.c.horizon_hours == horizon)
    count: int = connection.execute(query).scalar_one()
    return count


def _some(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), most):
        yield names[start : start + most]
