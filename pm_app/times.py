"""Times and durations as plants write and read them."""

import re
from datetime import UTC, datetime

NS = 1_000_000_000
HOUR_NS = 3600 * NS
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(s|min|h|d|w)", re.ASCII)


def parse_duration(text: str) -> int:
    """Nanoseconds of a text like "10min"; units are s, min, h, d, w.

    Raises ValueError naming what was given.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'a duration looks like "10min", "72h" or "30d", got {text!r}')
    nanoseconds = round(float(match[1]) * _SECONDS[match[2]] * NS)
    if nanoseconds <= 0:
        raise ValueError(f"a duration must be longer than nothing, got {text!r}")
    return nanoseconds


def duration_text(nanoseconds: int) -> str:
    """The shortest text `parse_duration` reads back as this: "8h", "90min"."""
    seconds = nanoseconds / NS
    for unit in ("w", "d", "h", "min"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


def format_duration(seconds: float) -> str:
    """A duration at a glance, in its largest fitting unit: "41 min", "3.2 d"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds:.0f} s"


def utc_text(nanoseconds: int) -> str:
    """ISO text of a time in nanoseconds since 1970 UTC, to the second."""
    moment = datetime.fromtimestamp(nanoseconds // NS, tz=UTC)
    return moment.isoformat(timespec="seconds")
