"""Failures told twice, by people, and of uncertain time: what is learned from them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.learning.data.failures import ConfirmedFailure, join_failures
from pm_app.learning.data.labels import count_failures, failures_learned, life_labels
from pm_app.records.features import Frame
from pm_app.records.readings import Events, sort_events
from pm_app.times import HOUR_NS

START = 1_700_000_000 * 1_000_000_000
LATE = START + 1000 * HOUR_NS


def at(hour):
    return START + round(hour * HOUR_NS)


def make_frame(hours, asset="a"):
    """One asset with a cutoff at each of these hours after the start."""
    return Frame(
        assets=(asset,),
        asset=np.zeros(len(hours), dtype=np.int32),
        cutoff=np.array([at(hour) for hour in sorted(hours)], dtype=np.int64),
        features=("load.mean",),
        sensor_of=("load",),
        values=np.zeros((len(hours), 1), dtype=np.float32),
    )


def make_events(*rows):
    """Events from (asset, kind, since, until), hours after the start."""
    assets, kinds, since, until = zip(*rows, strict=True) if rows else ((), (), (), ())
    return sort_events(
        np.array(assets, dtype=object),
        np.array([at(hour) for hour in until], dtype=np.int64),
        np.array(kinds, dtype=object),
        np.array([""] * len(rows), dtype=object),
        np.array([at(hour) for hour in since], dtype=np.int64),
    )


def tell(since, until, *, told=100.0, asset="a"):
    return ConfirmedFailure(asset, at(since), at(until), at(told))


def failures_of(events):
    """(asset, since, until) of each failure, hours after the start."""
    failed = events.kind == "failure"
    columns = (events.asset, events.since - START, events.time - START)
    asset, since, until = (column[failed].tolist() for column in columns)
    return [
        (name, first / HOUR_NS, last / HOUR_NS)
        for name, first, last in zip(asset, since, until, strict=True)
    ]


def join(events, *told, near=2.0, until=LATE):
    return join_failures(events, told, near_ns=round(near * HOUR_NS), known_until=until)


def labels_of(frame, events, horizons=()):
    return life_labels(frame, events, known_until=None, horizons_hours=horizons)


@given(
    hours=st.sets(st.integers(0, 30), min_size=1),
    since=st.integers(0, 28),
    width=st.integers(1, 10),
    repair=st.none() | st.integers(0, 5),
    horizons=st.sets(st.sampled_from([3.0, 6.0, 12.0]), min_size=1),
)
def test_a_row_is_left_out_exactly_where_its_labels_depend_on_when_the_failure_was(
    hours, since, width, repair, horizons
):
    frame, until = make_frame(hours), since + width
    back = [] if repair is None else [("a", "maintenance", until + repair, until + repair)]

    told = labels_of(frame, make_events(("a", "failure", since, until), *back), sorted(horizons))

    def rows_of(labels):
        rows = np.stack([labels.fails_within(horizon) for horizon in sorted(horizons)])
        return np.where(labels.usable, np.nan_to_num(rows, nan=-1.0), 7.0)

    moments = np.arange(since, until + 0.25, 0.5)
    possible = [
        rows_of(labels_of(frame, make_events(("a", "failure", moment, moment), *back)))
        for moment in moments
    ]
    certain = (np.stack(possible) == possible[0]).all(axis=(0, 1)) & (possible[0] < 7.0).all(axis=0)
    np.testing.assert_array_equal(told.usable, certain)
    np.testing.assert_array_equal(rows_of(told)[:, certain], possible[0][:, certain])


@pytest.mark.parametrize(("width", "failed", "left"), [(4, True, 22.0), (8, False, 20.0)])
def test_far_rows_have_the_middle_of_a_short_span_and_the_beginning_of_a_long_one(
    width, failed, left
):
    frame = make_frame([0, 20 + width + 1])
    events = make_events(("a", "failure", 20, 20 + width))

    labels = labels_of(frame, events, (4.0, 12.0))

    assert (bool(labels.failed[0]), labels.duration_hours[0]) == (failed, left)


def test_a_repair_within_the_span_ends_the_stop_with_the_span():
    frame = make_frame(range(30))
    events = make_events(("a", "failure", 10, 14), ("a", "maintenance", 12, 12))

    labels = labels_of(frame, events, (2.0,))

    assert np.flatnonzero(~labels.usable).tolist() == [*range(8, 15)]


def test_an_event_of_uncertain_time_that_holds_a_known_one_is_the_same_failure():
    events = make_events(("a", "failure", 0, 24), ("a", "failure", 10, 10), ("b", "failure", 0, 24))

    assert failures_of(join(events).events) == [("a", 10, 10), ("b", 0, 24)]


def test_two_known_times_are_two_failures_however_near():
    events = make_events(("a", "failure", 10, 10), ("a", "failure", 10.5, 10.5))

    assert len(failures_of(join(events).events)) == 2


@pytest.mark.parametrize(("hour", "count"), [(7.9, 2), (8.0, 1), (12.0, 1), (14.0, 1), (14.1, 2)])
def test_a_verdict_near_a_failure_that_came_as_an_event_is_that_failure(hour, count):
    events = make_events(("a", "failure", hour, hour))

    joined = join(events, tell(10, 12))

    assert len(failures_of(joined.events)) == count
    assert joined.from_verdict.sum() == count - 1


def test_the_mode_a_verdict_names_is_the_code_of_its_failure_whoever_booked_it():
    events = make_events(("a", "failure", 11, 11), ("a", "failure", 40, 40), ("a", "error", 11, 11))
    named = [replace(tell(10, 12), code="WO 7", mode="seal")]
    named += [
        replace(tell(60, 60, asset=asset), code="WO 8", mode=mode)
        for asset, mode in (("b", ""), ("c", "bearing"))
    ]

    joined = join(events, *named).events

    found = zip(joined.asset, joined.time, joined.kind, joined.code, strict=True)
    failures = [
        (name, (time - START) / HOUR_NS, code)
        for name, time, kind, code in found
        if kind == "failure"
    ]
    assert failures == [("a", 11, "seal"), ("a", 40, ""), ("b", 60, "WO 8"), ("c", 60, "bearing")]
    assert joined.code[joined.kind == "error"].tolist() == [""]


def test_two_verdicts_on_one_failure_count_once_and_the_closer_one_counts():
    joined = join(make_events(), tell(0, 20), tell(10, 10), tell(10, 10, asset="b"))

    assert failures_of(joined.events) == [("a", 10, 10), ("b", 10, 10)]


def test_a_verdict_takes_the_machine_for_repaired_when_it_is_given():
    frame = make_frame(range(30))
    joined = join(make_events(), tell(10, 10, told=15))

    labels = labels_of(frame, joined.events)

    assert np.flatnonzero(~labels.usable).tolist() == [*range(10, 16)]
    assert len(np.unique(labels.life[labels.usable])) == 2


def test_a_repair_that_came_as_an_event_counts_before_the_verdict():
    frame = make_frame(range(30))
    events = make_events(("a", "maintenance", 12, 12))

    labels = labels_of(frame, join(events, tell(10, 10, told=15)).events)

    assert np.flatnonzero(~labels.usable).tolist() == [10, 11, 12]


def test_verdicts_that_are_given_later_are_unknown():
    events = make_events(("a", "failure", 10, 10))
    joined = join(events, tell(20, 20, told=30), until=at(29))

    assert failures_of(joined.events) == [("a", 10, 10)]
    assert not joined.from_verdict.any()


spans = st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.integers(0, 4))


@given(rows=st.lists(spans, max_size=6), told=st.lists(spans, max_size=4), data=st.data())
def test_the_order_in_which_failures_are_told_does_not_matter(rows, told, data):
    def joined(rows, told):
        events = make_events(*((name, "failure", h, h + w) for name, h, w in rows))
        return join(events, *(tell(h, h + w, asset=name) for name, h, w in told))

    one = joined(rows, told)
    other = joined(data.draw(st.permutations(rows)), data.draw(st.permutations(told)))

    assert failures_of(one.events) == failures_of(other.events)
    assert one.from_verdict.sum() == other.from_verdict.sum()
    kept = failures_of(one.events)
    assert {name for name, _, _ in kept} == {name for name, _, _ in rows + told}


def test_failures_are_counted_by_who_told_of_them():
    frame = make_frame(range(60))
    events = make_events(("a", "failure", 10, 10), ("a", "maintenance", 11, 11))
    # Of the last one no row comes before: it teaches nothing.
    joined = join(events, tell(30, 30, told=31), tell(-9, -9, told=-8))
    labels = labels_of(frame, joined.events)

    learned = failures_learned(frame, labels, joined.events, joined.from_verdict, known_until=LATE)

    assert (count_failures(labels), int(joined.from_verdict.sum()), learned) == (2, 2, 1)


def test_events_that_happened_at_once_are_as_they_were():
    events = Events(
        *(
            getattr(make_events(("a", "failure", 3, 3)), c)
            for c in ("asset", "time", "kind", "code")
        )
    )

    assert events.since.tolist() == events.time.tolist() == [at(3)]
