"""Tiers of like importance: which sensors share a branch of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pm_app.records.learning import Importance
from pm_app.records.readings import Float64

NAMES = ("high", "middle", "low", "rest")
# The first sensors that together hold half of the importance are one tier, those up to
# 85 % the next, those up to 99 % the third: a few branches, each of sensors that matter alike.
COVERED = (0.50, 0.85, 0.99)
# Merits closer than this share of the greatest are one merit: noise must not part twins.
SAME_MERIT = 1e-9
# Interactions may lift at most this share of the sensors, else one tier would swallow all.
LIFTED = 0.25


@dataclass(frozen=True)
class SensorGroup:
    """Sensors of one tier, most important first, with the share of merit they hold.

    level: from 0 on, by which embeddings shrink and dropout grows; None for the tier's place.
    """

    name: str
    sensors: tuple[str, ...]
    share: float
    features: int
    level: int | None = None


def measure_merits(importance: Importance) -> dict[str, float]:
    """Merit of each sensor: its own share, or that of its whole cluster if it is greater.

    Twins hide each other: each alone seems worthless while the pair is not.
    """
    merits = dict(zip(importance.sensors, importance.shares, strict=True))
    for cluster, share in zip(importance.clusters, importance.cluster_shares, strict=True):
        if len(cluster) > 1:
            whole = max(share, sum(merits[sensor] for sensor in cluster))
            merits.update(dict.fromkeys(cluster, whole))
    return merits


def one_group(importance: Importance, features_per_sensor: Mapping[str, int]) -> SensorGroup:
    """All sensors of which something is read, unranked."""
    sensors = tuple(sensor for sensor in importance.sensors if features_per_sensor[sensor])
    return SensorGroup("all", sensors, 1.0, sum(features_per_sensor.values()))


def group_by_merit(
    importance: Importance, features_per_sensor: Mapping[str, int]
) -> tuple[SensorGroup, ...]:
    """One to four groups from most to least important; every sensor is in exactly one.

    Sensors of equal merit are never parted, twins share the merit of their cluster, and the
    strongest interactions bring the weaker of the two into the tier of the stronger. Where
    all sensors are equal there is one group. Ties order by column.
    """
    merits = measure_merits(importance)
    level = _levels(importance, merits)
    _lift_partners(importance, level)
    own = dict(zip(importance.sensors, importance.shares, strict=True))
    weight = dict(zip(importance.sensors, _weights(importance, merits), strict=True))
    column = {sensor: number for number, sensor in enumerate(importance.sensors)}
    ranked = sorted(level, key=lambda sensor: (-merits[sensor], -own[sensor], column[sensor]))
    members = [[s for s in ranked if level[s] == number] for number in range(len(NAMES))]
    filled = [tuple(sensors) for sensors in members if sensors]
    return tuple(
        SensorGroup(
            name,
            sensors,
            float(sum(weight[sensor] for sensor in sensors)),
            sum(features_per_sensor[sensor] for sensor in sensors),
        )
        for name, sensors in zip(_names(len(filled)), filled, strict=True)
    )


def _names(count: int) -> Sequence[str]:
    return {1: ("all",), 2: ("high", "low")}.get(count, NAMES[:count])


def _levels(importance: Importance, merits: Mapping[str, float]) -> dict[str, int]:
    """Tier number per sensor, 0 the most important, before interactions."""
    merit = np.array([merits[sensor] for sensor in importance.sensors])
    weight = _weights(importance, merits)
    same = SAME_MERIT * merit.max()
    order = np.argsort(-merit, kind="stable")
    before = np.cumsum(weight[order]) - weight[order]
    # Equal merits take the place of the first of them.
    fresh = np.append(True, merit[order][:-1] - merit[order][1:] > same)
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
    covered = before[first] / max(float(weight.sum()), np.finfo(float).tiny)
    number = np.searchsorted(COVERED, covered, side="right")
    worthless = (merit[order] <= same) & (merit.max() > 0)
    number = np.where(worthless, len(COVERED), number)
    return {importance.sensors[at]: int(n) for at, n in zip(order, number, strict=True)}


def _weights(importance: Importance, merits: Mapping[str, float]) -> Float64:
    # A cluster counts once, its merit shared among its members.
    size = {s: len(cluster) for cluster in importance.clusters for s in cluster}
    return np.array([merits[s] / size.get(s, 1) for s in importance.sensors])


def _lift_partners(importance: Importance, level: dict[str, int]) -> None:
    strongest = sorted(importance.interactions, key=lambda pair: (-pair.excess, pair.sensors))
    twins = {sensor: cluster for cluster in importance.clusters for sensor in cluster}
    room = int(LIFTED * len(level))
    for pair in strongest:
        upper, lower = sorted(pair.sensors, key=lambda sensor: level[sensor])
        follow = twins.get(lower, (lower,))
        if level[upper] == level[lower] or len(follow) > room:
            continue
        level.update(dict.fromkeys(follow, level[upper]))
        room -= len(follow)
