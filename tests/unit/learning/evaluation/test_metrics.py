from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.learning.evaluation.metrics import (
    average_precision,
    best_threshold,
    calibration_error,
    evaluate,
    f1_at,
    risk_bins,
    risk_figures,
)
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.scores import Scores

HEAD = Head("hazard", (10.0, 40.0), (10.0, 40.0))


def make_lives(duration, failed=None):
    count = len(duration)
    return Labels(
        np.array(duration, float),
        np.ones(count, bool) if failed is None else np.array(failed),
        np.full(count, np.nan),
        np.ones(count, bool),
        np.zeros(count, np.int32),
    )


def make_scores(rul, risk=None):
    rul = np.array(rul, float)
    risk = np.full((len(rul), 2), 0.5) if risk is None else np.array(risk, float)
    return Scores(risk, rul, rul - 5.0, rul + 5.0, np.full(len(rul), np.nan))


def test_life_errors_are_capped_and_the_last_row_of_an_asset_is_told_apart():
    labels = make_lives([100.0, 20.0, 30.0, 8.0])
    asset = np.array([0, 0, 1, 1], np.int32)
    metrics = evaluate(
        make_scores([40.0, 24.0, 30.0, 5.0]), labels, np.arange(4), HEAD, asset=asset
    )

    assert metrics["rul_rmse_hours"] == pytest.approx(np.sqrt((0 + 16 + 0 + 9) / 4))
    assert metrics["last_rul_mae_hours"] == pytest.approx((4 + 3) / 2)
    assert metrics["rul_coverage"] == 1.0


def test_lives_that_are_not_known_are_not_measured():
    labels = make_lives([20.0, 20.0], failed=[True, False])
    metrics = evaluate(
        make_scores([21.0, 99.0]),
        labels,
        np.arange(2),
        HEAD,
        asset=np.array([0, 1], np.int32),
    )

    assert metrics["rul_mae_hours"] == 1.0
    assert metrics["brier_40h"] == 0.25


def test_an_interval_is_not_judged_by_failures_alone():
    """Drives that are followed for ten hours of a cap of forty: only those that fail are known."""
    labels = make_lives([5.0, 10.0, 10.0], failed=[True, False, False])
    labels = replace(labels, followed_hours=np.full(3, 10.0))
    asset = np.arange(3, dtype=np.int32)
    metrics = evaluate(make_scores([35.0, 35.0, 35.0]), labels, np.arange(3), HEAD, asset=asset)

    assert metrics["rul_mae_hours"] == 30.0
    assert "rul_coverage" not in metrics


def test_a_perfect_ranking_has_average_precision_one():
    labels = make_lives([5.0, 50.0])
    risk = [[0.9, 0.9], [0.1, 0.1]]
    metrics = evaluate(
        make_scores([5.0, 40.0], risk),
        labels,
        np.arange(2),
        HEAD,
        asset=np.array([0, 1], np.int32),
    )

    assert metrics["average_precision_10h"] == 1.0
    assert metrics["brier_10h"] == pytest.approx(0.01)
    assert metrics["calibration_error_10h"] == pytest.approx(0.1)


def test_a_horizon_in_which_nothing_fails_has_no_average_precision():
    labels = make_lives([50.0, 60.0])
    metrics = evaluate(
        make_scores([40.0, 40.0]),
        labels,
        np.arange(2),
        HEAD,
        asset=np.array([0, 1], np.int32),
    )

    assert "average_precision_10h" not in metrics
    assert metrics["brier_10h"] == 0.25


@given(
    pairs=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=50).filter(
        lambda rows: any(true for _, true in rows)
    )
)
def test_no_threshold_calls_a_class_better_than_the_best(pairs):
    risk = np.array([said for said, _ in pairs])
    truth = np.array([float(true) for _, true in pairs])
    best = f1_at(risk, truth, best_threshold(risk, truth))

    assert best >= max(f1_at(risk, truth, cut) for cut in risk) - 1e-12


