"""Stuck sensors, which hold a value that used to move, and dropped ones, which have none.

A machine that stands still holds its values too. So others have to move on as they did before,
several that stop together are no sensors' fault alone, and one at rest (at its lowest, or 0) is
in doubt only.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from pm_app.features.sensor_quality.course import (
    LEAST_BEFORE,
    SensorCourse,
    longest_run,
    trailing,
)
from pm_app.records.readings import Flags, Float64, Index
from pm_app.records.sensor_quality import QualityGrade, SensorRemark

# A value held for so many panes, and so many times as long as ever before.
LEAST_HELD, HELD_TIMES = 12, 3
# A sensor without any other that moves: none tells whether the machine stands still.
LEAST_HELD_ALONE = 48
# Panes within which sensors stop together.
TOGETHER = 3
# Of a machine that goes on as before, so much lies within what was usual.
LEAST_USUAL = 0.75
USUAL_PERCENT = (1.0, 99.0)
LEAST_DROPPED, DROPPED_TIMES = 6, 3
# Share of panes without a value in the newest span, and before it, of one that comes and goes.
MOST_MISSING, USUALLY_MISSING = 0.3, 0.05
_NAMES: Final = 3


def stuck_sensors(course: SensorCourse) -> Iterator[SensorRemark]:
    """Sensors that hold one value to the end, as they never did before, while others move."""
    runs = trailing(course.held | ~course.there)
    runs[~course.there[-LEAST_HELD:].any(axis=0)] = 0
    size = len(course.pane)
    movers = course.measures & (size - runs >= LEAST_BEFORE)
    long = (runs >= LEAST_HELD) & movers
    for sensor in np.flatnonzero(long).tolist():
        start = size - int(runs[sensor])
        if runs[sensor] < HELD_TIMES * _longest_before(course, sensor, start):
            continue
        others = np.flatnonzero(movers & (np.arange(len(runs)) != sensor))
        together = others[np.abs(runs[others] - runs[sensor]) <= TOGETHER]
        grade = _stuck_grade(course, sensor, start, others, together)
        if grade is not None:
            yield _stuck(course, sensor, start, grade, together)


def _longest_before(course: SensorCourse, sensor: int, start: int) -> int:
    """The longest hold before this pane; of one that is not at rest, those at rest do not count."""
    held = course.held[:start, sensor]
    if not _at_rest(course, sensor, start):
        held = held & ~_resting(course, sensor, start, course.mean[:start, sensor])
    return int(longest_run(held[:, None])[0]) + 1


def _stuck_grade(
    course: SensorCourse, sensor: int, start: int, others: Index, together: Index
) -> QualityGrade | None:
    """None where it may as well be that the machine stands still."""
    rests = [_at_rest(course, int(each), start) for each in (sensor, *together)]
    if not len(others):
        alone = len(course.pane) - start >= LEAST_HELD_ALONE
        return "doubtful" if alone and not rests[0] else None
    witnesses = np.setdiff1d(others, together)
    moves = ~course.held[start:, witnesses] & course.there[start:, witnesses]
    if len(together) and (any(rests) or len(witnesses) < len(together) + 1):
        return None
    if not len(witnesses) or np.mean(moves.any(axis=0)) < LEAST_USUAL or moves.mean() < 0.5:
        return None
    if rests[0] and not _goes_on(course, start, witnesses):
        return None
    return "doubtful" if rests[0] or len(together) else "bad"


def _at_rest(course: SensorCourse, sensor: int, start: int) -> bool:
    value = np.array([np.nanmax(course.mean[start:, sensor])])
    return bool(_resting(course, sensor, start, value)[0])


def _resting(course: SensorCourse, sensor: int, start: int, values: Float64) -> Flags:
    """Which values are 0 or as low as hardly any before this pane."""
    lowest = np.nanpercentile(course.mean[:start, sensor], USUAL_PERCENT[0])
    with np.errstate(invalid="ignore"):
        return np.asarray((values == 0) | (values <= lowest))


def _goes_on(course: SensorCourse, start: int, sensors: Index) -> bool:
    """Whether these sensors read what is usual, from this pane on."""
    low, high = np.nanpercentile(course.mean[:start, sensors], USUAL_PERCENT, axis=0)
    values = course.mean[start:, sensors]
    usual = (values >= low) & (values <= high) | np.isnan(values)
    return bool(usual.mean() >= LEAST_USUAL)


def _stuck(
    course: SensorCourse, sensor: int, start: int, grade: QualityGrade, together: Index
) -> SensorRemark:
    shown = f"{np.nanmax(course.mean[start:, sensor]):.6g}"
    also = names_text([course.sensors[each] for each in together])
    words = f"reads {shown} without change, while other sensors of the asset move"
    if not len(course.sensors) - 1:
        words = f"reads {shown} without change; it never held a value like that before"
    if also:
        words = f"{words}; so does {also}"
    name = course.sensors[sensor]
    # The first pane with this value moved to it.
    return SensorRemark(course.asset, name, "stuck", grade, course.moment(start - 1), words)


def dropped_sensors(course: SensorCourse) -> Iterator[SensorRemark]:
    """Sensors without values where others of the asset have some, as was not usual before."""
    gaps = trailing(~course.there)
    size = len(course.pane)
    for sensor in np.flatnonzero(course.there.sum(axis=0) >= LEAST_BEFORE // 2).tolist():
        gap, before = int(gaps[sensor]), course.there[:, sensor]
        valued = np.flatnonzero(before)
        usual = float(np.quantile(np.diff(valued) - 1, 0.98)) if len(valued) > 1 else 0.0
        name, since = course.sensors[sensor], course.moment(size - max(gap, 1))
        if gap >= max(LEAST_DROPPED, DROPPED_TIMES * usual):
            if not _dropped_with_others(course, gaps, sensor):
                words = "has no value any more, while other sensors of the asset have some"
                yield SensorRemark(course.asset, name, "dropped", "bad", since, words)
            continue
        was, now = 1 - before[: course.newest].mean(), 1 - before[course.newest :].mean()
        if was <= USUALLY_MISSING and now >= MOST_MISSING and size - course.newest >= LEAST_HELD:
            lost = int(course.newest + np.argmin(before[course.newest :]))
            words = f"has no value in {now:.0%} of the newest panes; before, in {was:.0%}"
            since = course.moment(lost)
            yield SensorRemark(course.asset, name, "dropped", "doubtful", since, words)


def _dropped_with_others(course: SensorCourse, gaps: Index, sensor: int) -> bool:
    """Whether it fell silent with others that have been silent together with it before.

    Values that are not told while a machine rests are no sensor's fault.
    """
    others = np.flatnonzero(np.abs(gaps - gaps[sensor]) <= TOGETHER)
    if len(others) < 2:
        return False
    until = len(course.pane) - int(gaps[others].max())
    return bool((~course.there[:until, others]).all(axis=1).sum() >= LEAST_DROPPED)


def names_text(names: list[str]) -> str:
    """The first names, and how many more there are; "" for none."""
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
