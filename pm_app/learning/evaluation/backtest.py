"""What a backtest comes to: how well risks and lives were told, what alarms were worth."""

from dataclasses import dataclass

import numpy as np

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
from pm_app.learning.evaluation.metrics import average_precision, calibration_error, risk_bins
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
    """What one model said, (n_rows,) each; low and high NaN without intervals."""

    name: str
    risk: Float64
    rul: Float64
    low: Float64
    high: Float64


@dataclass(frozen=True, eq=False)
class BacktestSeries:
    """What was spoken of, and what came; (n_rows,) each, rows by asset, then cutoff.

    week: number of each row's week. horizon_hours: of the risks; cap_hours: the longest life
    told.
    """

    asset: Int32
    cutoff: Int64
    week: Int64
    labels: Labels
    horizon_hours: float
    cap_hours: float


@dataclass(frozen=True)
class AlarmPlan:
    """How alarms are raised, what they cost, and how many the crew can look at a week."""

    manner: AlarmHysteresis
    prices: Prices
    weekly_capacity: int


def measure_side(
    told: ModelPredictions, course: BacktestSeries, plan: AlarmPlan
) -> BacktestedModel:
    """All figures of one model. NaN where nothing is known."""
    truth = course.labels.fails_within(course.horizon_hours)
    known = np.isfinite(truth) & np.isfinite(told.risk)
    said, came = told.risk[known], truth[known]
    lives = lives_of(told, course)
    tallies = sweep(lives, plan.manner, plan.prices)
    usable = course.labels.usable
    precision, looked_at = precision_at_capacity(
        lives, week=course.week[usable], capacity=plan.weekly_capacity
    )
    error, inside = _life_errors(told, course)
    both = 0 < came.sum() < len(came)
    return BacktestedModel(
        name=told.name,
        average_precision=average_precision(said, came) if both else float("nan"),
        brier=float(np.mean((said - came) ** 2)) if len(came) else float("nan"),
        calibration_error=calibration_error(said, came) if len(came) else float("nan"),
        bins=risk_bins(said, came),
        rul_rmse_hours=float(np.sqrt(np.mean(error**2))) if len(error) else float("nan"),
        rul_mae_hours=float(np.mean(np.abs(error))) if len(error) else float("nan"),
        coverage=inside,
        best=cheapest(tallies),
        sweep=tallies,
        precision_at_capacity=precision,
        looked_at=looked_at,
    )


def never_alarm(told: ModelPredictions, course: BacktestSeries, plan: AlarmPlan) -> Tally:
    """What it comes to without any alarm."""
    return tally(lives_of(told, course), np.inf, plan.manner, plan.prices)


def paired(
    ours: ModelPredictions, theirs: ModelPredictions, course: BacktestSeries, *, seed: int = 0
) -> tuple[Comparison, ...]:
    """Ours against theirs on the same rows, lives resampled whole; empty where nothing is known."""
    truth = course.labels.fails_within(course.horizon_hours)
    known = np.isfinite(truth) & np.isfinite(ours.risk) & np.isfinite(theirs.risk)
    rows = HeldOutRows(truth[known], course.labels.life[known], ranks=True, seed=seed)
    return judge(ours.risk[known], theirs.risk[known], rows, verdict="keep").comparisons


def lives_of(told: ModelPredictions, course: BacktestSeries) -> Lives:
    """The rows that belong to a life."""
    labels = course.labels
    usable = labels.usable
    life = labels.life[usable]
    failing = np.unique(labels.life[usable & labels.failed])
    return Lives(
        life=life,
        cutoff=course.cutoff[usable],
        risk=told.risk[usable],
        left_hours=labels.duration_hours[usable],
        failed=np.isin(life, failing),
        horizon_hours=course.horizon_hours,
    )


def _life_errors(told: ModelPredictions, course: BacktestSeries) -> tuple[Float64, float | None]:
    """Errors of the life left in hours, and the share of lives inside their interval."""
    labels, cap = course.labels, course.cap_hours
    duration = labels.duration_hours
    known = labels.usable & (labels.failed | (duration >= cap)) & np.isfinite(told.rul)
    lives = np.minimum(duration[known], cap)
    low, high = told.low[known], told.high[known]
    inside = None
    if len(lives) and np.isfinite(low).all():
        inside = float(np.mean((low <= lives) & (lives <= high)))
    return told.rul[known] - lives, inside
