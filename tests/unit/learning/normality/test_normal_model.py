"""Normal behaviour: what is unusual, by which sensor, and what does not count."""

import numpy as np
import pytest
from unit.learning.normality.quiet_plants import SENSORS, SPEC, learn, quiet_frame

from pm_app.errors import NotEnoughData
from pm_app.features.frame import select_features
from pm_app.learning.normality.inputs import readable_features
from pm_app.scoring.deviation import DeviationPredictor, deviation_sensors_text

LOAD, NOISE, OIL, TEMPERATURE = range(len(SENSORS))
LAST_DAYS = slice(24 * 15, None)


@pytest.fixture(scope="module")
def normal():
    return learn(quiet_frame())


@pytest.fixture(scope="module")
def predictor(normal):
    return DeviationPredictor(normal.onnx, normal.card)


def deviations(predictor, frame):
    return predictor.deviations(select_features(frame, predictor.card.features).values)


def last_of(frame, asset):
    return int(np.flatnonzero(frame.asset == asset)[-1])


def warmer(kelvin):
    def harm(values, hours):
        values[TEMPERATURE, 0, LAST_DAYS] += kelvin

    return harm


def test_a_deviation_grows_with_the_fault_and_names_its_sensor_in_its_unit(normal, predictor):
    grown = []
    for kelvin in (0.0, 2.0, 4.0, 9.0):
        frame = quiet_frame(seed=5, harm=warmer(kelvin))
        found, row = deviations(predictor, frame), last_of(frame, 0)
        grown.append(found.deviation[row])

    assert grown[0] < 1.0 < grown[1] < grown[2] < grown[3]
    assert found.residuals[row, TEMPERATURE] == pytest.approx(9.0, rel=0.25)
    assert found.shares[row].sum() == pytest.approx(1.0)
    text = deviation_sensors_text(found.residuals[row], found.shares[row], normal.card)
    assert text.startswith(("temperature +", "oil, temperature ", "temperature, oil +")), text


def test_features_that_may_be_looked_at_are_all_that_learning_needs(normal):
    whole = quiet_frame()
    few = select_features(whole, readable_features(SPEC))
    alone = learn(few)

    assert len(few.features) < 0.8 * len(whole.features)
    assert alone.onnx == normal.onnx
    assert alone.card == normal.card


def test_quiet_machines_that_were_never_seen_stay_below_the_level(predictor):
    frame = quiet_frame(seed=9)
    found = deviations(predictor, frame)

    assert np.nanmean(found.deviation >= 1.0) < 0.01
    assert (found.deviation[found.judged] >= 0).all()


def test_what_a_load_explains_is_not_unusual(predictor):
    def loaded(values, hours):
        values[LOAD, 0, LAST_DAYS] += 8.0
        values[TEMPERATURE, 0, LAST_DAYS] += 4.0
        values[OIL, 0, LAST_DAYS] += 4.0

    frame = quiet_frame(seed=5, harm=loaded)
    found, row = deviations(predictor, frame), last_of(frame, 0)
    hot = deviations(predictor, quiet_frame(seed=5, harm=warmer(4.0)))

    assert abs(found.residuals[row, TEMPERATURE]) < 1.0
    assert found.deviation[row] < 0.5 * hot.deviation[row]


def test_sensors_that_are_missing_are_left_out_not_counted(predictor):
    frame = quiet_frame(seed=6)
    values = select_features(frame, predictor.card.features).values
    whole = predictor.deviations(values)
    for sensor in SENSORS:
        columns = [n for n, name in enumerate(predictor.card.features) if name.startswith(sensor)]
        gone = values.copy()
        gone[:, columns] = np.nan
        found = predictor.deviations(gone)
        number = SENSORS.index(sensor)

        # Young machines have too few readings to tell that a sensor moves.
        assert found.judged[whole.judged].mean() > 0.99
        assert np.nanmean(found.deviation >= 1.0) < 0.01
        assert np.isnan(found.residuals[:, number]).all()
        assert (found.shares[:, number] == 0).all()
    assert np.isnan(predictor.deviations(np.full_like(values[:3], np.nan)).deviation).all()


def test_a_stuck_sensor_and_a_stop_raise_nothing(predictor):
    def harm(values, hours):
        values[TEMPERATURE, 0, LAST_DAYS] = values[TEMPERATURE, 0, LAST_DAYS.start - 1]
        values[:, 1, LAST_DAYS.start : LAST_DAYS.start + 30] = 0.0

    frame = quiet_frame(seed=7, harm=harm)
    found = deviations(predictor, frame)

    assert np.isnan(found.residuals[last_of(frame, 0), TEMPERATURE])
    after = frame.cutoff >= frame.cutoff.min() + 24 * 15 * 3600 * 10**9
    assert np.nanmean(found.deviation[after & (frame.asset < 2)] >= 1.0) < 0.02


def test_a_row_is_answered_as_it_is_whichever_rows_are_beside_it(predictor):
    frame = quiet_frame(seed=8)
    values = select_features(frame, predictor.card.features).values[-40:].copy()
    values[::3, ::4] = np.nan
    whole = predictor.raw(values)

    for number in (0, 7, 39):
        alone = predictor.raw(values[number : number + 1])[0]
        np.testing.assert_array_equal(alone, whole[number])
    np.testing.assert_array_equal(predictor.raw(values[::-1])[::-1], whole)


def test_a_tenth_of_faulty_history_does_not_make_a_fault_normal(normal):
    def harm(values, hours):
        values[TEMPERATURE, 0, 24 * 5 : 24 * 17] += 5.0

    learned = learn(quiet_frame(harm=harm))
    judged = quiet_frame(seed=5, harm=warmer(5.0))
    clean, dirty = (
        deviations(DeviationPredictor(each.onnx, each.card), judged).deviation[last_of(judged, 0)]
        for each in (normal, learned)
    )

    assert pytest.approx(0.1) == 12 / (6 * 20)
    assert clean > dirty > 2.0


def test_learning_twice_gives_the_same_bytes(normal):
    again = learn(quiet_frame())

    assert again.onnx == normal.onnx
    assert again.card == normal.card
    assert normal.card.parity < 1e-5
    assert normal.golden_outputs.shape == (len(normal.golden_rows), 1 + len(normal.card.sensors))
    assert {name for group in normal.card.groups for name in group} == set(SENSORS)


def test_too_short_a_history_is_refused_in_words():
    with pytest.raises(NotEnoughData, match="needs 30d of healthy readings of a machine at work"):
        learn(quiet_frame(days=4), minimum_history="30d")
    frame = quiet_frame(days=4)
    with pytest.raises(NotEnoughData):
        learn(frame, np.zeros(len(frame.cutoff), dtype=bool))


def test_a_machine_of_four_days_is_watched_with_care():
    frame = quiet_frame(assets=1, days=60, seed=3)
    first_days = frame.cutoff <= frame.cutoff.min() + 4 * 24 * 3600 * 10**9
    learned = learn(frame, first_days)
    level = learned.card.level
    found = deviations(DeviationPredictor(learned.onnx, learned.card), frame)

    assert level.cautious and level.score == level.high
    assert "the budget needs" in level.reason
    assert np.nanmean(found.deviation >= 1.0) < 0.005
