"""Gaps of feeds in training: stretches that miss what rests on events, age and lives.

A network that always saw such features cannot do without when a feed falls silent
(`features/limits`). So it learns from rows that miss them: for stretches of time, of the whole
plant and of single assets, since rows near each other repeat each other and would tell what a
single gap hides. Every pass over the rows has gaps of its own; rows that judge have fixed ones.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pm_app.features.limits import bases_of, withhold
from pm_app.learning.data.targets import Rows
from pm_app.records.features import BASES, Frame
from pm_app.records.readings import Flags, Float32, Int64

# Stretches that the span of a plant, and that of an asset, is cut into.
STRETCHES: Final = 24
# Share of stretches with a gap, of the plant and of each asset: half of the rows have one.
SHARE: Final = 0.3
# Share of gaps in which all is missing, as when the maintenance system is cut off; in others
# each is missing as likely as not.
ALL_MISSING: Final = 0.5


class FeedGaps:
    """Gaps of these rows of a frame, drawn anew for each pass; the same for the same seed."""

    def __init__(self, frame: Frame, rows: Rows, *, seed: int) -> None:
        self.rows, self._frame, self._seed = rows, frame, seed
        self._basis = bases_of(frame.features, frame.sensor_of)
        self._present = np.isin(np.arange(len(BASES)), self._basis)
        cutoff, asset = frame.cutoff[rows], frame.asset[rows]
        self._stretches = [_stretch_numbers(each, cutoff) for each in (np.zeros_like(asset), asset)]

    def draw(self, number: int) -> Flags | None:
        """What each row misses in a pass, (n_rows, n_bases); None where features are all made
        of readings within windows."""
        if not self._present.any() or not len(self.rows):
            return None
        rng = np.random.default_rng([self._seed, number])
        gaps = [_draw(stretch, rng) for stretch in self._stretches]
        return np.asarray((gaps[0] | gaps[1]) & self._present)

    def values(self) -> Float32:
        """The rows' values with the gaps of pass 0, (n_rows, n_features)."""
        values, gaps = self._frame.values[self.rows], self.draw(0)
        if gaps is not None:
            withhold(values, self._basis, gaps)
        return values


def _stretch_numbers(owner: NDArray[np.integer], cutoff: Int64) -> Rows:
    """A number for each owner's stretch of time that a row lies in, (n_rows,)."""
    owners, number = np.unique(owner, return_inverse=True)
    first = np.full(len(owners), np.iinfo(np.int64).max)
    last = np.full(len(owners), np.iinfo(np.int64).min)
    np.minimum.at(first, number, cutoff)
    np.maximum.at(last, number, cutoff)
    length = np.maximum(last - first, 1)[number].astype(float)
    stretch = np.minimum((cutoff - first[number]) / length * STRETCHES, STRETCHES - 1)
    return np.asarray(number * STRETCHES + stretch.astype(np.intp), dtype=np.intp)


def _draw(stretch: Rows, rng: np.random.Generator) -> Flags:
    count = int(stretch.max(initial=0)) + 1
    gaps = rng.random((count, len(BASES))) < 0.5
    gaps |= rng.random((count, 1)) < ALL_MISSING
    # What is silent is later than what was learned.
    gaps[:, BASES.index("age")] = True
    gaps &= rng.random((count, 1)) < SHARE
    return np.asarray(gaps[stretch])
