"""Choosing what no constant fits: penalty, dropout and allocation, on validation, in short runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from pm_app.learning.training import Progress, Study, silent, strengthen, train_network
from pm_app.records.learning import Allocation

# Mean L1 strength and dropout. On one fleet 1e-3 was best, on another ten times too much.
GRID = ((1e-4, 0.1), (1e-3, 0.1), (1e-4, 0.3), (1e-3, 0.3))
EFFORT = 0.3
# From simple to elaborate: a tie goes to the simpler one.
SIMPLEST_FIRST = ("uniform", "regularized", "tiers", "tiers+regularized")
# Average precision differs by about this much between seeds alone.
TIE = 0.001


@dataclass(frozen=True)
class Trial:
    """A short run of one allocation as it was strengthened, and its validation score."""

    name: str
    allocation: Allocation
    score: float


def tune_allocation(
    study: Study, name: str, allocation: Allocation, *, seed: int, progress: Progress = silent
) -> Trial:
    """The best trial of an allocation over the grid of penalty and dropout."""
    trials = []
    for at, (l1, dropout) in enumerate(GRID):
        tried = strengthen(allocation, l1=l1, dropout=dropout)
        trained = train_network(study, tried, seed=seed, effort=EFFORT)
        trials.append(Trial(name, tried, trained.score))
        progress((at + 1) / len(GRID), f"{name}: L1 {l1:g}, dropout {dropout:g}")
    return max(trials, key=lambda trial: trial.score)


def choose_trial(trials: Mapping[str, Trial]) -> Trial:
    """The best trial; among those within `TIE` of it, the simplest."""
    best = max(trial.score for trial in trials.values())
    equal = [trial for trial in trials.values() if trial.score >= best - TIE]
    return min(equal, key=lambda trial: _complexity(trial.name))


def _complexity(name: str) -> int:
    return SIMPLEST_FIRST.index(name) if name in SIMPLEST_FIRST else len(SIMPLEST_FIRST)
