"""Measured values as brokers and servers deliver them, before they are readings."""

from dataclasses import dataclass
from typing import Final

GOOD: Final = "good"


@dataclass(frozen=True, slots=True)
class MeasuredValue:
    """One value of one sensor.

    time: nanoseconds UTC, of the source where it tells, else of the arrival. quality: GOOD, or what
    the source calls it; value is nan where there is none.
    """

    asset: str
    sensor: str
    time: int
    value: float
    quality: str = GOOD


@dataclass(frozen=True)
class FeedDelivery:
    """What a feed hands over at once, and is told of as a whole once it is durable.

    key: what it is called when it is handed over again, "" where that never happens. again:
    whether it may have been handed over before. newer_only: values that were kept for whoever
    comes: only what is newer than all that is recorded of its sensor is news. refused: why values
    cannot be used, each with its example.
    """

    values: tuple[MeasuredValue, ...]
    key: str = ""
    again: bool = False
    newer_only: bool = False
    refused: tuple[str, ...] = ()
