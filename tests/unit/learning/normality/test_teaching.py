import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.learning.normality.quiet_plants import SPEC

from pm_app.learning.normality.history import hours_of_a_row
from pm_app.learning.normality.teaching import (
    BEGINNING,
    FAILURE,
    MAINTENANCE,
    OFF,
    REASONS,
    LeftSpan,
    event_spans,
    teaching_rows,
)
from pm_app.records.features import Frame
from pm_app.records.readings import Events, no_events, sort_events
from pm_app.times import HOUR_NS

START = 1_700_000_000 * 1_000_000_000
BEFORE = 5


def at(hour: int) -> int:
    return START + hour * HOUR_NS


def make_frame(hours: dict[str, range], off: list[tuple[str, int]] = []) -> Frame:  # noqa: B006 - only read
    assets = tuple(sorted(hours))
    rows = [(number, hour) for number, name in enumerate(assets) for hour in hours[name]]
    return Frame(
        assets=assets,
        asset=np.array([number for number, _ in rows], dtype=np.int32),
        cutoff=np.array([at(hour) for _, hour in rows], dtype=np.int64),
        features=("load.mean",),
        sensor_of=("load",),
        values=np.zeros((len(rows), 1), dtype=np.float32),
        off=np.array([(assets[number], hour) in off for number, hour in rows]),
    )


def make_events(*rows: tuple[str, int, str]) -> Events:
    if not rows:
        return no_events()
    asset, hour, kind = zip(*rows, strict=True)
    return sort_events(
        np.array(asset, dtype=object),
        np.array([at(each) for each in hour], dtype=np.int64),
        np.array(kind, dtype=object),
        np.array([""] * len(rows), dtype=object),
    )


def hours_of(frame: Frame, chosen) -> list[int]:
    return ((frame.cutoff[chosen] - START) // HOUR_NS).tolist()


def taught(frame: Frame, spans=(), *, window: int = 1):
    first_seen = dict.fromkeys(frame.assets, at(-100))
    return teaching_rows(frame, spans, window_ns=window * HOUR_NS, first_seen=first_seen)


def test_what_is_healthy_teaches_and_nothing_is_left_out():
    found = taught(make_frame({"a": range(4)}))

    assert found.healthy.all()
    assert found.left_out == ()


def test_a_span_leaves_out_as_long_as_a_window_sees_it():
    frame = make_frame({"a": range(20), "b": range(20)})
    found = taught(frame, [LeftSpan("a", at(10), at(11), MAINTENANCE)], window=6)

    # The window of 17:00 begins just after 11:00.
    assert hours_of(frame, ~found.healthy) == [10, 11, 12, 13, 14, 15, 16]
    assert set(frame.asset[~found.healthy].tolist()) == {0}
    assert found.left_out == ((MAINTENANCE, 7),)


def test_the_time_before_a_failure_until_its_repair_does_not_teach():
    frame = make_frame({"a": range(40)})
    events = make_events(("a", 20, "failure"), ("a", 24, "maintenance"))
    spans = event_spans(events, before_ns=BEFORE * HOUR_NS, renewals=())
    found = taught(frame, spans, window=2)

    assert hours_of(frame, ~found.healthy) == list(range(15, 26))
    assert found.left_out == ((FAILURE, 11),)


def test_a_failure_whose_repair_nobody_told_leaves_out_as_long_after_it_as_before():
    frame = make_frame({"a": range(40)})
    spans = event_spans(make_events(("a", 20, "failure")), before_ns=BEFORE * HOUR_NS, renewals=())
    found = taught(frame, spans)

    assert hours_of(frame, ~found.healthy) == list(range(15, 26))


def test_inspections_and_errors_leave_nothing_out():
    events = make_events(("a", 3, "inspection"), ("a", 5, "error"))

    assert event_spans(events, before_ns=HOUR_NS, renewals=()) == []


def test_a_machine_that_is_off_does_not_teach():
    frame = make_frame({"a": range(4)}, off=[("a", 1), ("a", 2)])

    assert taught(frame).left_out == ((OFF, 2),)


def test_an_asset_begins_to_teach_with_its_first_whole_window():
    frame = make_frame({"a": range(1, 9)})
    found = teaching_rows(frame, (), window_ns=6 * HOUR_NS, first_seen={"a": at(0)})

    assert hours_of(frame, found.healthy) == [6, 7, 8]
    assert found.left_out == ((BEGINNING, 5),)


hours = st.integers(0, 30)
spans_of = st.lists(
    st.tuples(st.sampled_from("abc"), hours, st.integers(0, 12), st.sampled_from(REASONS[:3])),
    max_size=8,
)


def left_slowly(name: str, hour: int, spans, off, window: int) -> str:
    """The first reason that holds for a row, one span and one reading at a time."""
    seen = [moment / 4 for moment in range(4 * (hour - window) + 1, 4 * hour + 1)]
    reasons = {
        reason
        for asset, first, length, reason in spans
        if asset == name and any(first <= moment <= first + length for moment in seen)
    }
    reasons |= {OFF} if (name, hour) in off else set()
    reasons |= {BEGINNING} if hour < window else set()
    return next((reason for reason in REASONS if reason in reasons), "")


@settings(deadline=None)
@given(
    spans=spans_of, off=st.lists(st.tuples(st.sampled_from("ab"), hours)), window=st.integers(1, 9)
)
def test_rows_are_left_out_as_one_by_one(spans, off, window):
    frame = make_frame({"a": range(30), "b": range(3, 35)}, off=off)
    left = [LeftSpan(asset, at(low), at(low + size), why) for asset, low, size, why in spans]
    first_seen = {"a": at(0), "b": at(0)}
    found = teaching_rows(frame, left, window_ns=window * HOUR_NS, first_seen=first_seen)

    rows = zip(frame.asset.tolist(), hours_of(frame, slice(None)), strict=True)
    expected = [left_slowly(frame.assets[n], hour, spans, off, window) for n, hour in rows]
    assert found.healthy.tolist() == [not reason for reason in expected]
    counts = tuple((reason, expected.count(reason)) for reason in REASONS if reason in expected)
    assert found.left_out == counts


def test_a_row_stands_for_the_time_between_rows_on_the_whole():
    """Every second hour and every hour in turn, and a day without any."""
    hours = [hour for hour in range(48) if hour % 3 != 2]
    hours += [hour + 72 for hour in hours]

    stands_for = hours_of_a_row(make_frame({"p": hours}), SPEC)

    assert stands_for == pytest.approx(1.5, abs=0.03)
