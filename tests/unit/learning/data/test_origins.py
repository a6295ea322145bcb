"""Earlier origins: what is held out once, learned before, and left to learn from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.learning.data.labels import failure_times
from pm_app.learning.data.origins import MOST_ORIGINS, earlier_origins, known_until
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.times import HOUR_NS

HORIZON = 5
NOTHING = np.zeros(0, dtype=np.intp)


def make_lives(lengths: list[int], *, assets: int, by_asset: bool) -> tuple[Frame, Labels, Split]:
    """Lives of so many hours, each to its failure, dealt in turn to assets; or an asset each.

    The test holds what comes after three quarters of the time, or the last quarter of assets.
    """
    asset, cutoff, left, life, clock = [], [], [], [], [0] * assets
    for number, hours in enumerate(lengths):
        owner = number if by_asset else number % assets
        begun = 10 * number if by_asset else clock[owner]
        asset += [owner] * hours
        cutoff += list(range(begun, begun + hours))
        left += list(range(hours, 0, -1))
        life += [number] * hours
        if not by_asset:
            clock[owner] += hours
    order = np.lexsort([cutoff, asset])
    asset, cutoff, left, life = (np.array(each)[order] for each in (asset, cutoff, left, life))
    every = np.ones(len(asset), dtype=bool)
    labels = Labels(left.astype(float), every, left * np.nan, every, life.astype(np.int32))
    names = tuple(f"a{number:03d}" for number in range(asset.max() + 1))
    values = np.zeros((len(asset), 1), dtype=np.float32)
    frame = Frame(names, asset.astype(np.int32), cutoff * HOUR_NS, ("f",), ("s",), values)
    if by_asset:
        test = asset >= 0.75 * len(names)
        learned = ~test
    else:
        border = 0.75 * cutoff.max()
        test, learned = cutoff >= border, cutoff + HORIZON < border
    parts = (np.flatnonzero(learned), NOTHING, NOTHING, np.flatnonzero(test))
    return frame, labels, Split(*parts, life.astype(np.int32), "here", by_asset=by_asset)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 30), min_size=8, max_size=40),
    assets=st.integers(1, 5),
    by_asset=st.booleans(),
    failures=st.integers(-2, 12),
)
def test_whatever_is_held_out_is_neither_learned_nor_tested_and_each_failure_once(
    lengths, assets, by_asset, failures
):
    frame, labels, split = make_lives(lengths, assets=assets, by_asset=by_asset)
    positive = labels.fails_within(HORIZON) == 1.0

    origins = list(earlier_origins(frame, labels, split, horizon_hours=HORIZON, failures=failures))

    assert len(origins) <= MOST_ORIGINS
    seen = set(labels.life[split.test][positive[split.test]].tolist())
    rows = set(split.test.tolist())
    for origin in origins:
        held_out = origin.held_out
        assert rows.isdisjoint(held_out.tolist()) and not np.isin(held_out, origin.learned).any()
        assert np.isin(origin.learned, split.learned).all()
        lives = set(labels.life[held_out][positive[held_out]].tolist())
        if by_asset:
            assert not np.isin(frame.asset[held_out], frame.asset[origin.learned]).any()
        else:
            assert seen.isdisjoint(lives)
            assert frame.cutoff[origin.learned].max(initial=0) < frame.cutoff[held_out].min()
        seen |= lives
        rows |= set(held_out.tolist())


@pytest.mark.parametrize("by_asset", [False, True])
@pytest.mark.parametrize(("failures", "held_out"), [(0, 0), (2, 2), (3, 3), (7, 7), (99, 14)])
def test_origins_hold_out_as_many_failures_as_are_asked_for_and_leave_half(
    failures, held_out, by_asset
):
    frame, labels, split = make_lives([20] * 40, assets=1, by_asset=by_asset)
    positive = labels.fails_within(HORIZON) == 1.0

    origins = list(earlier_origins(frame, labels, split, horizon_hours=HORIZON, failures=failures))

    lives = [labels.life[each.held_out][positive[each.held_out]] for each in origins]
    assert len(np.unique(np.concatenate([NOTHING, *lives]))) == held_out + (
        by_asset and failures == 99
    )
    learned = [len(np.unique(labels.life[each.learned])) for each in origins]
    assert all(count >= 14 for count in learned)
    assert learned == sorted(learned, reverse=True)


def test_a_row_knew_nothing_at_an_origin_of_what_came_after_it():
    frame, labels, split = make_lives([20] * 40, assets=1, by_asset=False)

    for origin in earlier_origins(frame, labels, split, horizon_hours=HORIZON, failures=9):
        known, rows = known_until(frame, labels, origin), origin.learned
        ends = frame.cutoff + known.duration_hours * HOUR_NS
        np.testing.assert_array_equal(
            known.fails_within(HORIZON)[rows], labels.fails_within(HORIZON)[rows]
        )
        assert ends[rows].max() <= origin.until
        assert failure_times(frame, known, rows[known.failed[rows]]).max() <= origin.until


def test_lives_that_ended_last_are_held_out_first_with_their_share_of_those_that_run():
    frame, labels, split = make_lives([20] * 40, assets=1, by_asset=True)
    runs = np.isin(frame.asset, np.arange(0, 30, 3))
    far = Labels(
        np.where(runs, labels.duration_hours + 99, labels.duration_hours),
        labels.failed & ~runs, labels.value, labels.usable, labels.life,
    )  # fmt: skip

    first, *_ = earlier_origins(frame, far, split, horizon_hours=HORIZON, failures=6)

    assert set(frame.asset[first.held_out]) == {29, 28, 27}
    assert first.until is None
