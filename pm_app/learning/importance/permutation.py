"""Permutation importance of sensors, its spread, and interactions."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.clusters import cluster_sensors, columns_of
from pm_app.learning.importance.forest import (
    Columns,
    ForestProblem,
    ForestTrial,
    fill_and_squeeze,
    impurity_shares,
    measure_drops,
    run_trial,
    thin_rows,
)
from pm_app.records.features import Frame
from pm_app.records.labels import Split
from pm_app.records.learning import Importance, Interaction
from pm_app.records.readings import Float64

REPLICATES = 8
# For each mode: its own ranking deals out units, and no drift is asked of it.
MODE_REPLICATES = 4
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


def measure_importance(
    task: LearningTask, *, seed: int, replicates: int = REPLICATES
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

    A sensor's features follow one another, and each alone is hardly missed. They are told apart
    by what the same trees gained by parting rows by each (`impurity_shares`).

    Missing values count as the median. Losses below zero are noise and clip to 0; when
    nothing is lost anywhere all shares are equal. Each failure mode has shares of its own besides.
    The same frame and seed give the same importance.
    """
    problem, rows = _pose(task, seed)
    seeds = np.random.SeedSequence(seed).spawn(replicates)
    with ThreadPoolExecutor(WORKERS) as pool:
        every = list(pool.map(lambda one: run_trial(problem, one), seeds))
    trials = [trial for trial in every if trial is not None]
    sample = problem.values[_spaced(problem.train)]
    sensors = _Sensors(
        columns_of(task.frame.sensor_of), cluster_sensors(sample, task.frame.sensor_of)
    )
    found = _summarise(trials, sensors, "r2" if task.kind == "regression" else "average_precision")
    if not trials:
        return found
    gains = np.mean([impurity_shares(trial) for trial in trials], axis=0)
    found = replace(found, features=task.frame.features, feature_shares=tuple(gains.tolist()))
    shares = [
        _mode_shares(_of_mode(problem, task, rows, mode), sensors, seed + 1 + mode)
        for mode in range(len(task.head.modes))
    ]
    return replace(found, modes=task.head.modes, mode_shares=tuple(shares))


def _of_mode(problem: ForestProblem, task: LearningTask, rows: Columns, mode: int) -> ForestProblem:
    """The problem of failing of one mode within the longest horizon; rows that fail of another are
    left out as censored. rows: those of the frame that the problem is made of."""
    fails = problem.targets[:, -1]
    own = task.labels.mode[rows] == mode
    stays = (fails == 0.0) | own
    count = int(stays[problem.train].sum())
    return replace(
        problem,
        values=problem.values[stays],
        targets=fails[stays, None],
        group=problem.group[stays],
        train=np.arange(count),
        held_out=np.arange(count, int(stays.sum())),
    )


def _mode_shares(problem: ForestProblem, sensors: "_Sensors", seed: int) -> tuple[float, ...]:
    seeds = np.random.SeedSequence(seed).spawn(MODE_REPLICATES)
    with ThreadPoolExecutor(WORKERS) as pool:
        every = list(pool.map(lambda one: run_trial(problem, one), seeds))
    trials = [trial for trial in every if trial is not None]
    columns = list(sensors.columns.values())
    drops = _drop_all(trials, columns).mean(axis=0) if trials else np.zeros(len(columns))
    return tuple(to_shares(drops).tolist())


@dataclass(frozen=True, eq=False)
class _Sensors:
    """The columns of each sensor, in their order, and the clusters that sensors form."""

    columns: dict[str, Columns]
    clusters: tuple[tuple[str, ...], ...]


def _summarise(trials: Sequence[ForestTrial], sensors: _Sensors, score_name: str) -> Importance:
    count, clusters = len(sensors.columns), sensors.clusters
    alone = _drop_all(trials, list(sensors.columns.values()))
    whole = _drop_clusters(trials, sensors, alone)
    shares = to_shares(alone.mean(axis=0) if trials else np.zeros(count))
    joint = whole.mean(axis=0) if trials else np.ones(len(clusters))
    each = np.array([to_shares(drop) for drop in alone]).reshape(-1, count)
    return Importance(
        sensors=tuple(sensors.columns),
        shares=tuple(shares.tolist()),
        spread=tuple((each.std(axis=0) if trials else np.zeros(count)).tolist()),
        replicates=tuple(tuple(row.tolist()) for row in each),
        clusters=clusters,
        cluster_shares=tuple(to_shares(joint).tolist()),
        interactions=_find_interactions(trials, sensors, alone),
        score_name=score_name,
        score=float(np.mean([trial.score for trial in trials])) if trials else float("nan"),
    )


def _pose(task: LearningTask, seed: int) -> tuple[ForestProblem, Columns]:
    """The problem, and the rows of the frame it is made of."""
    frame, labels, split = task.frame, task.labels, task.split
    targets = labels.value[:, None]
    if task.kind == "life":
        targets = np.column_stack([labels.fails_within(hours) for hours in task.horizons_hours])
    labelled = labels.usable & np.isfinite(targets).all(axis=1)
    train, held_out = (rows[labelled[rows]] for rows in (split.train, split.validation))
    train = keep_some(train, targets, seed)
    rows = np.concatenate([train, held_out])
    values = fill_and_squeeze(frame.values[rows], frame.values[_spaced(train)])
    problem = ForestProblem(
        values=values,
        targets=targets[rows],
        group=split.group[rows],
        train=np.arange(len(train)),
        held_out=np.arange(len(train), len(rows)),
        groups_part=_groups_part(frame, split),
        ranks=task.kind != "regression",
    )
    return problem, rows


def keep_some(train: Columns, targets: Float64, seed: int) -> Columns:
    """At most `TRAIN_ROWS`, all positive rows among them up to half."""
    binary = np.isin(targets[train], (0.0, 1.0)).all()
    positive = (targets[train].max(axis=1) == 1.0) & binary
    return thin_rows(train, positive, TRAIN_ROWS, np.random.default_rng(seed))


def _groups_part(frame: Frame, split: Split) -> bool:
    """Whether a left-out group is independent of the others: an asset, or a loose row.

    A block of time does: the next block of the same machine looks like it.
    """
    pairs = np.unique(np.column_stack([frame.asset, split.group]), axis=0)
    timeless = bool(len(frame.cutoff)) and frame.cutoff.min() == frame.cutoff.max()
    return timeless or len(pairs) == len(np.unique(frame.asset))


def _drop_all(trials: Sequence[ForestTrial], sets: Sequence[Columns]) -> Float64:
    """Score lost per trial and set, shape (n_trials, n_sets)."""
    with ThreadPoolExecutor(WORKERS) as pool:
        rows = list(pool.map(lambda trial: measure_drops(trial, sets), trials))
    return np.array(rows).reshape(len(trials), len(sets))


def _drop_clusters(trials: Sequence[ForestTrial], sensors: _Sensors, alone: Float64) -> Float64:
    """Score lost per trial and cluster; a cluster of one loses what its sensor loses."""
    clusters, columns = sensors.clusters, sensors.columns
    place = {sensor: at for at, sensor in enumerate(columns)}
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
    names, own = list(sensors.columns), list(sensors.columns.values())
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


def _spaced(rows: Columns) -> Columns:
    return rows[:: max(1, len(rows) // REFERENCE_ROWS)]


def to_shares(drops: Float64) -> Float64:
    """Losses as shares of their sum, losses below zero as none; equal where nothing is lost."""
    positive = np.clip(drops, 0.0, None)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(drops), 1.0 / len(drops))
