from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.records.learning import Calibration, Head
from pm_app.records.scores import (
    calibrated_risk,
    life_interval,
    life_quantile,
    logit,
    raw_risk,
    restricted_mean,
    scores_of,
    sigmoid,
)

EDGES = (10.0, 20.0, 40.0)
HEAD = Head("hazard", EDGES, (10.0, 40.0))
NONE = Calibration((1.0, 1.0), (0.0, 0.0), 0.0, 0.0)

hazards = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3)
curves = st.lists(hazards, min_size=1, max_size=6).map(
    lambda rows: np.cumprod(1.0 - np.array(rows), axis=1)
)


def test_log_odds_and_back_give_the_same_probability():
    probability = np.array([0.001, 0.3, 0.5, 0.999])

    assert sigmoid(logit(probability)) == pytest.approx(probability)


def test_certainty_has_finite_log_odds():
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


@given(curve=curves)
def test_mean_life_equals_a_fine_sum_over_the_curve(curve):
    steps = np.linspace(0.0, 40.0, 4001)
    slow = [np.trapezoid(np.interp(steps, (0.0, *EDGES), (1.0, *row)), steps) for row in curve]

    assert restricted_mean(curve, EDGES) == pytest.approx(np.array(slow), abs=1e-3)


@given(curve=curves, level=st.floats(0.01, 0.99))
def test_a_quantile_is_where_the_curve_first_falls_to_its_level(curve, level):
    steps = np.linspace(0.0, 40.0, 40001)
    found = life_quantile(curve, EDGES, level)

    for row, value in zip(curve, found, strict=True):
        height = np.interp(steps, (0.0, *EDGES), (1.0, *row))
        below = np.flatnonzero(height <= 1.0 - level)
        first = steps[below[0]] if len(below) else 40.0
        assert np.interp(value, (0.0, *EDGES), (1.0, *row)) >= 1.0 - level - 1e-9
        assert value <= first + 1e-9


def test_a_machine_sure_to_live_has_the_cap_left():
    curve = np.ones((1, 3))

    assert restricted_mean(curve, EDGES)[0] == 40.0
    assert life_quantile(curve, EDGES, 0.05)[0] == 40.0


def test_risks_are_read_at_their_horizons():
    risk = raw_risk(np.array([[0.9, 0.5, 0.2]]), HEAD)

    assert risk == pytest.approx(np.array([[0.1, 0.8]]))


@given(
    curve=curves,
    slopes=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
    intercepts=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    margins=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_whatever_the_calibration_scores_stay_in_bounds_and_in_order(
    curve, slopes, intercepts, margins
):
    scores = scores_of(curve, HEAD, Calibration(slopes, intercepts, *margins))

    assert ((scores.risk >= 0) & (scores.risk <= 1)).all()
    assert (np.diff(scores.risk, axis=1) >= 0).all()
    assert (scores.low >= 0).all()
    assert (scores.low <= scores.high).all()
    assert (scores.high <= 40.0).all()
    assert np.isnan(scores.value).all()


def test_identity_calibration_leaves_risks_alone():
    raw = np.array([[0.1, 0.8]])

    assert calibrated_risk(raw, NONE) == pytest.approx(raw)


def test_margins_widen_the_interval():
    curve = np.array([[0.9, 0.5, 0.2]])
    plain = life_interval(curve, EDGES, NONE)
    wide = life_interval(curve, EDGES, Calibration((1.0, 1.0), (0.0, 0.0), 2.0, 3.0))

    assert wide[0] == pytest.approx(np.maximum(plain[0] - 2.0, 0.0))
    assert wide[1] == pytest.approx(np.minimum(plain[1] + 3.0, 40.0))


def test_a_bound_at_the_last_edge_stays_there():
    curve = np.array([[1.0, 0.99, 0.98]])
    narrow = life_interval(curve, EDGES, Calibration((1.0, 1.0), (0.0, 0.0), 0.0, -8.0))

    assert narrow[1] == pytest.approx([40.0])


def test_a_class_has_a_risk_and_no_life():
    head = Head("classification", (), (0.0,))
    scores = scores_of(np.array([[0.3]]), head, Calibration((1.0,), (0.0,), 0.0, 0.0))

    assert scores.risk == pytest.approx(np.array([[0.3]]))
    assert np.isnan(scores.rul).all()


def test_a_value_has_an_interval_and_no_risk():
    head = Head("regression", (), (0.0,))
    scores = scores_of(np.array([[5.0]]), head, Calibration((1.0,), (0.0,), 1.0, 2.0))

    assert (scores.value[0], scores.low[0], scores.high[0]) == (5.0, 4.0, 7.0)
    assert np.isnan(scores.risk).all()


def test_shares_of_modes_within_a_horizon_are_their_incidences():
    rng = np.random.default_rng(0)
    survival = np.sort(rng.random((200, len(EDGES))), axis=1)[:, ::-1].astype(np.float32)
    survival[:2] = 1.0  # Nothing ever fails, and spans count alike.
    shares = rng.dirichlet(np.ones(3), (200, len(EDGES))).astype(np.float32)
    head = replace(HEAD, modes=("seal", "bearing", "other"))

    scores = scores_of(survival, head, NONE, shares)

    assert scores.mode_shares.shape == (200, len(HEAD.horizons_hours), 3)
    assert scores.mode_shares.sum(axis=2) == pytest.approx(np.ones((200, 2)), abs=1e-9)
    for row in range(2, 200):
        for at, horizon in enumerate(HEAD.horizons_hours):
            spans = [edge for edge in EDGES if edge <= horizon]
            fails = -np.diff([1.0, *survival[row, : len(spans)].astype(float)])
            each = sum(fails[:, None] * shares[row, : len(spans)])
            assert scores.mode_shares[row, at] == pytest.approx(each / each.sum(), abs=1e-5)
    plain = scores_of(survival, HEAD, NONE)
    np.testing.assert_array_equal(plain.risk, scores.risk)
    assert plain.mode_shares.size == 0
