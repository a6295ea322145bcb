"""How wide the branches and the shared layer are, so that a budget is spent and kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.allocation.tiers import SensorGroup
from pm_app.records.learning import Allocation, Importance, Tier

# Share of a network's units dealt by importance; the rest goes by number of features.
GUIDANCE = 0.6
# Dropout of the lowest tier over that of the highest, even steps of ratio between.
DROPOUT_RATIO = 2.0
HIGHEST_DROPOUT = 0.8
# Fewer units than this are a bottleneck whatever the sensors say; given up only when the
# budget leaves no choice.
SMALLEST_BRANCH = 4
# Width of the shared layer over the sum of the branches.
SHARED_RATIO = 0.75
# A budget within this share of the maximum counts as spent.
SPENT = 0.98


@dataclass(frozen=True)
class Limits:
    """What a plan may spend, and on what."""

    features_per_sensor: Mapping[str, int]
    max_parameters: int
    members: int
    outputs: int
    embedding: int
    packs: int = 1

    def count(self, tiers: Sequence[Tier], shared: int) -> int:
        """Parameters of these branches and one shared layer of that width."""
        return count_parameters(
            tiers,
            (shared,),
            self.members,
            features_per_sensor=self.features_per_sensor,
            outputs=self.outputs,
            packs=self.packs,
        )


def afford(limits: Limits, one: tuple[SensorGroup, ...]) -> Limits:
    """The most packs, then embedding, then members, that leave room for a smallest network."""
    widths = dict.fromkeys((limits.embedding, limits.embedding // 2, 0))
    halves = [limits.members >> shift for shift in range(limits.members.bit_length())]
    tries = [(limits.embedding, limits.members, limits.packs)]
    tries += [(w, limits.members, 1) for w in widths] + [(0, m, 1) for m in halves]
    for width, members, packs in tries:
        tried = replace(limits, members=members, embedding=width, packs=packs)
        # Twice the smallest branch leaves every strategy room for tiers of its own.
        least = 2 * SMALLEST_BRANCH if members > 1 else 1
        if tried.count(_make_tiers(one, least, width, 0.0), least) <= limits.max_parameters:
            return tried
    return tried


def fill_budget(
    groups: tuple[SensorGroup, ...], limits: Limits, dropout: float
) -> tuple[tuple[Tier, ...], int, int]:
    """Tiers, shared width and parameter count: as near under the budget as units allow.

    Of the plans that spend at least `SPENT`, the one whose shared layer is nearest to
    `SHARED_RATIO` of the branches.
    """
    plans = []
    for units in _widths(groups, limits):
        tiers = _make_tiers(groups, units, limits.embedding, dropout)
        width = sum(tier.units for tier in tiers)
        shared = _widest_shared(tiers, width, limits)
        count = limits.count(tiers, shared)
        broken = count > limits.max_parameters
        unspent = max(0.0, SPENT - count / limits.max_parameters)
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
    merits = dict(zip(importance.sensors, importance.shares, strict=True))
    groups = tuple(
        SensorGroup(
            tier.name,
            tier.sensors,
            sum(merits[sensor] for sensor in tier.sensors),
            sum(features_per_sensor[sensor] for sensor in tier.sensors),
        )
        for tier in plan.tiers
    )
    if len(groups) == 1:
        return plan.tiers, plan.parameters

    def dealt(units: int) -> tuple[tuple[Tier, ...], int]:
        deals = _deal(groups, units)
        tiers = tuple(
            replace(tier, units=int(own)) for tier, own in zip(plan.tiers, deals, strict=True)
        )
        count = count_parameters(
            tiers,
            plan.shared_units,
            plan.members,
            features_per_sensor=features_per_sensor,
            outputs=outputs,
            packs=plan.packs,
        )
        return tiers, count

    most = 4 * sum(tier.units for tier in plan.tiers)
    fitting = [dealt(units) for units in range(len(groups), most + 1)]
    within = [made for made in fitting if made[1] <= plan.parameters]
    return within[-1] if within else (plan.tiers, plan.parameters)


def _widths(groups: tuple[SensorGroup, ...], limits: Limits) -> range:
    """Numbers of first-layer units worth trying, the smallest first."""
    smallest = len(groups)
    tiers = _make_tiers(groups, smallest, limits.embedding, 0.0)
    most = smallest
    while limits.count(tiers, 1) <= limits.max_parameters:
        most *= 2
        tiers = _make_tiers(groups, most, limits.embedding, 0.0)
    return range(smallest, most + 1, max(1, most // 512))


def _widest_shared(tiers: Sequence[Tier], width: int, limits: Limits) -> int:
    """The shared width that just stays in the budget, at least 1."""
    none, one = limits.count(tiers, 0), limits.count(tiers, 1)
    return max(1, min((limits.max_parameters - none) // (one - none), 4 * width))


def _make_tiers(
    groups: tuple[SensorGroup, ...], units: int, embedding: int, dropout: float
) -> tuple[Tier, ...]:
    """Tiers of about `units` units together, more for what matters, none below its floor."""
    dealt = _deal(groups, units)
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


def _deal(groups: tuple[SensorGroup, ...], units: int) -> NDArray[np.int_]:
    """Units of each group, (n_groups,): `GUIDANCE` of them by share, the rest by features."""
    share = np.array([group.share for group in groups])
    features = np.array([group.features for group in groups], dtype=float)
    total = float(share.sum())
    guided = share / total if total > 0 else features / features.sum()
    pull = GUIDANCE * guided + (1 - GUIDANCE) * features / features.sum()
    floor = min(SMALLEST_BRANCH, max(1, units // len(groups)))
    return np.asarray(np.maximum(floor, np.floor(pull * units + 0.5)), dtype=np.int_)


def _embedding_width(embedding: int, at: int) -> int:
    # An embedding multiplies a branch's inputs; what matters little does without.
    return embedding >> at if at < 2 else 0


def _dropout(dropout: float, at: int, count: int) -> float:
    if count == 1:
        return dropout
    place = at / (count - 1) - 0.5
    return float(min(max(dropout, HIGHEST_DROPOUT), dropout * DROPOUT_RATIO**place))


def count_gate(units: int, features: int, sensors: int) -> int:
    """Trainable parameters of a gate of that many units over sensors."""
    return features * units + units + units * sensors + sensors


def count_parameters(
    tiers: Sequence[Tier],
    shared_units: Sequence[int],
    members: int,
    *,
    features_per_sensor: Mapping[str, int],
    outputs: int,
    gate_units: int = 0,
    packs: int = 1,
) -> int:
    """Trainable parameters of the network that `network.build_network` makes of this plan.

    features_per_sensor counts indicators of missing values as well.

    Each layer is shared by all ensemble members of a pack but for a scale of its inputs, a
    scale of its outputs and a bias a member (BatchEnsemble, Wen, Tran & Ba 2020).
    """
    total, width = 0, 0
    for tier in tiers:
        features = sum(features_per_sensor[sensor] for sensor in tier.sensors)
        total += _embedding(features, tier.embedding)
        total += _ensemble_layer(features * (1 + tier.embedding), tier.units, members, packs)
        width += tier.units
    if gate_units:
        total += count_gate(gate_units, sum(features_per_sensor.values()), len(features_per_sensor))
    for units in (*shared_units, outputs):
        total += _ensemble_layer(width, units, members, packs)
        width = units
    return total


def _ensemble_layer(inputs: int, units: int, members: int, packs: int) -> int:
    return packs * inputs * units + members * (inputs + 2 * units)


def _embedding(features: int, width: int) -> int:
    # A frequency per feature and component, then one linear map from sines and cosines to
    # `width` values that all features of the tier share.
    return features * width + (2 * width + 1) * width if width else 0
