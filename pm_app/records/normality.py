"""Records of normal behaviour: what is usual, the alarm level of deviations, deviations of rows.

All but `Deviations` are plain values (tuples, floats, text) and travel as JSON.
"""

from dataclasses import dataclass, field

import numpy as np

from pm_app.records.features import FeatureSpec
from pm_app.records.readings import Flags, Float64

# A sensor, and what it can read at all in its unit: from, to; None where nobody has said.
PhysicalLimits = tuple[str, float | None, float | None]


@dataclass(frozen=True)
class AlarmLevel:
    """The raw score that is a deviation of 1.0, and what it rests on.

    low, high: interval of 90 % of the score that keeps the budget; the level is `high` where it is
    cautious, which it is where the history is too short for the budget. false_alarms_per_hour: the
    budget, of one asset. healthy_hours: held-out healthy time of all assets together. reason: in
    words, with how long a history the budget needs. persistence: cutoffs running at the level that
    raise an alarm; clear: share of the level below which as many clear it. faults: episodes of the
    history that look like faults nobody told of; the level rests on the rest.
    """

    score: float
    low: float
    high: float
    false_alarms_per_hour: float
    healthy_hours: float
    cautious: bool
    reason: str
    persistence: int
    clear: float
    faults: int = 0


@dataclass(frozen=True)
class Teaching:
    """What taught: rows, assets, and the first and last cutoff (ISO text).

    left_out: why rows did not teach, in words, and how many.
    """

    rows: int
    assets: int
    trained_from: str
    trained_until: str
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class MovedSensor:
    """A sensor whose usual level, given the others, is not what the normal before had.

    before, now: usual change since the beginning of lives; usual: the usual spread before; all in
    the sensor's unit.
    """

    sensor: str
    before: float
    now: float
    usual: float


@dataclass(frozen=True)
class NormalCard:
    """All that explains one learned normal behaviour, but the graph itself.

    spec: of the frames it is asked about; features: the graph's input, a selection of what `spec`
    makes, in order. sensors: order of residuals, `usual`, `levels`, `centres` and `anchor`. groups:
    sensors that move together, each sensor in one group. method: name of what was learned. usual:
    the usual spread of each sensor's residual; levels: the usual value of each sensor; centres: the
    usual change of each since the beginning of lives; all in the sensor's unit. anchor: the centres
    that later normals are held against, those of the last normal that was first or that a person
    accepted. limits: beyond these a sensor is left out. checks: figures on held-out healthy time by
    name. parity: the largest difference of the graph and what was learned. moved: what differs from
    the anchor of the normal before; reason: why it was published or was not, in words.
    """

    spec: FeatureSpec
    features: tuple[str, ...]
    sensors: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    method: str
    level: AlarmLevel
    usual: tuple[float, ...]
    levels: tuple[float, ...]
    taught: Teaching
    checks: dict[str, float] = field(default_factory=dict)
    parity: float = 0.0
    moved: tuple[MovedSensor, ...] = ()
    reason: str = ""
    seed: int = 0
    centres: tuple[float, ...] = ()
    anchor: tuple[float, ...] = ()
    limits: tuple[PhysicalLimits, ...] = ()


@dataclass(frozen=True, eq=False)
class Deviations:
    """How unusual rows are, and by which sensors.

    deviation: (n,), 1.0 is the alarm level, NaN where too much is missing. residuals:
    (n, n_sensors), signed, in each sensor's unit, NaN where it cannot be told. shares:
    (n, n_sensors), what each sensor has in the deviation, rows summing to 1 where there is one.
    """

    deviation: Float64
    residuals: Float64
    shares: Float64

    @property
    def judged(self) -> Flags:
        """Rows with a deviation, (n,)."""
        return np.isfinite(self.deviation)


@dataclass(frozen=True, eq=False)
class FrozenNormal:
    """A normal behaviour as a failure model keeps it: what it learned with answers for good.

    number: of the version it was; card and graph (ONNX) as they were.
    """

    number: int
    card: NormalCard
    onnx: bytes
