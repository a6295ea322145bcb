"""What a database gives: each row once whatever dies, late rows, words where it is away."""

import sqlite3
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databases import crash, recover

from connectors.sql import Query, fetch, open_events, open_readings
from connectors.sql import fetching as sql_fetching
from pm_app import durable
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.settings.sources import EventsSettings, ReadingsSettings

TABLE = "CREATE TABLE readings (asset_id text, timestamp {type}, load double precision)"


class SqliteTable:
    """A table of readings in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "plant.db"
        self.uri = f"sqlite:///{self.file}"
        self.run(TABLE.format(type="text"))

    def run(self, words, *values):
        with sqlite3.connect(self.file) as database:
            database.execute(words.replace("%s", "?"), values)
        database.close()


class PostgresTable:
    """A table of readings on a server."""

    def __init__(self, address: str) -> None:
        self.uri = address
        self.run("DROP TABLE IF EXISTS readings")
        self.run(TABLE.format(type="timestamptz"))

    def run(self, words, *values):
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(words, values)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def table(request, tmp_path):
    """An empty table of readings in a database."""
    if request.param == "postgresql":
        return PostgresTable(request.getfixturevalue("postgresql")("pm_app_source"))
    return SqliteTable(tmp_path)


def add(table, minute, load, asset="p"):
    table.run("INSERT INTO readings VALUES (%s, %s, %s)", asset, f"2024-02-03 10:{minute:02}", load)


def query(table, **changes):
    asked = {"query": "SELECT * FROM readings;", "watermark": "timestamp", "lookback": "10min"}
    return Query("readings", table.uri, **{**asked, **changes})


def rows(folder):
    """Minute and load of every reading that was landed, in order of files."""
    source = open_readings(ReadingsSettings(timezone="UTC"), uri=str(folder), label_column=None)
    found = []
    for batch in sorted(source.list(), key=lambda each: each.name):
        for chunk in source.read(batch):
            minutes = chunk.readings.time // 60_000_000_000 % 60
            found += zip(minutes.tolist(), chunk.readings.values[0].tolist(), strict=True)
    return found


def test_every_row_is_landed_once_and_asking_again_lands_nothing(table, tmp_path):
    folder = tmp_path / "fetched"
    assert rows(folder) == []
    for minute in range(5):
        add(table, minute, minute / 2)

    assert fetch(query(table), folder) == 5
    before = sorted(folder.rglob("*"))
    assert fetch(query(table), folder) == 0
    assert sorted(folder.rglob("*")) == before
    add(table, 5, 2.5)
    assert fetch(query(table), folder) == 1

    assert rows(folder) == [(minute, minute / 2) for minute in range(6)]


def test_late_rows_come_within_the_look_back_alone_and_equal_stamps_are_all_seen(table, tmp_path):
    add(table, 30, 1.0)
    fetch(query(table), tmp_path / "f")
    add(table, 21, 2.0)
    add(table, 19, 3.0)
    add(table, 30, 4.0, asset="q")

    assert fetch(query(table), tmp_path / "f") == 2
    assert rows(tmp_path / "f") == [(30, 1.0), (21, 2.0), (30, 4.0)]


def test_rows_come_in_files_of_a_bound_and_looks_of_a_bound(table, tmp_path, monkeypatch):
    monkeypatch.setattr(sql_fetching, "MOST_ROWS", 3)
    for minute in range(10):
        add(table, minute, 1.0)

    counts = [fetch(query(table, lookback="1min"), tmp_path / "f", most_rows=6) for _ in range(3)]

    assert counts == [6, 4, 0]
    assert len(rows(tmp_path / "f")) == len(set(rows(tmp_path / "f"))) == 10


@pytest.mark.parametrize("step", ["write", "sync", "rename", "written"])
def test_a_fetch_that_dies_at_any_step_loses_and_repeats_nothing(
    table, tmp_path, monkeypatch, step
):
    class Died(BaseException):
        pass

    def die(at, subject):
        if at == step:
            raise Died

    for minute in range(4):
        add(table, minute, 1.0)
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(durable, "announce", die)
        fetch(query(table), tmp_path / "f")

    fetch(query(table), tmp_path / "f")

    assert rows(tmp_path / "f") == [(minute, 1.0) for minute in range(4)]


def test_what_cannot_be_asked_is_told_in_words_without_a_secret(table, tmp_path):
    with pytest.raises(SourceUnavailable, match="readings: .* cannot be asked now: .*gone"):
        fetch(query(table, query="SELECT * FROM gone"), tmp_path / "f")
    with pytest.raises(BadSettings, match="readings.query and readings.watermark"):
        fetch(query(table, watermark=None), tmp_path / "f")
    away = Query("events", "postgresql://me:secret@127.0.0.1:9/db", "SELECT 1 AS n", "n", "1h")
    with pytest.raises(SourceUnavailable, match=r"events: .*127.0.0.1:9/db cannot be") as caught:
        fetch(away, tmp_path / "f")
    assert "secret" not in str(caught.value)
    lost = Query("events", f"sqlite:///{tmp_path}/no.db", "SELECT 1 AS n", "n", "1h")
    with pytest.raises(SourceUnavailable, match="no such file"):
        fetch(lost, tmp_path / "f")
    assert not (tmp_path / "no.db").exists()


def test_whole_numbers_may_be_the_watermark_and_types_become_what_is_read(tmp_path):
    file = tmp_path / "orders.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE o (id integer, asset_id, timestamp, kind, code, cost)")
        database.executemany(
            "INSERT INTO o VALUES (?, ?, ?, ?, ?, ?)",
            [
                (1, "p", "2024-02-03 10:00:00", "failure", "seal", 5),
                (2, "p", "2024-02-04", "maintenance", None, "unknown"),
            ],
        )
    database.close()
    asked = Query("events", f"sqlite:///{file}", "SELECT * FROM o", "id", "1h")

    assert (fetch(asked, tmp_path / "f"), fetch(asked, tmp_path / "f")) == (2, 0)

    source = open_events(EventsSettings(timezone="UTC"), uri=str(tmp_path / "f"))
    (batch,) = source.list()
    events, reasons = source.read(batch)
    assert [*zip(events.kind, events.code, strict=True)] == [
        ("failure", "seal"),
        ("maintenance", ""),
    ]
    assert reasons == ()
    kinds = pq.read_schema(tmp_path / "f" / batch.name)
    assert (kinds.field("id").type, kinds.field("cost").type) == (pa.int64(), pa.string())


@pytest.mark.server
def test_a_server_that_crashes_loses_and_repeats_no_reading(
    postgresql_server, postgresql, tmp_path
):
    table = PostgresTable(postgresql("pm_app_source_crash"))
    add(table, 1, 1.0)
    fetch(query(table), tmp_path / "f")
    add(table, 2, 2.0)
    crash(postgresql_server)
    try:
        with pytest.raises(SourceUnavailable, match="readings: .* cannot be asked now"):
            fetch(query(table), tmp_path / "f")
    finally:
        recover(postgresql_server)

    assert fetch(query(table), tmp_path / "f") == 1
    assert rows(tmp_path / "f") == [(1, 1.0), (2, 2.0)]
