import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.errors import NotEnoughData
from pm_app.learning.data.labels import column_labels, life_labels
from pm_app.learning.data.splits import (
    censor_at_parts,
    censor_at_test,
    newest_part,
    split_lives,
    split_rows,
)
from pm_app.learning.data.time_splits import PARTS
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.readings import sort_events
from pm_app.times import HOUR_NS


def make_frame(asset: list[int], hours: list[int]) -> Frame:
    names = tuple(f"m{number:03d}" for number in range(max(asset) + 1))
    return Frame(
        assets=names,
        asset=np.array(asset, dtype=np.int32),
        cutoff=np.array(hours, dtype=np.int64) * HOUR_NS,
        features=("load.mean",),
        sensor_of=("load",),
        values=np.zeros((len(asset), 1), dtype=np.float32),
    )


def label(frame: Frame, failures: list[tuple[int, int]], repaired: bool) -> Labels:
    """Labels where asset number fails at an hour and, if so, is repaired within it."""
    rows = [(frame.assets[asset], hour, "failure") for asset, hour in failures]
    if repaired:
        rows += [(name, hour, "maintenance") for name, hour, _ in rows]
    name, hour, kind = zip(*rows, strict=True)
    events = sort_events(
        np.array(name, dtype=object),
        np.array(hour, dtype=np.int64) * HOUR_NS,
        np.array(kind, dtype=object),
        np.array([""] * len(rows), dtype=object),
    )
    return life_labels(frame, events, known_until=None)


def make_fleet(lives: list[int], *, starts: list[int] | None = None) -> tuple[Frame, Labels]:
    """Assets that run that many hours, then fail and are gone."""
    starts = starts or [0] * len(lives)
    spans = zip(itertools.count(), starts, lives, strict=False)
    pairs = [(a, start + hour) for a, start, life in spans for hour in range(life)]
    frame = make_frame([a for a, _ in pairs], [hour for _, hour in pairs])
    ends = [(a, s + life) for a, s, life in zip(itertools.count(), starts, lives, strict=False)]
    return frame, label(frame, ends, repaired=False)


def make_plant(*, assets: int = 3, hours: int = 1000, every: int = 90) -> tuple[Frame, Labels]:
    """Assets that run on: each fails now and then and is repaired at once."""
    frame = make_frame(
        [a for a in range(assets) for _ in range(hours)], list(range(hours)) * assets
    )
    failures = [(a, hour) for a in range(assets) for hour in range(every + 7 * a, hours, every)]
    return frame, label(frame, failures, repaired=True)


def parts_of(split: Split) -> list[np.ndarray]:
    return [getattr(split, name) for name in PARTS]


@settings(max_examples=40, deadline=None)
@given(lives=st.lists(st.integers(12, 60), min_size=10, max_size=40), seed=st.integers(0, 9))
def test_a_fleet_is_split_by_asset_and_every_part_has_failures(lives, seed):
    frame, labels = make_fleet(lives)

    split = split_lives(frame, labels, horizon_hours=5, seed=seed)

    parts = parts_of(split)
    assert split.by_asset and split.how.startswith("by asset")
    assert sorted(np.concatenate(parts)) == list(range(len(frame.cutoff)))
    owners = [set(frame.asset[rows]) for rows in parts]
    assert sum(len(owner) for owner in owners) == len(lives)
    assert all(np.nansum(labels.fails_within(5)[rows]) > 0 for rows in parts)


def test_the_newest_to_end_are_the_test_where_assets_began_apart():
    frame, labels = make_fleet([30] * 20, starts=[50 * a for a in range(20)])

    split = split_lives(frame, labels, horizon_hours=5, seed=0)

    assert set(frame.asset[split.test]) == {17, 18, 19}


def test_the_test_is_not_the_longest_lives_where_all_began_together():
    frame, labels = make_fleet(list(range(20, 100)))

    split = split_lives(frame, labels, horizon_hours=5, seed=0)

    assert 40 < np.mean([20 + a for a in set(frame.asset[split.test])]) < 80


