"""Promotion test: whether a challenger may take the champion's place, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.learning.data.time_splits import LEAST_GROUPS
from pm_app.learning.importance.forest import average_precision
from pm_app.records.readings import Float64, Int32

RESAMPLINGS = 1_000
# Weights held in memory at once.
CELLS = 4_000_000
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
    resampled whole. ranks: labels are classes, and average precision counts.
    """

    labels: Float64
    groups: Int32
    ranks: bool
    seed: int = 0


def judge(
    challenger: Float64, champion: Float64 | None, rows: HeldOutRows, *, verdict: str
) -> PromotionDecision:
    """A paired test on held-out rows (paired bootstrap).

    challenger, champion: risks at the main horizon, or values, (n_rows,). Measures are
    average precision and Brier score, or the root of the mean squared error.

    Without a champion the challenger has to beat a constant guess (the share of failures, or
    the mean, of these very rows) beyond noise by every measure. With one, it must not be worse
    beyond noise by any measure, and either better beyond noise by all of them, or wanted
    because the drift `verdict` is "refit" or "rebuild".

    One measure is not enough: forests that had learned shuffled labels beat the constant guess
    by average precision alone in 31 of 58 trials (what is merely unusual is ranked first, and
    fails more often), by both measures in 1; and forests that differed from the champion by
    their seed beat it by one measure in 5 of 58, by both in 1.
    """
    labelled = np.isfinite(rows.labels)
    if not labelled.any():
        return PromotionDecision(False, "kept out: no held-out row has a label to judge by", ())
    rows = replace(rows, labels=rows.labels[labelled], groups=rows.groups[labelled])
    constant = np.full(len(rows.labels), rows.labels.mean())
    other = constant if champion is None else champion[labelled]
    comparisons = _compare(challenger[labelled], other, rows)
    promote, why = (
        _beats_constant(comparisons, len(np.unique(rows.groups)))
        if champion is None
        else _beats_champion(comparisons, verdict)
    )
    worse = [one for one in comparisons if one.worse] if champion is not None else []
    outcome = "promoted" if promote else "kept out"
    reason = f"{outcome}: {why}: {_comparison_text(worse or comparisons)}"
    return PromotionDecision(promote, reason, comparisons)


def _beats_constant(comparisons: Sequence[Comparison], groups: int) -> tuple[bool, str]:
    if all(one.better for one in comparisons):
        return True, "first version, beats a constant guess"
    if all(np.isinf(one.low) for one in comparisons):
        return False, (
            f"held-out rows of {groups} machines or spells are too few to tell skill from luck, "
            f"{LEAST_GROUPS} needed"
        )
    return False, _no_better("a constant guess", comparisons)


def _beats_champion(comparisons: Sequence[Comparison], verdict: str) -> tuple[bool, str]:
    if any(one.worse for one in comparisons):
        return False, "worse than the champion"
    if all(one.better for one in comparisons):
        return True, "better than the champion"
    if verdict in DEMANDING:
        return True, "as good as the champion and newer"
    return False, _no_better("the champion", comparisons)


def _no_better(than: str, comparisons: Sequence[Comparison]) -> str:
    """Words for what did not win by every measure."""
    won = [one.measure for one in comparisons if one.better]
    return f"better than {than} by {won[0]} alone" if won else f"no better than {than}"


def _comparison_text(comparisons: Sequence[Comparison]) -> str:
    return ", ".join(
        f"{one.measure} {one.challenger:.3g} against {one.other:.3g}"
        + (f" (gain {one.low:.2g} to {one.high:.2g})" if np.isfinite(one.low) else "")
        for one in comparisons
    )


def _compare(challenger: Float64, other: Float64, rows: HeldOutRows) -> tuple[Comparison, ...]:
    sides = np.stack([challenger, other])
    errors = (sides - rows.labels) ** 2
    mean_errors = np.hstack([errors @ each.T / each.sum(axis=1) for each in _weightings(rows)])
    if not rows.ranks:
        return (_contrast("RMSE", np.sqrt(mean_errors), -1.0, rows),)
    brier = _contrast("Brier score", mean_errors, -1.0, rows)
    if rows.labels.min() == rows.labels.max():
        return (brier,)
    precision = np.hstack(
        [
            np.stack([average_precision(rows.labels, side, each) for side in sides])
            for each in _weightings(rows)
        ]
    )
    return (_contrast("average precision", precision, 1.0, rows), brier)


def _weightings(rows: HeldOutRows) -> Iterator[Float64]:
    """Weights of the rows, shape (n, n_rows): first all alike, then resampled groups.

    The same every time it is called, so all measures are paired.
    """
    _, own = np.unique(rows.groups, return_inverse=True)
    count = int(own.max()) + 1
    yield np.ones((1, len(own)))
    if count < LEAST_GROUPS:
        return
    rng = np.random.default_rng(rows.seed)
    times = rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLINGS)
    step = max(1, CELLS // len(own))
    for at in range(0, RESAMPLINGS, step):
        yield times[at : at + step, own].astype(np.float64)


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
