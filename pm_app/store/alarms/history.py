"""Histories for alarms: the newest risks or deviations of the assets that a commit affects.

Most assets are calm at their newest cutoffs, and a near look tells. Where it tells nothing
(numbers between both thresholds, cutoffs without one) it goes on from a mark that an earlier
look left, and without one further back, to where some run decides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from pm_app.ports import AlarmJudge
from pm_app.records.alarms import (
    DEVIATION,
    NO_ALARM,
    RISK,
    SHELVED,
    AlarmHistory,
    AlarmRule,
)
from pm_app.records.readings import Float64, Int64
from pm_app.store.alarms.marks import Mark, keep_marks, marks_of
from pm_app.store.database.connection import columns_as_stored
from pm_app.store.dialects.table import dialect_of
from pm_app.store.schema.alarms import OPEN, alarms
from pm_app.store.schema.predictions import (
    latest_predictions,
    predictions,
    retirements,
    staged_predictions,
)
from pm_app.store.schema.types import moment_array, nanoseconds_list
from pm_app.times import to_moment

# A near look sees as many cutoffs as make so many runs. A condition that nothing has decided
# for longer than the furthest look stays as it is.
NEAR_RUNS: Final = 2
FURTHER: Final = (64, 512, 4096)
ASSETS_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 200_000
# What a kind of alarm watches, and of which rows; only scored rows have a risk.
_SIGNALS: Final[dict[str, tuple[ColumnElement[Any], ...]]] = {
    RISK: (
        predictions.c.risk,
        predictions.c.risk.is_not(None),
        predictions.c.status == "scored",
    ),
    DEVIATION: (predictions.c.deviation, predictions.c.deviation.is_not(None)),
}
_NEVER: Final = int(np.iinfo(np.int64).min)
_EVER: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class AffectedAsset:
    """An asset that a commit says something of.

    judged_until: the newest cutoff of an earlier commit. since: the cutoff from which its rows
    are read, None where that is all of them; both nanoseconds UTC. rows: of this commit.
    run_before: the newest run before `since`, where that is known.
    """

    asset: str
    judged_until: int
    since: int | None
    rows: int
    run_before: int | None = None


@dataclass(frozen=True)
class OpenAlarm:
    """An open alarm: its row's number, state, and whether its time on the shelf is over."""

    id: int
    state: str
    shelf_over: bool


def open_alarms_of(connection: Connection, kind: str, now: datetime) -> dict[str, OpenAlarm]:
    """The open alarm of a kind of each asset that has one."""
    own = alarms.c
    query = select(own.id, own.asset_id, own.state, own.shelved_until)
    rows = connection.execute(query.where(OPEN, own.kind == kind))
    return {
        row.asset_id: OpenAlarm(
            row.id, row.state, row.state == SHELVED and row.shelved_until <= now
        )
        for row in rows
    }


def affected_assets(
    connection: Connection, judge: AlarmJudge, open_alarms: Mapping[str, OpenAlarm], *, live: bool
) -> list[AffectedAsset]:
    """Assets that staged rows speak of, and those whose time on the shelf is over.

    Asked before the staged rows are merged: what is the newest then has been judged. Without
    `live` all that is staged counts as judged as well.
    """
    staged = staged_predictions.c
    horizons = _horizons(connection, judge.rule)
    staged_rows = (
        select(staged.asset_id, func.count().label("rows"))
        .where(staged.horizon_hours == judge.rule.horizon_hours)
        .group_by(staged.asset_id)
    )
    rows = dict(zip(*columns_as_stored(connection, staged_rows), strict=True))
    rows |= {name: rows.get(name, 0) for name, alarm in open_alarms.items() if alarm.shelf_over}
    near = NEAR_RUNS * judge.rule.persistence
    found: list[AffectedAsset] = []
    names = sorted(rows)
    for start in range(0, len(names), ASSETS_AT_ONCE):
        part = names[start : start + ASSETS_AT_ONCE]
        newest = _newest(connection, part, horizons, back=near)
        for name in part:
            until, since = newest.get(name, (_NEVER, None))
            found.append(AffectedAsset(name, until if live else _EVER, since, rows[name]))
    return sorted(found, key=_order)


