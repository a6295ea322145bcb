"""A plant in a folder of its own, its store laid down once a session."""

import shutil
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from factories import PLANT_TOML, make_plant, opened, promote_handmade

from pm_app.cli import main


@pytest.fixture(scope="session")
def empty_states(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """State folders without a reading: with a champion and without."""
    states = {}
    for champion in (True, False):
        config = make_plant(tmp_path_factory.mktemp("state"))
        with opened(config) as plant:
            if champion:
                promote_handmade(plant)
        states[champion] = config.parent / "state"
    return states


@pytest.fixture
def new_url() -> Callable[[], str]:
    """Where plants of `new_plant` keep their tables: "" for their own SQLite file.

    A module whose tests are about the whole flow overrides it, `on_both_databases` beside it.
    """
    return lambda: ""


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both_databases(request: pytest.FixtureRequest) -> Callable[[], str]:
    """As `new_url`, once for SQLite, once with a PostgreSQL database for each plant."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_copies")
    return lambda: ""


@pytest.fixture
def new_plant(
    tmp_path_factory: pytest.TempPathFactory,
    empty_states: dict[bool, Path],
    new_url: Callable[[], str],
) -> Callable[..., Path]:
    """A factory of plants; champion=False has no version yet, None nothing at all."""
    folder, number = tmp_path_factory.mktemp("plants"), count()

    def make(readings=None, *, events=None, toml=PLANT_TOML, champion=True) -> Path:
        url = new_url()
        if url:
            toml += f'\n[store]\nurl = "{url}"\n'
        config = make_plant(folder / str(next(number)), readings, events=events, toml=toml)
        if champion is None:
            return config
        if not url:
            shutil.copytree(empty_states[champion], config.parent / "state")
        elif champion:
            with opened(config) as plant:
                promote_handmade(plant)
        return config

    return make


@pytest.fixture
def pm_app(monkeypatch, capsys):
    """Runs a command; returns exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["pm-app", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as done:
            code = done.code or 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run
