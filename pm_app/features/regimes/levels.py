"""Levels of one column: whether its values fall into a few tight groups far apart.

Where levels lie is asked of panes in which the column is steady. Whether there are any is asked
of all: a load that rests here and there and moves slowly in between is steady at its rests alone,
and has no levels for that.
"""

from dataclasses import dataclass

import numpy as np

from pm_app.records.readings import Float64, Index

Label = Index

# A reading in hundreds is a measurement error more often than a level.
TAIL = 0.005
# Of the column's range: what a setting may move in a pane that has one level.
STEADY = 0.03
LEAST_STEADY = 0.2
LEAST_PRESENT = 0.9
LEAST_PANES = 30
LEAST_SHARE = 0.01
MOST_LEVELS = 12
# Density below this share of the mean is no man's land between levels.
EMPTY = 0.1
MOST_BINS = 256
PANES_A_BIN = 8
LEAST_IN_LEVELS = 0.9
# Of the first and last readings of all panes, which are taken at any moment of a change: those
# that lie at a level, so many times its scale or a quarter of the way to the next one away.
LEAST_AT_LEVELS = 0.9
AT_LEVEL = 4.0
MOST_OF_WAY = 0.25
# Distance of neighbours in their deviations (Ashman, Bird & Zepf 1994 call 2 a clean split; a
# setting is commanded, and does better).
LEAST_APART = 6.0
# Of the column's range: a setting without noise still has rounding.
LEAST_SCALE = 5e-3


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of a column, ascending.

    label: shape (n_panes,), -1 where the pane is not steady, has no value or lies between
    levels. centres: shape (n_levels,). scale: how far readings stray from their level. apart:
    the smallest distance of two neighbours in deviations of their pane means.
    """

    label: Label
    centres: Float64
    scale: float
    apart: float

    @property
    def count(self) -> int:
        """How many levels."""
        return len(self.centres)

    def shares(self, mean: Float64) -> Float64:
        """How much of the time each level is the nearest, steady or not, (n_levels,)."""
        borders = 0.5 * (self.centres[1:] + self.centres[:-1])
        nearest = np.searchsorted(borders, mean[np.isfinite(mean)])
        return np.bincount(nearest, minlength=self.count) / max(len(nearest), 1)

    def covered(self, readings: Float64) -> float:
        """Share of these readings that lie at a level, NaN left out."""
        readings = readings[np.isfinite(readings)]
        borders = 0.5 * (self.centres[1:] + self.centres[:-1])
        off = np.abs(readings - self.centres[np.searchsorted(borders, readings)])
        reach = min(AT_LEVEL * self.scale, MOST_OF_WAY * float(np.diff(self.centres).min()))
        return float((off <= reach).mean()) if len(readings) else 0.0


def find_levels(mean: Float64, deviation: Float64, ends: Float64) -> Levels | str:
    """Levels of a column from its mean and deviation in each pane (shape (n_panes,), NaN
    missing), or in words why there are none. ends: first and last reading, (n_panes, 2)."""
    there = np.isfinite(mean)
    if there.sum() < max(LEAST_PRESENT * len(mean), LEAST_PANES):
        return f"has values in only {int(there.sum()):,} of {len(mean):,} panes"
    low, high = np.quantile(mean[there], [TAIL, 1 - TAIL])
    width = float(high - low)
    if width <= 1e-9 * max(abs(low), abs(high)):
        return "does not change"
    margin = 0.05 * width
    with np.errstate(invalid="ignore"):
        steady = there & (deviation <= STEADY * width)
        steady &= (mean >= low - margin) & (mean <= high + margin)
    if steady.sum() < max(LEAST_STEADY * there.sum(), LEAST_PANES):
        return f"is steady in only {int(steady.sum()):,} of {int(there.sum()):,} panes"
    label = np.full(len(mean), -1, dtype=np.intp)
    label[steady] = _split(mean[steady], float(low) - margin, float(high) + margin)
    label, count = keep_frequent(label, int(steady.sum()))
    if count < 2 or (label >= 0).sum() < LEAST_IN_LEVELS * steady.sum():
        return "varies smoothly"
    if count > MOST_LEVELS:
        return f"has {count} levels, at most {MOST_LEVELS} can be told apart"
    centres = np.array([mean[label == number].mean() for number in range(count)])
    apart, scale = _tightness(mean, deviation, label, centres)
    if apart < LEAST_APART:
        return "varies smoothly"
    levels = Levels(label, centres, max(scale, LEAST_SCALE * width), apart)
    if (covered := levels.covered(ends)) < LEAST_AT_LEVELS:
        return f"is at its {count} levels only {covered:.0%} of the time"
    return levels


def keep_frequent(label: Label, panes: int) -> tuple[Label, int]:
    """Labels that enough of so many panes have, numbered anew in their order, others -1."""
    counts = np.bincount(label[label >= 0], minlength=1)
    enough = counts >= max(LEAST_PANES, LEAST_SHARE * panes)
    number = np.append(np.where(enough, np.cumsum(enough) - 1, -1), -1)
    return number[label], int(enough.sum())


def _split(values: Float64, low: float, high: float) -> Label:
    """Which crowded stretch each value lies in, -1 in the empty ones between."""
    bins = int(np.clip(len(values) // PANES_A_BIN, 16, MOST_BINS))
    place = np.clip(((values - low) / (high - low) * bins).astype(np.intp), 0, bins - 1)
    counts = np.bincount(place, minlength=bins).astype(float)
    padded = np.pad(counts, 1)
    density = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    crowded = density > EMPTY * len(values) / bins
    begins = crowded & ~np.append(False, crowded[:-1])
    stretch = np.where(crowded, np.cumsum(begins) - 1, -1)
    return np.asarray(stretch[place])


def _tightness(
    mean: Float64, deviation: Float64, label: Label, centres: Float64
) -> tuple[float, float]:
    """The smallest distance of neighbours in deviations, and how far readings stray."""
    groups = [label == number for number in range(len(centres))]
    spread = np.array([mean[rows].std() for rows in groups])
    within = np.array([np.mean(deviation[rows] ** 2) for rows in groups])
    rough = np.sqrt(0.5 * (spread[1:] ** 2 + spread[:-1] ** 2))
    rough = np.maximum(rough, 1e-6 * (centres[-1] - centres[0]))
    scale = np.sqrt(np.mean(spread**2 + within))
    return float((np.diff(centres) / rough).min()), float(scale)
