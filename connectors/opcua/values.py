"""Values of OPC UA to measured values: source times, status codes to quality, numbers."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite, nan
from typing import Any, Final

from pm_app.records.recording import GOOD, MeasuredValue
from pm_app.times import to_nanoseconds

SHOWN: Final = 100
# The two highest bits of a status code are its severity, 0 where it is good (Part 4, 7.39).
_SEVERITY_SHIFT: Final = 30
# What came while history is read waits here; what falls out of it is read from history, too.
MOST_HELD: Final = 1_000


@dataclass(eq=False)
class SubscribedNode:
    """A variable, whose values it has, and how far its history is read.

    since: nanoseconds UTC from which history is to be read, None once it is; held: values that
    wait until then.
    """

    node: Any
    asset: str
    sensor: str
    since: int | None = None
    continuation: bytes | None = None
    held: deque[MeasuredValue] = field(default_factory=lambda: deque(maxlen=MOST_HELD))

    @property
    def name(self) -> str:
        """Its node id, as settings have it."""
        return str(self.node.nodeid.to_string())


def read_value(node: SubscribedNode, value: Any, *, arrived: int) -> MeasuredValue | str:
    """A DataValue of a node; why it cannot be used where it cannot.

    arrived: nanoseconds UTC, the time of values that neither source nor server has dated.
    """
    stamp = value.SourceTimestamp or value.ServerTimestamp
    time = arrived if stamp is None else nanoseconds_of(stamp)
    quality = _quality(value.StatusCode)
    content = None if value.Value is None else value.Value.Value
    if content is None or quality != GOOD:
        if quality == GOOD:
            return f"{node.name}: needed a number, got none"
        number = _number(content)
        return MeasuredValue(
            node.asset, node.sensor, time, nan if number is None else number, quality
        )
    number = _number(content)
    if number is None:
        return f"{node.name}: needed a number, got {str(content)[:SHOWN]!r}"
    return MeasuredValue(node.asset, node.sensor, time, number)


def nanoseconds_of(stamp: datetime) -> int:
    """Nanoseconds UTC; times of OPC UA are UTC, whether they say so or not."""
    return to_nanoseconds(stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC))


def _quality(status: Any) -> str:
    if status is None or status.value >> _SEVERITY_SHIFT == 0:
        return GOOD
    return str(status.name)


def _number(content: object) -> float | None:
    if not isinstance(content, bool | int | float):
        return None
    number = float(content)
    return number if isfinite(number) else None
