from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.learning.evaluation.calibration import (
    calibrate,
    calibration_error,
    newest_shift,
    platt,
)
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.scores import calibrated_risk, life_interval, logit, sigmoid

CLASS = Head("classification", (), (0.0,))


def make_labels(value):
    nothing = np.full(len(value), np.nan)
    return Labels(
        nothing,
        np.zeros(len(value), bool),
        np.asarray(value, float),
        np.ones(len(value), bool),
        np.zeros(len(value), np.int32),
    )


def make_risks(rows=4000, slope=1.0, seed=0):
    """True risks and what came of them, and a model whose log-odds are `slope` too steep."""
    rng = np.random.default_rng(seed)
    score = rng.normal(-1.0, 1.5, rows)
    truth = (rng.random(rows) < sigmoid(score)).astype(float)
    return sigmoid(score * slope), truth


def test_overconfident_risks_are_drawn_together():
    risk, truth = make_risks(slope=3.0)
    group = np.arange(len(risk)) % 40
    found = calibrate(risk[:, None], make_labels(truth), np.arange(len(risk)), CLASS, group=group)

    assert found.slope[0] == pytest.approx(1 / 3, rel=0.15)
    before = np.mean((risk - truth) ** 2)
    after = np.mean((calibrated_risk(risk[:, None], found)[:, 0] - truth) ** 2)
    assert after < before


