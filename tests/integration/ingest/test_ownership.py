"""A state folder beside a database that is not its own: refused in words, and nothing is lost."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from factories import NOW, FakeTrainer, drop, make_plant, opened, readings_table

from pm_app.errors import TerminalError
from pm_app.jobs.ingest.ownership import OwnershipMark, read_mark, write_mark
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import open_store

TABLE = readings_table()


@pytest.fixture
def new_url(on_both_databases):
    return on_both_databases


@pytest.fixture
def lived(new_plant):
    """A plant that has read, scored and learned."""
    config = new_plant({"a.parquet": TABLE.slice(0, 100)})
    with opened(config) as plant:
        score(plant, now=NOW)
    return config


def files_of(config):
    """Every file of the state folder but the database's and the lock."""
    state = config.parent / "state"
    found = (path for path in state.rglob("*") if path.is_file())
    return {
        str(p.relative_to(state)) for p in found if not p.name.startswith(("pm.sqlite", "lock"))
    }


def url_of(config):
    return read_settings(config).store.url or f"sqlite:///{config.parent}/state/pm.sqlite"


@contextmanager
def opened_database(config):
    with open_store(url_of(config)) as store, store._database.writing() as connection:
        yield connection


def on_another_database(config, url):
    toml = config.read_text().split("\n[store]")[0]
    config.write_text(f'{toml}\n[store]\nurl = "{url}"\n')


@pytest.fixture
def refused(lived):
    """Opens the plant in vain; returns why, and holds that nothing was removed."""

    def open_in_vain(match):
        before = files_of(lived)
        assert any(name.startswith("panes/") for name in before)
        with pytest.raises(TerminalError, match=match), opened(lived):
            raise AssertionError("it opened")
        assert files_of(lived) == before

    return open_in_vain


def test_an_empty_database_beside_a_filled_folder_is_refused(lived, refused, tmp_path):
    on_another_database(lived, f"sqlite:///{tmp_path}/empty.sqlite")

    refused("state is full of what another database names, .* leads to an empty one")
    refused("to begin anew, move the folder away")


def test_the_database_of_another_plant_is_refused(lived, refused, tmp_path):
    other = make_plant(tmp_path / "other", {"b.parquet": TABLE})
    with opened(other) as plant:
        ingest(plant, now=NOW)
    on_another_database(lived, f"sqlite:///{tmp_path}/other/state/pm.sqlite")

    refused("state belongs to database [0-9a-f]{32}, but store.url leads to [0-9a-f]{32}")


def test_a_folder_without_identity_is_not_married_to_the_database_of_another(lived, tmp_path):
    fresh = make_plant(tmp_path / "fresh", {"b.parquet": TABLE})
    on_another_database(fresh, url_of(lived))

    with pytest.raises(TerminalError, match="belongs to another state folder"), opened(fresh):
        raise AssertionError("it opened")


def test_a_database_put_back_to_an_earlier_day_is_refused(lived, refused):
    mark = read_mark(lived.parent / "state")
    write_mark(lived.parent / "state", replace(mark, sequence=mark.sequence + 1))

    refused("has seen the database at file 2 and version 1, but it is at 1 and 1")

    write_mark(lived.parent / "state", replace(mark, version=2))
    refused("has seen the database at file 1 and version 2, but it is at 1 and 1")


def test_a_database_replaced_under_a_running_daemon_costs_no_file(lived):
    state = lived.parent / "state"
    with opened(lived) as plant:
        before = files_of(lived)
        mark = read_mark(state)
        write_mark(state, OwnershipMark("another", mark.sequence, mark.version))

        for job in (
            lambda: score(plant, now=NOW),
            lambda: retrain(plant, now=NOW, trainer=FakeTrainer()),
        ):
            with pytest.raises(TerminalError, match="the database has become another one"):
                job()
        assert files_of(lived) == before


def test_the_mark_follows_what_is_read_and_learned(lived):
    state = lived.parent / "state"
    first = read_mark(state)
    drop(lived, "b.parquet", TABLE.slice(100))
    with opened(lived) as plant:
        score(plant, now=NOW)
        assert read_mark(state) == replace(first, sequence=first.sequence + 1)
        retrain(plant, now=NOW, trainer=FakeTrainer())

    assert read_mark(state) == replace(first, sequence=2, version=first.version + 1)


@pytest.mark.parametrize("lost", ["the folder's mark", "the database's name"])
def test_a_crash_in_the_middle_of_the_naming_heals_itself(new_plant, lost):
    config = new_plant(champion=False)
    with opened(config) as plant:
        name = plant.store.identity.state().identity
        if lost == "the database's name":
            with plant.store._database.writing() as connection:
                connection.exec_driver_sql("DELETE FROM plant")
    if lost == "the folder's mark":
        (config.parent / "state" / "identity.json").unlink()

    with opened(config) as plant:
        assert plant.store.identity.state().identity == name
        assert read_mark(config.parent / "state").identity == name


def test_a_plant_from_before_there_were_identities_gets_one_and_goes_on(lived):
    (lived.parent / "state" / "identity.json").unlink()
    with opened_database(lived) as connection:
        connection.exec_driver_sql("DELETE FROM plant")

    with opened(lived) as plant:
        assert score(plant, now=NOW).batches == 0
        assert read_mark(lived.parent / "state") == OwnershipMark(
            plant.store.identity.state().identity, 1, 1
        )


def test_a_damaged_mark_is_named_and_nothing_is_touched(lived, refused):
    (lived.parent / "state" / "identity.json").write_bytes(b"{")

    refused("identity.json: needed the identity of the database")
