"""Forest of extremely randomised trees, and what it loses when features are permuted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import ExtraTreeRegressor

from pm_app.records.readings import Float64, Int32

TREES = 30
LEAF_ROWS = 5
# Features tried at a split: this share of them, but not so few that a small table is
# learned blindly.
SHARE_TRIED = 0.2
LEAST_TRIED = 8
# More rows than these make the ranking no surer, only later.
ROWS_PER_TREE = 3_000
HELD_OUT_ROWS = 2_500
REPEATS = 2
# Deviations (in quartile widths) beyond which values are squeezed: random thresholds spread
# over the range of a feature, and one wild reading would leave them nothing else to find.
SQUEEZE = 3.0

Rows = NDArray[np.intp]
Columns = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ForestProblem:
    """Values and targets of a forest, ready for any resampling.

    values: float32, shape (n_rows, n_features), finite. targets: shape (n_rows, n_targets).
    group: shape (n_rows,). train and held_out are rows of those; resampled groups of train
    leave some out, and where `groups_part` is set (groups share nothing) these are held out
    as well. ranks: targets are classes, scored by average precision.
    """

    values: NDArray[np.float32]
    targets: Float64
    group: Int32
    train: Rows
    held_out: Rows
    groups_part: bool
    ranks: bool


@dataclass(frozen=True, eq=False)
class ForestTrial:
    """One forest on one resampling, with the rows it never saw and how well it did there."""

    trees: tuple[ExtraTreeRegressor, ...]
    values: NDArray[np.float32]
    targets: Float64
    permutations: tuple[Rows, ...]
    used: NDArray[np.bool_]
    ranks: bool
    score: float


def fill_and_squeeze(
    values: NDArray[np.float32], reference: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values without gaps and without extremes, by the medians and quartiles of `reference`.

    Missing becomes the median. Monotone in each feature, so trees see the same order.
    """
    lower, median, upper = _quartiles(reference)
    spread = np.where(upper > lower, upper - lower, _deviation(reference))
    spread = np.where(spread > 0, spread, 1.0)
    scaled = (np.where(np.isfinite(values), values, median) - median) / spread
    return (scaled / (1.0 + np.abs(scaled) / SQUEEZE)).astype(np.float32)


def run_trial(problem: ForestProblem, seed: np.random.SeedSequence) -> ForestTrial | None:
    """A forest on resampled groups of the train rows, scored on rows it did not see.

    None where the held-out rows cannot be scored (no failure among them).
    """
    rng = np.random.default_rng(seed)
    drawn, left_out = _resample(problem.group, problem.train, rng)
    held, _ = _resample(problem.group, problem.held_out, rng)
    seen = np.concatenate([held, left_out]) if problem.groups_part else held
    positive = problem.targets[seen].max(axis=1) > 0
    seen = thin_rows(seen, positive & problem.ranks, HELD_OUT_ROWS, rng)
    targets = problem.targets[seen]
    if not len(seen) or not (targets.min(axis=0) < targets.max(axis=0)).any():
        return None
    trees = tuple(grow_tree(problem, drawn, rng) for _ in range(TREES))
    values = problem.values[seen]
    score = _score(targets, predict_trees(trees, values), problem.ranks)
    permutations = tuple(rng.permutation(len(seen)) for _ in range(REPEATS))
    used = _used_features(trees, values.shape[1])
    return ForestTrial(trees, values, targets, permutations, used, problem.ranks, score)


def measure_drops(trial: ForestTrial, sets: Sequence[Columns]) -> Float64:
    """Score lost when each set of columns is permuted together, shape (n_sets,).

    The same permutations serve all sets, so their differences are paired. Exactly 0 for a
    set that no tree looks at.
    """
    work = trial.values.copy()
    drops = np.zeros(len(sets))
    for at, columns in enumerate(sets):
        if not trial.used[columns].any():
            continue
        scores = []
        for permutation in trial.permutations:
            work[:, columns] = trial.values[permutation[:, None], columns]
            scores.append(_score(trial.targets, predict_trees(trial.trees, work), trial.ranks))
        work[:, columns] = trial.values[:, columns]
        drops[at] = trial.score - float(np.mean(scores))
    return drops


def impurity_shares(trial: ForestTrial) -> Float64:
    """What trees gained by parting rows by each feature, as shares of all, (n_features,).

    The mean decrease of impurity (Breiman et al. 1984) on rows the trees learned from: features
    that hide each other when one of them is permuted part it among them.
    """
    gains = np.mean([tree.feature_importances_ for tree in trial.trees], axis=0)
    return np.asarray(gains / (gains.sum() or 1.0))


