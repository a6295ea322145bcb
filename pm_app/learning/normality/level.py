"""Alarm level of deviations: the score whose episodes are as many as the budget allows.

Alarms come in episodes, not in rows: one is raised by `persistence` rows running at the level and
lasts until as many are below `clear` of it. So what counts is how high episodes go. Those above a
moderate threshold are told apart first; where the budget allows so few that they have to be
extrapolated, the excess of their peaks, in logarithms, is taken to be generalised Pareto (peaks
over threshold: Davison & Smith 1990), its shape drawn towards 0, which for scores with lighter
tails is cautious. The interval comes from dealing stretches of time anew (block bootstrap,
Künsch 1989).
"""

from dataclasses import dataclass, replace

import numpy as np

from pm_app.records.normality import AlarmLevel
from pm_app.records.readings import Flags, Float64, Index, Int32, Int64
from pm_app.times import format_duration

# Episodes that a threshold should tell apart, and more than so many times the budget's.
_LEAST_EPISODES, _TIMES_BUDGET = 30, 3.0
# From so many episodes on, the budget's level is read off without extrapolating.
_COUNTED = 10.0
# A history in which the budget allows fewer episodes is too short for it.
_LEAST_ALLOWED = 3.0
_SHAPE_PRIOR, _SHAPE_RANGE = 30.0, (-0.5, 0.25)
# Scales that the highest of exponential peaks may lie beyond what is expected of it.
_BEYOND = 2.0
_DEALS, _STRETCHES, _INTERVAL = 300, 40, (0.05, 0.95)
# Where the history is too short the level is one for a budget this many times smaller, and
# smaller yet the shorter it is.
_CAUTION = 3.0
# And no further beyond the highest peak than this; of a few days alone no nearer than that.
_FARTHEST, _NEAREST, _DAYS_ONLY = 2.0, 1.1, 0.3
# The bulk of scores ends this many times as far above its middle, in logarithms, as its upper
# quartile, and faults go so many times beyond; but no fewer of them than this, and no more than
# one of an asset in so many hours.
_BULK, _FAR, _LEAST_FAULTS, _RARE_HOURS = 3.7, 1.5, 3, 168.0
# What peaks exceed thresholds by, in logarithms, where few tell: as much as so many would.
_USUAL_EXCESS, _EXCESS_PRIOR = 0.15, 10.0


@dataclass(frozen=True, eq=False)
class QuietScores:
    """Raw scores of held-out healthy rows, by asset, then time; none is missing.

    asset, cutoff (nanoseconds UTC), score: shape (n,). row_hours: what a row stands for.
    """

    asset: Int32
    cutoff: Int64
    score: Float64
    row_hours: float

    @property
    def hours(self) -> float:
        """Healthy time of all assets together."""
        return len(self.score) * self.row_hours


