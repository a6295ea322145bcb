"""Evidence for renewals: do readings that announce failures return after a maintenance code?

How failures announce themselves is a direction among all sensors, for each cause and for all:
Fisher's discriminant (1936) of the day before failures against random moments, each asset within
its own level and spread, learned from other assets than those it is asked of. Along it a reading
says how far a machine has gone from what new ones show towards those that fail; what changes
along no such direction (a filter's pressure, the load) counts for nothing.

Of a code it is asked how far readings return on average, before less after. The null is that it
changes nothing more than any moment of the same assets does: as many moments drawn from theirs,
with their own failures and renewals as far away. One test a code, the largest of all directions
(Westfall & Young 1993, max-T); Holm (1979) over codes. What is done on the same occasion as a
code that was found has to show it by the others: from the code of the largest return on, each
that is found takes its occasions from the rest.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pm_app.learning.data.work_moments import CONTROL, FIRST, WorkMoments
from pm_app.learning.evaluation.matched_draws import (
    LEAST,
    LEAST_CONTROLS,
    MatchedDraw,
    draw_matched,
)
from pm_app.records.readings import Float64, Int64

LEVEL: Final = 0.05
FOLDS: Final = 5
# Of each variance, added to it: sensors are often twins, and failures few (ridge).
RIDGE: Final = 0.1
# One machine that was off must not outweigh all others: in spreads.
LARGEST: Final = 8.0
# Risks below, or as near to 1, are not told apart.
SMALLEST_RISK: Final = 1e-4
# Readings have left those of new machines beyond what so many random moments show.
USUAL: Final = 0.9


@dataclass(frozen=True)
class RenewalEvidence:
    """Evidence on one maintenance code, plain values.

    times: occurrences with readings before and after, and no other cause for a change at hand.
    sensor: that returns most. gone: of these, how often readings had left those of new machines;
    back: how often they were back; alone_gone, alone_back: the same of random moments. change: how
    far they returned more than at these, in usual spreads, with a 95 % interval. returns: beyond
    chance. risk: of the longest horizon as the champion says it, mean before and after, and by how
    much it falls in log-odds more than at random moments, with its interval; None without one.
    text: all this in words.
    """

    code: str
    booked: int
    times: int
    text: str
    returns: bool = False
    sensor: str = ""
    gone: int = 0
    back: int = 0
    alone_gone: int = 0
    alone_back: int = 0
    change: float = 0.0
    low: float = 0.0
    high: float = 0.0
    p: float = 1.0
    risk: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class _Announced:
    """How far each moment's readings have gone towards failures, (n_moments, n_directions), and
    what each sensor returns of it, (n_moments, n_sensors, n_directions)."""

    before: Float64
    after: Float64
    parts: Float64


def weigh_renewals(
    moments: WorkMoments, booked: Sequence[int], *, renewing: Collection[str] = (), seed: int = 0
) -> tuple[RenewalEvidence, ...]:
    """Evidence on each code of these moments that is no renewal yet, those that return first.

    booked: how often each code came in all. renewing: codes that the settings call renewals.
    """
    rng = np.random.default_rng(seed)
    asked = [n for n, code in enumerate(moments.codes) if code not in renewing]
    taken = [n for n, code in enumerate(moments.codes) if code in renewing]
    announced = _announced(moments, rng) if asked else None
    if announced is None:
        texts = {n: f"{moments.codes[n]!r}: no reading announces failures" for n in asked}
        return tuple(RenewalEvidence(moments.codes[n], booked[n], 0, texts[n]) for n in asked)
    tests: dict[int, _Test] = {}
    found: list[int] = []
    while True:
        left = [number for number in asked if number not in found]
        again = {n: _test(moments, announced, n, [*taken, *found], rng) for n in left}
        tests |= again
        returning = [n for n in _beyond_chance(again) if again[n].mostly_back]
        if not returning:
            break
        found.append(max(returning, key=lambda number: again[number].size))
    order = [*found, *(number for number in asked if number not in found)]
    risks = {number: _risk(moments, tests[number], rng) for number in order}
    return tuple(
        _evidence(moments, tests[number], booked[number], number in found, risks[number])
        for number in order
    )


def _announced(moments: WorkMoments, rng: np.random.Generator) -> _Announced | None:
    """None where nothing announces failures."""
    before, after = _scaled(moments)
    failed = moments.what >= len(moments.codes)
    causes = [moments.what == len(moments.codes) + n for n in range(len(moments.causes))]
    chosen = [each for each in (*causes, failed) if each.sum() >= LEAST]
    control = moments.what == CONTROL
    if not chosen or control.sum() < LEAST:
        return None
    fold = _folds(moments.asset)
    shape = (*before.shape, len(chosen))
    start, parts = np.zeros(shape), np.zeros(shape)
    for number in range(FOLDS):
        own, others = fold == number, fold != number
        nothing = np.concatenate([before[control & others], after[control & others]])
        for place, failures in enumerate(chosen):
            weights = _direction(before[failures & others], nothing)
            start[own, :, place] = before[own] * weights
            parts[own, :, place] = (before[own] - after[own]) * weights
    ahead = start.sum(axis=1)
    gone, ended = (np.clip(each, 0.0, LARGEST) for each in (ahead, ahead - parts.sum(axis=1)))
    speaks = [
        draw_matched(gone[:, [n]], moments.asset, failures, control, rng).p <= LEVEL / len(chosen)
        for n, failures in enumerate(chosen)
    ]
    if not any(speaks):
        return None
    return _Announced(gone[:, speaks], ended[:, speaks], parts[:, :, speaks])


def _scaled(moments: WorkMoments) -> tuple[Float64, Float64]:
    """Readings before and after from what new machines show, each asset by its own level and
    spread; 0 where they are missing."""
    assets = int(moments.asset.max(initial=-1)) + 1
    level = np.full((assets, len(moments.sensors)), np.nan)
    spread = level.copy()
    for asset in range(assets):
        values = moments.after[(moments.asset == asset) & (moments.what == CONTROL)]
        if len(values) >= LEAST_CONTROLS:
            level[asset] = _nanmedian(values)
            spread[asset] = 1.4826 * _nanmedian(np.abs(values - level[asset]))
    spread = np.sqrt((spread**2 + _nanmedian(spread) ** 2) / 2)
    spread[~(spread > 0)] = np.nan
    before, after = (
        np.clip((each - level[moments.asset]) / spread[moments.asset], -LARGEST, LARGEST)
        for each in (moments.before, moments.after)
    )
    new = np.nan_to_num(_nanmedian(after[moments.what == FIRST]))
    return np.nan_to_num(before - new), np.nan_to_num(after - new)


def _nanmedian(values: Float64) -> Float64:
    """Along the first axis; NaN of nothing, without a warning."""
    values = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    middle = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)
    low, high = (np.take_along_axis(values, at[None], axis=0)[0] for at in middle)
    return np.where(count > 0, (low + high) / 2, np.nan)


def _folds(asset: Int64) -> Int64:
    """Whole assets where there are enough, else times of each; (n_moments,)."""
    _, number, counts = np.unique(asset, return_inverse=True, return_counts=True)
    if len(counts) >= FOLDS:
        return np.asarray(number % FOLDS, dtype=np.int64)
    rank = np.arange(len(asset)) - (np.cumsum(counts) - counts)[number]
    return np.asarray(rank * FOLDS // counts[number], dtype=np.int64)


def _direction(failing: Float64, nothing: Float64) -> Float64:
    """Weights of sensors, (n_sensors,), so that random moments have spread 1; 0 of too few."""
    if len(failing) < LEAST // 2 or len(nothing) < LEAST:
        return np.zeros(nothing.shape[1])
    covariance = np.cov(nothing.T).reshape(nothing.shape[1], -1)
    variance = np.diag(covariance)
    ridge = covariance + np.diag(RIDGE * variance + (variance <= 0))
    weights = np.linalg.solve(ridge, failing.mean(axis=0) - nothing.mean(axis=0))
    along = nothing @ weights
    size = 1.4826 * np.median(np.abs(along - np.median(along)))
    return np.asarray(weights / size if size > 0 else np.zeros_like(weights))


@dataclass(frozen=True, eq=False)
class _Test:
    """What came of one code."""

    number: int
    draw: MatchedDraw
    sensor: str
    gone: int
    back: int
    alone_gone: int
    alone_back: int

    @property
    def size(self) -> float:
        return float(self.draw.more[self.draw.best])

    @property
    def enough(self) -> bool:
        return len(self.draw.rows) >= LEAST

    @property
    def mostly_back(self) -> bool:
        return 2 * self.back > self.gone


def _test(
    moments: WorkMoments,
    announced: _Announced,
    number: int,
    taken: Sequence[int],
    rng: np.random.Generator,
) -> _Test:
    there = np.isfinite(moments.before).any(axis=1) & np.isfinite(moments.after).any(axis=1)
    there &= ~moments.near[:, taken].any(axis=1)
    asked = (moments.what == number) & there
    control = (moments.what == CONTROL) & there & ~moments.near[:, number]
    draw = draw_matched(announced.before - announced.after, moments.asset, asked, control, rng)
    before, after = announced.before[:, draw.best], announced.after[:, draw.best]
    limit = np.quantile(before[control], USUAL) if control.any() else np.inf
    gone, alone = draw.rows[before[draw.rows] > limit], control & (before > limit)
    returned = announced.parts[draw.rows, :, draw.best].sum(axis=0)
    return _Test(
        number,
        draw,
        moments.sensors[int(np.argmax(returned))],
        len(gone),
        int(np.sum(after[gone] <= limit)),
        int(alone.sum()),
        int(np.sum(after[alone] <= limit)),
    )


def _risk(moments: WorkMoments, test: _Test, rng: np.random.Generator) -> tuple[float, ...] | None:
    """As `RenewalEvidence.risk`, at the occurrences that were tested."""
    if not len(moments.risk):
        return None
    risk = np.clip(moments.risk, SMALLEST_RISK, 1 - SMALLEST_RISK)
    odds = np.log(risk / (1 - risk))
    there = np.asarray(np.isfinite(odds).all(axis=1), dtype=np.bool_)
    asked = np.zeros(len(there), dtype=np.bool_)
    asked[test.draw.rows] = True
    control = (moments.what == CONTROL) & there & ~moments.near[:, test.number]
    fall = np.where(there, odds[:, 0] - odds[:, 1], 0.0)
    draw = draw_matched(fall[:, None], moments.asset, asked & there, control, rng)
    if len(draw.rows) < LEAST:
        return None
    before, after = moments.risk[draw.rows].mean(axis=0).tolist()
    return before, after, float(draw.more[0]), draw.low, draw.high


def _beyond_chance(tests: dict[int, _Test]) -> list[int]:
    """Holm's steps over the codes that occur often enough."""
    order = sorted((test.draw.p, number) for number, test in tests.items() if test.enough)
    found = []
    for step, (p, number) in enumerate(order):
        if p > LEVEL / (len(order) - step):
            break
        found.append(number)
    return found


