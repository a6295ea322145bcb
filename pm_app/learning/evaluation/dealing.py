"""Permutation test of a ranking: average precision where failures are dealt anew.

Rows of one asset belong together, and so do rows near in time. What is dealt is therefore never
a row but an asset's whole course of labels: it goes to another asset and moves in time, the end
coming round to the beginning (toroidal shift: Lotwick & Silverman 1982; Besag & Diggle 1977).
Each run of failing rows stays as long as it is, and scores keep all of their autocorrelation.

Assets that run side by side move together: what befalls all of them in one night does so in every
deal, for one bad night is one piece of luck however many assets it strikes. Lives that were led at
different times move each by itself. With one machine the shifts alone are left; in a table without
time every row is a course.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, permutations, product
from math import factorial

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Float64, Int32, Int64

DEALS = 1_999
# More assets than these can be dealt in more ways than anyone could count.
COUNTED_ASSETS = 12
# Below this share of filled places assets did not run side by side, and each has its own time.
COMMON_TIME = 0.5
DIGITS = 12
_NO_LABEL = -1

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class DealtPrecision:
    """Average precision as it is, and as failures dealt anew give it.

    dealt: shape (n_deals,), descending, without the true deal. ways: how many deals differ.
    """

    found: float
    dealt: Float64
    ways: int

    @property
    def p(self) -> float:
        """Share of deals as good as the true one, which is counted among them (Phipson & Smyth
        2010, eq. 2); equals count as better."""
        return float(1 + np.sum(self.dealt >= self.found)) / (1 + len(self.dealt))

    def needed(self, level: float) -> float:
        """What has to be exceeded for a p of at most `level`; infinite with too few deals."""
        better = int(level * (len(self.dealt) + 1)) - 1
        return float(self.dealt[better]) if 0 <= better < len(self.dealt) else np.inf


def deal_failures(
    risk: Float64, truth: Float64, *, asset: Int32, cutoff: Int64, seed: int, apart: bool = False
) -> DealtPrecision:
    """The test; arrays have shape (n_rows,), truth is 0.0 or 1.0 with both among them.

    apart: whole lives, each of which has its own time though others ran beside it.
    Where few deals differ all are looked at, else `DEALS` of them at random. A row that gets
    no label in a deal is left out of it, and classes are weighted to the true share of failures.
    """
    courses = _courses(truth, asset, cutoff, apart)
    order = np.argsort(-risk, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(risk[order])), len(risk) - 1)
    own, slot = courses.asset[order], courses.slot[order]
    share, slots = float(truth.mean()), courses.labels.shape[1]
    dealt = np.array(
        [
            _precision(courses.labels[whose[own], (slot - moved[own]) % slots], ends, share)
            for whose, moved in _deals(courses, seed)
        ]
    )
    dealt = np.sort(dealt[np.isfinite(dealt)])[::-1]
    return DealtPrecision(_precision(truth[order], ends, share), dealt, courses.ways)


@dataclass(frozen=True, eq=False)
class _Courses:
    """Labels by asset and place in time, (n_assets, n_slots), -1 where there is none; and each
    row's asset and slot. together: whether assets ran side by side."""

    labels: NDArray[np.int8]
    asset: Places
    slot: Places
    together: bool

    @property
    def ways(self) -> int:
        """How many deals differ, the true one among them."""
        assets, slots = self.labels.shape
        counted = min(assets, COUNTED_ASSETS)
        return factorial(counted) * int(slots ** (1 if self.together else counted))


def _courses(truth: Float64, asset: Int32, cutoff: Int64, apart: bool) -> _Courses:
    _, number, counts = np.unique(asset, return_inverse=True, return_counts=True)
    slots = int(counts.max())
    passed = (cutoff - cutoff.min()).astype(np.float64)
    slot = (passed * (slots / (passed.max() + 1.0))).astype(np.intp)
    labels = np.full((len(counts), slots), _NO_LABEL, dtype=np.int8)
    labels[number, slot] = truth
    if not apart and np.mean(labels != _NO_LABEL) >= COMMON_TIME:
        return _Courses(labels, number, slot, together=True)
    # Aligned at their ends, where lives that led to failure are alike.
    order = np.lexsort([cutoff, number])
    slot[order] = np.arange(len(truth)) - np.cumsum(counts)[number[order]] + slots
    labels = np.full((len(counts), slots), _NO_LABEL, dtype=np.int8)
    labels[number, slot] = truth
    return _Courses(labels, number, slot, together=False)


def _deals(courses: _Courses, seed: int) -> Iterator[tuple[Places, Places]]:
    """Whose labels each asset gets, and by how many slots they move, (n_assets,) both."""
    assets, slots = courses.labels.shape
    if courses.together and courses.ways <= DEALS + 1:
        every = product(permutations(range(assets)), range(slots))
        # The first is the true one.
        for whose, shift in islice(every, 1, None):
            yield np.array(whose), np.full(assets, shift)
        return
    rng = np.random.default_rng(seed)
    for _ in range(DEALS):
        moved = rng.integers(slots, size=1 if courses.together else assets)
        yield rng.permutation(assets), np.broadcast_to(moved, assets)


def _precision(labels: Float64 | NDArray[np.int8], ends: Places, share: float) -> float:
    """Average precision of labels in descending order of risk, at this share of failures.

    ends: the last row of each risk. NaN where the labels lack one class.
    """
    failing, running = np.cumsum(labels > 0), np.cumsum(labels == 0)
    if not failing[-1] or not running[-1]:
        return float("nan")
    recall = failing[ends] / failing[-1]
    called = share * recall + (1 - share) * running[ends] / running[-1]
    precision = np.divide(share * recall, called, out=np.zeros(len(ends)), where=called > 0)
    # Deals that are equal but for rounding are ties.
    return round(float(np.sum(np.diff(recall, prepend=0.0) * precision)), DIGITS)
