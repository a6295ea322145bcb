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
from pm_app.features.physical_limits import limited_features
from pm_app.records.features import IN_REGIME, FeatureSpec, Frame
from pm_app.records.normality import PhysicalLimits
from pm_app.records.readings import Flags, Float32, Float64, Index
from pm_app.times import duration_text

CLOCK = "clock"


@dataclass(frozen=True)
class NormalInputs:
    """Which features say what of which sensor.

    sensors: (n_sensors,) those that are looked at. features: what is read, in order; the numbers
    below are places in it. levels: for each scale, shortest first, each sensor's level,
    (n_scales, n_sensors). recent, change: of each sensor, () where assets have no level of their
    own; the own level is recent - change. spread, missing: for each window of each sensor how far
    its readings stray, and the share that is missing, (n_windows, n_sensors); least_spread,
    most_missing: beyond these it is stuck, or was not there for a part of the window. running: for
    each scale the lowest reading of what tells whether the machine runs, () where nothing does;
    above: it runs above this. clock: places of the clock's features. unit: (n_sensors,), what a
    level of 1 is in the sensor's unit.
    """

    sensors: tuple[str, ...]
    features: tuple[str, ...]
    levels: tuple[tuple[int, ...], ...]
    recent: tuple[int, ...]
    change: tuple[int, ...]
    spread: tuple[tuple[int, ...], ...]
    missing: tuple[tuple[int, ...], ...]
    least_spread: tuple[tuple[float, ...], ...]
    most_missing: tuple[tuple[float, ...], ...]
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
    column = _NamedColumns(frame, teaching)
    window = duration_text(spec.windows_ns[0])
    sensors = [
        sensor
        for sensor in spec.sensors
        if _varies(column(f"{sensor}.mean.{window}{_suffix(sensor, spec)}"))
    ]
    if not sensors:
        raise NotEnoughData("normal behaviour needs a sensor that varies, none of them does")
    names = _Names(spec, sensors, _scales_used(column, spec))
    features = tuple(name for name in feature_names(spec)[0] if name in set(names.all()))
    at = {name: number for number, name in enumerate(features)}

    def places(chosen: Sequence[str]) -> tuple[int, ...]:
        return tuple(at[name] for name in chosen)

    return NormalInputs(
        tuple(sensors),
        features,
        tuple(places(scale) for scale in names.levels),
        places(names.recent),
        places(names.change),
        tuple(places(window) for window in names.spread),
        tuple(places(window) for window in names.missing),
        tuple(_least_spread(column, window) for window in names.spread),
        tuple(_most_missing(column, window) for window in names.missing),
        places(names.running),
        spec.running.above if spec.running else 0.0,
        places(names.clock),
        tuple(_unit(sensor, spec) for sensor in sensors),
    )


def readable_features(spec: FeatureSpec, limits: Sequence[PhysicalLimits] = ()) -> tuple[str, ...]:
    """Of the features of a spec those that may be looked at, in its order."""
    scales = range(len(_scale_names(spec)))
    read = set(_Names(spec, spec.sensors, scales).all())
    windows = [duration_text(each) for each in spec.windows_ns]
    read |= set(limited_features(spec, limits))
    read |= {f"{sensor}.slope.{each}" for sensor in spec.sensors for each in windows}
    return tuple(name for name in feature_names(spec)[0] if name in read)


def sensor_levels(values: Float32, inputs: NormalInputs) -> SensorLevels:
    """Levels of rows, (n, n_features) in order of the inputs."""
    rows = values.astype(np.float64)
    levels = np.stack([rows[:, list(scale)] for scale in inputs.levels])
    if inputs.change:
        own = rows[:, list(inputs.recent)] - rows[:, list(inputs.change)]
        levels = levels - own
    levels[:, unreliable(values, inputs)] = np.nan
    levels[stopped(values, inputs)] = np.nan
    levels[~np.isfinite(levels)] = np.nan
    return SensorLevels(levels, rows[:, list(inputs.clock)])


def unreliable(values: Float32, inputs: NormalInputs) -> Flags:
    """Where a sensor is stuck in some window, or was not there for a part of it, (n, n_sensors)."""
    found = np.zeros((len(values), len(inputs.sensors)), dtype=np.bool_)
    for number, (spread, missing) in enumerate(zip(inputs.spread, inputs.missing, strict=True)):
        least = np.array(inputs.least_spread[number], dtype=np.float32)
        most = np.array(inputs.most_missing[number], dtype=np.float32)
        with np.errstate(invalid="ignore"):
            found |= (values[:, list(spread)] < least) | (values[:, list(missing)] > most)
    return found


