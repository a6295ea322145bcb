"""Backups that a stranger has written: what is not ours is not restored, and nothing of it runs."""

import hashlib
import io
import json
import sqlite3
import tarfile
from contextlib import closing

import pyarrow as pa
import pytest
from factories import NOW, make_plant
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.errors import TerminalError
from pm_app.jobs.operations.backup import archived_settings, backup, restore
from pm_app.settings.plant import read_settings
from pm_app.store import open_reader
from pm_app.store.database.backup import copy_store_file
from pm_app.store.database.connection import connect
from pm_app.store.database.migrate import migrate
from pm_app.store.dialects.portable import fold_log
from pm_app.store.dialects.sqlite import SQLITE
from pm_app.store.schema.predictions import REVISION
from pm_app.wiring import open_users, open_views, store_url


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """What a backup of a small plant with one user holds, by name."""
    folder = tmp_path_factory.mktemp("plant")
    config = make_plant(folder)
    settings = read_settings(config)
    with open_users(settings) as store:
        store.users.add("ada", "a long password", role="viewer", at=NOW, actor="root")
    with open_views(settings) as store:
        backup(store, settings.state, folder / "plant.backup", settings=config)
    with (
        pa.input_stream(str(folder / "plant.backup"), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        return {entry.name: archive.extractfile(entry).read() for entry in archive}


@pytest.fixture
def packed(members, tmp_path):
    """A factory of archives, whole by their manifest, whose database was changed by SQL."""

    def pack(script=""):
        database = tmp_path / "changed.sqlite"
        database.write_bytes(members["pm.sqlite"])
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(script)
        whole = {**members, "pm.sqlite": database.read_bytes()}
        del whole["manifest.json"]
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in whole.items()}
        whole["manifest.json"] = json.dumps(hashes).encode()
        file = tmp_path / "changed.backup"
        with (
            pa.output_stream(str(file), compression="zstd") as stream,
            tarfile.open(fileobj=stream, mode="w|") as archive,
        ):
            for name, content in whole.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return file

    return pack


@pytest.fixture
def place(tmp_path):
    return make_plant(tmp_path / "elsewhere")


def put_back(file, config):
    settings = read_settings(config)
    return restore(file, settings.state, store_url(settings), folder=settings.folder)


def schema(config):
    with closing(sqlite3.connect(config.parent / "state" / "pm.sqlite")) as database:
        found = database.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return {(kind, name): sql for kind, name, sql in found}


HOSTILE = {
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON sessions BEGIN "
    "UPDATE users SET role = 'engineer'; END",
    "a trigger that a migration sets off": "CREATE TRIGGER evil AFTER DELETE ON alembic_version "
    "BEGIN UPDATE users SET role = 'engineer'; END",
    "a view": "CREATE VIEW evil AS SELECT * FROM users",
    "a table": "CREATE TABLE evil (x)",
    "an index": "CREATE INDEX evil ON users (role)",
    "a virtual table": "CREATE VIRTUAL TABLE evil USING fts5(x)",
    "a column": "ALTER TABLE users ADD COLUMN evil TEXT DEFAULT 'x'",
    "a generated column": "ALTER TABLE users ADD COLUMN evil TEXT AS (hex(name))",
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_ours_is_left_out_and_named(packed, place, script):
    done = put_back(packed(script), place)

    assert done.left_out and all("evil" in words for words in done.left_out)
    assert not [key for key in schema(place) if "evil" in key[1]]
    assert "evil" not in schema(place)["table", "users"]
    with open_views(read_settings(place)) as store:
        assert [(row.name, row.role) for row in store.users.users()] == [("ada", "viewer")]


def test_a_restored_schema_is_that_of_a_new_plant(packed, place, tmp_path):
    put_back(packed(HOSTILE["a column"]), place)
    fresh = make_plant(tmp_path / "fresh")
    open_users(read_settings(fresh)).close()

    assert schema(place) == schema(fresh)


DAMAGED = {
    "a view for a table": (
        "ALTER TABLE audit RENAME TO x; CREATE VIEW audit AS SELECT * FROM x",
        "lacks the table audit",
    ),
    "no table": ("DROP TABLE audit", "lacks the table audit"),
    "no column": ("ALTER TABLE audit DROP COLUMN details", "lacks the column audit.details"),
    "text for a number": (
        "UPDATE audit SET at = zeroblob(9)",
        "holds no VARCHAR.27. in audit.at",
    ),
    "of nobody": ("DROP TABLE alembic_version", "holds no tables of pm-app"),
    "of a newer program": ("UPDATE alembic_version SET version_num = '9999'", "newer pm-app"),
    "of no program": ("UPDATE alembic_version SET version_num = zeroblob(9)", "newer pm-app"),
    "a session of nobody": (
        "PRAGMA foreign_keys = OFF; INSERT INTO sessions VALUES "
        "('x', 'nobody', 'y', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z')",
        "FOREIGN KEY",
    ),
}


@pytest.mark.parametrize(("script", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_database_that_is_not_as_its_schema_says_is_refused(packed, place, script, words):
    with pytest.raises(TerminalError, match=words):
        put_back(packed(script), place)

    assert not (place.parent / "state" / "pm.sqlite").exists()


def test_what_was_left_out_is_told_on_the_command_line(packed, place):
    done = CliRunner().invoke(app, ["restore", str(packed(HOSTILE["a view"])), "-c", str(place)])

    assert done.exit_code == 0
    assert "not restored, for pm-app does not know it: view 'evil'" in done.stderr


def test_numbers_that_were_given_are_not_given_again(packed, place):
    put_back(packed("UPDATE sqlite_sequence SET seq = 77 WHERE name = 'audit'"), place)
    with open_users(read_settings(place)) as store:
        store.users.note("ada", "look", "", at=NOW)
        assert store.users.audit()[0].id == 78


def test_a_header_without_end_is_not_taken_into_memory(tmp_path, place):
    file = tmp_path / "headers.backup"
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 1 << 40
    with pa.output_stream(str(file), compression="zstd") as stream:
        stream.write(entry.tobuf())
        for _ in range(200):
            stream.write(bytes(1 << 20))

    with pytest.raises(TerminalError, match="not a whole backup of pm-app"):
        put_back(file, place)
    with pytest.raises(TerminalError, match="not a whole backup of pm-app"):
        archived_settings(file)


def test_an_archive_that_unpacks_into_far_more_is_refused(tmp_path, place):
    file = tmp_path / "bomb.backup"
    entry = tarfile.TarInfo("panes/a.parquet")
    entry.size = 200 << 20
    with pa.output_stream(str(file), compression="zstd") as stream:
        stream.write(entry.tobuf())
        for _ in range(200):
            stream.write(bytes(1 << 20))

    with pytest.raises(TerminalError, match="it unpacks into"):
        put_back(file, place)
    assert not (place.parent / "state" / ".restoring").exists()


def test_the_database_of_an_older_program_is_brought_up_to_date(tmp_path):
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    SQLITE.file.create(old)
    database = connect(f"sqlite:///{old}")
    migrate(database, "0010")
    with database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO audit VALUES (5, '2026-01-01T00:00:00.000000Z', 'ada', '', '', '', '')"
        )
    database.engine.dispose()
    fold_log(old)

    assert copy_store_file(old, new) == ()
    with open_reader(f"sqlite:///{new}") as store:
        assert [(row.id, row.actor) for row in store.users.audit()] == [(5, "ada")]


def test_a_backup_of_this_program_leaves_nothing_out(packed, place):
    assert put_back(packed(), place).left_out == ()
    with closing(sqlite3.connect(place.parent / "state" / "pm.sqlite")) as database:
        assert database.execute("SELECT * FROM alembic_version").fetchall() == [(REVISION,)]
