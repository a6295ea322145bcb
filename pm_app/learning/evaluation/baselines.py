"""Baselines of a version: a random forest, and a constant guess."""

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from pm_app.learning.data.targets import Rows, known_lives
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import event_truths
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import Scores

# A forest grows with its rows but its ranking hardly does; this keeps it within seconds.
_MOST_ROWS = 15_000
# Rows of one life repeat each other: a tree on 40 % of them ranks as well, in a third of the time.
_FOREST: dict[str, Any] = {
    "n_estimators": 100,
    "min_samples_leaf": 5,
    "max_samples": 0.4,
    "n_jobs": 2,
}


def forest_scores(task: LearningTask, *, seed: int) -> Scores:
    """Scores of the test rows by random forests fitted to all others (Breiman 2001).

    One forest a horizon over rows whose outcome is known, one more for the life left.
    Without intervals: low and high are NaN.
    """
    labels, head, rows = task.labels, task.head, task.split.learned
    values, asked = task.frame.values, task.frame.values[task.split.test]
    rng = np.random.default_rng(seed)
    nothing = np.full(len(asked), np.nan)
    if head.kind == "regression":
        value = _regress(values, rows, labels.value[rows], asked, rng)
        return Scores(nothing[:, None], nothing, nothing, nothing, value)
    truths = event_truths(labels, rows, head)
    risk = np.stack([_classify(values, rows, truth, asked, rng) for truth in truths.T], 1)
    rul = nothing
    if head.kind == "hazard":
        lives, places = known_lives(labels, rows, head.edges_hours[-1])
        rul = _regress(values, rows[places], lives, asked, rng)
    return Scores(risk, rul, nothing, nothing, nothing)


def constant_scores(task: LearningTask) -> Scores:
    """Scores of the test rows that are the same for all: shares and means among the others."""
    labels, head, rows = task.labels, task.head, task.split.learned
    ones = np.ones(len(task.split.test))
    nothing = ones * np.nan
    if head.kind == "regression":
        value = labels.value[rows]
        low, high = np.quantile(value, (0.05, 0.95))
        return Scores(nothing[:, None], nothing, ones * low, ones * high, ones * value.mean())
    truths = event_truths(labels, rows, head)
    labelled = np.maximum(np.isfinite(truths).sum(axis=0), 1)
    risk = ones[:, None] * np.nansum(truths, axis=0) / labelled
    if head.kind == "classification":
        return Scores(risk, nothing, nothing, nothing, nothing)
    lives, _ = known_lives(labels, rows, head.edges_hours[-1])
    low, high = np.quantile(lives, (0.05, 0.95))
    return Scores(risk, ones * lives.mean(), ones * low, ones * high, nothing)


def _classify(
    values: Float32, rows: Rows, truth: Float64, asked: Float32, rng: np.random.Generator
) -> Float64:
    usable = np.flatnonzero(np.isfinite(truth))
    if len(np.unique(truth[usable])) < 2:
        return np.full(len(asked), float(np.nanmean(truth)) if len(usable) else 0.0)
    chosen = _some(usable, rng)
    forest = RandomForestClassifier(**_FOREST, random_state=int(rng.integers(2**31)))
    forest.fit(values[rows[chosen]], truth[chosen] > 0)
    return np.asarray(forest.predict_proba(asked)[:, 1])


def _regress(
    values: Float32, rows: Rows, truth: Float64, asked: Float32, rng: np.random.Generator
) -> Float64:
    chosen = _some(np.arange(len(rows)), rng)
    # A third of the features is Breiman's rule; with many correlated ones fewer do.
    tried = "sqrt" if values.shape[1] > 100 else 1 / 3
    seed = int(rng.integers(2**31))
    forest = RandomForestRegressor(**_FOREST, max_features=tried, random_state=seed)
    forest.fit(values[rows[chosen]], truth[chosen])
    return np.asarray(forest.predict(asked))


def _some(places: Rows, rng: np.random.Generator) -> Rows:
    if len(places) <= _MOST_ROWS:
        return places
    return np.sort(rng.choice(places, _MOST_ROWS, replace=False))
