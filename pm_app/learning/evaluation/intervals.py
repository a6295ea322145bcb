"""Intervals of the life left: conformal margins that hold machine by machine.

Rows of one machine repeat each other, and a long life has many: so machines count alike, and
the tails are narrowed until the worst of them are held as well (conformal prediction with two
layers, Dunn, Wasserman & Ramdas 2022).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pm_app.records.learning import Calibration
from pm_app.records.readings import Float64, Int32
from pm_app.records.scores import moved_bounds

# What may lie beyond either bound; then less, until the worst tenth of groups is held.
TAILS: Final = (0.05, 0.0425, 0.035, 0.03, 0.025)
WORST_SHARE: Final = 0.1
LEAST_OF_WORST: Final = 0.8
NO_CORRECTION: Final = Calibration((1.0,), (0.0,), 0.0, 0.0)
_FOLDS = 5
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class StatedLives:
    """Bounds stated by a model and the lives that came, (n_rows,) each.

    group: the machine or life a row is of. cap: lives beyond are not told apart, and a high
    bound there holds whatever comes.
    """

    low: Float64
    high: Float64
    life: Float64
    group: Int32
    cap: float

    @property
    def width(self) -> Float64:
        """Of the stated intervals."""
        return self.high - self.low

    def take(self, rows: np.ndarray) -> "StatedLives":
        """Some of the rows."""
        low, high, life = self.low[rows], self.high[rows], self.life[rows]
        return StatedLives(low, high, life, self.group[rows], self.cap)

    def corrected(self, margins: Calibration) -> tuple[Float64, Float64]:
        """The bounds as they are shown."""
        return moved_bounds(self.low, self.high, self.cap, margins)


def fit_margins(stated: StatedLives) -> Calibration:
    """A calibration whose margins make nine in ten lives lie inside, and most of each
    machine's; risks it leaves as they are.

    In hours, or in widths the model stated itself where that scores better on machines the
    margins were not fitted to (interval score, Gneiting & Raftery 2007, eq. 43).
    """
    if not len(stated.life):
        return NO_CORRECTION
    groups, place = np.unique(stated.group, return_inverse=True)
    fold = place % _FOLDS
    scores = []
    for by_width in (False, True):
        total = np.zeros(len(stated.life))
        for part in np.unique(fold):
            here, rest = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
            margins = _fit(stated.take(rest if len(rest) else here), by_width=by_width)
            total[here] = _interval_scores(stated.take(here), margins)
        scores.append(_group_means(total, place, len(groups)).mean())
    return _fit(stated, by_width=scores[1] < scores[0])


def margin(beyond: Float64, group: Int32, tail: float = TAILS[0]) -> float:
    """How far a bound must move for this share of the truth to lie beyond it; groups count alike.

    beyond: by how much the truth lies beyond the bound, (n_rows,).
    """
    if not len(beyond):
        return 0.0
    _, place, size = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(beyond, kind="stable")
    inside = np.cumsum(1.0 / size[place[order]]) / len(size)
    level = min(1.0, (1.0 - tail) * (1.0 + 1.0 / len(beyond)))
    at = int(np.searchsorted(inside, level - _ROUNDING))
    return float(beyond[order[min(at, len(order) - 1)]])


def group_coverage(stated: StatedLives, margins: Calibration) -> Float64:
    """Share of each group's lives that lie inside, (n_groups,)."""
    low, high = stated.corrected(margins)
    inside = (low <= stated.life) & (stated.life <= high)
    groups, place = np.unique(stated.group, return_inverse=True)
    return _group_means(inside.astype(float), place, len(groups))


def worst_tenth(coverage: Float64) -> float:
    """Mean coverage of the tenth of groups, at least one, that are held worst."""
    count = max(1, round(WORST_SHARE * len(coverage)))
    return float(np.sort(coverage)[:count].mean())


def _fit(stated: StatedLives, *, by_width: bool) -> Calibration:
    """Of the tails that may be left out the largest that holds the worst tenth, or the least."""
    below = stated.high < stated.cap
    unit = np.maximum(stated.width, stated.cap * 1e-3) if by_width else np.ones(len(stated.life))
    under, over = (stated.low - stated.life) / unit, (stated.life - stated.high) / unit
    margins = NO_CORRECTION
    for tail in TAILS:
        low = margin(under, stated.group, tail)
        high = margin(over[below], stated.group[below], tail)
        margins = _moved_by(low, high, by_width=by_width)
        if worst_tenth(group_coverage(stated, margins)) >= LEAST_OF_WORST:
            break
    return margins


def _moved_by(low: float, high: float, *, by_width: bool) -> Calibration:
    if by_width:
        return replace(NO_CORRECTION, rul_share_low=low, rul_share_high=high)
    return replace(NO_CORRECTION, rul_margin_low=low, rul_margin_high=high)


def _interval_scores(stated: StatedLives, margins: Calibration) -> Float64:
    low, high = stated.corrected(margins)
    beyond = np.maximum(low - stated.life, 0.0) + np.maximum(stated.life - high, 0.0)
    return np.asarray(high - low + beyond / TAILS[0])


def _group_means(values: Float64, place: np.ndarray, count: int) -> Float64:
    return np.asarray(np.bincount(place, values, count) / np.bincount(place, minlength=count))
