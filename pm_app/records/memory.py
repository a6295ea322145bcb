"""What is kept of an asset's life so far, in place of its panes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Float64, Int64


@dataclass(frozen=True, eq=False)
class Memory:
    """Each asset's life at the end of its newest pane before some boundary.

    assets: distinct names, sorted. boundary, start, begun, newest: shape (n_assets,), panes:
    all panes before `boundary` are in, of the life that counts from pane `start`; `begun` is
    its first pane that holds a reading, `newest` its last one.

    weight, mean, moment: shape (n_assets, n_traces, n_sensors), the weighted mean of each
    trace and the weighted sum of squared deviations from it; 0 where the weight is 0.
    minimum, maximum: (n_assets, n_sensors), infinite where there was no value.
    """

    assets: tuple[str, ...]
    boundary: Int64
    start: Int64
    begun: Int64
    newest: Int64
    weight: Float64
    mean: Float64
    moment: Float64
    minimum: Float64
    maximum: Float64

    def take(self, rows: NDArray[np.intp]) -> "Memory":
        """The memory of only these assets, by ascending row number."""
        return Memory(
            tuple(self.assets[row] for row in rows.tolist()),
            *(getattr(self, name)[rows] for name in MEMORY_KEYS + MEMORY_STATISTICS),
        )


MEMORY_KEYS = ("boundary", "start", "begun", "newest")
MEMORY_STATISTICS = ("weight", "mean", "moment", "minimum", "maximum")
