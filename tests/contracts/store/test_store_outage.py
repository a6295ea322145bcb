"""A PostgreSQL that goes away, at whatever instant: StoreUnavailable, then all as it should be."""

import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from databases import crash, recover

from pm_app.durable import INSTANT
from pm_app.errors import StoreUnavailable
from pm_app.store import BatchRow, open_store
from pm_app.store.database.connection import connect

DAY = datetime(2026, 3, 1, tzinfo=UTC)
_hooks = []
_hooked = []


def _listen(event, arguments):
    if event == INSTANT:
        for hook in tuple(_hooks):
            hook(*arguments)


@contextmanager
def at_instant(step, action):
    """Do something once, when the store announces this step."""
    if not _hooked:
        _hooked.append(sys.addaudithook(_listen))
    done = []

    def hook(announced, subject):
        if announced == step and not done:
            done.append(subject)
            action()

    _hooks.append(hook)
    try:
        yield done
    finally:
        _hooks.remove(hook)


@pytest.fixture
def store(migrated_postgresql):
    with open_store(migrated_postgresql) as store:
        yield store


@pytest.fixture
def end_sessions(migrated_postgresql):
    """Ends every session of the application, as an administrator or a failing server does."""

    def end():
        with psycopg.connect(migrated_postgresql, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'pm-app' AND datname = current_database()"
            )

    return end


def everything(store):
    tables = [*store.tables.predictions(), *store.tables.superseded()]
    rows = [row for table in tables for row in table.to_pylist()]
    return rows, store.ledger.batches()


def make_batch():
    return BatchRow("readings", "1.parquet", "d1", 10, 1, 5, 0, "ingested", DAY)


def risks(assets, risk):
    return {(f"pump-{number:04d}", DAY, 24.0): risk for number in range(assets)}


def test_a_session_that_ends_before_the_commit_leaves_nothing_and_the_next_call_works(
    store, end_sessions, make_predictions
):
    chunk = make_predictions(risks(50, 0.5))
    with at_instant("commit", end_sessions) as done, pytest.raises(StoreUnavailable):
        store.writer.commit_predictions([chunk], scored_at=DAY)
    assert done
    assert everything(store) == ([], [])

    assert store.writer.commit_predictions([chunk], scored_at=DAY).new == 50
    assert len(everything(store)[0]) == 50


def test_a_session_that_ends_in_the_middle_of_a_bulk_load_leaves_nothing(
    store, end_sessions, make_predictions
):
    first, second = make_predictions(risks(3000, 0.5)), make_predictions(risks(10, 0.9))

    def chunks():
        yield first
        end_sessions()
        yield second

    with pytest.raises(StoreUnavailable):
        store.writer.commit_predictions(chunks(), scored_at=DAY)

    assert everything(store) == ([], [])
    assert store.writer.commit_predictions([first], scored_at=DAY).new == 3000


def test_a_session_that_ends_while_rows_are_copied_is_no_error_of_the_driver(
    store, end_sessions, make_predictions, monkeypatch
):
    chunk, write_row = make_predictions(risks(20_000, 0.5)), psycopg.Copy.write_row
    written = []

    def torn(copy, row):
        written.append(1)
        if len(written) == 5000:
            end_sessions()
        write_row(copy, row)

    monkeypatch.setattr(psycopg.Copy, "write_row", torn)
    with pytest.raises(StoreUnavailable):
        store.writer.commit_predictions([chunk], scored_at=DAY)

    assert everything(store) == ([], [])
    assert store.writer.commit_predictions([chunk], scored_at=DAY).new == 20_000


def test_an_answer_that_is_lost_after_the_commit_makes_nothing_double(
    store, end_sessions, make_predictions
):
    chunk = make_predictions(risks(50, 0.5))
    sequence = store.ledger.record_batch(make_batch())

    def lost():
        raise StoreUnavailable("the answer never came")

    with at_instant("committed", lost), pytest.raises(StoreUnavailable):
        store.writer.commit_scores([sequence], [chunk], scored_at=DAY)
    before = everything(store)
    again = store.writer.commit_scores([sequence], [chunk], scored_at=DAY)

    assert (again.new, again.revised, again.unchanged) == (0, 0, 50)
    assert everything(store) == before
    with at_instant("committed", lost), pytest.raises(StoreUnavailable):
        store.ledger.record_batch(make_batch())
    assert store.ledger.record_batch(make_batch()) == sequence


def test_sessions_that_ended_while_idle_are_not_noticed_by_the_next_call(store, end_sessions):
    store.ledger.record_batch(make_batch())
    end_sessions()

    assert len(store.ledger.batches()) == 1


def test_a_server_that_lost_its_power_is_found_again(store, make_predictions, postgresql_server):
    chunk = make_predictions(risks(50, 0.5))

    with at_instant("commit", lambda: crash(postgresql_server)):
        with pytest.raises(StoreUnavailable):
            store.writer.commit_predictions([chunk], scored_at=DAY)
        with pytest.raises(StoreUnavailable, match="pgserver|postgresql"):
            store.ledger.batches()
    recover(postgresql_server)

    assert everything(store) == ([], [])
    assert store.writer.commit_predictions([chunk], scored_at=DAY).new == 50


def test_the_application_names_itself_notices_silence_and_lets_an_address_say_otherwise():
    query = connect("postgresql://u@host/db?keepalives_idle=5").engine.url.query

    assert query["keepalives_idle"] == "5"
    assert (query["tcp_user_timeout"], query["application_name"]) == ("60000", "pm-app")
    assert "synchronous_commit=on" in query["options"]
