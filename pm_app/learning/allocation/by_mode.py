"""A branch for each failure mode: the sensors that announce it get the neurons that tell it.

A sensor belongs to the modes whose first sensors, by their own rankings, it is among; what two
modes need stands in a branch that they share, and what none needs in the rest.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pm_app.learning.allocation.sizing import PlanRequest, afford
from pm_app.learning.allocation.strategies import branch_a_tier, fill_groups, spread_penalties
from pm_app.learning.allocation.tiers import COVERED, NAMES, SensorGroup, one_group
from pm_app.records.learning import Allocation, Importance
from pm_app.records.readings import Flags, Float64
from pm_app.settings.strategies import Strategy

SHARED: Final = "shared"
REST: Final = NAMES[-1]
# The first sensors that together hold so much of a mode's importance announce it, but none that
# holds less than one sensor in so many would if all were alike.
ANNOUNCED: Final = COVERED[1]


def branch_a_mode(strategy: Strategy, importance: Importance, request: PlanRequest) -> Allocation:
    """A branch a mode, one shared by modes, one for the rest; penalties by the mode that needs a
    sensor most. Without modes the tiers of the whole importance."""
    if not importance.modes:
        return branch_a_tier(strategy, importance, request)
    request = afford(request, (one_group(importance, request.features_per_sensor),))
    groups = group_by_mode(importance, request)
    merit = (_mode_shares(importance) / _mode_shares(importance).max(axis=1, keepdims=True)).max(0)
    relative = dict(zip(importance.sensors, np.sqrt(merit).tolist(), strict=True))

    def weigh(sensors: Sequence[str]) -> tuple[float, ...]:
        return spread_penalties(relative, sensors, request.features_per_sensor, request.l1)

    return fill_groups(strategy, request, groups, weigh)


def group_by_mode(importance: Importance, request: PlanRequest) -> tuple[SensorGroup, ...]:
    """Sensors by the branch they get, modes in their order; every one that is read is in one.

    Modes count alike, however many failures they had: a rare one has no fewer sensors to read.
    """
    shares, needed = _mode_shares(importance), announcing(importance)
    place = np.where(needed.sum(axis=0) == 1, needed.argmax(axis=0), len(importance.modes))
    place = np.where(needed.any(axis=0), place, len(importance.modes) + 1)
    weight, read = shares.mean(axis=0), request.features_per_sensor
    groups = []
    for at, name in enumerate((*importance.modes, SHARED, REST)):
        own = [n for n in np.flatnonzero(place == at).tolist() if read[importance.sensors[n]]]
        own.sort(key=lambda number: -weight[number])
        sensors = tuple(importance.sensors[number] for number in own)
        size = sum(read[sensor] for sensor in sensors)
        group = SensorGroup(name, sensors, float(weight[own].sum()), size)
        groups.append(replace(group, level=2 if name == REST else 0))
    return tuple(group for group in groups if group.sensors)


def announcing(importance: Importance) -> Flags:
    """Which sensors announce each mode, (n_modes, n_sensors)."""
    shares = _mode_shares(importance)
    order = np.argsort(-shares, axis=1, kind="stable")
    ranked = np.take_along_axis(shares, order, axis=1)
    # The share of those before each: the one that reaches the limit is the last that counts.
    before = np.cumsum(ranked, axis=1) - ranked
    leads = (before < ANNOUNCED) & (ranked > 1 / shares.shape[1])
    needed = np.zeros(shares.shape, dtype=np.bool_)
    np.put_along_axis(needed, order, leads, axis=1)
    return needed


def _mode_shares(importance: Importance) -> Float64:
    return np.array(importance.mode_shares, dtype=np.float64)
