"""Case-control sampling: rows near failures, and a weighted sample of the rest, to train on.

Rows far from any failure repeat each other. Where there are many, a training takes all rows that
fail within the longest horizon (or are of the class that is told) and an even sample of the
others, and each row weighs as many as it stands for: the weighted loss estimates that of all rows
without bias (Langholz & Borgan 1997; King & Zeng 2001, eq. 9), and what a training costs grows
with failures and is bounded. What is estimated or judged (importance, calibration, metrics,
promotion) goes by all rows of its part, with no weights.
"""

from dataclasses import dataclass

import numpy as np

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.records.readings import Float64

# Rows of cases and of others: a network takes so many steps of batches that grow with rows.
MOST_CASES, MOST_OTHERS = 20_000, 20_000


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows to train on, ascending.

    weights: (n_rows,), 1 on average; None where all alike. strata: places among the rows of cases
    and of others, where these were sampled apart.
    """

    rows: Rows
    weights: Float64 | None = None
    strata: tuple[Rows, ...] = ()


def sample_rows(task: LearningTask, rows: Rows, *, others: int | None = None) -> TrainingRows:
    """The rows of a part, ascending, that a training takes; all where they are few.

    others: how many of those that do not fail, by default `MOST_OTHERS`.
    """
    if len(rows) <= MOST_CASES + MOST_OTHERS or task.kind == "regression":
        return TrainingRows(rows)
    truth = task.labels.value
    if task.kind == "life":
        truth = task.labels.fails_within(task.head.horizons_hours[-1])
    case = truth[rows] == 1.0
    chosen = [_every(rows[case], MOST_CASES), _every(rows[~case], others or MOST_OTHERS)]
    stands_for = [int(case.sum()), int((~case).sum())]
    weights = np.concatenate(
        [
            np.full(len(part), many / max(len(part), 1))
            for part, many in zip(chosen, stands_for, strict=True)
        ]
    )
    found = np.concatenate(chosen)
    order = np.argsort(found)
    of_cases = order < len(chosen[0])
    strata = np.flatnonzero(of_cases), np.flatnonzero(~of_cases)
    return TrainingRows(found[order], weights[order] * (len(found) / len(rows)), strata)


def _every(rows: Rows, most: int) -> Rows:
    """Every so many-th row, at most so many: of each life in proportion to its length."""
    return rows[:: max(-(-len(rows) // most), 1)]
