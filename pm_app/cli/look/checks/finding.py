"""A finding of `pm-app check`, and how findings show times, counts and names."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pm_app.times import to_moment

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One thing looked at. verdict: "ok", "note" (works, but look) or "fails".

    advice: what to do about it, "" where nothing, or where the text says so itself.
    """

    verdict: str
    subject: str
    text: str
    advice: str = ""


def counted(count: int, noun: str) -> str:
    """A count with its noun, as "1 file", "2,000 files"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size_text(count: float) -> str:
    """Bytes in words, as "12 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def some_names(names: Sequence[str], most: int = _NAMES_SHOWN) -> str:
    """The first names in quotes, and how many more there are."""
    more = len(names) - most
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {more:,} more" if more > 0 else shown


def local_text(nanoseconds: int, zone: ZoneInfo) -> str:
    """A time on a plant's clock, to the minute."""
    return f"{to_moment(nanoseconds).astimezone(zone):%Y-%m-%d %H:%M}"
