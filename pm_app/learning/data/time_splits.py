"""Splits by time: parts one after another, with a gap or with runs kept whole between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import NotEnoughData
from pm_app.records.labels import Split
from pm_app.records.readings import Flags, Int32, Int64
from pm_app.times import HOUR_NS

PARTS = ("train", "validation", "calibration", "test")
# Of rows that reach from one part into a later one, but not into the test.
BETWEEN = -2
SHARES = (0.60, 0.12, 0.13, 0.15)
# With fewer groups a resampling is no evidence of the next machine.
LEAST_GROUPS = 5


@dataclass(frozen=True, eq=False)
class Classes:
    """Rows of either class, and words for them; every part needs at least one of both."""

    positive: Flags
    negative: Flags
    words: tuple[str, str]


def lacking(part: NDArray[np.int64], classes: Classes) -> str:
    """Why these parts cannot serve, "" where they can."""
    positive = np.bincount(part[classes.positive & (part >= 0)], minlength=len(PARTS))
    negative = np.bincount(part[classes.negative & (part >= 0)], minlength=len(PARTS))
    for counts, words in zip((positive, negative), classes.words, strict=True):
        if counts.min() < 1:
            counted = ", ".join(f"{n} in {name}" for n, name in zip(counts, PARTS, strict=True))
            return f"not enough data: rows {words}: {counted}; every part needs some"
    return ""


def make_split(part: NDArray[np.int64], group: Int32, classes: Classes, how: str) -> Split:
    """The split of rows numbered by their part, -1 for none, or `BETWEEN`; raises NotEnoughData
    where one of the parts would lack a class."""
    missing = lacking(part, classes)
    if missing:
        raise NotEnoughData(missing)
    train, validation, calibration, test, between = (
        np.flatnonzero(part == number) for number in (*range(len(PARTS)), BETWEEN)
    )
    parts = train, validation, calibration, test
    return Split(*parts, group.astype(np.int32), how, between=between)


def split_by_time(
    cutoff: Int64, usable: Flags, classes: Classes, group: Int32, *, purge_ns: int
) -> Split:
    """Consecutive parts; of several ways to place the borders, the first that serves."""
    # Borders follow the rows, the failures, or both; then parts of more equal size.
    ways = product((SHARES, (0.4, 0.2, 0.2, 0.2)), (0.5, 1.0, 0.0))
    whole = group if not purge_ns else None
    problem = ""
    for shares, weight in ways:
        borders = find_borders(cutoff, usable, classes.positive, shares, weight)
        part = _parts_between(cutoff, usable, borders, purge_ns, whole)
        missing = lacking(part, classes)
        if not missing:
            gap = (
                f"{purge_ns / HOUR_NS:g} h left out between parts"
                if purge_ns
                else "runs kept whole"
            )
            how = f"by time: {' / '.join(PARTS)}, the test newest, {gap}"
            return make_split(part, group, classes, how)
        problem = problem or missing
    raise NotEnoughData(problem)


def find_borders(
    cutoff: Int64, usable: Flags, positive: Flags, shares: Sequence[float], weight: float
) -> Int64:
    """First moments of the second to last part, where `weight` of the balance goes to the
    positive rows and the rest to all rows."""
    rows = np.flatnonzero(usable)
    order = rows[np.argsort(cutoff[rows], kind="stable")]
    if not len(order) or not positive.any():
        return np.empty(0, dtype=np.int64)
    found = np.cumsum(positive[order]) / positive.sum()
    seen = np.arange(1, len(order) + 1) / len(order)
    place = np.searchsorted(weight * found + (1 - weight) * seen, np.cumsum(shares)[:-1])
    return cutoff[order[np.minimum(place, len(order) - 1)]]


def _parts_between(
    cutoff: Int64, usable: Flags, borders: Int64, purge_ns: int, whole: Int32 | None
) -> NDArray[np.int64]:
    part = np.searchsorted(borders, cutoff, side="right")
    if whole is not None and len(part):
        # A block goes where its first row goes.
        first = np.full(whole.max() + 1, len(PARTS))
        np.minimum.at(first, whole, part)
        part = first[whole]
    reaches = np.searchsorted(borders, cutoff + purge_ns, side="right") if purge_ns else part
    inside = np.where(reaches < len(PARTS) - 1, BETWEEN, -1)
    return np.where(usable, np.where(reaches <= part, part, inside), -1)
