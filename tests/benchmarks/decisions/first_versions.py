"""First versions of small plants: who gets one, of those that a tuned booster predicts.

A plant is learned on the first day on which it can be, having failed as often as its seed says.
What a booster is worth there is measured on what came later, which nobody has seen. The bulk of
plants has the forest member alone for a version, judged over origins as the product judges; for
some the whole product learns. Labels are shuffled by giving each asset the failures and repairs
of another, moved in time, so that they are as many and hang together as they do.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks.decisions.plants import DAY_NS, Grown
from sklearn.ensemble import HistGradientBoostingClassifier

from pm_app.errors import NotEnoughData
from pm_app.features.frame import select_features
from pm_app.learning.data.labels import count_failures, failures_ahead, life_labels, while_running
from pm_app.learning.dataset import Dataset, Evidence, LearningTask
from pm_app.learning.evaluation.first_version import judge_first
from pm_app.learning.evaluation.metrics import average_precision
from pm_app.learning.evaluation.promotion import PromotionDecision
from pm_app.learning.ranking import make_task
from pm_app.learning.rolling import (
    AskedRows,
    ask_earlier,
    ask_recipe,
    first_version_rows,
    held_out_rows,
)
from pm_app.records.readings import take_events
from pm_app.simulator import PlantPlan

DAYS, LATER = 160, 40
FEWEST, MOST = 10, 30
MIXES = (
    {"bearing": 0.87, "seal": 0.10, "electrical": 0.03},
    {"bearing": 0.45, "seal": 0.25, "impeller": 0.20, "electrical": 0.10},
    {"bearing": 0.50, "seal": 0.20, "electrical": 0.30},
)
LEAVES, ROUNDS = (4, 8), 100

Decide = Callable[[Dataset, Grown], PromotionDecision]


def small_plan(seed: int) -> PlantPlan:
    """Six to thirteen pumps with few sensors and three mixes of failures, long enough for all."""
    return PlantPlan(
        assets=6 + seed % 8, days=DAYS + LATER, change_at=1.0, interval_minutes=120, nuisance=3,
        mix_before=MIXES[seed % 3], seed=seed,
    )  # fmt: skip


def ask_first(plant: Grown, *, decide: Decide) -> list[dict[str, Any]]:
    """A row of the plant as it is, and one with shuffled labels; none where it never can."""
    try:
        day, known = _first_day(plant)
    except NotEnoughData:
        return []
    rows = []
    for kind, dataset in (("true", known), ("shuffled", shuffle_failures(known, plant, day))):
        start = time.process_time()
        try:
            decision = decide(dataset, plant)
            promote, reason = decision.promote, decision.reason
        except NotEnoughData as error:
            promote, reason = False, str(error)
        rows.append({
            "kind": kind, "day": day, "failures": count_failures(dataset.labels),
            "promote": promote, "reason": reason,
            "seconds": round(time.process_time() - start, 2),
        })  # fmt: skip
    rows[0] |= _predictability(plant, day, known)
    return rows


def _first_day(plant: Grown) -> tuple[float, Dataset]:
    """The first day with as many failures as its seed asks for on which it can be learned."""
    wanted = FEWEST + plant.plan.seed % (MOST - FEWEST + 1)
    times = np.sort(plant.events.time[plant.events.kind == "failure"])
    day = float(np.ceil((times[min(wanted, len(times)) - 1] - plant.plan.start_ns) / DAY_NS)) + 1
    while True:
        known = plant.known(day)
        try:
            make_task(known, plant.settings)
        except NotEnoughData:
            day += 1
            if day > DAYS:
                raise
            continue
        return day, known


def _predictability(plant: Grown, day: float, known: Dataset) -> dict[str, float]:
    """Average precision of a tuned booster on what came later, and the share of failures there."""
    task = make_task(known, plant.settings)
    later = plant.known(plant.plan.days)
    truth = later.labels.fails_within(task.head.horizons_hours[-1])
    rows = np.flatnonzero((later.frame.cutoff > plant.moment(day)) & np.isfinite(truth))
    rows = rows[later.frame.cutoff[rows] <= plant.moment(day + LATER)]
    values = select_features(later.frame, task.frame.features).values[rows]
    found = average_precision(_boost(task, values), truth[rows])
    return {"booster": round(float(found), 4), "base_rate": round(float(truth[rows].mean()), 4)}


def _boost(task: LearningTask, asked: np.ndarray) -> np.ndarray:
    """Risks by gradient boosting, its leaves and rounds chosen by validation, then fitted to all
    that may be learned from."""
    values, truth = task.frame.values, task.labels.fails_within(task.head.horizons_hours[-1])
    train, held, every = (
        rows[np.isfinite(truth[rows])]
        for rows in (task.split.train, task.split.validation, task.split.learned)
    )
    # A feature without any value cannot be binned.
    some = np.isfinite(values[train]).any(axis=0)
    values, asked = values[:, some], asked[:, some]
    tried = []
    for leaves in LEAVES:
        model = _booster(leaves, ROUNDS).fit(values[train], truth[train] > 0)
        for rounds, risk in enumerate(model.staged_predict_proba(values[held]), 1):
            tried.append((average_precision(risk[:, 1], truth[held]), -leaves, -rounds))
    _, leaves, rounds = max(tried)
    best = _booster(-leaves, -rounds).fit(values[every], truth[every] > 0)
    return np.asarray(best.predict_proba(asked)[:, 1])


def _booster(leaves: int, rounds: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=rounds, max_leaf_nodes=leaves, max_features=0.5,
        early_stopping=False, random_state=0,
    )  # fmt: skip


def shuffle_failures(known: Dataset, plant: Grown, day: float) -> Dataset:
    """The dataset with the failures and repairs of other assets, each asset's moved in time."""
    rng = np.random.default_rng(plant.plan.seed)
    dealt = _shuffle(known, plant, day, rng)
    while count_failures(dealt.labels) < FEWEST:
        dealt = _shuffle(known, plant, day, rng)
    return dealt


