"""Physical limits of sensors: levels that rest on readings beyond them are missing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pm_app.features.frame import memory_names
from pm_app.records.features import IN_REGIME, FeatureSpec, Frame
from pm_app.records.normality import PhysicalLimits
from pm_app.times import duration_text


def limited_features(spec: FeatureSpec, limits: Sequence[PhysicalLimits]) -> tuple[str, ...]:
    """What tells whether a window held a reading beyond the limits."""
    windows = [duration_text(window) for window in spec.windows_ns]
    sensors = [each[0] for each in limits if each[0] in spec.sensors]
    return tuple(f"{s}.{w}.{at}" for s in sensors for w in ("minimum", "maximum") for at in windows)


def leave_out_beyond(frame: Frame, spec: FeatureSpec, limits: Sequence[PhysicalLimits]) -> Frame:
    """The frame with no mean of a window that held a reading beyond its sensor's limits.

    Fading means forget slowly: they are missing as long as the longest window sees one. A sensor
    without limits, or that the spec does not have, stays as it is. The frame given is unchanged.
    """
    place = {name: number for number, name in enumerate(frame.features)}
    values, windows = frame.values, [duration_text(window) for window in spec.windows_ns]
    for sensor, low, high in limits:
        if sensor not in spec.sensors or not windows:
            continue
        for window in windows:
            least, most = (place[f"{sensor}.{w}.{window}"] for w in ("minimum", "maximum"))
            beyond = np.zeros(len(values), dtype=np.bool_)
            with np.errstate(invalid="ignore"):
                beyond |= frame.values[:, least] < (-np.inf if low is None else low)
                beyond |= frame.values[:, most] > (np.inf if high is None else high)
            names = [f"mean.{window}"]
            if window == windows[-1]:
                names += [name for name in memory_names(spec) if name.startswith("smooth.")]
            named = (f"{sensor}.{name}{end}" for name in names for end in ("", IN_REGIME))
            columns = [place[name] for name in named if name in place]
            if beyond.any():
                values = values.copy() if values is frame.values else values
                for column in columns:
                    values[beyond, column] = np.nan
    return frame if values is frame.values else replace(frame, values=values)
