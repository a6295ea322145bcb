"""Sensors that read what they cannot: left out of what is normal and of deviations."""

import numpy as np
import pytest
from unit.learning.normality.quiet_plants import SENSORS, SPEC, learn_again, quiet_frame

from pm_app.features.frame import select_features
from pm_app.features.physical_limits import leave_out_beyond
from pm_app.learning.normality.inputs import readable_features
from pm_app.scoring.deviation import DeviationPredictor, deviation_features

TEMPERATURE = SENSORS.index("temperature")
LIMITS = (("not there", 0.0, 1.0), ("temperature", -40.0, 200.0))
BAD = 24 * 15


def wild(hours):
    def harm(values, every):
        values[TEMPERATURE, 0, BAD : BAD + hours] = 999.0

    return harm


@pytest.fixture(scope="module")
def frame():
    return quiet_frame(harm=wild(5))


def learned(frame, limits):
    return learn_again(frame, np.ones(len(frame.cutoff), dtype=bool), limits=limits)


def deviations(normal, frame):
    rows = np.flatnonzero(frame.asset == 0)[BAD - 2 : BAD + 40]
    found = DeviationPredictor(normal.onnx, normal.card).deviations(
        deviation_features(frame, normal.card)[rows]
    )
    return found.deviation, found.residuals[:, TEMPERATURE]


def test_a_sensor_beyond_its_limits_is_left_out_of_the_deviation_until_no_window_sees_it(frame):
    blind, said = (deviations(learned(frame, each), frame) for each in ((), LIMITS))

    assert blind[0].max() > 5.0
    assert np.isfinite(said[0]).all()
    assert said[0].max() < 1.0
    assert np.isfinite(said[1][:2]).all()
    assert np.isnan(said[1][2:9]).all()
    assert np.isfinite(said[1][10:]).all()


def test_without_limits_or_readings_beyond_them_nothing_changes():
    frame = quiet_frame(days=2)

    assert leave_out_beyond(frame, SPEC, ()) is frame
    assert leave_out_beyond(frame, SPEC, LIMITS) is frame


def test_means_of_windows_that_saw_a_reading_beyond_are_missing_and_no_others(frame):
    harmless = frame.values.copy()
    found = leave_out_beyond(frame, SPEC, (("temperature", None, 200.0),))
    changed = ~((found.values == harmless) | (np.isnan(found.values) & np.isnan(harmless)))
    hours = {
        name: int(changed[:, number].sum())
        for number, name in enumerate(frame.features)
        if changed[:, number].any()
    }

    assert hours == {
        "temperature.mean.3h": 7,
        "temperature.mean.12h": 16,
        "temperature.smooth.1d": 16,
    }
    np.testing.assert_array_equal(frame.values, harmless)


def test_what_tells_of_limits_is_kept_for_learning(frame):
    names = readable_features(SPEC, LIMITS)
    few = select_features(frame, names)

    assert {"temperature.minimum.3h", "temperature.maximum.12h"} <= set(names)
    assert learned(few, LIMITS).onnx == learned(frame, LIMITS).onnx
