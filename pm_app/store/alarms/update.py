"""Alarms raised, returned and cleared by predictions, in the transaction that writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    update,
)

from pm_app.ports import AlarmJudge
from pm_app.records.alarms import (
    ACKNOWLEDGED,
    DATA,
    DEVIATION,
    NO_ALARM,
    OUTAGES,
    RISK,
    SHELVED,
    SYSTEM,
    UNACKNOWLEDGED,
    AlarmHistory,
    AlarmRule,
    DataOutage,
    PlantCondition,
    Transitions,
)
from pm_app.store.alarms.history import (
    AffectedAsset,
    OpenAlarm,
    affected_assets,
    alarm_histories,
    open_alarms_of,
)
from pm_app.store.alarms.outbox import fill_outbox, newest_event
from pm_app.store.alarms.plant import move_alarms, open_plant_alarm, take_plant_step
from pm_app.store.schema.alarms import OPEN, alarm_events, alarms
from pm_app.store.schema.predictions import latest_predictions, predictions
from pm_app.store.schema.types import Moment
from pm_app.times import to_moment
from pm_app.wording import UNUSUAL

# Columns of an alarm, by kind, that come from the prediction that raised it.
_COPIED: Final[Mapping[str, Mapping[str, ColumnElement[Any]]]] = {
    RISK: {
        **{name: predictions.c[name] for name in ("risk", "top_sensors", "model_version")},
        **{name: predictions.c[name] for name in ("mode", "mode_risks")},
        "likeliest_mode": predictions.c.mode,
    },
    DEVIATION: {
        "deviation": predictions.c.deviation,
        "top_sensors": func.coalesce(predictions.c.deviation_sensors, ""),
        "model_version": predictions.c.normal_version,
    },
}


@dataclass(frozen=True)
class AlarmsBeforeCommit:
    """What a commit met, by judge: the assets it touches and the open alarms of its kind; and the
    newest event of any."""

    affected: Sequence[Sequence[AffectedAsset]]
    open_alarms: Sequence[Mapping[str, OpenAlarm]]
    newest_event: int


def alarms_before_commit(
    connection: Connection, judges: Sequence[AlarmJudge], now: datetime, *, live: bool
) -> AlarmsBeforeCommit:
    """What has to be known of the store before staged rows are merged into it."""
    open_alarms = [open_alarms_of(connection, judge.rule.kind, now) for judge in judges]
    affected = [
        affected_assets(connection, judge, standing, live=live)
        for judge, standing in zip(judges, open_alarms, strict=True)
    ]
    return AlarmsBeforeCommit(affected, open_alarms, newest_event(connection))


def update_alarms(
    connection: Connection,
    judges: Sequence[AlarmJudge],
    before: AlarmsBeforeCommit,
    now: datetime,
) -> None:
    """Bring alarms to where the predictions, merged by now, have them.

    The first judge tells of outages and names the channels.
    """
    parts = zip(judges, before.affected, before.open_alarms, strict=True)
    for judge, affected, open_alarms in parts:
        for history in alarm_histories(connection, judge, affected, open_alarms):
            _write(connection, judge.rule, history, judge.transitions(history), open_alarms, now)
        if judge.rule.kind == RISK:
            _follow_modes(connection, judge.rule, affected, now)
    _follow_outage(connection, judges[0], now)
    fill_outbox(connection, judges[0].channels, after=before.newest_event, now=now)


def _write(
    connection: Connection,
    rule: AlarmRule,
    history: AlarmHistory,
    steps: Transitions,
    open_alarms: Mapping[str, OpenAlarm],
    now: datetime,
) -> None:
    if not len(steps.asset):
        return
    names = [history.assets[number] for number in steps.asset.tolist()]
    moments = [to_moment(cutoff) if cutoff > 0 else None for cutoff in steps.cutoff.tolist()]
    fresh = steps.fresh.tolist()
    # Of several states of one alarm the last one stays.
    ends = dict(zip(zip(names, fresh, strict=True), steps.to_state.tolist(), strict=True))
    moved = {open_alarms[name].id: state for (name, new), state in ends.items() if not new}
    move_alarms(connection, moved, now)
    begun = {
        name: {"of": name, "at_cutoff": cutoff, "ends": ends[name, True]}
        for name, cutoff, state in zip(names, moments, steps.from_state.tolist(), strict=True)
        if state == NO_ALARM
    }
    _raise(connection, rule, list(begun.values()), now)
    numbers = {name: alarm.id for name, alarm in open_alarms_of(connection, rule.kind, now).items()}
    rows = zip(names, fresh, moments, _event_texts(steps, rule), strict=True)
    connection.execute(
        insert(alarm_events),
        [
            {
                "alarm_id": numbers[name] if new else open_alarms[name].id,
                "at": now,
                "actor": SYSTEM,
                "cutoff": cutoff,
                **words,
            }
            for name, new, cutoff, words in rows
        ],
    )


def _raise(
    connection: Connection, rule: AlarmRule, begun: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """A new alarm for each of these predictions."""
    if not begun:
        return
    prediction = predictions.c
    values: dict[str, ColumnElement[Any]] = {
        "kind": literal(rule.kind),
        "asset_id": prediction.asset_id,
        "horizon_hours": prediction.horizon_hours,
        "state": bindparam("ends", type_=alarms.c.state.type),
        "raised_at": literal(now, Moment),
        "changed_at": literal(now, Moment),
        "cutoff": prediction.cutoff,
        **_COPIED[rule.kind],
        "threshold": literal(rule.threshold),
        "reason": _reason(rule),
        "about": literal([], JSON),
    }
    deciding = (
        prediction.asset_id == bindparam("of"),
        prediction.cutoff == bindparam("at_cutoff", type_=Moment),
    )
    rows = select(*values.values()).where(*deciding)
    if rule.kind == RISK:
        rows = rows.where(prediction.horizon_hours == rule.horizon_hours)
    else:
        speaks = case((prediction.horizon_hours == rule.horizon_hours, 1), else_=0)
        rows = rows.where(prediction.deviation.is_not(None))
        rows = rows.order_by(speaks.desc(), prediction.horizon_hours.desc()).limit(1)
    connection.execute(insert(alarms).from_select(list(values), rows), list(begun))


def _reason(rule: AlarmRule) -> ColumnElement[str]:
    """Why a prediction raises an alarm, in words; of a deviation with the sensors behind it."""
    if rule.kind == RISK:
        return literal(rule.why)
    sensors = predictions.c.deviation_sensors
    named = case((func.coalesce(sensors, "") == "", ""), else_=literal(": ").concat(sensors))
    return literal(UNUSUAL).concat(named).concat(f" ({rule.why})")


def _event_texts(steps: Transitions, rule: AlarmRule) -> list[dict[str, object]]:
    """Action, states and note of each transition."""
    columns = zip(
        steps.from_state.tolist(),
        steps.to_state.tolist(),
        steps.signal.tolist(),
        steps.revised.tolist(),
        strict=True,
    )
    return [
        {
            "action": _action(before, after),
            "from_state": before or None,
            "to_state": after,
            "note": _note(signal, rule, revised=revised),
        }
        for before, after, signal, revised in columns
    ]


def _action(before: str, after: str) -> str:
    if before == SHELVED:
        return "unshelved"
    return "raised" if after == UNACKNOWLEDGED else after


def _note(signal: float, rule: AlarmRule, *, revised: bool) -> str:
    text = f"no {rule.kind}" if np.isnan(signal) else f"{rule.kind} {signal:g}"
    why = "; what was said before is judged anew" if revised else ""
    return f"{text}, threshold {rule.threshold:g} ({rule.why}){why}"


def _follow_modes(
    connection: Connection, rule: AlarmRule, affected: Sequence[AffectedAsset], now: datetime
) -> None:
    """Note for alarms that stand where another failure mode is the likeliest now: that of all the
    newest scored cutoffs that make a run."""
    names = {one.asset for one in affected}
    own, latest = alarms.c, latest_predictions.c
    same = and_(latest.asset_id == own.asset_id, latest.horizon_hours == rule.horizon_hours)
    other = (
        select(own.id, own.asset_id, own.state, own.likeliest_mode)
        .join_from(alarms, latest_predictions, same)
        .where(OPEN, own.kind == RISK, own.state.in_((UNACKNOWLEDGED, ACKNOWLEDGED)))
        .where(latest.mode.is_distinct_from(own.likeliest_mode))
    )
    for alarm in connection.execute(other).all():
        newest = _newest_modes(connection, rule, alarm.asset_id) if alarm.asset_id in names else []
        modes = {mode for _, mode in newest}
        if (
            len(newest) < rule.persistence
            or len(modes) > 1
            or modes <= {None, alarm.likeliest_mode}
        ):
            continue
        cutoff, mode = newest[0]
        before = f", before it was {alarm.likeliest_mode}" if alarm.likeliest_mode else ""
        connection.execute(update(alarms).where(own.id == alarm.id).values(likeliest_mode=mode))
        event = {"alarm_id": alarm.id, "at": now, "actor": SYSTEM, "cutoff": cutoff}
        event |= {"action": "mode", "from_state": alarm.state, "to_state": alarm.state}
        note = f"the likeliest failure mode is {mode} now{before}"
        connection.execute(insert(alarm_events).values(**event, note=note))


def _newest_modes(
    connection: Connection, rule: AlarmRule, asset: str
) -> list[tuple[datetime, str | None]]:
    """Cutoff and likeliest mode of the newest scored predictions that make a run, newest first."""
    own = predictions.c
    query = (
        select(own.cutoff, own.mode)
        .where(own.asset_id == asset, own.horizon_hours == rule.horizon_hours)
        .where(own.status == "scored")
        .order_by(own.cutoff.desc())
        .limit(rule.persistence)
    )
    return [(row.cutoff, row.mode) for row in connection.execute(query)]


def _follow_outage(connection: Connection, judge: AlarmJudge, now: datetime) -> None:
    """The plant's one alarm on readings that do not come."""
    rule = judge.rule
    number, alarm = open_plant_alarm(connection, DATA, now)
    silent, newest = assets_without_readings(connection, rule.horizon_hours, judge.outage_cutoffs)
    if number is None and not silent:
        return
    outage = DataOutage(
        silent=silent,
        assets=assets_predicted(connection, rule.horizon_hours),
        before=alarm.about,
        state=alarm.state,
        shelf_over=alarm.shelf_over,
    )
    step = judge.outage(outage)
    if step is not None:
        condition = PlantCondition(DATA, bool(silent), step.note, silent, newest)
        take_plant_step(connection, condition, step, now=now, horizon_hours=rule.horizon_hours)


