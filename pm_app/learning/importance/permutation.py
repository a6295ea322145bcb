"""Permutation importance of sensors, its spread, and interactions."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.clusters import cluster_sensors
from pm_app.learning.importance.forest import (
    Columns,
    ForestProblem,
    ForestTrial,
    fill_and_squeeze,
    measure_drops,
    run_trial,
)
from pm_app.records.features import Frame
from pm_app.records.labels import Split
from pm_app.records.learning import Importance, Interaction
from pm_app.records.readings import Float64

REPLICATES = 8
# Threads share the forest's work; the result does not depend on how many there are.
WORKERS = 2
# Enough rows to know quartiles and rank correlations by.
REFERENCE_ROWS = 4_000
TRAIN_ROWS = 20_000
# Pairs are tried among this many leading sensors.
LEADERS = 6
# An excess below this much of the score, or within two standard errors, is none.
SMALLEST_EXCESS = 0.005
STANDARD_ERRORS = 2.0

ReplicateProgress = Callable[[int, int], None]


def measure_importance(
    task: LearningTask,
    *,
    seed: int,
    replicates: int = REPLICATES,
    progress: ReplicateProgress | None = None,
) -> Importance:
    """Shares of predictive power by grouped permutation on held-out rows.

    Failing within each horizon is scored by average precision, averaged over them, a class by
    average precision, a value by R². Each replicate resamples the
    groups of the split (assets, blocks of time), fits a forest of extremely randomised trees
    (Geurts, Ernst & Wehenkel 2006: as sharp here as Breiman's and several times quicker) and
    permutes all features of a sensor together on rows the forest did not see: validation
    rows, and left-out train assets where the split is by asset. Calibration and test rows are
    never looked at. Clusters of correlated sensors are permuted as one, and pairs of leading
    sensors to find interactions (Breiman 2001; Fisher, Rudin & Dominici 2019).

    Missing values count as the median. Losses below zero are noise and clip to 0; when
    nothing is lost anywhere all shares are equal. The same frame and seed give the same
    importance. progress(done, total) is called as replicates finish.
    """
    problem = _pose(task, seed)
    trials = _run_trials(problem, seed, replicates, progress)
    sample = problem.values[_spaced(problem.train)]
    sensors = _Sensors(
        task.frame.sensors,
        _columns_of(task.frame.sensor_of),
        cluster_sensors(sample, task.frame.sensor_of),
    )
    return _summarise(trials, sensors, "r2" if task.kind == "regression" else "average_precision")


@dataclass(frozen=True, eq=False)
class _Sensors:
    """Sensors in column order, the columns of each, and the clusters they form."""

    names: tuple[str, ...]
    columns: dict[str, Columns]
    clusters: tuple[tuple[str, ...], ...]


def _summarise(trials: Sequence[ForestTrial], sensors: _Sensors, score_name: str) -> Importance:
    count, clusters = len(sensors.names), sensors.clusters
    alone = _drop_all(trials, [sensors.columns[name] for name in sensors.names])
    whole = _drop_clusters(trials, sensors, alone)
    shares = _to_shares(alone.mean(axis=0) if trials else np.zeros(count))
    each = np.array([_to_shares(drop) for drop in alone]).reshape(-1, count)
    return Importance(
        sensors=sensors.names,
        shares=_plain(shares),
        spread=_plain(each.std(axis=0) if trials else np.zeros(count)),
        replicates=tuple(_plain(row) for row in each),
        clusters=clusters,
        cluster_shares=_plain(_to_shares(whole.mean(axis=0) if trials else np.ones(len(clusters)))),
        interactions=_find_interactions(trials, sensors, alone),
        score_name=score_name,
        score=float(np.mean([trial.score for trial in trials])) if trials else float("nan"),
    )


def _pose(task: LearningTask, seed: int) -> ForestProblem:
    frame, labels, split = task.frame, task.labels, task.split
    targets = labels.value[:, None]
    if task.kind == "life":
        targets = np.column_stack([labels.fails_within(hours) for hours in task.horizons_hours])
    known = labels.usable & np.isfinite(targets).all(axis=1)
    train, held_out = (rows[known[rows]] for rows in (split.train, split.validation))
    train = keep_some(train, targets, seed)
    rows = np.concatenate([train, held_out])
    values = fill_and_squeeze(frame.values[rows], frame.values[_spaced(train)])
    return ForestProblem(
        values=values,
        targets=targets[rows],
        group=split.group[rows],
        train=np.arange(len(train)),
        held_out=np.arange(len(train), len(rows)),
        groups_part=_groups_part(frame, split),
        ranks=task.kind != "regression",
    )


def keep_some(train: Columns, targets: Float64, seed: int) -> Columns:
    """At most `TRAIN_ROWS`, all positive rows among them up to half."""
    if len(train) <= TRAIN_ROWS:
        return train
    rng = np.random.default_rng(seed)
    binary = np.isin(targets[train], (0.0, 1.0)).all()
    rare = targets[train].max(axis=1) == 1.0 if binary else np.zeros(len(train), dtype=np.bool_)
    kept = rng.permutation(train[rare])[: TRAIN_ROWS // 2]
    others = rng.permutation(train[~rare])[: TRAIN_ROWS - len(kept)]
    return np.sort(np.concatenate([kept, others]))


def _groups_part(frame: Frame, split: Split) -> bool:
    """Whether a left-out group says nothing about the others: an asset, or a loose row.

    A block of time does: the next block of the same machine looks like it.
    """
    pairs = np.unique(np.column_stack([frame.asset, split.group]), axis=0)
    timeless = bool(len(frame.cutoff)) and frame.cutoff.min() == frame.cutoff.max()
    return timeless or len(pairs) == len(np.unique(frame.asset))


def _run_trials(
    problem: ForestProblem, seed: int, replicates: int, progress: ReplicateProgress | None
) -> list[ForestTrial]:
    seeds = np.random.SeedSequence(seed).spawn(replicates)
    trials = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for done, trial in enumerate(pool.map(lambda one: run_trial(problem, one), seeds), 1):
            trials += [trial] if trial is not None else []
            if progress is not None:
                progress(done, replicates)
    return trials


def _drop_all(trials: Sequence[ForestTrial], sets: Sequence[Columns]) -> Float64:
    """Score lost per trial and set, shape (n_trials, n_sets)."""
    with ThreadPoolExecutor(WORKERS) as pool:
        rows = list(pool.map(lambda trial: measure_drops(trial, sets), trials))
    return np.array(rows).reshape(len(trials), len(sets))


def _drop_clusters(trials: Sequence[ForestTrial], sensors: _Sensors, alone: Float64) -> Float64:
    """Score lost per trial and cluster; a cluster of one loses what its sensor loses."""
    clusters, columns = sensors.clusters, sensors.columns
    place = {sensor: at for at, sensor in enumerate(sensors.names)}
    drops = alone[:, [place[cluster[0]] for cluster in clusters]]
    several = [at for at, cluster in enumerate(clusters) if len(cluster) > 1]
    sets = [np.concatenate([columns[s] for s in clusters[at]]) for at in several]
    drops[:, several] = _drop_all(trials, sets)
    return drops


def _find_interactions(
    trials: Sequence[ForestTrial], sensors: _Sensors, alone: Float64
) -> tuple[Interaction, ...]:
    """Pairs of leading sensors, twins apart, that lose more together than one by one."""
    if len(trials) < 2:
        return ()
    names = sensors.names
    own = [sensors.columns[name] for name in names]
    twins = {frozenset(pair) for cluster in sensors.clusters for pair in combinations(cluster, 2)}
    leading = np.argsort(-alone.mean(axis=0), kind="stable")[:LEADERS]
    pairs = [
        (i, j)
        for i, j in combinations(sorted(leading), 2)
        if frozenset((names[i], names[j])) not in twins
    ]
    joint = _drop_all(trials, [np.concatenate([own[i], own[j]]) for i, j in pairs])
    excess = joint - np.stack([alone[:, i] + alone[:, j] for i, j in pairs], axis=1)
    mean = excess.mean(axis=0)
    error = excess.std(axis=0, ddof=1) / np.sqrt(len(trials))
    sure = (mean > SMALLEST_EXCESS) & (mean > STANDARD_ERRORS * error)
    found = [
        Interaction((names[i], names[j]), float(value))
        for (i, j), value, keep in zip(pairs, mean, sure, strict=True)
        if keep
    ]
    return tuple(sorted(found, key=lambda pair: -pair.excess))


def _columns_of(sensor_of: Sequence[str]) -> dict[str, Columns]:
    owner = np.array(sensor_of)
    return {name: np.flatnonzero(owner == name) for name in dict.fromkeys(sensor_of)}


def _spaced(rows: Columns) -> Columns:
    return rows[:: max(1, len(rows) // REFERENCE_ROWS)]


def _to_shares(drops: Float64) -> Float64:
    positive = np.clip(drops, 0.0, None)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(drops), 1.0 / len(drops))


def _plain(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
