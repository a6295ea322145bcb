"""Attribution of failures to sensors: the risk that a forest no longer sees without them.

Where an importance is one noisy number a sensor for all failures together, this is one a
failure: two groups of failures can be compared as two samples are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.data.labels import failure_times
from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.clusters import columns_of
from pm_app.learning.importance.forest import (
    TREES,
    Columns,
    ForestProblem,
    fill_and_squeeze,
    grow_tree,
    predict_trees,
)
from pm_app.learning.importance.permutation import REFERENCE_ROWS, keep_some
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Float64, Int32, Int64

# Machines are dealt to so many parts; each is asked of a forest that knows the others only.
FOLDS = 5
# Rows before a failure that are asked; more of them repeat each other.
ROWS_A_FAILURE = 16
# Sound rows that a sensor's values are taken from instead, in turn.
DRAWS = 4


@dataclass(frozen=True, eq=False)
class Attributions:
    """Failures in order of time, and the risk lost before each without each sensor.

    time: nanoseconds since 1970 UTC, shape (n_failures,). lost: shape (n_failures, n_sensors),
    about 0 where a sensor does not announce the failure. mode: place of each among the modes, -1
    where it is unknown (the default), (n_failures,).
    """

    sensors: tuple[str, ...]
    time: Int64
    lost: Float64
    mode: Int32 = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    def __post_init__(self) -> None:
        if not len(self.mode):
            object.__setattr__(self, "mode", np.full(len(self.time), -1, dtype=np.int32))

    def take(self, chosen: NDArray[np.bool_]) -> "Attributions":
        """Only these failures; chosen: shape (n_failures,)."""
        return Attributions(self.sensors, self.time[chosen], self.lost[chosen], self.mode[chosen])

    def only(self, sensors: Collection[str]) -> "Attributions":
        """Only what is attributed to these sensors."""
        stays = np.array([sensor in sensors for sensor in self.sensors], dtype=np.bool_)
        kept = tuple(sensor for sensor in self.sensors if sensor in sensors)
        return Attributions(kept, self.time, self.lost[:, stays], self.mode)


def attribute_failures(task: LearningTask, *, seed: int) -> Attributions:
    """The attribution of each failure before which there is a train or validation row, within
    the longest horizon.

    A forest of extremely randomised trees (Geurts, Ernst & Wehenkel 2006) learns from the other
    machines, or the other lives where machines are few, and predicts the risk of rows before the
    failure; then again with all features of a sensor taken from sound rows (Breiman 2001). What
    the risk falls by is attributed to that sensor. The same arguments give the same figures.
    """
    frame, labels, split = task.frame, task.labels, task.split
    targets = np.column_stack([labels.fails_within(hours) for hours in task.horizons_hours])
    rows = np.sort(np.concatenate([split.train, split.validation]))
    rows = rows[np.isfinite(targets[rows]).all(axis=1)]
    asked = _spread(rows[targets[rows, -1] == 1.0], labels)
    learned = keep_some(rows, targets, seed)
    used = np.union1d(learned, asked)
    reference = frame.values[learned[:: max(1, len(learned) // REFERENCE_ROWS)]]
    problem = ForestProblem(
        values=fill_and_squeeze(frame.values[used], reference),
        targets=targets[used],
        group=split.group[used],
        train=np.searchsorted(used, learned),
        held_out=np.searchsorted(used, asked),
        groups_part=False,
        ranks=True,
    )
    machines = frame.asset if len(np.unique(frame.asset[asked])) >= FOLDS else labels.life
    columns = list(columns_of(frame.sensor_of).values())
    lost = _lose(problem, _deal(machines[used], seed), columns, seed)
    return _by_failure(frame, labels, asked, lost)


def _spread(rows: Columns, labels: Labels) -> Columns:
    """At most `ROWS_A_FAILURE` of these rows a life, evenly spaced; in order of life."""
    order = rows[np.lexsort((-labels.duration_hours[rows], labels.life[rows]))]
    _, first, count = np.unique(labels.life[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, count)
    size = np.repeat(count, count)
    step, before = (
        at * ROWS_A_FAILURE // np.maximum(size, ROWS_A_FAILURE) for at in (place, place - 1)
    )
    chosen: Columns = order[(size <= ROWS_A_FAILURE) | (place == 0) | (step != before)]
    return chosen


def _deal(owner: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """The part of each row; rows of one owner stay together."""
    _, number = np.unique(owner, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(int(number.max(initial=0)) + 1)
    return np.asarray(dealt[number] % FOLDS)


def _lose(
    problem: ForestProblem, part: NDArray[np.intp], columns: Sequence[Columns], seed: int
) -> Float64:
    """Risk lost per held-out row and sensor, mean over horizons, (n_held_out, n_sensors)."""
    rng = np.random.default_rng(seed)
    lost = np.zeros((len(problem.held_out), len(columns)))
    sound = problem.train[problem.targets[problem.train, -1] == 0.0]
    for fold in range(FOLDS):
        own = np.flatnonzero(part[problem.held_out] == fold)
        others = problem.train[part[problem.train] != fold]
        near = sound[part[sound] == fold]
        if not len(own) or not len(others) or not len(near):
            continue
        trees = [grow_tree(problem, others, rng) for _ in range(TREES)]
        values = problem.values[problem.held_out[own]]
        risk = predict_trees(trees, values).reshape(len(own), -1).mean(axis=1)
        donors = [problem.values[rng.choice(near, len(own))] for _ in range(DRAWS)]
        for number, at in enumerate(columns):
            for donor in donors:
                work = values.copy()
                work[:, at] = donor[:, at]
                without = predict_trees(trees, work).reshape(len(own), -1).mean(axis=1)
                lost[own, number] += (risk - without) / DRAWS
    return lost


def _by_failure(frame: Frame, labels: Labels, asked: Columns, lost: Float64) -> Attributions:
    """Rows in order of life, averaged over each; failures in order of time."""
    _, first, count = np.unique(labels.life[asked], return_index=True, return_counts=True)
    mean = np.add.reduceat(lost, first, axis=0) / count[:, None] if len(first) else lost[:0]
    end = failure_times(frame, labels, asked[first])
    order = np.argsort(end, kind="stable")
    return Attributions(frame.sensors, end[order], mean[order], labels.mode[asked[first]][order])
