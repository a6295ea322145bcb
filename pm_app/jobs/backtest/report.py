"""Backtest report: figures of both models, the threshold for alarms and its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.jobs.backtest.run import BacktestPredictions
from pm_app.learning.evaluation.alarm_value import (
    AlarmHysteresis,
    Lives,
    Prices,
    RaisedAlarms,
    Tally,
    find_alarms,
)
from pm_app.learning.evaluation.backtest import (
    AlarmPlan,
    BacktestedModel,
    BacktestSeries,
    DeviationAlarms,
    ModelPredictions,
    compare_deviations,
    lives_of,
    measure_side,
    never_alarm,
    paired,
)
from pm_app.learning.evaluation.metrics import average_precision
from pm_app.learning.evaluation.promotion import Comparison
from pm_app.records.readings import Float64, Int64
from pm_app.settings.plant import Settings
from pm_app.times import HOUR_NS, NS, parse_duration, to_moment

_WEEK_NS = 7 * 24 * HOUR_NS
# Costs that lose no more of what alarms save are as good: chance moves them more.
_NEAR = 0.05


@dataclass(frozen=True)
class FoldFigures:
    """One fold: failures before and in it, and what the threshold would have done."""

    origin: datetime
    end: datetime
    past_failures: int
    failures: int
    caught: int
    false_alarms: int
    average_precision: float
    peer_average_precision: float
    note: str


@dataclass(frozen=True)
class FailureOutcome:
    """One failure that came, and the hours of warning; None where it was missed."""

    asset: str
    failed_at: datetime
    warning_hours: float | None
    highest_risk: float


@dataclass(frozen=True)
class BacktestReport:
    """All of it. near: from the lowest to the highest threshold that costs about as little.
    deviation: None where nothing is said of deviations."""

    horizon_hours: float
    ours: BacktestedModel
    peer: BacktestedModel
    never: Tally
    comparisons: tuple[Comparison, ...]
    folds: tuple[FoldFigures, ...]
    failures: tuple[FailureOutcome, ...]
    near: tuple[float, float]
    prices: Prices
    weekly_capacity: int
    deviation: DeviationAlarms | None

    @property
    def threshold(self) -> float:
        """Where alarms would have cost least."""
        return self.ours.best.threshold

    @property
    def reason(self) -> str:
        """Why that threshold, in a sentence."""
        best, prices = self.ours.best, self.prices
        low, high = self.near
        near = (
            f"from {low:g} to {high:g} it makes little difference"
            if low < high
            else "no other comes near"
        )
        hidden = (
            f"; {best.open_looks} more alarms were followed by a renewal, and nobody knows what "
            "would have come of them"
            if best.open_looks
            else ""
        )
        return (
            f"alarms from a risk of {best.threshold:g} on would have cost about the least: "
            f"{best.caught} of {best.failures} failures caught ({best.missed} missed at "
            f"{prices.missed_failure:g}) and {best.false_alarms} false alarms (at "
            f"{prices.false_alarm:g}) come to {best.cost:g}, against {self.never.cost:g} without "
            f"alarms; {near}{hidden}"
        )


def deviation_text(report: BacktestReport) -> str:
    """From when risks catch more than deviations do, in words; "" where there are none."""
    found = report.deviation
    if found is None:
        return ""
    text = (
        f"Alarms of deviations, which need no failure to learn from, would have caught "
        f"{found.caught} of {found.failures} failures with {found.false_alarms} false alarms; "
    )
    if found.risk_threshold is None:
        return f"{text}no threshold of risks has as few."
    text += (
        f"risks from {found.risk_threshold:g} on, with {found.risk_false_alarms}, "
        f"{found.risk_caught}. "
    )
    if found.since is None:
        return f"{text}Risks do not catch more from any fold on."
    fold = report.folds[found.since]
    return (
        f"{text}Risks catch more from {fold.origin:%Y-%m-%d} on, when {fold.past_failures} "
        f"failures were known."
    )


def report_on(result: BacktestPredictions, settings: Settings) -> BacktestReport:
    """All figures of a backtest with the plant's own prices and alarms."""
    plan = _alarm_plan(settings)
    series = BacktestSeries(
        result.asset,
        result.cutoff,
        _weeks(result.cutoff, settings.plant.timezone),
        result.labels,
        result.horizon_hours,
        result.cap_hours,
    )
    ours, theirs = result.ours, result.theirs
    side, peer = measure_side(ours, series, plan), measure_side(theirs, series, plan)
    costs = {each.threshold: each.cost for each in side.sweep}
    never = never_alarm(ours, series, plan)
    most = side.best.cost + _NEAR * max(never.cost - side.best.cost, 0.0)
    near = [at for at, cost in costs.items() if cost <= most]
    lives = lives_of(ours, series)
    threshold = side.best.threshold
    alarms = find_alarms(lives, threshold, plan.manner)
    failures = _failures(result, lives, alarms, plan)
    return BacktestReport(
        horizon_hours=result.horizon_hours,
        ours=side,
        peer=peer,
        never=never,
        comparisons=paired(ours, theirs, series),
        folds=_folds(result, failures, lives.cutoff[alarms.false_looks]),
        failures=failures,
        near=(min([*near, threshold]), max([*near, threshold])),
        prices=plan.prices,
        weekly_capacity=plan.weekly_capacity,
        deviation=_deviation_alarms(result, series, settings, plan),
    )


