"""A cell of the benchmark: one plant and seed, and what each model says of the modes there.

Every model learns from the train rows, is stopped and called by validation and calibration rows,
and is judged on the test: the product's network with modes, the same network with one hazard (both
without guidance, of the middle penalty), a forest, their pool at equal shares, and a gradient
boosting of all classes (LightGBM, of a few settings the one with the least log loss on validation).
Of simulated plants the simulator answers too: it knows the damage of every part, and what it names
wrong nobody can name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
from benchmarks.modes.plants import Judged
from benchmarks.quality.models.boosters import LIGHTGBM
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, f1_score

from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import event_truths
from pm_app.learning.evaluation.metrics import best_threshold, f1_at, macro_f1
from pm_app.learning.importance.permutation import measure_importance
from pm_app.learning.network import answers, mode_shares
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import mix_answers, mix_mode_shares
from pm_app.learning.ranking import planner_of
from pm_app.learning.training.fit import Training, strengthen, train_network
from pm_app.learning.training.selection import CONTROL, LIFE_GRID, TABLE_GRID
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import horizon_shares, raw_risk

# Of a multi-class booster: rounds at most, and how long no gain is borne.
ROUNDS, PATIENCE = 600, 40
# With fewer features each tree sees all of them.
FEW = 20
TRUTH = "the simulator itself"
EVENLY = 0.5, 0.5
Says = Callable[["_Rows"], tuple[Float64, Float64 | None]]
"""Rows to risks (n,) at the longest horizon, and shares of modes (n, modes)."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a part whose outcome is known: features, whether they fail, and the mode if so.

    place: their numbers in the frame.
    """

    place: np.ndarray
    values: Float32
    fails: Float64
    mode: np.ndarray


def measure(judged: Judged, *, seed: int) -> dict[str, dict[str, float]]:
    """Figures by model."""
    task = judged.task
    models = _peers(task, seed) | _ours(judged, seed)
    called, test = _judged_rows(task)
    return {name: _figures(says, called, test) for name, says in models.items()}


def measure_truth(judged: Judged) -> dict[str, dict[str, float]]:
    """Figures of what the simulator knows; nothing of a plant that is none of its own."""
    truth = judged.truth
    if truth is None:
        return {}
    known = np.flatnonzero(np.isfinite(truth.risk))
    called, test = _judged_rows(judged.task, known)
    return {
        TRUTH: _figures(
            lambda rows: (truth.risk[rows.place], truth.of_mode[rows.place]), called, test
        )
    }


def _judged_rows(task: LearningTask, known: np.ndarray | None = None) -> tuple[_Rows, _Rows]:
    """Rows that thresholds are found on, and those of the test; of these numbers alone."""
    parts = np.concatenate([task.split.validation, task.split.calibration]), task.split.test
    if known is not None:
        parts = tuple(np.intersect1d(part, known) for part in parts)
    called, test = (_rows(task, part) for part in parts)
    return called, test


def _ours(judged: Judged, seed: int) -> dict[str, Says]:
    task = judged.task
    alone = replace(task, head=replace(task.head, modes=()))
    importance = measure_importance(task, seed=seed)

    def network_of(one: LearningTask) -> object:
        plan = planner_of(one, importance, judged.settings).plan(CONTROL)
        l1, dropout, rate = (LIFE_GRID if one.kind == "life" else TABLE_GRID)[1]
        plan = strengthen(plan, one.frame.sensor_of, l1=l1, dropout=dropout)
        return train_network(one, Training(plan, rate, seed)).network

    network, single = network_of(task), network_of(alone)
    forest, plain = (fit_forest(one, one.split.train, seed=seed) for one in (task, alone))
    kind = task.head.kind

    def says(answer: Callable[..., Float32], shares: Callable[..., Float32] | None = None) -> Says:
        def said(rows: _Rows) -> tuple[Float64, Float64 | None]:
            output = answer(rows.values)
            risk = raw_risk(output, task.head)[:, -1]
            if shares is None:
                return risk, None
            return risk, horizon_shares(output, shares(rows.values), task.head)[:, -1]

        return said

    def pooled(values: Float32) -> Float32:
        return mix_answers([answers(network, values), forest(values)], EVENLY, kind)

    def pooled_shares(values: Float32) -> Float32:
        said = mode_shares(network, values), forest.mode_shares(values)
        return mix_mode_shares(said, EVENLY)

    def single_pooled(values: Float32) -> Float32:
        return mix_answers([answers(single, values), plain(values)], EVENLY, kind)

    return {
        "network": says(lambda v: answers(network, v), lambda v: mode_shares(network, v)),
        "forest": says(forest, forest.mode_shares),
        "pool": says(pooled, pooled_shares),
        "network, one hazard": says(lambda v: answers(single, v)),
        "forest, one hazard": says(plain),
        "pool, one hazard": says(single_pooled),
    }


def _peers(task: LearningTask, seed: int) -> dict[str, Says]:
    train, held = (_rows(task, rows) for rows in (task.split.train, task.split.validation))
    classes = len(task.head.modes) + 1
    tried = [_boosted(setting, train, held, (classes, seed)) for setting in LIGHTGBM]
    best = min(tried, key=lambda model: model.best_score["valid_0"]["multi_logloss"])
    trees = RandomForestClassifier(300, min_samples_leaf=2, n_jobs=1, random_state=seed)
    trees.fit(train.values, _classes(train))

    def of_trees(values: Float32) -> Float64:
        chances = np.zeros((len(values), classes))
        chances[:, trees.classes_] = trees.predict_proba(values)
        return chances

    def by_class(answer: Callable[[Float32], Float64]) -> Says:
        return lambda rows: (1.0 - answer(rows.values)[:, 0], answer(rows.values)[:, 1:])

    return {"LightGBM": by_class(best.predict), "random forest": by_class(of_trees)}


def _boosted(
    setting: tuple[float, int, int, float], train: _Rows, held: _Rows, classes_seed: tuple[int, int]
) -> lightgbm.Booster:
    rate, leaves, rows, penalty = setting
    classes, seed = classes_seed
    parameters = {
        "objective": "multiclass",
        "num_class": classes,
        "metric": "multi_logloss",
        "learning_rate": rate,
        "num_leaves": leaves,
        "min_data_in_leaf": rows,
        "lambda_l2": penalty,
        "feature_fraction": 0.5 if train.values.shape[1] > FEW else 1.0,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    data, stopped = (lightgbm.Dataset(each.values, _classes(each)) for each in (train, held))
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(parameters, data, ROUNDS, valid_sets=[stopped], callbacks=[stop])


def _rows(task: LearningTask, rows: np.ndarray) -> _Rows:
    fails = event_truths(task.labels, rows, task.head)[:, -1]
    there = np.isfinite(fails) & ((fails == 0) | (task.labels.mode[rows] >= 0))
    place = rows[there]
    return _Rows(place, task.frame.values[place], fails[there], task.labels.mode[place])


def _classes(rows: _Rows) -> np.ndarray:
    return np.where(rows.fails == 1.0, rows.mode + 1, 0)


def _figures(says: Says, called: _Rows, test: _Rows) -> dict[str, float]:
    threshold = best_threshold(says(called)[0], called.fails)
    risk, shares = says(test)
    found = {
        "average precision": float(average_precision_score(test.fails, risk)),
        "brier": float(np.mean((risk - test.fails) ** 2)),
        "f1": f1_at(risk, test.fails, threshold),
    }
    coming = (test.fails == 1.0) & (risk >= threshold)
    if shares is None or not coming.any():
        return found
    named, truth = shares[coming].argmax(axis=1), test.mode[coming]
    said = np.where(risk >= threshold, shares.argmax(axis=1) + 1, 0)
    return found | {
        "seen coming": float(coming.sum() / test.fails.sum()),
        "mode right": float(np.mean(named == truth)),
        "mode macro F1": macro_f1(named, truth),
        "macro F1 of all classes": float(f1_score(_classes(test), said, average="macro")),
        "most frequent mode": float(np.bincount(truth).max() / len(truth)),
    }
