"""Deviations out of time: what is said of a row rests on earlier rows alone."""

import numpy as np
import pytest
from quiet_plants import SPEC, quiet_frame

from pm_app.learning.normality.learn import HealthyRows
from pm_app.learning.normality.out_of_time import out_of_time_scores
from pm_app.settings.deviation import DeviationSettings
from pm_app.times import HOUR_NS

SETTINGS = DeviationSettings()
FAULT_HOUR = 250


def grow_hot(values, hours):
    """One machine's temperature leaves what its load explains."""
    values[3, 2] += np.clip(hours - FAULT_HOUR, 0, None) * 0.2


@pytest.fixture(scope="module")
def frame():
    return quiet_frame(days=20, harm=grow_hot)


def scores_of(frame, healthy=None):
    every = np.ones(len(frame.cutoff), dtype=bool) if healthy is None else healthy
    return out_of_time_scores(HealthyRows(frame, every, SPEC), SETTINGS)


def hour_of(frame):
    return (frame.cutoff - frame.cutoff.min()) // HOUR_NS


def test_a_fault_stands_out_of_what_came_before_it(frame):
    scores, hot = scores_of(frame), frame.asset == 2
    late = hour_of(frame) > FAULT_HOUR + 48

    quiet = np.nanquantile(scores[~hot], 0.99)
    assert np.nanmin(scores[hot & late]) > quiet


def test_nothing_is_said_before_there_was_enough_to_learn_from(frame):
    scores = scores_of(frame)

    assert np.isnan(scores[hour_of(frame) < 24]).all()
    assert np.isfinite(scores[hour_of(frame) > 240]).all()


def test_later_rows_change_nothing_that_is_said_before(frame):
    later = hour_of(frame) > 330

    def change_late(values, hours):
        grow_hot(values, hours)
        values *= 1 + (hours > 360)

    other = quiet_frame(days=20, harm=change_late)

    np.testing.assert_array_equal(scores_of(other)[~later], scores_of(frame)[~later])
    assert not np.array_equal(scores_of(other)[later], scores_of(frame)[later], equal_nan=True)


def test_rows_that_are_not_healthy_teach_nothing(frame):
    hot = (frame.asset == 2) & (hour_of(frame) > FAULT_HOUR)
    late = hot & (hour_of(frame) > 400)

    assert scores_of(frame, ~hot)[late].mean() > 1.05 * scores_of(frame)[late].mean()


def test_what_nobody_knew_when_a_block_began_leaves_nothing_out_of_what_teaches_it(frame):
    hot = (frame.asset == 2) & (hour_of(frame) > FAULT_HOUR)
    told = frame.cutoff.min() + 420 * HOUR_NS
    asked = []

    def healthy_at(moment):
        asked.append(moment)
        return ~hot if moment >= told else np.ones(len(frame.cutoff), dtype=bool)

    rows = HealthyRows(frame, ~hot, SPEC)
    found = out_of_time_scores(rows, SETTINGS, healthy_at=healthy_at)

    assert max(asked) < told
    np.testing.assert_array_equal(found, scores_of(frame))
