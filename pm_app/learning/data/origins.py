"""Earlier origins of a split: rows to refit a version to, and rows held out after them.

Rolling origins (Tashman 2000): what one test part says of a handful of failures is mostly luck, so
the same plan is asked again where it stood some failures ago. Each origin lies before the one
before it, learns from nothing that came after it, and holds out what lies in between; a failure is
held out once. Of whole lives, those that ended next are held out, and nothing of them is learned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pm_app.learning.data.labels import failure_times
from pm_app.learning.data.targets import Rows
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.readings import Float64, Int64
from pm_app.times import HOUR_NS

MOST_ORIGINS = 3
# What is left to learn from: refits that know next to no failure say nothing of the version.
MOST_HELD_OUT = 0.5


@dataclass(frozen=True, eq=False)
class Origin:
    """Rows to learn from and rows held out; until: the moment, in nanoseconds UTC, up to which
    labels of the former were known, None where the latter are other lives."""

    learned: Rows
    held_out: Rows
    until: int | None


def earlier_origins(
    frame: Frame, labels: Labels, split: Split, *, horizon_hours: float, failures: int
) -> Iterator[Origin]:
    """Up to `MOST_ORIGINS` origins before that of the split, the newest first, that hold out so
    many failures between them; fewer where too few would be left to learn from.

    labels: of lives, as they are known now.
    """
    learned = split.learned
    positive = labels.fails_within(horizon_hours) == 1.0
    ends = _newest_ends(frame, labels, learned[positive[learned]])
    wanted = min(failures, int(MOST_HELD_OUT * len(ends)))
    if wanted < 1:
        return
    each = -(-wanted // MOST_ORIGINS)
    steps = [min(each, wanted - at) for at in range(0, wanted, each)]
    if split.by_asset:
        yield from _lives_that_ended(frame, labels, split, positive, steps)
        return
    reach = round(horizon_hours * HOUR_NS)
    end, at = int(frame.cutoff[split.test].min()), 0
    for step in steps:
        at += step
        # Where failures are far apart, neither side loses any of the warning before its own.
        begin = int(max(ends[at], min(ends[at] + reach, ends[at - 1] - reach)))
        between = labels.usable & (frame.cutoff >= begin) & (frame.cutoff < end)
        rows = np.flatnonzero(between)
        # A failure that comes later is held out later.
        rows = rows[~(positive[rows] & (_ends(frame, labels, rows) >= end))]
        before = learned[frame.cutoff[learned] + reach < begin]
        if len(before) and len(rows):
            yield Origin(before, rows, begin)
        end = begin


def known_until(frame: Frame, labels: Labels, origin: Origin) -> Labels:
    """Labels as they were known at an origin; those of its learned rows tell no failure later."""
    if origin.until is None:
        return labels
    hours = np.maximum(origin.until - frame.cutoff, 0) / HOUR_NS
    beyond = labels.duration_hours > hours
    duration: Float64 = np.where(beyond, hours, labels.duration_hours)
    return replace(labels, duration_hours=duration, failed=labels.failed & ~beyond)


def _ends(frame: Frame, labels: Labels, rows: Rows) -> Float64:
    """When the life of each row ended, nanoseconds UTC."""
    return frame.cutoff[rows] + labels.duration_hours[rows] * HOUR_NS


def _newest_ends(frame: Frame, labels: Labels, rows: Rows) -> Int64:
    """When each life failed that one of these rows comes before, the newest first."""
    _, first = np.unique(labels.life[rows], return_index=True)
    return np.sort(failure_times(frame, labels, rows[first]))[::-1]


def _lives_that_ended(
    frame: Frame, labels: Labels, split: Split, positive: np.ndarray, steps: list[int]
) -> Iterator[Origin]:
    """Assets of which those that failed last are held out, with their share of those that run."""
    learned = split.learned
    newest = np.full(len(frame.assets), np.iinfo(np.int64).min)
    np.maximum.at(newest, frame.asset[learned], frame.cutoff[learned])
    assets = np.unique(frame.asset[learned])
    assets = assets[np.argsort(-newest[assets], kind="stable")]
    failing = np.isin(assets, frame.asset[learned[positive[learned]]])
    failed, running = assets[failing], assets[~failing]
    at = 0
    for step in steps:
        share = slice(*(len(running) * edge // len(failed) for edge in (at, at + step)))
        out = np.concatenate([failed[at : at + step], running[share]])
        gone = np.concatenate([failed[: at + step], running[: share.stop]])
        at += step
        owner = frame.asset[learned]
        yield Origin(learned[~np.isin(owner, gone)], learned[np.isin(owner, out)], None)
