"""Grades of sensors: what the newest panes of each asset say about its sensors, not its machine."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.features.sensor_quality.clocks import future_stamps
from pm_app.features.sensor_quality.course import SensorCourse, courses
from pm_app.features.sensor_quality.held import dropped_sensors, stuck_sensors
from pm_app.features.sensor_quality.steps import stepped_sensors
from pm_app.features.sensor_quality.values import SensorLimits, noisy_sensors, sensors_beyond
from pm_app.records.features import Panes, RunningRule
from pm_app.records.sensor_quality import AssetQuality, SensorRemark
from pm_app.times import HOUR_NS

# How far back sensors are looked at, in days, and in panes at least and at most.
LOOK_BACK_DAYS, LEAST_LOOK_BACK, MOST_LOOK_BACK = 14, 720, 20_160


@dataclass(frozen=True)
class QualityRules:
    """What sensors are judged by: when a machine runs, what they can read, the plant's clock."""

    running: RunningRule | None = None
    limits: SensorLimits = field(default_factory=dict)
    zone: ZoneInfo = ZoneInfo("UTC")


def look_back(pane_ns: int) -> int:
    """How many of the newest panes are looked at."""
    panes = LOOK_BACK_DAYS * 24 * HOUR_NS // pane_ns
    return int(min(max(panes, LEAST_LOOK_BACK), MOST_LOOK_BACK))


def grade_sensors(panes: Panes, rules: QualityRules, *, now: int) -> Iterator[AssetQuality]:
    """What is wrong with the sensors of each asset by these panes, which end before or at `now`.

    Looks at one asset after the other; what one's panes say does not depend on the others.
    """
    ahead = {remark.asset: remark for remark in future_stamps(panes, now=now)}
    for course in courses(panes, rules.running):
        clock = [ahead[course.asset]] if course.asset in ahead else []
        remarks = (*clock, *_remarks(course, rules))
        judged = int(np.count_nonzero(course.measures))
        yield AssetQuality(course.asset, len(course.sensors), judged, remarks)


def _remarks(course: SensorCourse, rules: QualityRules) -> Iterator[SensorRemark]:
    silent = (*stuck_sensors(course), *dropped_sensors(course))
    yield from silent
    yield from sensors_beyond(course, rules.limits)
    if silent:
        # What others would explain is not explained by one that is stuck.
        return
    noisy = {remark.sensor: remark for remark in noisy_sensors(course)}
    yield from noisy.values()
    for remark in stepped_sensors(course, rules.zone):
        if remark.sensor not in noisy:
            yield remark