def stopped(values: Float32, inputs: NormalInputs) -> Flags:
    """Where the machine stood still within a scale, (n_scales, n)."""
    if not inputs.running:
        return np.zeros((len(inputs.levels), len(values)), dtype=np.bool_)
    lowest = values[:, list(inputs.running)].T
    with np.errstate(invalid="ignore"):
        return np.asarray(lowest <= np.float32(inputs.above))


class _NamedColumns:
    """Columns of some rows of a frame, by the names of features, one at a time."""

    def __init__(self, frame: Frame, rows: Index) -> None:
        self._values, self._rows = frame.values, rows
        self._place = {name: number for number, name in enumerate(frame.features)}

    def __call__(self, name: str) -> Float32:
        return np.asarray(self._values[self._rows, self._place[name]])


class _Names:
    """Names of features of chosen sensors, by what they say."""

    def __init__(self, spec: FeatureSpec, sensors: Sequence[str], scales: Sequence[int]) -> None:
        self._spec, self._sensors = spec, sensors
        every = _scale_names(spec)
        self.levels = [self._of_all(every[scale]) for scale in scales]
        windows = [duration_text(each) for each in spec.windows_ns]
        self.recent = self._of_all(f"mean.{windows[0]}") if spec.change else []
        self.change = self._of_all("change") if spec.change else []
        self.spread, self.missing = (
            [[f"{sensor}.{word}.{each}" for sensor in sensors] for each in windows]
            for word in ("deviation", "missing")
        )
        self.running = [_lowest_running(spec, scale) for scale in scales] if spec.running else []
        names, groups = feature_names(spec)
        self.clock = [name for name, each in zip(names, groups, strict=True) if each == CLOCK]

    def all(self) -> list[str]:
        """All that is read."""
        parts = (*self.levels, *self.spread, *self.missing)
        every = (name for part in parts for name in part)
        return [*every, *self.recent, *self.change, *self.running, *self.clock]

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


def _scale_names(spec: FeatureSpec) -> list[str]:
    """What the level of each scale is called, behind its sensor: windows, then fading means."""
    windows = (f"mean.{duration_text(each)}" for each in spec.windows_ns)
    return [*windows, *(f"smooth.{duration_text(each)}" for each in spec.smooth_ns)]


def _lowest_running(spec: FeatureSpec, scale: int) -> str:
    """What tells whether the machine stood within a scale.

    A fading mean never forgets a stop: the longest window says whether there was one.
    """
    assert spec.running is not None
    window = spec.windows_ns[min(scale, len(spec.windows_ns) - 1)]
    return f"{spec.running.sensor}.minimum.{duration_text(window)}"


def _scales_used(column: _NamedColumns, spec: FeatureSpec) -> list[int]:
    """Scales within which the machine runs through often enough; the shortest always."""
    every = range(len(_scale_names(spec)))
    if spec.running is None:
        return list(every)
    runs = [
        float((column(_lowest_running(spec, scale)) > spec.running.above).mean()) for scale in every
    ]
    return [scale for scale in every if not scale or runs[scale] >= _LEAST_RUNNING]


# Scales that a machine which often stops is seldom seen at tell nothing of it.
_LEAST_RUNNING = 0.3
# Of what teaches so few rows may have less spread than what counts as stuck, or more missing.
_RARELY = 0.002
_STUCK_SHARE, _MISSING_MORE = 0.5, 0.1


def _least_spread(column: _NamedColumns, window: Sequence[str]) -> tuple[float, ...]:
    """Half of the least spread each sensor has in a window; 0 for one that may stand still."""
    found = []
    for name in window:
        # A window of one pane tells nothing, and has no slope.
        spread = column(name)[np.isfinite(column(name.replace(".deviation.", ".slope.")))]
        found.append(_STUCK_SHARE * float(np.quantile(spread, _RARELY)) if len(spread) else 0.0)
    return tuple(found)


def _most_missing(column: _NamedColumns, window: Sequence[str]) -> tuple[float, ...]:
    """A little more than the greatest share of readings each sensor usually lacks."""
    found = []
    for name in window:
        share = column(name)
        share = share[np.isfinite(share)]
        usual = float(np.quantile(share, 1.0 - 10 * _RARELY)) if len(share) else 1.0
        found.append(usual + _MISSING_MORE)
    return tuple(found)
