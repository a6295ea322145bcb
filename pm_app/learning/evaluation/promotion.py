"""Promotion test: whether a version may score, the first or in the champion's place, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.learning.data.time_splits import LEAST_GROUPS
from pm_app.learning.evaluation.dealing import DealtPrecision, deal_failures
from pm_app.learning.importance.forest import average_precision
from pm_app.records.readings import Float64, Int32, Int64
from pm_app.wording import percent_text

RESAMPLINGS = 1_000
# Weights held in memory at once.
CELLS = 4_000_000
PRECISION, BRIER = "average precision", "Brier score"
# Both ends of the interval outside which a difference is no longer noise.
TAILS = (0.05, 0.95)
# A version asked for because the plant changed need not be better, only not worse.
DEMANDING = ("refit", "rebuild")
# A first version may be as good as this share of deals of the failures, no more.
LUCK = 0.01
# Share of the outcomes' variance that risks have to claim for themselves (the variance of the
# risks over that of outcomes at the share of failures in training). Forests that had learned
# shuffled labels claimed 0.010 at most in 221 trials, and ranked failures beyond luck in 42: what
# is unusual does fail more often. Those that had learned true ones claimed at least 0.26.
LEAST_CLAIM = 0.02


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


@dataclass(frozen=True, eq=False)
class FirstVersionRows:
    """What a first version is judged by besides its held-out rows.

    asset, cutoff: (n_rows,), whose rows they are, and when. guess: the share of failures, or the
    mean value, among the rows it learned from. apart: rows are whole lives (`deal_failures`).
    """

    asset: Int32
    cutoff: Int64
    guess: float
    apart: bool = False


def judge_first(
    challenger: Float64, rows: HeldOutRows, first: FirstVersionRows
) -> PromotionDecision:
    """Whether a version may score where none does; arguments as of `judge`.

    Its average precision has to exceed what all but `LUCK` of the deals of the failures give
    (`deal_failures`), and its Brier score must not be worse than that of the guess beyond
    noise. To be better beyond noise is not asked: with few failures no Brier score is, however
    well they were foreseen. Its risks have to differ, or they would tell nobody anything. A
    value has to be nearer than the guess beyond noise.
    """
    labelled = np.isfinite(rows.labels)
    if not labelled.any():
        return _nothing_to_judge_by()
    rows = replace(rows, labels=rows.labels[labelled], groups=rows.groups[labelled])
    risk = challenger[labelled]
    comparisons = _compare(risk, np.full(len(risk), first.guess), rows)
    if not rows.ranks:
        return _decide_first(_lacks_of_a_value(comparisons, rows), comparisons, "")
    if rows.labels.min() == rows.labels.max():
        lack = "held-out rows that fail and rows that do not are both needed"
        return _decide_first([lack], comparisons, "")
    dealt = deal_failures(
        risk,
        rows.labels,
        asset=first.asset[labelled],
        cutoff=first.cutoff[labelled],
        seed=rows.seed,
        apart=first.apart,
    )
    lacks = _lacks_of_risks(risk, dealt, comparisons, first.guess)
    return _decide_first(lacks, comparisons, _dealt_text(dealt))


def _nothing_to_judge_by(of: str = "") -> PromotionDecision:
    return PromotionDecision(False, f"kept out: no held-out row has a label to judge by{of}", ())


def _decide_first(
    lacks: Sequence[str], comparisons: tuple[Comparison, ...], dealt: str
) -> PromotionDecision:
    beats = "beyond luck" if dealt else "beats a constant guess"
    outcome = f"kept out: {', '.join(lacks)}" if lacks else f"promoted: first version, {beats}"
    measures = [one for one in comparisons if not (dealt and one.measure == PRECISION)]
    figures = ", ".join(text for text in (dealt, _comparison_text(measures)) if text)
    return PromotionDecision(not lacks, f"{outcome}: {figures}", comparisons)


def _lacks_of_a_value(comparisons: Sequence[Comparison], rows: HeldOutRows) -> list[str]:
    if all(one.better for one in comparisons):
        return []
    groups = len(np.unique(rows.groups))
    if groups < LEAST_GROUPS:
        return [f"held-out rows of {groups} machines or spells, {LEAST_GROUPS} needed"]
    return ["no better than a constant guess"]


def _lacks_of_risks(
    risk: Float64, dealt: DealtPrecision, comparisons: Sequence[Comparison], guess: float
) -> list[str]:
    """What a first version lacks, in words."""
    lacks = []
    if np.isinf(dealt.needed(LUCK)):
        lacks.append(
            f"the held-out failures can be dealt in {dealt.ways:,} ways, {round(1 / LUCK)} needed "
            "to tell skill from luck"
        )
    elif dealt.p > LUCK:
        lacks.append("ranks failures no better than luck may")
    if any(one.worse for one in comparisons if one.measure == BRIER):
        lacks.append("its risks are farther off than a constant guess")
    if np.var(risk) < LEAST_CLAIM * guess * (1 - guess):
        low, high = percent_text(float(risk.min())), percent_text(float(risk.max()))
        lacks.append(f"its risks hardly differ ({low} to {high})")
    return lacks


def _dealt_text(dealt: DealtPrecision) -> str:
    """How far average precision is from what is needed."""
    text = f"{PRECISION} {dealt.found:.3g}"
    needed = dealt.needed(LUCK)
    if np.isinf(needed):
        return text
    return (
        f"{text}, more than {needed:.3g} needed ({1 - LUCK:.0%} of failures dealt anew reach no "
        f"more; half of them {np.median(dealt.dealt):.3g})"
    ).replace("%", " %")


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
        return _nothing_to_judge_by(" that the champion has not learned from")
    rows = replace(rows, labels=rows.labels[labelled], groups=rows.groups[labelled])
    comparisons = _compare(challenger[labelled], champion[labelled], rows)
    promote, why = _beats_champion(comparisons, verdict)
    worse = [one for one in comparisons if one.worse]
    outcome = "promoted" if promote else "kept out"
    reason = f"{outcome}: {why}: {_comparison_text(worse or comparisons)}"
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
    brier = _contrast(BRIER, mean_errors, -1.0, rows)
    if rows.labels.min() == rows.labels.max():
        return (brier,)
    precision = np.hstack(
        [
            np.stack([average_precision(rows.labels, side, each) for side in sides])
            for each in _weightings(rows)
        ]
    )
    return (_contrast(PRECISION, precision, 1.0, rows), brier)


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
