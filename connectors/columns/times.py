"""Columns of times: timestamps of any unit and zone, and texts as people write them, in UTC.

Texts of the usual forms are read all at once, others one by one (`columns/moments.py`).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.columns.epochs import times_of_numbers, why_no_time
from connectors.columns.moments import DateOrder, MomentRules, read_moments, zone_setting
from connectors.columns.values import Flags, is_text, plain_type
from pm_app.errors import BadBatch
from pm_app.records.readings import Int64

_NS_PER: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_LAST_NS: Final = int(np.iinfo(np.int64).max)
_UNCLEAR: Final = "is ambiguous or skipped by the clocks in local time"
_QUOTED: Final = re.compile("'[^']*'")
# What makes the usual forms one: 2024-02-03 14:05:00.5, and Z or an offset where there is one.
_YEAR_LAST: Final = r"^(\d{2})[-/](\d{2})[-/](\d{4})"
_REWRITES: Final = (
    (r"^(\d{4})[-./](\d{2})[-./](\d{2})", r"\1-\2-\3"),
    (r"^(\d{2})\.(\d{2})\.(\d{4})", r"\3-\2-\1"),
    (r"^(\d{4}-\d{2}-\d{2})(?:[Tt]|,? +)", r"\1 "),
    (r"^(\d{4}-\d{2}-\d{2} )(\d:)", r"\10\2"),
    (r"(:\d{2}),(\d{1,9})", r"\1.\2"),
    (r" ?(?:UTC|utc|z|Z)$", "Z"),
    (r" ([+-]\d{2}:?\d{2})$", r"\1"),
)
_TELLING: Final[Sequence[tuple[DateOrder, str]]] = (
    ("day first", r"^(?:1[3-9]|2\d|3[01])[-/]\d{1,2}[-/]"),
    ("month first", r"^\d{1,2}[-/](?:1[3-9]|2\d|3[01])[-/]\d{2}"),
)
# A day of the clock is shorter by an hour or two where it is put forward.
_LEAST_DAY_NS: Final = 20 * 3_600 * 1_000_000_000
# Eight digits are a date, unless numbers count.
_NUMBER: Final = r"^(?:-\d+|\d{1,7}|\d{9,30}|\d{1,30}\.\d{1,30})$"
_COUNT: Final = r"^-?\d{1,30}(?:\.\d{1,30})?$"
_LOCAL: Final = r"^\d{4}-\d{2}-\d{2}(?: \d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?$"
_ZONED: Final = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True, eq=False)
class Times:
    """Nanoseconds since 1970 UTC, and the rows without one: (rows concerned, reason)."""

    time: Int64
    refused: tuple[tuple[Flags, str], ...]


@dataclass(frozen=True)
class TimeRules:
    """How timestamps are read: zone of naive ones (None: refused), latest accepted, in ns.

    section: of plant.toml, where that zone is set. order: of days and months in times written as
    text; None refuses such columns, as a file that has types of its own should use them. counts:
    how long a step is, in ns, of times that are numbers and count; None for Unix times.
    """

    timezone: str | None
    latest: int | None
    section: str = "readings"
    order: DateOrder | None = None
    counts: int | None = None

    @cached_property
    def last_ns(self) -> int:
        """The latest nanosecond accepted."""
        return _LAST_NS if self.latest is None else self.latest


def check_time_column(kind: Any, where: str, rules: TimeRules) -> None:
    """Raises BadBatch unless this type is a timestamp that the rules can place in UTC."""
    if rules.order is not None and is_text(plain_type(kind)):
        return
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return
    if not pa.types.is_timestamp(kind):
        raise BadBatch(f"{where} is {plain_type(kind)}; needed a timestamp")
    if kind.tz is None and rules.timezone is None:
        raise BadBatch(
            f"{where} is {kind} without a time zone; needed one in the file, or the setting "
            f"{zone_setting(rules.section)}"
        )


def read_times(column: Any, name: str, rules: TimeRules) -> Times:
    """Timestamps in UTC nanoseconds; rows that have none the rules accept hold 0.

    Refused: null, before 1970, later than allowed, and local times that a change of clocks
    made ambiguous or skipped; of texts also what is no time.
    """
    if is_text(plain_type(column.type)):
        return _read_written(column, name, rules)
    if not pa.types.is_timestamp(column.type):
        return _read_numbers(column, name, rules)
    factor = _NS_PER[column.type.unit]
    null = column.is_null().to_numpy(zero_copy_only=False)
    ticks = pc.fill_null(column.view(pa.int64()), 0).to_numpy(zero_copy_only=False)
    early, late = ticks < 0, ticks > rules.last_ns // factor
    time = np.where(early | late, 0, ticks) * factor
    refused = [
        (null, f"{name} is null"),
        (early, f"{name} is before 1970"),
        (late, f"{name} is later than {_moment(rules.last_ns)}"),
    ]
    if column.type.tz is None:
        time, unclear = _from_local(time, str(rules.timezone))
        unclear &= ~(null | early | late)
        refused.append((unclear, f"{name} {_UNCLEAR}"))
    return Times(
        np.ascontiguousarray(time, dtype=np.int64),
        tuple((rows, _with_example(why, column, rows)) for rows, why in refused if rows.any()),
    )


def _read_numbers(column: Any, name: str, rules: TimeRules) -> Times:
    """As read_times, of numbers."""
    null = column.is_null().to_numpy(zero_copy_only=False)
    time, wrong = times_of_numbers(
        pc.fill_null(column, 0).to_numpy(zero_copy_only=False), rules.counts
    )
    late = time > rules.last_ns
    refused = [(null, f"{name} is null")]
    wrong &= ~null
    if wrong.any():
        first = column[int(np.argmax(wrong))].as_py()
        refused.append((wrong, f"{name} {why_no_time(first, rules.section, rules.counts)}"))
    refused.append((late, f"{name} is later than {_moment(rules.last_ns)}"))
    good = ~(null | wrong | late)
    return Times(np.where(good, time, 0), tuple((rows, why) for rows, why in refused if rows.any()))


def date_order(texts: Any, seen: DateOrder | None) -> DateOrder | None:
    """Which comes first where slashes stand between day and month, by these texts and those
    before; None while none tells, "unclear" where they differ."""
    shown = {
        order: bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
        for order, pattern in _TELLING
    }
    found = {order for order, there in shown.items() if there}
    found |= set() if seen is None else {seen}
    return None if not found else "unclear" if len(found) > 1 else found.pop()


def _read_written(column: Any, name: str, rules: TimeRules) -> Times:
    """As read_times, of texts; a date alone is its midnight."""
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    texts = pc.fill_null(pc.utf8_trim_whitespace(column.cast(pa.string())), "")
    plain = _rewritten(texts, rules.order)
    empty = _flags(pc.equal(texts, ""))
    local, zoned = (_flags(pc.match_substring_regex(plain, each)) for each in (_LOCAL, _ZONED))
    time = np.zeros(len(texts), dtype=np.int64)
    refused = [(empty, f"{name} is null")]
    numbers = _flags(pc.match_substring_regex(plain, _NUMBER if rules.counts is None else _COUNT))
    odd = ~(empty | local | zoned | numbers)
    if numbers.any():
        found, wrong = times_of_numbers(_numbers(plain.filter(pa.array(numbers))), rules.counts)
        time[numbers], none = found, _spread(numbers, wrong)
        first = texts[int(np.argmax(none))].as_py()
        refused.append((none, f"{name} {why_no_time(first, rules.section, rules.counts)}"))
    for rows, zone in ((zoned, "UTC"), (local, rules.timezone)):
        fits = _cast(plain, rows, zone)
        if fits is None:
            odd |= rows
        elif zone is None or zone == "UTC":
            time[rows] = fits
        else:
            read, unclear = _from_local(np.where(fits < 0, 0, fits), zone)
            time[rows] = np.where(fits < 0, fits, read)
            refused.append((_spread(rows, unclear & (fits >= 0)), f"{name} {_UNCLEAR}"))
    if odd.any():
        refused += _read_odd(texts, odd, time, name, rules)
    refused.append((time < 0, f"{name} is before 1970"))
    refused.append((time > rules.last_ns, f"{name} is later than {_moment(rules.last_ns)}"))
    shown = [
        (rows, f"{why}, first {texts[int(np.argmax(rows))]}" if why.endswith(_UNCLEAR) else why)
        for rows, why in refused
        if rows.any()
    ]
    bad = np.logical_or.reduce([rows for rows, _ in refused])
    return Times(np.where(bad, 0, time), tuple(shown))


def _rewritten(texts: Any, order: DateOrder | None) -> Any:
    days, months = r"\3-\2-\1", r"\3-\1-\2"
    rewrites = list(_REWRITES)
    if order in ("day first", "month first"):
        rewrites.insert(0, (_YEAR_LAST, days if order == "day first" else months))
    for pattern, form in rewrites:
        # Most columns are of one form: what none of them has is quickly seen.
        if _flags(pc.match_substring_regex(texts.slice(0, 64), pattern)).any():
            texts = pc.replace_substring_regex(texts, pattern, form)
    return texts


def _numbers(texts: Any) -> Any:
    """Numbers of texts, whole ones to the last digit."""
    if not _flags(pc.match_substring(texts, ".")).any():
        with suppress(pa.ArrowInvalid):
            return texts.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return texts.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _cast(plain: Any, rows: Flags, zone: str | None) -> Int64 | None:
    """These rows in nanoseconds of their own clock; None where that takes looking at each."""
    if zone is None:
        return None if rows.any() else np.empty(0, dtype=np.int64)
    kind = pa.timestamp("ns", "UTC") if zone == "UTC" else pa.timestamp("ns")
    chosen = plain if rows.all() else plain.filter(pa.array(rows))
    try:
        found: Int64 = chosen.cast(kind).view(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return found


def _read_odd(
    texts: Any, odd: Flags, time: Int64, name: str, rules: TimeRules
) -> list[tuple[Flags, str]]:
    """Put in the times of these rows, each text read by itself; rows refused, alike together."""
    rules_of_texts = MomentRules(rules.timezone, rules.order or "auto", section=rules.section)
    moments = read_moments(texts.filter(pa.array(odd)).to_pylist(), rules_of_texts)
    dated = moments.until - moments.since >= _LEAST_DAY_NS
    reasons = np.where(
        (moments.reason == "") & (moments.since != moments.until) & ~dated,
        _UNCLEAR,
        moments.reason,
    )
    time[odd] = np.where(reasons == "", moments.since, 0)
    alike: dict[str, list[int]] = {}
    for row, reason in enumerate(reasons.tolist()):
        if reason:
            alike.setdefault(_QUOTED.sub("", reason), []).append(row)
    return [
        (_spread(odd, np.isin(np.arange(len(reasons)), rows)), f"{name} {reasons[rows[0]]}")
        for rows in alike.values()
    ]


def _spread(where: Flags, flags: Flags) -> Flags:
    """Flags of these rows as flags of all."""
    spread = np.zeros(len(where), dtype=np.bool_)
    spread[where] = flags
    return spread


def _flags(column: Any) -> Flags:
    flags: Flags = column.to_numpy(zero_copy_only=False)
    return flags


def _from_local(time: Int64, timezone: str) -> tuple[Int64, Flags]:
    local = pa.array(time.view("M8[ns]"))
    # Where the two readings of a local time differ, the clocks changed and it has no one UTC.
    first, second = (
        pc.assume_timezone(local, timezone, ambiguous=choice, nonexistent=choice)
        .view(pa.int64())
        .to_numpy(zero_copy_only=False)
        for choice in ("earliest", "latest")
    )
    # A zone east of Greenwich puts the first local hours of 1970 before the epoch.
    unclear = (first != second) | (first < 0)
    return np.where(unclear, 0, first), unclear


def _with_example(reason: str, column: Any, rows: Flags) -> str:
    first = column[int(np.argmax(rows))]
    if not first.is_valid:
        return reason
    # Beyond year 9999 there is no Python datetime to print; the raw count still tells.
    ticks = int(first.value)
    seconds = ticks * _NS_PER[column.type.unit] // _NS_PER["s"]
    if not -62_135_596_800 <= seconds <= 253_402_300_799:
        return f"{reason}, first {ticks} {column.type.unit} since 1970"
    return f"{reason}, first {np.datetime64(seconds, 's')}"


def _moment(nanoseconds: int) -> str:
    return str(np.datetime64(nanoseconds // _NS_PER["s"], "s"))
