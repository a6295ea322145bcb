"""Gradient boosting as it is used well: a few settings tried, early stopping on other groups.

Rounds are chosen by early stopping on log loss or squared error, the setting by average precision
or RMSE, both on validation groups; then all learning rows are fitted for as many rounds.
Where features are many each tree sees a quarter of them at coarser borders: quicker, and no
worse. Where they are few (AI4I's six) only fine borders and patience find their products.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.quality.models.peers import THREADS, Answer, Learner, Predict, Question

MOST_ROUNDS, MANY_FEATURES = 1500, 100

# Learning rate, leaves or depth, rows (or weight) a leaf needs, L2 penalty.
LIGHTGBM = ((0.08, 7, 20, 1.0), (0.08, 15, 50, 5.0), (0.08, 31, 10, 1.0), (0.04, 15, 100, 10.0))
XGBOOST = ((0.08, 3, 5, 1.0), (0.08, 5, 10, 5.0), (0.08, 6, 2, 1.0), (0.04, 4, 20, 10.0))
CATBOOST = ((0.1, 4, 1, 3.0), (0.1, 6, 1, 3.0), (0.1, 5, 1, 20.0), (0.06, 5, 1, 5.0))

Setting = tuple[float, int, int, float]
# (setting, question, seed, rounds or None to stop early) to a model and its number of rounds.
Fit = Callable[[Setting, Question, int, int | None], tuple[Any, int]]


def _tuned(fit: Fit, settings: tuple[Setting, ...]) -> Learner:
    def learner(question: Question, seed: int) -> Answer:
        tried = [fit(setting, question, seed, None) for setting in settings]
        said = [_predictor(model, question)(question.held[0]) for model, _ in tried]
        best = int(np.argmax([question.merit(each) for each in said]))
        whole, _ = fit(settings[best], question, seed, tried[best][1])
        return Answer(_predictor(whole, question), said[best])

    return learner


def _predictor(model: Any, question: Question) -> Predict:
    if question.ranks:
        return lambda values: np.asarray(model.predict_proba(values)[:, 1], dtype=float)
    return lambda values: np.asarray(model.predict(values), dtype=float)


@dataclass(frozen=True)
class _Pace:
    """How much of the table each tree sees, how long no gain is borne, and what the learning
    rate of a setting is multiplied by."""

    haste: float
    features: float
    rows: float
    patience_rounds: int
    borders: int


def _pace(question: Question) -> _Pace:
    many = question.fit[0].shape[1] >= MANY_FEATURES
    return _Pace(1.5, 0.25, 0.7, 25, 64) if many else _Pace(1.0, 1.0, 0.9, 100, 254)


def _lightgbm(
    setting: Setting, question: Question, seed: int, rounds: int | None
) -> tuple[Any, int]:
    import lightgbm

    rate, leaves, rows, penalty = setting
    pace = _pace(question)
    kind = lightgbm.LGBMClassifier if question.ranks else lightgbm.LGBMRegressor
    model = kind(
        n_estimators=rounds or MOST_ROUNDS,
        learning_rate=rate * pace.haste,
        num_leaves=leaves,
        min_child_samples=rows,
        reg_lambda=penalty,
        colsample_bytree=pace.features,
        subsample=pace.rows,
        subsample_freq=1,
        max_bin=pace.borders + 1,
        n_jobs=THREADS,
        random_state=seed,
        verbose=-1,
    )
    if rounds:
        return model.fit(*question.every), rounds
    stop = lightgbm.early_stopping(pace.patience_rounds, verbose=False)
    metric = "binary_logloss" if question.ranks else "l2"
    model.fit(*question.fit, eval_set=[question.held], eval_metric=metric, callbacks=[stop])
    return model, max(1, model.best_iteration_)


def _xgboost(
    setting: Setting, question: Question, seed: int, rounds: int | None
) -> tuple[Any, int]:
    from xgboost import XGBClassifier, XGBRegressor

    rate, depth, weight, penalty = setting
    pace = _pace(question)
    kind = XGBClassifier if question.ranks else XGBRegressor
    model = kind(
        n_estimators=rounds or MOST_ROUNDS,
        learning_rate=rate * pace.haste,
        max_depth=depth,
        min_child_weight=weight if not question.ranks else weight / 4,
        reg_lambda=penalty,
        colsample_bytree=pace.features,
        subsample=pace.rows,
        max_bin=pace.borders + 1,
        tree_method="hist",
        n_jobs=THREADS,
        random_state=seed,
        early_stopping_rounds=None if rounds else pace.patience_rounds,
    )
    if rounds:
        return model.fit(*question.every), rounds
    model.fit(*question.fit, eval_set=[question.held], verbose=False)
    return model, model.best_iteration + 1


def _catboost(
    setting: Setting, question: Question, seed: int, rounds: int | None
) -> tuple[Any, int]:
    from catboost import CatBoostClassifier, CatBoostRegressor

    rate, depth, _, penalty = setting
    pace = _pace(question)
    kind = CatBoostClassifier if question.ranks else CatBoostRegressor
    model = kind(
        iterations=rounds or MOST_ROUNDS,
        learning_rate=rate * pace.haste,
        depth=depth,
        l2_leaf_reg=penalty,
        rsm=pace.features,
        bootstrap_type="Bernoulli",
        subsample=pace.rows,
        border_count=pace.borders,
        thread_count=THREADS,
        random_seed=seed,
        allow_writing_files=False,
        verbose=False,
    )
    if rounds:
        return model.fit(*question.every), rounds
    model.fit(*question.fit, eval_set=question.held, early_stopping_rounds=pace.patience_rounds)
    return model, max(1, model.tree_count_)


BOOSTERS: dict[str, Learner] = {
    "LightGBM": _tuned(_lightgbm, LIGHTGBM),
    "XGBoost": _tuned(_xgboost, XGBOOST),
    "CatBoost": _tuned(_catboost, CATBOOST),
}
