"""Selection of features: which of them a network reads, and in what order they would be taken.

A plan that reads few features spends on them what others spend on all. What it gains by that it
gains over two controls of as many features and parameters: taken at random (`random_order`), and
by what features are like without a look at outcomes (`variance_order`). `control_plans` of the
planner has both.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pm_app.records.features import Frame
from pm_app.records.learning import Importance
from pm_app.records.readings import Float64

# How many features are tried, by doubling; validation chooses, and all are a choice as well.
COUNTS: Final = (10, 20, 40, 80)
# Where nobody says how many.
USUAL_COUNT: Final = 40

# (frame, rows, seed) to all features of the frame, in the order in which they would be taken.
Order = Callable[[Frame, NDArray[np.intp], int], tuple[str, ...]]


def counts_for(features: int) -> tuple[int, ...]:
    """How many of so many features are worth trying, fewest first; all of them is none."""
    return tuple(count for count in COUNTS if count < features)


def importance_order(
    importance: Importance, features: Sequence[str], sensor_of: Sequence[str]
) -> tuple[str, ...]:
    """Features by importance, the greatest first; ties by column order.

    Where only sensors were asked, each of a sensor's features has an equal part of its share.
    """
    asked = dict(zip(importance.features, importance.feature_shares, strict=True))
    whole = dict(zip(importance.sensors, importance.shares, strict=True))
    owners = list(sensor_of)
    parts = {sensor: whole.get(sensor, 0.0) / owners.count(sensor) for sensor in set(owners)}
    pairs = zip(features, sensor_of, strict=True)
    return _by(np.array([asked.get(name, parts[sensor]) for name, sensor in pairs]), features)


def random_order(frame: Frame, rows: NDArray[np.intp], seed: int) -> tuple[str, ...]:
    """Features as they come by lot: the control that knows nothing."""
    order = np.random.default_rng(seed).permutation(len(frame.features))
    return tuple(frame.features[at] for at in order)


def variance_order(frame: Frame, rows: NDArray[np.intp], seed: int) -> tuple[str, ...]:
    """Features by how much they vary about their level, most first: the unguided choice.

    Variance over these rows by the mean square, from 0 (constant) to 1; of a feature that is
    never known 0. Ties by column order.
    """
    values = np.where(np.isfinite(frame.values[rows]), frame.values[rows], np.nan).astype(float)
    values[:, np.isnan(values).all(axis=0)] = 0.0
    square = np.nanmean(values**2, axis=0)
    ratio = np.divide(
        np.nanvar(values, axis=0), square, out=np.zeros_like(square), where=square > 0
    )
    return _by(ratio, frame.features)


# What guidance by selection is measured against.
SELECTION_CONTROLS: Final[dict[str, Order]] = {
    "selected: random": random_order,
    "selected: variance": variance_order,
}


def _by(worth: Float64, features: Sequence[str]) -> tuple[str, ...]:
    return tuple(features[at] for at in np.argsort(-worth, kind="stable"))