def _evidence(
    moments: WorkMoments,
    test: _Test,
    booked: int,
    returns: bool,
    risk: tuple[float, ...] | None,
) -> RenewalEvidence:
    code, draw, times = moments.codes[test.number], test.draw, len(test.draw.rows)
    figures = (test.gone, test.back, test.alone_gone, test.alone_back)
    if not test.enough:
        text = (
            f"{code!r} came {booked:,} times, {times} of them with readings before and after and "
            f"nothing else that explains a change: {LEAST} are needed to tell"
        )
        return RenewalEvidence(code, booked, times, text)
    interval = f"{test.size:.1f} ({draw.low:.1f} to {draw.high:.1f}) spreads more than at any time"
    if risk is not None:
        interval += (
            f"; the estimated risk went from {risk[0]:.0%} to {risk[1]:.0%}, a fall of "
            f"{risk[2]:.1f} ({risk[3]:.1f} to {risk[4]:.1f}) in log-odds more than at any time"
        )
    if returns:
        text = (
            f"after {code!r} ({times} times) readings that announce failures, above all "
            f"{test.sensor}, were back at those of new machines in {test.back} of {test.gone} "
            f"cases in which they had left them (by themselves in {test.alone_back} of "
            f"{test.alone_gone}), {interval}: is it a renewal? set events.renewals"
        )
    else:
        text = f"after {code!r} ({times} times) readings return no more than chance: {interval}"
    sizes = (test.size, draw.low, draw.high, draw.p)
    return RenewalEvidence(code, booked, times, text, returns, test.sensor, *figures, *sizes, risk)
