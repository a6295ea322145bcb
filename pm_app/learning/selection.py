"""Choosing what no constant fits: penalty, dropout and allocation, on validation, in short runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from pm_app.learning.training import (
    Progress,
    Study,
    mean_strength,
    part_of,
    silent,
    strengthen,
    train_network,
)
from pm_app.records.learning import Allocation

CONTROL = "uniform"
# Mean L1 strength and dropout. On FD001 1e-3 to 4e-3 with little dropout was best, on a larger
# fleet 1e-3 was too much and 1e-4 best; more dropout helped only where the penalty is weak.
GRID = ((1e-4, 0.2), (1e-3, 0.1), (4e-3, 0.1))
EFFORT = 0.4
# From simple to elaborate: a tie goes to the simpler one.
SIMPLEST_FIRST = ("uniform", "regularized", "tiers", "tiers+regularized")
# Scores that differ by less than this share differ between seeds alone.
TIE = 0.01


@dataclass(frozen=True)
class Trial:
    """One allocation as it was strengthened, and its validation score after a short run."""

    name: str
    allocation: Allocation
    score: float


def choose_allocation(
    study: Study,
    allocations: Mapping[str, Allocation],
    strategy: str,
    *,
    tuned: bool = False,
    seed: int,
    progress: Progress = silent,
) -> tuple[Trial, Trial]:
    """The trial of the strategy ("auto": of the best allocation), and that of the control.

    The control is tuned over the grid; the others take its penalty and dropout, so that they
    differ in guidance alone and the search stays short. tuned: the allocation that is not the
    control already carries what an earlier search found; nothing is run, scores are 0.
    """
    sensor_of = study.frame.sensor_of
    if tuned:
        name = next((name for name in allocations if name != CONTROL), CONTROL)
        chosen = Trial(name, allocations[name], 0.0)
        l1, dropout = mean_strength(chosen.allocation, sensor_of)
        beside = strengthen(allocations[CONTROL], sensor_of, l1=l1, dropout=dropout)
        return chosen, chosen if name == CONTROL else Trial(CONTROL, beside, 0.0)
    control = tune_allocation(
        study, CONTROL, allocations[CONTROL], seed=seed, progress=part_of(progress, 0.0, 0.25)
    )
    rest = [name for name in allocations if name != CONTROL and strategy in (name, "auto")]
    trials = {CONTROL: control}
    for at, name in enumerate(rest):
        trials[name] = _like(study, name, allocations[name], control, seed)
        progress(0.25 + 0.15 * (at + 1) / len(rest), f"{name}: {trials[name].score:.4f}")
    return (choose_trial(trials) if strategy == "auto" else trials[strategy]), control


def tune_allocation(
    study: Study, name: str, allocation: Allocation, *, seed: int, progress: Progress = silent
) -> Trial:
    """The best trial of an allocation over the grid of penalty and dropout."""
    trials = []
    for at, (l1, dropout) in enumerate(GRID):
        tried = strengthen(allocation, study.frame.sensor_of, l1=l1, dropout=dropout)
        trials.append(_run(study, name, tried, seed))
        progress((at + 1) / len(GRID), f"{name}: L1 {l1:g}, dropout {dropout:g}")
    return max(trials, key=lambda trial: trial.score)


def choose_trial(trials: Mapping[str, Trial]) -> Trial:
    """The best trial; among those whose score is within `TIE` of it, the simplest."""
    best = max(trial.score for trial in trials.values())
    equal = [trial for trial in trials.values() if trial.score >= best - TIE * abs(best)]
    return min(equal, key=lambda trial: _complexity(trial.name))


def _like(study: Study, name: str, plan: Allocation, control: Trial, seed: int) -> Trial:
    sensor_of = study.frame.sensor_of
    l1, dropout = mean_strength(control.allocation, sensor_of)
    return _run(study, name, strengthen(plan, sensor_of, l1=l1, dropout=dropout), seed)


def _run(study: Study, name: str, allocation: Allocation, seed: int) -> Trial:
    trained = train_network(study, allocation, seed=seed, effort=EFFORT)
    return Trial(name, allocation, trained.score)


def _complexity(name: str) -> int:
    return SIMPLEST_FIRST.index(name) if name in SIMPLEST_FIRST else len(SIMPLEST_FIRST)
