"""Figures of a backtest: quality of risks and lives left, and the value of alarms."""

from dataclasses import dataclass, replace

import numpy as np

from pm_app.learning.data.targets import known_lives, survivors_are_known
from pm_app.learning.evaluation.alarm_value import (
    THRESHOLDS,
    AlarmHysteresis,
    Lives,
    Prices,
    Tally,
    cheapest,
    find_alarms,
    precision_at_capacity,
    sweep,
    tally,
)
from pm_app.learning.evaluation.metrics import life_errors, risk_bins, risk_figures
from pm_app.learning.evaluation.promotion import Comparison, HeldOutRows, judge
from pm_app.records.labels import Labels
from pm_app.records.learning import Bin
from pm_app.records.readings import Float64, Int32, Int64


@dataclass(frozen=True)
class BacktestedModel:
    """One model over all folds.

    average_precision, brier, calibration_error: of the risk; rul_rmse_hours, rul_mae_hours,
    coverage (None without intervals, or where lives of failures alone are known): of the life
    left. best: the threshold of least cost for this side; sweep: every threshold.
    precision_at_capacity: of what the crew would have looked at, of `looked_at`.
    """

    name: str
    average_precision: float
    brier: float
    calibration_error: float
    bins: tuple[Bin, ...]
    rul_rmse_hours: float
    rul_mae_hours: float
    coverage: float | None
    best: Tally
    sweep: tuple[Tally, ...]
    precision_at_capacity: float
    looked_at: int


@dataclass(frozen=True, eq=False)
class ModelPredictions:
    """Predictions of one model, (n_rows,) each; low and high NaN without intervals."""

    name: str
    risk: Float64
    rul: Float64
    low: Float64
    high: Float64


@dataclass(frozen=True, eq=False)
class BacktestSeries:
    """Cutoffs and outcomes of a backtest; (n_rows,) each, rows by asset, then cutoff.

    week: number of each row's week. horizon_hours: of the risks; cap_hours: the longest life
    predicted.
    """

    asset: Int32
    cutoff: Int64
    week: Int64
    labels: Labels
    horizon_hours: float
    cap_hours: float


@dataclass(frozen=True)
class AlarmPlan:
    """Rules of alarms, what they cost, and how many the crew can look at a week."""

    manner: AlarmHysteresis
    prices: Prices
    weekly_capacity: int


@dataclass(frozen=True)
class DeviationAlarms:
    """Alarms of deviations, beside alarms of risks that cost no more false ones.

    caught, false_alarms: of deviations; of `failures` that came. risk_caught, risk_false_alarms:
    of risks from risk_threshold on, which of all with at most as many false alarms catches most;
    None where none has as few. by_fold: failures caught in each fold, by deviations and by risks.
    since: number of the fold from which on, to the end, risks catch more; None where there is none.
    """

    failures: int
    caught: int
    false_alarms: int
    risk_threshold: float | None
    risk_caught: int
    risk_false_alarms: int
    by_fold: tuple[tuple[int, int], ...]
    since: int | None


def compare_deviations(
    deviation: ModelPredictions,
    risks: ModelPredictions,
    series: BacktestSeries,
    fold: Int32,
    *,
    manner: AlarmHysteresis,
    plan: AlarmPlan,
) -> DeviationAlarms:
    """Alarms of deviations against those of risks, in the rows where both are told.

    deviation: as `risk`, 1.0 the level of alarms, which are raised in this manner; fold: of each
    row, (n_rows,).
    """
    both = np.isfinite(deviation.risk) & np.isfinite(risks.risk)
    mine, theirs = (
        lives_of(replace(each, risk=np.where(both, each.risk, np.nan)), series)
        for each in (deviation, risks)
    )
    least = plan.prices.least_hours
    caught, false = _caught(mine, 1.0, manner, least)
    threshold, risk_caught, risk_false = _most_caught(theirs, plan, most_false=false)
    failing = np.unique(mine.life[mine.failed & np.isfinite(mine.risk)])
    last = np.searchsorted(mine.life, failing, side="right") - 1
    number = dict(zip(failing.tolist(), fold[series.labels.usable][last].tolist(), strict=True))
    count = int(fold.max(initial=-1)) + 1
    by_fold = tuple(
        (_of_fold(caught, number, each), _of_fold(risk_caught, number, each))
        for each in range(count)
    )
    return DeviationAlarms(
        failures=len(failing),
        caught=len(caught),
        false_alarms=false,
        risk_threshold=threshold,
        risk_caught=len(risk_caught),
        risk_false_alarms=risk_false,
        by_fold=by_fold,
        since=_ahead_since([theirs - mine for mine, theirs in by_fold]),
    )


def _most_caught(
    lives: Lives, plan: AlarmPlan, *, most_false: int
) -> tuple[float | None, set[int], int]:
    """The threshold that catches most without more false alarms, what it catches, and its own."""
    least, nothing = plan.prices.least_hours, set[int]()
    tried = [(at, *_caught(lives, at, plan.manner, least)) for at in THRESHOLDS]
    cheap = [each for each in tried if each[2] <= most_false]
    return max(cheap, key=lambda each: len(each[1]), default=(None, nothing, 0))


