"""Baselines of a version: a random forest, and a constant guess."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from pm_app.learning.data.targets import Rows, known_lives
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import event_truths
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import Scores

# A forest grows with its rows but its ranking hardly does; this keeps it within seconds.
_MOST_ROWS = 15_000
_TREES = 100
_LEAF_ROWS = 5
_JOBS = 2
# Rows of one life repeat each other: a tree on this share of them ranks as well, in a third of
# the time.
_ROWS_A_TREE = 0.4


def forest_scores(task: LearningTask, *, seed: int) -> Scores:
    """Scores of the test rows by random forests fitted to all others (Breiman 2001).

    One forest a horizon over rows whose outcome is known, one more for the life left.
    Without intervals: low and high are NaN.
    """
    labels, head, rows = task.labels, task.head, task.split.learned
    values, asked = task.frame.values, task.frame.values[task.split.test]
    rng = np.random.default_rng(seed)
    if head.kind == "regression":
        value = _regress(values, rows, labels.value[rows], asked, rng)
        return _scores(np.full((len(asked), 1), np.nan), len(asked), value=value)
    truths = event_truths(labels, rows, head)
    risk = np.stack([_classify(values, rows, truth, asked, rng) for truth in truths.T], 1)
    if head.kind == "classification":
        return _scores(risk, len(asked))
    lives, known = known_lives(labels, rows, head.edges_hours[-1])
    return _scores(risk, len(asked), rul=_regress(values, rows[known], lives, asked, rng))


def constant_scores(task: LearningTask) -> Scores:
    """Scores of the test rows that are the same for all: shares and means among the others."""
    labels, head, rows = task.labels, task.head, task.split.learned
    count = len(task.split.test)
    ones = np.ones(count)
    if head.kind == "regression":
        value = labels.value[rows]
        low, high = np.quantile(value, (0.05, 0.95))
        constant = _scores(np.full((count, 1), np.nan), count, value=ones * value.mean())
        return Scores(constant.risk, constant.rul, ones * low, ones * high, constant.value)
    truths = event_truths(labels, rows, head)
    known = np.maximum(np.isfinite(truths).sum(axis=0), 1)
    risk = ones[:, None] * np.nansum(truths, axis=0) / known
    if head.kind == "classification":
        return _scores(risk, count)
    lives, _ = known_lives(labels, rows, head.edges_hours[-1])
    low, high = np.quantile(lives, (0.05, 0.95))
    return Scores(risk, ones * lives.mean(), ones * low, ones * high, ones * np.nan)


def _scores(
    risk: Float64, count: int, *, rul: Float64 | None = None, value: Float64 | None = None
) -> Scores:
    nothing = np.full(count, np.nan)
    return Scores(
        risk,
        nothing if rul is None else rul,
        nothing,
        nothing,
        nothing if value is None else value,
    )


def _classify(
    values: Float32,
    rows: Rows,
    truth: Float64,
    asked: Float32,
    rng: np.random.Generator,
) -> Float64:
    usable = np.flatnonzero(np.isfinite(truth))
    if len(np.unique(truth[usable])) < 2:
        return np.full(len(asked), float(np.nanmean(truth)) if len(usable) else 0.0)
    chosen = _some(usable, rng)
    forest = RandomForestClassifier(
        _TREES,
        min_samples_leaf=_LEAF_ROWS,
        max_samples=_ROWS_A_TREE,
        n_jobs=_JOBS,
        random_state=int(rng.integers(2**31)),
    )
    forest.fit(values[rows[chosen]], truth[chosen] > 0)
    return np.asarray(forest.predict_proba(asked)[:, 1])


def _regress(
    values: Float32,
    rows: Rows,
    truth: Float64,
    asked: Float32,
    rng: np.random.Generator,
) -> Float64:
    chosen = _some(np.arange(len(rows)), rng)
    forest = RandomForestRegressor(
        _TREES,
        min_samples_leaf=_LEAF_ROWS,
        max_samples=_ROWS_A_TREE,
        # A third of the features is Breiman's rule; with many correlated ones fewer do.
        max_features="sqrt" if values.shape[1] > 100 else 1 / 3,
        n_jobs=_JOBS,
        random_state=int(rng.integers(2**31)),
    )
    forest.fit(values[rows[chosen]], truth[chosen])
    return np.asarray(forest.predict(asked))


def _some(places: Rows, rng: np.random.Generator) -> Rows:
    if len(places) <= _MOST_ROWS:
        return places
    return np.sort(rng.choice(places, _MOST_ROWS, replace=False))
