"""Where a backtest stops and looks ahead: origins, so that each span brings as many failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.extent import past_until
from pm_app.learning.data.labels import life_labels
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, Int32, Int64
from pm_app.store import segments_of
from pm_app.times import HOUR_NS, to_moment, to_nanoseconds

# The share of failures that the first model may learn from.
_FIRST_SHARE: Final = 0.4


@dataclass(frozen=True)
class Fold:
    """Learn from all before `origin`, speak of cutoffs in (origin, end]; nanoseconds UTC.

    known, coming: failures up to the origin and in the span.
    """

    origin: int
    end: int
    known: int
    coming: int


def all_cutoffs(plant: Plant, end: int) -> Frame:
    """Every cutoff up to `end` as a frame without features."""
    segments = segments_of(plant.store.ledger.ingested_batches("readings"))
    keys = past_until(plant.history, segments, end // plant.history.pane_ns - 1).keys
    return bare_frame(keys.assets, keys.asset, (keys.pane + 1) * plant.history.pane_ns)


def bare_frame(assets: Sequence[str], asset: Int32, cutoff: Int64) -> Frame:
    """Cutoffs without features; sorted by asset, then cutoff."""
    nothing = np.empty((len(cutoff), 0), dtype=np.float32)
    return Frame(tuple(assets), asset, cutoff, (), (), nothing)


def failure_times(frame: Frame, labels: Labels) -> Int64:
    """When each life that is known to have failed did, nanoseconds UTC, ascending."""
    rows = np.flatnonzero(labels.failed & labels.usable)
    _, first = np.unique(labels.life[rows], return_index=True)
    hours: Float64 = labels.duration_hours[rows[first]]
    ends = frame.cutoff[rows[first]] + np.round(hours * HOUR_NS).astype(np.int64)
    return np.sort(ends)


def plan_folds(
    plant: Plant,
    events: Events,
    *,
    folds: int,
    first: datetime | None,
    last: datetime | None,
) -> list[Fold]:
    """Folds between two moments, by default from when the first model can learn to the newest.

    Each origin is the end of a pane. Raises NotEnoughData where fewer failures came than the
    first model and the folds need.
    """
    newest = plant.store.ledger.newest_time("readings")
    if newest is None:
        raise NotEnoughData("not enough data: no readings yet; pm-app score reads them")
    pane_ns = plant.history.pane_ns
    until = to_nanoseconds(min(last, newest) if last is not None else newest)
    end = -(-until // pane_ns) * pane_ns
    frame = all_cutoffs(plant, end)
    failures = failure_times(frame, life_labels(frame, events, known_until=end))
    minimum = plant.settings.retraining.minimum_failures
    start = int(np.searchsorted(failures, to_nanoseconds(first), side="right")) if first else 0
    start = max(start, minimum, 0 if first else int(np.ceil(_FIRST_SHARE * len(failures))))
    left = len(failures) - start
    if left < folds:
        raise NotEnoughData(
            f"not enough data: {len(failures)} failures up to {to_moment(end):%Y-%m-%d}, "
            f"{start} of them for the first model to learn from; {folds} folds need one each"
        )
    places = start + np.round(np.arange(folds) * left / folds).astype(int)
    marks = [-(-int(failures[place - 1] + 1) // pane_ns) * pane_ns for place in places.tolist()]
    if first is not None:
        marks[0] = max(marks[0], -(-to_nanoseconds(first) // pane_ns) * pane_ns)
    bounds = [*marks, end]
    known = np.searchsorted(failures, bounds, side="right")
    return [
        Fold(bounds[at], bounds[at + 1], int(known[at]), int(known[at + 1] - known[at]))
        for at in range(folds)
        if bounds[at + 1] > bounds[at]
    ]
