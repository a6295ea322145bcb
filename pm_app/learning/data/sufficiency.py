"""Sufficiency of labels and sensors: whether a dataset can teach what is asked, and why not."""

from collections.abc import Sequence

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.learning.data.labels import asset_numbers, count_failures
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Flags, Float64
from pm_app.times import HOUR_NS

# Names shown before the rest is only counted.
SHOWN = 3
# A range of fewer steps than this between neighbouring float32 numbers is mostly rounding.
LEAST_STEPS = 16


def require_enough(
    labels: Labels, *, minimum_failures: int, missed: str = "", span_weeks: float = 0.0
) -> None:
    """Raises NotEnoughData when there are fewer failures to learn from than needed.

    missed: words on failures that came but teach nothing, see `missed_failures_text`. span_weeks:
    how long the record is, by which it is told how long the rest will take to come.
    """
    failures = count_failures(labels)
    if failures >= minimum_failures:
        return
    labelled = labels.value[labels.usable & np.isfinite(labels.value)]
    binary = set(np.unique(labelled)) <= {0.0, 1.0}
    noun = "labelled rows of the rarer class" if binary else "labelled rows"
    noun = noun if len(labelled) else "failures"
    text = f"not enough data: {failures} {noun}, {minimum_failures} needed"
    if failures and span_weeks >= 1:
        weeks = round((minimum_failures - failures) * span_weeks / failures)
        text += f", about {max(weeks, 1)} more weeks at the rate so far"
    raise NotEnoughData(f"{text} ({missed})" if missed else text)


def require_foreseeable(frame: Frame, labels: Labels, *, horizon_hours: float) -> None:
    """Raises NotEnoughData where life labels hold no failure that could have been foreseen.

    At least one needs a row within the horizon before it; and where all of them lie within one
    horizon of each other they are one event, which any clock would tell apart.
    """
    rows = np.flatnonzero(labels.failed & labels.usable)
    if not len(rows):
        return
    failures = count_failures(labels)
    left = labels.duration_hours[rows]
    if left.min() > horizon_hours:
        raise NotEnoughData(
            f"not enough data: none of {failures} failures has a reading in the "
            f"{horizon_hours:g} h before it, the nearest comes {left.min():g} h before"
        )
    ends = frame.cutoff[rows] / HOUR_NS + left
    if np.ptp(ends) <= horizon_hours:
        raise NotEnoughData(
            f"not enough data: all {failures} failures lie within {np.ptp(ends):.3g} h, one event "
            f"for all that can be told; needed failures more than {horizon_hours:g} h apart"
        )


def require_changing_sensor(frame: Frame, labels: Labels, *, sensors: Sequence[str]) -> None:
    """Raises NotEnoughData where no sensor ever changes: a model would only know the clock.

    sensors: those of the readings; what is made from events and age is no sensor.
    """
    if not sensors:
        raise NotEnoughData(
            "not enough data: the readings have no sensor to learn from, one needed"
        )
    low, high = value_range(frame, labels)
    changes = {frame.sensor_of[number] for number in np.flatnonzero(high > low)}
    if changes.isdisjoint(sensors):
        silent = len(sensors_without_values(frame, labels, sensors=sensors))
        raise NotEnoughData(
            f"not enough data: none of {len(sensors)} sensors ever changes ({name_some(sensors)}; "
            f"{silent} without any value), at least one that does is needed"
        )


def sensors_without_values(
    frame: Frame, labels: Labels, *, sensors: Sequence[str]
) -> tuple[str, ...]:
    """Those of the sensors of which no usable row holds a value."""
    low, _ = value_range(frame, labels)
    # A share missing is a number even where nothing else is.
    last = {name: number for number, name in enumerate(frame.features)}
    numbers = ((sensor, last.get(f"{sensor}.last")) for sensor in sensors)
    return tuple(name for name, number in numbers if number is not None and np.isinf(low[number]))


def too_fine_for_float32(low: Float64, high: Float64) -> Flags:
    """Where values from low to high change by less than 32-bit numbers of their size can tell."""
    step = np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(np.float32)).astype(np.float64)
    return np.asarray((high > low) & (high - low < LEAST_STEPS * step))


def missed_failures_text(frame: Frame, events: Events) -> str:
    """Count of failures that no row of the frame comes before, and why; "" where there are none."""
    failed = events.kind == "failure"
    asset = asset_numbers(frame, events)[failed]
    first = np.full(len(frame.assets) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, frame.asset, frame.cutoff)
    early = int(np.sum((asset >= 0) & (events.time[failed] <= first[asset])))
    counts = (
        (int(np.sum(asset < 0)), "of assets without readings"),
        (early, "before their asset's first reading"),
    )
    words = [f"{count} {why}" for count, why in counts if count]
    return f"of {failed.sum()} that came, {', '.join(words)}" if words else ""


def name_some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def value_range(frame: Frame, labels: Labels) -> tuple[Float64, Float64]:
    """Lowest and highest value of each feature over usable rows; inf and -inf without any."""
    usable = labels.usable[:, None]
    # Usable rows alone would be a second copy of nearly all.
    low = np.fmin.reduce(frame.values, axis=0, initial=np.inf, where=usable)
    high = np.fmax.reduce(frame.values, axis=0, initial=-np.inf, where=usable)
    return low.astype(np.float64), high.astype(np.float64)
