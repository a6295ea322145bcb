"""Inputs of normal behaviour: which features are read, and levels of sensors made of them.

A level is a sensor's mean over a window, or its fading mean, less the asset's own level where the
specification knows it: the mean at the beginning of its life. So assets are compared by how they
changed, not by how they differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.features.frame import feature_names
from pm_app.records.features import IN_REGIME, FeatureSpec, Frame
from pm_app.records.readings import Flags, Float32, Float64, Index
from pm_app.times import duration_text

CLOCK = "clock"


@dataclass(frozen=True)
class NormalInputs:
    """Which features say what of which sensor.

    sensors: (n_sensors,) those that are looked at. features: what is read, in order; the numbers
    below are places in it. levels: for each scale, shortest first, each sensor's level,
    (n_scales, n_sensors). recent, change: of each sensor, () where assets have no level of their
    own; the own level is recent - change. sticking: sensors that may be found stuck; lowest,
    highest: extremes of each of these in the window that tells. running: for each scale the lowest
    reading of what tells whether the machine runs, () where nothing does; above: it runs above
    this. clock: places of the clock's features. unit: (n_sensors,), what a level of 1 is in the
    sensor's unit.
    """

    sensors: tuple[str, ...]
    features: tuple[str, ...]
    levels: tuple[tuple[int, ...], ...]
    recent: tuple[int, ...]
    change: tuple[int, ...]
    sticking: tuple[int, ...]
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    running: tuple[int, ...]
    above: float
    clock: tuple[int, ...]
    unit: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class SensorLevels:
    """Levels of rows: values (n_scales, n, n_sensors), NaN where unknown; clock (n, n_clock)."""

    values: Float64
    clock: Float64


def choose_inputs(frame: Frame, teaching: Index, spec: FeatureSpec) -> NormalInputs:
    """The features to read, of sensors that vary in what teaches.

    Raises NotEnoughData where there is no time axis or no sensor that varies.
    """
    if not spec.windows_ns:
        raise NotEnoughData("normal behaviour needs readings over time, got one row an asset")
    place = {name: number for number, name in enumerate(frame.features)}
    window = duration_text(spec.windows_ns[0])
    sensors = [
        sensor
        for sensor in spec.sensors
        if _varies(frame.values[teaching, place[f"{sensor}.mean.{window}{_suffix(sensor, spec)}"]])
    ]
    if not sensors:
        raise NotEnoughData("normal behaviour needs a sensor that varies, none of them does")
    names = _Names(spec, sensors)
    found = [_tells_stuck(frame.values[teaching], place, sensor, spec) for sensor in sensors]
    stuck = [pair for pair in found if pair]
    wanted = [*names.all(), *(name for pair in stuck for name in pair)]
    features = tuple(name for name in feature_names(spec)[0] if name in set(wanted))
    at = {name: number for number, name in enumerate(features)}

    def places(chosen: Sequence[str]) -> tuple[int, ...]:
        return tuple(at[name] for name in chosen)

    return NormalInputs(
        tuple(sensors),
        features,
        tuple(places(scale) for scale in names.levels),
        places(names.levels[0]) if spec.change else (),
        places(names.change),
        tuple(number for number, pair in enumerate(found) if pair),
        places([low for low, _ in stuck]),
        places([high for _, high in stuck]),
        places(names.running),
        spec.running.above if spec.running else 0.0,
        places(names.clock),
        tuple(_unit(sensor, spec) for sensor in sensors),
    )


def sensor_levels(values: Float32, inputs: NormalInputs) -> SensorLevels:
    """Levels of rows, (n, n_features) in order of the inputs."""
    rows = values.astype(np.float64)
    levels = np.stack([rows[:, list(scale)] for scale in inputs.levels])
    if inputs.change:
        own = rows[:, list(inputs.recent)] - rows[:, list(inputs.change)]
        levels = levels - own
    still = np.zeros(levels.shape[1:], dtype=np.bool_)
    still[:, list(inputs.sticking)] = rows[:, list(inputs.lowest)] == rows[:, list(inputs.highest)]
    levels[:, still] = np.nan
    levels[stopped(values, inputs)] = np.nan
    levels[~np.isfinite(levels)] = np.nan
    return SensorLevels(levels, rows[:, list(inputs.clock)])


def stopped(values: Float32, inputs: NormalInputs) -> Flags:
    """Where the machine stood still within a scale, (n_scales, n)."""
    if not inputs.running:
        return np.zeros((len(inputs.levels), len(values)), dtype=np.bool_)
    lowest = values[:, list(inputs.running)].T
    with np.errstate(invalid="ignore"):
        return np.asarray(lowest <= np.float32(inputs.above))


class _Names:
    """Names of features of chosen sensors, by what they say."""

    def __init__(self, spec: FeatureSpec, sensors: Sequence[str]) -> None:
        self._spec, self._sensors = spec, sensors
        windows = [duration_text(each) for each in spec.windows_ns]
        fading = [duration_text(each) for each in spec.smooth_ns]
        words = [*(f"mean.{each}" for each in windows), *(f"smooth.{each}" for each in fading)]
        self.levels = [self._of_all(word) for word in words]
        self.change = self._of_all("change") if spec.change else []
        # A fading mean never forgets a stop: the longest window says whether there was one.
        looked = [*windows, *([windows[-1]] * len(fading))]
        running = spec.running
        self.running = [f"{running.sensor}.minimum.{each}" for each in looked] if running else []
        names, groups = feature_names(spec)
        self.clock = [name for name, each in zip(names, groups, strict=True) if each == CLOCK]

    def all(self) -> list[str]:
        """All that is read, but what tells of sensors that stand still."""
        scales = (name for scale in self.levels for name in scale)
        return [*scales, *self.change, *self.running, *self.clock]

    def _of_all(self, word: str) -> list[str]:
        return [f"{sensor}.{word}{_suffix(sensor, self._spec)}" for sensor in self._sensors]


def _suffix(sensor: str, spec: FeatureSpec) -> str:
    """What follows settings is looked at within regimes."""
    return IN_REGIME if sensor in spec.beside else ""


def _unit(sensor: str, spec: FeatureSpec) -> float:
    """What a level of 1 is in the sensor's unit: within regimes, its usual spread in them."""
    if spec.regimes is None or sensor not in spec.beside:
        return 1.0
    column = spec.regimes.sensors.index(sensor)
    spreads = (row[column] for row in spec.regimes.spreads)
    return float(sum(part * each for part, each in zip(spec.regimes.shares, spreads, strict=True)))


def _varies(values: Float32) -> bool:
    there = values[np.isfinite(values)].astype(np.float64)
    return bool(len(there) > 1 and np.ptp(there) > 1e-6 * (1.0 + np.abs(there).max()))


# A sensor that kept one value through a window in more than this share of what teaches, may.
_MOST_STILL = 0.001


def _tells_stuck(
    values: Float32, place: dict[str, int], sensor: str, spec: FeatureSpec
) -> tuple[str, str] | None:
    """Lowest and highest of the shortest window through which the sensor never kept one value.

    None where it did in every window: one that may stand still cannot be called stuck.
    """
    for window_ns in spec.windows_ns:
        window = duration_text(window_ns)
        words = ("minimum", "maximum", "slope")
        low, high, slope = (f"{sensor}.{word}.{window}" for word in words)
        # A window of one pane tells nothing, and has no slope.
        rows = values[np.isfinite(values[:, place[slope]])]
        if len(rows) and (rows[:, place[low]] == rows[:, place[high]]).mean() <= _MOST_STILL:
            return low, high
    return None
