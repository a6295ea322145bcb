"""`pm-app selftest --kill`: on the plant's own disk and database, and nothing left behind."""

import json

import psycopg
import pytest
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.cli.look import selftest as selftest_module

# A handful of processes each, which start slowly on a busy machine.
pytestmark = pytest.mark.server


@pytest.fixture
def config(tmp_path):
    assert CliRunner().invoke(app, ["init", str(tmp_path / "plant")]).exit_code == 0
    return tmp_path / "plant" / "plant.toml"


def run(config):
    command = ["selftest", "--kill", "--seconds", "5", "--json", "-c", str(config)]
    done = CliRunner().invoke(app, command)
    return done.exit_code, json.loads(done.stdout)


def left(config):
    return {path.relative_to(config.parent).as_posix() for path in config.parent.rglob("*")}


def test_killed_processes_cost_nothing_on_this_disk_and_leave_nothing(config):
    before = left(config)

    code, report = run(config)

    assert (code, report["differences"]) == (0, [])
    assert report["kills"] == report["instants"] >= 1
    assert left(config) == before


def test_schemas_of_the_plants_own_server_are_used_and_dropped(config, postgresql, monkeypatch):
    url = postgresql("pm_app_selftest")
    monkeypatch.setenv("PM_APP_STORE_URL", url)

    code, report = run(config)

    assert (code, report["differences"]) == (0, [])
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pm_app_selftest%'"
        assert connection.execute(query).fetchone() == (0,)
        assert connection.execute("SELECT to_regclass('predictions')").fetchone() == (None,)


def test_a_plant_that_says_otherwise_after_a_kill_is_told(config, monkeypatch):
    outcome = selftest_module._ScratchPlant.outcome

    def forgetful(plant):
        found = outcome(plant)
        return found if plant._folder.name == "alone" else {**found, "rows": found["rows"][1:]}

    monkeypatch.setattr(selftest_module._ScratchPlant, "outcome", forgetful)

    code, report = run(config)

    assert code == 1 and "rows differ" in report["differences"][0]
