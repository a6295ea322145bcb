"""Risks by failure mode, as they are shown, and the sensors that speak for each."""

import json

import numpy as np
import pytest
from factories import make_graph
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pm_app.records.learning import Calibration, Head
from pm_app.records.scores import calibrated_log_odds, raw_risk, sigmoid
from pm_app.scoring.modes import (
    LEAST_SHARE,
    likeliest,
    mode_risks_text,
    mode_sensors_text,
    risks_by_mode,
)
from pm_app.scoring.predictor import Predictor

MODES = ("bearing", "seal", "other")


@given(
    risk=arrays(float, (7, 2), elements=st.floats(0, 1)),
    weights=arrays(float, (7, 2, 5), elements=st.floats(1e-6, 1)),
)
def test_risks_of_modes_add_up_to_the_risk_that_is_shown(risk, weights):
    shares = weights / weights.sum(axis=2, keepdims=True)
    shown = np.round(risk, 4)
    risks = risks_by_mode(shown, shares)

    assert risks.sum(axis=2) == pytest.approx(shown, abs=1e-9)
    assert np.abs(risks - shown[..., None] * shares).max() < 2e-4
    assert np.array_equal(risks, np.round(risks, 4))
    most = np.take_along_axis(risks, likeliest(shares)[..., None], axis=2)[..., 0]
    assert (most == risks.max(axis=2)).all()


def test_what_rounding_leaves_goes_to_the_largest_remainders_and_ties_to_the_first():
    risks = risks_by_mode(np.array([[0.0004, 0.0]]), np.array([[[0.25, 0.375, 0.375], [1, 0, 0]]]))

    assert risks.tolist() == [[[0.0001, 0.0002, 0.0001], [0.0, 0.0, 0.0]]]
    assert likeliest(np.array([[[0.4, 0.4, 0.2]]])).tolist() == [[0]]


def test_noise_of_the_last_digits_changes_nothing():
    shares = np.array([[[1 / 3, 1 / 3, 1 / 3]]])
    noisy = shares + np.array([0.0, 2e-7, -2e-7])
    risk = np.array([[0.5]])

    assert np.array_equal(risks_by_mode(risk, shares), risks_by_mode(risk, noisy))
    assert likeliest(noisy).tolist() == [[0]]


def test_risks_are_texts_that_programs_read():
    texts = mode_risks_text(np.array([[[0.31, 0.04, 0.0001]]]), ("bearing", 'a "b" %s', "Lager ü"))

    assert texts.shape == (1, 1)
    assert json.loads(texts[0, 0]) == {"bearing": 0.31, 'a "b" %s': 0.04, "Lager ü": 0.0001}


def test_sensors_are_told_for_each_mode_that_makes_up_enough_of_the_risk():
    added = np.array([[[3.0, 0.0, 1.0], [1.0, 2.0, 1.0]], [[-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]])
    shares = np.array([[0.9 - LEAST_SHARE / 2, LEAST_SHARE, LEAST_SHARE / 2], [0.5, 0.5, 0.0]])

    texts = mode_sensors_text(added, shares, modes=MODES, sensors=("heat", "load"))

    assert [json.loads(text) for text in texts] == [
        {"bearing": "heat 75 %, load 25 %", "seal": "load 100 %"},
        {"seal": "heat 50 %, load 50 %"},
    ]


def make_predictor(modes):
    return Predictor(
        make_graph(4, edges=3, attends=2, modes=len(modes)),
        head=Head("hazard", (12.0, 24.0, 72.0), (24.0, 72.0), modes),
        calibration=Calibration((1.2, 1.1), (0.1, 0.2), 1.0, 1.0),
        features=("heat", "load", "age", "flow"),
    )


def test_signals_are_the_log_odds_of_the_risk_and_of_its_part_that_is_of_each_mode():
    predictor = make_predictor(MODES)
    values = np.random.default_rng(0).normal(50, 20, (40, 4)).astype(np.float32)
    signals = predictor.signals(values)
    scores, attention = predictor.predict_attending(values)

    assert signals.shape == (40, 4)
    assert np.array_equal(signals[:, 0], predictor.signal(values))
    parts = scores.risk[:, -1:] * scores.mode_shares[:, -1]
    assert sigmoid(signals[:, 1:]) == pytest.approx(parts, abs=2e-6)
    assert attention.shape == (40, 2)


def test_without_modes_there_is_one_signal_and_that_is_the_same():
    predictor = make_predictor(())
    values = np.random.default_rng(0).normal(50, 20, (5, 4)).astype(np.float32)
    raw = raw_risk(predictor.outputs(values), predictor.head)

    expected = calibrated_log_odds(raw, predictor.calibration)[:, -1:]
    assert np.array_equal(predictor.signals(values), expected)
    assert predictor.predict(values).mode_shares.size == 0