def alarm_histories(
    connection: Connection,
    judge: AlarmJudge,
    affected: Sequence[AffectedAsset],
    open_alarms: Mapping[str, OpenAlarm],
) -> Iterator[AlarmHistory]:
    """The newest signals of these assets, some assets at a time, as far back as it takes."""
    retired = connection.execute(select(retirements.c.id).limit(1)).first() is not None

    horizons = _horizons(connection, judge.rule)

    def read(part: Sequence[AffectedAsset]) -> AlarmHistory:
        rows = _rows(connection, part, judge.rule, horizons)
        return _history(part, rows, open_alarms, retired=retired)

    for group in _groups(affected):
        part = sorted(group, key=lambda one: one.asset)
        marks = marks_of(
            connection, judge.rule, [one.asset for one in part if one.since is not None]
        )
        part = [_from_mark(one, marks.get(one.asset), always=False) for one in part]
        near = read(part)
        whole = np.array([one.since is None for one in part])
        _keep_first_marks(connection, judge, near.take(whole))
        more = judge.undecided(near) & ~whole
        if not more.all():
            yield near.take(~more)
        undecided = [part[at] for at in np.flatnonzero(more).tolist()]
        if undecided:
            history = _look_further(connection, judge, undecided, read, marks)
            looked_until = [one.since for one in undecided if one.since is not None]
            upto = np.array(looked_until, dtype=np.int64)
            keep_marks(connection, judge.rule, history.assets, upto, judge.marks(history, upto))
            yield history


def _look_further(
    connection: Connection,
    judge: AlarmJudge,
    undecided: Sequence[AffectedAsset],
    read: Callable[[Sequence[AffectedAsset]], AlarmHistory],
    marks: Mapping[str, Mark],
) -> AlarmHistory:
    """A history of these assets from their marks on, else from further and further back."""
    part = [_from_mark(one, marks.get(one.asset), always=True) for one in undecided]
    history = read(part)
    for back in FURTHER:
        more = judge.undecided(history)
        if not more.any():
            break
        names = [history.assets[at] for at in np.flatnonzero(more).tolist()]
        offset = back + max(one.rows for one in part)
        newest = _newest(connection, names, _horizons(connection, judge.rule), back=offset)
        begins = {name: since for name, (_, since) in newest.items()}
        part = [
            replace(one, since=begins[one.asset]) if one.asset in begins else one for one in part
        ]
        history = read(part)
    return history


def _from_mark(one: AffectedAsset, mark: Mark | None, *, always: bool) -> AffectedAsset:
    """The asset with a look that goes on from its mark; unless `always`, only where that reads
    no more than about two near looks."""
    if mark is None or one.since is None:
        return one
    judged = one.since if one.judged_until == _EVER else one.judged_until
    if always or mark[0] >= one.since - (judged - one.since):
        return AffectedAsset(one.asset, one.judged_until, mark[0], one.rows, mark[1])
    return one


def _keep_first_marks(connection: Connection, judge: AlarmJudge, history: AlarmHistory) -> None:
    """Marks for assets of which all was read, where the next near look will tell nothing."""
    back = NEAR_RUNS * judge.rule.persistence
    size = np.bincount(history.asset, minlength=len(history.assets))
    end = np.cumsum(size)
    seen = np.arange(len(history.asset)) >= (end - 1 - back)[history.asset]
    columns = {name: getattr(history, name)[seen] for name in ("asset", "cutoff", "signal")}
    next_look = replace(
        history,
        **columns,
        judged_until=np.full(len(size), _EVER),
        run_known=np.zeros(len(size), dtype=np.bool_),
    )
    chosen = judge.undecided(next_look) & history.run_known & (size > back)
    if chosen.any():
        upto = history.cutoff[(end - 1 - back)[chosen]]
        undecided = history.take(chosen)
        keep_marks(connection, judge.rule, undecided.assets, upto, judge.marks(undecided, upto))


def _horizons(connection: Connection, rule: AlarmRule) -> tuple[float, ...]:
    """The horizons whose rows are looked at, the rule's first.

    Every horizon has the same deviation: where horizons were others once, it goes on all the same.
    """
    if rule.kind == RISK:
        return (rule.horizon_hours,)
    every = connection.execute(select(latest_predictions.c.horizon_hours).distinct()).scalars()
    staged = select(staged_predictions.c.horizon_hours).distinct()
    now = {rule.horizon_hours, *connection.execute(staged).scalars()}
    return (rule.horizon_hours, *sorted(set(every) - now))