def failures_of_few_lives(seed, lives=4):
    """Calibrated risks of machines that fail or not as a whole: 30 rows of each say the same."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(40), 30)
    score = np.repeat(rng.normal(-2.0, 1.5, 40), 30)
    order = np.argsort(score[::30] + rng.logistic(0, 1, 40))[::-1]
    truth = np.isin(group, order[:lives]).astype(float)
    return score, truth, group


def test_few_failures_hardly_move_what_is_calibrated():
    """Control: by maximum likelihood alone they do, for 30 rows of a failure are taken for 30."""
    moved, moved_plain = [], []
    for seed in range(20):
        score, truth, group = failures_of_few_lives(seed)
        failing = len(np.unique(group[truth > 0]))
        moved.append(np.abs(np.log(platt(score, truth, groups=failing)[0])))
        moved_plain.append(np.abs(np.log(platt(score, truth)[0])))

    assert np.mean(moved) < 0.5 * np.mean(moved_plain)


def test_a_correction_that_raises_the_calibration_error_is_left_out():
    """A few rows far off ask for less steep odds, at the cost of all that were right."""
    risk, truth = make_risks()
    risk[:20], truth[:20] = sigmoid(np.float64(12.0)), 0.0
    risk[20:40], truth[20:40] = sigmoid(np.float64(-12.0)), 1.0
    rows, group = np.arange(len(risk)), np.arange(len(risk)) % 40
    slope, intercept = platt(logit(risk), truth)
    flat = sigmoid(slope * logit(risk) + intercept)

    found = calibrate(risk[:, None], make_labels(truth), rows, CLASS, group=group)

    assert np.mean(-np.log(np.where(truth > 0, flat, 1 - flat))) < np.mean(
        -np.log(np.where(truth > 0, risk, 1 - risk))
    )
    assert calibration_error(flat, truth) > calibration_error(risk, truth)
    assert (found.slope, found.intercept) == ((1.0,), (0.0,))


def test_no_risk_passes_what_the_rows_can_support():
    """Control: a record of before, without bounds, says what the model says."""
    risk, truth = make_risks(rows=60)
    found = calibrate(risk[:, None], make_labels(truth), np.arange(60), CLASS, group=np.arange(60))
    failing = int(truth.sum())
    asked = sigmoid(np.linspace(-13, 13, 200))[:, None]
    shown, before = (
        calibrated_risk(asked, each)[:, 0] for each in (found, replace(found, least=(), most=()))
    )

    assert before[0] < 1e-5 and before[-1] > 1 - 1e-5
    assert shown[0] == pytest.approx(1 / (60 - failing + 2), rel=0.01)
    assert 1 - shown[-1] == pytest.approx(1 / (failing + 2), rel=0.01)
    assert (np.diff(shown) > 0).all()
    assert shown[100] == pytest.approx(before[100], abs=0.06)


def test_too_few_failures_change_nothing():
    risk, truth = make_risks(rows=60, slope=3.0)
    truth[np.flatnonzero(truth)[5:]] = 0.0
    found = calibrate(risk[:, None], make_labels(truth), np.arange(60), CLASS, group=np.arange(60))

    assert (found.slope, found.intercept) == ((1.0,), (0.0,))


def test_four_failures_change_nothing_however_many_rows_they_have():
    """A model that missed half of four failures was corrected by that before."""
    score, truth, group = failures_of_few_lives(seed=1)
    risk = sigmoid(np.where(group % 2 == 0, 3.0 * score, score - 2.0))
    rows = np.arange(len(risk))
    found = calibrate(risk[:, None], make_labels(truth), rows, CLASS, group=group)

    assert len(np.unique(group[truth > 0])) == 4
    assert (found.slope, found.intercept) == ((1.0,), (0.0,))


def make_shift(after, seed=0):
    """Calibrated log-odds of 100 machines, but for later blocks of five, off by `after`."""
    rng = np.random.default_rng(seed)
    score, block = rng.normal(-1.5, 1.0, 5000), np.repeat(np.arange(5, dtype=np.int32), 1000)
    truth = (rng.random(5000) < sigmoid(score + np.array(after)[block])).astype(float)
    return score, truth, rng.integers(0, 100, 5000).astype(np.int32), block


def test_a_base_rate_that_went_up_is_followed():
    shift = newest_shift(*make_shift((0.0, 0.0, 1.0, 1.0, 1.0)))

    assert shift == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("after", [(0.0,) * 5, (0.0, 1.0, -1.0, 1.0, -1.0)])
def test_a_base_rate_that_stays_or_swings_is_not_followed(after):
    assert newest_shift(*make_shift(after)) == 0.0


def test_a_shift_of_time_is_part_of_the_calibration():
    score, truth, group, block = make_shift((-0.5, 0.0, 0.5, 1.0, 1.5))
    risk, rows = sigmoid(score)[:, None], np.arange(len(score))
    labels = make_labels(truth)
    followed, blind = (
        calibrate(risk, labels, rows, CLASS, group=group, block=each) for each in (block, None)
    )
    newest = block == 4
    stated, usual = (calibrated_risk(risk[newest], each)[:, 0] for each in (followed, blind))

    assert np.mean((stated - truth[newest]) ** 2) < np.mean((usual - truth[newest]) ** 2)
    assert stated.mean() == pytest.approx(truth[newest].mean(), abs=0.05)


def test_bounds_count_what_comes_to_pass_once():
    """Rows of one life repeat each other; a fleet of many lives may say nearly nothing or all."""
    bounds = []
    for lives in (4, 400):
        life = np.repeat(np.arange(lives, dtype=np.int32), 96)
        left = np.tile(np.arange(96, 0, -1), lives).astype(float)
        every, nothing = np.ones(len(left), bool), np.full(len(left), np.nan)
        labels = Labels(left, every, nothing, every, life)
        head = Head("hazard", (24.0, 48.0), (24.0, 48.0))
        risk = np.where(left <= 24, 0.9, 0.1)
        output = np.column_stack([1 - risk, 1 - np.maximum(risk, 0.5)])
        found = calibrate(output, labels, np.arange(len(left)), head, group=life)
        bounds.append((found.least, found.most))

    assert bounds[0] == (((1 / 14, 1 / 6)), (1 - 1 / 6, 1 - 1 / 6))
    assert bounds[1][0][0] == pytest.approx(1 / 1202)
    assert bounds[1][1][0] == pytest.approx(1 - 1 / 402)


def test_failures_of_too_few_assets_change_nothing():
    risk, truth = make_risks(slope=3.0)
    group = np.where(truth > 0, 0, np.arange(len(risk)) % 40)
    found = calibrate(risk[:, None], make_labels(truth), np.arange(len(risk)), CLASS, group=group)

    assert (found.slope, found.intercept) == ((1.0,), (0.0,))


@given(seed=st.integers(0, 1000), rows=st.integers(5, 200))
@settings(deadline=None, max_examples=30)
def test_a_slope_is_never_negative(seed, rows):
    rng = np.random.default_rng(seed)
    slope, intercept = platt(rng.normal(size=rows), rng.integers(0, 2, rows).astype(float))

    assert slope > 0
    assert np.isfinite(intercept)


def test_separable_data_give_a_finite_slope():
    score = np.array([-2.0, -1.0, 1.0, 2.0] * 10)
    slope, _ = platt(score, (score > 0).astype(float))

    assert 0 < slope < 100
    assert logit(np.array([0.5]))[0] == 0.0


def test_intervals_hold_nine_in_ten_on_rows_never_seen():
    rng = np.random.default_rng(1)
    edges = (25.0, 50.0, 75.0, 100.0)
    head = Head("hazard", edges, (25.0,))
    life = rng.uniform(0, 100, 6000)
    # A model that knows the life to about ±20 and claims to know it to ±5.
    centre = life + rng.normal(0, 20, 6000)
    output = sigmoid((centre[:, None] - np.array(edges)) / 5.0)
    labels = Labels(
        life,
        np.ones(6000, bool),
        np.full(6000, np.nan),
        np.ones(6000, bool),
        np.zeros(6000, np.int32),
    )
    fitted, judged = np.arange(3000), np.arange(3000, 6000)
    found = calibrate(output[fitted], labels, fitted, head, group=fitted.astype(np.int32) % 50)
    low, high = life_interval(output[judged], edges, found)

    assert np.mean((low <= life[judged]) & (life[judged] <= high)) == pytest.approx(0.9, abs=0.02)


def test_intervals_hold_also_among_lives_that_end_below_the_cap():
    rng = np.random.default_rng(4)
    edges = (25.0, 50.0, 75.0, 100.0)
    head = Head("hazard", edges, (25.0,))
    # Two in three machines run past the cap, and the model knows which.
    life = np.where(np.arange(6000) % 3 == 0, rng.uniform(0, 90, 6000), 500.0)
    centre = np.where(life < 100, life + rng.normal(0, 10, 6000), 900.0)
    output = sigmoid((centre[:, None] - np.array(edges)) / 5.0)
    every = np.ones(6000, bool)
    labels = Labels(life, every, np.full(6000, np.nan), every, np.zeros(6000, np.int32))
    rows = np.arange(3000)
    found = calibrate(output[rows], labels, rows, head, group=rows.astype(np.int32) % 50)
    _, high = life_interval(output[3000:], edges, found)
    below = life[3000:] < 100

    assert np.mean(life[3000:][below] <= high[below]) == pytest.approx(0.95, abs=0.03)
    assert (high[~below] == 100.0).all()


def test_a_regressed_value_gets_margins_that_hold():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=4000)
    said = truth + rng.normal(0.5, 1.0, 4000)
    head = Head("regression", (), (0.0,))
    rows = np.arange(2000)
    found = calibrate(said[:2000, None], make_labels(truth), rows, head, group=rows)
    rest, told = truth[2000:], said[2000:]
    inside = (told - found.rul_margin_low <= rest) & (rest <= told + found.rul_margin_high)

    assert inside.mean() == pytest.approx(0.9, abs=0.03)


def test_a_row_of_weight_three_is_as_three_rows():
    risk, truth = make_risks(rows=600, slope=0.6)
    times = np.random.default_rng(4).integers(1, 4, len(risk))
    many = np.repeat(logit(risk), times), np.repeat(truth, times)

    assert platt(logit(risk), truth, weights=times.astype(float)) == pytest.approx(
        platt(*many), abs=0.02
    )


def test_risks_follow_rows_that_stand_for_those_renewed():
    rng = np.random.default_rng(5)
    risk = rng.random(4000)
    truth = (rng.random(4000) < risk).astype(float)
    # Of survivors two in three were renewed, so that more failed of those that are known.
    kept = (truth > 0) | (rng.random(4000) < 1 / 3)
    risk, truth = risk[kept], truth[kept]
    labels = Labels(
        np.where(truth > 0, 1.0, 9.0),
        truth > 0,
        np.full(len(truth), np.nan),
        np.ones(len(truth), dtype=bool),
        np.arange(len(truth), dtype=np.int32),
    )
    head, rows = Head("hazard", (8.0,), (8.0,)), np.arange(len(truth))
    weights = np.where(truth > 0, 1.0, 3.0)[:, None]
    weighed = replace(labels, weights=weights, weighed_hours=np.array([8.0]))
    raw, found = (
        calibrate((1.0 - risk)[:, None], each, rows, head, group=labels.life)
        for each in (labels, weighed)
    )

    assert found.intercept[0] == pytest.approx(0.0, abs=0.15)
    assert raw.intercept[0] > 0.8
