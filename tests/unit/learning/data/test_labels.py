from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.learning.data.labels import (
    classes_ahead,
    column_labels,
    failures_ahead,
    life_labels,
)
from pm_app.learning.data.modes import choose_modes
from pm_app.learning.data.sufficiency import require_enough
from pm_app.records.features import Frame
from pm_app.records.readings import Events, no_events, sort_events
from pm_app.times import HOUR_NS

START = 1_700_000_000 * 1_000_000_000


def make_frame(cutoffs: dict[str, list[int]]) -> Frame:
    """A frame of one feature with a row at each of these hours after the start."""
    assets = tuple(sorted(cutoffs))
    asset = [number for number, name in enumerate(assets) for _ in cutoffs[name]]
    hours = [hour for name in assets for hour in sorted(cutoffs[name])]
    return Frame(
        assets=assets,
        asset=np.array(asset, dtype=np.int32),
        cutoff=START + np.array(hours, dtype=np.int64) * HOUR_NS,
        features=("load.mean",),
        sensor_of=("load",),
        values=np.zeros((len(asset), 1), dtype=np.float32),
    )


def make_events(*rows: tuple[str, int, str]) -> Events:
    if not rows:
        return no_events()
    asset, hour, kind = zip(*rows, strict=True)
    return sort_events(
        np.array(asset, dtype=object),
        START + np.array(hour, dtype=np.int64) * HOUR_NS,
        np.array(kind, dtype=object),
        np.array([""] * len(rows), dtype=object),
    )


def label_slowly(
    frame: Frame, rows: list[tuple[str, int, str]], known_until: int | None
) -> list[tuple[float, bool, bool]]:
    """(duration, failed, usable) per row, one row and one event at a time."""
    result = []
    for asset_number, cutoff in zip(frame.asset, frame.cutoff, strict=True):
        name, now = frame.assets[asset_number], int((cutoff - START) // HOUR_NS)
        bound = known_until if known_until is not None else 10**9
        mine = [(hour, kind) for asset, hour, kind in rows if asset == name and hour <= bound]
        failures = sorted({hour for hour, kind in mine if kind == "failure"})
        repairs = sorted(hour for hour, kind in mine if kind == "maintenance")
        down = False
        for number, failure in enumerate(failures):
            following = failures[number + 1] if number + 1 < len(failures) else None
            limit = 10**9 if following is None else following
            at_once = 10**9 if following is None else failure
            back = next((r for r in repairs if failure <= r < limit), at_once)
            down = down or failure <= now <= back
        ahead = [failure for failure in failures if failure > now]
        own = frame.cutoff[frame.asset == asset_number]
        end = ahead[0] if ahead else min(int((own.max() - START) // HOUR_NS), bound)
        usable = not down and end >= now
        result.append((end - now if usable else np.nan, bool(ahead) and usable, usable))
    return result


hours = st.integers(0, 12)
rows_of_events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "elsewhere"]),
        hours,
        st.sampled_from(["failure", "maintenance", "error"]),
    ),
    max_size=8,
)


@given(
    first=st.sets(hours, min_size=1),
    second=st.sets(hours, min_size=1),
    rows=rows_of_events,
    known=st.none() | hours,
)
def test_labels_agree_with_a_plain_loop(first, second, rows, known):
    frame = make_frame({"a": list(first), "b": list(second)})
    until = None if known is None else START + known * HOUR_NS

    labels = life_labels(frame, make_events(*rows), known_until=until)

    duration, failed, usable = zip(*label_slowly(frame, rows, known), strict=True)
    np.testing.assert_array_equal(labels.duration_hours, np.array(duration, dtype=float))
    np.testing.assert_array_equal(labels.failed, failed)
    np.testing.assert_array_equal(labels.usable, usable)


@settings(deadline=None)
@given(rows=rows_of_events, known=hours)
def test_events_after_what_is_known_change_nothing(rows, known):
    frame = make_frame({"a": list(range(10)), "b": list(range(5))})
    past = [row for row in rows if row[1] <= known]

    labels = life_labels(frame, make_events(*rows), known_until=START + known * HOUR_NS)

    same = life_labels(frame, make_events(*past), known_until=START + known * HOUR_NS)
    np.testing.assert_array_equal(labels.duration_hours, same.duration_hours)
    np.testing.assert_array_equal(labels.failed, same.failed)