def _shuffle(known: Dataset, plant: Grown, day: float, rng: np.random.Generator) -> Dataset:
    until, start = plant.moment(day), plant.plan.start_ns
    events = take_events(plant.events, plant.events.time <= until)
    own = np.isin(events.kind, ("failure", "maintenance"))
    events = take_events(events, own)
    names = np.array(known.frame.assets, dtype=object)
    place = {name: number for number, name in enumerate(names)}
    asset = np.array([place.get(name, 0) for name in events.asset])
    moved = rng.integers(until - start, size=len(names))[asset]
    moment = start + (events.time - start + moved) % (until - start)
    dealt = replace(
        events, asset=names[rng.permutation(len(names))[asset]], time=moment, since=moment
    )
    order = np.lexsort([dealt.asset.astype(str), dealt.time])
    dealt = take_events(dealt, order)
    horizons = plant.settings.target.horizons_hours
    labels = life_labels(known.frame, dealt, known_until=until, horizons_hours=horizons)
    labels = while_running(known.frame, labels)
    codes = failures_ahead(known.frame, labels, dealt).first_codes
    return replace(known, labels=labels, codes=codes)


def by_forest(dataset: Dataset, plant: Grown) -> PromotionDecision:
    """Of the forest member alone."""
    from pm_app.learning.pool.shares import FOREST
    from pm_app.learning.training.crossfit import deal_folds
    from pm_app.learning.training.fit import Training
    from pm_app.learning.training.members import judge_member
    from pm_app.learning.training.pooling import grow_forest
    from pm_app.learning.training.refitting import Recipe
    from pm_app.records.scores import scores_of

    task, seed = make_task(dataset, plant.settings), plant.plan.seed
    folds = deal_folds(task, seed=seed)
    whole, forest = grow_forest(task, folds, seed=seed)
    calibration, _ = judge_member(task, forest, folds)
    truth = dataset.labels.fails_within(task.head.horizons_hours[-1])
    output = whole(task.frame.values[task.split.test])
    risk = scores_of(output, task.head, calibration).risk[:, -1]
    asked = [AskedRows(task.split.test, risk, float(np.nanmean(truth[task.split.learned])))]
    nothing: Any = None
    recipe = Recipe(Training(nothing, 0.0, seed), nothing, shares={FOREST: 1.0})
    ask = ask_recipe(dataset, task, recipe, lambda done, text: None)
    asked += ask_earlier(dataset, task, truth, ask)
    risk = np.concatenate([each.risk for each in asked])
    rows = held_out_rows(task, asked, truth, seed=seed)
    return judge_first(risk, rows, first_version_rows(dataset, task, asked))


def by_product(dataset: Dataset, plant: Grown) -> PromotionDecision:
    """Of the whole product: importance, allocation, network, pool, calibration."""
    from pm_app.learning.pipeline import learn

    learned = learn(dataset, plant.settings, Evidence(""), None)
    return PromotionDecision(learned.promote, learned.reason, ())
