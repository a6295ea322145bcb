"""Drift where failure modes are told apart: of which the sensors changed, and which came up."""

import numpy as np

from pm_app.learning.importance.attribution import Attributions
from pm_app.learning.importance.drift import (
    change_by_mode,
    change_of_failures,
    frequent_text,
)

NAMES = ("vibration", "flow", "leak", "noise")
ALONE = tuple((name,) for name in NAMES)
MODES = ("bearing", "seal", "other")


def failures(*kinds: tuple[int, int, int], seed: int = 0) -> Attributions:
    """Failures from (how many, of which mode, the sensor that tells them)."""
    rng = np.random.default_rng(seed)
    counts, modes, sensors = np.array(kinds).T
    lost = 0.4 * np.eye(len(NAMES))[np.repeat(sensors, counts)]
    lost = lost * rng.uniform(0.5, 1.5, lost.shape) + rng.normal(0, 0.02, lost.shape)
    order = rng.permutation(len(lost))
    mode = np.repeat(modes, counts)[order].astype(np.int32)
    return Attributions(NAMES, np.arange(len(lost)), lost[order], mode)


def test_a_mode_whose_sensors_changed_is_named_though_the_others_hide_it():
    before = failures((60, 0, 0), (8, 1, 2), (4, 2, 1))
    after = failures((60, 0, 0), (8, 1, 1), (4, 2, 2), seed=1)

    found = change_by_mode(before, after, ALONE, MODES, least=6)

    assert change_of_failures(before, after, ALONE).p > 0.05
    assert found.p <= 0.02
    assert found.sensor in ("leak before seal failures", "flow before seal failures")


def test_modes_with_few_failures_are_not_asked_and_without_any_all_is_as_before():
    before, after = failures((20, 0, 0), (4, 1, 2)), failures((20, 0, 0), (4, 1, 1), seed=1)
    whole = change_of_failures(before, after, ALONE)

    assert change_by_mode(before, after, ALONE, (), least=3) == whole
    assert change_by_mode(before, after, ALONE, MODES, least=21) == whole


def test_what_stays_is_rarely_called_changed_for_asking_of_each_mode():
    kinds = (30, 0, 0), (20, 1, 2), (10, 2, 1)
    found = [
        change_by_mode(
            failures(*kinds, seed=2 * n), failures(*kinds, seed=2 * n + 1), ALONE, MODES, least=6
        ).p
        for n in range(8)
    ]

    assert sum(p <= 0.05 for p in found) <= 2


def test_a_mode_that_becomes_frequent_is_named_with_its_counts():
    before, after = failures((35, 0, 0), (2, 1, 2)), failures((15, 0, 0), (15, 1, 2), seed=1)

    assert frequent_text(before, after, MODES) == (
        "seal became frequent: 2 of 37 failures, then 15 of 30"
    )
    assert frequent_text(after, before, MODES).startswith("bearing became frequent: 15 of 30")
    assert frequent_text(before, before, MODES) == ""
