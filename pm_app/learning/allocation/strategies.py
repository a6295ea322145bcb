"""The plan that says how many units, what embedding and which penalty each sensor gets.

Input feature importance guides hidden neurons here partially: every sensor keeps a place, a
tier's units serve all its sensors, and a share of the units is dealt without looking at
importance at all. Every strategy spends the same number of parameters, so that whatever one
of them gains over `uniform` is the guidance's doing and not the size's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pm_app.learning.allocation.sizing import (
    Limits,
    afford,
    count_gate,
    count_parameters,
    fill_budget,
)
from pm_app.learning.allocation.tiers import SensorGroup, group_by_merit, measure_merits
from pm_app.records.learning import Allocation, Gate, Importance, Tier

# The least important sensor's penalty is at most this many times the most important one's.
L1_RATIO = 10.0
# A gate spends at most this share of the budget on at most that many units.
GATE_SHARE = 0.1
GATE_UNITS = 8
# Where the least and the most important sensor's weight starts; 1 leaves a sensor as it is.
GATE_START = (0.6, 1.4)
MEMBERS = 8
SMALLEST_BUDGET = 2_000
PARAMETERS_A_ROW = 3
SMALLEST_WIDTH = 16


class Strategy(Protocol):
    """A rule that turns importance into a plan.

    l1 is the mean penalty over features, dropout the geometric mean of the highest and the
    lowest tier's, embedding the width of the most important tier's periodic embedding (0 for
    none), packs the number of kernels that members share, each among as many. The plan holds
    every sensor once, counts at most `max_parameters` (and nearly all of them where units are
    fine enough), and all strategies agree on the number of members. A budget too small for
    all of it gives up packs first, then the embedding, then members; one too small for any
    network gets the smallest there is.
    """

    def __call__(
        self,
        importance: Importance,
        features_per_sensor: Mapping[str, int],
        *,
        max_parameters: int,
        members: int = MEMBERS,
        outputs: int = 1,
        l1: float = 1e-4,
        dropout: float = 0.1,
        embedding: int = 0,
        packs: int = 1,
    ) -> Allocation: ...


@dataclass(frozen=True)
class AllocationRow:
    """What one sensor gets, for tables."""

    sensor: str
    tier: str
    units: int
    embedding: int
    l1: float
    dropout: float


def budget(
    rows: int,
    max_parameters: int,
    *,
    features: int,
    members: int = MEMBERS,
    outputs: int = 1,
    packs: int = 1,
) -> int:
    """Parameters worth spending on that many training rows.

    `PARAMETERS_A_ROW` a pack, most of them in embeddings that penalty, dropout and the
    ensemble hold down: on FD001 one a row left no room for embeddings. Never below
    `SMALLEST_BUDGET` (networks of 2,000 to 2,300 parameters were the smallest to keep up on
    FD001) nor below `SMALLEST_WIDTH` units, and never above `max_parameters`.
    """
    every = {"all": features}
    narrow = count_parameters(
        [Tier("all", ("all",), SMALLEST_WIDTH, 0, 0.0)],
        (SMALLEST_WIDTH,),
        members,
        features_per_sensor=every,
        outputs=outputs,
    )
    return min(max_parameters, max(packs * PARAMETERS_A_ROW * rows, SMALLEST_BUDGET, narrow))


def moved_units(before: Allocation, after: Allocation) -> float:
    """Share of first-layer units that serve other sensors than before, from 0 to 1.

    A tier's units count in equal parts for its sensors; half the sum of the absolute
    differences of these shares (total variation) is what has to move.
    """
    old, new = _unit_shares(before), _unit_shares(after)
    return 0.5 * sum(abs(old.get(s, 0.0) - new.get(s, 0.0)) for s in sorted({*old, *new}))


def describe(allocation: Allocation) -> tuple[AllocationRow, ...]:
    """One row per sensor, tier by tier."""
    placed = [(sensor, tier) for tier in allocation.tiers for sensor in tier.sensors]
    return tuple(
        AllocationRow(sensor, tier.name, tier.units, tier.embedding, l1, tier.dropout)
        for (sensor, tier), l1 in zip(placed, allocation.l1, strict=True)
    )


def _make_strategy(
    name: str, *, tiered: bool = False, weighted: bool = False, gated: bool = False
) -> Strategy:
    def allocate(
        importance: Importance,
        features_per_sensor: Mapping[str, int],
        *,
        max_parameters: int,
        members: int = MEMBERS,
        outputs: int = 1,
        l1: float = 1e-4,
        dropout: float = 0.1,
        embedding: int = 0,
        packs: int = 1,
    ) -> Allocation:
        one = _one_group(importance, features_per_sensor)
        limits = Limits(
            dict(features_per_sensor), max_parameters, members, outputs, embedding, packs
        )
        limits = afford(limits, one)
        sizes = (one[0].features, len(importance.sensors))
        gate_units = _gate_units(max_parameters, *sizes) if gated else 0
        gate_count = count_gate(gate_units, *sizes) if gated else 0
        limits = replace(limits, max_parameters=max_parameters - gate_count)
        groups = group_by_merit(importance, features_per_sensor) if tiered else one
        tiers, shared, count = fill_budget(groups, limits, dropout)
        sensors = [sensor for tier in tiers for sensor in tier.sensors]
        penalties = weigh_penalties if weighted else _flat_penalties
        return Allocation(
            strategy=name,
            tiers=tiers,
            l1=penalties(importance, sensors, features_per_sensor, l1),
            shared_units=(shared,),
            members=limits.members,
            packs=limits.packs,
            parameters=count + gate_count,
            gate=Gate(gate_units, _gate_start(importance, sensors)) if gated else None,
        )

    return allocate


STRATEGIES: dict[str, Strategy] = {
    "uniform": _make_strategy("uniform"),
    "tiers": _make_strategy("tiers", tiered=True),
    "regularized": _make_strategy("regularized", weighted=True),
    "tiers+regularized": _make_strategy("tiers+regularized", tiered=True, weighted=True),
    "attention": _make_strategy("attention", gated=True),
}


# Strategies whose penalties follow importance.
WEIGHTED = ("regularized", "tiers+regularized")


def _one_group(
    importance: Importance, features_per_sensor: Mapping[str, int]
) -> tuple[SensorGroup, ...]:
    total = sum(features_per_sensor[sensor] for sensor in importance.sensors)
    return (SensorGroup("all", importance.sensors, 1.0, total),)


def _flat_penalties(
    importance: Importance,
    sensors: Sequence[str],
    features_per_sensor: Mapping[str, int],
    l1: float,
) -> tuple[float, ...]:
    return (l1,) * len(sensors)


def weigh_penalties(
    importance: Importance,
    sensors: Sequence[str],
    features_per_sensor: Mapping[str, int],
    l1: float,
) -> tuple[float, ...]:
    """Penalties that rise as merit falls, `l1` on average over features.

    The square root keeps a dominant sensor from pushing all others to the same worst
    penalty.
    """
    merits = measure_merits(importance)
    merit = np.array([merits[sensor] for sensor in sensors])
    features = np.array([features_per_sensor[sensor] for sensor in sensors], dtype=float)
    greatest = max(float(merit.max()), np.finfo(float).tiny)
    weight = L1_RATIO ** -np.sqrt(merit / greatest)
    weight *= features.sum() / (weight * features).sum()
    return tuple(float(l1 * value) for value in weight)


def _gate_units(max_parameters: int, features: int, sensors: int) -> int:
    """Units of a gate within its share of the budget, at least 1."""
    each = count_gate(1, features, sensors) - count_gate(0, features, sensors)
    return max(1, min(GATE_UNITS, int((GATE_SHARE * max_parameters - sensors) // each)))


def _gate_start(importance: Importance, sensors: Sequence[str]) -> tuple[float, ...]:
    """First weights of a gate, from the square root of merit, as penalties are."""
    merits = measure_merits(importance)
    merit = np.array([merits[sensor] for sensor in sensors])
    low, high = GATE_START
    greatest = max(float(merit.max()), np.finfo(float).tiny)
    return tuple(float(x) for x in low + (high - low) * np.sqrt(merit / greatest))


def _unit_shares(allocation: Allocation) -> dict[str, float]:
    total = sum(tier.units for tier in allocation.tiers)
    return {
        sensor: tier.units / total / len(tier.sensors)
        for tier in allocation.tiers
        for sensor in tier.sensors
    }
