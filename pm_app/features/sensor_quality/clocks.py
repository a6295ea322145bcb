"""Clocks that are off: stamps from the future, of one asset beside the others, of all at once.

A whole hour is hardly ever a delay: it is a time zone, or summer time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pm_app.records.features import Panes
from pm_app.records.readings import Int64
from pm_app.records.sensor_quality import QualityGrade, SensorRemark
from pm_app.times import HOUR_NS, NS, format_duration

MINUTE_NS: Final = 60 * NS
# Clocks of a plant differ by minutes.
AHEAD_NS = 10 * MINUTE_NS
# So many files running, in which an asset's newest stamp is as far from the others', and how far.
LEAST_FILES, LEAST_ASSETS, LEAST_SHIFT_NS = 8, 4, 30 * MINUTE_NS
# Whoever stops work at ten every day is as early in every file of a day.
LEAST_HOURS: Final = 6
# Files before and after whose delay changed by whole hours, and how steady it has to be.
LEAST_BEFORE_CHANGE, STEADY_NS = 8, 5 * MINUTE_NS
NO_STAMP: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Newest files in order of arrival: came and last, (n_files,), when each came and its newest
    stamp, nanoseconds UTC; newest: (n_files, n_assets), by asset, NO_STAMP where it has none;
    step: what those are rounded to."""

    assets: tuple[str, ...]
    came: Int64
    last: Int64
    newest: Int64
    step: int


def future_stamps(panes: Panes, *, now: int) -> Iterator[SensorRemark]:
    """Assets whose newest reading is stamped after now, nanoseconds UTC."""
    ends = np.searchsorted(panes.asset, np.arange(len(panes.assets)), side="right") - 1
    newest = panes.last_row_time[ends] if len(panes.pane) else np.empty(0, np.int64)
    for asset, end, time in zip(panes.assets, ends.tolist(), newest.tolist(), strict=True):
        ahead = time - now
        if end >= 0 and ahead > AHEAD_NS:
            words = f"its newest stamp lies {_span(ahead)} in the future{_suspicion(ahead)}"
            yield SensorRemark(asset, "", "clock", "bad", int(time), words)


def shifted_stamps(arrivals: Arrivals) -> Iterator[SensorRemark]:
    """Assets whose newest stamps lie as far from those of the others in every file, and all
    assets where the delay of files changed by whole hours at once."""
    yield from _all_shifted(arrivals)
    newest = arrivals.newest
    files = np.flatnonzero((newest != NO_STAMP).sum(axis=1) >= LEAST_ASSETS)
    if len(files) < LEAST_FILES:
        return
    stamps = np.where(newest[files] == NO_STAMP, np.nan, newest[files] - arrivals.last.max())
    usual = np.nanmedian(stamps, axis=1)
    apart = stamps - usual[:, None]
    hour = arrivals.last[files] // HOUR_NS % 24
    for number in np.flatnonzero(np.isfinite(apart).sum(axis=0) >= LEAST_FILES).tolist():
        there = np.isfinite(apart[:, number])
        if len(np.unique(hour[there])) < LEAST_HOURS:
            continue
        own = apart[there, number]
        shift = int(np.median(own))
        steady = np.ptp(own) <= max(arrivals.step, STEADY_NS)
        if steady and abs(shift) >= max(LEAST_SHIFT_NS, 3 * arrivals.step):
            where = "ahead of" if shift > 0 else "behind"
            words = (
                f"its stamps are {_span(shift)} {where} those of the other assets in the last "
                f"{len(own)} files{_suspicion(shift)}"
            )
            grade: QualityGrade = "bad" if shift > 0 else "doubtful"
            since = int(arrivals.last[files[there][0]])
            yield SensorRemark(arrivals.assets[number], "", "clock", grade, since, words)


def _all_shifted(arrivals: Arrivals) -> Iterator[SensorRemark]:
    """Whether all files since one came whole hours later after their newest stamp, or sooner."""
    delay = arrivals.came - arrivals.last
    count = len(delay)
    if count < LEAST_BEFORE_CHANGE + LEAST_FILES:
        return
    for change in range(LEAST_BEFORE_CHANGE, count - LEAST_FILES + 1):
        before, after = delay[:change], delay[change:]
        shift = int(np.median(after) - np.median(before))
        hours = round(shift / HOUR_NS)
        if (
            hours
            and abs(shift - hours * HOUR_NS) <= STEADY_NS
            and (max(np.ptp(before), np.ptp(after)) <= STEADY_NS)
        ):
            words = (
                f"since then all stamps are {_span(shift)} "
                f"{'older' if shift > 0 else 'newer'} when their file comes{_suspicion(shift)}"
            )
            since = int(arrivals.last[change])
            yield SensorRemark("", "", "clock", "doubtful", since, words)
            return


def _span(nanoseconds: int) -> str:
    return format_duration(abs(nanoseconds) / NS)


def _suspicion(nanoseconds: int) -> str:
    hours = round(abs(nanoseconds) / HOUR_NS)
    whole = hours and abs(abs(nanoseconds) - hours * HOUR_NS) <= STEADY_NS
    return ": whole hours, so a time zone or summer time?" if whole else ""