def _deviation_alarms(
    result: BacktestPredictions, series: BacktestSeries, settings: Settings, plan: AlarmPlan
) -> DeviationAlarms | None:
    if not np.isfinite(result.deviation).any():
        return None
    panes = settings.features.windows_ns[0] // settings.features.pane_ns
    # As alarms of deviations are raised: see `alarm_persistence`.
    manner = AlarmHysteresis(max(settings.deviation.persistence, panes), settings.deviation.clear)
    nothing = np.full(len(result.deviation), np.nan)
    deviation = ModelPredictions("deviation", result.deviation, nothing, nothing, nothing)
    return compare_deviations(deviation, result.ours, series, result.fold, manner=manner, plan=plan)


def _alarm_plan(settings: Settings) -> AlarmPlan:
    """How the plant raises alarms and what they cost it."""
    alarms, costs = settings.alarms, settings.costs
    least = parse_duration(costs.least_warning) / HOUR_NS
    return AlarmPlan(
        AlarmHysteresis(alarms.persistence, alarms.clear),
        Prices(costs.missed_failure, costs.false_alarm, least),
        costs.weekly_capacity,
    )


def _weeks(cutoff: Int64, zone: str) -> Int64:
    """Weeks as the plant's calendar has them: from Monday, by its clock."""
    if not len(cutoff):
        return cutoff
    # One offset for all: a week that is an hour off around a change of the clocks is a week.
    offset = datetime.fromtimestamp(int(cutoff[0]) / NS, tz=UTC).astimezone(ZoneInfo(zone))
    shift = round((offset.utcoffset().total_seconds() if offset.utcoffset() else 0) * NS)  # type: ignore[union-attr]  # asked just before
    # 1970 began on a Thursday.
    return np.asarray((cutoff + shift + 3 * 24 * HOUR_NS) // _WEEK_NS)


def _folds(
    result: BacktestPredictions, failures: Sequence[FailureOutcome], false_looks: Int64
) -> tuple[FoldFigures, ...]:
    """false_looks: cutoffs at which the crew would have looked for nothing."""
    truth = result.labels.fails_within(result.horizon_hours)
    weights = result.labels.weights_within(result.horizon_hours)
    found = []
    for number, (fold, note) in enumerate(zip(result.folds, result.decisions, strict=True)):
        origin, end = to_moment(fold.origin), to_moment(fold.end)
        came = [one for one in failures if origin < one.failed_at <= end]
        mine = result.fold == number
        own = None if weights is None else weights[mine]
        found.append(
            FoldFigures(
                origin,
                end,
                fold.past_failures,
                len(came),
                sum(one.warning_hours is not None for one in came),
                int(np.sum((false_looks > fold.origin) & (false_looks <= fold.end))),
                _precision(result.ours.risk[mine], truth[mine], own),
                _precision(result.theirs.risk[mine], truth[mine], own),
                note,
            )
        )
    return tuple(found)


def _precision(risk: Float64, truth: Float64, weights: Float64 | None) -> float:
    rows = np.isfinite(risk) & np.isfinite(truth)
    both = 0 < truth[rows].sum() < rows.sum()
    truth = np.where(rows, truth, np.nan)
    return average_precision(risk, truth, weights) if both else float("nan")


def _failures(
    result: BacktestPredictions, lives: Lives, alarms: RaisedAlarms, plan: AlarmPlan
) -> tuple[FailureOutcome, ...]:
    """Every failure with a predicted risk before it, in order of time."""
    warned_lives, hours_before = lives.life[alarms.row[alarms.true]], alarms.hours[alarms.true]
    warned = dict(zip(warned_lives.tolist(), hours_before.tolist(), strict=True))
    asset = result.asset[result.labels.usable]
    outcomes = []
    for life in np.unique(lives.life[lives.failed & np.isfinite(lives.risk)]).tolist():
        begin, end = np.searchsorted(lives.life, [life, life + 1])
        rows = begin + np.flatnonzero(np.isfinite(lives.risk[begin:end]))
        last = rows[-1]
        moment = int(lives.cutoff[last]) + round(lives.left_hours[last] * HOUR_NS)
        near = rows[lives.left_hours[rows] <= lives.horizon_hours]
        hours = warned.get(life)
        outcomes.append(
            FailureOutcome(
                result.assets[asset[last]],
                to_moment(moment),
                hours if hours is not None and hours >= plan.prices.least_hours else None,
                float(lives.risk[near].max()) if len(near) else float(lives.risk[last]),
            )
        )
    return tuple(sorted(outcomes, key=lambda one: one.failed_at))
