"""Statuses of rows that are watched by their deviation, where no failure model speaks."""

from typing import Final

import numpy as np

from pm_app.records.features import Frame
from pm_app.records.normality import NormalCard
from pm_app.records.readings import Flags, Float64, Text
from pm_app.times import HOUR_NS

# An asset beside known ones is watched after a day, by what is normal for the others.
LEAST_AGE_HOURS: Final = 24.0
# With fewer of its sensors than this an asset cannot be watched.
LEAST_THERE: Final = 0.5


def may_be_watched(frame: Frame, card: NormalCard) -> Flags:
    """Rows whose deviation counts, (n_rows,): the machine runs, and is old enough.

    The frame holds all features of the card's specification.
    """
    return np.asarray(~_too_young(frame, card) & ~_off(frame))


def watched_statuses(frame: Frame, card: NormalCard, deviation: Float64) -> Text:
    """The status of each row by the deviation alone, (n_rows,): "watched", or why there is none.

    deviation: NaN where there is none. machine_off, not_enough_history: as the failure model says,
    but that nothing younger than a day is watched. sensor_missing: half of the sensors that are
    looked at, or more, have no value in the longest window. stale_input: they have, but too many
    stand still to tell anything.
    """
    status = np.full(len(frame.cutoff), "watched", dtype=object)
    place = {name: number for number, name in enumerate(frame.features)}
    last = [place[f"{sensor}.last"] for sensor in card.sensors if f"{sensor}.last" in place]
    there = np.isfinite(frame.values[:, last]).mean(axis=1) if last else np.zeros(len(status))
    silent = np.isnan(deviation)
    status[silent] = np.where(there[silent] > LEAST_THERE, "stale_input", "sensor_missing")
    status[_too_young(frame, card)] = "not_enough_history"
    status[_off(frame)] = "machine_off"
    return status


def _off(frame: Frame) -> Flags:
    return np.zeros(len(frame.cutoff), dtype=np.bool_) if frame.off is None else frame.off


def _too_young(frame: Frame, card: NormalCard) -> Flags:
    if not card.spec.windows_ns:
        return np.zeros(len(frame.cutoff), dtype=np.bool_)
    least = max(card.spec.windows_ns[0] / HOUR_NS, LEAST_AGE_HOURS)
    age = frame.values[:, frame.features.index("age")]
    return np.asarray(age < least)
