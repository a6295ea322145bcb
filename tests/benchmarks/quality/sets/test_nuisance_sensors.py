"""Simulated sensors that carry no news of the life left, and thinned rows."""

import numpy as np
import pytest
from benchmarks.quality.sets.folds import Fold, part_by_group
from benchmarks.quality.sets.nuisance import add_nuisance, borrow_rows, largest_sensors
from benchmarks.quality.sets.thinning import thin
from hypothesis import given
from hypothesis import strategies as st

from pm_app.features.frame import build_frame, select_features
from pm_app.features.panes.panes import build_panes
from pm_app.records.features import FeatureSpec
from pm_app.records.labels import Labels
from pm_app.records.readings import Readings, no_events
from pm_app.times import HOUR_NS


def make_fold(*, engines=12, seed=0):
    """Engines run to failure: sensor "wear" of many features tells how far, "load" of one not."""
    rng = np.random.default_rng(seed)
    hours = rng.integers(30, 70, engines)
    asset = np.repeat(np.arange(engines), hours).astype(np.int32)
    place = np.concatenate([np.arange(n) for n in hours])
    left = np.concatenate([np.arange(n, 0, -1) for n in hours]).astype(float)
    time = (500_000 + place) * HOUR_NS
    names = tuple(f"engine-{number:02d}" for number in range(engines))
    values = np.stack([rng.normal(size=len(asset)), -left + rng.normal(size=len(asset))])
    readings = Readings(names, asset, time, ("load", "wear"), values)
    spec = FeatureSpec(("load", "wear"), HOUR_NS, (5 * HOUR_NS, 20 * HOUR_NS), (), (), None)
    seen = dict.fromkeys(names, int(time.min()))
    built = build_frame(build_panes(readings, pane_ns=HOUR_NS), no_events(), spec, first_seen=seen)
    kept = tuple(
        name
        for name in built.features
        if name == "load.last" or (name.startswith("wear") and ".missing." not in name)
    )
    frame = select_features(built, kept)
    every = np.ones(len(asset), dtype=bool)
    labels = Labels(left, every, np.full(len(asset), np.nan), every, asset)
    learn, judged = np.flatnonzero(asset < engines - 2), np.flatnonzero(asset >= engines - 2)
    split = part_by_group(asset, learn, judged, "by engine", level=left, seed=seed)
    return Fold("split 1", frame, labels, split)


def rank_correlation(a, b):
    ranks = [np.argsort(np.argsort(each)) for each in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.fixture(scope="module")
def noisy():
    """A fold with nine nuisance sensors, three of each kind."""
    return add_nuisance(make_fold(engines=60), 9, seed=1)


def test_nuisance_sensors_look_like_the_largest_real_ones(noisy):
    sensors = [name for name in noisy.frame.sensors if name.startswith("nuisance")]
    real = [f.removeprefix("wear.") for f in noisy.frame.features if f.startswith("wear.")]
    width = len(make_fold(engines=60).frame.features)

    assert len(sensors) == 9
    assert len(noisy.frame.features) == width + 9 * len(real)
    for name in sensors:
        mine = [f for f in noisy.frame.features if f.startswith(f"{name}.")]
        assert [f.removeprefix(f"{name}.") for f in mine] == real
        assert {noisy.frame.sensor_of[noisy.frame.features.index(f)] for f in mine} == {name}


def test_nuisance_sensors_carry_no_news_of_the_life_left(noisy):
    left = noisy.labels.duration_hours
    told = {
        name: abs(rank_correlation(noisy.frame.values[:, noisy.frame.features.index(name)], left))
        for name in noisy.frame.features
        if name.endswith(".last")
    }

    assert told.pop("wear.last") > 0.95
    assert max(told.values()) < 0.15


def test_nuisance_leaves_what_was_there_and_comes_again_by_its_seed():
    fold = make_fold()
    once, again, other = (add_nuisance(fold, 4, seed=seed) for seed in (3, 3, 4))
    width = len(fold.frame.features)

    np.testing.assert_array_equal(once.frame.values[:, :width], fold.frame.values)
    np.testing.assert_array_equal(once.frame.values, again.frame.values)
    assert not np.array_equal(once.frame.values, other.frame.values, equal_nan=True)
    assert add_nuisance(fold, 0, seed=3) is fold


def test_a_wandering_sensor_remembers_and_a_jumping_one_does_not(noisy):
    frame = noisy.frame
    same = frame.asset[1:] == frame.asset[:-1]
    values = {n: frame.values[:, frame.features.index(f"nuisance00{n}.last")] for n in (0, 1)}
    lags = {n: np.corrcoef(v[1:][same], v[:-1][same])[0, 1] for n, v in values.items()}

    assert lags[0] > 0.6
    assert abs(lags[1]) < 0.1


def test_windows_of_a_simulated_sensor_are_those_of_its_own_values(noisy):
    frame = noisy.frame
    last, mean = (frame.features.index(f"nuisance000.{end}") for end in ("last", "mean.5h"))
    rows = np.flatnonzero(frame.asset == 3)
    slow = [frame.values[rows[max(0, at - 4) : at + 1], last].mean() for at in range(len(rows))]

    np.testing.assert_allclose(frame.values[rows, mean], slow, atol=1e-5)


@given(rows=st.lists(st.integers(1, 9), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_rows_are_borrowed_in_order_from_one_other_asset(rows, seed):
    asset = np.repeat(np.arange(len(rows)), rows)
    borrowed = borrow_rows(asset, np.random.default_rng(seed))
    lenders = []
    for number, count in enumerate(rows):
        mine = borrowed[asset == number]
        (lender,) = set(asset[mine].tolist())
        places = mine - np.flatnonzero(asset == lender)[0]
        lenders.append(lender)

        assert lender != number
        assert np.array_equal(places, (places[0] + np.arange(count)) % rows[lender])
    assert sorted(lenders) == list(range(len(rows)))


def test_only_the_largest_sensors_are_taken_as_models():
    assert largest_sensors(make_fold().frame) == ("wear",)


@given(every=st.integers(1, 7))
def test_thinning_keeps_judged_rows_and_every_so_many_of_the_others(every):
    fold = make_fold()
    fewer = thin(fold, every=every)
    names = ("train", "validation", "calibration")
    expected = {
        name: [
            row
            for row in getattr(fold.split, name)
            if (row - np.flatnonzero(fold.frame.asset == fold.frame.asset[row])[0]) % every
            == every - 1
        ]
        for name in names
    }

    for name in names:
        mine = getattr(fewer.split, name)
        np.testing.assert_array_equal(fewer.frame.values[mine], fold.frame.values[expected[name]])
        np.testing.assert_array_equal(
            fewer.labels.duration_hours[mine], fold.labels.duration_hours[expected[name]]
        )
        np.testing.assert_array_equal(fewer.split.group[mine], fold.split.group[expected[name]])
    test, whole = fewer.split.test, fold.split.test
    np.testing.assert_array_equal(fewer.frame.cutoff[test], fold.frame.cutoff[whole])
    assert len(fewer.frame.asset) == sum(map(len, expected.values())) + len(whole)
