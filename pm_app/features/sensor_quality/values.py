"""Values that a sensor cannot read: beyond its physical limits, or scattered as never before."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Final

import numpy as np

from pm_app.features.sensor_quality.course import LEAST_BEFORE, NEWEST_PANES, SensorCourse
from pm_app.records.readings import Float64
from pm_app.records.sensor_quality import QualityGrade, SensorRemark

# Share of the newest panes beyond the limits from which on a sensor is bad, and how many at least.
BAD_SHARE, LEAST_BEYOND = 0.1, 3
# How many times what its rougher spans before had, when no other sensor has more than so many.
NOISE_TIMES, OTHERS_TIMES = 5.0, 2.0
_LEAST_BLOCKS: Final = 4
# A day of noise is not usual the day after.
_USUAL_BLOCKS: Final = 0.8
# Second differences of white noise have this many times its deviation.
_SECOND: Final = np.sqrt(6.0)

SensorLimits = Mapping[str, tuple[float, float]]


def sensors_beyond(course: SensorCourse, limits: SensorLimits) -> Iterator[SensorRemark]:
    """Sensors with readings beyond their physical limits in the newest span."""
    for number, sensor in enumerate(course.sensors):
        low, high = limits.get(sensor, (-np.inf, np.inf))
        rows = np.flatnonzero(course.there[:, number])
        rows = rows[rows >= course.newest]
        with np.errstate(invalid="ignore"):
            beyond = (course.minimum[rows, number] < low) | (course.maximum[rows, number] > high)
        if not beyond.any():
            continue
        share = beyond.mean()
        bad = share >= BAD_SHARE and beyond.sum() >= LEAST_BEYOND
        least, most = course.minimum[rows, number].min(), course.maximum[rows, number].max()
        words = (
            f"reads {least:.6g} to {most:.6g}, beyond its limits{_limits_text(low, high)} "
            f"in {share:.0%} of the newest panes"
        )
        since = course.moment(int(rows[beyond.argmax()]))
        grade: QualityGrade = "bad" if bad else "doubtful"
        yield SensorRemark(course.asset, sensor, "limits", grade, since, words)


def _limits_text(low: float, high: float) -> str:
    ends = [f"{end:g}" if isfinite(end) else "…" for end in (low, high)]
    return f" ({ends[0]} to {ends[1]})"


def noisy_sensors(course: SensorCourse) -> Iterator[SensorRemark]:
    """Sensors whose neighbouring values scatter many times as much as before, at a level that
    is none but the usual, while no other sensor's do."""
    size = len(course.pane) - course.newest
    if size < NEWEST_PANES or course.newest < max(_LEAST_BLOCKS * size, LEAST_BEFORE):
        return
    between, within = _roughness(course), course.scatter
    ratios = np.fmax(*(_times_before(each, course.newest, size) for each in (between, within)))
    ratios = np.where(course.measures, ratios, np.nan)
    loud = np.flatnonzero(np.nan_to_num(ratios) >= NOISE_TIMES)
    restless = np.flatnonzero(np.nan_to_num(ratios) >= OTHERS_TIMES)
    if len(restless) != 1 or len(loud) != 1 or np.isfinite(ratios).sum() < 2:
        return
    sensor = int(loud[0])
    before, now = course.mean[: course.newest, sensor], course.mean[course.newest :, sensor]
    spread = np.nanmedian(np.abs(now - np.nanmedian(now)))
    if abs(np.nanmedian(now) - np.nanmedian(before)) > max(spread, _usual_spread(before)):
        return
    words = f"scatters {ratios[sensor]:.0f} times as much as before, and no other sensor does"
    since = course.moment(course.newest)
    yield SensorRemark(course.asset, course.sensors[sensor], "noisy", "doubtful", since, words)


def _usual_spread(values: Float64) -> float:
    return float(np.nanmedian(np.abs(values - np.nanmedian(values))))


def _roughness(course: SensorCourse) -> Float64:
    """How far each pane lies from the line through its neighbours, NaN beside gaps."""
    rough = np.full_like(course.mean, np.nan)
    near = (course.pane[2:] - course.pane[:-2]) == 2
    second = course.mean[2:] - 2 * course.mean[1:-1] + course.mean[:-2]
    rough[1:-1] = np.where(near[:, None], np.abs(second) / _SECOND, np.nan)
    return rough


def _times_before(values: Float64, newest: int, size: int) -> Float64:
    """The median of the newest span in units of what four in five spans as long before do not
    reach, by sensor; NaN where there are too few of them."""
    blocks = values[newest % size : newest].reshape(-1, size, values.shape[1])
    parts = np.concatenate([blocks, values[newest:][None, -size:]])
    enough = np.isfinite(parts).sum(axis=1) >= size // 2
    medians = np.full(enough.shape, np.nan)
    for part, sensor in np.argwhere(enough).tolist():
        medians[part, sensor] = np.nanmedian(parts[part, :, sensor])
    some = enough[:-1].sum(axis=0) >= _LEAST_BLOCKS
    usual = np.full(len(some), np.nan)
    usual[some] = np.nanquantile(medians[:-1, some], _USUAL_BLOCKS, axis=0)
    usable = usual > 0
    return np.where(usable, medians[-1] / np.where(usable, usual, np.nan), np.nan)
