"""Time axis: round moments in a plant's own time."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_HOURS: Final = (1, 2, 3, 6, 12)
_DAYS: Final = (1, 2, 5, 10)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)
_DAY_SECONDS: Final = 86_400
_MONTH_DAYS: Final = 30.4


def time_ticks(
    start: float, end: float, *, zone: ZoneInfo, most: int = 7
) -> list[tuple[float, str]]:
    """Round moments in [start, end], in seconds since 1970, each with its label.

    At most so many where there is a step for it. Hours, days and months are those of the
    zone's clock: midnights stay midnights when the clock is changed.
    """
    found = _marks(start, end, zone, most)
    inside = [(at, label) for at, label in found if start <= at <= end]
    return [each for at, each in enumerate(inside) if not at or each[0] > inside[at - 1][0]]


def _marks(start: float, end: float, zone: ZoneInfo, most: int) -> list[tuple[float, str]]:
    days = (end - start) / _DAY_SECONDS
    first = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for hours in _HOURS:
        if days * 24 / hours <= most:
            return _hourly(first, int(days) + 2, hours)
    for step in _DAYS:
        if days / step <= most:
            return _daily(first, end, step)
    months = next((m for m in _MONTHS if days / _MONTH_DAYS / m <= most), _MONTHS[-1])
    return _monthly(first, end, months)


def _hourly(first: datetime, days: int, step: int) -> list[tuple[float, str]]:
    found = []
    for hour in range(0, 24 * days, step):
        at = first + timedelta(hours=hour)
        found.append((at.timestamp(), f"{at:%H:%M}" if at.hour else f"{at:%m-%d}"))
    return found


def _daily(first: datetime, end: float, step: int) -> list[tuple[float, str]]:
    found = []
    at = first - timedelta(days=first.toordinal() % step)
    while at.timestamp() <= end:
        found.append((at.timestamp(), f"{at:%m-%d}"))
        at += timedelta(days=step)
    return found


def _monthly(first: datetime, end: float, step: int) -> list[tuple[float, str]]:
    found = []
    number = (first.year * 12 + first.month - 1) // step * step
    while number < 9999 * 12:
        at = first.replace(year=number // 12, month=number % 12 + 1, day=1)
        if at.timestamp() > end:
            break
        found.append((at.timestamp(), f"{at:%Y-%m}"))
        number += step
    return found
