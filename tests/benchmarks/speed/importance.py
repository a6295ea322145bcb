"""Ranking the sensors of FD001, beside the textbook recipe, at the quality the recipe has.

The recipe: a random forest as scikit-learn makes it by default, then permutation importance of
every feature, ten repeats, on the same held-out rows; a sensor's is the sum over its features.
Twelve features of one sensor hide each other, so that such sums are little more than noise; what
is asked for is the loss when all of a sensor's are permuted together. Ours is therefore compared
with the mean of what the recipes' forests lose so, and with the sums; and recipes of different
seeds with each other.
"""

import time
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
from benchmarks.quality.sets.plants import gather
from benchmarks.speed.rows import Row
from factories import task_of
from scipy.stats import weightedtau
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import average_precision_score

from connectors.cmapss import import_cmapss
from pm_app.features.frame import select_features
from pm_app.learning.data.splits import censor_at_parts, split_rows
from pm_app.learning.importance.permutation import measure_importance

HORIZON = 31.0
SEEDS, REPEATS, REPEATS_TOGETHER = 2, 10, 3


def measure(folder: Path, open_data: Path) -> list[Row]:
    """Features and split as a retraining of FD001 has them."""
    import_cmapss(open_data / "cmapss", folder / "plant", subset="FD001")
    known = gather(folder / "plant")
    frame = select_features(known.frame, known.informative)
    split = split_rows(frame, known.labels, horizon_hours=HORIZON, seed=0)
    labels = censor_at_parts(frame, known.labels, split)
    truth = labels.fails_within(HORIZON)
    learn = split.train[np.isfinite(truth[split.train])]
    held = split.validation[np.isfinite(truth[split.validation])]
    values = np.nan_to_num(frame.values)
    taken: dict[str, list[float]] = {"ours": [], "recipe": []}
    ours, recipes, together = [], [], []
    for seed in range(SEEDS):
        began = time.perf_counter()
        task = task_of(frame, labels, split, "life", (HORIZON,))
        found = measure_importance(task, seed=seed)
        taken["ours"].append(time.perf_counter() - began)
        ours.append(np.array(found.shares))
        began = time.perf_counter()
        forest = RandomForestClassifier(random_state=seed).fit(values[learn], truth[learn])
        drops = permutation_importance(
            forest, values[held], truth[held], scoring="average_precision", n_repeats=REPEATS,
            random_state=seed,
        )  # fmt: skip
        taken["recipe"].append(time.perf_counter() - began)
        owner = np.array([found.sensors.index(sensor) for sensor in frame.sensor_of])
        recipes.append(np.bincount(owner, drops.importances_mean))
        together.append(_together(forest, values[held], truth[held], owner, seed))
    mine, theirs = median(taken["ours"]), median(taken["recipe"])
    agreement, sums = (
        np.mean([_tau(each, np.mean(other, axis=0)) for each in ours])
        for other in (together, recipes)
    )
    among = np.mean([_tau(one, other) for one, other in combinations(recipes, 2)])
    good = agreement >= 0.95 or agreement > among
    return [
        Row(
            "Importance",
            f"{len(found.sensors)} sensors of FD001, {len(frame.features)} features",
            mine,
            "s",
            (min(taken["ours"]), max(taken["ours"])),
            "at least 15 × the recipe, at equal quality",
            bool(theirs >= 15 * mine and good),
            {"the recipe": theirs},
            None,
            f"{theirs / mine:.1f} ×; weighted tau with what {SEEDS} of its forests lose by sensor "
            f"{agreement:.2f}, of two recipes with each other {among:.2f}; ours with the mean of "
            f"their sums by column {sums:.2f}",
        )
    ]


def _together(
    forest: RandomForestClassifier,
    values: np.ndarray,
    truth: np.ndarray,
    owner: np.ndarray,
    seed: int,
) -> np.ndarray:
    """What a forest loses when all features of a sensor are permuted together, each sensor's."""
    rng = np.random.default_rng(seed)

    def score(rows: np.ndarray) -> float:
        return float(average_precision_score(truth, forest.predict_proba(rows)[:, 1]))

    whole, lost = score(values), []
    for sensor in range(owner.max() + 1):
        drops = []
        for _ in range(REPEATS_TOGETHER):
            rows = values.copy()
            columns = np.flatnonzero(owner == sensor)
            rows[:, columns] = values[rng.permutation(len(values))][:, columns]
            drops.append(whole - score(rows))
        lost.append(np.mean(drops))
    return np.array(lost)


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    return float(weightedtau(first, second).statistic)
