"""Steps: a level that changes at once, that all later values keep, and one sensor alone shows.

A sensor that was moved, replaced or recalibrated reads otherwise from one pane to the next and
stays so; machines get worse slowly, and what they do at once shows in other sensors too. So every
sensor is explained by the others (ridge regression, Hoerl & Kennard 1970), and only what is left is
looked at. The answer is a question: a person knows what was done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.features.sensor_quality.course import LEAST_BEFORE, NEWEST_PANES, SensorCourse
from pm_app.records.readings import Flags, Float64, Index
from pm_app.records.sensor_quality import SensorRemark
from pm_app.times import HOUR_NS, to_moment

# Panes on each side whose means are compared.
SIDE = 6
# The step has to be kept for half a day, and what was before to be three times as long.
LEAST_KEPT_HOURS, BEFORE_TIMES = 12, 3
# No other jump, at any other time, is more than this share of it.
OTHER_JUMPS = 0.4
# Of all later values so many are on its far side, and of all before hardly any.
MOST_KEPT, MOST_BEFORE = 0.98, 0.01
# Of the whole change so much takes place at once, in what others leave unexplained and as read.
SHARP, SHARP_RAW = 0.7, 0.5
# Another sensor's jump at the same time, in units of its usual ones, that makes it the machine's.
OTHERS_JUMP = 2.0
LEAST_THERE = 0.7
RIDGE = 1e-2
_USUAL_JUMP: Final = 0.95
_MOST_TRIED: Final = 5


@dataclass(frozen=True, eq=False)
class _Scaled:
    """Sensors that measure, in units of their usual spread: values (n_panes, n_measuring), with
    the last value where there is none; sensors: their numbers in the course."""

    values: Float64
    there: Flags
    sensors: Index


def stepped_sensors(course: SensorCourse, zone: ZoneInfo) -> Iterator[SensorRemark]:
    """Sensors whose level changed at once, each with its greatest change, as a question."""
    kept = max(LEAST_KEPT_HOURS * HOUR_NS // course.pane_ns, NEWEST_PANES)
    first, last = max(LEAST_BEFORE, BEFORE_TIMES * kept), len(course.pane) - kept
    if first >= last:
        return
    scaled = _scaled(course)
    if len(scaled.sensors) < 3:
        return
    residuals = _left_by_others(scaled.values)
    jumps = _jumps(residuals)
    inside = jumps[first : last + 1]
    greatest = inside.max(axis=0)
    usual = np.quantile(jumps, _USUAL_JUMP, axis=0)
    order = np.argsort(-greatest / np.maximum(usual, 1e-12), kind="stable")[:_MOST_TRIED]
    for at in order.tolist():
        row = first + int(inside[:, at].argmax())
        if _is_step(scaled, row, at) and _is_alone(scaled, row, at):
            yield _question(course, int(scaled.sensors[at]), row, zone)


def _scaled(course: SensorCourse) -> _Scaled:
    there = course.there
    chosen = np.flatnonzero(course.measures & (there.mean(axis=0) >= LEAST_THERE))
    values = course.mean[:, chosen]
    middle = np.nanmedian(values, axis=0)
    spread = np.nanpercentile(values, 84, axis=0) - np.nanpercentile(values, 16, axis=0)
    usable = spread > 0
    chosen = chosen[usable]
    scaled = (values[:, usable] - middle[usable]) / spread[usable]
    rows = np.maximum.accumulate(
        np.where(there[:, chosen], np.arange(len(scaled))[:, None], 0), axis=0
    )
    filled = np.nan_to_num(np.take_along_axis(scaled, rows, axis=0))
    return _Scaled(np.clip(filled, -20, 20), there[:, chosen], chosen)


def _left_by_others(values: Float64) -> Float64:
    """What a ridge regression on all other columns leaves of each column."""
    centred = values - values.mean(axis=0)
    covariance = centred.T @ centred / len(values) + RIDGE * np.eye(values.shape[1])
    precision = np.linalg.inv(covariance)
    return np.asarray((centred @ precision) / np.diag(precision))


def _jumps(values: Float64) -> Float64:
    """How far means of SIDE panes before and after each row lie apart; 0 near the ends."""
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    means = (sums[SIDE:] - sums[:-SIDE]) / SIDE
    jumps = np.zeros_like(values)
    jumps[SIDE : len(values) - SIDE + 1] = np.abs(means[SIDE:] - means[:-SIDE])
    return jumps


def _is_alone(scaled: _Scaled, row: int, at: int) -> bool:
    """Whether no other sensor jumps then as it hardly ever does: as read, and in what is left of it
    by the others but this one."""
    others = np.delete(scaled.values, at, axis=1)
    return all(
        _most_unusual(each, row) <= OTHERS_JUMP for each in (others, _left_by_others(others))
    )


def _most_unusual(values: Float64, row: int) -> float:
    """The greatest jump at about this row, in units of what the sensor's jumps rarely reach."""
    jumps = _jumps(values)
    usual = np.quantile(jumps, _USUAL_JUMP, axis=0)
    near = jumps[max(row - 2, 0) : row + 3].max(axis=0)
    return float(np.max(near / np.maximum(usual, 1e-9)))


