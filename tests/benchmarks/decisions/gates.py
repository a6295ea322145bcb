"""Challengers that deserve nothing: on the very data of the champion, or on shuffled labels.

A forest stands for the network: it is quick, it overfits as willingly, and the gate sees nothing
but risks.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks.decisions.plants import Grown
from sklearn.ensemble import ExtraTreesClassifier

from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import calibrate
from pm_app.learning.evaluation.first_version import FirstVersionRows, judge_first
from pm_app.learning.evaluation.promotion import HeldOutRows, judge
from pm_app.learning.importance.forest import fill_and_squeeze
from pm_app.learning.ranking import make_task
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.scores import scores_of

TREES = 50
LEAF_ROWS = 5
ROWS_A_TREE = 0.4
CHALLENGERS = 2
# What the gate is asked under: a verdict that demands nothing, one that asks for a newer
# version, and no champion at all.
VERDICTS = ("keep", "refit", "first")

# Risks of the test rows, from a study, a seed, and whether its labels are shuffled.
Learner = Callable[[LearningTask, int, bool], np.ndarray]


def challenge(
    plant: Grown, *, day: float, learner: Learner, challengers: int = CHALLENGERS
) -> list[dict[str, Any]]:
    """A row a challenger: what the gate says of it under each verdict."""
    study = make_task(plant.known(day), plant.settings)
    seed = 1000 * plant.plan.seed
    champion = learner(study, seed, False)
    rows = []
    for number in range(2 * challengers):
        start = time.process_time()
        shuffled = number >= challengers
        risk = learner(study, seed + 1 + number, shuffled)
        row = {"kind": "shuffled" if shuffled else "same", **ask(study, risk, champion)}
        rows.append({**row, "seconds": round(time.process_time() - start, 2)})
    return rows


def ask(study: LearningTask, risk: np.ndarray, champion: np.ndarray) -> dict[str, Any]:
    """Whether the gate promotes by each verdict, and why not or why under "keep"."""
    truth = study.labels.fails_within(study.head.horizons_hours[-1])
    test = study.split.test
    rows = HeldOutRows(truth[test], study.split.group[test], True)
    first = FirstVersionRows(
        study.frame.asset[test],
        study.frame.cutoff[test],
        float(np.nanmean(truth[study.split.learned])),
    )
    found: dict[str, Any] = {}
    for verdict in VERDICTS:
        judgement = (
            judge_first(risk, rows, first)
            if verdict == "first"
            else judge(risk, champion, rows, verdict=verdict)
        )
        found[verdict] = judgement.promote
        if verdict == "keep":
            found["reason"] = judgement.reason
    return found


def forest(study: LearningTask, seed: int, shuffled: bool) -> np.ndarray:
    """Risks by a forest with the product's calibration; it sees no test row, and where labels
    are shuffled none of its own."""
    split, horizon = study.split, study.head.horizons_hours[-1]
    head = Head("hazard", (horizon,), (horizon,))
    labels = shuffle_labels(study.labels, split.learned, seed) if shuffled else study.labels
    learned = np.concatenate([split.train, split.validation])
    truth = labels.fails_within(horizon)[learned]
    known = np.isfinite(truth)
    values = fill_and_squeeze(study.frame.values, study.frame.values[learned])
    learner = ExtraTreesClassifier(
        TREES,
        min_samples_leaf=LEAF_ROWS,
        bootstrap=True,
        max_samples=ROWS_A_TREE,
        random_state=seed,
    )
    learner.fit(values[learned[known]], truth[known] > 0)

    def survival(rows: np.ndarray) -> np.ndarray:
        return np.asarray(learner.predict_proba(values[rows])[:, :1])

    asked = split.calibration
    found = calibrate(survival(asked), labels, asked, head, group=split.group[asked])
    return scores_of(survival(split.test), head, found).risk[:, -1]


def shuffle_labels(labels: Labels, rows: np.ndarray, seed: int) -> Labels:
    """Labels of which these rows have each other's."""
    dealt = np.random.default_rng(seed).permutation(rows)
    duration, failed = labels.duration_hours.copy(), labels.failed.copy()
    duration[rows], failed[rows] = labels.duration_hours[dealt], labels.failed[dealt]
    return replace(labels, duration_hours=duration, failed=failed)
