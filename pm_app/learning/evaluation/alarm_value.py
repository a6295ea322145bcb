"""Value of alarms: failures caught, hours of warning, false alarms, costs.

Rows are risks of lives (an asset from repair to failure), life after life, each oldest
first. An alarm stands from `persistence` cutoffs running at or above a threshold until as many
below `clear` times it. A failure is caught where one stands within the horizon before it.

The crew looks when an alarm is raised, and once a horizon again for as long as it stands: what
always stands would warn of everything and cost nothing else. A look is false where the asset is
known to have outlived the horizon after it; where that is not known, it is not counted. One that
a renewal followed within the horizon may have been the reason for it: it is counted apart.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Flags, Float64, Int32, Int64
from pm_app.times import HOUR_NS

# Risks are calibrated: what lies between two of these would be noise.
THRESHOLDS = (0.005, 0.01, 0.015, *(round(0.02 * step, 2) for step in range(1, 50)))
HOURS_A_MONTH = 730.5


@dataclass(frozen=True)
class Prices:
    """Costs of a missed failure and of a false alarm, in the plant's own money.

    A failure warned of less than `least_hours` before counts as missed.
    """

    missed_failure: float
    false_alarm: float
    least_hours: float


@dataclass(frozen=True)
class AlarmHysteresis:
    """For how many cutoffs running a risk is high or low, and what share of the threshold is
    low."""

    persistence: int
    clear: float


@dataclass(frozen=True, eq=False)
class Lives:
    """Risks of lives, and how they ended; rows by life, then time.

    life: (n_rows,), ascending; cutoff: nanoseconds UTC; risk: NaN where there is none;
    left_hours: to the failure, or to where the life was last seen; failed: whether it ends in
    a failure, the same in all rows of a life. horizon_hours: of the risk. renewed: whether a
    renewal ends it, likewise; none by default.
    """

    life: Int32
    cutoff: Int64
    risk: Float64
    left_hours: Float64
    failed: Flags
    horizon_hours: float
    renewed: Flags = field(default_factory=lambda: np.empty(0, dtype=np.bool_))


@dataclass(frozen=True, eq=False)
class RaisedAlarms:
    """Alarms at one threshold. row: where each was raised; hours: from there to the failure,
    NaN where it was not true; true: (n_alarms,). false_looks: rows at which the crew looked
    for nothing; open_looks: how often a renewal hid what would have come of it."""

    row: Int64
    hours: Float64
    true: Flags
    false_looks: Int64
    open_looks: int


@dataclass(frozen=True)
class Tally:
    """Alarms and cost at one threshold. warning_hours: of each failure caught, ascending;
    open_looks: as of `RaisedAlarms`, at no cost."""

    threshold: float
    failures: int
    caught: int
    false_alarms: int
    alarms: int
    warning_hours: tuple[float, ...]
    false_a_month: float
    cost: float
    open_looks: int = 0

    @property
    def missed(self) -> int:
        """Failures that no alarm stood for, or too late."""
        return self.failures - self.caught


def alarm_stands(lives: Lives, threshold: float, manner: AlarmHysteresis) -> Flags:
    """Whether an alarm stands at each row, (n_rows,). Rows without a risk change nothing."""
    scored = np.flatnonzero(np.isfinite(lives.risk))
    life, risk = lives.life[scored], lives.risk[scored]
    first = np.searchsorted(life, life, side="left")
    high = _ends_run(risk >= threshold, first, manner.persistence)
    low = _ends_run(risk < manner.clear * threshold, first, manner.persistence)
    row = np.arange(len(scored))
    newest = np.maximum.accumulate(np.where(high | low, row, -1)) if len(row) else row
    result = np.zeros(len(lives.risk), dtype=np.bool_)
    result[scored] = (newest >= first) & high[newest] if len(row) else False
    return result


def find_alarms(lives: Lives, threshold: float, manner: AlarmHysteresis) -> RaisedAlarms:
    """Every alarm that would have been raised, in order of rows."""
    scored = np.flatnonzero(np.isfinite(lives.risk))
    stands = alarm_stands(lives, threshold, manner)[scored]
    begins = stands & _differs(lives.life[scored], stands)
    number = np.cumsum(begins) - 1
    raised = scored[begins]
    inside = lives.failed[scored] & (lives.left_hours[scored] <= lives.horizon_hours)
    true = np.zeros(len(raised), dtype=np.bool_)
    true[number[stands & inside]] = True
    looks = _looks(lives, scored[stands], raised[number[stands]])
    hours = np.where(true, lives.left_hours[raised], np.nan)
    outlived = lives.left_hours[looks] > lives.horizon_hours
    hidden = lives.renewed[looks] & ~outlived if len(lives.renewed) else ()
    return RaisedAlarms(raised.astype(np.int64), hours, true, looks[outlived], int(sum(hidden)))


def _looks(lives: Lives, standing_rows: Int64, raised: Int64) -> Int64:
    """Rows at which the crew looks: where an alarm is raised, and once a horizon from then on.

    standing_rows: where alarms stand, ascending; raised: where each of these was raised.
    """
    hours = (lives.cutoff[standing_rows] - lives.cutoff[raised]) / HOUR_NS
    turn = np.floor(hours / lives.horizon_hours + 1e-9)
    return standing_rows[_differs(raised, turn)]


def tally(lives: Lives, threshold: float, manner: AlarmHysteresis, prices: Prices) -> Tally:
    """The tally of one threshold over these lives."""
    alarms = find_alarms(lives, threshold, manner)
    failing = np.unique(lives.life[lives.failed & np.isfinite(lives.risk)])
    warned = lives.life[alarms.row[alarms.true]]
    # Of several true alarms of a life the last one to be raised stood when it failed.
    warning = dict(zip(warned.tolist(), alarms.hours[alarms.true].tolist(), strict=True))
    caught = sorted(hours for hours in warning.values() if hours >= prices.least_hours)
    false = len(alarms.false_looks)
    months = _observed_hours(lives) / HOURS_A_MONTH
    return Tally(
        threshold=threshold,
        failures=len(failing),
        caught=len(caught),
        false_alarms=false,
        alarms=len(alarms.row),
        warning_hours=tuple(caught),
        false_a_month=false / months if months else 0.0,
        cost=prices.missed_failure * (len(failing) - len(caught)) + prices.false_alarm * false,
        open_looks=alarms.open_looks,
    )


def sweep(lives: Lives, manner: AlarmHysteresis, prices: Prices) -> tuple[Tally, ...]:
    """Every threshold of THRESHOLDS, ascending."""
    return tuple(tally(lives, threshold, manner, prices) for threshold in THRESHOLDS)


def cheapest(tallies: tuple[Tally, ...]) -> Tally:
    """The threshold of least cost; of a stretch of equal ones the middle.

    Costs jump from one threshold to the next by the chance of single failures, so they are
    averaged over each and its two neighbours first.
    """
    cost = np.array([each.cost for each in tallies])
    padded = np.concatenate([cost[:1], cost, cost[-1:]])
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    best = np.flatnonzero(smooth <= smooth.min() * (1 + 1e-9))
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return tallies[int(longest[len(longest) // 2])]


def precision_at_capacity(lives: Lives, *, week: Int64, capacity: int) -> tuple[float, int]:
    """Share of the lives that a crew looks at in a week that fail, and how many it looked at.

    week: (n_rows,), the number of each row's week. Each week the crew looks at the `capacity`
    lives of the highest risk in it; one counts where it fails within the horizon after
    that. NaN where no outcome is known.
    """
    outcome_known = lives.failed | (lives.left_hours > lives.horizon_hours)
    scored = np.flatnonzero(np.isfinite(lives.risk) & outcome_known)
    if not len(scored):
        return float("nan"), 0
    order = scored[np.lexsort((-lives.risk[scored], lives.life[scored], week[scored]))]
    leading = order[_differs(week[order], lives.life[order])]
    ranked = leading[np.lexsort((-lives.risk[leading], week[leading]))]
    start = np.searchsorted(week[ranked], week[ranked], side="left")
    chosen = ranked[np.arange(len(ranked)) - start < capacity]
    fails = lives.failed[chosen] & (lives.left_hours[chosen] <= lives.horizon_hours)
    return float(fails.mean()), len(chosen)


def _ends_run(inside: Flags, first: Int64, persistence: int) -> Flags:
    """Whether a row and those just before it, `persistence` together, are all inside."""
    row = np.arange(len(inside))
    broken = np.maximum.accumulate(np.where(inside, -1, row)) if len(inside) else row
    return np.asarray(row - np.maximum(broken, first - 1) >= persistence)


def _differs(*columns: NDArray[np.generic]) -> Flags:
    """Whether a row differs from the one before in any column; the first does, (n_rows,)."""
    differs = np.ones(len(columns[0]), dtype=np.bool_)
    differs[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return differs


def _observed_hours(lives: Lives) -> float:
    """Time that lives were watched: from the first risk of each to the last."""
    scored = np.flatnonzero(np.isfinite(lives.risk))
    if not len(scored):
        return 0.0
    life, cutoff = lives.life[scored], lives.cutoff[scored]
    starts = np.flatnonzero(_differs(life))
    ends = np.append(starts[1:], len(scored)) - 1
    return float((cutoff[ends] - cutoff[starts]).sum() / HOUR_NS)