@dataclass(frozen=True)
class AlarmTerms:
    """What alarms are raised and cleared by, and how many false ones an asset may have an hour."""

    per_hour: float
    persistence: int
    clear: float


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Peaks of episodes in logarithms over a threshold, (n,), and the stretch each lies in."""

    threshold: float
    excess: Float64
    stretch: Index


def find_level(scores: QuietScores, terms: AlarmTerms, *, seed: int) -> AlarmLevel:
    """The level that keeps the budget, with its interval. At least one score is positive.

    Where the history holds faults that nobody told of, it rests on the other rows, and is the
    upper end of its interval.
    """
    inside, faults = _fault_like(scores, terms)
    if not faults:
        return _level_of(scores, terms, seed=seed)
    rest = QuietScores(
        scores.asset[~inside], scores.cutoff[~inside], scores.score[~inside], scores.row_hours
    )
    found = _level_of(rest, terms, seed=seed)
    reason = (
        f"{found.reason}; the history holds {faults} episodes that look like faults and are left "
        "out: tell of events that are missing, or give verdicts"
    )
    return replace(found, score=found.high, cautious=True, reason=reason, faults=faults)


def _fault_like(scores: QuietScores, terms: AlarmTerms) -> tuple[Flags, int]:
    """Rows of episodes that look like faults, (n,), and how many episodes that are.

    Peaks of what is usual thin out fast beyond the bulk of scores: where most that leave it go on
    far beyond, they are of another kind. What comes more often is a way of running.
    """
    none = np.zeros(len(scores.score), dtype=np.bool_)
    middle, upper = np.quantile(scores.score, (0.5, 0.75))
    if not middle > 0:
        return none, 0
    bulk = float(middle * (upper / middle) ** _BULK)
    state = _raised(scores, bulk, terms)
    number = np.cumsum(state == 1) - 1
    inside, count = state > 0, int((state == 1).sum())
    peaks = np.zeros(count)
    lowest = _lowest_running(scores, terms.persistence)
    np.maximum.at(peaks, number[inside], lowest[inside])
    far = peaks >= _FAR * bulk
    faults = int(far.sum())
    often = faults * _RARE_HOURS > scores.hours
    if faults < _LEAST_FAULTS or 2 * faults < count or often:
        return none, 0
    return inside & far[np.maximum(number, 0)], faults


def _level_of(scores: QuietScores, terms: AlarmTerms, *, seed: int) -> AlarmLevel:
    allowed = terms.per_hour * scores.hours
    stretch, stretches = _stretches(scores)
    peaks = _find_peaks(scores, terms, allowed, stretch)
    weights = np.ones(stretches)
    middle = _level(peaks, weights, allowed)
    rng = np.random.default_rng(seed)
    deals = rng.multinomial(stretches, weights / stretches, size=_DEALS)
    dealt = np.array([_level(peaks, deal.astype(np.float64), allowed) for deal in deals])
    low, high = np.quantile(dealt, _INTERVAL)
    cautious = allowed < _LEAST_ALLOWED
    if cautious:
        caution = _CAUTION * float(np.sqrt(_LEAST_ALLOWED / allowed))
        high = max(high, _level(peaks, weights, allowed / caution))
        highest = peaks.threshold + float(peaks.excess.max(initial=0.0))
        high = min(high, highest + np.log(_FARTHEST))
        if allowed < _DAYS_ONLY:
            high = max(high, highest + np.log(_NEAREST))
    high = max(high, middle)
    return AlarmLevel(
        score=float(np.exp(high if cautious else middle)),
        low=float(np.exp(min(low, middle))),
        high=float(np.exp(high)),
        false_alarms_per_hour=terms.per_hour,
        healthy_hours=scores.hours,
        cautious=cautious,
        reason=_reason(scores, terms, cautious),
        persistence=terms.persistence,
        clear=terms.clear,
    )


def episode_starts(scores: QuietScores, level: float, terms: AlarmTerms) -> Index:
    """Rows at which alarms are raised at this level, as the alarms of a plant are."""
    return np.flatnonzero(_raised(scores, level, terms) == 1)


def _raised(scores: QuietScores, level: float, terms: AlarmTerms) -> Int64:
    """1 where an alarm is raised, 2 where it stands on, 0 where there is none, (n,)."""
    asset, size = scores.asset, len(scores.asset)
    if not size:
        return np.zeros(0, dtype=np.int64)
    first = np.searchsorted(asset, asset)
    high = _ends_run(scores.score >= level, first, terms.persistence)
    low = _ends_run(scores.score < terms.clear * level, first, terms.persistence)
    row = np.arange(size)
    newest = np.maximum.accumulate(np.where(high | low, row, -1))
    stands = (newest >= first) & high[newest]
    before = np.append(False, stands[:-1]) & (row > first)
    return np.where(stands, np.where(before, 2, 1), 0)


def _ends_run(inside: Flags, first: Index, persistence: int) -> Flags:
    row = np.arange(len(inside))
    broken = np.maximum.accumulate(np.where(inside, -1, row))
    return np.asarray(row - np.maximum(broken, first - 1) >= persistence)


def _find_peaks(scores: QuietScores, terms: AlarmTerms, allowed: float, stretch: Index) -> _Peaks:
    """Of the highest threshold that tells enough episodes apart, else of that which tells most."""
    wanted = max(_LEAST_EPISODES, _TIMES_BUDGET * allowed)
    positive = scores.score[scores.score > 0]
    shares = 1.0 - 0.5 ** np.linspace(12, 0.5, 40)
    best: tuple[float, Int64] | None = None
    for threshold in np.unique(np.quantile(positive, shares))[::-1].tolist():
        state = _raised(scores, threshold, terms)
        if best is None or (state == 1).sum() > (best[1] == 1).sum():
            best = threshold, state
        if (state == 1).sum() >= wanted:
            break
    assert best is not None
    threshold, state = best
    starts = np.flatnonzero(state == 1)
    reached = np.maximum(_lowest_running(scores, terms.persistence), threshold)
    number = np.cumsum(state == 1) - 1
    highest = np.full(len(starts), threshold)
    inside = state > 0
    np.maximum.at(highest, number[inside], reached[inside])
    return _Peaks(float(np.log(threshold)), np.log(highest / threshold), stretch[starts])


def _lowest_running(scores: QuietScores, persistence: int) -> Float64:
    """The lowest of each score and those just before it, `persistence` together."""
    lowest = scores.score.copy()
    for back in range(1, persistence):
        same = scores.asset[back:] == scores.asset[:-back]
        lowest[back:] = np.where(same, np.minimum(lowest[back:], scores.score[:-back]), 0.0)
        lowest[:back] = 0.0
    return lowest


def _level(peaks: _Peaks, weights: Float64, allowed: float) -> float:
    """The level's logarithm where each stretch counts so many times."""
    weight = weights[peaks.stretch]
    count = float(weight.sum())
    if count <= allowed or not len(peaks.excess):
        return peaks.threshold
    order = np.argsort(-peaks.excess)
    if allowed >= _COUNTED:
        beyond = np.cumsum(weight[order])
        at = int(np.searchsorted(beyond, allowed))
        return peaks.threshold + float(peaks.excess[order][min(at, len(order) - 1)])
    # A fault that nobody knows of is one peak beyond all others: it must not set the level.
    bound = float(np.median(peaks.excess)) / np.log(2.0) * (np.log(len(order)) + _BEYOND)
    excess = np.minimum(peaks.excess, bound)
    prior = _EXCESS_PRIOR * _USUAL_EXCESS
    mean = (float((weight * excess).sum()) + prior) / (count + _EXCESS_PRIOR)
    square = float((weight * excess**2).sum()) + 2.0 * prior * _USUAL_EXCESS
    square /= count + _EXCESS_PRIOR
    # By moments: Hosking & Wallis 1987.
    spread = max(square - mean**2, 1e-12)
    found = 0.5 * (1.0 - mean**2 / spread)
    shape = float(np.clip(found * count / (count + _SHAPE_PRIOR), *_SHAPE_RANGE))
    scale = max(mean * (1.0 - shape), 1e-9)
    times = count / allowed
    if abs(shape) < 1e-6:
        return peaks.threshold + scale * float(np.log(times))
    return peaks.threshold + scale * float(times**shape - 1.0) / shape


def _stretches(scores: QuietScores) -> tuple[Index, int]:
    """Stretches of time that are dealt anew: of each row its number, and how many there are."""
    assets = np.unique(scores.asset)
    each = -(-_STRETCHES // max(len(assets), 1))
    first, last = scores.cutoff.min(), scores.cutoff.max()
    share = (scores.cutoff - first) / max(float(last - first), 1.0)
    part = np.minimum((share * each).astype(np.intp), each - 1)
    number = np.searchsorted(assets, scores.asset) * each + part
    found, numbers = np.unique(number, return_inverse=True)
    return numbers, len(found)


def _reason(scores: QuietScores, terms: AlarmTerms, cautious: bool) -> str:
    needed = _LEAST_ALLOWED / terms.per_hour
    assets = max(len(np.unique(scores.asset)), 1)
    lasting = format_duration(3600 * needed / assets)
    have = format_duration(3600 * scores.hours / assets)
    if not cautious:
        return f"rests on {have} of healthy time of each of {assets} assets"
    return (
        f"set high: the budget needs {lasting} of healthy time of each of {assets} assets, "
        f"there are {have}"
    )
