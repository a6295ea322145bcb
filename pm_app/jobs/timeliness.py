"""Rows whose clock was wrong: too old, or too far ahead of their coming, to be what they say."""

from datetime import UTC, datetime, time

import numpy as np

from pm_app.features.readings import count_delivered, take_readings
from pm_app.jobs.site import Site, to_moment, to_nanoseconds
from pm_app.records.readings import Events, Int64, Readings, Rejection, take_events
from pm_app.times import parse_duration


def readings_in_time(
    site: Site, readings: Readings, came: datetime
) -> tuple[Readings, list[Rejection]]:
    """The readings whose times can be, by when their batch came first, and why others cannot.

    One reading of a stray clock would else be its asset's newest for good.
    """
    refused = _refused(site, readings.time, came)
    if not refused:
        return readings, []
    stays = np.ones(len(readings.time), dtype=np.bool_)
    for rows, _ in refused:
        stays &= ~rows
    told = [Rejection(count_delivered(readings, rows), why) for rows, why in refused]
    return take_readings(readings, stays), told


def events_in_time(site: Site, events: Events, came: datetime) -> tuple[Events, list[str]]:
    """As `readings_in_time`; a reason for every event refused."""
    refused = _refused(site, events.time, came)
    if not refused:
        return events, []
    stays = np.ones(len(events.time), dtype=np.bool_)
    for rows, _ in refused:
        stays &= ~rows
    return take_events(events, stays), [why for rows, why in refused for _ in range(rows.sum())]


def _refused(
    site: Site, times: Int64, came: datetime
) -> list[tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], str]]:
    settings = site.settings.readings
    if site.settings.target.kind == "column":
        return []  # rows of a table, which may have no times at all
    first = to_nanoseconds(datetime.combine(settings.earliest, time(), tzinfo=UTC))
    last = to_nanoseconds(came) + parse_duration(settings.future)
    column = settings.time_column
    early, late = times < first, times > last
    told = [
        (early, f"{column} is before readings.earliest = {settings.earliest}"),
        (late, f"{column} is more than readings.future = {settings.future!r} ahead of its coming"),
    ]
    return [
        (rows, f"{why}, first {to_moment(int(times[np.argmax(rows)])):%Y-%m-%dT%H:%M:%SZ}")
        for rows, why in told
        if rows.any()
    ]
