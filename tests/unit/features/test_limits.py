"""Law 12 at the features: what stops coming is missing, by events up to a cutoff alone."""

from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, START
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.features.frame import build_frame
from pm_app.features.limits import (
    BY_CHANCE,
    bases_of,
    broken_silences,
    feed_paces,
    heard_until,
    learn_limits,
    limit_features,
    silence_text,
)
from pm_app.features.panes.panes import build_panes
from pm_app.records.features import BASES, FEEDS, FeatureLimits, FeatureSpec, FeedPace, Frame
from pm_app.records.readings import Events, Readings, sort_events

HOURS = 60
SPEC = FeatureSpec(
    sensors=("heat",),
    pane_ns=HOUR,
    windows_ns=(3 * HOUR,),
    maintenance_codes=("seal",),
    error_codes=("E1",),
    clock=None,
    life=True,
    change=True,
    scaled_change=True,
    beginning_ns=5 * HOUR,
    smooth_ns=(12 * HOUR,),
)
PACES = (FeedPace("failure", 2.0, 10.0), FeedPace("error", 1.0, 6.0))
LIMITS = FeatureLimits(feeds=PACES)
MEMORY = {
    "heat.mean.life", "heat.deviation.life", "heat.minimum.life", "heat.maximum.life",
    "heat.change", "heat.change.scaled", "heat.smooth.12h", "heat.above.12h",
}  # fmt: skip
WINDOWS = {"heat.last", "heat.mean.3h", "heat.missing.3h"}


def make_events(*rows: tuple[str, float, str, str]) -> Events:
    """Events from (asset, hours after START, kind, code)."""
    assets, hours, kinds, codes = ([row[at] for row in rows] for at in range(4))
    return sort_events(
        np.array(assets, dtype=object),
        START + np.round(np.array(hours) * HOUR).astype(np.int64),
        np.array(kinds, dtype=object),
        np.array(codes, dtype=object),
    )


def frame_of(
    events: Events,
    limits: FeatureLimits | None = LIMITS,
    *,
    late: int = 0,
    spec: FeatureSpec = SPEC,
) -> Frame:
    """Hourly readings of two machines; the second's begin `late` hours after the first's."""
    hours = np.concatenate([np.arange(HOURS), np.arange(late, HOURS)])
    readings = Readings(
        assets=("a", "b"),
        asset=np.repeat(np.arange(2, dtype=np.int32), (HOURS, HOURS - late)),
        time=START + hours * HOUR,
        sensors=("heat",),
        values=np.random.default_rng(0).normal(size=(1, len(hours))),
    )
    first_seen = {"a": START, "b": START + late * HOUR}
    panes = build_panes(readings, pane_ns=HOUR)
    return build_frame(panes, events, replace(spec, limits=limits), first_seen=first_seen)


