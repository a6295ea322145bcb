"""A plant in a folder of its own, its store laid down once a session."""

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from factories import make_plant, make_stocked_plant, opened, promote_handmade

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

    def make(readings=None, **more) -> Path:
        place = folder / str(next(number))
        return make_stocked_plant(place, empty_states, readings, url=new_url(), **more)

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
