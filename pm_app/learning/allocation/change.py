"""Change of allocation from one version to another: what each sensor was worth, and got."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pm_app.learning.allocation.planner import CONTROL_REPORT
from pm_app.learning.allocation.strategies import describe
from pm_app.records.learning import QualityReport, VersionCard

# The part of the resampled rankings that an interval leaves out at either end, in percent.
_TAIL = 5


@dataclass(frozen=True)
class AllocatedSensor:
    """A sensor in one version: its importance, with the interval that resampling gives
    (5 % and 95 %), and what the network gave it. units serve all sensors of the tier."""

    share: float
    low: float
    high: float
    tier: str
    units: int
    embedding: int
    l1: float


@dataclass(frozen=True)
class AllocationChange:
    """A sensor before and after; None where that version did not know it."""

    sensor: str
    before: AllocatedSensor | None
    after: AllocatedSensor | None


@dataclass(frozen=True)
class Gain:
    """A held-out figure of a version and of the same network without guidance."""

    figure: str
    guided: float
    uniform: float


def compare_allocations(
    before: VersionCard | None, after: VersionCard
) -> tuple[AllocationChange, ...]:
    """Every sensor of either version, those that are worth most now first; of equals as columns."""
    old = {} if before is None else _standings(before)
    new = _standings(after)
    names = sorted(new | old, key=lambda name: (-_share(new.get(name)), -_share(old.get(name))))
    return tuple(AllocationChange(name, old.get(name), new.get(name)) for name in names)


def gains_over_uniform(card: VersionCard) -> tuple[Gain, ...]:
    """Every figure that both have; none where guidance was not used. Both are networks alone."""
    control = next((each for each in card.reports if each.model == CONTROL_REPORT), None)
    own = network_report(card.reports, card.allocation.strategy)
    if control is None or own is None:
        return ()
    return tuple(
        Gain(name, value, control.metrics[name])
        for name, value in own.metrics.items()
        if name in control.metrics
    )


def network_report(reports: Sequence[QualityReport], strategy: str) -> QualityReport | None:
    """The report of the network alone, by the name of its strategy; the first has none other."""
    return next((each for each in reports if each.model == strategy), next(iter(reports), None))


def selection_text(card: VersionCard) -> str:
    """How many features and sensors the network reads, in words; "" where it reads all."""
    plan = card.allocation
    if not plan.features:
        return ""
    return (
        f"the network reads {len(plan.features)} of {len(card.features)} features, from "
        f"{len(plan.sensors)} of {len(card.importance.sensors)} sensors and groups"
    )


def _standings(card: VersionCard) -> dict[str, AllocatedSensor]:
    importance = card.importance
    replicates = np.array(importance.replicates or (importance.shares,))
    low, high = np.percentile(replicates, (_TAIL, 100 - _TAIL), axis=0)
    placed = {row.sensor: row for row in describe(card.allocation, importance.sensors)}
    return {
        sensor: AllocatedSensor(
            share=importance.shares[at],
            low=float(low[at]),
            high=float(high[at]),
            tier=placed[sensor].tier,
            units=placed[sensor].units,
            embedding=placed[sensor].embedding,
            l1=placed[sensor].l1,
        )
        for at, sensor in enumerate(importance.sensors)
    }


def _share(standing: AllocatedSensor | None) -> float:
    return -1.0 if standing is None else standing.share