def test_the_same_seed_deals_the_same_and_another_differently():
    frame, labels = make_fleet(list(range(20, 60)))

    splits = [split_lives(frame, labels, horizon_hours=5, seed=seed) for seed in (1, 1, 2)]

    np.testing.assert_array_equal(splits[0].train, splits[1].train)
    assert set(splits[0].train) != set(splits[2].train)


@settings(max_examples=25, deadline=None)
@given(
    assets=st.integers(1, 4), every=st.integers(40, 100), horizon=st.sampled_from([2.0, 8.0, 12.5])
)
def test_repaired_assets_are_split_by_time_with_a_purge(assets, every, horizon):
    frame, labels = make_plant(assets=assets, every=every)

    split = split_lives(frame, labels, horizon_hours=horizon, seed=0)

    parts = parts_of(split)
    assert not split.by_asset and split.how.startswith("by time")
    for before, after in itertools.pairwise(parts):
        assert frame.cutoff[before].max() + horizon * HOUR_NS < frame.cutoff[after].min()
    assert all(np.nansum(labels.fails_within(horizon)[rows]) > 0 for rows in parts)


def test_censoring_at_parts_hides_later_failures_but_no_label_of_the_horizon():
    frame, labels = make_plant(every=90)
    split = split_lives(frame, labels, horizon_hours=10, seed=0)

    known = censor_at_parts(frame, labels, split)

    for rows, after in itertools.pairwise(parts_of(split)):
        told = frame.cutoff[rows] + known.duration_hours[rows] * HOUR_NS
        assert told.max() <= frame.cutoff[after].min()
        followed = frame.cutoff[rows] + known.followed_hours[rows] * HOUR_NS
        np.testing.assert_array_equal(followed, frame.cutoff[after].min())
        np.testing.assert_array_equal(known.fails_within(10)[rows], labels.fails_within(10)[rows])
    assert known.failed.sum() < labels.failed.sum()
    np.testing.assert_array_equal(
        known.duration_hours[split.test], labels.duration_hours[split.test]
    )


def test_a_fleet_split_by_asset_needs_no_censoring():
    frame, labels = make_fleet([30] * 20, starts=[5 * a for a in range(20)])
    split = split_lives(frame, labels, horizon_hours=5, seed=0)

    known = censor_at_parts(frame, labels, split)
    np.testing.assert_array_equal(known.duration_hours, labels.duration_hours)
    np.testing.assert_array_equal(known.failed, labels.failed)


def test_many_repaired_assets_share_the_past_and_the_newest_time_is_the_test():
    frame, labels = make_plant(assets=20, hours=400, every=60)

    split = split_lives(frame, labels, horizon_hours=10, seed=0)

    *past, test = parts_of(split)
    for rows in past:
        assert frame.cutoff[rows].max() + 10 * HOUR_NS < frame.cutoff[test].min()
        assert np.nansum(labels.fails_within(10)[rows]) > 0
    for one, other in itertools.combinations(past, 2):
        assert not set(frame.asset[one]) & set(frame.asset[other])
    # All three reach up to the test: none of them lags behind the plant.
    newest = [frame.cutoff[rows].max() for rows in past]
    assert max(newest) - min(newest) <= HOUR_NS
    known = censor_at_parts(frame, labels, split)
    for rows in past:
        told = frame.cutoff[rows] + known.duration_hours[rows] * HOUR_NS
        assert told.max() <= frame.cutoff[test].min()


def test_the_warning_before_a_failure_is_one_group():
    frame, labels = make_plant(assets=1, every=90)

    split = split_lives(frame, labels, horizon_hours=10, seed=0)

    warned = np.flatnonzero(labels.fails_within(10) == 1.0)
    assert len(np.unique(split.group[warned])) == len(np.unique(labels.life[warned]))


def test_too_few_failures_to_fill_the_parts_are_told_with_figures():
    frame, labels = make_plant(assets=1, hours=200, every=90)

    with pytest.raises(NotEnoughData, match=r"that fail within 10 h: \d+ in train.* 0 in"):
        split_lives(frame, labels, horizon_hours=10, seed=0)


def test_a_horizon_no_row_outlives_is_told():
    frame, labels = make_fleet([10] * 20)

    with pytest.raises(NotEnoughData, match="known to outlive 10 h: 0 in train"):
        split_lives(frame, labels, horizon_hours=10, seed=0)


