"""What every database must do with the ledger of batches."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.store import Balance, BatchRow, ledger
from pm_app.store.moments import Moment, moment_of, moment_text, nanoseconds_of

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def make_batch(number: int = 1, **changes) -> BatchRow:
    batch = BatchRow(
        source="readings",
        name=f"{number:03d}.parquet",
        digest=f"digest-{number}",
        size_bytes=5_000_000_000 + number,
        modified_ns=1_772_323_200_123_456_789,
        rows=100,
        rejected=2,
        status="ingested",
        ingested_at=DAY,
        reason="2 rows without a time",
        first_time=DAY + timedelta(hours=number),
        last_time=DAY + timedelta(hours=number + 1),
        segments=(f"segment-{number}",),
    )
    return replace(batch, **changes)


def test_a_batch_reads_back_as_it_was_noted(store):
    sequence = store.ledger.record_batch(make_batch())

    assert store.ledger.batches() == [replace(make_batch(), sequence=sequence)]
    assert store.ledger.find_digest("readings", "digest-1").sequence == sequence
    assert store.ledger.find_digest("events", "digest-1") is None


def test_noting_the_same_file_twice_changes_nothing(store):
    first = store.ledger.record_batch(make_batch())

    second = store.ledger.record_batch(make_batch(ingested_at=DAY + timedelta(days=1)))

    assert second == first
    assert store.ledger.batches() == [replace(make_batch(), sequence=first)]


def test_sequences_follow_the_order_of_ingestion(store):
    sequences = [store.ledger.record_batch(make_batch(number)) for number in (3, 1, 2)]

    assert sequences == sorted(sequences)
    assert [batch.name for batch in store.ledger.batches(limit=2)] == ["002.parquet", "001.parquet"]
    assert [batch.sequence for batch in store.ledger.unscored_batches()] == sequences
    assert [batch.sequence for batch in store.ledger.ingested_batches("readings")] == sequences


def test_the_same_content_under_another_name_is_a_duplicate(store):
    first = store.ledger.record_batch(make_batch())

    for name in ("copy.parquet", "again.parquet"):
        store.ledger.record_batch(make_batch(name=name, reason=""))

    duplicates = store.ledger.batches(status="duplicate")
    assert [batch.name for batch in duplicates] == ["again.parquet", "copy.parquet"]
    assert {(batch.rows, batch.segments) for batch in duplicates} == {(0, ())}
    assert {batch.reason for batch in duplicates} == {"same content as 001.parquet"}
    assert store.ledger.find_digest("readings", "digest-1").sequence == first
    assert [batch.sequence for batch in store.ledger.unscored_batches()] == [first]


def test_the_same_bytes_may_come_from_both_sources(store):
    store.ledger.record_batch(make_batch())
    store.ledger.record_batch(make_batch(source="events"))

    assert [batch.status for batch in store.ledger.batches()] == ["ingested", "ingested"]


def test_every_noted_file_is_seen_whatever_became_of_it(store):
    store.ledger.record_batch(make_batch(1))
    store.ledger.record_batch(make_batch(2, status="quarantined", reason="no column 'timestamp'"))
    store.ledger.record_batch(make_batch(3, digest="digest-1"))
    store.ledger.record_batch(make_batch(4, source="events"))

    seen = store.ledger.seen("readings")

    assert seen == {
        (f"{n:03d}.parquet", 5_000_000_000 + n, 1_772_323_200_123_456_789) for n in (1, 2, 3)
    }


def test_quarantined_batches_are_listed_with_their_reason_and_never_scored(store):
    reason = "a.parquet: column 'timestamp' must be a time, got 'x'"
    store.ledger.record_batch(
        make_batch(status="quarantined", reason=reason, first_time=None, last_time=None)
    )

    assert [batch.reason for batch in store.ledger.batches(status="quarantined")] == [reason]
    assert store.ledger.unscored_batches() == []


def test_what_came_after_a_batch_is_what_was_ingested_later_and_reaches_back_that_far(store):
    first = store.ledger.record_batch(make_batch(5))
    for number, changes in (
        (3, {}),
        (9, {}),
        (2, {"status": "quarantined"}),
        (4, {"source": "events"}),
    ):
        store.ledger.record_batch(make_batch(number, **changes))

    def names(sequence, hours):
        until = DAY + timedelta(hours=hours)
        return [row.name for row in store.ledger.ingested_after("readings", sequence, until=until)]

    assert names(0, 9) == ["005.parquet", "003.parquet", "009.parquet"]
    assert names(first, 9) == ["003.parquet", "009.parquet"]
    assert names(first, 8.9) == ["003.parquet"]
    assert names(first, 2.9) == []


def test_the_newest_batch_of_a_source_is_the_last_one_that_was_ingested(store):
    assert store.ledger.newest_batch("readings") is None
    store.ledger.record_batch(make_batch(5))
    second = store.ledger.record_batch(make_batch(3))
    store.ledger.record_batch(make_batch(6, status="quarantined"))
    store.ledger.record_batch(make_batch(7, source="events"))

    assert store.ledger.newest_batch("readings").sequence == second
    assert store.ledger.digests([second, second + 100]) == {second: "digest-3"}
    assert store.ledger.digests([]) == {}


def test_batches_overlapping_a_span_include_its_ends(store):
    for number in (1, 3, 5):
        store.ledger.record_batch(make_batch(number))
    store.ledger.record_batch(make_batch(7, status="quarantined"))

    def names(first, last):
        found = store.ledger.batches_overlapping(
            "readings", DAY + timedelta(hours=first), DAY + timedelta(hours=last)
        )
        return [batch.name[:3] for batch in found]

    assert names(4, 5) == ["003", "005"]
    assert names(2.5, 2.9) == []
    assert names(0, 100) == ["001", "003", "005"]


def test_the_newest_time_is_that_of_what_was_ingested(store):
    assert store.ledger.newest_time("readings") is None

    store.ledger.record_batch(make_batch(2))
    store.ledger.record_batch(make_batch(1))
    store.ledger.record_batch(make_batch(9, status="quarantined"))
    store.ledger.record_batch(make_batch(8, source="events"))

    assert store.ledger.newest_time("readings") == DAY + timedelta(hours=3)
    assert store.ledger.newest_time("events") == DAY + timedelta(hours=9)


def test_only_the_named_batches_become_scored(store, monkeypatch):
    monkeypatch.setattr(ledger, "SEQUENCES_PER_STATEMENT", 2)
    sequences = [store.ledger.record_batch(make_batch(number)) for number in range(6)]
    store.scores.commit_scores(sequences[:-1], [], scored_at=DAY + timedelta(days=1))

    store.scores.commit_scores(sequences, [], scored_at=DAY + timedelta(days=2))

    scored = [batch.scored_at for batch in store.ledger.batches(limit=2)]
    assert scored == [DAY + timedelta(days=2), DAY + timedelta(days=1)]
    assert store.ledger.unscored_batches() == []


moments = st.integers(0, 2**53).map(lambda microseconds: moment_of(1000 * microseconds))


@given(first=moments, second=moments)
def test_stored_texts_sort_as_their_times(first, second):
    assert (moment_text(first) < moment_text(second)) == (first < second)
    assert datetime.fromisoformat(moment_text(first)) == first


@given(nanoseconds=st.integers(-(2**62), 2**62))
def test_nanoseconds_round_down_to_the_microsecond_and_come_back(nanoseconds):
    back = nanoseconds_of(moment_of(nanoseconds))

    assert back == nanoseconds // 1000 * 1000


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="must be aware"):
        Moment().process_bind_param(datetime(2026, 1, 1), dialect=None)  # noqa: DTZ001  # the point


def test_rows_of_all_files_are_added_up(store):
    assert store.ledger.balance() == Balance(0, 0)
    for number in range(3):
        store.ledger.record_batch(make_batch(number))
    store.ledger.record_batch(
        make_batch(7, digest="digest-1", rejected=0)
    )  # a duplicate carries no rows

    assert store.ledger.balance() == Balance(300, 6)
