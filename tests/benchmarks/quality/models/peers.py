"""What people use today, on the same features and rows, tuned modestly and honestly.

Each peer is fitted to the train rows of a fold and tuned on its validation and calibration rows
(other engines, pumps or stops: groups are never cut), then fitted anew to all three as tuned.
One model answers the risk, another the life left up to the cap.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.quality.models.judging import Said, risk_and_life
from benchmarks.quality.sets.folds import Fold, Task
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pm_app.learning.data.targets import known_lives
from pm_app.learning.evaluation.metrics import best_threshold
from pm_app.records.labels import Labels

THREADS = int(os.environ.get("PM_APP_QUALITY_THREADS", "2"))
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
SHRINKAGES = (1e0, 1e1, 1e2, 1e3, 1e4)
# Trees for a risk and for the life left; rows a leaf needs; share of rows a tree sees. Rows of
# one life repeat each other, rows of a table do not.
LIVES_FOREST, TABLE_FOREST = (150, 60, 5, 0.4), (300, 0, 2, 1.0)
LAYERS, BATCH_ROWS, MOST_EPOCHS, PATIENCE = (64, 32), 256, 60, 10

Pairs = tuple[np.ndarray, np.ndarray]
Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Question:
    """One target of a fold: rows and answers to fit, to tune by, and both together.

    ranks: the answer is a class, 0.0 or 1.0, and a risk is wanted; else a number. called: a
    threshold will be sought among what is said of the rows to tune by.
    """

    ranks: bool
    called: bool
    fit: Pairs
    held: Pairs
    every: Pairs

    def merit(self, said: np.ndarray) -> float:
        """Average precision of the rows to tune by, or minus their RMSE."""
        truth = self.held[1]
        if self.ranks:
            return float(average_precision_score(truth, said))
        return -float(np.sqrt(np.mean((said - truth) ** 2)))


@dataclass(frozen=True, eq=False)
class Answer:
    """A tuned model: as fitted to all learning rows, and what it said of rows held back."""

    predict: Predict
    held: np.ndarray


Learner = Callable[[Question, int], Answer]


def ask(fold: Fold, learner: Learner, task: Task, *, seed: int) -> tuple[Answer, Answer | None]:
    """The tuned models of the risk and, for lives, of the life left."""
    risk = learner(risk_question(fold, task), seed)
    return risk, learner(life_question(fold, task), seed) if task.kind == "life" else None


def said_by(answers: Sequence[tuple[Answer, Answer | None]], fold: Fold, task: Task) -> Said:
    """What the mean of some peers says of the judged rows; note: its merit on rows to tune by."""
    values = fold.frame.values[fold.split.test]
    risks, lives = zip(*answers, strict=True)
    risk = np.mean([each.predict(values) for each in risks], axis=0)
    held = np.mean([each.held for each in risks], axis=0)
    question = risk_question(fold, task)
    note: dict[str, float | str] = {"held_ap": round(question.merit(held), 5)}
    if task.kind != "life":
        threshold = best_threshold(held, question.held[1])
        return Said(risk_and_life(risk, None), threshold, note)
    life = np.mean([each.predict(values) for each in lives], axis=0)
    merit = life_question(fold, task).merit(np.mean([each.held for each in lives], axis=0))
    note["held_rmse"] = round(-merit / task.unit_hours, 5)
    return Said(risk_and_life(risk, np.clip(life, 0.0, task.cap_hours)), note=note)


def risk_question(fold: Fold, task: Task) -> Question:
    """Rows whose outcome at the horizon is known, or that have a label."""

    def known(labels: Labels, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lives = task.kind == "life"
        truth = (labels.fails_within(task.horizon_hours) if lives else labels.value)[rows]
        return rows[np.isfinite(truth)], truth[np.isfinite(truth)]

    return _pose(fold, task, True, known)


def life_question(fold: Fold, task: Task) -> Question:
    """Rows whose life left is known, up to the cap."""

    def known(labels: Labels, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lives, place = known_lives(labels, rows, task.cap_hours)
        return rows[place], lives

    return _pose(fold, task, False, known)


def linear(question: Question, seed: int) -> Answer:
    """Logistic or ridge regression on scaled, median-filled features."""

    def make(strength: float) -> Any:
        model = LogisticRegression(C=strength, max_iter=400) if question.ranks else Ridge(strength)
        return make_pipeline(*_prepared(), model)

    strengths = PENALTIES if question.ranks else SHRINKAGES
    fitted = [make(strength).fit(*question.fit) for strength in strengths]
    said = [_predictor(model, question.ranks)(question.held[0]) for model in fitted]
    best = int(np.argmax([question.merit(each) for each in said]))
    whole = make(strengths[best]).fit(*question.every)
    return Answer(_predictor(whole, question.ranks), said[best])


def forest(question: Question, seed: int) -> Answer:
    """A random forest (Breiman 2001), as most reach for first; nothing is tuned."""
    risk_trees, life_trees, leaf_rows, share = TABLE_FOREST if question.called else LIVES_FOREST
    options = {
        "n_estimators": risk_trees if question.ranks else life_trees,
        "min_samples_leaf": leaf_rows,
        "max_samples": share,
        "max_features": "sqrt",
        "n_jobs": THREADS,
        "random_state": seed,
    }
    kind = RandomForestClassifier if question.ranks else RandomForestRegressor

    def fit(pairs: Pairs) -> Predict:
        model = make_pipeline(SimpleImputer(strategy="median"), kind(**options))
        return _predictor(model.fit(*pairs), question.ranks)

    return Answer(fit(question.every), fit(question.fit)(question.held[0]))


def plain_network(question: Question, seed: int) -> Answer:
    """Two hidden layers with ReLU and Adam, stopped by groups held back."""
    best, best_epoch, said = -np.inf, 1, np.empty(0)
    model = _Plain(question, question.fit, seed)
    for epoch in range(1, MOST_EPOCHS + 1):
        model.epoch()
        now = model.predict(question.held[0])
        merit = question.merit(now)
        if merit > best:
            best, best_epoch, said = merit, epoch, now
        elif epoch - best_epoch >= PATIENCE:
            break
    whole = _Plain(question, question.every, seed)
    for _ in range(best_epoch):
        whole.epoch()
    return Answer(whole.predict, said)


class _Plain:
    """scikit-learn's network, an epoch at a time; its own early stopping would part by row."""

    def __init__(self, question: Question, pairs: Pairs, seed: int) -> None:
        self._ranks = question.ranks
        self._scale = make_pipeline(*_prepared()).fit(pairs[0])
        # Answers of about unit size, so that one learning rate suits hours and seconds.
        self._unit = 1.0 if question.ranks else float(np.max(np.abs(pairs[1])))
        self._values, self._truth = self._scale.transform(pairs[0]), pairs[1] / self._unit
        kind = MLPClassifier if question.ranks else MLPRegressor
        self._model = kind(hidden_layer_sizes=LAYERS, batch_size=BATCH_ROWS, random_state=seed)

    def epoch(self) -> None:
        classes = {"classes": [0.0, 1.0]} if self._ranks else {}
        self._model.partial_fit(self._values, self._truth, **classes)

    def predict(self, values: np.ndarray) -> np.ndarray:
        return self._unit * _predictor(self._model, self._ranks)(self._scale.transform(values))


PEERS: dict[str, Learner] = {
    "logistic / ridge": linear,
    "random forest": forest,
    "plain network": plain_network,
}


def _pose(
    fold: Fold,
    task: Task,
    ranks: bool,
    known: Callable[[Labels, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> Question:
    """What to fit, to tune by, and both together, which know all there was before the judged."""
    split = fold.split
    parts = (
        (fold.labels, split.train),
        (fold.labels, np.concatenate([split.validation, split.calibration])),
        (fold.known_labels or fold.labels, fold.learn),
    )
    pairs = []
    for part in parts:
        rows, truth = known(*part)
        pairs.append((fold.frame.values[rows], truth.astype(float)))
    return Question(ranks, task.kind != "life", *pairs)


def _prepared() -> tuple[Any, ...]:
    return SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()


def _predictor(model: Any, ranks: bool) -> Predict:
    if ranks:
        return lambda values: np.asarray(model.predict_proba(values)[:, 1], dtype=float)
    return lambda values: np.asarray(model.predict(values), dtype=float).ravel()