def test_rows_between_failure_and_repair_belong_to_no_one():
    frame = make_frame({"a": [9, 10, 11, 12, 13]})
    events = make_events(("a", 10, "failure"), ("a", 12, "maintenance"))

    labels = life_labels(frame, events, known_until=None)

    assert labels.usable.tolist() == [True, False, False, False, True]
    assert labels.duration_hours[[0, 4]].tolist() == [1.0, 0.0]
    assert labels.life[0] != labels.life[4]


def test_an_unrepaired_failure_followed_by_another_counts_as_repaired_at_once():
    frame = make_frame({"a": [1, 2, 3, 4, 5]})

    labels = life_labels(
        frame, make_events(("a", 2, "failure"), ("a", 4, "failure")), known_until=None
    )

    assert labels.usable.tolist() == [True, False, True, False, False]
    assert labels.failed.tolist() == [True, False, True, False, False]


def test_what_is_not_known_to_fail_is_censored_not_negative():
    labels = life_labels(make_frame({"a": [0, 10, 20]}), no_events(), known_until=None)

    assert labels.duration_hours.tolist() == [20.0, 10.0, 0.0]
    assert labels.fails_within(15.0).tolist()[0] == 0.0
    assert np.isnan(labels.fails_within(15.0)[1:]).all()


def fails_within_at_the_end(horizon, running):
    """Rows of two assets that failed and of one that runs on, if it does, by the hour."""
    hours = {"a": list(range(10)), "b": list(range(15))} | (
        {"c": list(range(21))} if running else {}
    )
    frame = make_frame(hours)
    events = make_events(("a", 10, "failure"), ("b", 15, "failure"))
    truth = life_labels(frame, events, known_until=None).fails_within(horizon)
    return {name: truth[frame.asset == at].tolist() for at, name in enumerate(frame.assets)}


def test_failures_within_the_last_horizon_count_no_more_than_its_survivors():
    truth = fails_within_at_the_end(8.0, running=True)

    assert truth["a"] == [0.0] * 2 + [1.0] * 8
    assert truth["b"][:12] == [0.0] * 7 + [1.0] * 5
    assert np.isnan(truth["b"][12:]).all()
    assert truth["c"][:12] == [0.0] * 12
    assert np.isnan(truth["c"][12:]).all()


def test_where_all_failed_before_the_record_ended_every_failure_counts():
    truth = fails_within_at_the_end(8.0, running=False)

    assert truth["b"] == [0.0] * 7 + [1.0] * 8


def test_the_share_of_failures_is_the_same_up_to_the_end_of_the_record():
    rng = np.random.default_rng(0)
    fails = rng.exponential(100.0, 2000).round() + 1
    frame = make_frame(
        {f"p{at:03d}": list(range(int(min(fail, 60)))) for at, fail in enumerate(fails)}
    )
    events = make_events(
        *((f"p{at:03d}", int(fail), "failure") for at, fail in enumerate(fails) if fail < 60)
    )
    labels = life_labels(frame, events, known_until=START + 59 * HOUR_NS)
    truth, hour = labels.fails_within(20.0), (frame.cutoff - START) // HOUR_NS
    biased = np.where(labels.failed & (labels.duration_hours <= 20.0), 1.0, truth)

    expected = 1 - np.exp(-20 / 100)
    assert np.nanmean(biased[hour > 30]) > expected + 0.1
    assert np.nanmean(truth[hour > 30]) == pytest.approx(expected, abs=0.03)
    assert np.isnan(truth[hour >= 39]).all()


def test_rows_after_what_is_known_are_unusable():
    labels = life_labels(
        make_frame({"a": [0, 5, 10]}), no_events(), known_until=START + 5 * HOUR_NS
    )

    assert labels.usable.tolist() == [True, True, False]


def test_too_few_failures_are_told_with_figures():
    frame = make_frame({"a": [1, 2], "b": [1, 2], "c": [1, 2]})
    events = make_events(("a", 3, "failure"), ("b", 3, "failure"), ("c", 0, "failure"))
    labels = life_labels(frame, events, known_until=None)

    require_enough(labels, minimum_failures=2)
    with pytest.raises(NotEnoughData, match="not enough data: 2 failures, 10 needed"):
        require_enough(labels, minimum_failures=10)
    # 2 in 6 weeks: 8 more in 24.
    with pytest.raises(NotEnoughData, match="10 needed, about 24 more weeks at the rate so far"):
        require_enough(labels, minimum_failures=10, span_weeks=6.0)


