"""Rejections: readings and events whose times cannot be, and why rows are refused, in words.

A row whose clock was wrong is too old, or too far ahead of its coming, to be what it says. The
words are of bounded length.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time

import numpy as np

from pm_app.features.panes.readings import count_delivered, take_readings
from pm_app.records.readings import Events, Flags, Int64, Readings, Rejection, take_events
from pm_app.settings.plant import Settings
from pm_app.times import parse_duration, to_moment, to_nanoseconds

REASONS_KEPT = 20
MOST_CHARACTERS = 2000
_Refused = list[tuple[Flags, str]]


def readings_in_time(
    settings: Settings, readings: Readings, came: datetime
) -> tuple[Readings, list[Rejection]]:
    """The readings whose times can be, by when their batch came first, and why others cannot.

    One reading of a stray clock would else be its asset's newest for good.
    """
    refused = _refused(settings, readings.time, came)
    if not refused:
        return readings, []
    rejections = [Rejection(count_delivered(readings, rows), why) for rows, why in refused]
    return take_readings(readings, _others(refused)), rejections


def events_in_time(settings: Settings, events: Events, came: datetime) -> tuple[Events, list[str]]:
    """As `readings_in_time`; a reason for every event refused."""
    refused = _refused(settings, events.time, came)
    if not refused:
        return events, []
    reasons = [why for rows, why in refused for _ in range(rows.sum())]
    return take_events(events, _others(refused)), reasons


def _others(refused: _Refused) -> Flags:
    return np.asarray(~np.logical_or.reduce([rows for rows, _ in refused]))


def _refused(settings: Settings, times: Int64, came: datetime) -> _Refused:
    if settings.target.kind == "column":
        return []  # rows of a table, which may have no times at all
    section = settings.readings
    first = to_nanoseconds(datetime.combine(section.earliest, time(), tzinfo=UTC))
    last = to_nanoseconds(came) + parse_duration(section.future)
    column = section.time_column
    early, late = times < first, times > last
    bounds = [
        (early, f"{column} is before readings.earliest = {section.earliest}"),
        (late, f"{column} is more than readings.future = {section.future!r} ahead of its coming"),
    ]
    return [
        (rows, f"{why}, first {to_moment(int(times[np.argmax(rows)])):%Y-%m-%dT%H:%M:%SZ}")
        for rows, why in bounds
        if rows.any()
    ]


def summarise(rejections: Sequence[Rejection]) -> str:
    """Like reasons added up, most rows first."""
    rows: dict[str, int] = {}
    for rejection in rejections:
        rows[rejection.reason] = rows.get(rejection.reason, 0) + rejection.rows
    most = sorted(rows.items(), key=lambda counted: -counted[1])[:REASONS_KEPT]
    # A remark is of no row.
    return shorten("; ".join(f"{count} rows: {why}" if count else why for why, count in most))


def shorten(text: str) -> str:
    """At most MOST_CHARACTERS of a text."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
