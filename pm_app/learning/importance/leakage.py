"""Leakage suspects: sensors that look as if they knew the outcome, for a person to judge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestRegressor

from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.clusters import columns_of
from pm_app.learning.importance.forest import average_precision, thin_rows
from pm_app.records.features import Frame
from pm_app.records.learning import LeakageSuspect
from pm_app.records.readings import Float64

# The best single sensor ranks with an average precision of 0.92 on FD001 and FD003, 0.34 on
# AI4I, at most 0.88 on 18 simulated plants; a planted copy of the label, or hours until failure,
# with 0.97 to 1.00.
ALONE = 0.97
# The others' distance from perfection, as a multiple of the suspect's own, and at least this: on
# FD001 all sensors together reach 0.98.
TIMES_FARTHER = 4.0
LEAST_FARTHER = 0.01
# When more sensors than these each tell the outcome, it is easy to tell, and none of them leaks.
MOST_ALIKE = 3
# A sensor that keeps one value on this share of rows has a usual value that it can leave.
USUAL = 0.8
PURE = 0.99
# Fewer machines or spells are no evidence, nor is what chance would give this often.
LEAST_UNITS = 5
CHANCE = 1e-6
# On rows where a flag is raised the others must leave at least this much doubt: on AI4I's parts
# of the label they expect 0.1 to 0.7 failures.
LEAST_DOUBT = 0.1
FOLDS = 3
TREES = 40
LEAF_ROWS = 3
ROWS_A_TREE = 0.5
# Rows are thinned so that the work is the same for few and for many features.
CELLS = 2_000_000
ROWS = (2_000, 8_000)


@dataclass(frozen=True, eq=False)
class _LeakageQuestion:
    """One question of the target: which rows, their truth, their weight and their unit."""

    rows: NDArray[np.intp]
    truth: Float64
    weight: Float64
    unit: NDArray[np.int64]


@dataclass(frozen=True)
class _Lead:
    """A sensor that would answer a question alone; `rows` are places where it raises a flag."""

    sensor: str
    alone: float
    rows: tuple[int, ...] = ()


def find_leakage_suspects(
    task: LearningTask, *, sensors: Sequence[str], seed: int
) -> tuple[LeakageSuspect, ...]:
    """Sensors that alone tell the target almost perfectly, far ahead of all others together.

    Two ways of knowing the outcome are looked for, in train and validation rows. A feature
    whose values alone, larger or smaller first, rank failures with an average precision (a
    regressed value: a rank correlation) of `ALONE`. And a flag: a feature with a usual value
    that is left only where the outcome is a failure. Neither is fitted, so there is nothing to
    hold out. What all sensors that are not suspects reach together is asked of a forest on
    groups that it did not see (`FOLDS` folds of lives, assets or blocks of time).

    sensors: which of the frame's sensors can be suspects; what is made from events and age
    cannot, nor can more than `MOST_ALIKE` sensors that rank alike. A really good sensor that
    stands alone is suspected as well: hence a question.
    """
    found: dict[str, LeakageSuspect] = {}
    for asked in _questions(task, seed):
        leads = _leads(task.frame, asked, sensors, task.kind)
        leads = [lead for lead in leads if lead.sensor not in found]
        if leads:
            found |= {one.sensor: one for one in _confirm(task, asked, leads, seed)}
    return tuple(found[sensor] for sensor in sensors if sensor in found)


def suspect_text(one: LeakageSuspect) -> str:
    """A suspect in words, as the question to a person that it is."""
    words = {
        "rank": "alone ranks failures almost perfectly (average precision {:.2f}, all others "
        "together {:.2f})",
        "value": "alone orders the value almost perfectly (rank correlation {:.2f}, all others "
        "together {:.2f})",
        "flag": "leaves its usual value only where it fails ({:.0%} of such rows, all others "
        "together expect {:.0%})",
    }
    found = words[one.kind].format(one.alone, one.others)
    return f"{one.sensor} {found}: does it know the outcome? if so leave it out: readings.sensors"


def _questions(task: LearningTask, seed: int) -> Iterator[_LeakageQuestion]:
    labels, split = task.labels, task.split
    rows = np.concatenate([split.train, split.validation])
    lives = len(np.unique(labels.life[rows])) >= FOLDS * LEAST_UNITS
    unit = (labels.life if lives else split.group).astype(np.int64)
    truths = [labels.fails_within(hours) for hours in task.horizons_hours]
    for truth in truths if task.kind == "life" else [labels.value]:
        labelled = rows[np.isfinite(truth[rows]) & labels.usable[rows]]
        kept, weight = _thin(labelled, truth, len(task.frame.features), task.kind, seed)
        failing = unit[kept][truth[kept] > 0]
        if len(kept) and (task.kind == "regression" or len(np.unique(failing)) >= LEAST_UNITS):
            yield _LeakageQuestion(kept, truth[kept], weight, unit[kept])


def _thin(
    rows: NDArray[np.intp], truth: Float64, features: int, kind: str, seed: int
) -> tuple[NDArray[np.intp], Float64]:
    """Some of the rows with what each stands for; of failing ones as many as half may be."""
    most = int(np.clip(CELLS // max(features, 1), *ROWS))
    rare = (truth[rows] == 1.0) & (kind != "regression")
    kept = thin_rows(rows, rare, most, np.random.default_rng(seed))
    is_rare = (truth[kept] == 1.0) & (kind != "regression")
    weight = np.ones(len(kept))
    for whole, part in ((rare, is_rare), (~rare, ~is_rare)):
        weight[part] = whole.sum() / max(part.sum(), 1)
    return kept, weight


def _leads(frame: Frame, asked: _LeakageQuestion, sensors: Sequence[str], kind: str) -> list[_Lead]:
    columns = columns_of(frame.sensor_of)
    values = frame.values[asked.rows]
    leads = []
    for sensor in (name for name in sensors if name in columns):
        mine = columns[sensor]
        alone = max(_rank_alone(values[:, column], asked, kind) for column in mine)
        if alone >= ALONE:
            leads.append(_Lead(sensor, alone))
        elif kind != "regression":
            leads += _flags(sensor, values[:, mine], asked)
    flags = [lead for lead in leads if lead.rows]
    return leads if len(leads) - len(flags) <= MOST_ALIKE else flags


def _rank_alone(values: NDArray[np.float32], asked: _LeakageQuestion, kind: str) -> float:
    """How well one feature orders the rows, the better of both directions; gaps in the middle."""
    finite = np.isfinite(values)
    if not finite.any():
        return 0.0
    filled = np.where(finite, values, np.median(values[finite])).astype(np.float64)
    if filled.min() == filled.max():
        return 0.0
    if kind == "regression":
        return abs(_rank_correlation(filled, asked.truth))
    weights = asked.weight[None, :]
    return max(
        float(average_precision(asked.truth, side, weights)[0]) for side in (filled, -filled)
    )


def _flags(sensor: str, values: NDArray[np.float32], asked: _LeakageQuestion) -> list[_Lead]:
    """The feature of a sensor that is left by the most failures and by hardly anything else."""
    finite = np.isfinite(values)
    total = asked.weight.sum()
    with_value = (asked.weight @ finite) / total
    # Missing values sort last: the median of the others stands in their middle.
    ordered = np.sort(np.where(finite, values, np.nan), axis=0)
    place = np.maximum(finite.sum(axis=0) - 1, 0) // 2
    middle = ordered[place, np.arange(values.shape[1])]
    departs = np.where(with_value < 1.0 - USUAL, finite, finite & (values != middle))
    weight = asked.weight @ departs
    failing = (asked.weight * asked.truth) @ departs
    base = float(asked.weight @ asked.truth / total)
    pure = (weight > 0) & (weight <= (1.0 - USUAL) * total) & (failing >= PURE * weight)
    best = max(np.flatnonzero(pure), key=lambda at: float(failing[at]), default=None)
    if best is None:
        return []
    places = np.flatnonzero(departs[:, best])
    units = len(np.unique(asked.unit[places[asked.truth[places] > 0]]))
    if units < LEAST_UNITS or base**units > CHANCE:
        return []
    return [_Lead(sensor, float(failing[best] / weight[best]), tuple(places.tolist()))]


def _confirm(
    task: LearningTask, asked: _LeakageQuestion, leads: Sequence[_Lead], seed: int
) -> Iterator[LeakageSuspect]:
    """Those leads that tell what all sensors without a lead do not tell together."""
    others = _predict_without(task.frame, asked, {lead.sensor for lead in leads}, seed)
    if task.kind == "regression":
        reached = abs(_rank_correlation(others, asked.truth))
    else:
        reached = float(average_precision(asked.truth, others, asked.weight[None, :])[0])
    for lead in leads:
        if lead.rows:
            expected = float(others[list(lead.rows)].mean())
            if expected <= lead.alone - LEAST_DOUBT:
                yield LeakageSuspect(lead.sensor, "flag", lead.alone, expected)
        elif 1.0 - reached >= max(LEAST_FARTHER, TIMES_FARTHER * (1.0 - lead.alone)):
            kind = "value" if task.kind == "regression" else "rank"
            yield LeakageSuspect(lead.sensor, kind, lead.alone, reached)


def _predict_without(
    frame: Frame, asked: _LeakageQuestion, suspects: set[str], seed: int
) -> Float64:
    """Predictions of a forest without the suspects, from groups it was not fitted to."""
    columns = np.flatnonzero([sensor not in suspects for sensor in frame.sensor_of])
    predicted = np.full(len(asked.rows), float(np.average(asked.truth, weights=asked.weight)))
    if not len(columns):
        return predicted
    values = frame.values[np.ix_(asked.rows, columns)]
    names, number = np.unique(asked.unit, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[number] % FOLDS
    for part in range(FOLDS):
        here = fold == part
        if not here.any() or here.all():
            continue
        forest = RandomForestRegressor(
            TREES,
            min_samples_leaf=LEAF_ROWS,
            max_samples=ROWS_A_TREE,
            max_features="sqrt" if len(columns) > 40 else 0.5,
            random_state=seed,
        )
        forest.fit(values[~here], asked.truth[~here], sample_weight=asked.weight[~here])
        predicted[here] = forest.predict(values[here])
    return predicted


def _rank_correlation(one: Float64, other: Float64) -> float:
    """Spearman's, 0 where one of them is constant."""
    ranks = np.stack([rankdata(one), rankdata(other)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=1)).prod()
    return float((ranks[0] * ranks[1]).sum() / length) if length > 0 else 0.0
