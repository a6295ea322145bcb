"""Kinds of values that plant.toml takes, each checked with words of its own."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from pm_app.times import parse_duration

# Nanoseconds in 64 bits end after 292 years, and no plant looks this far.
_LONGEST = "36500d"
MEMORY_WORDS = ("life", "change", "scaled change")


def _duration(text: str) -> str:
    if parse_duration(text) > parse_duration(_LONGEST):
        raise ValueError(f"a duration must be at most {_LONGEST}, got {text!r}")
    return text


def read_half_life(text: str) -> int:
    """Nanoseconds of a half-life, e.g. "3d". Raises ValueError."""
    try:
        return parse_duration(_duration(text))
    except ValueError as error:
        words = ", ".join(f'"{word}"' for word in MEMORY_WORDS)
        raise ValueError(f"each must be {words} or a half-life, and {error}") from error


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'a time zone looks like "Europe/Berlin", got {name!r}') from error
    return name


Duration = Annotated[str, AfterValidator(_duration)]
Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(min_length=1)]
