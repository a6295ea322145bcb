"""Opening the store: addresses, migrations, and what is said when it does not open."""

import ast
import re
import sqlite3
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, event, text

from pm_app.errors import BadSettings, StoreUnavailable, TerminalError
from pm_app.store import BatchRow, open_reader, open_store
from pm_app.store.database.connection import connect
from pm_app.store.database.migrate import MIGRATIONS, migrate
from pm_app.store.dialects.sqlite import network_filesystem
from pm_app.store.schema.predictions import REVISION, metadata

DAY = datetime(2026, 3, 1, tzinfo=UTC)
PREDICTION_TABLES = {"predictions": 2, "prediction_history": 1, "latest_predictions": 2}
DEFINITIONS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'ale%'",
    "postgresql": """
        SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT table_name || '.' || column_name,
            concat_ws(' ', data_type, collation_name, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
        UNION ALL SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'
    """,
}


def make_batch() -> BatchRow:
    return BatchRow("readings", "1.parquet", "d1", 10, 1, 5, 0, "ingested", DAY)


def definitions(store) -> dict[str, str]:
    """What the database itself says of its tables, but for Alembic's own."""
    with store._database.reading() as connection:
        found = connection.execute(text(DEFINITIONS[store._database.engine.dialect.name])).all()
    return {
        # A column added later leaves other blanks behind than one that was always there.
        name: re.sub(r" (?=[,)])|(?<=\() ", "", " ".join(sql.replace('"', "").split()))
        for name, sql in found
        if not name.startswith("alembic")
    }


def _unless_json(context, inspected, column, *_):
    return False if isinstance(column.type, JSON) else None


def test_migrating_from_empty_gives_the_schema_the_code_speaks(empty_url):
    with open_store(empty_url) as store:
        with store._database.reading() as connection:
            # PostgreSQL has no equality of JSON to compare defaults by; definitions hold them.
            options = {"compare_type": True, "compare_server_default": _unless_json}
            context = MigrationContext.configure(connection, opts=options)

            assert compare_metadata(context, metadata) == []

        migrated = definitions(store)
        with store._database.writing() as connection:
            metadata.drop_all(connection)
            metadata.create_all(connection)

        assert migrated == definitions(store)
        assert len(migrated) > 10


def test_the_code_names_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


@pytest.fixture
def first_schema(empty_url, monkeypatch):
    """The address of a database that an older program has made, with a row in each table."""
    monkeypatch.setattr("pm_app.store.opening.migrate", partial(migrate, revision="0001"))
    columns = (
        "asset_id, cutoff, horizon_hours, status, risk, top_sensors, model_version, revision, "
        "scored_at"
    )
    moment = "'2026-03-01T00:00:00.000000Z'"
    with open_store(empty_url) as store, store._database.writing() as connection:
        for table, revision in PREDICTION_TABLES.items():
            connection.execute(
                text(
                    f"INSERT INTO {table} ({columns}) VALUES ('pump-1', {moment}, 24, 'scored', "
                    f"0.{revision}, 'load 40 %', 3, {revision}, {moment})"
                )
            )
    monkeypatch.undo()
    return empty_url


def test_a_database_of_the_first_schema_is_upgraded_and_keeps_its_rows(
    first_schema, make_predictions
):
    with open_store(first_schema) as store:
        tables = [
            *store.tables.predictions(),
            *store.tables.superseded(),
            store.tables.latest_predictions(),
        ]
        migrated = definitions(store)

        assert [table["risk"].to_pylist() for table in tables] == [[0.2], [0.1], [0.2]]
        assert [table["attention"].to_pylist() for table in tables] == [[""]] * 3
        assert [table["extrapolated"].to_pylist() for table in tables] == [[None]] * 3
        assert [table["mode_sensors"].to_pylist() for table in tables] == [[None]] * 3
        assert [table["deviation"].to_pylist() for table in tables] == [[None]] * 3
        assert [table["normal_version"].to_pylist() for table in tables] == [[0]] * 3
        assert [table["cutoff"].to_pylist() for table in tables] == [[DAY]] * 3

        chunk = make_predictions({("pump-1", DAY, 24.0): 0.5}, attention="load 40 %")
        store.writer.commit_predictions([chunk], scored_at=DAY)
        (latest,) = store.tables.latest_predictions().to_pylist()

        assert (latest["revision"], latest["attention"]) == (3, "load 40 %")
        assert (latest["extrapolated"], latest["mode"]) == (0.125, None)

        with store._database.writing() as connection:
            metadata.drop_all(connection)
            metadata.create_all(connection)

        assert migrated == definitions(store)


REVISIONS = [f"{number:04}" for number in range(1, int(REVISION))]
# The others take as long again, and differ from these in a table or two.
QUICK = {"0001", "0008", "0013", "0017"}


