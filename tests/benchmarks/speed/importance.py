"""Ranking the sensors of FD001, beside the textbook recipe, at the quality the recipe has.

The recipe: a random forest as scikit-learn makes it by default, then permutation importance of
every feature, ten repeats, on the same held-out rows; a sensor's is the sum over its features.
No ranking is the truth; so ours is compared with the mean of several recipes, each of another
seed, and so is each recipe with the mean of the others.
"""

import time
from pathlib import Path
from statistics import median

import numpy as np
from benchmarks.quality.plants import gather
from benchmarks.speed.rows import Row
from scipy.stats import weightedtau
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance

from connectors.cmapss import import_cmapss
from pm_app.features.frame import select_features
from pm_app.learning.importance import measure_importance
from pm_app.learning.splits import censor_at_parts, split_rows
from pm_app.records.features import Frame

HORIZON = 31.0
RECIPES, OURS = 3, 3


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
    ours, recipes = [], []
    for seed in range(max(RECIPES, OURS)):
        began = time.perf_counter()
        found = measure_importance(
            frame, labels, split, horizons_hours=(HORIZON,), task="life", seed=seed
        )
        taken["ours"].append(time.perf_counter() - began)
        ours.append(np.array(found.shares))
        began = time.perf_counter()
        forest = RandomForestClassifier(random_state=seed).fit(values[learn], truth[learn])
        drops = permutation_importance(
            forest, values[held], truth[held], scoring="average_precision", n_repeats=10,
            random_state=seed,
        )  # fmt: skip
        taken["recipe"].append(time.perf_counter() - began)
        recipes.append(_by_sensor(drops.importances_mean, frame, found.sensors))
    mine, theirs = median(taken["ours"]), median(taken["recipe"])
    agreement = np.mean([_tau(each, np.mean(recipes, axis=0)) for each in ours])
    among = np.mean(
        [
            _tau(recipes[at], recipes[other])
            for at in range(RECIPES)
            for other in range(RECIPES)
            if at < other
        ]
    )
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
            f"{theirs / mine:.1f} ×; weighted tau with the mean of {RECIPES} recipes "
            f"{agreement:.2f}, of two recipes with each other {among:.2f}",
        )
    ]


def _by_sensor(drops: np.ndarray, frame: Frame, sensors: tuple[str, ...]) -> np.ndarray:
    owner = np.array(frame.sensor_of)
    return np.array([drops[owner == sensor].sum() for sensor in sensors])


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    return float(weightedtau(first, second).statistic)
