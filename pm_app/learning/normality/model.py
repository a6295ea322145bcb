"""Model of normal behaviour: how sensors move together at each scale of time.

At each scale levels of sensors are taken to be one cloud (location, covariance), found without
the most unlike tenth of the rows, so that faults nobody knows of do not become normal (reweighted
estimate of Rousseeuw & Van Driessen 1999 from a winsorized start; covariance shrunk as Ledoit &
Wolf 2004 say). A row is as unusual as its Mahalanobis distance and the largest residual of one
sensor given all others, each against its upper quartile in what taught; sensors that are missing
take the values that make it least unusual, which is to leave them out. Scales are put together by
a mean that the least of them decides: what is unusual at every scale is, what one scale alone
shows is not yet, or not any more. A scale that is not there, within which the machine stood, counts
as the square root of those that are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.covariance import ledoit_wolf

from pm_app.learning.normality.inputs import NormalInputs, SensorLevels, sensor_levels
from pm_app.records.readings import Flags, Float32, Float64, Index

# Rows that teach are drawn in to so many spreads, so that none decides alone.
_WINSORIZED = 5.0
_LEFT_OUT, _REWEIGHTINGS = 0.1, 2
# Of a sensor's variance: what no other sensor can explain, whatever the rows say.
_LEAST_OWN = 1e-3
# So much of what teaches may be faulty without the scale of scores following it.
_LIMIT = 0.75
# A row with fewer of its sensors than this says nothing.
LEAST_THERE = 0.5
# Missing sensors are solved for in so many steps: exact for as many of them, a bound beyond.
FILLING_STEPS = 8
TINY = 1e-9
# Scales are put together by the power mean of their squares with this exponent, negated: 1 would
# be the harmonic mean, whose answer one usual scale of four only halves.
SHARPNESS = 4
# Sensors whose partial correlation is greater move together.
_TOGETHER = 0.5


@dataclass(frozen=True, eq=False)
class ScaleCloud:
    """The cloud of one scale, all arrays by sensor.

    centre, spread: of levels, (n_sensors,); clock: (n_clock, n_sensors), what the clock adds.
    precision: inverse covariance of (level - centre - clock) / spread; residual: what makes
    residuals of sensors given those outside their group from precision x offset; both
    (n_sensors, n_sensors).
    whole, single: the upper quartile of the squared distance and of the largest squared residual
    of one sensor.
    """

    centre: Float64
    spread: Float64
    clock: Float64
    precision: Float64
    residual: Float64
    whole: float
    single: float


@dataclass(frozen=True, eq=False)
class NormalModel:
    """What is normal: the inputs and a cloud for each scale."""

    inputs: NormalInputs
    clouds: tuple[ScaleCloud, ...]

    def answer(self, values: Float32) -> tuple[Float64, Float64]:
        """Score (n,) and residuals (n, n_sensors) in each sensor's unit, of feature rows.

        NaN where it cannot be told.
        """
        return self.answer_levels(sensor_levels(values, self.inputs))

    def answer_levels(self, levels: SensorLevels) -> tuple[Float64, Float64]:
        """The same of levels."""
        size, sensors = levels.values.shape[1:]
        inverse, root, scales = np.zeros(size), np.zeros(size), np.zeros(size)
        residual, there = np.zeros((size, sensors)), np.zeros((size, sensors))
        for cloud, level in zip(self.clouds, levels.values, strict=True):
            present = np.isfinite(level)
            usable = present.mean(axis=1) >= LEAST_THERE
            pulled, offset = _pull(cloud, level, levels.clock)
            whole, single = _distances(cloud, pulled, offset, present)
            squared = 0.5 * (whole / cloud.whole + single / cloud.single) + TINY
            power = squared**SHARPNESS
            inverse += np.where(usable, 1.0 / power, 0.0)
            root += np.where(usable, 1.0 / np.sqrt(power), 0.0)
            scales += usable
            counts = present & usable[:, None]
            residual += np.where(counts, pulled @ cloud.residual, 0.0)
            there += counts
        absent = len(self.clouds) - scales
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = len(self.clouds) / (inverse + absent * root / scales)
            score = mean ** (0.5 / SHARPNESS)
            residual = residual / there * np.array(self.inputs.unit)
        return np.where(scales > 0, score, np.nan), residual


def fit_model(levels: SensorLevels, inputs: NormalInputs) -> NormalModel:
    """The clouds of rows that teach. At least two rows are there at every scale."""
    clouds = [_fit_cloud(level, levels.clock) for level in levels.values]
    group = _groups(clouds[0].precision)
    finished = (replace(cloud, residual=_residual_matrix(cloud, group)) for cloud in clouds)
    return NormalModel(inputs, tuple(finished))


def moving_together(model: NormalModel) -> tuple[tuple[str, ...], ...]:
    """Sensors that move together beyond what all others explain, each sensor in one group."""
    group, names = _groups(model.clouds[0].precision), model.inputs.sensors
    return tuple(
        tuple(names[number] for number in np.flatnonzero(group == each))
        for each in dict.fromkeys(group.tolist())
    )


def with_groups(model: NormalModel, groups: Sequence[Sequence[str]]) -> NormalModel:
    """The same model with residuals of sensors given those outside these groups; a sensor that is
    in none is alone."""
    place = {name: number for number, name in enumerate(model.inputs.sensors)}
    group = np.arange(len(place))
    for names in groups:
        members = [place[name] for name in names if name in place]
        group[members] = min(members, default=0)
    clouds = (replace(each, residual=_residual_matrix(each, group)) for each in model.clouds)
    return replace(model, clouds=tuple(clouds))


def _groups(precision: Float64) -> Index:
    """The number of the group of each sensor, by their partial correlation."""
    scale = np.sqrt(np.diagonal(precision))
    alike = np.abs(precision / np.outer(scale, scale)) >= _TOGETHER
    group = np.arange(len(scale))
    for first, second in np.argwhere(np.triu(alike, 1)).tolist():
        group[group == group[second]] = group[first]
    return group


def _residual_matrix(cloud: ScaleCloud, group: Index) -> Float64:
    """Residuals of a group given all others are its part of precision x offset, by the inverse
    of its block."""
    matrix = np.zeros_like(cloud.precision)
    for each in np.unique(group).tolist():
        members = np.flatnonzero(group == each)
        block = np.ix_(members, members)
        matrix[block] = np.linalg.inv(cloud.precision[block])
    return matrix * cloud.spread


def _fit_cloud(level: Float64, clock: Float64) -> ScaleCloud:
    there = np.isfinite(level).any(axis=1)
    level, clock = level[there], clock[there]
    weights = _clock_weights(level, clock)
    level = level - clock @ weights
    centre = np.nanmedian(level, axis=0)
    spread = _spread(level, centre)
    scaled = np.clip((level - centre) / spread, -_WINSORIZED, _WINSORIZED)
    scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    kept = np.ones(len(scaled), dtype=np.bool_)
    for _ in range(_REWEIGHTINGS + 1):
        middle, precision = _precision(scaled[kept])
        off = scaled - middle
        squared = np.einsum("ij,jk,ik->i", off, precision, off)
        kept = squared <= np.quantile(squared, 1.0 - _LEFT_OUT)
    centre = centre + middle * spread
    none = np.zeros_like(precision)
    cloud = ScaleCloud(centre, spread, weights, precision, none, whole=1.0, single=1.0)
    pulled, offset = _pull(cloud, level, np.zeros_like(clock))
    distances = _distances(cloud, pulled, offset, np.isfinite(level))
    whole, single = (max(float(np.quantile(each, _LIMIT)), TINY) for each in distances)
    return replace(cloud, whole=whole, single=single)


def _clock_weights(level: Float64, clock: Float64) -> Float64:
    """What the clock's features add to each sensor, (n_clock, n_sensors), by least squares."""
    if not clock.shape[1]:
        return np.zeros((0, level.shape[1]))
    off = level - np.nanmedian(level, axis=0)
    off = np.where(np.isfinite(off), off, 0.0)
    about = clock - clock.mean(axis=0)
    square = about.T @ about + len(about) * _LEAST_OWN * np.eye(clock.shape[1])
    return np.asarray(np.linalg.solve(square, about.T @ off))


