"""pm-app's network on a fold: the product's own stages in the product's own order.

The one place where the benchmark touches how a version is learned. It follows `learn` in
jobs/recipe.py and `train_candidate`, but for what those do besides (drift, gate, export), and
trains every strategy of a fold where the product trains the chosen one and its control.
TensorFlow leaks a little with every network, so a fold is learned in a process of its own.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from benchmarks.quality.blocks import AUTO, CONTROL
from benchmarks.quality.judging import Said
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets import Fold, Task

from pm_app.learning.allocation import STRATEGIES
from pm_app.learning.calibration import calibrate
from pm_app.learning.evaluation import best_threshold
from pm_app.learning.importance import measure_importance
from pm_app.learning.targets import choose_head
from pm_app.records.learning import Calibration, Head
from pm_app.scores import Scores, scores_of
from pm_app.settings import Settings

PREFIX = "pm-app "
OURS = (AUTO, *(f"{PREFIX}{name}" for name in STRATEGIES))
_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A calibrated network; threshold for a called class, found on validation rows."""

    network: Any
    head: Head
    calibration: Calibration
    threshold: float | None

    def score(self, values: np.ndarray) -> Scores:
        """What the product would say of raw features, (n_rows, n_features)."""
        from pm_app.learning.network import answers

        return scores_of(answers(self.network, values), self.head, self.calibration)


def code_digest() -> str:
    """Of everything that decides what the network learns from a frame."""
    return digest_of_files([*(_ROOT / "pm_app" / "learning").rglob("*.py"), Path(__file__)])


def said_by_ours(fold: Fold, task: Task, *, seed: int) -> list[tuple[str, Said, float]]:
    """What every strategy says of the judged rows, `auto` first, with processor seconds."""
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_say, fold, task, seed).result()


def fit_ours(
    fold: Fold, task: Task, *, seed: int
) -> Iterator[tuple[str, Fitted, dict[str, float | str], float]]:
    """Each strategy, fitted: name, model, note, processor seconds; what `auto` chose comes first.

    Importance, the plans' size and the tuning of the control are shared by all strategies,
    whose penalty, dropout and rate are the control's, as `choose_allocation` has it.
    """
    from pm_app.learning.selection import Trial, choose_allocation
    from pm_app.learning.training import Study, mean_strength, strengthen

    start = time.process_time()
    head = choose_head(
        fold.labels,
        np.concatenate([fold.split.train, fold.split.validation]),
        task=task.kind,
        horizons_hours=task.horizons_hours,
        cap_hours=task.cap_hours,
    )
    plans = _plans(fold, task, head, seed)
    study = Study(fold.frame, fold.labels, fold.split.train, fold.split.validation, head)
    chosen, control = choose_allocation(study, plans, "auto", seed=seed)
    l1, dropout = mean_strength(control.allocation, fold.frame.sensor_of)
    trials = {
        name: Trial(
            name, strengthen(plan, fold.frame.sensor_of, l1=l1, dropout=dropout), 0.0, control.rate
        )
        for name, plan in plans.items()
    } | {CONTROL.removeprefix(PREFIX): control, chosen.name: chosen}
    choosing = time.process_time() - start
    for name in dict.fromkeys([chosen.name, *plans]):
        start = time.process_time()
        fitted, note = _fit(fold, study, trials[name], seed)
        seconds = choosing + time.process_time() - start
        if name == chosen.name:
            yield AUTO, fitted, {"chosen": name, **note}, seconds
        yield PREFIX + name, fitted, note, seconds


def _say(fold: Fold, task: Task, seed: int) -> list[tuple[str, Said, float]]:
    values = fold.frame.values[fold.split.test]
    return [
        (name, Said(fitted.score(values), fitted.threshold, note), seconds)
        for name, fitted, note, seconds in fit_ours(fold, task, seed=seed)
    ]


def _plans(fold: Fold, task: Task, head: Head, seed: int) -> dict[str, Any]:
    """A plan of every strategy, guided by the importance measured on this fold."""
    from pm_app.jobs.recipe import plan_allocations

    importance = measure_importance(
        fold.frame,
        fold.labels,
        fold.split,
        horizons_hours=task.horizons_hours,
        task=task.kind,
        seed=seed,
    )
    # The parts of a retraining's study that plans are made from.
    study = SimpleNamespace(frame=fold.frame, split=fold.split, head=head)
    return plan_allocations(study, importance, Settings())


def _fit(fold: Fold, study: Any, trial: Any, seed: int) -> tuple[Fitted, dict[str, float | str]]:
    """Train, refit on all labelled rows, calibrate."""
    from pm_app.learning.network import answers
    from pm_app.learning.training import refit_network, train_network

    labels, split, head = fold.labels, fold.split, study.head
    trained = train_network(study, trial.allocation, seed=seed, rate=trial.rate)
    whole = refit_network(study, trial.allocation, seed=seed, like=trained).network
    output = answers(whole, fold.frame.values[split.calibration])
    group = split.group[split.calibration]
    calibration = calibrate(output, labels, split.calibration, head, group=group)
    threshold = None
    if head.kind == "classification":
        seen = answers(trained.network, fold.frame.values[split.validation])
        risk = scores_of(seen, head, calibration).risk[:, 0]
        threshold = best_threshold(risk, labels.value[split.validation])
    note = {"parameters": trial.allocation.parameters, "epochs": trained.epoch}
    return Fitted(whole, head, calibration, threshold), note
