from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.errors import NotEnoughData
from pm_app.learning.data.targets import (
    choose_head,
    encode_lives,
    encode_targets,
    known_lives,
    survivors_are_known,
)
from pm_app.records.labels import Labels
from pm_app.records.learning import Head

EDGES = (10.0, 20.0, 40.0)


def make_labels(duration, failed=None, value=None):
    duration = np.array(duration, dtype=float)
    failed = np.ones(len(duration), bool) if failed is None else np.array(failed)
    value = np.full(len(duration), np.nan) if value is None else np.array(value, dtype=float)
    life = np.arange(len(duration), dtype=np.int32)
    return Labels(duration, failed, value, np.ones(len(duration), bool), life)


@given(duration=st.floats(0.0, 100.0), failed=st.booleans())
def test_spans_of_a_life_equal_a_walk_along_the_edges(duration, failed):
    targets = encode_lives(np.array([duration]), np.array([failed]), EDGES)

    lower, happened, survived = 0.0, [], []
    for upper in EDGES:
        here = lower < duration <= upper or (lower == 0.0 and duration == 0.0)
        happened.append(float(failed and here))
        seen = min(max((duration - lower) / (upper - lower), 0.0), 1.0)
        survived.append(float(duration > upper) if failed else seen)
        lower = upper
    assert targets.happened[0] == pytest.approx(happened)
    assert targets.survived[0] == pytest.approx(survived)


def test_a_censored_row_never_says_that_a_failure_happened():
    targets = encode_lives(np.array([5.0, 15.0, 60.0]), np.zeros(3, bool), EDGES)

    assert targets.happened.sum() == 0
    assert targets.survived.tolist() == [[0.5, 0, 0], [1, 0.5, 0], [1, 1, 1]]


@given(
    lives=st.lists(st.floats(0.5, 300.0), min_size=3, max_size=60),
    horizons=st.sets(st.sampled_from([12.0, 24.0, 72.0]), min_size=1),
)
def test_edges_hold_every_horizon_and_end_at_the_cap(lives, horizons):
    labels = make_labels([*lives, 50.0])
    rows = np.arange(len(lives) + 1)
    head = choose_head(labels, rows, task="life", horizons_hours=tuple(horizons), cap_hours=125.0)

    assert set(horizons) <= set(head.edges_hours)
    assert head.edges_hours[-1] == 125.0
    assert list(head.edges_hours) == sorted(set(head.edges_hours))
    assert min(head.edges_hours) > 0
    assert head.horizons_hours == tuple(sorted(horizons))


def test_without_a_failure_before_the_cap_there_is_nothing_to_learn():
    labels = make_labels([10.0, 200.0], failed=[False, True])

    with pytest.raises(NotEnoughData, match="fails within 100 h"):
        choose_head(labels, np.arange(2), task="life", horizons_hours=(24.0,), cap_hours=100.0)


def test_a_class_is_its_own_answer():
    labels = make_labels([np.nan] * 3, value=[0, 1, 1])
    targets = encode_targets(labels, np.array([0, 2]), Head("classification", (), (0.0,)))

    assert targets.happened.tolist() == [[0.0], [1.0]]
    assert targets.survived.tolist() == [[1.0], [0.0]]


def test_a_value_is_learned_around_its_median_in_units_of_its_spread():
    labels = make_labels([np.nan] * 4, value=[100, 102, 104, 110])
    targets = encode_targets(labels, np.arange(4), Head("regression", (), (0.0,)))

    back = targets.happened[:, 0] * targets.unit + targets.zero
    assert back == pytest.approx([100, 102, 104, 110])
    assert targets.zero == 103.0


def test_a_life_is_known_when_it_failed_or_outlived_the_cap():
    labels = make_labels([5.0, 5.0, 50.0, 50.0], failed=[True, False, False, True])
    lives, known = known_lives(labels, np.arange(4), 40.0)

    assert known.tolist() == [0, 2, 3]
    assert lives.tolist() == [5.0, 40.0, 40.0]


def test_near_the_end_of_a_record_lives_are_known_of_all_rows_or_of_none():
    """Lives of 30 h on average, of which those that end first are seen to end."""
    rng = np.random.default_rng(0)
    life, followed = rng.exponential(30.0, 4_000), rng.uniform(0, 200, 4_000)
    labels = replace(
        make_labels(np.minimum(life, followed), failed=life <= followed), followed_hours=followed
    )
    rows = np.arange(4_000)
    assert survivors_are_known(labels, rows, 60.0)
    lives, known = known_lives(labels, rows, 60.0)
    seen = np.minimum(life, 60.0)[labels.failed | (followed >= 60.0)]
    truth = np.minimum(life, 60.0).mean()

    assert lives.mean() == pytest.approx(truth, rel=0.03)
    assert seen.mean() < 0.93 * truth
    assert len(known) > 0.65 * len(rows)


def test_where_every_failure_is_near_the_end_of_the_record_they_are_lives_all_the_same():
    labels = replace(
        make_labels([5.0, 8.0, 50.0], failed=[True, False, False]),
        followed_hours=np.array([8.0, 8.0, 50.0]),
    )

    assert known_lives(labels, np.arange(3), 40.0)[1].tolist() == [0, 2]
    assert not survivors_are_known(labels, np.arange(3), 40.0)


def test_an_asset_that_stops_long_before_the_record_ends_leaves_nothing_else_out():
    labels = replace(
        make_labels([5.0, 8.0, 30.0], failed=[True, False, True]),
        followed_hours=np.array([90.0, 100.0, 110.0]),
    )

    assert survivors_are_known(labels, np.arange(3), 40.0)
    assert known_lives(labels, np.arange(3), 40.0)[1].tolist() == [0, 2]
