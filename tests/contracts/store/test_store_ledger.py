"""What every database must do with the ledger of batches."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from pm_app.records.readings import AssetSpans, Batch
from pm_app.store import BatchRow, LedgerBalance, open_store
from pm_app.store.dialects.sqlite import moment_text
from pm_app.store.ledger import file_hashes, ledger
from pm_app.store.ledger.file_hashes import FileHashes
from pm_app.store.schema.types import Moment
from pm_app.times import to_moment, to_nanoseconds

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


def listed(*rows: BatchRow) -> list[Batch]:
    """Files as a source lists them, by the rows they were noted in."""
    return [Batch(row.name, row.size_bytes, row.modified_ns) for row in rows]


def unseen(store, source, *rows):
    return [batch.name[:3] for batch in store.ledger.new_files(source, listed(*rows))]


def test_every_noted_file_is_seen_whatever_became_of_it(store):
    readings = [
        make_batch(1),
        make_batch(2, status="quarantined", reason="no column 'timestamp'"),
        make_batch(3, digest="digest-1"),
    ]
    for row in (*readings, make_batch(4, source="events")):
        store.ledger.record_batch(row)

    others = [make_batch(4), make_batch(1, size_bytes=1), make_batch(2, modified_ns=1)]
    assert unseen(store, "readings", *readings) == []
    assert unseen(store, "readings", others[0], *readings, *others[1:]) == ["004", "001", "002"]
    assert unseen(store, "events", readings[0], make_batch(4)) == ["001"]


def test_what_was_seen_is_caught_up_with_as_files_come_and_may_come_again(store, store_url):
    rows = [make_batch(number) for number in range(5)]
    bad = make_batch(5, status="quarantined")

    assert unseen(store, "readings", *rows, bad) == ["000", "001", "002", "003", "004", "005"]
    for row in (rows[3], bad, rows[0]):
        store.ledger.record_batch(row)
    assert unseen(store, "readings", *rows, bad) == ["001", "002", "004"]
    store.ledger.record_batch(rows[2])
    with open_store(store_url) as another:
        another.ledger.release()
    assert unseen(store, "readings", *rows, bad) == ["001", "004", "005"]
    store.ledger.record_batch(bad)
    assert unseen(store, "readings", *rows, bad) == ["001", "004"]


@settings(max_examples=20, deadline=None)
@given(
    noted=st.lists(st.sets(st.integers(0, 60)), max_size=4),
    asked_at_once=st.integers(1, 70),
)
def test_what_is_unseen_is_what_no_row_names_however_it_is_asked(noted, asked_at_once):
    memory = FileHashes()
    rows = [make_batch(number) for number in range(61)]
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(file_hashes, "ASKED_AT_ONCE", asked_at_once)
        with open_store(f"sqlite:///{folder}/pm.sqlite") as store:
            for numbers in noted:
                for number in numbers:
                    store.ledger.record_batch(rows[number])
                with store._database.reading() as connection:
                    hashes = memory.catch_up(connection)
                left = [
                    b.name for b in file_hashes.new_files(hashes, "readings", iter(listed(*rows)))
                ]
                there = {row.name for row in store.ledger.batches()}
                assert left == [row.name for row in rows if row.name not in there]


def test_files_are_counted_by_source_and_status(store):
    assert store.ledger.count() == store.ledger.count_unscored() == 0
    for number in range(3):
        store.ledger.record_batch(make_batch(number))
    store.ledger.record_batch(make_batch(3, status="quarantined"))
    store.ledger.record_batch(make_batch(4, source="events"))

    assert (store.ledger.count(), store.ledger.count("readings")) == (5, 4)
    assert store.ledger.count(status="quarantined") == 1
    assert store.ledger.count_unscored() == 4


def test_files_are_settled_in_order_once_so_many_came_long_enough_ago(store):
    for number in range(4):
        came = DAY + timedelta(hours=number)
        store.ledger.record_batch(make_batch(number, ingested_at=came))
    store.ledger.record_batch(make_batch(8, source="events"))
    store.ledger.record_batch(make_batch(9, status="quarantined"))

    def names(count, hours):
        before = DAY + timedelta(hours=hours)
        return [row.name[:3] for row in store.ledger.unsettled(count, before=before)]

    assert names(5, 99) == names(3, 1.9) == []
    assert names(3, 2) == ["000", "001", "002"]
    first = store.ledger.unsettled(2, before=DAY + timedelta(hours=9))
    store.ledger.settle(first, joined="joined-1")
    assert names(2, 9) == ["002", "003"]
    store.ledger.settle(store.ledger.unsettled(1, before=DAY + timedelta(hours=9)), joined=None)
    segments = [row.segments for row in store.ledger.ingested_batches("readings")]
    assert segments == [("joined-1",), ("joined-1",), ("segment-2",), ("segment-3",)]


class LedgerQueries:
    """Every question that is put to a database, with how it means to answer."""

    def __init__(self, store):
        self.database = store._database
        self.questions = []
        event.listen(self.database.engine, "before_cursor_execute", self._hear)

    def _hear(self, connection, cursor, statement, parameters, context, many):
        self.questions.append((statement, parameters))

    def plans(self):
        """The steps of every plan that touch the ledger, tables whole only where they must be."""
        explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}
        event.remove(self.database.engine, "before_cursor_execute", self._hear)
        with self.database.reading() as connection:
            if self.database.engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            for statement, parameters in self.questions:
                if statement.startswith(("SELECT", "UPDATE")):
                    prefix = explain[self.database.engine.dialect.name]
                    for step in connection.exec_driver_sql(prefix + statement, parameters):
                        yield statement, str(step[-1])


QUESTIONS = {
    "which files are new": lambda ledger: list(ledger.new_files("readings", [])),
    "whose content this is": lambda ledger: ledger.find_digest("readings", "digest-1"),
    "what it came under": lambda ledger: ledger.names_of("readings", "digest-1"),
    "what others have refused": lambda ledger: ledger.release("readings", other_reader="x"),
    "what waits": lambda ledger: ledger.unscored_batches(),
    "how much waits": lambda ledger: ledger.count_unscored(),
    "how much is set aside": lambda ledger: ledger.count(status="quarantined"),
    "what lies there": lambda ledger: ledger.batches_overlapping("readings", DAY, DAY),
    "all of a source": lambda ledger: ledger.ingested_batches("events"),
    "the newest": lambda ledger: ledger.newest_batch("readings"),
    "what came since": lambda ledger: ledger.ingested_after("readings", 1, until=DAY),
    "until when": lambda ledger: ledger.newest_time("readings"),
    "until when it is said": lambda ledger: ledger.newest_time("readings", scored=True),
    "until when it was": lambda ledger: ledger.newest_time("readings", ingested_until=DAY),
    "what is to be joined": lambda ledger: ledger.unsettled(1, before=DAY),
    "a new row": lambda ledger: ledger.record_batch(make_batch(2)),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_no_question_of_a_look_reads_the_whole_ledger(store, ask):
    store.ledger.record_batch(make_batch())
    list(store.ledger.new_files("readings", []))
    asked = LedgerQueries(store)
    ask(store.ledger)

    steps = list(asked.plans())
    whole = [step for step in steps if step[1] in ("SCAN batches", "SCAN TABLE batches")]
    whole += [step for step in steps if "Seq Scan on batches" in step[1]]
    assert steps
    assert whole == []


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
    store.writer.commit_scores(sequences[:-1], [], scored_at=DAY + timedelta(days=1))

    store.writer.commit_scores(sequences, [], scored_at=DAY + timedelta(days=2))

    scored = [batch.scored_at for batch in store.ledger.batches(limit=2)]
    assert scored == [DAY + timedelta(days=2), DAY + timedelta(days=1)]
    assert store.ledger.unscored_batches() == []


moments = st.integers(0, 2**53).map(lambda microseconds: to_moment(1000 * microseconds))


@given(first=moments, second=moments)
def test_stored_texts_sort_as_their_times(first, second):
    assert (moment_text(first) < moment_text(second)) == (first < second)
    assert datetime.fromisoformat(moment_text(first)) == first


@given(nanoseconds=st.integers(-(2**62), 2**62))
def test_nanoseconds_round_down_to_the_microsecond_and_come_back(nanoseconds):
    back = to_nanoseconds(to_moment(nanoseconds))

    assert back == nanoseconds // 1000 * 1000


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="must be aware"):
        Moment().process_bind_param(datetime(2026, 1, 1), dialect=None)  # noqa: DTZ001  # the point


def test_rows_of_all_files_are_added_up(store):
    assert store.ledger.balance() == LedgerBalance(0, 0)
    for number in range(3):
        store.ledger.record_batch(make_batch(number))
    store.ledger.record_batch(
        make_batch(7, digest="digest-1", rejected=0)
    )  # a duplicate carries no rows

    assert store.ledger.balance() == LedgerBalance(300, 6)


def spans_of(*rows: tuple[str, int, int]) -> AssetSpans:
    """From asset, and first and last hour since DAY; nanoseconds."""
    assets, first, last = zip(*sorted(rows), strict=True)
    start, hour = to_nanoseconds(DAY), 3_600_000_000_000
    return AssetSpans(assets, start + hour * np.array(first), start + hour * np.array(last))


def test_the_first_and_last_reading_of_an_asset_are_those_of_all_files(store):
    store.ledger.record_batch(make_batch(1), spans=spans_of(("a", 5, 9), ("b", 5, 9)))
    store.ledger.record_batch(make_batch(2), spans=spans_of(("b", 6, 8), ("c", 1, 2), ("a", 3, 11)))

    hours = {name: (DAY + timedelta(hours=at)) for name, at in {"a": 3, "b": 5, "c": 1}.items()}
    assert store.ledger.first_seen() == hours
    hours = {name: (DAY + timedelta(hours=at)) for name, at in {"a": 11, "b": 9, "c": 2}.items()}
    assert store.ledger.last_seen() == hours


def test_a_file_of_many_assets_takes_as_many_statements_as_one_of_few(store):
    statements = []
    event.listen(
        store.writer.database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_rest: statements.append(statement),
    )
    taken = []
    for number, assets in enumerate((3, 3000, 3, 3000)):
        # Each again, later: what is known then is widened.
        rows = ((f"asset-{at:04d}", number, number + 1) for at in range(assets))
        store.ledger.record_batch(make_batch(number), spans=spans_of(*rows))
        taken.append(len(statements) - sum(taken))

    assert len(set(taken)) == 1
