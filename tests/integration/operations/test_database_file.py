"""A database file that is moved, deleted or replaced while a plant has it open."""

import shutil
from datetime import timedelta

import pytest
from factories import NOW, drop, opened, readings_table, said

from pm_app.errors import StoreUnavailable, TerminalError
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import open_store
from pm_app.wiring import open_views

LATER = NOW + timedelta(hours=1)
LAST = readings_table(first_hour=48, hours=8, seed=2)
MORE = readings_table(first_hour=40, hours=8, seed=1)


@pytest.fixture
def scored(new_plant):
    """A plant with predictions, and a file that waits."""
    config = new_plant({"a.parquet": readings_table()})
    with opened(config) as plant:
        score(plant, now=NOW)
    drop(config, "b.parquet", MORE)
    return config


def database(config):
    return config.parent / "state" / "pm.sqlite"


def test_a_file_that_is_moved_away_and_put_back_loses_no_row(scored, new_plant):
    other = new_plant({"a.parquet": readings_table(), "b.parquet": MORE, "c.parquet": LAST})
    with opened(other) as plant:
        score(plant, now=NOW)
        whole = said(plant.store, without=["scored_at", "revision"])
    with opened(scored) as plant:
        score(plant, now=LATER)
        drop(scored, "c.parquet", LAST)
        # What was committed last still lies in the write-ahead log.
        assert database(scored).with_name("pm.sqlite-wal").stat().st_size > 0
        aside = database(scored).rename(scored.parent / "aside.sqlite")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"pm.sqlite: the file was moved or deleted"):
                score(plant, now=LATER)
        assert not database(scored).exists()
        aside.rename(database(scored))
        score(plant, now=LATER)

        assert said(plant.store, without=["scored_at", "revision"]) == whole


@pytest.mark.parametrize("fate", ["moved", "deleted", "replaced"])
def test_what_happens_to_the_file_during_a_commit_is_noticed_before_it_is_done(scored, fate):
    with opened(scored) as plant:
        file = database(scored)

        def chunks():
            if fate == "deleted":
                file.unlink()
            else:
                file.rename(scored.parent / "aside.sqlite")
            if fate == "replaced":
                shutil.copy(scored.parent / "aside.sqlite", file)
            yield from ()

        with pytest.raises(StoreUnavailable, match="nothing is written before"):
            plant.store.writer.commit_scores([1], chunks(), scored_at=LATER)


def test_a_fresh_file_in_its_place_is_not_written_to_and_refused_at_the_next_start(scored):
    with opened(scored) as plant:
        file = database(scored)
        file.rename(scored.parent / "aside.sqlite")
        with pytest.raises(StoreUnavailable, match="was moved or deleted"):
            score(plant, now=LATER)
        open_store(f"sqlite:///{file}").close()
        fresh = file.read_bytes()
        with pytest.raises(StoreUnavailable, match="another file lies in place of the one"):
            score(plant, now=LATER)
        assert file.read_bytes() == fresh
    with pytest.raises(TerminalError, match="leads to an empty one"), opened(scored):
        pass


def test_pages_read_the_file_that_lies_there_now_and_say_when_there_is_none(scored):
    with open_views(read_settings(scored)) as views:
        before = views.ledger.count()
        file, copy = database(scored), scored.parent / "copy.sqlite"
        shutil.copy(file, copy)
        file.unlink()
        with pytest.raises(StoreUnavailable, match="was moved or deleted"):
            views.ledger.count()
        copy.rename(file)

        assert views.ledger.count() == before == 1


def test_status_names_a_database_that_is_gone(scored, pm_app):
    database(scored).unlink()

    code, out, _ = pm_app("status", "-c", scored)

    assert code == 1
    assert "pm.sqlite: there is no store" in out
    assert "one that was moved or deleted has to be put back" in out
