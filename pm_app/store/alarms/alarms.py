"""Alarms, their events and verdicts: read, acknowledged, shelved and judged by people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, true, update

from pm_app.errors import TerminalError
from pm_app.records.alarms import CLEARED, SHELVED, AlarmStep, Verdict
from pm_app.store.database.connection import Database
from pm_app.store.schema.alarms import OPEN, alarm_events, alarms, thresholds, verdicts
from pm_app.store.users import Actor, note


@dataclass(frozen=True)
class AlarmRow:
    """One alarm as it stands. asset_id is "" for one of the plant, which may be `about` some
    assets.

    mode, mode_risks: the likeliest failure mode when it was raised, and JSON, mode to risk then;
    likeliest_mode: that its newest predictions name. None where the version has no modes.
    deviation: of one of kind "deviation", whose risk is None, when it was raised; its top_sensors
    are those behind the deviation, and its model_version the version of normal behaviour.
    """

    id: int
    kind: Literal[
        "risk",
        "deviation",
        "data",
        "readings",
        "assets",
        "events",
        "scores",
        "retraining",
        "approval",
    ]
    asset_id: str
    horizon_hours: float
    state: str
    raised_at: datetime
    changed_at: datetime
    shelved_until: datetime | None
    cleared_at: datetime | None
    cutoff: datetime
    risk: float | None
    threshold: float | None
    reason: str
    top_sensors: str
    model_version: int
    about: tuple[str, ...]
    mode: str | None
    mode_risks: str | None
    likeliest_mode: str | None
    deviation: float | None


@dataclass(frozen=True)
class AlarmEventRow:
    """Something that was done to an alarm, by whom, and why."""

    id: int
    alarm_id: int
    at: datetime
    action: str
    from_state: str | None
    to_state: str
    actor: str
    note: str
    cutoff: datetime | None


@dataclass(frozen=True)
class VerdictRow:
    """What a person found behind an alarm of an asset that was raised at `cutoff`."""

    id: int
    alarm_id: int
    asset_id: str
    cutoff: datetime
    at: datetime
    actor: str
    verdict: str
    found: str
    failed_from: datetime | None
    failed_until: datetime | None
    code: str
    mode: str


@dataclass(frozen=True)
class ThresholdRow:
    """From which risk on alarms are raised, since when and why."""

    at: datetime
    threshold: float
    reason: str


@dataclass(frozen=True, eq=False)
class Alarms:
    """Alarms, their events and verdicts. What was done stays for ever.

    Methods raise StoreUnavailable when a later call may succeed.
    """

    database: Database

    def alarms(
        self, *, only_open: bool = False, asset: str | None = None, limit: int | None = None
    ) -> list[AlarmRow]:
        """Alarms, newest first."""
        query = select(alarms).order_by(alarms.c.id.desc()).limit(limit)
        if only_open:
            query = query.where(OPEN)
        if asset is not None:
            query = query.where(alarms.c.asset_id == asset)
        with self.database.reading() as connection:
            return [_row(found) for found in connection.execute(query)]

    def alarm(self, alarm_id: int) -> AlarmRow:
        """One alarm. Raises TerminalError where there is none of that number."""
        with self.database.reading() as connection:
            return _alarm(connection, alarm_id)

    def page(
        self, *, states: Sequence[str], search: str = "", limit: int, offset: int = 0
    ) -> list[AlarmRow]:
        """Alarms in any of some states, open or cleared, the newest first.

        search: a part of the asset's name, whatever its case, taken literally.
        """
        query = select(alarms).where(alarms.c.state.in_(states), _named(search))
        query = query.order_by(alarms.c.id.desc()).limit(limit).offset(offset or None)
        with self.database.reading() as connection:
            return [_row(found) for found in connection.execute(query)]

    def newest_event(self) -> int:
        """The number of the newest event of any alarm, 0 before the first."""
        query = select(func.coalesce(func.max(alarm_events.c.id), 0))
        with self.database.reading() as connection:
            found: int = connection.execute(query).scalar_one()
        return found

    def counts(self, search: str = "") -> dict[str, int]:
        """How many alarms are in each state that any is in."""
        query = select(alarms.c.state, func.count()).where(_named(search)).group_by(alarms.c.state)
        with self.database.reading() as connection:
            return {state: count for state, count in connection.execute(query)}

    def open_kinds(self) -> dict[str, int]:
        """How many alarms of each kind are open."""
        query = select(alarms.c.kind, func.count()).where(OPEN).group_by(alarms.c.kind)
        with self.database.reading() as connection:
            return {kind: count for kind, count in connection.execute(query)}

    def events(self, alarm_id: int | None = None) -> list[AlarmEventRow]:
        """All that was done to an alarm, or to any, oldest first."""
        query = select(alarm_events).order_by(alarm_events.c.id)
        if alarm_id is not None:
            query = query.where(alarm_events.c.alarm_id == alarm_id)
        with self.database.reading() as connection:
            return [AlarmEventRow(**row._asdict()) for row in connection.execute(query)]

    def verdicts(
        self, *, until: datetime | None = None, of: Sequence[int] | None = None
    ) -> list[VerdictRow]:
        """The newest verdict of each alarm, of those given until then, in order of alarms.

        of: only on these alarms.
        """
        given = select(func.max(verdicts.c.id)).group_by(verdicts.c.alarm_id)
        if of is not None:
            given = given.where(verdicts.c.alarm_id.in_(of))
        if until is not None:
            given = given.where(verdicts.c.at <= until)
        query = (
            select(verdicts, alarms.c.asset_id, alarms.c.cutoff)
            .join_from(verdicts, alarms)
            .where(verdicts.c.id.in_(given))
            .order_by(verdicts.c.alarm_id)
        )
        with self.database.reading() as connection:
            return [VerdictRow(**row._asdict()) for row in connection.execute(query)]

    def set_threshold(
        self, threshold: float, *, horizon_hours: float, reason: str, at: datetime
    ) -> None:
        """From which risk of this horizon on alarms are raised from now on, and why."""
        with self.database.writing() as connection:
            connection.execute(
                insert(thresholds).values(
                    at=at, threshold=threshold, horizon_hours=horizon_hours, reason=reason
                )
            )

    def threshold(self, horizon_hours: float) -> ThresholdRow | None:
        """The newest threshold set for this horizon."""
        query = (
            select(thresholds)
            .where(thresholds.c.horizon_hours == horizon_hours)
            .order_by(thresholds.c.id.desc())
            .limit(1)
        )
        with self.database.reading() as connection:
            found = connection.execute(query).first()
        return None if found is None else ThresholdRow(found.at, found.threshold, found.reason)

    def shelf_time_over(self, now: datetime) -> bool:
        """Whether some shelved alarm waits to come back."""
        query = select(alarms.c.id).where(OPEN, alarms.c.state == SHELVED)
        with self.database.reading() as connection:
            due = query.where(alarms.c.shelved_until <= now).limit(1)
            return connection.execute(due).first() is not None

    def act(
        self,
        alarm_id: int,
        decide: Callable[[AlarmRow], AlarmStep],
        *,
        at: datetime,
        actor: Actor,
        verdict: Verdict | None = None,
    ) -> AlarmRow:
        """Do to an alarm what `decide` says of it as it stands; returns how it stands then.

        An exception of `decide` passes through and leaves nothing behind. Raises TerminalError
        where there is no such alarm.
        """
        with self.database.writing() as connection:
            alarm = _alarm(connection, alarm_id)
            step = decide(alarm)
            event = {"action": step.action, "from_state": alarm.state, "to_state": step.to_state}
            event |= {"actor": actor.name, "note": step.note}
            connection.execute(insert(alarm_events).values(alarm_id=alarm_id, at=at, **event))
            if step.to_state != alarm.state or step.shelved_until != alarm.shelved_until:
                gone = at if step.to_state == CLEARED else None
                moved = update(alarms).where(alarms.c.id == alarm_id)
                connection.execute(
                    moved.values(
                        state=step.to_state,
                        changed_at=at,
                        cleared_at=alarm.cleared_at or gone,
                        shelved_until=step.shelved_until,
                    )
                )
            if verdict is not None:
                _insert_verdict(connection, alarm_id, verdict, at, actor.name)
            target = f"alarm {alarm_id} of {alarm.asset_id or 'the plant'}"
            note(connection, actor, f"alarm {step.action}", target, at=at, details=step.note)
            return _alarm(connection, alarm_id)


def _alarm(connection: Connection, alarm_id: int) -> AlarmRow:
    found = connection.execute(select(alarms).where(alarms.c.id == alarm_id)).first()
    if found is None:
        newest = connection.execute(select(func.max(alarms.c.id))).scalar()
        newest_text = "there are none yet" if newest is None else f"the newest is {newest}"
        raise TerminalError(f"there is no alarm {alarm_id}; {newest_text}")
    return _row(found)


def _row(found: Row[Any]) -> AlarmRow:
    return AlarmRow(**{**found._asdict(), "about": tuple(found.about)})


def _named(search: str) -> ColumnElement[bool]:
    if not search:
        return true()
    return func.lower(alarms.c.asset_id).contains(search.lower(), autoescape=True)


def _insert_verdict(
    connection: Connection, alarm_id: int, verdict: Verdict, at: datetime, actor: str
) -> None:
    row = insert(verdicts).values(
        alarm_id=alarm_id,
        at=at,
        actor=actor,
        verdict=verdict.verdict,
        found=verdict.found,
        failed_from=verdict.failed_from,
        failed_until=verdict.failed_until,
        code=verdict.code,
        mode=verdict.mode,
    )
    connection.execute(row)
