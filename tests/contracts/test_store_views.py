"""Views for other tools: on both databases what the tables hold, and read by a role that may."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import insert, text

from pm_app.docs import read_topic
from pm_app.store import FleetQuery
from pm_app.store.schema.predictions import VIEWS, alarms, metadata

ROLES = Path(__file__).parents[2] / "deploy" / "postgresql" / "roles.sql"
DAY = datetime(2026, 3, 1, tzinfo=UTC)
# For people and programs that are let in, and for messages: no report reads them.
PRIVATE = {
    "users",
    "sessions",
    "oidc_sessions",
    "api_tokens",
    "sign_in_attempts",
    "audit",
    "outbox",
}
# For the program's own use.
INNER = {"alarm_marks", "counters", "plant"}


def hour(number: float) -> datetime:
    return DAY + timedelta(hours=number)


@pytest.fixture
def filled(store, make_predictions):
    """Three assets with two cutoffs of two horizons, one of them with two alarms, one cleared."""
    for cutoff in range(2):
        risks = {
            (asset, hour(cutoff), horizon): None if asset == "fan" else risk * horizon / 72
            for asset, risk in {"pump-1": 0.9, "pump-2": 0.3, "fan": 0.0}.items()
            for horizon in (24.0, 72.0)
        }
        store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)
    with store._database.writing() as connection:
        for number, (kind, asset, cleared) in enumerate(
            [("risk", "pump-1", None), ("deviation", "pump-1", None), ("risk", "fan", hour(3))]
        ):
            row = {"id": number + 1, "kind": kind, "asset_id": asset, "horizon_hours": 72.0}
            row |= {"state": "unacknowledged", "raised_at": hour(number), "cutoff": hour(0)}
            row |= {"changed_at": hour(number), "reason": "high", "top_sensors": "vibration"}
            row |= {"model_version": 1, "about": [], "cleared_at": cleared}
            connection.execute(insert(alarms).values(row))
    return store


def rows(store, query: str) -> list[dict[str, object]]:
    with store._database.reading() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def test_the_fleet_now_is_the_fleet_page_row_by_row(filled):
    found = rows(filled, "SELECT * FROM fleet_now ORDER BY asset_id")

    told = sorted(filled.fleet.rows(FleetQuery()), key=lambda row: row.asset_id)
    names = ("asset_id", "horizon_hours", "status", "risk", "rul_hours", "mode", "model_version")
    assert [[row[name] for name in names] for row in found] == [
        [getattr(row, name) for name in names] for row in told
    ]
    assert [row["asset_id"] for row in found] == ["fan", "pump-1", "pump-2"]
    assert [row["open_alarms"] for row in found] == [0, 2, 0]
    assert [row["alarm_raised_at"] is None for row in found] == [True, False, True]


def test_open_alarms_are_those_not_cleared(filled):
    found = rows(filled, "SELECT id, kind, asset_id FROM open_alarms ORDER BY id")

    assert [tuple(row.values()) for row in found] == [
        (1, "risk", "pump-1"),
        (2, "deviation", "pump-1"),
    ]


def test_the_columns_of_views_are_those_described(filled):
    text_of = read_topic("tables").split("\n## Views\n")[1].split("\n## ")[0]
    fleet, opened = text_of.split("| column of `open_alarms` |")
    for name, part in (("fleet_now", fleet), ("open_alarms", opened)):
        cells = " ".join(re.findall(r"^\| (`.+?) \| .+ \|$", part, re.MULTILINE))
        with filled._database.reading() as connection:
            columns = list(connection.execute(text(f"SELECT * FROM {name}")).keys())

        assert columns == re.findall(r"`(\w+)`", cells)


@pytest.fixture
def run_roles(postgresql_server):
    """Runs the script over a database, by the psql of the server."""

    def run(address: str) -> None:
        command = [f"{postgresql_server.bin_path}/psql", "-q", "-d", address, "-f", str(ROLES)]
        command += ["-v", "owner_password=owner's", "-v", "reader_password=reader's"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    return run


@pytest.fixture
def reader(postgresql_copies, run_roles):
    """A database made by the owner's role, and the address of the role that only reads."""
    address = postgresql_copies()
    for _ in range(2):
        run_roles(address)
    return make_conninfo(address, user="pm_app_bi")


def test_the_reading_role_reads_views_and_tables_and_nothing_of_people(reader):
    with psycopg.connect(reader, autocommit=True) as connection:
        for name in [*VIEWS, *sorted(set(metadata.tables) - PRIVATE - INNER)]:
            connection.execute(f"SELECT * FROM {name}")
        for name in sorted(PRIVATE):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {name}")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM predictions",
        "UPDATE alarms SET state = 'cleared'",
        "INSERT INTO counters VALUES ('x', 1)",
        "TRUNCATE batches",
        "DROP VIEW fleet_now",
        "CREATE TABLE mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
    ],
)
def test_the_reading_role_changes_nothing_even_where_it_lifts_its_own_limit(reader, statement):
    with psycopg.connect(reader, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_the_owning_role_makes_the_tables_and_the_reader_sees_them_after(postgresql, run_roles):
    from pm_app.store import open_store

    address = postgresql("pm_app_of_owner")
    run_roles(address)
    open_store(f"{address}&user=pm_app").close()
    run_roles(address)

    with psycopg.connect(make_conninfo(address, user="pm_app_bi")) as connection:
        assert connection.execute("SELECT * FROM fleet_now").fetchall() == []
        owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'predictions'"
        assert connection.execute(owner).fetchone() == ("pm_app",)
