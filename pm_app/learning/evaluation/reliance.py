"""Reliance on features that may go missing: skill lost on held-out rows without them.

A permutation importance says what a forest made of a sensor once; what matters where a feed is
silent is what this very network still knows without it. So it is asked again with the features
of every set of bases missing, as `features/limits` would make them.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from pm_app.features.limits import bases_of, withhold
from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import event_truths
from pm_app.learning.importance.forest import average_precision, thin_rows
from pm_app.records.features import BASES
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import raw_risk

# More rows make the shares no surer, only later.
MOST_ROWS: Final = 4_000
# What is hardly better than a guess has nothing to lose.
LEAST_SKILL: Final = 0.01


def measure_reliance(
    task: LearningTask, answer: Callable[[Float32], Float32], rows: Rows, *, seed: int
) -> tuple[float, ...]:
    """Share of skill lost without each set of bases, from 0 to 1; bit i of the place: BASES[i].

    Skill is average precision beyond a guess's, mean over horizons, or explained variance.
    answer: feature rows to outputs as `Head` says, of a network that has not seen these rows.
    """
    values, truths = _asked_rows(task, rows, seed)
    basis = bases_of(task.frame.features, task.frame.sensor_of)
    present = sum(1 << number for number in range(len(BASES)) if (basis == number).any())
    skills: dict[int, float] = {}
    for places in sorted({each & present for each in range(2 ** len(BASES))}):
        missing = (places >> np.arange(len(BASES)) & 1).astype(np.bool_)
        work = values.copy()
        withhold(work, basis, np.tile(missing, (len(work), 1)))
        skills[places] = _skill(task, answer(work), truths)
    whole = max(skills[0], LEAST_SKILL)
    lost = [(skills[0] - skills[each & present]) / whole for each in range(2 ** len(BASES))]
    return tuple(min(max(share, 0.0), 1.0) for share in lost)


def _asked_rows(task: LearningTask, rows: Rows, seed: int) -> tuple[Float32, Float64]:
    """Features and outcomes of some of the rows whose outcome is known."""
    truths = event_truths(task.labels, rows, task.head)
    labelled = np.flatnonzero(np.isfinite(truths).all(axis=1))
    rare = np.asarray(truths[labelled].max(axis=1) > 0) & (task.kind != "regression")
    chosen = thin_rows(labelled, rare, MOST_ROWS, np.random.default_rng(seed))
    return task.frame.values[rows[chosen]], truths[chosen]


def _skill(task: LearningTask, output: Float32, truths: Float64) -> float:
    if task.kind == "regression":
        error = np.mean((output[:, 0] - truths[:, 0]) ** 2)
        return float(1.0 - error / max(np.var(truths[:, 0]), np.finfo(float).tiny))
    risk = raw_risk(output, task.head)
    beyond = [
        average_precision(truth, risks)[0] - truth.mean()
        for truth, risks in zip(truths.T, risk.T, strict=True)
        if 0 < truth.mean() < 1
    ]
    return float(np.mean(beyond)) if beyond else 0.0
