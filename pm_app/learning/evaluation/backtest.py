"""Figures of a backtest: quality of risks and lives left, and the value of alarms."""

from dataclasses import dataclass

import numpy as np

from pm_app.learning.data.targets import known_lives
from pm_app.learning.evaluation.alarm_value import (
    AlarmHysteresis,
    Lives,
    Prices,
    Tally,
    cheapest,
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
    coverage (None without intervals): of the life left where it is known. best: the threshold
    of least cost for this side; sweep: every threshold. precision_at_capacity: of what the
    crew would have looked at, of `looked_at`.
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
    rows = rows[places]
    if not len(rows):
        return {}, None
    low, high = predictions.low[rows], predictions.high[rows]
    inside = float(np.mean((low <= lives) & (lives <= high))) if np.isfinite(low).all() else None
    return life_errors(predictions.rul[rows] - lives, "rul"), inside
