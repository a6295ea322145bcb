"""Findings of `pm-app check` on the clock: whether it is set by others, and against readings."""

import ctypes
import struct
from collections.abc import Iterator
from datetime import UTC, datetime

from pm_app.cli.look.checks.finding import Finding
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.settings.plant import Settings
from pm_app.times import NS, format_duration, to_nanoseconds

# Clocks of machines that nobody sets are apart by minutes; more is a zone or a wrong date.
MOST_AHEAD_SECONDS = 300.0
_HOUR_SECONDS = 3600.0
# Of adjtimex(2): the place of `status` in struct timex on 64 bits, and STA_UNSYNC in it.
_STATUS_OFFSET, _UNSYNCHRONISED, _TIMEX_BYTES = 40, 0x40, 512


def check_clock(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """The machine's clock, by the kernel's word and by the newest reading looked at."""
    now = datetime.now(tz=UTC)
    synchronised = clock_is_synchronised()
    zone = settings.plant.timezone
    if synchronised is False:
        yield Finding(
            "note",
            "clock",
            f"{now:%Y-%m-%d %H:%M} UTC, and nothing sets it right",
            "let NTP set the clock of this machine: systemctl enable --now systemd-timesyncd",
        )
    else:
        words = "set by NTP" if synchronised else "whether NTP sets it is not to be seen from here"
        yield Finding("ok", "clock", f"{now:%Y-%m-%d %H:%M} UTC, {words}; the plant is in {zone}")
    if survey.last is not None and settings.target.kind != "column":
        ahead = (survey.last - to_nanoseconds(now)) / NS
        # Of a database the oldest rows alone were looked at.
        if settings.readings.format != "sql" or ahead > MOST_AHEAD_SECONDS:
            yield _against_readings(ahead)


def _against_readings(ahead: float) -> Finding:
    """ahead: seconds by which the newest reading is later than the clock."""
    if ahead <= MOST_AHEAD_SECONDS:
        text = f"the newest reading looked at is {format_duration(max(-ahead, 0.0))} old"
        return Finding("ok", "clock", text)
    text = f"the newest reading is {format_duration(ahead)} later than this machine's clock"
    beside = ahead % _HOUR_SECONDS
    if min(beside, _HOUR_SECONDS - beside) <= MOST_AHEAD_SECONDS and ahead < 15 * _HOUR_SECONDS:
        advice = "whole hours: times without a zone are local ones, so set readings.timezone"
    else:
        advice = "set the clock of this machine, or of the historian, right"
    return Finding("fails", "clock", text, advice)


def clock_is_synchronised() -> bool | None:
    """Whether something keeps the kernel's clock right; None where it does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        answer = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if answer < 0 or struct.calcsize("P") != 8:
        return None
    (status,) = struct.unpack_from("i", timex, _STATUS_OFFSET)
    return not status & _UNSYNCHRONISED