def _quartiles(values: NDArray[np.float32]) -> tuple[Float64, Float64, Float64]:
    finite = np.where(np.isfinite(values), values, np.nan)
    empty = np.isnan(finite).all(axis=0)
    finite[:, empty] = 0.0
    lower, median, upper = np.nanquantile(finite, [0.25, 0.5, 0.75], axis=0)
    return lower, median, upper


def _deviation(values: NDArray[np.float32]) -> Float64:
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(axis=0), 1)
    filled = np.where(finite, values, 0.0).astype(np.float64)
    mean = filled.sum(axis=0) / count
    deviation: Float64 = np.sqrt((np.where(finite, filled - mean, 0.0) ** 2).sum(axis=0) / count)
    return deviation


def _resample(group: Int32, rows: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Rows of groups drawn with replacement, and rows of the groups never drawn."""
    _, own = np.unique(group[rows], return_inverse=True)
    count = int(own.max()) + 1 if len(own) else 0
    times = np.bincount(rng.integers(count, size=count), minlength=count) if count else own
    return np.repeat(rows, times[own]), rows[times[own] == 0]


def thin_rows(rows: Rows, rare: NDArray[np.bool_], most: int, rng: np.random.Generator) -> Rows:
    """At most so many rows, ascending; of those that are `rare` as many as half may be."""
    if len(rows) <= most:
        return rows
    kept = rng.permutation(rows[rare])[: most // 2]
    others = rng.permutation(rows[~rare])[: most - len(kept)]
    return np.sort(np.concatenate([kept, others]))


def grow_tree(problem: ForestProblem, drawn: Rows, rng: np.random.Generator) -> ExtraTreeRegressor:
    """A tree fitted to rows drawn with replacement."""
    # Trees one by one: scikit-learn's forests juggle global warning filters in every call,
    # and in threads of ours that ends in thousands of warnings.
    features = problem.values.shape[1]
    rows = rng.choice(drawn, size=min(len(drawn), ROWS_PER_TREE))
    tree = ExtraTreeRegressor(
        min_samples_leaf=LEAF_ROWS,
        max_features=min(features, max(LEAST_TRIED, round(SHARE_TRIED * features))),
        random_state=int(rng.integers(2**31)),
    )
    return tree.fit(problem.values[rows], problem.targets[rows])


def predict_trees(trees: Sequence[ExtraTreeRegressor], values: NDArray[np.float32]) -> Float64:
    """The mean prediction of the trees, as `tree_.predict` shapes it."""
    total: Float64 = trees[0].tree_.predict(values)
    for tree in trees[1:]:
        total = tree.tree_.predict(values) + total
    return total / len(trees)


def _used_features(trees: Sequence[ExtraTreeRegressor], count: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(count), np.concatenate([tree.tree_.feature for tree in trees]))


def _score(targets: Float64, predicted: Float64, ranks: bool) -> float:
    """Average precision, averaged over the targets with both classes; R² for numbers."""
    outputs = predicted.reshape(len(targets), -1)
    if not ranks:
        error = ((targets - outputs) ** 2).sum()
        return float(1.0 - error / ((targets - targets.mean(axis=0)) ** 2).sum())
    both = np.flatnonzero(targets.min(axis=0) < targets.max(axis=0))
    return float(np.mean([average_precision(targets[:, k], outputs[:, k])[0] for k in both]))


def average_precision(truth: Float64, risk: Float64, weights: Float64 | None = None) -> Float64:
    """Average precision under each weighting, shape (n_weightings,), or (1,) without weights.

    truth, risk: shape (n_rows,), truth 0.0 or 1.0. weights: shape (n_weightings, n_rows).
    The step-wise sum of precision over rises of recall; rows of equal risk count as one
    threshold. NaN under a weighting that leaves no positive row.
    """
    order = np.argsort(-risk, kind="stable")
    weighted = np.ones((1, len(truth))) if weights is None else weights[:, order]
    last_of_ties = np.append(np.flatnonzero(np.diff(risk[order])), len(risk) - 1)
    found = np.cumsum(weighted * truth[order], axis=1)[:, last_of_ties]
    named = np.cumsum(weighted, axis=1)[:, last_of_ties]
    rises = np.diff(found, axis=1, prepend=0.0)
    precision = np.divide(found, named, out=np.zeros_like(found), where=named > 0)
    total = found[:, -1]
    area = (rises * precision).sum(axis=1)
    result: Float64 = np.full(len(total), np.nan)
    np.divide(area, total, out=result, where=total > 0)
    return result
