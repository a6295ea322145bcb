"""What time it is, on two clocks: the one on the wall, which may be set, and one that never is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

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
    return Stamp(datetime.now(tz=UTC), _boot_name(), _boot_seconds())


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


def _boot_seconds() -> float:
    # The monotonic clock of Linux stands still while the machine sleeps, this one does not.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
