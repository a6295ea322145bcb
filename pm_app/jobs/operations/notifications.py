"""Notifications of alarms to channels: once each, later where one cannot be sent now.

A message is sent at least once: killed between sending it and noting that, it is sent again.
"""

import json
import logging
import time as clock
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from operator import add
from typing import Any, Final
from zoneinfo import ZoneInfo

from pm_app.errors import PmAppError, SourceUnavailable
from pm_app.ports import Sender
from pm_app.records.alarms import OF_ASSETS, RISK, WORK_ORDER
from pm_app.settings.modes import action_of
from pm_app.settings.plant import Settings
from pm_app.store import OutboxRow, Store
from pm_app.wording import (
    PLANT_ALARMS,
    UNUSUAL,
    alarm_mode_text,
    deviation_text,
    life_text,
    percent_text,
)

log = logging.getLogger(__name__)
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
# Channels that are told at the same time: each has a process that sends.
MOST_AT_ONCE: Final = 8
# Orders that are left after that go in the next round, so that a round comes to its end.
ROUND_SECONDS: Final = 30.0
# A flood of alarms is one message that a person can still read.
MOST_LISTED: Final = 20
_STATES: Final = {
    "acknowledged": "acknowledged since",
    "returned": "returned to normal since",
    "shelved": "shelved since",
    "cleared": "cleared since",
}


@dataclass(frozen=True)
class Notified:
    """How much news was sent, how much could not be, and how much waits for quiet to end."""

    sent: int = 0
    failed: int = 0
    quiet: int = 0

    def __add__(self, other: "Notified") -> "Notified":
        return Notified(*map(add, astuple(self), astuple(other)))


def notify(
    store: Store, settings: Settings, channels: Mapping[str, str], sender: Sender, *, now: datetime
) -> Notified:
    """Send what is due; channels: the address behind each. Raises StoreUnavailable."""
    if settings.notifications.again_after is not None:
        names = [name for name in channels if name != WORK_ORDER]
        store.outbox.remind(names, now=now, after=settings.notifications.again_after)
    delivery = _Delivery(store, settings, sender, now)
    due, sendings = _by_channel(store.outbox.due(now)), []
    # Whoever failed before waits behind those who did not.
    for channel in sorted(due, key=lambda name: max(each.attempts for each in due[name])):
        if channel not in channels:
            numbers = [each.id for each in due[channel]]
            store.outbox.give_up(numbers, at=now, error="its address is no longer in the settings")
        else:
            send = delivery.work_orders if channel == WORK_ORDER else delivery.message
            sendings.append(partial(send, channels[channel], due[channel]))
    with ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="notify") as pool:
        return sum(pool.map(lambda send: send(), sendings), Notified())


def quiet_until(settings: Settings, now: datetime) -> datetime | None:
    """When the quiet hours end that hold now, None where none do."""
    hours = settings.notifications.quiet_hours
    if hours is None:
        return None
    zone = ZoneInfo(settings.plant.timezone)
    local, (first, last) = now.astimezone(zone), hours
    for days in (0, -1):
        begins = _on(local, days, first, zone)
        ends = _on(local, days + (last <= first), last, zone)
        if begins <= now < ends:
            return ends
    return None


def message_of(news: Sequence[OutboxRow], settings: Settings) -> tuple[str, str]:
    """Title and body of one message on all this news: the riskiest first, then what deviates most,
    then what is of the plant."""
    ranked = sorted(news, key=_rank)
    lines = [_line(each, settings) for each in ranked[:MOST_LISTED]]
    if len(ranked) > MOST_LISTED:
        lines.append(f"and {len(ranked) - MOST_LISTED} more: pm-app alarms lists them")
    name = settings.plant.name
    first = ranked[0]
    what = first.asset_id or PLANT_ALARMS[first.kind].lower()
    title = f"{name}: {len(ranked)} alarms" if len(ranked) > 1 else f"{name}: alarm, {what}"
    return title, "\n".join(lines)


def order_of(news: OutboxRow, settings: Settings) -> str:
    """The document of a work order; alarm is the same however often it is sent."""
    fields: dict[str, Any] = {
        "plant": settings.plant.name,
        "alarm": news.alarm_id,
        "kind": news.kind,
        "asset": news.asset_id,
        "raised_at": news.raised_at.isoformat(),
        "state": news.state,
        "risk": news.risk,
        "horizon_hours": news.horizon_hours,
        "threshold": news.threshold,
        "life_left_hours": news.rul_hours,
        "life_left_low_hours": news.rul_low_hours,
        "life_left_high_hours": news.rul_high_hours,
        "driven_by": news.top_sensors,
        "mode": news.likeliest_mode or news.mode,
        "mode_risks": json.loads(news.mode_risks) if news.mode_risks else None,
        "action": _action(news, settings),
        "reason": news.reason,
        "deviation": news.deviation,
    }
    return json.dumps(fields, allow_nan=False)


