"""Weights of rows where renewals end lives: by the inverse probability of not being renewed.

Whether a row fails within a horizon is known where it does, and where it is seen to outlive it;
of a row renewed before, nobody knows. Left out, the rows that stay are no sample of all: a failure
needs to be spared a renewal for less long than a survivor. So each row whose outcome is known
stands for those like it that were renewed (inverse probability of censoring weights, Graf et al.
1999). Work is done because of what is seen, at an age or at a symptom, and so is failing: the
probability of a renewal has to follow age and readings along the way (Robins & Finkelstein 2000,
eq. 3). By age alone, or evenly, weights made simulated risks worse than none.

The hazard of a renewal from one row to the next is learned by a forest on other lives. They
see readings, ages and what was maintained; not inspections, of which a finding decides on the
renewal: given it, nobody is left who was spared (instruments, Brookhart et al. 2006). Where all are
renewed sooner or later than a horizon ends, no survivor is left to stand for them, and no weight
helps: rows of such ages are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from pm_app.learning.data.targets import Rows
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Flags, Float32, Float64
from pm_app.times import HOUR_NS

# A row stands for no more than so many: beyond, a few rows would be all that is asked.
MOST_WEIGHT: Final = 10.0
# Of an age, tenth by tenth, at which they stand for less than this share, most were sure to be
# renewed, and those seen are the ones that failed before.
LEAST_STOOD_FOR: Final = 0.5
_AGES: Final = 10
# Groups of features that tell of the decision to renew rather than of the machine.
_NOT_ASKED: Final = ("inspections", "clock")
_FOLDS: Final = 2
# With fewer renewals to learn from, all rows are renewed alike.
_FEWEST_RENEWALS: Final = 20
# Rows that are not renewed, for each that is.
_OTHERS: Final = 8
_TREES, _LEAF_ROWS = 30, 50
# Features tried at a split: this share of them, but of a small table so many.
_TRIED, _FEWEST_TRIED = 0.1, 8
_MOST_HAZARD: Final = 0.98
# Trees part by numbers, or by their absence, alone.
_FINITE: Final = (np.finfo(np.float32).min, np.finfo(np.float32).max)
_CHUNK_ROWS: Final = 8_192


def with_renewal_weights(frame: Frame, labels: Labels, horizons_hours: Sequence[float]) -> Labels:
    """The labels with a weight a row and horizon; as they are where no renewal ended a life."""
    if not labels.renewed.any():
        return labels
    lived = _lived_rows(frame, labels)
    hazard = _renewal_hazards(frame, lived)
    weights = np.ones((len(labels.life), len(horizons_hours)))
    for at, hours in enumerate(horizons_hours):
        until = np.minimum(labels.duration_hours[lived.rows], hours)
        found = np.minimum(lived.weights(hazard, until), MOST_WEIGHT)
        decided = np.isfinite(labels.fails_within(hours)[lived.rows])
        asked = labels.followed_hours[lived.rows] > hours
        asked &= decided | labels.renewed[lived.rows]
        weights[lived.rows, at] = np.where(_stood_for(lived, found * decided, asked), found, 0.0)
    return replace(labels, weights=weights, weighed_hours=np.array(horizons_hours))


@dataclass(frozen=True, eq=False)
class _LivedRows:
    """Usable rows by life, then time. number: of the life, ascending; hours: since the first row
    of all; last: of its life; renewed: the next that comes is a renewal. All (n_rows,)."""

    rows: Rows
    number: NDArray[np.intp]
    hours: Float64
    last: Flags
    renewed: Flags

    def weights(self, hazard: Float64, until: Float64) -> Float64:
        """One over the probability of no renewal from each row on, for so many hours."""
        force = -np.log1p(-hazard)
        before = np.cumsum(force) - force
        # One line of time for all lives, so far apart that none runs into the next.
        step = np.median(np.diff(self.hours)[~self.last[:-1]]) if (~self.last).any() else 1.0
        start = self.number * (np.ptp(self.hours) + until.max() + step) + self.hours
        time = np.concatenate([start, start[self.last] + step])
        passed = np.concatenate([before, (before + force)[self.last]])
        order = np.argsort(time, kind="stable")
        ends = np.interp(start + until, time[order], passed[order])
        return np.asarray(np.exp(ends - before))


def _stood_for(lived: _LivedRows, weights: Float64, asked: Flags) -> Flags:
    """Rows of ages at which those whose outcome is known stand for enough of all that are asked:
    weights, 0 where it is not known, are 1 on average where some of each kind are spared."""
    ages = lived.hours - lived.hours[np.searchsorted(lived.number, lived.number)]
    borders = np.quantile(ages[asked], np.arange(1, _AGES) / _AGES) if asked.any() else ()
    age = np.searchsorted(borders, ages, side="right")
    rows = np.bincount(age[asked], minlength=_AGES)
    stands_for = np.bincount(age[asked], weights[asked], minlength=_AGES)
    return np.asarray((stands_for >= LEAST_STOOD_FOR * rows)[age])


def _lived_rows(frame: Frame, labels: Labels) -> _LivedRows:
    rows = np.flatnonzero(labels.usable)
    rows = rows[np.lexsort((frame.cutoff[rows], labels.life[rows]))]
    life = labels.life[rows]
    last = np.append(life[1:] != life[:-1], True)
    number = np.cumsum(last) - last
    hours = (frame.cutoff[rows] - frame.cutoff[rows].min()) / HOUR_NS
    return _LivedRows(rows, number, hours, last, last & labels.renewed[rows])


def _renewal_hazards(frame: Frame, lived: _LivedRows) -> Float64:
    """Probability of a renewal before the next row, by a model of other lives, (n_rows,)."""
    fold = lived.number % _FOLDS
    hazard = np.empty(len(lived.rows))
    for part in range(_FOLDS):
        renewed = np.flatnonzero((fold != part) & lived.renewed)
        others = np.flatnonzero((fold != part) & ~lived.renewed)
        here = np.flatnonzero(fold == part)
        if len(renewed) < _FEWEST_RENEWALS or len(others) < _FEWEST_RENEWALS:
            hazard[here] = np.mean(lived.renewed)
            continue
        # Controls evenly in time; each stands for those between (King & Zeng 2001).
        step = max(len(others) // (_OTHERS * len(renewed)), 1)
        taught = np.sort(np.concatenate([renewed, others[::step]]))
        stands_for = np.where(lived.renewed[taught], 1.0, float(step))
        values = _values_asked(frame, lived.rows[taught])
        trees = _grow(values, lived.renewed[taught], stands_for)
        for chunk in _chunks(here):
            values = _values_asked(frame, lived.rows[chunk])
            hazard[chunk] = np.mean([tree.predict(values) for tree in trees], axis=0)
    return np.minimum(hazard, _MOST_HAZARD)


def _values_asked(frame: Frame, rows: Rows) -> Float32:
    asked = np.array([group not in _NOT_ASKED for group in frame.sensor_of], dtype=np.bool_)
    return np.clip(frame.values[rows][:, asked], *_FINITE)


def _grow(values: Float32, renewed: Flags, weights: Float64) -> list[DecisionTreeRegressor]:
    """Trees of rows drawn with replacement; a leaf answers with the share of its rows."""
    rng = np.random.default_rng(0)
    tried = max(min(values.shape[1], _FEWEST_TRIED), round(_TRIED * values.shape[1]))
    trees = []
    for _ in range(_TREES):
        drawn = rng.integers(len(renewed), size=len(renewed))
        tree = DecisionTreeRegressor(
            min_samples_leaf=_LEAF_ROWS, max_features=tried, random_state=int(rng.integers(2**31))
        )
        trees.append(tree.fit(values[drawn], renewed[drawn], sample_weight=weights[drawn]))
    return trees


def _chunks(rows: Rows) -> Iterator[Rows]:
    return (rows[at : at + _CHUNK_ROWS] for at in range(0, len(rows), _CHUNK_ROWS))
