"""Promotion test: whether a version may score, the first or in the champion's place, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pm_app.learning.data.time_splits import LEAST_GROUPS
from pm_app.learning.importance.forest import average_precision
from pm_app.records.readings import Flags, Float64, Int32

RESAMPLINGS = 1_000
# Weights held in memory at once.
CELLS = 4_000_000
PRECISION, BRIER = "average precision", "Brier score"
# Both ends of the interval outside which a difference is no longer noise.
TAILS = (0.05, 0.95)
# A version asked for because the plant changed need not be better, only not worse.
DEMANDING = ("refit", "rebuild")


@dataclass(frozen=True)
class Comparison:
    """One measure of both sides on the same rows: positive gain is better.

    low and high bound the gain that resampling the groups gives (5 % and 95 %), infinite
    where there are too few groups to tell.
    """

    measure: str
    challenger: float
    other: float
    gain: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Better beyond noise."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """Worse beyond noise."""
        return self.high < 0


@dataclass(frozen=True)
class PromotionDecision:
    """Whether the challenger is promoted, why, and what was compared."""

    promote: bool
    reason: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, eq=False)
class HeldOutRows:
    """The newest rows, which neither side has seen; every array has shape (n_rows,).

    labels: 1.0, 0.0 or the value; rows with NaN are left out. groups: assets or blocks of time,
    resampled whole. ranks: labels are classes, and average precision counts. origin: rows of one
    number were held out from the same learning, by default all; they are ranked among themselves,
    and average precision is the mean over origins, weighted by their failing rows. weights: for how
    many rows each stands (`Labels.weights`), all alike by default.
    """

    labels: Float64
    groups: Int32
    ranks: bool
    seed: int = 0
    origin: Int32 = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    weights: Float64 | None = None

    def __post_init__(self) -> None:
        if not len(self.origin):
            object.__setattr__(self, "origin", np.zeros(len(self.labels), dtype=np.int32))

    def take(self, rows: Flags) -> "HeldOutRows":
        """The same with only these rows."""
        each = self.labels[rows], self.groups[rows]
        weights = None if self.weights is None else self.weights[rows]
        return HeldOutRows(*each, self.ranks, self.seed, self.origin[rows], weights)


def nothing_to_judge_by(of: str = "") -> PromotionDecision:
    """The decision where no row has a label."""
    return PromotionDecision(False, f"kept out: no held-out row has a label to judge by{of}", ())


def judge(
    challenger: Float64, champion: Float64, rows: HeldOutRows, *, verdict: str
) -> PromotionDecision:
    """A paired test on held-out rows (paired bootstrap) of a challenger and the champion.

    challenger, champion: risks at the main horizon, or values, (n_rows,). Measures are
    average precision and Brier score, or the root of the mean squared error.

    Rows that the champion has learned from are no evidence: they come without a label
    (`ChampionVersion.has_learned`). The challenger must not be worse beyond noise by any measure,
    and either better beyond noise by all of them, or wanted because the drift `verdict` is "refit"
    or "rebuild". One measure is
    not enough: forests that differed from the champion by their seed beat it by one measure in
    5 of 58 trials, by both in 1.
    """
    labelled = np.isfinite(rows.labels)
    if not labelled.any():
        return nothing_to_judge_by(" that the champion has not learned from")
    rows = rows.take(labelled)
    comparisons = compare(challenger[labelled], champion[labelled], rows)
    promote, why = _beats_champion(comparisons, verdict)
    worse = [one for one in comparisons if one.worse]
    outcome = "promoted" if promote else "kept out"
    reason = f"{outcome}: {why}: {comparison_text(worse or comparisons)}"
    return PromotionDecision(promote, reason, comparisons)


def _beats_champion(comparisons: Sequence[Comparison], verdict: str) -> tuple[bool, str]:
    if any(one.worse for one in comparisons):
        return False, "worse than the champion"
    if all(one.better for one in comparisons):
        return True, "better than the champion"
    if verdict in DEMANDING:
        return True, "as good as the champion and newer"
    won = [one.measure for one in comparisons if one.better]
    return (
        False,
        f"better than the champion by {won[0]} alone" if won else "no better than the champion",
    )


def comparison_text(comparisons: Sequence[Comparison]) -> str:
    """In words: "average precision 0.61 against 0.55 (gain 0.01 to 0.12), ..."."""
    return ", ".join(
        f"{one.measure} {one.challenger:.3g} against {one.other:.3g}"
        + (f" (gain {one.low:.2g} to {one.high:.2g})" if np.isfinite(one.low) else "")
        for one in comparisons
    )


def compare(challenger: Float64, other: Float64, rows: HeldOutRows) -> tuple[Comparison, ...]:
    """Each measure of both sides on rows that all have a label."""
    sides = np.stack([challenger, other])
    errors = (sides - rows.labels) ** 2
    mean_errors = np.hstack([errors @ each.T / each.sum(axis=1) for each in _weightings(rows)])
    if not rows.ranks:
        return (_contrast("RMSE", np.sqrt(mean_errors), -1.0, rows),)
    brier = _contrast(BRIER, mean_errors, -1.0, rows)
    if rows.labels.min() == rows.labels.max():
        return (brier,)
    precision = np.hstack([_precisions(rows, sides, each) for each in _weightings(rows)])
    return (_contrast(PRECISION, precision, 1.0, rows), brier)


def _precisions(rows: HeldOutRows, sides: Float64, weights: Float64) -> Float64:
    """Average precision of either side under each weighting, (2, n_weightings)."""
    area, failing = np.zeros((len(sides), len(weights))), np.zeros(len(weights))
    for origin in np.unique(rows.origin):
        own = rows.origin == origin
        part, truth = weights[:, own], rows.labels[own]
        found = np.stack([average_precision(truth, side[own], part) for side in sides])
        weight = part @ truth
        area += np.where(weight > 0, weight * found, 0.0)
        failing += weight
    return np.divide(area, failing, out=np.full_like(area, np.nan), where=failing > 0)


def _weightings(rows: HeldOutRows) -> Iterator[Float64]:
    """Weights of the rows, shape (n, n_rows): first all alike, then resampled groups.

    The same every time it is called, so all measures are paired.
    """
    _, own = np.unique(rows.groups, return_inverse=True)
    count = int(own.max()) + 1
    heavy = np.ones(len(own)) if rows.weights is None else rows.weights
    yield heavy[None, :]
    if count < LEAST_GROUPS:
        return
    rng = np.random.default_rng(rows.seed)
    times = rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLINGS)
    step = max(1, CELLS // len(own))
    for at in range(0, RESAMPLINGS, step):
        yield times[at : at + step, own] * heavy


def _contrast(measure: str, values: Float64, sign: float, rows: HeldOutRows) -> Comparison:
    """values: shape (2, 1 + n_resamplings), challenger first, all rows first."""
    gains = sign * (values[0] - values[1])
    resampled = gains[1:][np.isfinite(gains[1:])]
    low, high = np.quantile(resampled, TAILS) if len(resampled) else (-np.inf, np.inf)
    return Comparison(
        measure=measure,
        challenger=float(values[0, 0]),
        other=float(values[1, 0]),
        gain=float(gains[0]),
        low=float(low),
        high=float(high),
    )
