"""What every database must tell people of the files that came and of who is silent."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from pm_app.store import BatchRow
from pm_app.store.ledger.pages import BATCHES_SCHEMA, SilentAsset
from pm_app.store.schema.ledger import assets

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def hour(number: float) -> datetime:
    return DAY + timedelta(hours=number)


def batch(number: int, **changes) -> BatchRow:
    values = {
        "source": "readings",
        "name": f"{number}.parquet",
        "digest": f"{number:064d}",
        "size_bytes": 10,
        "modified_ns": number,
        "rows": 100,
        "rejected": 0,
        "status": "ingested",
        "ingested_at": hour(number),
        "first_time": hour(number - 2),
        "last_time": hour(number - 1),
        "segments": (f"segment-{number}",),
    }
    return BatchRow(**(values | changes))


@pytest.fixture
def pages(store):
    """Nine files: the third was refused, of the sixth some rows, the last are of events."""
    for number in range(1, 10):
        changes = {}
        if number == 3:
            changes = {"status": "quarantined", "rows": 0, "reason": "not Parquet: 'x'"}
            changes |= {"first_time": None, "last_time": None, "segments": ()}
        if number == 6:
            changes = {"rejected": 7, "reason": '7 rows: column "flow": got "=cmd"'}
        if number > 7:
            changes = {"source": "events"}
        store.ledger.record_batch(batch(number, **changes))
    return store.ledger_pages


def numbers(rows) -> list[int]:
    return [int(row.name.partition(".")[0]) for row in rows]


def test_files_come_newest_first_page_by_page_without_gap_or_double(pages):
    first = pages.page("all", limit=4)
    second = pages.page("all", limit=4, before=first[-1].sequence)
    third = pages.page("all", limit=4, before=second[-1].sequence)

    assert numbers([*first, *second, *third]) == [*range(9, 0, -1)]


@pytest.mark.parametrize(
    ("show", "found"), [("all", [*range(9, 0, -1)]), ("refused", [6, 3]), ("quarantined", [3])]
)
def test_only_what_was_asked_for_is_shown_and_exported(pages, show, found):
    rows = pages.page(show, limit=20)
    exported = [row for table in pages.tables(show, rows_per_chunk=2) for row in table.to_pylist()]

    assert numbers(rows) == found
    assert [row["sequence"] for row in exported] == [row.sequence for row in rows]
    assert [row["reason"] for row in exported] == [row.reason for row in rows]
    assert [row["ingested_at"] for row in exported] == [row.ingested_at for row in rows]


def test_an_export_has_one_schema_whatever_is_missing(pages):
    tables = list(pages.tables("quarantined"))

    assert [table.schema for table in tables] == [BATCHES_SCHEMA]
    assert list(pages.tables("all", rows_per_chunk=4))[0].schema == BATCHES_SCHEMA


def test_the_newest_file_is_the_newest_one_of_readings(pages, store):
    assert pages.newest().name == "7.parquet"
    assert pages.newest_scored() is None

    scored = [row.sequence for row in store.ledger.ingested_batches("readings")][:3]
    store.writer.commit_scores(scored, [], scored_at=hour(30))
    assert pages.newest_scored() == hour(30)


def test_the_longest_silence_comes_first(pages, store):
    with store._database.writing() as connection:
        for name, last in (("b", 1), ("a", 1), ("c", 5), ("d", 9)):
            row = {"asset_id": name, "first_time": hour(0), "last_time": hour(last)}
            connection.execute(insert(assets).values(row))

    assert pages.silent(hour(9), limit=2) == [
        SilentAsset("a", hour(1)),
        SilentAsset("b", hour(1)),
    ]
    assert pages.count_silent(hour(9)) == (3, 4)


def test_assets_are_counted_by_what_is_said_of_them_now(pages, store, make_predictions):
    risks = {("a", hour(1), 72.0): 0.5, ("a", hour(2), 72.0): None, ("a", hour(2), 24.0): 0.1}
    risks |= {("b", hour(2), 72.0): 0.5, ("c", hour(1), 72.0): 0.4}
    store.writer.commit_predictions([make_predictions(risks)], scored_at=hour(3))

    assert pages.statuses() == {"machine_off": 1, "scored": 2}


def test_an_empty_store_has_nothing_to_tell(store):
    assert store.ledger_pages.page("all", limit=5) == []
    assert list(store.ledger_pages.tables("all")) == []
    assert store.ledger_pages.newest() is None
    assert store.ledger_pages.statuses() == {}
    assert store.ledger_pages.count_silent(DAY) == (0, 0)
