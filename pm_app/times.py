"""Times and durations: moments and nanoseconds, texts of both, and a clock that nobody sets."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

NS = 1_000_000_000
HOUR_NS = 3600 * NS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(s|min|h|d|w)", re.ASCII)


def to_moment(nanoseconds: int) -> datetime:
    """Aware UTC time of nanoseconds since 1970, rounded down to microseconds."""
    seconds, rest = divmod(nanoseconds, NS)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1000)


def to_nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970 UTC of an aware time."""
    since = moment - _EPOCH
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


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
    return datetime.fromtimestamp(nanoseconds // NS, tz=UTC).isoformat()


_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Stamp:
    """An instant: aware UTC on the wall, and seconds since this boot, sleep included.

    boot: names the boot of the machine, "" where the system does not tell.
    """

    at: datetime
    boot: str
    seconds: float


Clock = Callable[[], Stamp]


def read_clock() -> Stamp:
    """This instant."""
    # The monotonic clock of Linux stands still while the machine sleeps, this one does not.
    seconds = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    return Stamp(datetime.now(tz=UTC), _boot_name(), seconds)


def seconds_between(earlier: Stamp, later: Stamp) -> float:
    """How long it is from one instant to the other, however often the wall clock was set.

    Across boots of the machine only the wall clock can tell; never less than 0.
    """
    if earlier.boot and earlier.boot == later.boot:
        return max(later.seconds - earlier.seconds, 0.0)
    return max((later.at - earlier.at).total_seconds(), 0.0)


@cache
def _boot_name() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
