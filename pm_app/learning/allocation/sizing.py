"""Sizing of a network: widths of branches and shared layer that spend a parameter budget."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.allocation.tiers import SensorGroup
from pm_app.records.learning import Allocation, Importance, Tier

MEMBERS = 8
# Share of a network's units dealt by importance; the rest goes by number of features.
GUIDANCE = 0.6
# Dropout of the lowest tier over that of the highest, even steps of ratio between.
DROPOUT_RATIO = 2.0
HIGHEST_DROPOUT = 0.8
# Fewer units than this are a bottleneck whatever the sensors are; given up only when the
# budget leaves no choice.
SMALLEST_BRANCH = 4
# Width of the shared layer over the sum of the branches.
SHARED_RATIO = 0.75
# A budget within this share of the maximum counts as spent.
SPENT = 0.98


@dataclass(frozen=True)
class PlanRequest:
    """Request for a plan: what it may spend, and on what.

    features_per_sensor counts indicators of missing values as well. embedding: width of the most
    important tier's periodic embedding (0 for none). packs: kernels that members share, each
    among as many. l1: mean penalty over features. dropout: geometric mean of the highest and
    the lowest tier's.
    """

    features_per_sensor: Mapping[str, int]
    max_parameters: int
    members: int = MEMBERS
    outputs: int = 1
    embedding: int = 0
    packs: int = 1
    l1: float = 1e-4
    dropout: float = 0.1


def afford(request: PlanRequest, one: tuple[SensorGroup, ...]) -> PlanRequest:
    """The most packs, then embedding, then members, that leave room for a smallest network."""
    widths = dict.fromkeys((request.embedding, request.embedding // 2, 0))
    halves = [request.members >> shift for shift in range(request.members.bit_length())]
    tries = [(request.embedding, request.members, request.packs)]
    tries += [(w, request.members, 1) for w in widths] + [(0, m, 1) for m in halves]
    for width, members, packs in tries:
        tried = replace(request, members=members, embedding=width, packs=packs)
        # Twice the smallest branch leaves every strategy room for tiers of its own.
        least = 2 * SMALLEST_BRANCH if members > 1 else 1
        tiers = _make_tiers(one, least, width, 0.0)
        if count_parameters(tiers, (least,), tried) <= request.max_parameters:
            return tried
    return tried


def fill_budget(
    groups: tuple[SensorGroup, ...], request: PlanRequest
) -> tuple[tuple[Tier, ...], int, int]:
    """Tiers, shared width and parameter count: as near under the budget as units allow.

    Of the plans that spend at least `SPENT`, the one whose shared layer is nearest to
    `SHARED_RATIO` of the branches.
    """
    plans = []
    for units in _widths(groups, request):
        tiers = _make_tiers(groups, units, request.embedding, request.dropout)
        width = sum(tier.units for tier in tiers)
        shared = _widest_shared(tiers, width, request)
        count = count_parameters(tiers, (shared,), request)
        broken = count > request.max_parameters
        unspent = max(0.0, SPENT - count / request.max_parameters)
        lopsided = abs(math.log(shared / (SHARED_RATIO * width)))
        plans.append((broken, unspent, lopsided, -units, (tiers, shared, count)))
        if broken:
            break
    return min(plans, key=lambda plan: plan[:4])[4]


def reallocate_units(
    plan: Allocation,
    importance: Importance,
    features_per_sensor: Mapping[str, int],
    *,
    outputs: int,
) -> tuple[tuple[Tier, ...], int]:
    """The plan's tiers with units dealt by another importance, and the parameters they count.

    As many units as the plan's own parameters allow; everything else stays.
    """
    groups = _groups_of(plan, importance, features_per_sensor)
    if len(groups) == 1:
        return plan.tiers, plan.parameters
    request = PlanRequest(
        features_per_sensor, plan.parameters, plan.members, outputs, packs=plan.packs
    )
    most = 4 * sum(tier.units for tier in plan.tiers)
    fitting = plan.tiers, plan.parameters
    for units in range(len(groups), most + 1):
        tiers = tuple(
            replace(tier, units=int(own))
            for tier, own in zip(plan.tiers, _deal(groups, units), strict=True)
        )
        count = count_parameters(tiers, plan.shared_units, request)
        if count <= plan.parameters:
            fitting = tiers, count
    return fitting


def _groups_of(
    plan: Allocation, importance: Importance, features_per_sensor: Mapping[str, int]
) -> tuple[SensorGroup, ...]:
    merits = dict(zip(importance.sensors, importance.shares, strict=True))
    return tuple(
        SensorGroup(
            tier.name,
            tier.sensors,
            sum(merits[sensor] for sensor in tier.sensors),
            sum(features_per_sensor[sensor] for sensor in tier.sensors),
        )
        for tier in plan.tiers
    )


def _widths(groups: tuple[SensorGroup, ...], request: PlanRequest) -> range:
    """Numbers of first-layer units worth trying, the smallest first."""
    smallest = len(groups)
    tiers = _make_tiers(groups, smallest, request.embedding, 0.0)
    most = smallest
    while count_parameters(tiers, (1,), request) <= request.max_parameters:
        most *= 2
        tiers = _make_tiers(groups, most, request.embedding, 0.0)
    return range(smallest, most + 1, max(1, most // 512))


def _widest_shared(tiers: Sequence[Tier], width: int, request: PlanRequest) -> int:
    """The shared width that just stays in the budget, at least 1."""
    none, one = count_parameters(tiers, (0,), request), count_parameters(tiers, (1,), request)
    return max(1, min((request.max_parameters - none) // (one - none), 4 * width))


def _make_tiers(
    groups: tuple[SensorGroup, ...], units: int, embedding: int, dropout: float
) -> tuple[Tier, ...]:
    """Tiers of about `units` units together, more for what matters, none below its floor."""
    dealt = _deal(groups, units)
    # An embedding multiplies a branch's inputs; what matters little does without.
    levels = [at if group.level is None else group.level for at, group in enumerate(groups)]
    widths = [embedding >> level if level < 2 else 0 for level in levels]
    dropouts = [_dropout(dropout, level, max(levels) + 1) for level in levels]
    return tuple(
        Tier(group.name, group.sensors, int(units), width, rate)
        for group, units, width, rate in zip(groups, dealt, widths, dropouts, strict=True)
    )


def _deal(groups: tuple[SensorGroup, ...], units: int) -> NDArray[np.int_]:
    """Units of each group, (n_groups,): `GUIDANCE` of them by share, the rest by features."""
    share = np.array([group.share for group in groups])
    features = np.array([group.features for group in groups], dtype=float)
    total = float(share.sum())
    guided = share / total if total > 0 else features / features.sum()
    pull = GUIDANCE * guided + (1 - GUIDANCE) * features / features.sum()
    floor = min(SMALLEST_BRANCH, max(1, units // len(groups)))
    return np.asarray(np.maximum(floor, np.floor(pull * units + 0.5)), dtype=np.int_)


def _dropout(dropout: float, at: int, count: int) -> float:
    if count == 1:
        return dropout
    place = at / (count - 1) - 0.5
    return float(min(max(dropout, HIGHEST_DROPOUT), dropout * DROPOUT_RATIO**place))


def count_gate(units: int, features: int, sensors: int) -> int:
    """Trainable parameters of a gate of that many units over sensors."""
    return features * units + units + units * sensors + sensors


def count_parameters(
    tiers: Sequence[Tier], shared_units: Sequence[int], request: PlanRequest, *, gate_units: int = 0
) -> int:
    """Trainable parameters of the network that `network.build_network` makes of this plan.

    Each layer is shared by all ensemble members of a pack but for a scale of its inputs, a
    scale of its outputs and a bias a member (BatchEnsemble, Wen, Tran & Ba 2020).
    """
    every, members, packs = request.features_per_sensor, request.members, request.packs
    total, width = 0, 0
    for tier in tiers:
        features = sum(every[sensor] for sensor in tier.sensors)
        if tier.embedding:
            # A frequency per feature and component, then one linear map from sines and cosines
            # to as many values, which all features of the tier share.
            total += features * tier.embedding + (2 * tier.embedding + 1) * tier.embedding
        total += _ensemble_layer(features * (1 + tier.embedding), tier.units, members, packs)
        width += tier.units
    if gate_units:
        total += count_gate(gate_units, sum(every.values()), len(every))
    for units in (*shared_units, request.outputs):
        total += _ensemble_layer(width, units, members, packs)
        width = units
    return total


def _ensemble_layer(inputs: int, units: int, members: int, packs: int) -> int:
    return packs * inputs * units + members * (inputs + 2 * units)
