"""The plan that says how many units, what embedding and which penalty each sensor gets.

Input feature importance guides hidden neurons here partially: every sensor keeps a place, a
tier's units serve all its sensors, and a share of the units is dealt without looking at
importance at all. Every strategy spends the same number of parameters, so that whatever one
of them gains over `uniform` is the guidance's doing and not the size's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pm_app.learning.parameters import count_parameters
from pm_app.learning.tiers import Group, group_by_merit, measure_merits
from pm_app.records.learning import Allocation, Importance, Tier

# Share of a network's units dealt by importance; the rest goes by number of features.
GUIDANCE = 0.6
# The least important sensor's penalty is at most this many times the most important one's.
L1_RATIO = 10.0
# Dropout of the lowest tier over that of the highest; 1 / sqrt and sqrt around the middle.
DROPOUT_RATIO = 2.0
HIGHEST_DROPOUT = 0.8
# Fewer units than this are a bottleneck whatever the sensors say; given up only when the
# budget leaves no choice.
SMALLEST_BRANCH = 4
# Width of the shared layer over the sum of the branches.
SHARED_RATIO = 0.75
MEMBERS = 8
# A budget within this share of the maximum counts as spent.
SPENT = 0.98
SMALLEST_BUDGET = 2_000
SMALLEST_WIDTH = 16


class Strategy(Protocol):
    """A rule that turns importance into a plan.

    l1 is the mean penalty over features, dropout the mean over tiers, embedding the width of
    the most important tier's periodic embedding (0 for none). The plan holds every sensor
    once, counts at most `max_parameters` (and at least `SPENT` of them where units are fine
    enough), and all strategies agree on the number of members. A budget too small for the
    embedding, the members, or any network at all gives these up in that order.
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
    rows: int, max_parameters: int, *, features: int, members: int = MEMBERS, outputs: int = 1
) -> int:
    """Parameters worth spending on that many training rows.

    About one a row: rows of one life repeat each other, so more would only memorise, while
    penalty, dropout and the ensemble hold down what is left. Never below `SMALLEST_BUDGET`
    (networks of 2,000 to 2,300 parameters were the smallest to keep up on FD001) nor below
    `SMALLEST_WIDTH` units, and never above `max_parameters`.
    """
    every = {"all": features}
    narrow = count_parameters(
        [Tier("all", ("all",), SMALLEST_WIDTH, 0, 0.0)],
        (SMALLEST_WIDTH,),
        members,
        features_per_sensor=every,
        outputs=outputs,
    )
    return min(max_parameters, max(rows, SMALLEST_BUDGET, narrow))


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


def _make_strategy(name: str, *, tiered: bool, weighted: bool) -> Strategy:
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
    ) -> Allocation:
        one = _one_group(importance, features_per_sensor)
        limits = _Limits(dict(features_per_sensor), max_parameters, members, outputs, embedding)
        limits = _afford(limits, one)
        groups = group_by_merit(importance, features_per_sensor) if tiered else one
        tiers, shared, count = _fill(groups, limits, dropout)
        sensors = [sensor for tier in tiers for sensor in tier.sensors]
        penalties = _weigh_penalties if weighted else _flat_penalties
        return Allocation(
            strategy=name,
            tiers=tiers,
            l1=penalties(importance, sensors, features_per_sensor, l1),
            shared_units=(shared,),
            members=limits.members,
            parameters=count,
        )

    return allocate


STRATEGIES: dict[str, Strategy] = {
    "uniform": _make_strategy("uniform", tiered=False, weighted=False),
    "tiers": _make_strategy("tiers", tiered=True, weighted=False),
    "regularized": _make_strategy("regularized", tiered=False, weighted=True),
    "tiers+regularized": _make_strategy("tiers+regularized", tiered=True, weighted=True),
}


@dataclass(frozen=True)
class _Limits:
    """What a plan may spend, and on what."""

    features_per_sensor: Mapping[str, int]
    max_parameters: int
    members: int
    outputs: int
    embedding: int

    def count(self, tiers: Sequence[Tier], shared: int) -> int:
        return count_parameters(
            tiers,
            (shared,),
            self.members,
            features_per_sensor=self.features_per_sensor,
            outputs=self.outputs,
        )


def _one_group(importance: Importance, features_per_sensor: Mapping[str, int]) -> tuple[Group, ...]:
    total = sum(features_per_sensor[sensor] for sensor in importance.sensors)
    return (Group("all", importance.sensors, 1.0, total),)