def assets_without_readings(
    connection: Connection, horizon: float, persistence: int
) -> tuple[tuple[str, ...], datetime | None]:
    """Assets whose newest cutoffs all abstain for lack of readings, and the newest of these."""
    latest, prediction = latest_predictions.c, predictions.c
    own = and_(prediction.asset_id == latest.asset_id, prediction.horizon_hours == horizon)
    first = (
        select(prediction.cutoff)
        .where(own)
        .order_by(prediction.cutoff.desc())
        .limit(1)
        .offset(persistence - 1)
        .correlate(latest_predictions)
        .scalar_subquery()
    )
    has_readings = (
        select(prediction.asset_id)
        .where(own, prediction.cutoff >= first, prediction.status.not_in(OUTAGES))
        .correlate(latest_predictions)
        .exists()
    )
    query = select(latest.asset_id, latest.cutoff).where(
        latest.horizon_hours == horizon,
        latest.status.in_(OUTAGES),
        first.is_not(None),
        ~has_readings,
    )
    rows = connection.execute(query.order_by(latest.asset_id)).all()
    return tuple(row.asset_id for row in rows), max((row.cutoff for row in rows), default=None)


def assets_predicted(connection: Connection, horizon: float) -> int:
    """How many assets have a prediction."""
    query = select(func.count()).where(latest_predictions.c.horizon_hours == horizon)
    count: int = connection.execute(query).scalar_one()
    return count
