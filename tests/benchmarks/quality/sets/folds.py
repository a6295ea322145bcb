"""The sets models are compared on, each made by the product's own import, panes and windows.

Every model of a fold sees the same features and is judged on the same rows; a fold is a split
as the product makes them. train teaches, validation and calibration choose and correct (peers
then learn from all three), test judges and is seen by nobody before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from pm_app.learning.data.splits import assign_parts, censor_at_parts, censor_at_test
from pm_app.records.features import FeedPace, Frame
from pm_app.records.labels import Labels, Split

# Of what a fold learns from: to fit, to choose by, to calibrate by, as in the product.
LEARN_SHARES = (0.70, 0.15, 0.15)
OFFICIAL = "official test engines"
# How the names of folds on plants begin that nobody looked at while building.
FRESH = "fresh "
PART_NAMES = ("train", "validation", "calibration")
# Of a split: rows that reach from one part into the next, and teach what learns from all.
BETWEEN = "between"


@dataclass(frozen=True)
class Task:
    """What is asked of every model on a set.

    kind: "life" or "classification". Hours; unit_hours is the unit errors are told in.
    """

    kind: str
    horizon_hours: float = 0.0
    cap_hours: float = 0.0
    unit_hours: float = 1.0
    unit: str = "h"

    @property
    def horizons_hours(self) -> tuple[float, ...]:
        """As a head takes them."""
        return (self.horizon_hours,)


@dataclass(frozen=True, eq=False)
class Fold:
    """One way to part a set; labels know no more than each part does.

    paces: of the feeds of events, as a dataset has them. known_labels: of rows that teach all
    there was before the judged ones; None where that is the same.
    """

    name: str
    frame: Frame
    labels: Labels
    split: Split
    paces: tuple[FeedPace, ...] = ()
    known_labels: Labels | None = None

    @property
    def seed(self) -> int:
        """Of what is drawn on this fold: the number that its name ends in, 0 for none."""
        last = self.name.split()[-1]
        return int(last) if last.isdecimal() else 0

    @property
    def learn(self) -> np.ndarray:
        """Rows a model may learn from in whatever way, ascending."""
        return self.split.learned


@dataclass(frozen=True)
class QualitySet:
    """A set by name, made only when asked for.

    folds(open_data, work): the folds, laid out in the empty folder `work` on the way.
    kept_aside: no choice of the product was made on it; measured only where it is named.
    seeds: from how many each model that draws is fitted.
    """

    name: str
    told: str
    task: Task
    folds: Callable[[Path, Path], Iterator[Fold]]
    kept_aside: bool = False
    seeds: int = 1


def part_by_group(
    group: np.ndarray,
    learn: np.ndarray,
    judged: np.ndarray,
    how: str,
    *,
    level: np.ndarray | None,
    seed: int,
) -> Split:
    """A split whose learning rows are dealt group by group, never by row.

    group: (n_rows,). learn, judged: row numbers. level: (n_rows,) what groups should be spread
    evenly over (life length, class); None where groups follow one another in time: then the
    oldest teach and the newest calibrate.
    """
    names, first, owner = np.unique(group[learn], return_index=True, return_inverse=True)
    if level is None:
        share = np.arange(len(names)) / len(names)
        part = np.searchsorted(np.cumsum(LEARN_SHARES)[:-1], share, side="right")
    else:
        rng = np.random.default_rng(seed)
        part = assign_parts(
            level[learn][first].astype(float), np.zeros(len(names)), LEARN_SHARES, rng
        )
    rows = [learn[part[owner] == number] for number in range(len(PART_NAMES))]
    return Split(*rows, test=judged, group=group.astype(np.int32), how=how)


def make_fold(
    name: str, frame: Frame, labels: Labels, split: Split, paces: tuple[FeedPace, ...] = ()
) -> Fold:
    """A fold whose labels are censored where the parts of the product's split end."""
    known = censor_at_test(frame, labels, split)
    return Fold(name, frame, censor_at_parts(frame, known, split), split, paces, known)


def take_labels(labels: Labels, rows: np.ndarray) -> Labels:
    """The labels of these rows, in the order given."""
    columns = {field.name: getattr(labels, field.name) for field in fields(Labels)}
    rowed = {name for name, column in columns.items() if len(column) == len(labels.usable)}
    return Labels(**{n: each[rows] if n in rowed else each for n, each in columns.items()})