def _by_channel(news: Sequence[OutboxRow]) -> dict[str, list[OutboxRow]]:
    found: dict[str, list[OutboxRow]] = {}
    for each in news:
        found.setdefault(each.channel, []).append(each)
    return found


@dataclass(frozen=True, eq=False)
class _Delivery:
    """One round of sending: news to an address, and in the outbox what became of it."""

    store: Store
    settings: Settings
    sender: Sender
    now: datetime

    def message(self, address: str, news: Sequence[OutboxRow]) -> Notified:
        """One message on all of it, unless hours are quiet."""
        numbers = [each.id for each in news]
        until = quiet_until(self.settings, self.now)
        if until is not None:
            self.store.outbox.postpone(numbers, until=until, failed=False)
            return Notified(quiet=len(news))
        try:
            self.sender.message(address, *message_of(news, self.settings))
        except PmAppError as error:
            return self._failed(news, error)
        self.store.outbox.mark_sent(numbers, at=self.now)
        return Notified(sent=len(news))

    def work_orders(self, address: str, news: Sequence[OutboxRow]) -> Notified:
        """A document for each alarm, for as long as a round lasts."""
        done, end = Notified(), clock.monotonic() + ROUND_SECONDS
        for number, each in enumerate(news):
            if clock.monotonic() > end:
                break
            try:
                self.sender.document(address, order_of(each, self.settings))
            except SourceUnavailable as error:
                # The server takes no more now; what is left would only wait for it in turn.
                return done + self._failed(news[number:], error)
            except PmAppError as error:
                done += self._failed([each], error)
            else:
                self.store.outbox.mark_sent([each.id], at=self.now)
                done += Notified(sent=1)
        return done

    def _failed(self, news: Sequence[OutboxRow], error: PmAppError) -> Notified:
        log.warning("%d alarms could not be told: %s", len(news), error)
        for attempts in sorted({each.attempts for each in news}):
            pause = min(FIRST_PAUSE * 2 ** min(attempts, 16), LONGEST_PAUSE)
            numbers = [each.id for each in news if each.attempts == attempts]
            until = self.now + pause
            self.store.outbox.postpone(numbers, until=until, error=str(error), failed=True)
        return Notified(failed=len(news))


def _line(news: OutboxRow, settings: Settings) -> str:
    zone = ZoneInfo(settings.plant.timezone)
    since = f"{news.raised_at.astimezone(zone):%Y-%m-%d %H:%M} {settings.plant.timezone}"
    state = f" ({_STATES[news.state]})" if news.state in _STATES else ""
    if news.kind in PLANT_ALARMS:
        return f"{PLANT_ALARMS[news.kind]}: {news.reason}. Since {since}{state}"
    cap = settings.target.cap_hours
    life = life_text(news.rul_hours, news.rul_low_hours, news.rul_high_hours, cap_hours=cap)
    mode, action = alarm_mode_text(news.mode, news.likeliest_mode), _action(news, settings)
    parts = [
        _what(news),
        f"failure mode {mode}" if mode else "",
        "" if life == "-" else f"life left {life}",
        f"driven by {news.top_sensors}" if news.top_sensors and news.kind == RISK else "",
        f"since {since}{state}",
        f"next step: {action}" if action else "",
    ]
    return "; ".join(part for part in parts if part)


def _what(news: OutboxRow) -> str:
    if news.kind == RISK:
        return f"{news.asset_id}: risk {percent_text(news.risk)} within {news.horizon_hours:g} h"
    sensors = f": {news.top_sensors}" if news.top_sensors else ""
    return f"{news.asset_id} {UNUSUAL}{sensors} (deviation {deviation_text(news.deviation)})"


def _rank(news: OutboxRow) -> tuple[int, float, str]:
    place = OF_ASSETS.index(news.kind) if news.kind in OF_ASSETS else len(OF_ASSETS)
    return place, -(news.risk or news.deviation or 0.0), news.asset_id


def _action(news: OutboxRow, settings: Settings) -> str:
    return action_of(news.likeliest_mode or news.mode, settings.modes)


def _on(local: datetime, days: int, at: time, zone: ZoneInfo) -> datetime:
    """That time of the plant's clock, so many days from a local time, in UTC."""
    day = local.date() + timedelta(days=days)
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
