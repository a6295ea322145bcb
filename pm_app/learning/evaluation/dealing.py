"""Permutation test of a ranking: average precision where failures are dealt anew.

Rows of one asset belong together, and so do rows near in time. What is dealt is therefore never
a row but an asset's whole course of labels: it goes to another asset and moves in time, the end
coming round to the beginning (toroidal shift: Lotwick & Silverman 1982; Besag & Diggle 1977).
Each run of failing rows stays as long as it is, and scores keep all of their autocorrelation.

Assets that run side by side move together: what befalls all of them in one night does so in every
deal, for one bad night is one piece of luck however many assets it strikes. Lives that were led at
different times move each by itself. With one machine the shifts alone are left; in a table without
time every row is a course.

Rows held out at several origins are dealt origin by origin: a refit that says more everywhere, at
a time when more fails, has no skill by that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, product
from math import factorial, prod

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
_ROUNDING = 1e-9

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
        better = int(level * (len(self.dealt) + 1) + _ROUNDING) - 1
        return float(self.dealt[better]) if 0 <= better < len(self.dealt) else np.inf


@dataclass(frozen=True, eq=False)
class CourseRows:
    """Rows whose failures are dealt; every array has shape (n_rows,).

    kind: 0 where a row survives, else the kind of its failure, from 1 on without gaps. origin:
    rows of one origin were held out from the same learning, and their failures are dealt among
    them alone. apart: whole lives, each of which has its own time though others ran beside it.
    """

    kind: Int32
    asset: Int32
    cutoff: Int64
    origin: Int32
    apart: bool = False


@dataclass(frozen=True, eq=False)
class DealtKinds:
    """What failures dealt anew give all kinds together, then each kind beside the survivors.

    precision: shape (1 + n_kinds, 1 + n_deals), the true deal first; NaN where a deal leaves a
    kind no row. Where there are several origins, failures of the first alone come last, as one
    more kind, if it holds any.
    """

    precision: Float64
    ways: int

    def of(self, kind: int) -> DealtPrecision:
        """Of one kind, 0 for all together."""
        found, dealt = self.precision[kind, 0], self.precision[kind, 1:]
        return DealtPrecision(float(found), np.sort(dealt[np.isfinite(dealt)])[::-1], self.ways)

    def level(self, level: float, asked: Sequence[int]) -> float:
        """The p that a kind asked needs, so that by luck some kind reaches it no more often than
        at this level.

        Deals say how often the least of several p is as small (Westfall & Young 1993, min-P), as
        they also say how kinds hang together. With one kind it is the level itself.
        """
        deals = self.precision[list(asked)]
        deals = np.where(np.isfinite(deals), deals, -np.inf)
        count = deals.shape[1]
        as_good = [count - np.searchsorted(np.sort(each), each, side="left") for each in deals]
        least = np.sort(np.min(as_good, axis=0))
        return float((least[int(level * count)] - 1) / count)


def deal_kinds(risk: Float64, rows: CourseRows, *, seed: int) -> DealtKinds:
    """The failures of these rows dealt anew; every kind, and survivors, must be among them.

    Where few deals differ all are looked at, else `DEALS` of them at random. A row that gets
    no label in a deal is left out of it, and classes are weighted to the true share of failures.
    """
    rng, origins = np.random.default_rng(seed), np.unique(rows.origin)
    places = [np.flatnonzero(rows.origin == origin) for origin in origins]
    courses = [_courses(rows.kind[p], rows.asset[p], rows.cutoff[p], rows.apart) for p in places]
    dealt = zip(*(_deals(each, rng, alone=len(courses) == 1) for each in courses), strict=True)
    order = np.argsort(-risk, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(risk[order])), len(risk) - 1)
    survive, *failing = np.bincount(rows.kind).tolist()
    # One kind is all there is: it is not looked at twice.
    counts = (sum(failing), *failing) if len(failing) > 1 else (sum(failing),)
    shares = [count / (survive + count) for count in counts]
    newest = rows.origin[order] == origins[0]
    own_share = float(np.mean(rows.kind[rows.origin == origins[0]] > 0))

    def precisions(labels: NDArray[np.int8]) -> list[float]:
        each = [_precision(_only(labels, at), ends, share) for at, share in enumerate(shares)]
        each = each if len(each) > 1 else each * 2
        if len(origins) > 1 and 0.0 < own_share < 1.0:
            each.append(_precision(np.where(newest, labels, _NO_LABEL), ends, own_share))
        return each

    found, labels = [precisions(rows.kind[order].astype(np.int8))], np.empty(len(risk), np.int8)
    for deal in dealt:
        for own, each, (whose, moved) in zip(places, courses, deal, strict=True):
            labels[own] = each.deal(whose, moved)
        found.append(precisions(labels[order]))
    return DealtKinds(np.array(found).T, prod(each.ways for each in courses))


def deal_failures(
    risk: Float64, truth: Float64, *, asset: Int32, cutoff: Int64, seed: int, apart: bool = False
) -> DealtPrecision:
    """`deal_kinds` of failures of one kind, held out at once; truth is 0.0 or 1.0."""
    rows = CourseRows(truth.astype(np.int32), asset, cutoff, np.zeros_like(asset), apart)
    return deal_kinds(risk, rows, seed=seed).of(0)


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

    def deal(self, whose: Places, moved: Places) -> NDArray[np.int8]:
        """Labels of the rows where each asset has those of another, moved by so many slots."""
        slots = self.labels.shape[1]
        slot = (self.slot - moved[self.asset]) % slots
        dealt: NDArray[np.int8] = self.labels[whose[self.asset], slot]
        return dealt


def _courses(kind: Int32, asset: Int32, cutoff: Int64, apart: bool) -> _Courses:
    _, number, counts = np.unique(asset, return_inverse=True, return_counts=True)
    slots = int(counts.max())
    passed = (cutoff - cutoff.min()).astype(np.float64)
    # In months of nanoseconds a float does not tell the end from what comes after it.
    slot = np.minimum((passed * (slots / (passed.max() + 1.0))).astype(np.intp), slots - 1)
    labels = np.full((len(counts), slots), _NO_LABEL, dtype=np.int8)
    labels[number, slot] = kind
    if not apart and np.mean(labels != _NO_LABEL) >= COMMON_TIME:
        return _Courses(labels, number, slot, together=True)
    # Aligned at their ends, where lives that led to failure are alike.
    order = np.lexsort([cutoff, number])
    slot[order] = np.arange(len(kind)) - np.cumsum(counts)[number[order]] + slots
    labels = np.full((len(counts), slots), _NO_LABEL, dtype=np.int8)
    labels[number, slot] = kind
    return _Courses(labels, number, slot, together=False)


def _only(labels: NDArray[np.int8], kind: int) -> NDArray[np.int8]:
    """Labels with failures of other kinds taken out; all of them for kind 0."""
    return np.where((labels > 0) & (labels != kind), _NO_LABEL, labels) if kind else labels


def _deals(
    courses: _Courses, rng: np.random.Generator, *, alone: bool
) -> Iterator[tuple[Places, Places]]:
    """Whose labels each asset gets, and by how many slots they move, (n_assets,) both.

    alone: there are no deals of other origins to be combined with.
    """
    assets, slots = courses.labels.shape
    if alone and courses.together and courses.ways <= DEALS + 1:
        every = product(permutations(range(assets)), range(slots))
        # The first is the true one.
        for whose, shift in islice(every, 1, None):
            yield np.array(whose), np.full(assets, shift)
        return
    for _ in range(DEALS):
        moved = rng.integers(slots, size=1 if courses.together else assets)
        yield rng.permutation(assets), np.broadcast_to(moved, assets)


def _precision(labels: NDArray[np.int8], ends: Places, share: float) -> float:
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