def column(frame: Frame, values: np.ndarray, task: str = "classification") -> Labels:
    return column_labels(frame, values, column="y", task=task)


def test_a_plain_table_is_split_by_row_with_equal_shares_of_the_rare_class():
    frame = make_frame([0] * 1000, [0] * 1000)
    values = (np.arange(1000) % 25 == 0).astype(float)

    split = split_rows(frame, column(frame, values), horizon_hours=0, seed=0)

    assert split.how.startswith("by row")
    assert all(0.02 < values[rows].mean() < 0.06 for rows in parts_of(split))


def test_a_regressed_plain_table_is_spread_over_its_values():
    frame = make_frame([0] * 400, [0] * 400)
    values = np.linspace(0, 1, 400) ** 3

    split = split_rows(frame, column(frame, values, "regression"), horizon_hours=0, seed=3)

    assert all(abs(values[rows].mean() - values.mean()) < 0.05 for rows in parts_of(split))


def test_a_timed_table_of_one_asset_is_split_by_time_and_cuts_no_run():
    frame = make_frame([0] * 600, list(range(600)))
    values = (np.arange(600) % 37 < 9).astype(float)

    split = split_rows(frame, column(frame, values), horizon_hours=0, seed=0)

    parts = parts_of(split)
    assert not split.by_asset and split.how.startswith("by time")
    for before, after in itertools.pairwise(parts):
        assert before.max() < after.min()
        assert not (values[before.max()] == 1 and values[after.min()] == 1)


def test_a_column_of_many_assets_is_split_by_asset():
    frame = make_frame([a for a in range(30) for _ in range(10)], list(range(10)) * 30)
    values = (np.arange(300) % 7 == 0).astype(float)

    split = split_rows(frame, column(frame, values), horizon_hours=0, seed=0)

    owners = [set(frame.asset[rows]) for rows in parts_of(split)]
    assert sum(len(owner) for owner in owners) == 30


def test_the_newest_part_holds_what_came_since_and_at_least_so_many_failures():
    frame, labels = make_plant(assets=20, hours=800, every=60)
    split = split_lives(frame, labels, horizon_hours=10, seed=0)

    def lives_and_start(since_hour: int, failures: int) -> tuple[int, int]:
        part = newest_part(frame, labels, split, since_ns=since_hour * HOUR_NS, failures=failures)
        assert part is not None
        assert set(part.train) <= set(split.train)
        np.testing.assert_array_equal(part.test, split.test)
        rows = np.concatenate([part.train, part.validation])
        return len(np.unique(labels.life[rows[labels.failed[rows]]])), frame.cutoff[rows].min()

    _, start = lives_and_start(since_hour=300, failures=5)
    assert start > 300 * HOUR_NS
    few, reaching_back = lives_and_start(since_hour=790, failures=30)
    assert few >= 30
    assert reaching_back < 790 * HOUR_NS
    assert newest_part(frame, labels, split, since_ns=0, failures=10**6) is None


