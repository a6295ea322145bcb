"""Cross-fitting: every life answered by a model that has not learned from it.

One validation part holds four of 27 failures, and what four ask for is mostly their luck. Where
failures are few, shares and corrections are therefore found on all rows a version learns from,
fold by fold (cross-fitting, Stone 1974; Chernozhukov et al. 2018).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.training.fit import judged_rows
from pm_app.records.labels import Labels
from pm_app.records.readings import Flags, Int32

# A part with fewer failures (of a regressed value: lives or spells) judges by luck.
FEWEST_FAILURES: Final = 20
FOLDS: Final = 4
# What is said of newest time is compared in so many blocks of it.
BLOCKS: Final = 5


@dataclass(frozen=True, eq=False)
class Folds:
    """Rows by who may answer them: taught by fold, and held out of that fold's training.

    stopped: rows that trainings were stopped by; they help to weigh members, and correct nothing.
    unit: (n_rows of the frame,), what is held out together: a machine, or a life.
    """

    taught: tuple[Rows, ...]
    held_out: tuple[Rows, ...]
    stopped: Rows
    unit: Int32

    @property
    def crossed(self) -> bool:
        """Whether there are several folds."""
        return len(self.taught) > 1

    def labels_of(self, task: LearningTask) -> Labels:
        """What is known of the rows: of folds all there was before the test."""
        return task.of_all_rows.labels if self.crossed else task.labels

    @property
    def rows(self) -> Rows:
        """All rows that are held out, fold by fold."""
        return np.concatenate(self.held_out)


def deal_folds(task: LearningTask, *, seed: int) -> Folds:
    """Folds over all rows that teach; where the calibration part holds enough, that part alone.

    Machines are dealt where the parts of the split hold different ones, lives else, in order of
    time, so that one fold is one stretch of it. Each fold has its share of the failures.
    """
    split, unit = task.split, held_together(task)
    rows = split.learned
    units, place = np.unique(unit[rows], return_inverse=True)
    failures = _count_failures(task.of_all_rows, rows, place)
    counted = units[failures > 0]
    here = split.calibration[_fails(task, split.calibration)]
    enough = np.isin(counted, unit[here]).sum() >= FEWEST_FAILURES
    count = min(FOLDS, len(counted))
    if enough or count < 2:
        return one_part(task)
    fold = _deal(task, failures, place, count, seed)[place]
    parts = [(rows[fold != number], rows[fold == number]) for number in range(count)]
    taught, held_out = zip(*parts, strict=True)
    return Folds(taught, held_out, np.empty(0, dtype=np.intp), unit)


def one_part(task: LearningTask) -> Folds:
    """The calibration part alone, answered by a model of the training rows."""
    split = task.split
    return Folds((split.train,), (split.calibration,), judged_rows(task), held_together(task))


def held_together(task: LearningTask) -> Int32:
    """What no model may have seen a part of when it answers: a machine, a life, or a group."""
    if _is_dealt(task):
        return task.frame.asset
    return task.labels.life if task.kind == "life" else task.split.group


def newest_blocks(task: LearningTask, rows: Rows) -> Int32 | None:
    """The block of time of each row, oldest 0; None where the test is no newer than these rows."""
    cutoff = task.frame.cutoff
    if cutoff[task.split.test].min() <= cutoff[task.split.learned].max():
        return None
    borders = np.quantile(cutoff[rows], np.arange(1, BLOCKS) / BLOCKS)
    return np.searchsorted(borders, cutoff[rows], side="right").astype(np.int32)


def _is_dealt(task: LearningTask) -> bool:
    """Whether the parts that teach hold different machines."""
    asset, split = task.frame.asset, task.split
    return not np.isin(asset[split.calibration], asset[split.train]).any()


def _count_failures(task: LearningTask, rows: Rows, place: Rows) -> Rows:
    """How many lives fail, or rows are of the first class, by unit; place: the unit of each row."""
    fails = np.flatnonzero(_fails(task, rows))
    if task.kind == "life":
        fails = fails[np.unique(task.labels.life[rows[fails]], return_index=True)[1]]
    return np.bincount(place[fails], minlength=place.max() + 1)


def _fails(task: LearningTask, rows: Rows) -> Flags:
    """Rows that fail within the longest horizon, or are of the first class; of a value all."""
    if task.kind == "regression":
        return np.ones(len(rows), dtype=np.bool_)
    if task.kind == "life":
        return np.asarray(task.labels.fails_within(task.horizons_hours[-1])[rows] == 1.0)
    return np.asarray(task.labels.value[rows] == 1.0)


def _deal(task: LearningTask, failures: Rows, place: Rows, count: int, seed: int) -> Rows:
    """The fold of each unit, (n_units,)."""
    fold = np.empty(len(failures), dtype=np.intp)
    if _is_dealt(task):
        order = np.lexsort([np.random.default_rng(seed).random(len(fold)), failures])
        fold[order[::-1]] = np.arange(len(fold)) % count
        return fold
    cutoff = task.frame.cutoff[task.split.learned]
    middle = np.bincount(place, (cutoff - cutoff.min()).astype(float)) / np.bincount(place)
    order = np.argsort(middle, kind="stable")
    before = np.cumsum(failures[order]) - failures[order]
    fold[order] = np.minimum(before * count // failures.sum(), count - 1)
    return fold
