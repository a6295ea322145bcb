"""pm-app's network on a fold: the product's own stages in the product's own order.

The one place where the benchmark touches how a version is learned. It follows `learn` in
jobs/recipe.py and `train_candidate`, but for what those do besides (drift, gate, export), and
trains every strategy of a fold where the product trains the chosen one and its control.
TensorFlow leaks a little with every network, so a fold is learned in a process of its own.
"""

import time
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.quality.blocks import AUTO, CONTROL
from benchmarks.quality.models.judging import Said
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets.folds import Fold, Task

from pm_app.learning.allocation.planner import Planner, make_planner
from pm_app.learning.data.targets import choose_head
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import calibrate
from pm_app.learning.evaluation.metrics import best_threshold
from pm_app.learning.importance.permutation import REPLICATES, measure_importance
from pm_app.records.learning import Allocation, Calibration, Head
from pm_app.records.scores import Scores, scores_of
from pm_app.settings.plant import Settings
from pm_app.settings.strategies import STRATEGY_NAMES

if TYPE_CHECKING:
    from pm_app.learning.training.selection import AllocationTrial

PREFIX = "pm-app "
OURS = (AUTO, *(f"{PREFIX}{name}" for name in STRATEGY_NAMES))
_ROOT = Path(__file__).parents[4]
# Of pm_app/learning, what judges data or versions and changes no network.
_BESIDE = {"candidate", "drift", "promotion", "leakage", "sufficiency", "parity"}


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
    learning = (_ROOT / "pm_app" / "learning").rglob("*.py")
    return digest_of_files([*(p for p in learning if p.stem not in _BESIDE), Path(__file__)])


def said_by_ours(
    fold: Fold, task: Task, *, seed: int, wanted: Collection[str] = OURS
) -> list[tuple[str, Said, float]]:
    """What these models say of the judged rows, `auto` first, with processor seconds."""
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_say, fold, task, seed, wanted).result()


def train_like(
    study: LearningTask, name: str, plan: Allocation, other: "AllocationTrial", *, seed: int
) -> "AllocationTrial":
    """A plan trained with the penalty, dropout and rate of another trial."""
    from pm_app.learning.training.executor import train_here
    from pm_app.learning.training.selection import like, run_trials

    return run_trials(study, [like(name, plan, other, study)], seed=seed, train=train_here)[0]


def fit_ours(
    fold: Fold, task: Task, *, seed: int, wanted: Collection[str] = OURS
) -> Iterator[tuple[str, Fitted, dict[str, float | str], float]]:
    """Each, fitted: name, model, note, processor seconds; what `auto` chose comes first.

    Importance, the plans' size and the tuning of the control are shared by all strategies,
    whose penalty, dropout and rate are the control's, as `choose_allocation` has it.
    """
    from pm_app.learning.training.selection import choose_allocation

    start = time.process_time()
    head = head_of(fold, task)
    planner = planner_of(fold, task, head, seed=seed)
    study = learning_task(fold, task, head)
    chosen, control = choose_allocation(study, planner, "auto", seed=seed)
    choosing = time.process_time() - start
    start = time.process_time()
    best = fit_trial(fold, study, chosen, seed=seed)
    seconds = choosing + time.process_time() - start
    yield AUTO, best[0], {"chosen": chosen.name, **best[1]}, seconds
    for name in STRATEGY_NAMES:
        if PREFIX + name not in wanted:
            continue
        start = time.process_time()
        if name == chosen.name:
            yield PREFIX + name, *best, seconds
            continue
        if name == CONTROL.removeprefix(PREFIX):
            trial = control
        else:
            size = chosen.allocation.parameters
            trial = train_like(study, name, planner.plan(name, size=size), control, seed=seed)
        fitted, note = fit_trial(fold, study, trial, seed=seed)
        yield PREFIX + name, fitted, note, choosing + time.process_time() - start


def _say(
    fold: Fold, task: Task, seed: int, wanted: Collection[str]
) -> list[tuple[str, Said, float]]:
    values = fold.frame.values[fold.split.test]
    return [
        (name, Said(fitted.score(values), fitted.threshold, note), seconds)
        for name, fitted, note, seconds in fit_ours(fold, task, seed=seed, wanted=wanted)
    ]


def head_of(fold: Fold, task: Task) -> Head:
    """The product's head for a task, spans of life cut by what is learned from."""
    return choose_head(
        fold.labels,
        np.concatenate([fold.split.train, fold.split.validation]),
        task=task.kind,
        horizons_hours=task.horizons_hours,
        cap_hours=task.cap_hours,
    )


def learning_task(fold: Fold, task: Task, head: Head) -> LearningTask:
    """The fold as the product's training takes it."""
    return LearningTask(task.kind, task.horizons_hours, fold.frame, fold.labels, fold.split, head)


def planner_of(
    fold: Fold, task: Task, head: Head, *, seed: int, replicates: int = REPLICATES
) -> Planner:
    """Plans of every strategy, guided by the importance measured on this fold."""
    importance = measure_importance(
        learning_task(fold, task, head), seed=seed, replicates=replicates
    )
    return make_planner(
        fold.frame,
        fold.split.train,
        importance,
        outputs=max(len(head.edges_hours), 1),
        max_parameters=Settings().allocation.max_parameters,
    )


def fit_trial(
    fold: Fold, study: Any, trial: Any, *, seed: int
) -> tuple[Fitted, dict[str, float | str]]:
    """Train, calibrate, refit on all rows but the judged."""
    from pm_app.learning.network import answers
    from pm_app.learning.training.fit import Training, refit_network, train_network

    labels, split, head = fold.labels, fold.split, study.head
    training = Training(trial.allocation, trial.rate, seed)
    trained = trial.trained or train_network(study, training)
    whole = refit_network(study, training, rows=split.learned, like=trained).network
    output = answers(trained.network, fold.frame.values[split.calibration])
    group = split.group[split.calibration]
    calibration = calibrate(output, labels, split.calibration, head, group=group)
    threshold = None
    if head.kind == "classification":
        seen = answers(trained.network, fold.frame.values[split.validation])
        risk = scores_of(seen, head, calibration).risk[:, 0]
        threshold = best_threshold(risk, labels.value[split.validation])
    note = {"parameters": trial.allocation.parameters, "epochs": trained.epoch}
    return Fitted(whole, head, calibration, threshold), note