@st.composite
def histories(draw) -> tuple[Frame, Labels]:
    """Machines with gaps that come and go: repaired at once as often as they fail, or at the
    end of their readings and for good, but for a few."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    assets, hours = draw(st.integers(1, 40)), draw(st.integers(100, 400))
    repaired, every = draw(st.booleans()), draw(st.integers(20, 150))
    starts = rng.integers(0, hours // 2, assets)
    ends = starts + rng.integers(hours // 4, hours // 2 + 1, assets)
    spans = [np.arange(first, last) for first, last in zip(starts, ends, strict=True)]
    kept = [span[rng.random(len(span)) < 0.9] for span in spans]
    asset = np.repeat(np.arange(assets), [len(rows) for rows in kept])
    frame = make_frame(asset.tolist(), np.concatenate(kept).tolist())
    count = max(2, assets * hours // every)
    some = list(zip(rng.integers(0, assets, count), rng.integers(0, hours, count), strict=True))
    last = [(number, end) for number, end in enumerate(ends) if rng.random() < 0.9]
    return frame, label(frame, some if repaired else last or some, repaired=repaired)


def assert_sound(frame: Frame, labels: Labels, split: Split, horizon: float) -> None:
    """What no split may ever break, whatever it was made of."""
    parts = parts_of(split)
    rows = np.concatenate(parts)
    positive = labels.fails_within(horizon)
    assert len(np.unique(rows)) == len(rows)
    assert labels.usable[rows].all()
    for part in parts:
        assert np.nansum(positive[part] == 1.0) > 0
        assert np.nansum(positive[part] == 0.0) > 0
    for one, other in itertools.combinations(parts, 2):
        shared = np.intersect1d(frame.asset[one], frame.asset[other])
        if split.by_asset:
            assert not len(shared)
            assert not np.intersect1d(split.group[one], split.group[other]).size
        elif len(shared):
            assert frame.cutoff[one].max() + horizon * HOUR_NS < frame.cutoff[other].min()


def test_every_failure_before_the_test_teaches_what_learns_from_all_rows():
    """Those of the last horizon of a part judge nothing; labels end where the test begins."""
    frame, labels = make_plant(every=40)
    split = split_lives(frame, labels, horizon_hours=25.0, seed=0)
    parts = np.concatenate([split.train, split.validation, split.calibration])
    begins = frame.cutoff[split.test].min()
    fails = (labels.fails_within(25.0) == 1.0) & (frame.cutoff + 25.0 * HOUR_NS < begins)
    told, judged = (np.isin(np.flatnonzero(fails), rows) for rows in (split.learned, parts))

    known = censor_at_test(frame, labels, split)

    assert len(split.between) and not np.isin(split.between, [*parts, *split.test]).any()
    assert told.all() and not judged.all()
    reached = (frame.cutoff + known.duration_hours * HOUR_NS)[split.learned]
    assert reached.max() <= begins
    np.testing.assert_array_equal(
        known.fails_within(25.0)[split.learned], labels.fails_within(25.0)[split.learned]
    )


@settings(max_examples=120, deadline=None)
@given(history=histories(), horizon=st.sampled_from([3.0, 8.0, 20.0]), seed=st.integers(0, 3))
def test_any_history_is_split_soundly_or_refused_with_figures(history, horizon, seed):
    frame, labels = history
    try:
        split = split_rows(frame, labels, horizon_hours=horizon, seed=seed)
    except NotEnoughData as error:
        assert " in train" in str(error)
        return

    assert_sound(frame, labels, split, horizon)


@settings(max_examples=60, deadline=None)
@given(history=histories(), horizon=st.sampled_from([3.0, 8.0]), seed=st.integers(0, 3))
def test_censoring_tells_no_part_what_came_after_it(history, horizon, seed):
    frame, labels = history
    try:
        split = split_rows(frame, labels, horizon_hours=horizon, seed=seed)
    except NotEnoughData:
        return

    known = censor_at_parts(frame, labels, split)

    rows = np.concatenate(parts_of(split))
    before, after = labels.fails_within(horizon)[rows], known.fails_within(horizon)[rows]
    np.testing.assert_array_equal(before, after)
    assert (known.duration_hours[rows] <= labels.duration_hours[rows]).all()
    assert not (known.failed & ~labels.failed).any()
    told = frame.cutoff + np.nan_to_num(known.duration_hours) * HOUR_NS
    for one, other in itertools.permutations(parts_of(split), 2):
        shared = np.intersect1d(frame.asset[one], frame.asset[other])
        if len(shared) and frame.cutoff[one].max() < frame.cutoff[other].min():
            assert told[one].max() <= frame.cutoff[other].min() + 1


@pytest.mark.parametrize(("assets", "by_asset"), [(12, False), (40, True)])
def test_few_machines_are_judged_by_spells_of_their_lives(assets, by_asset):
    frame, labels = make_fleet([40] * assets, starts=[5 * number for number in range(assets)])

    split = split_lives(frame, labels, horizon_hours=5, seed=0)

    groups = np.unique(split.group[split.test])
    machines = np.unique(frame.asset[split.test])
    assert split.how.startswith("by asset")
    assert (len(groups) == len(machines)) == by_asset
    assert len(groups) >= 5
    assert not np.intersect1d(groups, split.group[split.train]).size