@pytest.mark.parametrize(
    "values",
    [["ok", "worn", None, "ok"], [3, 7, np.nan, 3], [False, True, None, False]],
    ids=["text", "numbers", "flags"],
)
def test_two_classes_become_zero_and_one_in_order(values):
    frame = make_frame({"a": [0, 1, 2, 3]})

    labels = column_labels(
        frame, np.array(values, dtype=object), column="state", task="classification"
    )

    np.testing.assert_array_equal(labels.value, [0.0, 1.0, np.nan, 0.0])
    assert labels.usable.tolist() == [True, True, False, True]


def test_of_several_classes_the_first_is_nothing_and_the_others_are_modes():
    frame = make_frame({"a": list(range(7))})
    values = np.array([2.0, 0.0, np.nan, 1.0, 2.0, 0.0, 7.5])

    labels = column_labels(frame, values, column="type", task="classification")
    ahead = classes_ahead(values, labels)
    modes = choose_modes(ahead.codes, {}, minimum=1)
    labels = replace(labels, mode=modes.of_rows(ahead.number))

    np.testing.assert_array_equal(labels.value, [1, 0, np.nan, 1, 1, 0, 1])
    assert modes.names == ("1", "2", "7.5")
    assert labels.mode.tolist() == [1, -1, -1, 0, 1, -1, 2]
    two = np.array(["ok", "worn", "ok"], dtype=object)
    binary = column_labels(make_frame({"a": [0, 1, 2]}), two, column="s", task="classification")
    assert classes_ahead(two, binary).codes == ()


@pytest.mark.parametrize(
    ("values", "task", "error", "message"),
    [
        (
            np.arange(51),
            "classification",
            BadSettings,
            r"at most 50 distinct values .* got 51: \[0, 1, 2, 3, 4, …\]; .*\"regression\"",
        ),
        ([1, 1, 1], "classification", NotEnoughData, "is 1 in every row"),
        ([None, None, None], "classification", NotEnoughData, "holds no label"),
        ([1, "x", 2], "classification", BadSettings, "values of one kind"),
        (["x", "y", "z"], "regression", BadSettings, "must hold numbers"),
        ([1.0, np.inf, 2.0], "regression", BadSettings, "finite numbers"),
        ([2.0, 2.0, None], "regression", NotEnoughData, "is 2.0 in every row"),
    ],
)
def test_a_column_that_does_not_suit_its_task_is_refused(values, task, error, message):
    with pytest.raises(error, match=message):
        column_labels(
            make_frame({"a": list(range(len(values)))}),
            np.array(values, dtype=object),
            column="wear",
            task=task,
        )


def test_examples_of_a_column_are_counted_by_the_rarer_class():
    frame = make_frame({"a": list(range(6))})
    labels = column_labels(
        frame, np.array([0, 0, 0, 0, 1, 1]), column="stop", task="classification"
    )

    with pytest.raises(NotEnoughData, match="2 labelled rows of the rarer class, 3 needed"):
        require_enough(labels, minimum_failures=3)


def test_a_row_bears_the_code_of_the_failure_it_comes_before():
    frame = make_frame({"a": [0, 5, 10, 15, 20], "b": [0, 5], "c": [0]})
    rows = [("a", 7, "failure", "seal"), ("a", 8, "maintenance", "oil"), ("a", 17, "failure", "")]
    rows += [("b", 6, "failure", "bearing"), ("gone", 3, "failure", "seal")]
    asset, hour, kind, code = (np.array(each, dtype=object) for each in zip(*rows, strict=True))
    events = sort_events(asset, START + hour.astype(np.int64) * HOUR_NS, kind, code)

    codes = failures_ahead(frame, life_labels(frame, events, known_until=None), events).first_codes

    assert codes.tolist() == ["seal", "seal", "", "", "", "bearing", "bearing", ""]


def test_a_failure_of_uncertain_time_has_its_own_code():
    frame = make_frame({"a": [0, 5, 40, 45]})
    events = sort_events(
        np.array(["a", "a"], dtype=object),
        START + np.array([30, 60]) * HOUR_NS,
        np.array(["failure"] * 2, dtype=object),
        np.array(["seal", "bearing"], dtype=object),
        START + np.array([29, 60]) * HOUR_NS,
    )

    labels = life_labels(frame, events, known_until=None, horizons_hours=(2.0,))

    assert failures_ahead(frame, labels, events).first_codes.tolist()[:2] == ["seal", "seal"]
