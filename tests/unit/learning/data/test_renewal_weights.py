"""Weights of rows where renewals end lives: what is known stands for what renewals hid."""

import numpy as np
import pytest

from pm_app.learning.data.renewal_weights import MOST_WEIGHT, with_renewal_weights
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.times import HOUR_NS

HORIZON = 8.0
LIVES = 600


def lead(wear, fails, renewed, longest=60):
    """Rows of lives, one after another: (life, hour, wear, hours left, failed, renewed).

    fails, renewed: hours after which a life of this wear would fail, and would be renewed.
    """
    rng = np.random.default_rng(5)
    rows = []
    for life in range(LIVES):
        own = wear(rng)
        ends = fails(rng, own), renewed(rng, own), longest
        failed, new = (min(ends) == end for end in ends[:2])
        rows += [
            (life, age, own, min(ends) - age, failed, new) for age in range(int(np.ceil(min(ends))))
        ]
    return np.array(rows, dtype=float).T


def never(rng, wear):
    return np.inf


def evenly(rng, wear):
    return rng.exponential(50.0)


def frame_and_labels(life, hour, wear, left, failed, renewed):
    seen, count = np.stack([wear, hour], axis=1), len(life)
    frame = Frame(
        assets=("a",),
        asset=np.zeros(count, dtype=np.int32),
        cutoff=((life * 1000 + hour) * HOUR_NS).astype(np.int64),
        features=("wear.last", "age"),
        sensor_of=("wear", "age"),
        values=seen.astype(np.float32),
    )
    labels = Labels(
        left,
        failed > 0,
        np.full(count, np.nan),
        np.ones(count, dtype=np.bool_),
        life.astype(np.int32),
        renewed=renewed > 0,
    )
    return frame, labels


def share_failing(labels, weights):
    truth = labels.fails_within(HORIZON)
    known = np.isfinite(truth)
    return float(np.average(truth[known], weights=weights[known]))


def test_what_is_known_stands_for_what_was_renewed_because_it_was_worn():
    def when(worn, sound):
        return lambda rng, wear: rng.exponential(1.0 / (worn if wear else sound))

    rows = lead(lambda rng: float(rng.random() < 0.7), when(0.05, 0.002), when(0.1, 0.001))
    frame, labels = frame_and_labels(*rows)
    worn = rows[2] > 0
    true = 1.0 - np.exp(-HORIZON * 0.05)
    weighed = with_renewal_weights(frame, labels, (HORIZON,))
    weights = weighed.weights_within(HORIZON)

    assert share_failing(labels, worn.astype(float)) > true + 0.1
    assert share_failing(weighed, weights * worn) == pytest.approx(true, abs=0.03)
    assert weights.min() >= 1.0
    assert weights.max() <= MOST_WEIGHT


def test_ages_at_which_all_are_renewed_before_the_horizon_ends_are_left_out():
    rows = lead(lambda rng: 0.0, evenly, lambda rng, wear: 20.0)
    frame, labels = frame_and_labels(*rows)
    weighed = with_renewal_weights(frame, labels, (HORIZON, 1.0))
    truth, age = weighed.fails_within(HORIZON), rows[1]

    assert np.isnan(truth[age > 12]).all()
    assert np.isfinite(truth[age < 10]).all()
    assert share_failing(weighed, weighed.weights_within(HORIZON)) == pytest.approx(
        1.0 - np.exp(-HORIZON / 50.0), abs=0.02
    )
    assert np.isfinite(weighed.fails_within(1.0)[age < 19]).all()


def test_where_nothing_was_renewed_labels_stay_as_they_are():
    rows = lead(lambda rng: 0.0, evenly, never)
    frame, labels = frame_and_labels(*rows)

    assert with_renewal_weights(frame, labels, (HORIZON,)) is labels
    assert labels.weights_within(HORIZON) is None


def test_of_few_renewals_each_is_as_likely_everywhere():
    life, hour, wear, left, failed, renewed = lead(lambda rng: 0.0, evenly, never)
    first = life < 5
    frame, labels = frame_and_labels(life, hour, wear, left, failed * ~first, renewed + first)
    weights = with_renewal_weights(frame, labels, (HORIZON,)).weights_within(HORIZON)
    one = 1.0 / (1.0 - 5 / len(life))

    lasting = left > HORIZON
    assert weights[lasting] == pytest.approx(np.full(lasting.sum(), one**HORIZON), rel=1e-6)
