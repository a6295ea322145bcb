"""Boosters for comparison: gradient boosting or a random forest on the same features and rows."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from pm_app.learning.data.targets import Rows, known_lives
from pm_app.learning.evaluation.calibration import platt
from pm_app.learning.evaluation.metrics import average_precision
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.readings import Float32, Float64

# Feature rows (n, n_features) to the risk of the horizon and the hours left, (n,) each.
Answer = Callable[[Float32], tuple[Float64, Float64]]

_MOST_ROUNDS, _PATIENCE = 1000, 30
# Learning rate, leaves, rows a leaf needs: validation chooses.
_SETTINGS: Final = ((0.05, 15, 50), (0.05, 31, 20), (0.05, 7, 20))
_TREES, _LEAF_ROWS = 200, 5
_SMALLEST: Final = 1e-6


@dataclass(frozen=True, eq=False)
class Booster:
    """A fitted peer by its name."""

    name: str
    answer: Answer


@dataclass(frozen=True, eq=False)
class BoosterTask:
    """Rows a peer is fitted to, and what it predicts: risk of the horizon, life up to the cap."""

    frame: Frame
    labels: Labels
    split: Split
    horizon_hours: float
    cap_hours: float
    seed: int


def fit_booster(task: BoosterTask) -> Booster:
    """LightGBM where it is installed, a random forest else; risks calibrated as ours are (Platt).

    Both learn from the training and the validation rows; the former stops by validation first.
    """
    boosts = find_spec("lightgbm") is not None
    fit = _boost if boosts else _plant_forest
    split, labels, values = task.split, task.labels, task.frame.values
    truth = labels.fails_within(task.horizon_hours)
    risk_of = fit(task, truth, ranks=True)
    rul_of = fit(task, _lives(task), ranks=False)
    held = split.calibration[np.isfinite(truth[split.calibration])]
    slope, intercept = platt(_log_odds(risk_of(values[held])), truth[held])

    def answer(asked: Float32) -> tuple[Float64, Float64]:
        risk = 1 / (1 + np.exp(-(slope * _log_odds(risk_of(asked)) + intercept)))
        return risk, np.clip(rul_of(asked), 0, task.cap_hours)

    return Booster("LightGBM" if boosts else "random forest", answer)


def _lives(task: BoosterTask) -> Float64:
    """Hours left where they are known, NaN elsewhere, (n_rows,)."""
    lives, rows = known_lives(task.labels, np.arange(len(task.labels.life)), task.cap_hours)
    result = np.full(len(task.labels.life), np.nan)
    result[rows] = lives
    return np.where(task.labels.usable, result, np.nan)


def _boost(task: BoosterTask, truth: Float64, *, ranks: bool) -> Callable[[Float32], Float64]:
    import lightgbm

    values, split = task.frame.values, task.split
    train, held = (_labelled(truth, rows) for rows in (split.train, split.validation))

    def data(rows: Rows) -> Any:
        return lightgbm.Dataset(values[rows], truth[rows], free_raw_data=False)

    def fit(setting: tuple[float, int, int], rows: Rows, rounds: int, **early: Any) -> Any:
        rate, leaves, least = setting
        how = {
            "objective": "binary" if ranks else "regression",
            "learning_rate": rate,
            "num_leaves": leaves,
            "min_data_in_leaf": least,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "feature_fraction": 0.5,
            "num_threads": 2,
            "seed": task.seed,
            "verbosity": -1,
        }
        return lightgbm.train(how, data(rows), num_boost_round=rounds, **early)

    tried = []
    for setting in _SETTINGS:
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        model = fit(setting, train, _MOST_ROUNDS, valid_sets=[data(held)], callbacks=[stop])
        found = model.predict(values[held])
        error = float(np.mean((found - truth[held]) ** 2))
        merit = average_precision(found, truth[held]) if ranks else -error
        tried.append((merit, setting, max(1, model.best_iteration)))
    _, setting, rounds = max(tried)
    whole = fit(setting, np.concatenate([train, held]), rounds)
    return lambda asked: np.asarray(whole.predict(asked), dtype=float)


def _plant_forest(
    task: BoosterTask, truth: Float64, *, ranks: bool
) -> Callable[[Float32], Float64]:
    split = task.split
    rows = _labelled(truth, np.concatenate([split.train, split.validation]))
    kind = RandomForestClassifier if ranks else RandomForestRegressor
    forest = kind(_TREES, min_samples_leaf=_LEAF_ROWS, n_jobs=2, random_state=task.seed)
    forest.fit(task.frame.values[rows], truth[rows])
    if ranks:
        return lambda asked: np.asarray(forest.predict_proba(asked)[:, 1], dtype=float)
    return lambda asked: np.asarray(forest.predict(asked), dtype=float)


def _labelled(truth: Float64, rows: Rows) -> Rows:
    return rows[np.isfinite(truth[rows])]


def _log_odds(risk: Float64) -> Float64:
    inside = np.clip(risk, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(inside / (1 - inside)))
