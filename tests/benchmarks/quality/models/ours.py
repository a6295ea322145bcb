"""pm-app on a fold: the product's own stages in the product's own order.

The one place where the benchmark touches how a version is learned. It follows `learn` in
learning/pipeline.py up to the candidate, whose own reports are the figures: of the answer that
would be published, and of what the same fit holds beside it (the network alone, the forest alone,
the network without guidance). Strategies by themselves are fitted only where they are asked for.
TensorFlow leaks a little with every network, so a fold is learned in a process of its own.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.quality.blocks import (
    CONTROL,
    FOREST,
    GUIDED,
    NETWORK,
    OURS,
    PREFIX,
    SELECTED,
    SELECTION,
    UNGUIDED,
    VERSION,
)
from benchmarks.quality.models.judging import Measured, Note, figures_of
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets.folds import Fold, Task

from pm_app.features.limits import learn_limits, limit_features
from pm_app.learning import ranking
from pm_app.learning.allocation.feature_selection import counts_for
from pm_app.learning.allocation.planner import CONTROL_REPORT, Planner, control_plans
from pm_app.learning.data.targets import choose_head
from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.permutation import REPLICATES, measure_importance
from pm_app.learning.pool import shares
from pm_app.records.learning import Allocation, QualityReport
from pm_app.settings.plant import Settings
from pm_app.settings.strategies import STRATEGY_NAMES, strategy_named

if TYPE_CHECKING:
    from pm_app.learning.training.candidate import Candidate
    from pm_app.learning.training.selection import AllocationTrial

STRATEGIES = (CONTROL, *GUIDED, *SELECTION)
_SELECTED = SELECTED.removeprefix(PREFIX)
_ROOT = Path(__file__).parents[4]
# Of pm_app/learning, what judges data or versions and changes neither.
_BESIDE = {"pipeline", "drift", "promotion", "dealing", "leakage", "sufficiency", "parity"}


def code_digest() -> str:
    """Of everything that decides what a version learns from a frame."""
    learning = (p for p in (_ROOT / "pm_app/learning").rglob("*.py") if p.stem not in _BESIDE)
    limits = _ROOT / "pm_app/features/limits.py"
    return digest_of_files([*learning, limits, Path(__file__)])


def measure_version(
    fold: Fold, task: Task, seed: int, wanted: Collection[str] = OURS
) -> list[Measured]:
    """What a version says of the judged rows and what its members say alone, of one fit."""
    return _apart(_measure_version, fold, task, seed, wanted)


def measure_strategies(
    fold: Fold, task: Task, seed: int, wanted: Collection[str] = STRATEGIES
) -> list[Measured]:
    """What networks of these strategies say, all of the size and the tuning of the control."""
    return _apart(_measure_strategies, fold, task, seed, wanted)


def _apart(measure: Callable[..., list[Measured]], *asked: object) -> list[Measured]:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *asked).result()


def _measure_version(fold: Fold, task: Task, seed: int, wanted: Collection[str]) -> list[Measured]:
    start = time.process_time()
    candidate = train_version(fold, task, seed=seed)
    seconds = time.process_time() - start
    note = _note_of(candidate)
    return [
        (name, figures_of(report.metrics, task), note, seconds)
        for name, report in reports_by_model(candidate).items()
        if name in wanted
    ]


def train_version(fold: Fold, task: Task, *, seed: int) -> "Candidate":
    """The candidate of a first retraining, by the default settings."""
    from pm_app.learning.training.candidate import AllocationSearch, train_candidate

    fold = limit_fold(fold)
    study = learning_task(fold, task)
    search = AllocationSearch(planner_of(study, seed=seed))
    return train_candidate(study, search, seed=seed)


def reports_by_model(candidate: "Candidate") -> dict[str, QualityReport]:
    """A version's reports by what the benchmark calls the models; the first is who answers."""
    found = {report.model: report for report in candidate.reports}
    return {
        VERSION: candidate.reports[0],
        NETWORK: found[candidate.allocation.strategy],
        FOREST: found[shares.FOREST_REPORT],
        UNGUIDED: found[CONTROL_REPORT],
    }


def _note_of(candidate: "Candidate") -> Note:
    allocation, pool = candidate.allocation, candidate.pool
    note: Note = {"chosen": allocation.strategy, "parameters": allocation.parameters}
    if allocation.features:
        note["features"] = len(allocation.features)
    if pool is None:
        return note | {"share": 1.0}
    losses = {member.name: member.losses for member in pool.members} | {"pool": pool.losses}
    told = "; ".join(f"{n} {' '.join(f'{v:.4f}' for v in each)}" for n, each in losses.items())
    note |= {"share": pool.share(shares.NETWORK), "losses": told}
    boosted = pool.share(shares.BOOSTED)
    return note | {"boosted": boosted} if boosted else note