def _afford(limits: _Limits, one: tuple[Group, ...]) -> _Limits:
    """The most embedding, then the most members, that leave room for a smallest network."""
    widths = [w for w in (limits.embedding, limits.embedding // 2, 0) if w or not limits.embedding]
    widths = list(dict.fromkeys([*widths, 0]))
    halves = [limits.members >> shift for shift in range(limits.members.bit_length())]
    tries = [(w, limits.members) for w in widths] + [(0, m) for m in halves]
    for width, members in tries:
        tried = _Limits(
            limits.features_per_sensor, limits.max_parameters, members, limits.outputs, width
        )
        # Twice the smallest branch leaves every strategy room for tiers of its own.
        least = 2 * SMALLEST_BRANCH if members > 1 else 1
        if tried.count(_make_tiers(one, least, width, 0.0), least) <= limits.max_parameters:
            return tried
    return tried


def _fill(
    groups: tuple[Group, ...], limits: _Limits, dropout: float
) -> tuple[tuple[Tier, ...], int, int]:
    """Tiers, shared width and parameter count: as near under the budget as units allow.

    Of the plans that spend at least `SPENT`, the one whose shared layer is nearest to
    `SHARED_RATIO` of the branches.
    """
    best: tuple[float, float, int] | None = None
    found: tuple[tuple[Tier, ...], int, int] | None = None
    for units in _widths(groups, limits):
        tiers = _make_tiers(groups, units, limits.embedding, dropout)
        width = sum(tier.units for tier in tiers)
        shared = _widest_shared(tiers, width, limits)
        count = limits.count(tiers, shared)
        if found is not None and count > limits.max_parameters:
            break
        unspent = max(0.0, SPENT - count / limits.max_parameters)
        rank = (unspent, abs(np.log(shared / (SHARED_RATIO * width))), -units)
        if best is None or rank < best:
            best, found = rank, (tiers, shared, count)
    if found is None:
        raise AssertionError("there is always a smallest plan")
    return found


def _widths(groups: tuple[Group, ...], limits: _Limits) -> range:
    """Numbers of first-layer units worth trying, the smallest first."""
    smallest = len(groups)
    tiers = _make_tiers(groups, smallest, limits.embedding, 0.0)
    most = smallest
    while limits.count(tiers, 1) <= limits.max_parameters:
        most *= 2
        tiers = _make_tiers(groups, most, limits.embedding, 0.0)
    return range(smallest, most + 1, max(1, most // 512))


def _widest_shared(tiers: Sequence[Tier], width: int, limits: _Limits) -> int:
    """The shared width that just stays in the budget, at least 1."""
    none, one = limits.count(tiers, 0), limits.count(tiers, 1)
    return max(1, min((limits.max_parameters - none) // (one - none), 4 * width))


def _make_tiers(
    groups: tuple[Group, ...], units: int, embedding: int, dropout: float
) -> tuple[Tier, ...]:
    """Tiers of about `units` units together, more for what matters, none below its floor."""
    share = np.array([group.share for group in groups])
    features = np.array([group.features for group in groups], dtype=float)
    total = float(share.sum())
    guided = share / total if total > 0 else features / features.sum()
    pull = GUIDANCE * guided + (1 - GUIDANCE) * features / features.sum()
    floor = min(SMALLEST_BRANCH, max(1, units // len(groups)))
    dealt = np.maximum(floor, np.floor(pull * units + 0.5)).astype(int)
    return tuple(
        Tier(
            group.name,
            group.sensors,
            int(dealt[at]),
            _embedding_width(embedding, at),
            _dropout(dropout, at, len(groups)),
        )
        for at, group in enumerate(groups)
    )


def _embedding_width(embedding: int, at: int) -> int:
    # An embedding multiplies a branch's inputs; what matters little does without.
    return embedding >> at if at < 2 else 0


def _dropout(dropout: float, at: int, count: int) -> float:
    if count == 1:
        return dropout
    place = at / (count - 1) - 0.5
    return float(min(max(dropout, HIGHEST_DROPOUT), dropout * DROPOUT_RATIO**place))


def _flat_penalties(
    importance: Importance,
    sensors: Sequence[str],
    features_per_sensor: Mapping[str, int],
    l1: float,
) -> tuple[float, ...]:
    return (l1,) * len(sensors)


def _weigh_penalties(
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


def _unit_shares(allocation: Allocation) -> dict[str, float]:
    total = sum(tier.units for tier in allocation.tiers)
    return {
        sensor: tier.units / total / len(tier.sensors)
        for tier in allocation.tiers
        for sensor in tier.sensors
    }