@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_equals_a_loop_over_bins(pairs):
    risk = np.array([said for said, _ in pairs])
    truth = np.array([float(true) for _, true in pairs])
    slow = 0.0
    for place in range(15):
        here = [i for i, said in enumerate(risk) if min(int(said * 15), 14) == place]
        if here:
            slow += abs(risk[here].mean() - truth[here].mean()) * len(here) / len(risk)

    assert calibration_error(risk, truth) == pytest.approx(slow, abs=1e-12)


@given(
    pairs=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0, np.nan])), min_size=1, max_size=60
    )
)
def test_tenths_of_the_risk_tell_what_came_of_them(pairs):
    risk, truth = (np.array(column) for column in zip(*pairs, strict=True))
    slow = []
    for place in range(10):
        here = [
            i for i, said in enumerate(risk) if min(int(said * 10), 9) == place and truth[i] >= 0
        ]
        if here:
            slow.append((len(here), risk[here].mean(), truth[here].mean()))

    found = [(each.count, each.said, each.came) for each in risk_bins(risk, truth)]
    assert np.array(found) == pytest.approx(np.array(slow))


def test_rows_of_unknown_truth_do_not_count():
    risk = np.array([0.9, 0.8, 0.1])

    assert average_precision(risk, np.array([1.0, np.nan, 0.0])) == 1.0


def test_a_constant_value_explains_no_variance():
    truth = np.array([1.0, 2.0, 3.0])
    labels = Labels(
        np.full(3, np.nan), np.zeros(3, bool), truth, np.ones(3, bool), np.zeros(3, np.int32)
    )
    value = np.full(3, 2.0)
    nothing = np.full(3, np.nan)
    scores = Scores(nothing[:, None], nothing, value - 1, value + 1, value)
    head = Head("regression", (), (0.0,))
    metrics = evaluate(scores, labels, np.arange(3), head, asset=np.zeros(3, np.int32))

    assert metrics["r2"] == pytest.approx(0.0)
    assert metrics["mae"] == pytest.approx(2 / 3)
    assert metrics["coverage"] == 1.0


def test_the_named_mode_is_judged_on_failures_that_were_seen_coming():
    labels = make_lives([5.0, 6.0, 7.0, 8.0, 9.0, 90.0])
    labels = replace(labels, mode=np.array([0, 0, 1, 1, -1, 0]))
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9], [0.5, 0.5]])
    risk = np.array([0.9, 0.8, 0.7, 0.1, 0.9, 0.9])
    scores = replace(
        make_scores([20.0] * 6, np.stack([risk, risk], axis=1)),
        mode_shares=np.stack([shares, shares], axis=1),
    )
    head, asset = replace(HEAD, modes=("seal", "bearing")), np.arange(6, dtype=np.int32)

    found = evaluate(scores, labels, np.arange(6), head, asset=asset, threshold=0.5)

    assert found["seen_coming_40h"] == pytest.approx(3 / 4)
    assert found["mode_accuracy_40h"] == pytest.approx(2 / 3)
    # Of seals one of two is named, and nothing else: 2/3; of bearings the one, and a seal: 2/3.
    assert found["mode_macro_f1_40h"] == pytest.approx(2 / 3)
    none = evaluate(scores, labels, np.arange(6), head, asset=asset, threshold=0.95)
    assert "mode_accuracy_40h" not in none
    assert "mode_accuracy_40h" not in evaluate(
        scores, labels, np.arange(6), HEAD, asset=asset, threshold=0.5
    )


def test_a_row_of_weight_two_is_as_two_rows():
    rng = np.random.default_rng(2)
    risk, truth = rng.random(40), (rng.random(40) < 0.4).astype(float)
    truth[3] = np.nan
    times = rng.integers(1, 4, 40)
    heavy, many = (
        (risk_figures(*rows[:2], rows[2]), risk_bins(*rows[:2], rows[2]))
        for rows in (
            (risk, truth, times.astype(float)),
            (np.repeat(risk, times), np.repeat(truth, times), None),
        )
    )

    assert heavy[0] == pytest.approx(many[0])
    for one, other in zip(heavy[1], many[1], strict=True):
        assert (one.said, one.came) == pytest.approx((other.said, other.came))
