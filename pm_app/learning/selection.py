"""Choosing what no constant fits: penalty, dropout and allocation, on validation, in short runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pm_app.learning.training import (
    RATE,
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
# Mean L1 strength, dropout, learning rate, from weak to strong. On FD001 an L1 of 1e-3 to 4e-3
# was best (average precision 0.987 and 0.988 on held-out training engines, 0.981 at 1e-5); on a
# larger fleet 1e-3 was too much and 1e-4 best.
LIFE_GRID = ((1e-4, 0.1, 4e-3), (1e-3, 0.1, 2e-3), (4e-3, 0.1, 2e-3))
# AI4I's six columns, whose products decide, need a fast start held loosely (average precision
# 0.87 on held-out rows, 0.56 at the slow rate).
TABLE_GRID = ((1e-5, 0.1, 1e-2), *LIFE_GRID)
EFFORT = 0.35
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
    rate: float = RATE


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

    The control is tuned over the grid; the others take its penalty, dropout and rate, so that they
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
    """The best trial of an allocation over the grid of penalty, dropout and learning rate."""
    trials = []
    grid = LIFE_GRID if study.head.kind == "hazard" else TABLE_GRID
    for at, (l1, dropout, rate) in enumerate(grid):
        tried = strengthen(allocation, study.frame.sensor_of, l1=l1, dropout=dropout)
        trials.append(_run(study, name, tried, rate, seed))
        progress((at + 1) / len(grid), f"{name}: L1 {l1:g}, rate {rate:g}")
    return strongest(trials)


def strongest(trials: Sequence[Trial]) -> Trial:
    """The last of the trials within `TIE` of the best: they go from weak to strong penalties.

    Short runs end before a weakly held network overfits, and so flatter it.
    """
    return [trial for trial in trials if _ties(trial, trials)][-1]


def choose_trial(trials: Mapping[str, Trial]) -> Trial:
    """The best trial; among those whose score is within `TIE` of it, the simplest."""
    every = list(trials.values())
    equal = [trial for trial in every if _ties(trial, every)]
    return min(equal, key=lambda trial: _complexity(trial.name))


def _like(study: Study, name: str, plan: Allocation, control: Trial, seed: int) -> Trial:
    sensor_of = study.frame.sensor_of
    l1, dropout = mean_strength(control.allocation, sensor_of)
    tried = strengthen(plan, sensor_of, l1=l1, dropout=dropout)
    return _run(study, name, tried, control.rate, seed)


def _run(study: Study, name: str, allocation: Allocation, rate: float, seed: int) -> Trial:
    trained = train_network(study, allocation, seed=seed, effort=EFFORT, rate=rate)
    return Trial(name, allocation, trained.score, rate)


def _ties(trial: Trial, trials: Sequence[Trial]) -> bool:
    best = max(other.score for other in trials)
    return trial.score >= best - TIE * abs(best)


def _complexity(name: str) -> int:
    return SIMPLEST_FIRST.index(name) if name in SIMPLEST_FIRST else len(SIMPLEST_FIRST)
