"""Times that people write: "03.02.2024 14:05", a date alone, on a clock that is put back and forth.

A date without a time is an interval, that day of the local clock; so is a time in the hour that
the clock goes through twice: it may be either. A time that the clock skips is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from connectors.columns.epochs import times_of_numbers, why_no_time
from pm_app.records.readings import Int64, Text
from pm_app.times import to_nanoseconds

# unclear: texts were looked at, and do not tell.
DateOrder = Literal["auto", "day first", "month first", "unclear"]
_SHOWN = 40
_CLOCK = (
    r"(?:[T ,]+(?P<hour>\d{1,2})[:.](?P<minute>\d{2})"
    r"(?:[:.](?P<second>\d{2})(?:[.,](?P<part>\d+))?)?"
    r"(?: ?(?P<half>[AP])\.?M\.?)?(?: ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?P<sign>[-./]?)(?P<one>\d{2})(?P=sign)(?P<two>\d{2})" + _CLOCK, re.IGNORECASE
)
_YEAR_LAST = re.compile(
    r"(?P<one>\d{1,2})(?P<sign>[-./])(?P<two>\d{1,2})(?P=sign)(?P<year>\d{4}|\d{2})" + _CLOCK,
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_MOST = 2**63 - 1
_MONTHS = 12
_CENTURY = 2000


@dataclass(frozen=True)
class WrittenMoments:
    """When each text was: nanoseconds since 1970 UTC, and why some cannot be read.

    since, until: shape (n_rows,), 0 where refused. reason: "" where it can; empty texts too.
    """

    since: Int64
    until: Int64
    reason: Text


@dataclass(frozen=True)
class MomentRules:
    """timezone: of texts without one; None refuses those. order: of days and months by slashes.

    section: of plant.toml, where both are set. counts: as of TimeRules.
    """

    timezone: str | None
    order: DateOrder = "auto"
    section: str = "events"
    counts: int | None = None


def zone_setting(section: str) -> str:
    """What places times without a zone."""
    return f'{section}.timezone, where their clock stood: "Europe/Berlin", "UTC" or the like'


def read_moments(texts: Sequence[str], rules: MomentRules) -> WrittenMoments:
    """When these texts say it was."""
    distinct = dict.fromkeys(texts)
    day_first = _day_first(distinct, rules.order)
    found = {text: _read(text, rules, day_first) for text in distinct}
    rows = [found[text] for text in texts]
    return WrittenMoments(
        np.array([since for since, _, _ in rows], dtype=np.int64),
        np.array([until for _, until, _ in rows], dtype=np.int64),
        np.array([reason for _, _, reason in rows], dtype=object),
    )


def _day_first(texts: Sequence[str] | dict[str, None], order: DateOrder) -> bool | None:
    """Whether days come before months where slashes stand between, None where texts differ or
    do not tell."""
    if order != "auto":
        return None if order == "unclear" else order == "day first"
    matches = [_YEAR_LAST.fullmatch(text.strip()) for text in texts]
    pairs = [
        (int(each["one"]), int(each["two"])) for each in matches if each and each["sign"] != "."
    ]
    days = any(one > _MONTHS for one, _ in pairs)
    months = any(two > _MONTHS for _, two in pairs)
    return days if days != months else None


def _read(text: str, rules: MomentRules, day_first: bool | None) -> tuple[int, int, str]:
    text = text.strip()
    if not text:
        return 0, 0, "is empty"
    match = _YEAR_FIRST.fullmatch(text) or _YEAR_LAST.fullmatch(text)
    if (match is None or rules.counts is not None) and _NUMBER.fullmatch(text):
        return _read_number(text, rules)
    if match is None:
        return 0, 0, f"is {text[:_SHOWN]!r}; needed a date like 2024-02-03 or 03.02.2024 14:05"
    try:
        day = _day(match, day_first)
        if day is None:
            way = f'{rules.section}.dates = "day first" or "month first"'
            return 0, 0, f"may be two days, as {text[:_SHOWN]!r}; needed {way}"
        since, until = _interval(match, day, rules)
    except (ValueError, OverflowError) as error:
        return 0, 0, f"is {text[:_SHOWN]!r}; {error}"
    if since < 0:
        return 0, 0, f"is before 1970, as {text[:_SHOWN]!r}"
    return since, until, ""


def _read_number(text: str, rules: MomentRules) -> tuple[int, int, str]:
    number = np.array([float(text)])
    if "." not in text and abs(int(text)) <= _MOST:
        number = np.array([int(text)])
    time, wrong = times_of_numbers(number, rules.counts)
    if wrong[0]:
        return 0, 0, why_no_time(text[:_SHOWN], rules.section, rules.counts)
    return int(time[0]), int(time[0]), ""


def _day(match: re.Match[str], day_first: bool | None) -> date | None:
    year, one, two = (int(match[name]) for name in ("year", "one", "two"))
    if match.re is _YEAR_FIRST:
        return date(year, one, two)
    year = year if len(match["year"]) > 2 else _CENTURY + year
    if match["sign"] == ".":
        day_first = True
    if day_first is None and one != two:
        return None
    return date(year, two, one) if day_first else date(year, one, two)


def _interval(match: re.Match[str], day: date, rules: MomentRules) -> tuple[int, int]:
    zone = _zone(match["zone"], rules)
    start = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - its zone comes below
    if start.year > 2261:
        raise ValueError("needed a year up to 2261")
    if match["hour"] is None:
        # Where midnight is skipped or comes twice, the day still begins and ends once.
        ends = (start.replace(fold=0), (start + timedelta(days=1)).replace(fold=1))
        since, until = (to_nanoseconds(each.replace(tzinfo=zone)) for each in ends)
        return since, until
    local = datetime.combine(day, _clock(match))
    both = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    if all(each.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local for each in both):
        raise ValueError(f"the clocks of {rules.timezone} skip that time")
    part = int((match["part"] or "").ljust(9, "0")[:9])
    first, second = (to_nanoseconds(each) + part for each in both)
    return first, second


def _clock(match: re.Match[str]) -> time:
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= _MONTHS:
            raise ValueError("needed hours from 1 to 12 before AM or PM")
        hour = hour % 12 + (12 if match["half"].upper() == "P" else 0)
    return time(hour, minute, second)


def _zone(text: str | None, rules: MomentRules) -> ZoneInfo | timezone:
    if text is None:
        if rules.timezone is None:
            raise ValueError(f"needed {zone_setting(rules.section)}")
        return ZoneInfo(rules.timezone)
    if text.upper() in ("Z", "UTC"):
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