def _caught(
    lives: Lives, threshold: float, manner: AlarmHysteresis, least_hours: float
) -> tuple[set[int], int]:
    """Lives whose failure was warned of, and how many looks were for nothing."""
    alarms = find_alarms(lives, threshold, manner)
    warned, hours = lives.life[alarms.row[alarms.true]], alarms.hours[alarms.true]
    newest = dict(zip(warned.tolist(), hours.tolist(), strict=True))
    return {life for life, ahead in newest.items() if ahead >= least_hours}, len(alarms.false_looks)


def _of_fold(lives: set[int], fold_of: dict[int, int], fold: int) -> int:
    return sum(fold_of.get(life) == fold for life in lives)


def _ahead_since(gains: list[int]) -> int | None:
    """From which fold on, to the end, more is gained than lost, and never less from a later one."""
    since, total = None, 0
    for number in range(len(gains) - 1, -1, -1):
        total += gains[number]
        if total < 0:
            break
        if total > 0:
            since = number
    return since


def measure_side(
    predictions: ModelPredictions, series: BacktestSeries, plan: AlarmPlan
) -> BacktestedModel:
    """All figures of one model. NaN where nothing is known."""
    truth = np.where(
        np.isfinite(predictions.risk), series.labels.fails_within(series.horizon_hours), np.nan
    )
    lives = lives_of(predictions, series)
    tallies = sweep(lives, plan.manner, plan.prices)
    precision, looked_at = precision_at_capacity(
        lives, week=series.week[series.labels.usable], capacity=plan.weekly_capacity
    )
    weights = series.labels.weights_within(series.horizon_hours)
    figures = risk_figures(predictions.risk, truth, weights)
    errors, coverage = _life_errors(predictions, series)
    return BacktestedModel(
        name=predictions.name,
        average_precision=figures.get("average_precision", np.nan),
        brier=figures.get("brier", np.nan),
        calibration_error=figures.get("calibration_error", np.nan),
        bins=risk_bins(predictions.risk, truth, weights),
        rul_rmse_hours=errors.get("rul_rmse_hours", np.nan),
        rul_mae_hours=errors.get("rul_mae_hours", np.nan),
        coverage=coverage,
        best=cheapest(tallies),
        sweep=tallies,
        precision_at_capacity=precision,
        looked_at=looked_at,
    )


def never_alarm(predictions: ModelPredictions, series: BacktestSeries, plan: AlarmPlan) -> Tally:
    """The tally without any alarm."""
    return tally(lives_of(predictions, series), np.inf, plan.manner, plan.prices)


def paired(
    ours: ModelPredictions, theirs: ModelPredictions, series: BacktestSeries, *, seed: int = 0
) -> tuple[Comparison, ...]:
    """Ours against theirs on the same rows, lives resampled whole; empty where nothing is known."""
    truth = series.labels.fails_within(series.horizon_hours)
    scored = np.isfinite(truth) & np.isfinite(ours.risk) & np.isfinite(theirs.risk)
    weights = series.labels.weights_within(series.horizon_hours)
    rows = HeldOutRows(
        truth[scored],
        series.labels.life[scored],
        ranks=True,
        seed=seed,
        weights=None if weights is None else weights[scored],
    )
    return judge(ours.risk[scored], theirs.risk[scored], rows, verdict="keep").comparisons


def lives_of(predictions: ModelPredictions, series: BacktestSeries) -> Lives:
    """The rows that belong to a life."""
    labels = series.labels
    usable = labels.usable
    life = labels.life[usable]
    failing, renewed = (
        np.unique(labels.life[usable & ended]) for ended in (labels.failed, labels.renewed)
    )
    return Lives(
        life=life,
        cutoff=series.cutoff[usable],
        risk=predictions.risk[usable],
        left_hours=labels.duration_hours[usable],
        failed=np.isin(life, failing),
        horizon_hours=series.horizon_hours,
        renewed=np.isin(life, renewed),
    )


def _life_errors(
    predictions: ModelPredictions, series: BacktestSeries
) -> tuple[dict[str, float], float | None]:
    """Errors of the life left in hours, and the share of lives inside their interval."""
    rows = np.flatnonzero(series.labels.usable & np.isfinite(predictions.rul))
    lives, places = known_lives(series.labels, rows, series.cap_hours)
    honest = survivors_are_known(series.labels, rows, series.cap_hours)
    rows = rows[places]
    if not len(rows):
        return {}, None
    low, high = predictions.low[rows], predictions.high[rows]
    judged = honest and np.isfinite(low).all()
    inside = float(np.mean((low <= lives) & (lives <= high))) if judged else None
    return life_errors(predictions.rul[rows] - lives, "rul"), inside
