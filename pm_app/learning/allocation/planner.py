"""Planner of allocations: every strategy, at any size, over the same inputs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.allocation.feature_selection import (
    SELECTION_CONTROLS,
    USUAL_COUNT,
    importance_order,
)
from pm_app.learning.allocation.sizing import MEMBERS, PlanRequest
from pm_app.learning.allocation.strategies import allocate, budget
from pm_app.records.features import Frame
from pm_app.records.learning import Allocation, Importance
from pm_app.settings.strategies import STRATEGY_NAMES, strategy_named

# What every guided plan is measured against.
CONTROL = STRATEGY_NAMES[0]
CONTROL_REPORT = f"control: {CONTROL}"
SCALING = "bounded"
# A gap seen more rarely than this, or a value, teaches its indicator nothing.
RAREST_GAP = 0.005
# Width of the periodic embedding by the most features it is for. On FD001 (280 features, 3
# splits by engine) widths of 0, 2 and 4 gave 0.988, 0.992 and 0.994 average precision, 8 no
# more; on AI4I (6 features) 0, 4, 8 and 16 gave 0.78, 0.83, 0.83 and 0.84.
EMBEDDINGS = ((30, 16), (120, 8))
LEAST_EMBEDDING = 4
# Up to this many features every member has a kernel of its own. On AI4I (6 features) uniform
# networks then gave 0.84 average precision where a shared kernel gave 0.80 (2 folds, 2 seeds);
# on FD001 (297 features) they overfitted, 0.993 against 0.995.
PACKED_FEATURES = 30


@dataclass(frozen=True)
class Planner:
    """Plans for one task.

    inputs: features and indicators per sensor; size: the largest. sensor_of: the sensor of each
    feature, in column order; gaps: features that may have an indicator, each with the one that
    is missing in the same rows and comes first. order: the features, most important first: plans
    of strategies that select read the first of them.
    """

    importance: Importance
    inputs: Mapping[str, int]
    indicators: tuple[str, ...]
    outputs: int
    size: int
    sensor_of: Mapping[str, str]
    gaps: Mapping[str, str]
    order: tuple[str, ...]

    def plan(
        self, strategy: str, *, size: int | None = None, count: int | None = None
    ) -> Allocation:
        """The plan of a strategy at this many parameters, by default the largest size.

        count: how many features a plan reads whose strategy selects, by default `USUAL_COUNT`.
        """
        if strategy_named(strategy).selects and (count or USUAL_COUNT) < len(self.order):
            return self._select(strategy, size or self.size, count or USUAL_COUNT)
        return self._fill(strategy, size or self.size, self.inputs, self.indicators)

    def plan_like(self, other: Allocation, *, size: int | None = None) -> Allocation:
        """The plan of another's strategy that reads as many features as the other."""
        return self.plan(other.strategy, size=size, count=len(other.features) or len(self.order))

    def _select(self, strategy: str, size: int, count: int) -> Allocation:
        """A plan that reads the first features of the order, and indicators of these alone."""
        first = set(self.order[:count])
        read = tuple(name for name in self.sensor_of if name in first)
        indicators = _first_of_each(read, self.gaps)
        owners = Counter(self.sensor_of[name] for name in read + indicators)
        inputs = {sensor: owners[sensor] for sensor in self.inputs}
        plan = self._fill(strategy, size, inputs, indicators)
        tiers = tuple(
            replace(tier, features=tuple(n for n in read if self.sensor_of[n] in tier.sensors))
            for tier in plan.tiers
        )
        return replace(plan, tiers=tiers)

    def _fill(
        self, strategy: str, size: int, inputs: Mapping[str, int], indicators: tuple[str, ...]
    ) -> Allocation:
        count = sum(inputs.values())
        request = PlanRequest(
            inputs,
            size,
            outputs=self.outputs,
            embedding=embedding_width(count),
            packs=packs_for(count),
        )
        plan = allocate(strategy, self.importance, request)
        return replace(plan, indicators=indicators, scaling=SCALING)


def make_planner(
    frame: Frame,
    rows: NDArray[np.intp],
    importance: Importance,
    *,
    outputs: int,
    max_parameters: int,
) -> Planner:
    """The planner for networks that learn from these rows of a frame."""
    gaps = find_gaps(frame, rows)
    indicators = _first_of_each(frame.features, gaps)
    own = dict(zip(frame.features, frame.sensor_of, strict=True))
    owners = Counter([*frame.sensor_of, *(own[name] for name in indicators)])
    inputs = {sensor: owners[sensor] for sensor in frame.sensors}
    packs, features = packs_for(sum(inputs.values())), len(frame.features)
    size = budget(len(rows), max_parameters, features=features, outputs=outputs, packs=packs)
    order = importance_order(importance, frame.features, frame.sensor_of)
    return Planner(importance, inputs, indicators, outputs, size, own, gaps, order)


def control_plans(
    planner: Planner, frame: Frame, rows: NDArray[np.intp], selected: Allocation, *, seed: int
) -> dict[str, Allocation]:
    """What a plan that selects features is measured against, besides `CONTROL`, by name: plans
    that read as many and count as many parameters, by orders that know nothing of outcomes."""
    return {
        name: replace(planner, order=order(frame, rows, seed)).plan_like(
            selected, size=selected.parameters
        )
        for name, order in SELECTION_CONTROLS.items()
    }


def embedding_width(features: int) -> int:
    """Width of the embedding that this many features may have; few can afford more."""
    return next((width for most, width in EMBEDDINGS if features <= most), LEAST_EMBEDDING)


def packs_for(features: int) -> int:
    """How many kernels the members share: one each where features are few, else one for all."""
    return MEMBERS if features <= PACKED_FEATURES else 1


def find_gaps(frame: Frame, rows: NDArray[np.intp]) -> dict[str, str]:
    """Features whose gaps a network should see, for some are missing: each with the first
    feature of its sensor that is missing in the very same rows, and so stands for it."""
    gaps = np.isnan(frame.values[rows])
    share = gaps.mean(axis=0) if len(rows) else np.zeros(len(frame.features))
    first: dict[tuple[str, bytes], str] = {}
    found = {}
    for at in np.flatnonzero((share >= RAREST_GAP) & (share <= 1.0 - RAREST_GAP)):
        pattern = (frame.sensor_of[at], np.packbits(gaps[:, at]).tobytes())
        found[frame.features[at]] = first.setdefault(pattern, frame.features[at])
    return found


def _first_of_each(features: Sequence[str], gaps: Mapping[str, str]) -> tuple[str, ...]:
    """Of these features that are missing in the same rows the first, for it stands for all."""
    found: dict[str, str] = {}
    for name in features:
        if name in gaps:
            found.setdefault(gaps[name], name)
    return tuple(found.values())