@pytest.mark.parametrize(
    "revision", [r if r in QUICK else pytest.param(r, marks=pytest.mark.slow) for r in REVISIONS]
)
def test_a_database_of_every_schema_there_was_is_brought_to_the_newest(
    tmp_path, monkeypatch, revision
):
    """A row of predictions goes along; what an older program left is what its migrations made."""
    url = f"sqlite:///{tmp_path / 'pm.sqlite'}"
    monkeypatch.setattr("pm_app.store.opening.migrate", partial(migrate, revision=revision))
    open_store(url).close()
    columns = "asset_id, cutoff, horizon_hours, status, risk, top_sensors, model_version, revision"
    moment = "2026-03-01T00:00:00.000000Z"
    with sqlite3.connect(tmp_path / "pm.sqlite") as database:
        database.execute(
            f"INSERT INTO predictions ({columns}, scored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ("pump-1", moment, 24, "scored", 0.5, "load 40 %", 3, 1, moment),
        )
    monkeypatch.undo()

    with open_store(url) as store:
        migrated = definitions(store)
        (kept,) = [row for table in store.tables.predictions() for row in table.to_pylist()]
        with store._database.writing() as connection:
            metadata.drop_all(connection)
            metadata.create_all(connection)

        assert migrated == definitions(store)
        assert (kept["asset_id"], kept["cutoff"], kept["risk"]) == ("pump-1", DAY, 0.5)


def test_an_older_program_refuses_a_newer_database_and_says_what_to_do(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'pm.sqlite'}"
    open_store(url).close()
    with sqlite3.connect(tmp_path / "pm.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '0999'")

    with pytest.raises(TerminalError, match="holds schema 0999, this program knows up to") as told:
        open_store(url)

    assert "a newer pm-app has written it: upgrade this one" in str(told.value)
    with sqlite3.connect(tmp_path / "pm.sqlite") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == ("0999",)


KILLED = """
import os, sys
from sqlalchemy import Engine, event
from pm_app.store import open_store

@event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *_):
    if "ADD COLUMN likeliest_mode" in statement:
        os._exit(9)

open_store(sys.argv[1])
"""


@pytest.mark.slow
def test_a_process_killed_in_the_middle_of_a_migration_leaves_the_schema_before(first_schema):
    command = [sys.executable, "-c", KILLED, first_schema]

    killed = subprocess.run(command, check=False, timeout=60)

    assert killed.returncode == 9
    with pytest.raises(StoreUnavailable, match=f"must hold schema {REVISION}, got 0001"):
        open_reader(first_schema)
    with open_store(first_schema) as store:
        assert store.tables.latest_predictions()["mode"].to_pylist() == [None]
        assert store.alarms.alarms() == []


def test_a_reader_leaves_an_older_schema_to_those_who_write(first_schema):
    with pytest.raises(StoreUnavailable, match=f"must hold schema {REVISION}, got 0001"):
        open_reader(first_schema)


def test_opening_twice_keeps_what_is_there(empty_url):
    for number in range(2):
        with open_store(empty_url) as store:
            assert store.ledger.count("readings") == number
            store.ledger.record_batch(make_batch())


def test_several_may_open_an_empty_store_at_once(empty_url):
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: open_store(empty_url), range(4)))

    assert [store.lineage.champion() for store in stores] == [None] * 4
    for store in stores:
        store.close()


