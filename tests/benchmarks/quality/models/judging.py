"""What a model says of the judged rows of a fold, in figures that all models share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from benchmarks.quality.sets.folds import Fold, Task

from pm_app.learning.evaluation.metrics import evaluate
from pm_app.records.learning import Head
from pm_app.records.scores import Scores

# Figures kept of each cell, by what the product calls them, horizon and unit cut off.
NAMES = {
    "average_precision": "ap",
    "f1": "f1",
    "calibration_error": "ece",
    "brier": "brier",
    "rul_rmse_hours": "rmse",
    "last_rul_rmse_hours": "rmse_last",
    "rul_coverage": "coverage",
}
_DIGITS = 5

# What a model wants known of itself, kept beside its figures.
Note = dict[str, float | str]
# Name of a model, its figures, its note, processor seconds.
Measured = tuple[str, dict[str, float], Note, float]


@dataclass(frozen=True, eq=False)
class Said:
    """Scores of the judged rows in their order; no abstention.

    threshold: the risk above which a class is called, found on the learning side only.
    """

    scores: Scores
    threshold: float | None = None
    note: Note = field(default_factory=dict)


def risk_and_life(risk: np.ndarray, life: np.ndarray | None) -> Scores:
    """Scores of a model that gives one risk a row, perhaps a life left, and no interval."""
    nothing = np.full(len(risk), np.nan)
    return Scores(risk[:, None], nothing if life is None else life, nothing, nothing, nothing)


def judged_by(task: Task) -> Head:
    """The head that the product's evaluation reads horizon and cap from."""
    if task.kind != "life":
        return Head(task.kind, (), (0.0,))
    return Head("hazard", (task.horizon_hours, task.cap_hours), task.horizons_hours)


def judge(fold: Fold, task: Task, said: Said) -> dict[str, float]:
    """What scores of the judged rows come to, as `figures_of` tells it."""
    rows = fold.split.test
    found = evaluate(
        said.scores,
        fold.labels,
        rows,
        judged_by(task),
        asset=fold.frame.asset[rows],
        threshold=said.threshold,
    )
    return figures_of(found, task)


def figures_of(metrics: Mapping[str, float], task: Task) -> dict[str, float]:
    """The figures of `NAMES` among the product's own metrics; errors in the unit of the task."""
    figures = {}
    for name, value in metrics.items():
        short = NAMES.get(name) or NAMES.get(name.rsplit("_", 1)[0])
        if short is not None:
            scale = task.unit_hours if short.startswith("rmse") else 1.0
            figures[short] = round(value / scale, _DIGITS)
    return figures