def _newest(
    connection: Connection, names: Sequence[str], horizons: Sequence[float], *, back: int
) -> dict[str, tuple[int, int | None]]:
    """The newest cutoff of each asset, and the one so many before; nanoseconds UTC."""
    latest, prediction, dialect = latest_predictions.c, predictions.c, dialect_of(connection)
    cutoffs = select(prediction.cutoff)
    before = (
        (cutoffs.distinct() if len(horizons) > 1 else cutoffs)
        .where(prediction.asset_id == latest.asset_id, prediction.horizon_hours.in_(horizons))
        .order_by(prediction.cutoff.desc())
        .limit(1)
        .offset(back)
        .scalar_subquery()
    )
    moments = (dialect.arrow_moment(moment) for moment in (func.max(latest.cutoff), before))
    query = select(latest.asset_id, *moments)
    query = query.where(dialect.among(latest.asset_id, names), latest.horizon_hours.in_(horizons))
    assets, *columns = columns_as_stored(connection, query.group_by(latest.asset_id))
    found = zip(assets, *(nanoseconds_list(column) for column in columns), strict=True)
    return {name: (cutoff, since) for name, cutoff, since in found if cutoff is not None}


def _order(one: AffectedAsset) -> tuple[bool, int | None, str]:
    # Looks that begin at about the same time are read together.
    return (one.since is None, one.since, one.asset)


def _groups(affected: Sequence[AffectedAsset]) -> Iterator[list[AffectedAsset]]:
    """Assets in their order, with not too many rows together."""
    group: list[AffectedAsset] = []
    rows = 0
    for one in affected:
        if group and (rows + one.rows > ROWS_AT_ONCE or len(group) == ASSETS_AT_ONCE):
            yield group
            group, rows = [], 0
        group.append(one)
        rows += one.rows
    if group:
        yield group


def _history(
    part: Sequence[AffectedAsset],
    rows: tuple[Int64, Int64, Float64],
    open_alarms: Mapping[str, OpenAlarm],
    *,
    retired: bool,
) -> AlarmHistory:
    asset, cutoff, signal = rows
    since = [_NEVER if one.since is None else one.since for one in part]
    inside = cutoff >= np.array(since, dtype=np.int64)[asset]
    nothing = OpenAlarm(0, NO_ALARM, shelf_over=False)
    alarms_of = [open_alarms.get(one.asset, nothing) for one in part]
    run_known_before = [
        one.run_before is not None or (one.since is None and not retired) for one in part
    ]
    return AlarmHistory(
        assets=tuple(one.asset for one in part),
        asset=asset[inside].astype(np.int32),
        cutoff=cutoff[inside],
        signal=signal[inside],
        judged_until=np.array([one.judged_until for one in part], dtype=np.int64),
        run_before=np.array([one.run_before or 0 for one in part], dtype=np.int8),
        run_known=np.array(run_known_before, dtype=np.bool_),
        state=np.array([alarm.state for alarm in alarms_of], dtype=object),
        shelf_over=np.array([alarm.shelf_over for alarm in alarms_of], dtype=np.bool_),
    )


def _rows(
    connection: Connection,
    part: Sequence[AffectedAsset],
    rule: AlarmRule,
    horizons: Sequence[float],
) -> tuple[Int64, Int64, Float64]:
    """Place in `part`, cutoff and signal of the rows with one since the earliest look begins.

    Of several horizons at a cutoff the rule's speaks, else the longest.
    """
    prediction = predictions.c
    signal, *conditions = _SIGNALS[rule.kind]
    query: Select[Any] = (
        select(
            prediction.asset_id,
            dialect_of(connection).arrow_moment(prediction.cutoff),
            signal,
        )
        .where(
            dialect_of(connection).among(prediction.asset_id, [one.asset for one in part]),
            prediction.horizon_hours.in_(horizons),
            *conditions,
        )
        .order_by(prediction.asset_id, prediction.cutoff)
    )
    if len(horizons) > 1:
        speaks = prediction.horizon_hours == rule.horizon_hours
        query = query.order_by(case((speaks, 1), else_=0), prediction.horizon_hours)
    begins = [one.since for one in part if one.since is not None]
    if len(begins) == len(part):
        query = query.where(prediction.cutoff >= to_moment(min(begins)))
    return _as_arrays(columns_as_stored(connection, query), part)


def _as_arrays(
    columns: Sequence[Sequence[Any]], part: Sequence[AffectedAsset]
) -> tuple[Int64, Int64, Float64]:
    """Place in `part`, cutoff and signal; of several rows for a cutoff the last one."""
    names, cutoffs, signals = columns
    moments = moment_array(cutoffs, pa.timestamp("us", tz="UTC"))
    part_names = pa.array([one.asset for one in part], pa.string())
    place = pc.index_in(pa.array(names, pa.string()), value_set=part_names)
    asset = place.to_numpy(zero_copy_only=False).astype(np.int64)
    cutoff = 1000 * moments.cast(pa.int64()).to_numpy()
    last = np.append((np.diff(asset) != 0) | (np.diff(cutoff) != 0), True)[: len(asset)]
    return (
        asset[last],
        cutoff[last],
        np.array(signals, dtype=np.float64)[last],
    )
