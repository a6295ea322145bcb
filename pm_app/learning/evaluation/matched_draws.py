"""Matched draws: a mean over some moments against as many moments of the same assets.

What is peculiar to an asset is on both sides. Of several columns the largest excess is tested
(Westfall & Young 1993, max-T); intervals are a bootstrap of whole assets.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pm_app.records.readings import Flags, Float64, Index, Int64

# Moments that are asked, and moments of nothing that an asset needs to be asked.
LEAST: Final = 8
LEAST_CONTROLS: Final = 5
DRAWS: Final = 1_999
BOOTSTRAPS: Final = 999


@dataclass(frozen=True, eq=False)
class MatchedDraw:
    """A mean of rows against as many drawn from those of the same assets.

    rows: of those asked. more: by how much theirs exceeds the others', (n_columns,); p: that some
    column does so by chance. best: the column that does most. low, high: of its excess.
    """

    rows: Index
    more: Float64
    p: float
    best: int
    low: float
    high: float


def draw_matched(
    values: Float64, asset: Int64, asked: Flags, control: Flags, rng: np.random.Generator
) -> MatchedDraw:
    controls = np.bincount(asset[control], minlength=int(asset.max()) + 1)
    rows = np.flatnonzero(asked & (controls[asset] >= LEAST_CONTROLS))
    if len(rows) < LEAST:
        return MatchedDraw(rows, np.zeros(values.shape[1]), 1.0, 0, 0.0, 0.0)
    own = np.bincount(asset[rows], minlength=len(controls))
    pool = np.concatenate([rows, np.flatnonzero(control & (own[asset] > 0))])
    pool = pool[np.argsort(asset[pool], kind="stable")]
    size = (own + controls)[asset[rows]]
    begin = np.searchsorted(asset[pool], asset[rows])
    sums = np.vstack([np.zeros(values.shape[1]), np.cumsum(values[pool], axis=0)])
    usual = (sums[begin + size] - sums[begin]) / size[:, None]
    # Drawn with replacement from all moments: those without vary less by this share.
    others = 1 - own[asset[rows]] / size
    drawn = begin + (rng.random((DRAWS, len(rows))) * size).astype(np.intp)
    mean = usual.mean(axis=0)
    null = np.stack([column[pool][drawn].mean(axis=1) for column in values.T], axis=1) - mean
    null *= np.sqrt(others.mean())
    spread = null.std(axis=0)
    spread[spread <= 0] = np.inf
    excess = (values[rows].mean(axis=0) - mean) / spread
    best = int(np.argmax(excess))
    p = float(1 + np.sum((null / spread).max(axis=1) >= excess[best])) / (1 + DRAWS)
    more = (values[rows] - usual) / others[:, None]
    low, high = _interval(more[:, best], asset[rows], rng)
    return MatchedDraw(rows, more.mean(axis=0), p, best, low, high)


def _interval(more: Float64, asset: Int64, rng: np.random.Generator) -> tuple[float, float]:
    """Of the mean, by a bootstrap of whole assets."""
    _, number = np.unique(asset, return_inverse=True)
    sums, counts = np.bincount(number, weights=more), np.bincount(number)
    drawn = rng.integers(len(counts), size=(BOOTSTRAPS, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high
