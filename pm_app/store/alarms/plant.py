"""Alarms of the whole plant: one open alarm a kind, without an asset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from pm_app.records.alarms import (
    CLEARED,
    SHELVED,
    SYSTEM,
    UNACKNOWLEDGED,
    WHOLE_PLANT,
    AlarmStep,
    PlantAlarm,
    PlantCondition,
)
from pm_app.store.alarms.outbox import fill_outbox, newest_event
from pm_app.store.database.connection import Database
from pm_app.store.schema.alarms import OPEN, alarm_events, alarms

Decide = Callable[[PlantCondition, PlantAlarm], AlarmStep | None]


@dataclass(frozen=True, eq=False)
class PlantAlarms:
    """Alarms of the plant that stand without a prediction. Methods raise StoreUnavailable when a
    later call may succeed."""

    database: Database

    def follow(
        self,
        conditions: Sequence[PlantCondition],
        decide: Decide,
        *,
        channels: Sequence[str],
        now: datetime,
    ) -> int:
        """Bring the alarm of each condition to where `decide` has it; how many steps that took.

        All in one transaction with their notifications, and none where nothing is to be done.
        """
        with self.database.reading() as connection:
            if not _steps(connection, conditions, decide, now):
                return 0
        with self.database.writing() as connection:
            before = newest_event(connection)
            # Another process may have done the same meanwhile.
            steps = _steps(connection, conditions, decide, now)
            for condition, step in steps:
                take_plant_step(connection, condition, step, now=now)
            fill_outbox(connection, channels, after=before, now=now)
        return len(steps)


def _steps(
    connection: Connection, conditions: Sequence[PlantCondition], decide: Decide, now: datetime
) -> list[tuple[PlantCondition, AlarmStep]]:
    found = []
    for condition in conditions:
        step = decide(condition, open_plant_alarm(connection, condition.kind, now)[1])
        if step is not None:
            found.append((condition, step))
    return found


def open_plant_alarm(
    connection: Connection, kind: str, now: datetime
) -> tuple[int | None, PlantAlarm]:
    """The number of the open alarm of a kind, None without one, and how it stands."""
    found = connection.execute(select(alarms).where(OPEN, alarms.c.kind == kind)).first()
    if found is None:
        return None, PlantAlarm()
    shelf_over = found.state == SHELVED and found.shelved_until <= now
    return found.id, PlantAlarm(found.state, tuple(found.about), shelf_over)


def take_plant_step(
    connection: Connection,
    condition: PlantCondition,
    step: AlarmStep,
    *,
    now: datetime,
    horizon_hours: float = 0.0,
) -> None:
    """Raise, move or end the alarm of this condition, and note it, within a transaction."""
    number, alarm = open_plant_alarm(connection, condition.kind, now)
    if number is None:
        begun = insert(alarms).values(_values(condition, horizon_hours, now))
        number = connection.execute(begun.returning(alarms.c.id)).scalar_one()
    move_alarms(connection, {number: step.to_state}, now)
    if condition.stands:
        described = update(alarms).where(alarms.c.id == number)
        connection.execute(described.values(reason=step.note, about=list(condition.about)))
    event = insert(alarm_events).values(
        alarm_id=number,
        at=now,
        action=step.action,
        from_state=alarm.state or None,
        to_state=step.to_state,
        actor=SYSTEM,
        note=step.note,
        cutoff=condition.cutoff,
    )
    connection.execute(event)


def _values(condition: PlantCondition, horizon_hours: float, now: datetime) -> dict[str, object]:
    return {
        "kind": condition.kind,
        "asset_id": WHOLE_PLANT,
        "horizon_hours": horizon_hours,
        "state": UNACKNOWLEDGED,
        "raised_at": now,
        "changed_at": now,
        "cutoff": condition.cutoff or now,
        "reason": "",
        "top_sensors": "",
        "model_version": 0,
        "about": [],
    }


def move_alarms(connection: Connection, states: Mapping[int, str], now: datetime) -> None:
    """Give open alarms, by number, other states."""
    if not states:
        return
    moved = (
        update(alarms)
        .where(alarms.c.id == bindparam("number"))
        .values(state=bindparam("to"), changed_at=now, cleared_at=bindparam("gone"))
        .values(shelved_until=None)
    )
    connection.execute(
        moved,
        [
            {"number": number, "to": state, "gone": now if state == CLEARED else None}
            for number, state in states.items()
        ],
    )