def hours_with(frame: Frame, feature: str, asset: int = 0) -> list[int]:
    """Hours after START at whose end the feature of an asset has a value."""
    column = frame.values[:, frame.features.index(feature)]
    there = np.isfinite(column) & (frame.asset == asset)
    return ((frame.cutoff[there] - START) // HOUR).tolist()


EVERY_TWO_HOURS = make_events(
    *(("a", at, "failure", "") for at in np.arange(2.0, 21.0, 2.0)),
    *(("a", at, "error", "E1") for at in np.arange(1.0, 20.0, 1.0)),
    ("a", 0.5, "maintenance", "seal"),
)


def test_what_rests_on_a_feed_is_missing_once_it_is_silent_and_nothing_else_is():
    frame = frame_of(EVERY_TWO_HOURS)

    assert hours_with(frame, "since.failure")[-1] == 30
    assert {hours_with(frame, name)[-1] for name in MEMORY} == {30}
    assert hours_with(frame, "errors.E1.3h")[-1] == 25
    assert hours_with(frame, "since.maintenance.seal")[-1] == HOURS
    assert {hours_with(frame, name)[-1] for name in (*WINDOWS, "age")} == {HOURS}
    assert frame.features[-4:] == ("age", "since.failure", "since.maintenance.seal", "errors.E1.3h")


def test_hours_since_inspections_are_missing_beyond_what_training_saw_and_in_silence():
    looks = make_events(*(("a", at, "inspection", "leak") for at in (4.0, 8.0, 12.0)))
    spec = replace(SPEC, inspections=True, inspection_codes=("leak",))
    pace = (FeedPace("inspection", 4.0, 20.0),)
    silent = frame_of(looks, FeatureLimits(feeds=pace), spec=spec)
    highest = (("since.inspection", 15.0), ("since.inspection.leak", 9.0))
    rare = frame_of(looks, FeatureLimits(highest=highest), spec=spec)
    learned = learn_limits(frame_of(looks, None, spec=spec), np.arange(HOURS), pace)

    for name in ("since.inspection", "since.inspection.leak"):
        assert hours_with(silent, name) == list(range(4, 33))
        assert dict(learned.highest)[name] == 20.0
    assert hours_with(rare, "since.inspection.leak") == list(range(4, 22))
    assert hours_with(rare, "since.inspection") == list(range(4, 28))


def test_a_feed_that_speaks_of_any_machine_is_not_silent_for_another():
    frame = frame_of(EVERY_TWO_HOURS)

    assert hours_with(frame, "errors.E1.3h", asset=1) == list(range(1, 26))


def test_a_machine_waits_for_a_word_from_its_first_reading_on():
    frame = frame_of(EVERY_TWO_HOURS, late=35)

    assert hours_with(frame, "errors.E1.3h", asset=1) == list(range(36, 42))
    assert hours_with(frame, "heat.smooth.12h", asset=1) == list(range(36, 46))


def test_errors_before_the_first_word_of_their_feed_are_unknown_and_not_zero():
    frame = frame_of(make_events(("b", 40.0, "error", "E1")))

    assert hours_with(frame, "errors.E1.3h") == [*range(1, 7), *range(40, 47)]


def test_memory_goes_on_without_failures_as_long_as_maintenance_is_reported():
    paces = (*PACES, FeedPace("maintenance", 2.0, 10.0))
    work = [("b", at, "maintenance", "seal") for at in np.arange(1.0, 50.0, 5.0)]
    events = make_events(("a", 1.0, "failure", ""), *work)
    frame = frame_of(events, FeatureLimits(feeds=paces))

    assert hours_with(frame, "since.failure")[-1] == 11
    assert hours_with(frame, "heat.change")[-1] == 56


def test_beyond_what_training_saw_ages_and_times_are_missing_and_counts_are_its_most():
    highest = (("age", 30.0), ("since.failure", 3.0), ("errors.E1.3h", 2.0))
    frame = frame_of(EVERY_TWO_HOURS, FeatureLimits(highest, lived_hours=8.0))

    assert hours_with(frame, "age")[-1] == 30
    assert hours_with(frame, "since.failure")[-1] == 23
    assert hours_with(frame, "heat.mean.life")[-1] == 28
    errors = frame.values[frame.asset == 0, frame.features.index("errors.E1.3h")]
    assert errors[:4].tolist() == [1, 2, 2, 2]


def test_the_frame_says_what_was_withheld():
    frame = frame_of(EVERY_TWO_HOURS, FeatureLimits((("age", 30.0),), feeds=PACES))
    last = frame.withheld[frame.asset == 0][-1]

    assert dict(zip(BASES, last.tolist(), strict=True)) == {
        "age": True, "failure": True, "maintenance": False, "error": True, "life": True,
        "inspection": False,
    }  # fmt: skip
    assert frame_of(EVERY_TWO_HOURS, None).withheld is None


def test_a_specification_without_limits_makes_the_features_it_always_made():
    plain = frame_of(EVERY_TWO_HOURS, None)
    unlimited = frame_of(EVERY_TWO_HOURS, FeatureLimits())

    np.testing.assert_array_equal(plain.values, unlimited.values)
    assert hours_with(plain, "since.failure")[-1] == HOURS


def test_a_feed_of_the_same_rate_is_taken_for_silent_once_in_a_thousand_gaps():
    rng = np.random.default_rng(0)
    gaps = rng.exponential(5.0, (4_000, 41))
    silent = 0
    for row in gaps:
        times = START + np.cumsum(row[:-1] * HOUR).astype(np.int64)
        kinds = np.full(40, "error", dtype=object)
        (pace,) = feed_paces(sort_events(kinds, times, kinds, kinds))
        silent += row[-1] > pace.silent_hours

    assert silent / len(gaps) < 2 * BY_CHANCE


@pytest.mark.parametrize(
    ("also", "until", "heard"),
    [
        ((), 90.0, 90.0),  # not silent for longer than ever before
        ((), 600.0, 80.0),
        ([("a", at, "maintenance", "") for at in (4.0, 30.0, 60.0, 84.0)], 1000.0, 84.0),
        ([("a", at, "maintenance", "") for at in (90.0, 190.0, 290.0, 390.0)], 600.0, 600.0),
        ([("a", 390.0, "maintenance", "")], 600.0, 390.0),
        ([("a", at, "error", "") for at in range(600)], 600.0, 80.0),
    ],
)
def test_what_survived_is_known_until_failures_and_maintenance_stopped(also, until, heard):
    failures = [("a", at, "failure", "") for at in (0.0, 20.0, 45.0, 60.0, 80.0)]
    events = make_events(*failures, *also)

    assert heard_until(events, START + round(until * HOUR)) == START + round(heard * HOUR)


def test_two_failures_tell_no_pace_and_so_no_silence():
    events = make_events(("a", 0.0, "failure", ""), ("a", 1.0, "failure", ""))

    assert heard_until(events, START + 9_000 * HOUR) == START + 9_000 * HOUR


def test_bursts_and_weekends_are_no_silence_and_two_events_make_no_pace():
    week = [24 * day + hour for day in range(26) if day % 7 < 5 for hour in (8.0, 8.1, 8.2)]
    (pace,) = feed_paces(make_events(*(("a", at, "error", "") for at in week)))

    assert pace.silent_hours > 1.4 * (3 * 24)
    assert feed_paces(make_events(*(("a", at, "failure", "") for at in (1.0, 2.0)))) == ()


def test_limits_are_what_the_rows_saw_but_not_while_a_feed_was_silent():
    frame = frame_of(EVERY_TWO_HOURS, None)
    rows = np.flatnonzero(frame.cutoff <= START + 50 * HOUR)
    limits = learn_limits(frame, rows, PACES)

    assert dict(limits.highest)["age"] == 50.0
    assert dict(limits.highest)["since.failure"] == 10.0
    assert limits.lived_hours == 30.0
    assert limits.feeds == PACES
    limited = limit_features(frame, limits)
    assert not limited.withheld[rows][:, BASES.index("age")].any()
    assert limited.withheld[-1, BASES.index("age")]


def test_ages_and_lives_are_unknown_where_nobody_reports_renewals_any_more():
    paces = (FeedPace("maintenance", 2.0, 10.0),)
    spec = replace(SPEC, renewals=("seal",))
    events = make_events(*(("a", at, "maintenance", "seal") for at in np.arange(5.0, 21.0, 5.0)))

    frame = frame_of(events, None, spec=spec)
    limits = learn_limits(frame, np.arange(len(frame.cutoff)), paces, renews=True)
    limited = limit_features(frame, limits)

    assert (dict(limits.highest)["age"], limits.lived_hours) == (30.0, 30.0)
    assert {hours_with(limited, name)[-1] for name in (*MEMORY, "age")} == {30}
    assert hours_with(limited, "heat.mean.3h")[-1] == HOURS
    other = limit_features(frame, replace(limits, renews=False, highest=(), lived_hours=None))
    assert {hours_with(other, name)[-1] for name in (*MEMORY, "age")} == {HOURS}


def test_the_age_of_a_mode_is_unknown_where_maintenance_is_silent():
    paces = (FeedPace("maintenance", 2.0, 10.0),)
    spec = replace(SPEC, mode_renewals=(("seal", ("seal",)),))
    events = make_events(*(("a", at, "maintenance", "seal") for at in np.arange(5.0, 21.0, 5.0)))

    frame = frame_of(events, None, spec=spec)
    limits = learn_limits(frame, np.arange(len(frame.cutoff)), paces)
    limited = limit_features(frame, limits)

    assert dict(limits.highest)["since.renewal.seal"] == 30.0
    assert hours_with(limited, "since.renewal.seal")[-1] == 30
    assert hours_with(limited, "age")[-1] == HOURS


def test_where_lives_never_end_memory_has_no_limit():
    frame = frame_of(EVERY_TWO_HOURS, None)

    assert learn_limits(frame, np.arange(9), ()).lived_hours is None


def test_sensors_named_like_groups_of_features_are_sensors():
    features = ("age.last", "errors.mean.1h", "maintenance.last", "errors.trip.1h", "since.failure")
    sensors = ("age", "errors", "maintenance", "errors", "maintenance")

    assert bases_of(features, sensors).tolist() == [-1, -1, -1, 3, 1]


def test_the_words_name_what_stopped_when_and_how_often_it_came():
    paces = (FeedPace("maintenance", 24.0, 100.0), FeedPace("error", 1.0, 200.0))

    assert silence_text([0.0, 144.0, 144.0], paces) == (
        "maintenance events stopped 6.0 d ago; usual 24 h"
    )
    assert silence_text([0.0, 99.0, 199.0], paces) == ""


TIMES = st.lists(st.tuples(st.integers(0, 100), st.sampled_from(FEEDS)), max_size=12)


@given(old=TIMES, new=TIMES)
@settings(max_examples=60, deadline=None)
def test_late_events_change_what_is_withheld_within_the_spans_of_broken_silences_alone(old, new):
    before, fresh, both = (
        make_events(*(("b", hour * HOURS / 100, kind, "E1") for hour, kind in rows))
        if rows
        else make_events(("b", 1.0, "inspection", ""))
        for rows in (old, new, [*old, *new])
    )
    ours = frame_of(before).cutoff, frame_of(before).withheld, frame_of(both).withheld
    own = frame_of(before).asset == 0
    changed = ours[0][own & (ours[1] != ours[2])[:, [1, 3, 4]].any(axis=1)]
    spans = list(broken_silences(fresh, before, LIMITS))

    for cutoff in changed.tolist():
        assert any(first <= cutoff <= last for first, last in spans)
