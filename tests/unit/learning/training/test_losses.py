"""Losses against slow sums, row by row."""

from dataclasses import replace

import numpy as np
import pytest

from pm_app.learning.data.targets import encode_targets
from pm_app.learning.training.fit import Trained
from pm_app.learning.training.losses import (
    corrected_losses,
    horizon_losses,
    life_losses,
    row_losses,
    score_of,
    span_losses,
)
from pm_app.records.labels import Labels
from pm_app.records.learning import Head

HEAD = Head("hazard", (24.0, 72.0, 168.0), (24.0, 72.0))
# Fails within a day, within three, after a week; seen healthy for two days, then no more.
LABELS = Labels(
    duration_hours=np.array([10.0, 60.0, 500.0, 48.0]),
    failed=np.array([True, True, True, False]),
    usable=np.ones(4, dtype=bool),
    value=np.full(4, np.nan),
    life=np.arange(4, dtype=np.int32),
)
ROWS = np.arange(4)
SURVIVAL = np.array(
    [[0.4, 0.3, 0.2], [0.9, 0.5, 0.3], [0.99, 0.9, 0.8], [0.8, 0.7, 0.6]], dtype=np.float32
)


def test_a_risk_costs_what_its_truth_was_unlikely():
    lost = horizon_losses(SURVIVAL, LABELS, ROWS, HEAD)

    assert lost == pytest.approx(
        [
            -np.log(0.6) - np.log(0.7),
            -np.log(0.9) - np.log(0.5),
            -np.log(0.99) - np.log(0.9),
            -np.log(0.8),
        ],
        rel=1e-5,
    )


def test_a_risk_costs_as_often_as_its_row_stands_for_others():
    weights = np.array([[1.0, 2.0], [1.0, 3.0], [2.0, 1.0], [5.0, 1.0]])
    weighed = replace(LABELS, weights=weights, weighed_hours=np.array([24.0, 72.0]))

    assert horizon_losses(SURVIVAL, weighed, ROWS, HEAD) == pytest.approx(
        [
            -np.log(0.6) - 2 * np.log(0.7),
            -np.log(0.9) - 3 * np.log(0.5),
            -2 * np.log(0.99) - np.log(0.9),
            -5 * np.log(0.8),
        ],
        rel=1e-5,
    )


def test_a_risk_of_one_that_did_not_happen_costs_much_but_not_infinitely_much():
    surest = np.zeros((4, 3), dtype=np.float32)

    assert np.isfinite(horizon_losses(surest, LABELS, ROWS, HEAD)).all()
    assert horizon_losses(surest, LABELS, ROWS, HEAD)[2] > 10.0


def test_a_life_left_costs_its_distance_at_every_age_seen_to_the_cap():
    """Against a sum over ages, an hour's hundredth each."""
    lost = life_losses(SURVIVAL, LABELS, ROWS, HEAD)

    ages = np.arange(0.005, 168.0, 0.01)
    for row, curve in enumerate(SURVIVAL):
        survival = np.interp(ages, (0.0, *HEAD.edges_hours), (1.0, *curve))
        alive = ages < LABELS.duration_hours[row]
        seen = alive | LABELS.failed[row]
        assert lost[row] == pytest.approx(np.where(seen, (survival - alive) ** 2, 0.0).mean(), 1e-3)


def test_a_life_is_judged_by_its_risk_and_by_what_is_left_and_a_class_or_a_value_by_itself():
    both = row_losses(SURVIVAL, LABELS, ROWS, HEAD)

    assert both[:, 0] == pytest.approx(horizon_losses(SURVIVAL, LABELS, ROWS, HEAD))
    assert both[:, 1] == pytest.approx(life_losses(SURVIVAL, LABELS, ROWS, HEAD))


def test_training_stops_where_risk_and_life_are_best_though_all_spans_are_not():
    """Lives of 80 to 160 h: sharp curves that miss the span by one cost many nats of spans, and
    yet know that nothing fails within a day, and what is left to a few hours."""
    head = Head("hazard", tuple(np.arange(24.0, 193.0, 8.0)), (24.0,))
    left = np.arange(80.0, 160.0, 8.0)
    labels = Labels(
        left, np.ones(10, bool), np.full(10, np.nan), np.ones(10, bool), np.arange(10, dtype="i4")
    )
    edges, rows = np.array(head.edges_hours), np.arange(10)
    sharp = np.where(edges <= left[:, None] + 8.0, 1.0 - 1e-4, 1e-4).astype(np.float32)
    vague = np.broadcast_to(np.exp(-edges / 120.0).astype(np.float32), sharp.shape)
    spans, scores = [], []
    for curves in (sharp, vague):
        spans.append(span_losses(curves, encode_targets(labels, rows, head), head).mean())
        losses = row_losses(curves, labels, rows, head)
        scores.append(Trained(None, 1, None, losses, None).score)

    assert spans[0] > spans[1]
    assert scores[0] > scores[1]


def test_a_tenth_less_of_either_loss_is_worth_the_same():
    first, second, third = (
        score_of(np.tile(means, (3, 1))) for means in ((0.9, 0.05), (1.0, 0.045), (1.0, 0.05))
    )

    assert first == pytest.approx(second)
    assert first > third


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("classification", [-np.log(0.2), -np.log(0.8)]), ("regression", [0.64, 0.04])],
)
def test_a_column_is_judged_by_its_own_value(kind, expected):
    labels = Labels(
        duration_hours=np.full(2, np.nan),
        failed=np.zeros(2, dtype=bool),
        usable=np.ones(2, dtype=bool),
        value=np.array([1.0, 0.0]),
        life=np.arange(2, dtype=np.int32),
    )
    said = np.array([[0.2], [0.2]], dtype=np.float32)

    lost = row_losses(said, labels, np.arange(2), Head(kind, (), (0.0,)))

    assert lost[:, 0] == pytest.approx(expected, rel=1e-5)


def test_a_model_that_ranks_well_and_is_too_sure_loses_nothing_once_corrected():
    """Control: uncorrected it would lose twice as much."""
    rng = np.random.default_rng(0)
    score = rng.normal(0, 2, 4000)
    fails = (rng.random(4000) < 1 / (1 + np.exp(-score))).astype(float)
    rows, group = np.arange(4000), np.arange(4000, dtype=np.int32)
    labels = Labels(np.full(4000, np.nan), np.zeros(4000, bool), fails, np.ones(4000, bool), group)
    head = Head("classification", (), (0.0,))
    honest, sure = (
        (1 / (1 + np.exp(-times * score + shift))).astype(np.float32)[:, None]
        for times, shift in ((1, 0), (5, 3))
    )

    plain, raw = (row_losses(each, labels, rows, head).mean() for each in (honest, sure))
    corrected = corrected_losses(sure, labels, rows, head, group=group).mean()

    assert raw > 2 * plain
    assert corrected == pytest.approx(plain, rel=0.01)


def test_what_is_left_of_a_life_and_a_value_are_not_corrected():
    group = np.arange(4, dtype=np.int32)
    values = replace(LABELS, value=np.array([1.0, 2.0, 3.0, 4.0]))
    regressed = Head("regression", (), (0.0,))
    output = np.zeros((4, 1), dtype=np.float32)

    lives = corrected_losses(SURVIVAL, LABELS, ROWS, HEAD, group=group)
    squares = corrected_losses(output, values, ROWS, regressed, group=group)

    assert np.array_equal(lives[:, 1], life_losses(SURVIVAL, LABELS, ROWS, HEAD))
    assert squares[:, 0] == pytest.approx([1.0, 4.0, 9.0, 16.0])
