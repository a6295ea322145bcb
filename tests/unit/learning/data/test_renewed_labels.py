"""Labels where some maintenance renews: against a plain loop, and in the words of a plant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.learning.data.failures import ConfirmedFailure, RepairRule, join_failures
from pm_app.learning.data.labels import count_failures, life_labels, renewed_lives
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, sort_events
from pm_app.times import HOUR_NS

START = 1_700_000_000 * 1_000_000_000
NEVER = 10**30
RENEWALS = ("overhaul*",)


def make_frame(cutoffs: dict[str, list[int]]) -> Frame:
    assets = tuple(sorted(cutoffs))
    hours = [hour for name in assets for hour in sorted(cutoffs[name])]
    asset = [number for number, name in enumerate(assets) for _ in cutoffs[name]]
    return Frame(
        assets=assets,
        asset=np.array(asset, dtype=np.int32),
        cutoff=START + np.array(hours, dtype=np.int64) * HOUR_NS,
        features=("load.mean",),
        sensor_of=("load",),
        values=np.zeros((len(asset), 1), dtype=np.float32),
    )


def make_events(*rows: tuple[str, float, float, str, str]) -> Events:
    """Events from (asset, since, until, kind, code), hours after the start."""
    asset, since, until, kind, code = zip(*rows, strict=True) if rows else ((),) * 5
    return sort_events(
        np.array(asset, dtype=object),
        START + np.round(np.array(until, dtype=float) * HOUR_NS).astype(np.int64),
        np.array(kind, dtype=object),
        np.array(code, dtype=object),
        START + np.round(np.array(since, dtype=float) * HOUR_NS).astype(np.int64),
    )


def labels_of(frame: Frame, *rows: tuple[str, float, float, str, str], **options) -> Labels:
    options = {"known_until": None, "renewals": RENEWALS, **options}
    return life_labels(frame, make_events(*rows), **options)


def most_closely(rows) -> list[tuple[int, int]]:
    """(time, since) by time; of one time the one that is known most closely."""
    return sorted({time: max(s for s, t in rows if t == time) for _, time in rows}.items())


class PlainLives:
    """What ends the lives of one asset, one event after another; hours."""

    def __init__(self, rows, bound):
        rows = [row[1:] for row in rows if row[2] <= bound]
        self.failures = most_closely([row[:2] for row in rows if row[2] == "failure"])
        maintained = [row for row in rows if row[2] == "maintenance"]
        renewals = most_closely([row[:2] for row in maintained if row[3].startswith("overhaul")])
        self.repaired = [
            self.repair(at, sorted(row[1] for row in maintained))
            for at in range(len(self.failures))
        ]
        self.renewals, reaches = [], list(self.repaired)
        for time, since in renewals:
            before = [f for f in range(len(self.failures)) if self.failures[f][1] <= time]
            last = max(before, key=lambda f: (self.failures[f][1], f)) if before else None
            if last is not None and since <= self.repaired[last]:
                reaches[last] = max(reaches[last], time)
            else:
                self.renewals.append((time, since))
        self.repaired = reaches

    def repair(self, at, times):
        time, since = self.failures[at]
        following = self.failures[at + 1][0] if at + 1 < len(self.failures) else NEVER
        at_once = NEVER if following == NEVER else time
        return next((max(each, time) for each in times if since <= each < following), at_once)

    def label(self, now, runs_until):
        """(duration, failed, usable, renewed, what has passed) of a row."""
        passed = [at for at, (time, _) in enumerate(self.failures) if time <= now]
        down = bool(passed) and now <= self.repaired[passed[-1]]
        renewal = min((since for time, since in self.renewals if time >= now), default=NEVER)
        gone = len(passed), sum(time < now for time, _ in self.renewals)
        ahead = self.failures[len(passed)] if len(passed) < len(self.failures) else (NEVER, NEVER)
        if ahead[1] <= renewal and ahead[0] < NEVER:
            end, failed, unclear = (ahead[0] + ahead[1]) / 2, True, ahead[1] <= now < ahead[0]
            unclear = unclear and ahead[1] < ahead[0]
        else:
            end, failed, unclear = min(runs_until, renewal), False, False
        usable = not down and end >= now and not unclear and renewal > now
        renewed = usable and not failed and renewal < NEVER
        return end - now if usable else np.nan, failed and usable, usable, renewed, gone


hours = st.integers(0, 14)
rows_of_events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "elsewhere"]),
        hours,
        st.sampled_from([0, 0, 0, 1, 4]),
        st.sampled_from(["failure", "maintenance", "maintenance", "error"]),
        st.sampled_from(["overhaul 3", "oil"]),
    ).map(lambda row: (row[0], row[1], row[1] + row[2], *row[3:])),
    max_size=9,
)


@given(
    first=st.sets(hours, min_size=1),
    second=st.sets(hours, min_size=1),
    rows=rows_of_events,
    known=st.none() | hours,
)
@settings(max_examples=150, deadline=None)
def test_labels_with_renewals_agree_with_a_plain_loop(first, second, rows, known):
    frame = make_frame({"a": list(first), "b": list(second)})
    until = None if known is None else START + known * HOUR_NS

    labels = labels_of(frame, *rows, known_until=until)

    bound = NEVER if known is None else known
    expected, lives = [], {}
    for name, cutoffs in (("a", sorted(first)), ("b", sorted(second))):
        plain = PlainLives([row for row in rows if row[0] == name], bound)
        for now in cutoffs:
            *label, gone = plain.label(now, min(max(cutoffs), bound))
            expected.append(label)
            lives[len(expected) - 1] = (name, gone)
    duration, failed, usable, renewed = zip(*expected, strict=True)
    np.testing.assert_array_equal(labels.duration_hours, np.array(duration, dtype=float))
    np.testing.assert_array_equal(labels.failed, failed)
    np.testing.assert_array_equal(labels.usable, usable)
    np.testing.assert_array_equal(labels.renewed, renewed)
    pairs = {(lives[row], int(labels.life[row])) for row in np.flatnonzero(labels.usable).tolist()}
    assert len({life for life, _ in pairs}) == len({number for _, number in pairs}) == len(pairs)


@given(rows=rows_of_events, known=hours)
@settings(deadline=None)
def test_renewals_after_what_is_known_change_nothing(rows, known):
    frame = make_frame({"a": list(range(10)), "b": list(range(5))})
    until = START + known * HOUR_NS

    labels = labels_of(frame, *rows, known_until=until)

    same = labels_of(frame, *(row for row in rows if row[2] <= known), known_until=until)
    for name in ("duration_hours", "failed", "usable", "renewed", "life"):
        np.testing.assert_array_equal(getattr(labels, name), getattr(same, name))


@given(rows=rows_of_events)
@settings(deadline=None)
def test_without_codes_that_renew_no_code_does(rows):
    frame = make_frame({"a": list(range(15)), "b": list(range(9))})
    other = [(*row[:4], "filter") for row in rows]

    found = [
        labels_of(frame, *rows, renewals=()),
        labels_of(frame, *other, renewals=()),
        labels_of(frame, *other, renewals=RENEWALS),
    ]

    for labels in found:
        assert not labels.renewed.any()
        for name in ("duration_hours", "failed", "usable", "life", "followed_hours"):
            assert getattr(labels, name).tobytes() == getattr(found[0], name).tobytes()


def test_a_life_that_a_renewal_ends_is_censored_and_the_next_one_is_another():
    frame = make_frame({"a": [0, 4, 5, 6, 8]})

    labels = labels_of(
        frame, ("a", 5, 5, "maintenance", "overhaul"), ("a", 9, 9, "failure", "seal")
    )

    # The pane that ends with the renewal holds readings of both sides.
    assert labels.usable.tolist() == [True, True, False, True, True]
    assert labels.duration_hours[labels.usable].tolist() == [5.0, 1.0, 3.0, 1.0]
    assert labels.failed.tolist() == [False, False, False, True, True]
    assert labels.renewed.tolist() == [True, True, False, False, False]
    assert labels.life[1] != labels.life[3]
    assert np.isnan(labels.fails_within(6.0)[:2]).all()
    assert labels.fails_within(4.0)[0] == 0.0


def test_no_row_survives_a_renewal_whatever_the_life_after_it_does():
    frame = make_frame({"a": list(range(0, 100, 2))})

    labels = labels_of(frame, ("a", 30, 30, "maintenance", "overhaul"))

    before = frame.cutoff < START + 30 * HOUR_NS
    assert (labels.fails_within(10.0)[before & (labels.duration_hours > 10)] == 0).all()
    assert np.isnan(labels.fails_within(10.0)[before & (labels.duration_hours <= 10)]).all()
    assert labels.duration_hours[before].max() == 30


def test_a_renewal_that_is_a_date_leaves_the_day_unknown():
    frame = make_frame({"a": [20, 23, 25, 40, 47, 49]})

    labels = labels_of(frame, ("a", 24, 48, "maintenance", "overhaul"))

    assert labels.usable.tolist() == [True, True, False, False, False, True]
    assert labels.duration_hours[:2].tolist() == [4.0, 1.0]


@pytest.mark.parametrize("day", [(0, 24), (10, 34)])
def test_a_renewal_on_the_day_of_a_failure_is_its_repair(day):
    frame = make_frame({"a": [8, 11, 14, 20, 33, 40]})
    rows = [("a", 12, 12, "failure", "seal"), ("a", 13, 13, "maintenance", "patched")]

    labels = labels_of(frame, *rows, ("a", *day, "maintenance", "overhaul"))

    assert labels.failed.tolist() == [True, True, False, False, False, False]
    assert not labels.renewed.any()
    back = day[1]
    assert labels.usable.tolist() == [True, True, *(hour > back for hour in (14, 20, 33, 40))]


def test_maintenance_that_does_not_renew_goes_on_with_the_life():
    frame = make_frame({"a": [0, 5, 9]})

    labels = labels_of(frame, ("a", 3, 3, "maintenance", "oil"), ("a", 10, 10, "failure", ""))

    assert labels.duration_hours.tolist() == [10.0, 5.0, 1.0]
    assert len(set(labels.life.tolist())) == 1


@pytest.mark.parametrize(("renewed_at", "repairs"), [(20.0, True), (52.0, True), (60.0, False)])
def test_a_renewal_soon_after_a_confirmed_verdict_is_the_repair_of_that_failure(
    renewed_at, repairs
):
    frame = make_frame({"a": list(range(0, 70, 2))})
    confirmed = ConfirmedFailure("a", *(START + hour * HOUR_NS for hour in (10, 12, 28)))
    events = make_events(
        ("a", 30, 30, "maintenance", "oil"),
        ("a", renewed_at, renewed_at, "maintenance", "overhaul"),
    )
    rule = RepairRule(RENEWALS, 24 * HOUR_NS)

    joined = join_failures(
        events, [confirmed], near_ns=HOUR_NS, known_until=START + 99 * HOUR_NS, rule=rule
    ).events
    labels = life_labels(frame, joined, known_until=None, renewals=RENEWALS)

    ended = np.unique(labels.life[labels.renewed])
    assert (len(ended), count_failures(labels)) == (0 if repairs else 1, 1)
    runs_again = frame.cutoff[labels.usable & (frame.cutoff > START + 12 * HOUR_NS)]
    assert runs_again.min() == START + round(renewed_at + 2 if repairs else 30) * HOUR_NS


def test_a_renewal_after_a_later_failure_repairs_that_one():
    frame = make_frame({"a": list(range(0, 60, 2))})
    confirmed = ConfirmedFailure("a", *(START + hour * HOUR_NS for hour in (10, 12, 14)))
    events = make_events(("a", 30, 30, "failure", "seal"), ("a", 33, 33, "maintenance", "overhaul"))
    rule = RepairRule(RENEWALS, 48 * HOUR_NS)

    joined = join_failures(
        events, [confirmed], near_ns=HOUR_NS, known_until=START + 99 * HOUR_NS, rule=rule
    ).events
    labels = life_labels(frame, joined, known_until=None, renewals=RENEWALS)

    assert count_failures(labels) == 2
    assert labels.usable[(frame.cutoff > START + 14 * HOUR_NS) & labels.failed].sum() == 7


@pytest.mark.parametrize("again", [(12.5, 12.5), (10.0, 30.0)], ids=["at once", "booked late"])
def test_a_failure_that_is_ordered_again_before_the_asset_has_run_is_one_failure(again):
    frame = make_frame({"a": [2, 6, 10, 14, 18, 40]})
    rows = [("a", 12, 12, "failure", "seal"), ("a", 13, 13, "maintenance", "overhaul")]
    once = make_events(*rows)
    twice = make_events(*rows, ("a", *again, "failure", "pump stands"))

    found = []
    for events in (once, twice):
        joined = join_failures(events, [], near_ns=0, known_until=START + 99 * HOUR_NS).events
        found.append(life_labels(frame, joined, known_until=None, renewals=RENEWALS))

    assert [count_failures(labels) for labels in found] == [1, 1]
    for name in ("duration_hours", "failed", "usable", "renewed", "life"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))


def test_what_renewals_leave_open_is_bounded_by_all_of_it_failing_and_by_none():
    frame = make_frame({"a": list(range(0, 20, 2)), "b": list(range(0, 60, 2))})
    labels = labels_of(
        frame, ("a", 20, 20, "failure", ""), ("b", 30, 30, "maintenance", "overhaul")
    )

    found = renewed_lives(labels, (8.0, 10.0))

    assert found is not None
    assert (found.lives, found.renewed, found.horizons_hours) == (3, 1, (8.0, 10.0))
    # Within 8 h: a fails in 4 of its 10 rows, b is known to live on in 11 of 15 rows before the
    # renewal (4 are open), and the rest is known until 8 h before the end.
    left = labels.duration_hours[labels.life == labels.life.max()]
    known = 10 + 11 + int((left > 8).sum())
    assert found.failing[0] == pytest.approx(4 / known)
    assert found.least[0] == pytest.approx(4 / (known + 4))
    assert found.most[0] == pytest.approx(8 / (known + 4))
    assert all(a <= b <= c for a, b, c in zip(found.least, found.failing, found.most, strict=True))


def test_where_nothing_renews_nothing_is_left_open():
    frame = make_frame({"a": [0, 2]})

    assert renewed_lives(labels_of(frame, ("a", 4, 4, "failure", "")), (8.0,)) is None