def _measure_strategies(
    fold: Fold, task: Task, seed: int, wanted: Collection[str]
) -> list[Measured]:
    start = time.process_time()
    study = learning_task(limit_fold(fold), task)
    trials = _trials_of(study, wanted, seed=seed)
    shared = time.process_time() - start
    told = []
    for model, trial in trials.items():
        start = time.process_time()
        report, note = fit_trial(study, trial, seed=seed)
        seconds = shared + time.process_time() - start
        told.append((model, figures_of(report.metrics, task), note, seconds))
    return told


def _trials_of(
    study: LearningTask, wanted: Collection[str], *, seed: int
) -> dict[str, "AllocationTrial"]:
    """Networks of these strategies as `choose_allocation` trains them, by model.

    Where features are selected the best number of them stands for the strategy, and its controls
    have as many.
    """
    from pm_app.learning.training.selection import stands_for_strategy, tune_allocation

    planner = planner_of(study, seed=seed)
    control = tune_allocation(study, STRATEGY_NAMES[0], planner.plan(STRATEGY_NAMES[0]), seed=seed)
    trials = {CONTROL: control}
    asked = [name for name in STRATEGY_NAMES[1:] if PREFIX + name in wanted]
    if set(wanted) & set(SELECTION):
        asked = list(dict.fromkeys([*asked, _SELECTED]))
    for name in asked:
        counts = counts_for(len(planner.order)) if strategy_named(name).selects else (None,)
        plans = [planner.plan(name, count=count) for count in counts]
        tried = [train_like(study, name, plan, control, seed=seed) for plan in plans]
        trials[PREFIX + name] = stands_for_strategy(name, control, tried)
    if set(wanted) & set(SELECTION):
        rows, selected = study.split.train, trials[SELECTED].allocation
        for name, plan in control_plans(planner, study.frame, rows, selected, seed=seed).items():
            if PREFIX + name in wanted:
                trials[PREFIX + name] = train_like(study, _SELECTED, plan, control, seed=seed)
    return {model: trial for model, trial in trials.items() if model in wanted}


def limit_fold(fold: Fold) -> Fold:
    """The fold as a version sees it: with missing what lies beyond what its train rows teach."""
    limits = learn_limits(fold.frame, fold.split.train, fold.paces)
    return replace(fold, frame=limit_features(fold.frame, limits))


def learning_task(fold: Fold, task: Task) -> LearningTask:
    """The fold as the product's training takes it, spans of life cut by what is learned from."""
    head = choose_head(
        fold.labels,
        np.concatenate([fold.split.train, fold.split.validation]),
        task=task.kind,
        horizons_hours=task.horizons_hours,
        cap_hours=task.cap_hours,
    )
    data = fold.frame, fold.labels, fold.split
    return LearningTask(task.kind, task.horizons_hours, *data, head, known_labels=fold.known_labels)


def planner_of(study: LearningTask, *, seed: int, replicates: int = REPLICATES) -> Planner:
    """Plans of every strategy, guided by the importance measured on this fold."""
    importance = measure_importance(study, seed=seed, replicates=replicates)
    return ranking.planner_of(study, importance, Settings())


def train_like(
    study: LearningTask, name: str, plan: Allocation, other: "AllocationTrial", *, seed: int
) -> "AllocationTrial":
    """A plan trained with the penalty, dropout and rate of another trial."""
    from pm_app.learning.training.executor import train_here
    from pm_app.learning.training.selection import like, run_trials

    return run_trials(study, [like(name, plan, other, study)], seed=seed, train=train_here)[0]


def fit_trial(
    study: LearningTask, trial: "AllocationTrial", *, seed: int
) -> tuple[QualityReport, Note]:
    """Train, refit on all rows but the judged, and judge as a version's members are."""
    from pm_app.learning.network import answers
    from pm_app.learning.training.crossfit import one_part
    from pm_app.learning.training.fit import Training, refit_network, train_network
    from pm_app.learning.training.members import Member, ask_folds, judge_member

    training = Training(trial.allocation, trial.rate, seed)
    trained = trial.trained or train_network(study, training)
    whole = refit_network(study.of_all_rows, training, rows=study.split.learned, like=trained)
    judged, refitted = (partial(answers, each.network) for each in (trained, whole))
    folds = one_part(study)
    member = Member(trial.name, judged, refitted, ask_folds(study, folds, [judged]))
    _, report = judge_member(study, member, folds)
    note: Note = {"parameters": trial.allocation.parameters, "epochs": trained.epoch}
    if trial.allocation.features:
        note["features"] = len(trial.allocation.features)
    return report, note
