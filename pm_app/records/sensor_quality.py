"""Records of sensor quality: what is wrong with a sensor, and how sure that is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

QualityKind = Literal["stuck", "dropped", "limits", "clock", "step", "noisy"]
QualityGrade = Literal["bad", "doubtful", "good"]
QUALITY_KINDS: Final[tuple[QualityKind, ...]] = get_args(QualityKind)


@dataclass(frozen=True)
class SensorRemark:
    """One thing that is wrong with a sensor of an asset, in words.

    sensor: "" where it is of all sensors of the asset, as clocks are; asset: "" where it is of all
    assets. since: from when on, nanoseconds UTC. A step is a question that a person answers.
    """

    asset: str
    sensor: str
    kind: QualityKind
    grade: QualityGrade
    since: int
    text: str


@dataclass(frozen=True)
class AssetQuality:
    """What a look at one asset found. sensors: how many it has; judged: of how many there was
    enough to say something."""

    asset: str
    sensors: int
    judged: int
    remarks: tuple[SensorRemark, ...] = ()


def worst_first(remarks: Iterable[SensorRemark]) -> list[SensorRemark]:
    """The same remarks: bad before doubtful, then by kind, the newest first, and by name."""
    return sorted(remarks, key=_order)


def _order(remark: SensorRemark) -> tuple[bool, int, int, str, str]:
    place = QUALITY_KINDS.index(remark.kind)
    return remark.grade != "bad", place, -remark.since, remark.asset, remark.sensor