def test_opening_waits_for_another_that_has_begun_to_make_the_file(tmp_path, monkeypatch):
    other = sqlite3.connect(tmp_path / "pm.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        other.rollback()

    monkeypatch.setattr("pm_app.store.dialects.sqlite.time.sleep", wait)

    with open_store(f"sqlite:///{tmp_path / 'pm.sqlite'}") as store:
        assert store.lineage.champion() is None
    assert len(waits) == 1


def test_a_store_of_a_newer_program_is_left_alone(empty_url):
    with open_store(empty_url) as store, store._database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(TerminalError, match="holds schema 9999"):
        open_store(empty_url)
    with pytest.raises(StoreUnavailable, match=f"must hold schema {REVISION}, got 9999"):
        open_reader(empty_url)


def test_a_reader_creates_nothing(empty_url):
    with pytest.raises(StoreUnavailable, match="there is no store;|got none"):
        open_reader(empty_url)

    if empty_url.startswith("sqlite"):
        assert not Path(empty_url.removeprefix("sqlite:///")).exists()


def test_a_relative_path_starts_at_the_given_folder(tmp_path):
    open_store("sqlite:///state/pm.sqlite", folder=tmp_path).close()

    assert (tmp_path / "state" / "pm.sqlite").is_file()


def test_sqlite_is_durable_and_readable_by_any_client(tmp_path, make_predictions):
    path = tmp_path / "pm.sqlite"
    with open_store(f"sqlite:///{path}") as store:
        risks = {("pump-1", DAY, 24.0): 0.5}
        store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)
        with store._database.writing() as connection:
            settings = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        client = sqlite3.connect(path)
        found = client.execute("SELECT cutoff, unixepoch(cutoff), risk FROM predictions").fetchall()
        client.close()

    assert settings == ["wal", 2, 1]
    assert found == [("2026-03-01T00:00:00.000000Z", int(DAY.timestamp()), 0.5)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "it cannot be read"),
        ("pm.sqlite", "it cannot be read"),
        ("mysql://host/db", "got 'mysql'"),
        ("postgresql+asyncpg://host/db", r"got 'postgresql\+asyncpg'"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///pm.sqlite?mode=ro", "must name a file"),
        ("postgresql://host:port/db", "it cannot be read"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url, message):
    with pytest.raises(BadSettings, match=message):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://user:{}@127.0.0.1:1/db?connect_timeout=2",
        "postgresql://user:{}@host:port/db",
        "mysql://user:{}@host/db",
        "sqlite://user:{}@host/pm.sqlite",
    ],
)
def test_a_password_is_never_shown(url):
    password = "".join(["hun", "ter", "2"])

    with pytest.raises((BadSettings, StoreUnavailable)) as raised:
        open_store(url.format(password))

    assert password not in "".join(traceback.format_exception(raised.value))


def test_a_password_is_in_no_repr():
    database = connect("postgresql+psycopg://user:hunter2@host/db?password=hunter2")

    assert "hunter2" not in repr(database)
    assert database.name == "postgresql+psycopg://user:***@host/db"


def test_a_server_that_does_not_answer_may_answer_later():
    with pytest.raises(StoreUnavailable, match="127.0.0.1") as raised:
        open_store("postgresql+psycopg://user@127.0.0.1:1/db")

    assert raised.value.__cause__ is not None


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(BadSettings, match="pip install"):
        open_store("postgresql://user@host/db")


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "pm.sqlite"
    path.write_text("asset_id,timestamp\n" * 100)

    with pytest.raises(TerminalError, match="not a database"):
        open_store(f"sqlite:///{path}")

    assert path.read_text().startswith("asset_id")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "state").write_text("a file")

    with pytest.raises(BadSettings, match="a file it can write to: .*state"):
        open_store(f"sqlite:///{tmp_path}/state/pm.sqlite")


def test_a_full_disk_leaves_the_previous_state(tmp_path, make_predictions):
    store = open_store(f"sqlite:///{tmp_path}/pm.sqlite")
    store._database.engine.dispose()
    limit = "PRAGMA max_page_count = 40"
    event.listen(store._database.engine, "connect", lambda raw, _: raw.execute(limit).close())
    risks = {(f"pump-{number}", DAY, 24.0): 0.5 for number in range(5000)}

    with pytest.raises(StoreUnavailable, match="full"):
        store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)

    assert list(store.tables.predictions()) == []
    few = make_predictions({("pump-1", DAY, 24.0): 0.5})
    assert store.writer.commit_predictions([few], scored_at=DAY).new == 1
    store.close()


MOUNTS = """/dev/sda1 / ext4 rw 0 0
server:/plant /mnt/plant nfs4 rw 0 0
//server/share /mnt/share\\040of\\040all cifs rw 0 0
/dev/sdb1 /mnt/plant/local xfs rw 0 0
user@host: /mnt/ssh fuse.sshfs rw 0 0
tmpfs /mnt/plantation tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/pm.sqlite", None),
        ("/mnt/plant/state/pm.sqlite", "nfs4"),
        ("/mnt/plant/local/pm.sqlite", None),
        ("/mnt/plantation/pm.sqlite", None),
        ("/mnt/share of all/pm.sqlite", "cifs"),
        ("/mnt/ssh/pm.sqlite", "fuse.sshfs"),
    ],
)
def test_network_file_systems_are_recognised(path, kind):
    assert network_filesystem(Path(path), mounts=MOUNTS) == kind


def test_a_store_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    mounts = f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs rw 0 0\n"
    monkeypatch.setattr("pm_app.store.dialects.sqlite._read_mounts", lambda: mounts)

    with pytest.raises(BadSettings, match="local disk.*on nfs"):
        open_store(f"sqlite:///{tmp_path}/state/pm.sqlite")

    assert not (tmp_path / "state").exists()


def test_opening_a_migrated_store_loads_no_migration_tool(store_url):
    code = (
        "import sys; from pm_app.store import open_store; open_store(sys.argv[1]).close(); "
        "print([name for name in ('alembic', 'tensorflow', 'pandas') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, store_url],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ast.literal_eval(ran.stdout) == []
