"""Losses against slow sums, row by row."""

import numpy as np
import pytest

from pm_app.learning.data.targets import encode_targets
from pm_app.learning.training.losses import horizon_losses, row_losses, span_losses
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


def test_a_risk_of_one_that_did_not_happen_costs_much_but_not_infinitely_much():
    surest = np.zeros((4, 3), dtype=np.float32)

    assert np.isfinite(horizon_losses(surest, LABELS, ROWS, HEAD)).all()
    assert horizon_losses(surest, LABELS, ROWS, HEAD)[2] > 10.0


def test_a_life_has_both_losses_and_a_class_or_a_value_one():
    both = row_losses(SURVIVAL, LABELS, ROWS, HEAD)
    spans = span_losses(SURVIVAL, encode_targets(LABELS, ROWS, HEAD), HEAD)

    assert both[:, 0] == pytest.approx(spans)
    assert both[:, 1] == pytest.approx(horizon_losses(SURVIVAL, LABELS, ROWS, HEAD))


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
