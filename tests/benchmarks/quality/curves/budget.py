"""Accuracy against parameter budget, with and without nuisance sensors: what is measured.

At each budget the control is tuned over the product's grid on validation groups; guided
strategies take its penalty, dropout and rate, as the product has it. Then everything is refitted
and calibrated as a version would be, and judged on rows that nobody saw.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.quality.models.judging import figures_of
from benchmarks.quality.models.ours import (
    fit_trial,
    learning_task,
    limit_fold,
    planner_of,
    train_like,
)
from benchmarks.quality.results import Cell, digest_of_data, digest_of_files
from benchmarks.quality.sets.folds import Fold, Task

from pm_app.learning.allocation.planner import CONTROL, Planner
from pm_app.learning.dataset import LearningTask
from pm_app.records.learning import Allocation

GUIDED = ("regularized", "tiers", "tiers+regularized")
CURVES = (CONTROL, *GUIDED)
BUDGETS = (1_000, 3_000, 10_000, 30_000, 100_000)
NUISANCE = (0, 60, 300)
BOOSTER = "LightGBM"
# Hundreds of sensors permuted one by one cost more than all else; the product takes more.
REPLICATES = 3
# The place of a fold in cells that hold what scoring costs, which no fold changes much.
COST = "scoring cost"
_ROOT = Path(__file__).parents[4]


@dataclass(frozen=True, eq=False)
class Asked:
    """One fold with its nuisance in it, and all that networks of any budget share."""

    fold: Fold
    task: Task
    study: LearningTask
    planner: Planner
    seed: int

    def plan(self, strategy: str, budget: int) -> Allocation | None:
        """The plan of a strategy, None where not even its smallest network fits the budget."""
        plan = self.planner.plan(strategy, size=budget)
        return plan if plan.parameters <= budget else None


def ask(fold: Fold, task: Task, *, seed: int) -> Asked:
    """Measure importance, nuisance included."""
    fold = limit_fold(fold)
    study = learning_task(fold, task)
    return Asked(fold, task, study, planner_of(study, seed=seed, replicates=REPLICATES), seed)


def set_name(subset: str, nuisance: int) -> str:
    """What cells of a fold with so many nuisance sensors are filed under."""
    return f"{subset} + {nuisance} nuisance sensors" if nuisance else subset


def model_name(strategy: str, budget: int) -> str:
    """What a cell's model is called."""
    return f"{strategy}, {budget}"


def digests(fold: Fold, task: Task, nuisance: int) -> tuple[str, str]:
    """Of the data and of the code of cells; fold: as it is before nuisance is added."""
    quality = Path(__file__).parents[1]
    noise = digest_of_files([quality / "sets/nuisance.py"])[:4] if nuisance else "plain"
    code = [
        *(_ROOT / "pm_app" / "learning").rglob("*.py"),
        quality / "models/ours.py",
        Path(__file__),
    ]
    return f"{digest_of_data(fold, task)} {noise}", digest_of_files(code)


def measure_budget(asked: Asked, budget: int, strategies: Sequence[str]) -> list[Cell]:
    """A cell of the control and each of the strategies, named and dated by the caller."""
    from pm_app.learning.training.selection import tune_allocation

    study, seed = asked.study, asked.seed
    plan = asked.plan(CONTROL, budget)
    if plan is None:
        return [_no_network(name, budget) for name in strategies]
    begun = time.process_time()
    control = tune_allocation(study, CONTROL, plan, seed=seed)
    tuning = time.process_time() - begun
    cells = []
    for name in strategies:
        begun = time.process_time()
        plan = asked.plan(name, budget)
        if plan is None:
            cells.append(_no_network(name, budget))
            continue
        like_control = name == CONTROL
        trial = control if like_control else train_like(study, name, plan, control, seed=seed)
        report, note = fit_trial(study, trial, seed=seed)
        seconds = tuning + time.process_time() - begun
        note |= {"l1": float(sum(trial.allocation.l1) / len(trial.allocation.l1))}
        cells.append(_cell(name, budget, figures_of(report.metrics, asked.task), seconds, note))
    return cells


def measure_costs(asked: Asked, budgets: Sequence[int]) -> list[Cell]:
    """A cell of every strategy and budget: microseconds a row, and their ratio to the control
    of the largest budget, measured turn by turn."""
    from benchmarks.quality.curves.cost import scoring_costs

    plans = {
        (name, budget): plan
        for budget in budgets
        for name in CURVES
        if (plan := asked.plan(name, budget)) is not None
    }
    if not plans:
        return []
    few = asked.fold.frame.take(asked.fold.split.test[:200])
    named = {model_name(*key): plan for key, plan in plans.items()}
    found = scoring_costs(named, few, asked.study.head, seed=asked.seed)
    whole = found.get(model_name(CONTROL, max(budgets)), float("nan"))
    return [
        _cell(
            *key,
            {"microseconds": found[model_name(*key)], "ratio": found[model_name(*key)] / whole},
            0.0,
            {"parameters": plan.parameters},
        )
        for key, plan in plans.items()
    ]


def one_process() -> ProcessPoolExecutor:
    """A process to train in; TensorFlow leaks a little with every network."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))


def _no_network(strategy: str, budget: int) -> Cell:
    return _cell(strategy, budget, {}, 0.0, {"told": "no network is that small"})


def _cell(
    strategy: str,
    budget: int,
    figures: dict[str, float],
    seconds: float,
    note: dict[str, float | str],
) -> Cell:
    note = {"strategy": strategy, "budget": budget, **note}
    return Cell("", "", model_name(strategy, budget), figures, round(seconds, 1), "", "", note)
