"""Model selection on validation: penalty, dropout, allocation and size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

import numpy as np

from pm_app.learning.allocation.feature_selection import counts_for
from pm_app.learning.allocation.planner import CONTROL, Planner
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.metrics import worse_beyond_noise
from pm_app.learning.training.executor import TrainAll, train_here
from pm_app.learning.training.fit import (
    RATE,
    Trained,
    Training,
    judged_rows,
    mean_strength,
    strengthen,
)
from pm_app.learning.training.losses import score_of
from pm_app.progress import Progress, part_of, silent
from pm_app.records.learning import Allocation
from pm_app.records.readings import Float64, Int32
from pm_app.settings.strategies import AUTO, STRATEGY_NAMES, strategy_named

# Mean L1 strength, dropout, learning rate. With embeddings an L1 of 1e-3
# was best on FD001 (average precision 0.994 on held-out training engines); on larger fleets
# 1e-4 is.
LIFE_GRID = ((1e-4, 0.1, 2e-3), (1e-3, 0.1, 2e-3), (3e-3, 0.1, 2e-3))
# A table's few columns, whose products decide, need a faster start: on AI4I an L1 of 1e-5 or
# 1e-4 was best (average precision 0.83, 0.70 at 1e-3).
TABLE_GRID = ((1e-5, 0.1, 1e-2), (1e-4, 0.1, 4e-3), (1e-3, 0.1, 4e-3))
# How many standard errors of the paired difference make a difference (Breiman et al. 1984).
NOISE = 1.0
# What giving up parameters may cost, in the same unit: where failures are few, one standard
# error is a lot to lose for a little speed.
SIZE_NOISE = 0.5
# Sizes tried below the largest, as shares of it.
SMALLER = (1 / 3, 1 / 10)


@dataclass(frozen=True, eq=False)
class AllocationTrial:
    """One allocation as it was strengthened, trained, and its losses of validation rows.

    losses: (n_rows, n_figures) as `row_losses` gives them, group: (n_rows,), the same rows for
    all trials of a search; empty where nothing was run.
    """

    name: str
    allocation: Allocation
    losses: Float64
    group: Int32
    rate: float = RATE
    trained: Trained | None = None

    @property
    def means(self) -> Float64:
        """The mean of each loss, (n_figures,)."""
        return np.asarray(self.losses.mean(axis=0))

    @property
    def score(self) -> float:
        """`score_of` the losses: more is better. 0 where nothing was run."""
        return score_of(self.losses) if len(self.losses) else 0.0

    def __str__(self) -> str:
        return ", ".join(f"{mean:.4f}" for mean in self.means)


# (plans, done) to the trials of plans.
Run = Callable[
    [list[AllocationTrial], Callable[[int, AllocationTrial], None]], list[AllocationTrial]
]


def choose_allocation(
    task: LearningTask,
    planner: Planner,
    strategy: str,
    *,
    seed: int,
    progress: Progress = silent,
    train: TrainAll = train_here,
) -> tuple[AllocationTrial, AllocationTrial]:
    """The trial of the strategy ("auto": of the best allocation), and that of the control.

    The control is tuned over the grid; the others take its penalty, dropout and rate, so that
    they differ in guidance alone and the search stays short. A strategy that selects features is
    tried with several numbers of them, and one stands for it. Every trial is a whole
    training: short ones end before a weakly held network overfits, and so flatter it. auto also
    chooses the size, the smallest that is not worse than the largest beyond noise; the control is
    of that size too. train: who does the trainings.
    """
    tuning = part_of(progress, 0.0, 0.15)
    plan = planner.plan(CONTROL)
    control = tune_allocation(task, CONTROL, plan, seed=seed, progress=tuning, train=train)
    offered = [name for name in STRATEGY_NAMES if name == strategy or _is_offered(name, planner)]
    rest = [name for name in offered if name != CONTROL and strategy in (name, AUTO)]
    plans = [plan for name in rest for plan in _plans_of(name, planner)]

    def tell(count: int, trial: AllocationTrial) -> None:
        features = len(trial.allocation.features) or "all"
        text = f"{trial.name}, {features} features: loss {trial}"
        progress(0.15 + 0.15 * count / len(plans), text)

    run = partial(run_trials, task, seed=seed, train=train)
    trials = run([like(plan.strategy, plan, control, task) for plan in plans], tell)
    found = [stands_for_strategy(name, control, trials) for name in rest]
    if strategy != AUTO:
        return [control, *found][-1], control
    chosen = choose_trial([control, *found])
    smaller = _choose_size(task, planner, chosen, run, part_of(progress, 0.3, 0.4))
    if smaller is chosen:
        return chosen, control
    return smaller, _control_of_size(smaller, control, planner, task)


def _is_offered(strategy: str, planner: Planner) -> bool:
    return bool(planner.importance.modes) or not strategy_named(strategy).by_mode


def _plans_of(strategy: str, planner: Planner) -> list[Allocation]:
    """The plans of a strategy to try: one, or one for each number of features but all."""
    if not strategy_named(strategy).selects:
        return [planner.plan(strategy)]
    return [planner.plan(strategy, count=each) for each in counts_for(len(planner.order))]


def stands_for_strategy(
    strategy: str, control: AllocationTrial, trials: Sequence[AllocationTrial]
) -> AllocationTrial:
    """Of all trials the one that stands for a strategy; its plans have fewest features first.

    Where it selects, all features are a choice as well, which is the control's network; and of
    numbers that are not worse than the best beyond half its noise the greatest is taken: what is
    left out is lost, and validation alone, where failures are few, leaves out too much.
    """
    own = [trial for trial in trials if trial.name == strategy]
    if not strategy_named(strategy).selects:
        return own[-1]
    plan = replace(control.allocation, strategy=strategy)
    own.append(replace(control, name=strategy, allocation=plan))
    best = max(own, key=lambda trial: trial.score)
    return [trial for trial in own if not is_worse(trial, best, noise=SIZE_NOISE)][-1]


def _choose_size(
    task: LearningTask, planner: Planner, chosen: AllocationTrial, run: Run, progress: Progress
) -> AllocationTrial:
    """The trial of the smallest size that is not worse than the chosen one beyond noise."""
    sizes = [round(share * chosen.allocation.parameters) for share in SMALLER]

    def tell(count: int, trial: AllocationTrial) -> None:
        progress(count / len(sizes), f"{trial.allocation.parameters} parameters: loss {trial}")

    plans = [planner.plan_like(chosen.allocation, size=n) for n in sizes]
    trials = run([like(chosen.name, plan, chosen, task) for plan in plans], tell)
    good = takewhile(lambda trial: not is_worse(trial, chosen, noise=SIZE_NOISE), trials)
    return [chosen, *good][-1]


def _control_of_size(
    chosen: AllocationTrial, control: AllocationTrial, planner: Planner, task: LearningTask
) -> AllocationTrial:
    if chosen.name == CONTROL:
        return chosen
    plan = planner.plan(CONTROL, size=chosen.allocation.parameters)
    return like(CONTROL, plan, control, task)


def keep_allocation(
    task: LearningTask, planner: Planner, kept: Allocation
) -> tuple[AllocationTrial, AllocationTrial]:
    """The trial of a plan that carries what an earlier search found, and its control.

    Nothing is run.
    """
    chosen = _notrun_trials(kept.strategy, kept)
    return chosen, _control_of_size(chosen, chosen, planner, task)


def tune_allocation(
    task: LearningTask,
    name: str,
    allocation: Allocation,
    *,
    seed: int,
    progress: Progress = silent,
    train: TrainAll = train_here,
) -> AllocationTrial:
    """The best trial of an allocation over the grid of penalty, dropout and learning rate."""
    grid = LIFE_GRID if task.head.kind == "hazard" else TABLE_GRID

    def tell(count: int, trial: AllocationTrial) -> None:
        l1, _, rate = grid[count - 1]
        progress(count / len(grid), f"{name}: L1 {l1:g}, rate {rate:g}: loss {trial}")

    sensors = task.frame.sensor_of
    plans = [
        _notrun_trials(name, strengthen(allocation, sensors, l1=l1, dropout=dropout), rate)
        for l1, dropout, rate in grid
    ]
    return max(run_trials(task, plans, tell, seed=seed, train=train), key=lambda trial: trial.score)


def choose_trial(trials: Sequence[AllocationTrial]) -> AllocationTrial:
    """The best trial; among those not worse than it beyond noise, the simplest."""
    best = max(trials, key=lambda trial: trial.score)
    equal = [trial for trial in trials if not is_worse(trial, best)]
    return min(equal, key=lambda trial: STRATEGY_NAMES.index(trial.name))


def is_worse(trial: AllocationTrial, other: AllocationTrial, *, noise: float = NOISE) -> bool:
    """Whether a loss is greater by more than `noise` standard errors, paired by group."""
    return worse_beyond_noise(trial.losses, other.losses, trial.group, noise=noise)


def like(
    name: str, plan: Allocation, other: AllocationTrial, task: LearningTask
) -> AllocationTrial:
    """The plan with the penalty, dropout and rate of another trial, not run."""
    sensor_of = task.frame.sensor_of
    l1, dropout = mean_strength(other.allocation, sensor_of)
    return _notrun_trials(name, strengthen(plan, sensor_of, l1=l1, dropout=dropout), other.rate)


def _notrun_trials(name: str, allocation: Allocation, rate: float = RATE) -> AllocationTrial:
    return AllocationTrial(name, allocation, np.empty((0, 1)), np.empty(0, dtype=np.int32), rate)


def run_trials(
    task: LearningTask,
    plans: Sequence[AllocationTrial],
    done: Callable[[int, AllocationTrial], None] = lambda count, trial: None,
    *,
    seed: int,
    train: TrainAll,
) -> list[AllocationTrial]:
    """Trials that were planned, trained; done: called in order, with the number so far."""
    groups = task.split.group[judged_rows(task)]

    def ran(plan: AllocationTrial, trained: Trained) -> AllocationTrial:
        return replace(plan, losses=trained.losses, group=groups, trained=trained)

    found = train(
        task,
        [Training(plan.allocation, plan.rate, seed) for plan in plans],
        lambda count, trained: done(count, ran(plans[count - 1], trained)),
    )
    return [ran(plan, trained) for plan, trained in zip(plans, found, strict=True)]
