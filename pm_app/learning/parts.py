"""The four parts of a split, and what each of them needs to serve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import NotEnoughData
from pm_app.records.labels import Flags, Split
from pm_app.records.readings import Int32

PARTS = ("train", "validation", "calibration", "test")
SHARES = (0.60, 0.12, 0.13, 0.15)
# With fewer groups a resampling says nothing about the next machine.
LEAST_GROUPS = 5


@dataclass(frozen=True, eq=False)
class Classes:
    """Rows of either class, and words for them; every part needs at least one of both."""

    positive: Flags
    negative: Flags
    words: tuple[str, str]


def lacking(part: NDArray[np.int64], classes: Classes) -> str:
    """What keeps these parts from serving, "" when nothing does."""
    positive = np.bincount(part[classes.positive & (part >= 0)], minlength=len(PARTS))
    negative = np.bincount(part[classes.negative & (part >= 0)], minlength=len(PARTS))
    for counts, words in zip((positive, negative), classes.words, strict=True):
        if counts.min() < 1:
            told = ", ".join(f"{n} in {name}" for n, name in zip(counts, PARTS, strict=True))
            return f"not enough data: rows {words}: {told}; every part needs some"
    return ""


def make_split(part: NDArray[np.int64], group: Int32, classes: Classes, how: str) -> Split:
    """The split of rows numbered by their part, -1 for none; raises NotEnoughData where one
    of the parts would lack a class."""
    missing = lacking(part, classes)
    if missing:
        raise NotEnoughData(missing)
    train, validation, calibration, test = (
        np.flatnonzero(part == number) for number in range(len(PARTS))
    )
    return Split(train, validation, calibration, test, group.astype(np.int32), how)
