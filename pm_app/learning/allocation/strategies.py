"""Allocation by strategy: how many units, what embedding and which penalty each sensor gets.

Input feature importance guides hidden neurons here partially: a tier's units serve all its
sensors, and a share of the units is dealt without looking at importance at all. Every sensor
keeps a place, but where a strategy selects: then what is asked for holds the rest no more. Every
strategy spends the same number of parameters, so that whatever one
of them gains over `uniform` is the guidance's doing and not the size's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np

from pm_app.learning.allocation.sizing import (
    MEMBERS,
    PlanRequest,
    afford,
    count_gate,
    count_parameters,
    fill_budget,
)
from pm_app.learning.allocation.tiers import SensorGroup, group_by_merit, measure_merits, one_group
from pm_app.records.learning import Allocation, Gate, Importance, Tier
from pm_app.records.readings import Float64
from pm_app.settings.strategies import Strategy, strategy_named

# The least important sensor's penalty is at most this many times the most important one's.
L1_RATIO = 10.0
# A gate spends at most this share of the budget on at most that many units.
GATE_SHARE = 0.1
GATE_UNITS = 8
# Where the least and the most important sensor's weight starts; 1 leaves a sensor as it is.
GATE_START = (0.6, 1.4)
# The tier of sensors that the network does not read.
UNREAD = "unread"
SMALLEST_BUDGET = 2_000
PARAMETERS_A_ROW = 3
SMALLEST_WIDTH = 16


# A strategy's row, importance, and what may be spent, to a plan. The plan holds every sensor
# once, counts at most `max_parameters` (and nearly all of them where units are fine enough), and
# all rules agree on the number of members. A budget too small for all of it gives up packs
# first, then the embedding, then members; one too small for any network gets the smallest.
Rule = Callable[[Strategy, Importance, PlanRequest], Allocation]


def allocate(name: str, importance: Importance, request: PlanRequest) -> Allocation:
    """The plan of the strategy of that name."""
    strategy = strategy_named(name)
    return resolve_rule(strategy)(strategy, importance, request)


def resolve_rule(strategy: Strategy) -> Rule:
    """The function that a strategy's row names."""
    module, _, function = strategy.rule.partition(":")
    rule: Rule = getattr(import_module(module), function)
    return rule


def one_branch(strategy: Strategy, importance: Importance, request: PlanRequest) -> Allocation:
    """All sensors in one branch."""
    one = (one_group(importance, request.features_per_sensor),)
    return _fill(strategy, importance, afford(request, one), one)


def branch_a_tier(strategy: Strategy, importance: Importance, request: PlanRequest) -> Allocation:
    """A branch for each tier of like importance."""
    one = (one_group(importance, request.features_per_sensor),)
    groups = group_by_merit(importance, request.features_per_sensor)
    return _fill(strategy, importance, afford(request, one), groups)


def gated_branch(strategy: Strategy, importance: Importance, request: PlanRequest) -> Allocation:
    """All sensors in one branch, behind a gate that starts from importance."""
    one = (one_group(importance, request.features_per_sensor),)
    request = afford(request, one)
    sizes = (one[0].features, len(importance.sensors))
    units = _gate_units(request.max_parameters, *sizes)
    count = count_gate(units, *sizes)
    left = replace(request, max_parameters=request.max_parameters - count)
    plan = _fill(strategy, importance, left, one)
    gate = Gate(units, _gate_start(importance, plan.sensors))
    return replace(plan, parameters=plan.parameters + count, gate=gate)


def _fill(
    strategy: Strategy,
    importance: Importance,
    request: PlanRequest,
    groups: tuple[SensorGroup, ...],
) -> Allocation:
    def weigh(sensors: Sequence[str]) -> tuple[float, ...]:
        return weigh_penalties(importance, sensors, request.features_per_sensor, request.l1)

    return fill_groups(strategy, request, groups, weigh if strategy.weighted else None)


def fill_groups(
    strategy: Strategy,
    request: PlanRequest,
    groups: tuple[SensorGroup, ...],
    weigh: Callable[[Sequence[str]], tuple[float, ...]] | None,
) -> Allocation:
    """The plan with a branch a group, as wide as the budget allows.

    weigh: penalties of the sensors in the order given; None for the same of all.
    """
    tiers, shared, count = fill_budget(groups, request)
    sensors = [sensor for tier in tiers for sensor in tier.sensors]
    return Allocation(
        strategy=strategy.name,
        tiers=tiers,
        l1=weigh(sensors) if weigh else (request.l1,) * len(sensors),
        shared_units=(shared,),
        members=request.members,
        packs=request.packs,
        parameters=count,
    )


