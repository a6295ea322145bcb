"""Gaps that networks learn to do without."""

import numpy as np

from pm_app.learning.data.feed_gaps import SHARE, STRETCHES, FeedGaps
from pm_app.records.features import BASES, Frame
from pm_app.times import HOUR_NS

FEATURES = ("heat.last", "heat.change", "age", "since.failure")
SENSOR_OF = ("heat", "heat", "age", "maintenance")
ASSETS, HOURS = 40, 240
LIFE, AGE = BASES.index("life"), BASES.index("age")


def make_frame(features=FEATURES, sensor_of=SENSOR_OF):
    asset = np.repeat(np.arange(ASSETS, dtype=np.int32), HOURS)
    cutoff = np.tile(np.arange(HOURS) * HOUR_NS, ASSETS)
    values = np.ones((len(asset), len(features)), dtype=np.float32)
    names = tuple(f"pump-{at:02d}" for at in range(ASSETS))
    return Frame(names, asset, cutoff, features, sensor_of, values)


def draw(number=1, seed=0):
    frame = make_frame()
    return FeedGaps(frame, np.arange(len(frame.asset)), seed=seed).draw(number)


def test_gaps_are_whole_stretches_of_the_plant_and_of_single_assets():
    lacks = draw()[:, LIFE].reshape(ASSETS, HOURS // (HOURS // STRETCHES), HOURS // STRETCHES)
    whole = lacks.all(axis=2) | ~lacks.any(axis=2)
    of_plant = lacks.all(axis=(0, 2))

    assert whole.mean() > 0.9
    assert of_plant.any()
    assert not of_plant.all()
    alone = lacks[:, ~of_plant].mean(axis=(0, 2))
    assert ((alone > 0) & (alone < 1)).all()


def test_about_half_of_the_rows_lack_something_and_then_their_age():
    some = [draw(number) for number in range(20)]
    share = np.mean([each.any(axis=1) for each in some])

    assert abs(share - (1 - (1 - SHARE) ** 2)) < 0.1
    assert all((each[:, AGE] == each.any(axis=1)).all() for each in some)


def test_what_no_feature_rests_on_is_never_lacking():
    present = {BASES[number] for number in np.flatnonzero(draw().any(axis=0))}

    assert present == {"age", "failure", "life"}


def test_every_pass_has_gaps_of_its_own_and_a_seed_repeats_them():
    assert np.array_equal(draw(3), draw(3))
    assert not np.array_equal(draw(3), draw(4))
    assert not np.array_equal(draw(3), draw(3, seed=1))


def test_rows_that_judge_lack_the_same_whenever_they_are_asked():
    frame = make_frame()
    gaps = FeedGaps(frame, np.arange(100, 900), seed=0)
    values, lacks = gaps.values(), gaps.draw(0)

    assert np.array_equal(np.isnan(values[:, 1]), lacks[:, LIFE])
    assert np.isfinite(values[:, 0]).all()
    assert np.isfinite(frame.values).all()
    np.testing.assert_array_equal(values, gaps.values())


def test_readings_within_windows_alone_have_no_gaps():
    frame = make_frame(("heat.last", "heat.mean.3h"), ("heat", "heat"))
    gaps = FeedGaps(frame, np.arange(50), seed=0)

    assert gaps.draw(1) is None
    assert np.array_equal(gaps.values(), frame.values[:50])
