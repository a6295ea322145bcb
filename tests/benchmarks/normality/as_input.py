"""Deviation as an input: the forest of a version with it and without it, on rows nobody has seen.

The plants and splits are those of the quality benchmark. Rows have deviations out of time, as a
retraining gives them; `settle_deviation` decides as the product does, on rows before the test.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from benchmarks.quality.sets import plants
from benchmarks.quality.sets.folds import Fold, QualitySet
from benchmarks.quality.sets.pumps import PUMPS
from benchmarks.quality.sets.robot import UR3
from benchmarks.quality.sets.single import SINGLE

from pm_app.features.limits import learn_limits, limit_features
from pm_app.jobs.retrain.dataset import gather_dataset
from pm_app.learning.data.targets import choose_head
from pm_app.learning.dataset import Dataset, LearningTask
from pm_app.learning.evaluation.metrics import average_precision
from pm_app.learning.normality.learn import HealthyRows
from pm_app.learning.normality.out_of_time import out_of_time_scores
from pm_app.learning.pipeline import settle_deviation
from pm_app.learning.pool.forest import fit_forest
from pm_app.records.scores import raw_risk
from pm_app.scoring.deviation import DEVIATION, with_deviation
from pm_app.settings.deviation import DeviationSettings

SETS = (*PUMPS, SINGLE, UR3)
SEEDS = (0, 1, 2)


def measure_as_input(open_data: Path) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """A set at a time: each fold's average precision without and with, and whether it is read."""
    for each in SETS:
        folds = {
            fold.name: _figures(each, fold, dataset) for fold, dataset in _folds(each, open_data)
        }
        yield f"deviation as an input, {each.name}", folds


def _folds(given: QualitySet, open_data: Path) -> Iterator[tuple[Fold, Dataset]]:
    """Folds of a set, each with the dataset it was cut from."""
    gathered: list[Dataset] = []

    def remember(*arguments: object, **named: object) -> Dataset:
        gathered.append(gather_dataset(*arguments, **named))
        return gathered[-1]

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(plants, "gather_dataset", remember),
    ):
        for fold in given.folds(open_data, Path(folder)):
            yield fold, gathered[-1]


def _figures(given: QualitySet, fold: Fold, dataset: Dataset) -> dict[str, float]:
    task, labels = given.task, dataset.labels
    nears = labels.failed & (labels.duration_hours <= task.cap_hours)
    rows = HealthyRows(dataset.frame, labels.usable & ~nears, dataset.spec)
    scores = out_of_time_scores(rows, DeviationSettings())
    offered = _task(given, replace(fold, frame=with_deviation(fold.frame, scores)))
    settled, _ = settle_deviation(offered, seed=0)
    test = fold.split.test
    truth = fold.labels.fails_within(task.horizon_hours)[test]
    asked = np.isfinite(truth)
    there = asked & np.isfinite(scores[test])
    alone = average_precision(scores[test][there], truth[there]) if there.any() else np.nan
    return {
        "deviation alone": alone,
        "without": _average(_task(given, fold), test[asked], truth[asked]),
        "with": _average(offered, test[asked], truth[asked]),
        "read": float(DEVIATION in settled.frame.features),
    }


def _task(given: QualitySet, fold: Fold) -> LearningTask:
    task, labels, split = given.task, fold.labels, fold.split
    frame = limit_features(fold.frame, learn_limits(fold.frame, split.train, fold.paces))
    head = choose_head(
        labels,
        fold.learn,
        task="life",
        horizons_hours=task.horizons_hours,
        cap_hours=task.cap_hours,
    )
    horizons = task.horizons_hours
    return LearningTask("life", horizons, frame, labels, split, head, None, fold.known_labels)


def _average(task: LearningTask, rows: np.ndarray, truth: np.ndarray) -> float:
    """Average precision of the forest that is published, mean of seeds."""
    values, every = task.frame.values[rows], task.of_all_rows
    found = []
    for seed in SEEDS:
        forest = fit_forest(every, task.split.learned, seed=seed)
        risk = raw_risk(forest(values), task.head)[:, -1]
        found.append(average_precision(risk, truth))
    return float(np.mean(found))