@dataclass(frozen=True)
class AllocationRow:
    """Allocation of one sensor, for tables."""

    sensor: str
    tier: str
    units: int
    embedding: int
    l1: float
    dropout: float


def budget(
    rows: int, max_parameters: int, *, features: int, outputs: int = 1, packs: int = 1
) -> int:
    """Parameters worth spending on that many training rows.

    `PARAMETERS_A_ROW` a pack, most of them in embeddings that penalty, dropout and the
    ensemble hold down: on FD001 one a row left no room for embeddings. Never below
    `SMALLEST_BUDGET` (networks of 2,000 to 2,300 parameters were the smallest to keep up on
    FD001) nor below `SMALLEST_WIDTH` units, and never above `max_parameters`.
    """
    tier = Tier("all", ("all",), SMALLEST_WIDTH, 0, 0.0)
    request = PlanRequest({"all": features}, max_parameters, MEMBERS, outputs)
    narrow = count_parameters([tier], (SMALLEST_WIDTH,), request)
    return min(max_parameters, max(packs * PARAMETERS_A_ROW * rows, SMALLEST_BUDGET, narrow))


def moved_units(before: Allocation, after: Allocation) -> float:
    """Share of first-layer units that serve other sensors than before, from 0 to 1.

    A tier's units count in equal parts for its sensors; half the sum of the absolute
    differences of these shares (total variation) is what has to move.
    """
    old, new = _unit_shares(before), _unit_shares(after)
    return 0.5 * sum(abs(old.get(s, 0.0) - new.get(s, 0.0)) for s in sorted({*old, *new}))


def describe(allocation: Allocation, sensors: Sequence[str] = ()) -> tuple[AllocationRow, ...]:
    """One row per sensor, tier by tier; last those of `sensors` of which nothing is read."""
    placed = [(sensor, tier) for tier in allocation.tiers for sensor in tier.sensors]
    rows = tuple(
        AllocationRow(sensor, tier.name, tier.units, tier.embedding, l1, tier.dropout)
        for (sensor, tier), l1 in zip(placed, allocation.l1, strict=True)
    )
    unread = [sensor for sensor in sensors if sensor not in allocation.sensors]
    return rows + tuple(AllocationRow(sensor, UNREAD, 0, 0, 0.0, 0.0) for sensor in unread)


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
    relative = _relative_merits(importance, sensors).tolist()
    merits = dict(zip(sensors, relative, strict=True))
    return spread_penalties(merits, sensors, features_per_sensor, l1)


def spread_penalties(
    relative: Mapping[str, float],
    sensors: Sequence[str],
    features_per_sensor: Mapping[str, int],
    l1: float,
) -> tuple[float, ...]:
    """Penalties from merits relative to the greatest, in [0, 1]; as `weigh_penalties`."""
    features = np.array([features_per_sensor[sensor] for sensor in sensors], dtype=float)
    weight = L1_RATIO ** -np.array([relative[sensor] for sensor in sensors])
    weight *= features.sum() / (weight * features).sum()
    return tuple(float(l1 * value) for value in weight)


def _gate_units(max_parameters: int, features: int, sensors: int) -> int:
    """Units of a gate within its share of the budget, at least 1."""
    each = count_gate(1, features, sensors) - count_gate(0, features, sensors)
    return max(1, min(GATE_UNITS, int((GATE_SHARE * max_parameters - sensors) // each)))


def _gate_start(importance: Importance, sensors: Sequence[str]) -> tuple[float, ...]:
    """First weights of a gate, from the square root of merit, as penalties are."""
    low, high = GATE_START
    return tuple(float(x) for x in low + (high - low) * _relative_merits(importance, sensors))


def _relative_merits(importance: Importance, sensors: Sequence[str]) -> Float64:
    """The square root of each sensor's merit over the greatest, (n_sensors,)."""
    merits = measure_merits(importance)
    merit = np.array([merits[sensor] for sensor in sensors])
    return np.asarray(np.sqrt(merit / max(float(merit.max()), np.finfo(float).tiny)))


def _unit_shares(allocation: Allocation) -> dict[str, float]:
    total = sum(tier.units for tier in allocation.tiers)
    return {
        sensor: tier.units / total / len(tier.sensors)
        for tier in allocation.tiers
        for sensor in tier.sensors
    }
