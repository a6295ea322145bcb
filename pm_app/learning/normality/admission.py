"""Admission of a new normal: its errors and alarms on the newest healthy time beside those of the
normal that speaks, on rows that taught neither.

What is asked is learned as the new normal is, but from the rows before. Errors are residuals of
sensors given those outside the groups of the one before, in their usual spread, and compared by
blocks of time, for rows close by know of each other.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from scipy.stats import poisson, t

from pm_app.features.frame import select_features
from pm_app.features.sharing import shared_spec
from pm_app.learning.normality.comparison import NormalVerdict
from pm_app.learning.normality.history import LEAST_ROWS, TaughtRows
from pm_app.learning.normality.inputs import NormalInputs
from pm_app.learning.normality.level import AlarmTerms, QuietScores, episode_starts
from pm_app.learning.normality.model import NormalModel, with_groups
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import AlarmLevel, NormalCard
from pm_app.records.readings import Float32, Float64, Index
from pm_app.times import format_duration, to_nanoseconds

# Score and residuals, (n, 1 + n_sensors), of rows of a normal's features.
RawAnswers = Callable[[Float32], Float32]
# Beyond so many usual spreads an error is a fault of its own, and not of what was learned.
_LARGEST: Final = 5.0
_MOST_BLOCKS, _LEAST_BLOCKS = 20, 5
# Clearly worse: by the interval of 90 % more than this share, which nobody would notice.
_NOTICED: Final = 0.05
# So rarely a normal that keeps its budget raises as many alarms.
_RARELY: Final = 0.01


@dataclass(frozen=True, eq=False)
class NewNormal:
    """A new normal on trial: its features, rows that teach it, its inputs and level, what alarms
    go by, and how rows teach."""

    spec: FeatureSpec
    taught: TaughtRows
    inputs: NormalInputs
    level: AlarmLevel
    terms: AlarmTerms
    fit: Callable[[TaughtRows, Index, NormalInputs], NormalModel]


@dataclass(frozen=True)
class NewestTime:
    """Errors and alarms of both on the newest healthy time.

    hours: of all assets together. ratio: the mean squared error of the new one as a multiple of
    that of the one before, and its interval of 90 %. alarms, alarms_before: on these rows, where
    the budget allows `allowed`.
    """

    hours: float
    ratio: float
    low: float
    high: float
    alarms: int
    alarms_before: int
    allowed: float

    @property
    def reason(self) -> str:
        """Why the new one may not speak without a person, in words; "" where it may."""
        words = []
        if self.low > 1.0 + _NOTICED:
            words.append(
                f"explains sensors worse than the one that speaks: {self.ratio:.2f} times its "
                f"squared error ({self.low:.2f} to {self.high:.2f})"
            )
        often = float(poisson.sf(self.alarms - 1, self.allowed)) < _RARELY
        if often and self.alarms > self.alarms_before:
            words.append(
                f"raises {self.alarms} alarms where the budget allows {self.allowed:.1f} and the "
                f"one that speaks raises {self.alarms_before}"
            )
        if not words:
            return ""
        newest = format_duration(3600 * self.hours)
        return f"on the newest {newest} of healthy time of all assets it {' and '.join(words)}"


def compare_newest(
    new: NewNormal, frame: Frame, before: NormalCard, raw: RawAnswers
) -> NewestTime | None:
    """Both on the healthy rows of a frame since the one before was learned.

    None where these are too few, or the frame has not what the one before reads.
    """
    taught = new.taught
    alike = shared_spec([new.spec, before.spec]) is not None
    if taught.early or not alike or not set(before.features) <= set(frame.features):
        return None
    until = to_nanoseconds(datetime.fromisoformat(before.taught.trained_until))
    newest = np.flatnonzero(taught.cutoff > until + taught.apart_ns)
    earlier = np.flatnonzero(taught.cutoff <= until)
    if min(len(newest), len(earlier)) < LEAST_ROWS:
        return None
    model = with_groups(new.fit(taught, earlier, new.inputs), before.groups)
    score, residuals = model.answer(taught.values[newest])
    asked = select_features(frame.take(taught.rows[newest]), before.features)
    answers = raw(asked.values).astype(np.float64)
    errors = _squared_errors(model, residuals, before, answers[:, 1:])
    ratio = _ratio(errors, _blocks(taught, newest))
    if ratio is None:
        return None
    hours = len(newest) * taught.row_hours
    return NewestTime(
        hours,
        *ratio,
        _alarms(taught, newest, score, new.level.score, new.terms),
        _alarms(taught, newest, answers[:, 0], before.level.score, new.terms),
        hours * new.terms.per_hour,
    )


def judge_newest(
    verdict: NormalVerdict,
    new: NewNormal,
    frame: Frame,
    before: NormalCard | None,
    raw: RawAnswers | None,
) -> NormalVerdict:
    """The verdict with what the newest time of a frame says of the new normal, where there is one
    to hold it against."""
    if before is None or raw is None:
        return verdict
    newest = compare_newest(new, frame, before, raw)
    if newest is None:
        return verdict
    checks = {f"newest_{name}": float(value) for name, value in asdict(newest).items()}
    verdict = replace(verdict, checks=checks)
    if not newest.reason:
        return verdict
    alone = f"waits for a person: {newest.reason}"
    reason = alone if verdict.publish else f"{verdict.reason}; {newest.reason}"
    return replace(verdict, publish=False, reason=reason)


def _squared_errors(
    model: NormalModel, residuals: Float64, before: NormalCard, others: Float64
) -> Float64:
    """Mean squared error of each row, (2, n), of the new one and of the one before; NaN where no
    sensor is told by both."""
    names = [name for name in model.inputs.sensors if name in before.sensors]
    if not names:
        return np.full((2, len(residuals)), np.nan)
    columns = [model.inputs.sensors.index(name) for name in names]
    places = [before.sensors.index(name) for name in names]
    usual = np.array(before.usual)[places]
    sizes = np.abs(np.stack([residuals[:, columns], others[:, places]])) / usual
    squared = np.minimum(sizes, _LARGEST) ** 2
    there = np.isfinite(squared).all(axis=0)
    total = np.where(there, squared, 0.0).sum(axis=2)
    return np.asarray(np.where(there.any(axis=1), total / np.maximum(there.sum(axis=1), 1), np.nan))


def _blocks(taught: TaughtRows, rows: Index) -> Index:
    """The block of time of each row."""
    cutoff = taught.cutoff[rows]
    first, last = int(cutoff.min()), int(cutoff.max())
    length = max(taught.apart_ns, (last - first) // _MOST_BLOCKS + 1)
    return np.asarray((cutoff - first) // length)


def _ratio(errors: Float64, block: Index) -> tuple[float, float, float] | None:
    """The error of the first as a multiple of the second's, and its interval."""
    there = np.isfinite(errors).all(axis=0)
    numbers, block = np.unique(block[there], return_inverse=True)
    if len(numbers) < _LEAST_BLOCKS:
        return None
    count = np.bincount(block)
    new, old = (np.bincount(block, each) / count for each in errors[:, there])
    scale = max(float(old.mean()), 1e-12)
    apart = (new - old) / scale
    wide = float(t.ppf(0.95, len(apart) - 1)) * float(apart.std(ddof=1)) / np.sqrt(len(apart))
    middle = float(apart.mean())
    return 1.0 + middle, 1.0 + middle - wide, 1.0 + middle + wide


def _alarms(
    taught: TaughtRows, rows: Index, score: Float64, level: float, terms: AlarmTerms
) -> int:
    there = np.isfinite(score)
    rows, score = rows[there], score[there]
    quiet = QuietScores(taught.asset[rows], taught.cutoff[rows], score, taught.row_hours)
    return len(episode_starts(quiet, level, terms))
