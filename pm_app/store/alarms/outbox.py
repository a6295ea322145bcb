"""Outbox of notifications: written with the alarms, taken out when they are sent."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    insert,
    literal,
    select,
    update,
)

from pm_app.records.alarms import OF_ASSETS, UNACKNOWLEDGED, WORK_ORDER
from pm_app.store.database.connection import Database
from pm_app.store.schema.alarms import WAITING, alarm_events, alarms, outbox
from pm_app.store.schema.predictions import latest_predictions
from pm_app.store.schema.types import Moment

_RAISING_ACTIONS = ("raised", "unshelved")


@dataclass(frozen=True)
class OutboxRow:
    """A notification to send: an alarm as it was raised, and as it stands now.

    attempts: how often sending it has failed. rul_hours with its interval: the asset's remaining
    life as predicted now, None where nothing is.
    """

    id: int
    channel: str
    created_at: datetime
    due_at: datetime
    attempts: int
    error: str
    alarm_id: int
    kind: str
    asset_id: str
    state: str
    raised_at: datetime
    horizon_hours: float
    risk: float | None
    threshold: float | None
    reason: str
    top_sensors: str
    mode: str | None
    mode_risks: str | None
    likeliest_mode: str | None
    deviation: float | None
    rul_hours: float | None
    rul_low_hours: float | None
    rul_high_hours: float | None


@dataclass(frozen=True, eq=False)
class Outbox:
    """Notifications of alarms that wait to be sent. Methods raise StoreUnavailable when a later
    call may succeed."""

    database: Database

    def due(self, now: datetime) -> list[OutboxRow]:
        """What is to be sent by now, oldest first."""
        return self._outbox_rows(_outbox_rows().where(WAITING, outbox.c.due_at <= now))

    def waiting(self) -> list[OutboxRow]:
        """All that has not been sent, oldest first."""
        return self._outbox_rows(_outbox_rows().where(WAITING))

    def mark_sent(self, numbers: Collection[int], *, at: datetime) -> None:
        """Take out what has been sent."""
        taken = update(outbox).where(outbox.c.id.in_(numbers), WAITING)
        with self.database.writing() as connection:
            connection.execute(taken.values(done_at=at, error=""))

    def give_up(self, numbers: Collection[int], *, at: datetime, error: str) -> None:
        """Take out what has no recipient any more."""
        taken = update(outbox).where(outbox.c.id.in_(numbers), WAITING)
        with self.database.writing() as connection:
            connection.execute(taken.values(done_at=at, error=error))

    def postpone(
        self, numbers: Collection[int], *, until: datetime, error: str = "", failed: bool
    ) -> None:
        """Tell it later; failed: because telling it now did not work."""
        postponed = update(outbox).where(outbox.c.id.in_(numbers), WAITING)
        more = outbox.c.attempts + 1 if failed else outbox.c.attempts
        with self.database.writing() as connection:
            connection.execute(postponed.values(due_at=until, error=error, attempts=more))

    def remind(self, channels: Sequence[str], *, now: datetime, after: timedelta) -> int:
        """Write again what was sent so long ago and nobody has acknowledged; returns how many."""
        own, events = outbox.c, alarm_events.c
        newest = (
            select(func.max(own.id).label("id"))
            .join_from(outbox, alarm_events)
            .where(own.channel.in_(channels))
            .group_by(events.alarm_id, own.channel)
        )
        again = (
            select(own.event_id, own.channel, *_fresh(now))
            .join_from(outbox, alarm_events)
            .join(alarms, alarms.c.id == events.alarm_id)
            .where(own.id.in_(newest), own.done_at <= now - after)
            .where(alarms.c.state == UNACKNOWLEDGED)
        )
        with self.database.reading() as connection:
            if connection.execute(again.limit(1)).first() is None:
                return 0
        with self.database.writing() as connection:
            rows = [dict(zip(_COLUMNS, row, strict=True)) for row in connection.execute(again)]
            if rows:
                connection.execute(insert(outbox), rows)
        return len(rows)

    def _outbox_rows(self, query: Select[tuple[object, ...]]) -> list[OutboxRow]:
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(outbox.c.id))
            return [OutboxRow(**row._asdict()) for row in rows]


def newest_event(connection: Connection) -> int:
    """The number of the newest event of any alarm, 0 before the first."""
    found: int = connection.execute(
        select(func.coalesce(func.max(alarm_events.c.id), 0))
    ).scalar_one()
    return found


def fill_outbox(
    connection: Connection, channels: Sequence[str], *, after: int, now: datetime
) -> None:
    """Write a row a channel for each alarm that events after that one have raised.

    Alarms that stand no longer are left out. A work order leaves once for each alarm of an
    asset.
    """
    events = alarm_events.c
    newest = (
        select(func.max(events.id))
        .where(
            events.id > after,
            events.action.in_(_RAISING_ACTIONS),
            events.to_state == UNACKNOWLEDGED,
        )
        .group_by(events.alarm_id)
    )
    for channel in channels:
        raised = (
            select(events.id, literal(channel), *_fresh(now))
            .join_from(alarm_events, alarms)
            .where(events.id.in_(newest), alarms.c.state == UNACKNOWLEDGED)
        )
        if channel == WORK_ORDER:
            raised = raised.where(alarms.c.kind.in_(OF_ASSETS), ~_notified_before(channel))
        connection.execute(insert(outbox).from_select(_COLUMNS, raised))


_COLUMNS = ("event_id", "channel", "created_at", "due_at", "attempts", "error")


def _notified_before(channel: str) -> ColumnElement[bool]:
    """Whether this channel has a row of an alarm already."""
    earlier = alarm_events.alias("earlier")
    return (
        select(outbox.c.id)
        .join_from(outbox, earlier, earlier.c.id == outbox.c.event_id)
        .where(earlier.c.alarm_id == alarms.c.id, outbox.c.channel == channel)
        .correlate(alarms)
        .exists()
    )


def _fresh(now: datetime) -> tuple[object, ...]:
    return literal(now, Moment), literal(now, Moment), literal(0), literal("")


def _outbox_rows() -> Select[tuple[object, ...]]:
    own, of, prediction = outbox.c, alarms.c, latest_predictions.c
    same = and_(prediction.asset_id == of.asset_id, prediction.horizon_hours == of.horizon_hours)
    return (
        select(
            own.id,
            own.channel,
            own.created_at,
            own.due_at,
            own.attempts,
            own.error,
            of.id.label("alarm_id"),
            of.kind,
            of.asset_id,
            of.state,
            of.raised_at,
            of.horizon_hours,
            of.risk,
            of.threshold,
            of.reason,
            of.top_sensors,
            of.mode,
            of.mode_risks,
            of.likeliest_mode,
            of.deviation,
            prediction.rul_hours,
            prediction.rul_low_hours,
            prediction.rul_high_hours,
        )
        .join_from(outbox, alarm_events)
        .join(alarms, of.id == alarm_events.c.alarm_id)
        .outerjoin(latest_predictions, same)
    )
