"""Payloads of MQTT messages to measured values: JSON, one value or an object of values.

A value alone (`2.3`), an object with one of the value keys (`{"value": 2.3, "ts": 1700000000}`), an
object of values by sensor (`{"temperature": 60.1, "motor": {"current": 4}}`: the sensors are
temperature and motor.current), or a list of such objects.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.columns.epochs import UNITS
from pm_app.records.recording import MeasuredValue
from pm_app.settings.recorders import NamePattern
from pm_app.times import to_nanoseconds

MOST_BYTES: Final = 1_000_000
MOST_VALUES: Final = 20_000
MOST_DEPTH: Final = 5
SHOWN: Final = 100
LONGEST_NAME: Final = 500
# Nanoseconds since 1970 in 64 bits end in 2262.
_LAST_NS: Final = 2**63 - 1


@dataclass(frozen=True)
class PayloadRules:
    """How messages become values: as the settings of a recorder have it."""

    patterns: tuple[NamePattern, ...]
    time_keys: tuple[str, ...] = ()
    value_keys: tuple[str, ...] = ()
    asset: str | None = None
    timezone: str | None = None


class _Refused(ValueError):
    """Why a payload, or a part of one, cannot be used."""


@dataclass
class _Reader:
    """One message on its way to values."""

    rules: PayloadRules
    asset: str
    sensor: str
    arrived: int
    values: list[MeasuredValue]
    refused: list[str]
    timed: bool = True

    def item(self, item: object, *, time: int | None) -> None:
        """A value, an object, or a list of objects."""
        if isinstance(item, list):
            for each in item:
                if not isinstance(each, dict):
                    raise _Refused("needed a list of objects, each with its time")
                self.item(each, time=time)
        elif isinstance(item, dict):
            self._object(item, time)
        elif not self.sensor:
            raise _Refused("needed an object of values by sensor, or {sensor} in the topic")
        else:
            self._value(self.sensor, item, time)

    def _object(self, item: dict[str, Any], time: int | None) -> None:
        key = next((each for each in self.rules.time_keys if item.get(each) is not None), None)
        if key is not None:
            time = _nanoseconds(item[key], self.rules.timezone)
        named = next((each for each in self.rules.value_keys if each in item), None)
        if self.sensor and named is not None:
            self._value(self.sensor, item[named], time)
            return
        found = False
        for name, value in _flat(item, self.sensor, set(self.rules.time_keys)):
            found = True
            try:
                self._value(name, value, time)
            except _Refused as error:
                self.refused.append(f"{name}: {error}")
        if not found:
            raise _Refused("needed values, got an object without any")

    def _value(self, sensor: str, value: object, time: int | None) -> None:
        if value is None:
            return
        if len(sensor) > LONGEST_NAME or not sensor.isprintable():
            raise _Refused(f"needed a printable name of at most {LONGEST_NAME} characters")
        number = _number(value)
        self.timed &= time is not None
        stamp = self.arrived if time is None else time
        self.values.append(MeasuredValue(self.asset, sensor, stamp, number))
        if len(self.values) > MOST_VALUES:
            raise _Refused(f"needed at most {MOST_VALUES:,} values")


def read_message(
    topic: str, payload: bytes, rules: PayloadRules, *, arrived: int
) -> tuple[tuple[MeasuredValue, ...], tuple[str, ...], bool]:
    """Values of a message, why others cannot be used, and whether all bear a time of their own.

    arrived: nanoseconds UTC, the time of values without one.
    """
    shown = f"{topic}: {payload[:SHOWN].decode(errors='replace')!r}"
    found = next(filter(None, (_match(each, topic) for each in rules.patterns)), None)
    if found is None:
        return (), (f"{shown}: fits none of the topics of the settings",), False
    asset = found.get("asset") or rules.asset or ""
    reader = _Reader(rules, asset, found.get("sensor") or "", arrived, [], [])
    try:
        if not asset or len(asset) > LONGEST_NAME or not asset.isprintable():
            raise _Refused(f"needed an asset of at most {LONGEST_NAME} printable characters")
        reader.item(_parsed(payload), time=None)
    except _Refused as error:
        reader.refused.append(str(error))
    except RecursionError:
        reader.refused.append("needed JSON that is not nested so deep")
    refused = tuple(f"{shown}: {reason}" for reason in reader.refused)
    return tuple(reader.values), refused, reader.timed


def _match(pattern: NamePattern, topic: str) -> dict[str, str] | None:
    found = pattern.match(topic)
    return None if found is None else {"topic": topic, **found}


def _parsed(payload: bytes) -> object:
    if len(payload) > MOST_BYTES:
        raise _Refused(f"needed at most {MOST_BYTES:,} bytes, got {len(payload):,}")
    try:
        return json.loads(payload)
    except (ValueError, UnicodeDecodeError):
        raise _Refused("needed JSON") from None


def _flat(
    item: dict[str, Any], prefix: str, skipped: set[str], depth: int = 1
) -> Iterator[tuple[str, object]]:
    """Values by name; those of inner objects by "outer.inner"."""
    if depth > MOST_DEPTH:
        raise _Refused(f"needed objects at most {MOST_DEPTH} deep")
    for key, value in item.items():
        if depth == 1 and key in skipped:
            continue
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from _flat(value, name, skipped, depth + 1)
        else:
            yield name, value


def _number(value: object) -> float:
    if isinstance(value, bool | int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise _Refused(f"needed a number, got {str(value)[:SHOWN]!r}") from None
        if isfinite(number):
            return number
    raise _Refused(f"needed a number, got {str(value)[:SHOWN]!r}")


def _nanoseconds(value: object, timezone: str | None) -> int:
    """Of an epoch in seconds, milliseconds, microseconds or nanoseconds, or an ISO time."""
    stamp = _epoch(value) if not isinstance(value, str) else _of_text(value, timezone)
    if not 0 <= stamp <= _LAST_NS:
        raise _Refused(f"needed a time from 1970 to 2262, got {value!r}")
    return stamp


def _epoch(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _Refused(f"needed seconds, milliseconds or an ISO time, got {str(value)[:SHOWN]!r}")
    factor = next((factor for limit, factor in UNITS if abs(value) < limit), 1)
    if isinstance(value, int):
        return value * factor
    # A double has a quarter of a microsecond, no more: what it shows is what was meant.
    return round(value * factor / 1000) * 1000 if factor >= 1000 else int(value * factor)


def _of_text(text: str, timezone: str | None) -> int:
    try:
        return _epoch(json.loads(text)) if _is_plain(text) else _of_iso(text, timezone)
    except ValueError as error:
        if isinstance(error, _Refused):
            raise
        raise _Refused(f"needed an ISO time, got {text[:SHOWN]!r}") from None


def _is_plain(text: str) -> bool:
    """Whether a text is a number: more digits than those of a date without signs."""
    return len(text) > 8 and text.replace(".", "", 1).isdecimal()


def _of_iso(text: str, timezone: str | None) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if timezone is None:
            raise _Refused(
                f"needed a time with its zone, or timezone in the settings, got {text[:SHOWN]!r}"
            )
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return to_nanoseconds(moment.astimezone(UTC))