def _precision(rows: Float64) -> tuple[Float64, Float64]:
    middle = rows.mean(axis=0)
    covariance, _ = ledoit_wolf(rows - middle, assume_centered=True)
    size = np.sqrt(np.maximum(np.diagonal(covariance), TINY))
    covariance = covariance + np.diag(_LEAST_OWN * size**2)
    return middle, np.linalg.inv(covariance)


def _spread(level: Float64, centre: Float64) -> Float64:
    """Robust spread of each sensor; the plain one where half of the rows are all but equal."""
    robust = 1.4826 * np.nanmedian(np.abs(level - centre), axis=0)
    plain = np.nanstd(level, axis=0)
    spread = np.where(robust > 0.1 * plain, robust, plain)
    return np.where(spread > 0, spread, 1.0)


def _pull(cloud: ScaleCloud, level: Float64, clock: Float64) -> tuple[Float64, Float64]:
    """precision x offset, and offsets, with missing sensors where they are least unusual.

    Solved by conjugate gradients on what is missing, scaled by the diagonal (Hestenes & Stiefel
    1952).
    """
    present = np.isfinite(level)
    offset = (level - cloud.centre - clock @ cloud.clock) / cloud.spread
    offset = np.where(present, offset, 0.0)
    pulled = offset @ cloud.precision
    if present.all():
        return pulled, offset
    gone = (~present).astype(np.float64)
    scale = 1.0 / np.diagonal(cloud.precision)
    rest = -pulled * gone
    better = rest * scale
    way, power = better, (rest * better).sum(axis=1, keepdims=True)
    for _ in range(FILLING_STEPS):
        along = way @ cloud.precision * gone
        step = power / ((way * along).sum(axis=1, keepdims=True) + TINY**2)
        offset = offset + step * way
        rest = rest - step * along
        better = rest * scale
        after = (rest * better).sum(axis=1, keepdims=True)
        way = better + after / (power + TINY**2) * way
        power = after
    return offset @ cloud.precision, offset


def _distances(
    cloud: ScaleCloud, pulled: Float64, offset: Float64, present: Flags
) -> tuple[Float64, Float64]:
    """Squared distance, and the largest squared residual of one sensor given all others, (n,)."""
    single = np.where(present, pulled**2 / np.diagonal(cloud.precision), 0.0)
    return np.maximum((pulled * offset).sum(axis=1), 0.0), single.max(axis=1)


def take_levels(levels: SensorLevels, rows: Flags) -> SensorLevels:
    """Only these rows."""
    return SensorLevels(levels.values[:, rows], levels.clock[rows])
