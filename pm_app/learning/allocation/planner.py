"""Planner of allocations: every strategy, at any size, over the same inputs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.allocation.sizing import MEMBERS, PlanRequest
from pm_app.learning.allocation.strategies import allocate, budget
from pm_app.records.features import Frame
from pm_app.records.learning import Allocation, Importance
from pm_app.settings.strategies import STRATEGY_NAMES

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
    """Plans for one task. inputs: features and indicators per sensor; size: the largest."""

    importance: Importance
    inputs: Mapping[str, int]
    indicators: tuple[str, ...]
    outputs: int
    size: int

    def plan(self, strategy: str, *, size: int | None = None) -> Allocation:
        """The plan of a strategy at this many parameters, by default the largest size."""
        inputs = sum(self.inputs.values())
        request = PlanRequest(
            self.inputs,
            size or self.size,
            outputs=self.outputs,
            embedding=embedding_width(inputs),
            packs=packs_for(inputs),
        )
        plan = allocate(strategy, self.importance, request)
        return replace(plan, indicators=self.indicators, scaling=SCALING)


def make_planner(
    frame: Frame,
    rows: NDArray[np.intp],
    importance: Importance,
    *,
    outputs: int,
    max_parameters: int,
) -> Planner:
    """The planner for networks that learn from these rows of a frame."""
    indicators = find_indicators(frame, rows)
    own = dict(zip(frame.features, frame.sensor_of, strict=True))
    owners = Counter([*frame.sensor_of, *(own[name] for name in indicators)])
    inputs = {sensor: owners[sensor] for sensor in frame.sensors}
    packs, features = packs_for(sum(inputs.values())), len(frame.features)
    size = budget(len(rows), max_parameters, features=features, outputs=outputs, packs=packs)
    return Planner(importance, inputs, indicators, outputs, size)


def embedding_width(features: int) -> int:
    """Width of the embedding that this many features may have; few can afford more."""
    return next((width for most, width in EMBEDDINGS if features <= most), LEAST_EMBEDDING)


def packs_for(features: int) -> int:
    """How many kernels the members share: one each where features are few, else one for all."""
    return MEMBERS if features <= PACKED_FEATURES else 1


def find_indicators(frame: Frame, rows: NDArray[np.intp]) -> tuple[str, ...]:
    """Features whose gaps the network should see: some are missing, not alike to another's.

    Of the features of one sensor that are missing in the very same rows, the first stands
    for all.
    """
    gaps = np.isnan(frame.values[rows])
    share = gaps.mean(axis=0) if len(rows) else np.zeros(len(frame.features))
    found: dict[tuple[str, bytes], str] = {}
    for at in np.flatnonzero((share >= RAREST_GAP) & (share <= 1.0 - RAREST_GAP)):
        pattern = (frame.sensor_of[at], np.packbits(gaps[:, at]).tobytes())
        found.setdefault(pattern, frame.features[at])
    return tuple(found.values())
