"""Folds of a backtest: origins in time, so that each span holds about as many failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.jobs.retrain.extent import past_until
from pm_app.learning.data.labels import life_labels
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, Int32, Int64
from pm_app.settings.plant import Settings
from pm_app.state.panes import History
from pm_app.store import segments_of
from pm_app.store.ledger.ledger import Ledger
from pm_app.times import HOUR_NS, to_moment, to_nanoseconds

# The share of failures that the first model may learn from.
_FIRST_SHARE: Final = 0.4


@dataclass(frozen=True)
class BacktestOptions:
    """How many folds, between which moments; by default from when the first model can learn to
    the newest reading.
    """

    folds: int
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Fold:
    """Learn from all up to `origin`, predict at cutoffs in (origin, end]; nanoseconds UTC.

    past_failures, failures: up to the origin, and in the span.
    """

    origin: int
    end: int
    past_failures: int
    failures: int


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
    history: History, ledger: Ledger, events: Events, options: BacktestOptions, settings: Settings
) -> list[Fold]:
    """Folds between two moments, each origin the end of a pane.

    The first model learns from as many failures as the settings ask for, at least. Raises
    NotEnoughData where fewer came than it and the folds need.
    """
    pane_ns = history.pane_ns
    newest = ledger.newest_time("readings")
    if newest is None:
        raise NotEnoughData("not enough data: no readings yet; pm-app score reads them")
    until = min(options.last, newest) if options.last is not None else newest
    end = _pane_end(to_nanoseconds(until), pane_ns)
    segments = segments_of(ledger.ingested_batches("readings"))
    keys = past_until(history, segments, end // pane_ns - 1).keys
    frame = bare_frame(keys.assets, keys.asset, (keys.pane + 1) * pane_ns)
    labels = life_labels(frame, events, known_until=end, renewals=settings.renewals)
    failures = failure_times(frame, labels)
    start = _first_failures(failures, options.first, settings.retraining.minimum_failures)
    left = len(failures) - start
    if left < options.folds:
        raise NotEnoughData(
            f"not enough data: {len(failures)} failures up to {to_moment(end):%Y-%m-%d}, "
            f"{start} of them for the first model to learn from; {options.folds} folds need one "
            "each"
        )
    places = start + np.round(np.arange(options.folds) * left / options.folds).astype(int)
    origins = [_pane_end(int(failures[place - 1] + 1), pane_ns) for place in places.tolist()]
    if options.first is not None:
        origins[0] = max(origins[0], _pane_end(to_nanoseconds(options.first), pane_ns))
    counts = np.searchsorted(failures, [*origins, end], side="right").tolist()
    return [
        Fold(origin, until, before, upto - before)
        for (origin, until), (before, upto) in zip(
            pairwise([*origins, end]), pairwise(counts), strict=True
        )
        if until > origin
    ]


def _pane_end(time: int, pane_ns: int) -> int:
    return -(-time // pane_ns) * pane_ns


def _first_failures(failures: Int64, first: datetime | None, minimum: int) -> int:
    """How many failures the first model learns from."""
    if first is None:
        return max(minimum, int(np.ceil(_FIRST_SHARE * len(failures))))
    return max(minimum, int(np.searchsorted(failures, to_nanoseconds(first), side="right")))