def _is_step(scaled: _Scaled, row: int, at: int) -> bool:
    """Whether what the others of before do not explain changed at once, for good, and only then."""
    residual = _residual(scaled, row, at)
    raw, there = scaled.values[:, at], scaled.there[:, at]
    before = np.arange(len(raw)) < row - 1
    after = np.arange(len(raw)) > row
    old, new = residual[before & there], residual[after & there]
    if len(old) < LEAST_BEFORE or len(new) < NEWEST_PANES:
        return False
    shift = float(np.median(new) - np.median(old))
    sign = 1.0 if shift > 0 else -1.0
    middle = np.median(old) + shift / 2
    kept = np.mean(sign * (new - middle) > 0) >= MOST_KEPT
    fresh = np.mean(sign * (old - middle) > 0) <= MOST_BEFORE
    return bool(
        kept
        and fresh
        and sign * _change(residual, there, row) >= SHARP * abs(shift)
        and sign * _change(raw, there, row) >= SHARP_RAW * abs(shift)
        and _largest_elsewhere(residual, row) <= OTHER_JUMPS * abs(shift)
    )


def _residual(scaled: _Scaled, row: int, at: int) -> Float64:
    """What the others, as they told it before this row, leave of a sensor."""
    others = np.delete(scaled.values, at, axis=1)
    old, target = others[: row - 1], scaled.values[: row - 1, at]
    centre, level = old.mean(axis=0), target.mean()
    centred = old - centre
    normal = centred.T @ centred / len(old) + RIDGE * np.eye(others.shape[1])
    weights = np.linalg.solve(normal, centred.T @ (target - level) / len(old))
    return np.asarray(scaled.values[:, at] - level - (others - centre) @ weights)


def _change(values: Float64, there: Flags, row: int) -> float:
    """From the panes just before to those just after; 0 where too few are there."""
    old = values[row - SIDE - 1 : row - 1][there[row - SIDE - 1 : row - 1]]
    new = values[row + 1 : row + 1 + SIDE][there[row + 1 : row + 1 + SIDE]]
    if min(len(old), len(new)) < SIDE // 2:
        return 0.0
    return float(np.median(new) - np.median(old))


def _largest_elsewhere(values: Float64, row: int) -> float:
    jumps = _jumps(values[:, None])[:, 0]
    jumps[max(row - 2 * SIDE, 0) : row + 2 * SIDE] = 0.0
    return float(jumps.max())


def _question(course: SensorCourse, sensor: int, row: int, zone: ZoneInfo) -> SensorRemark:
    values = course.mean[:, sensor]
    old, new = np.nanmedian(values[: row - 1]), np.nanmedian(values[row + 1 :])
    since = course.moment(row)
    day = to_moment(since).astimezone(zone)
    words = (
        f"was it moved, replaced or recalibrated on {day:%Y-%m-%d}? It read about "
        f"{old:.4g} before and {new:.4g} ever since, and no other sensor of the asset shows why. "
        "If nothing was done to it, the machine has changed"
    )
    name = course.sensors[sensor]
    return SensorRemark(course.asset, name, "step", "doubtful", since, words)
