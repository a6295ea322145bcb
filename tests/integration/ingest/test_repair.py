"""Panes and events on disk are derived: lost, damaged or of other panes, they are made anew."""

import shutil
from datetime import timedelta

import pytest
from factories import (
    NOW,
    PLANT_TOML,
    FakeTrainer,
    drop,
    events_table,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.ingest.repair import rebuild, reread_events
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.state.segments import MissingSegment
from pm_app.store import segments_of

LATER = NOW + timedelta(hours=1)
TABLE = readings_table(hours=24)
EVENTS = [("pump-00", 7.5, "failure", ""), ("pump-00", 9.2, "maintenance", "seal")]
NEWEST = readings_table(first_hour=24, hours=2, seed=1)


def parts():
    """Files that overlap, one of them later in the ledger than its name says."""
    order = TABLE.sort_by("timestamp")
    return {"b": order.slice(60, 80), "a": order.slice(0, 90), "c": order.slice(130)}


@pytest.fixture
def told(new_plant):
    """A plant whose files have been scored one by one, `NEWEST` not yet there."""
    config = new_plant(events={"e.parquet": events_table(EVENTS)})
    for name, table in parts().items():
        drop(config, f"{name}.parquet", table)
        with opened(config) as plant:
            score(plant, now=NOW)
    return config


def outcome(config):
    """What is said and noted, and the bytes that carry it."""
    with opened(config) as plant:
        rows = [
            (r.name, r.status, r.rows, r.rejected, r.reason) for r in plant.store.ledger.batches()
        ]
        folders = plant.history.folder, plant.event_history.folder
        files = {path.name: path.read_bytes() for f in folders for path in f.iterdir()}
        assert files.keys() == plant.store.ledger.segments()
        return said(plant.store), rows, files


def remove_all(folder):
    shutil.rmtree(folder)


def remove_one(folder):
    sorted(folder.iterdir())[0].unlink()


def flip_values(folder):
    path = sorted(folder.iterdir())[-1]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def flip_footers(folder):
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)


def truncate(folder):
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:50])


DAMAGES = [remove_all, remove_one, flip_values, flip_footers, truncate]


@pytest.mark.parametrize("folder", ["panes", "events"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_rebuilt_to_the_bit_and_nothing_is_said_again(told, damage, folder):
    before = outcome(told)
    damage(told.parent / "state" / folder)
    with opened(told) as plant:
        # Whatever is read is read from here on.
        done = backfill(plant, first=NOW - timedelta(days=90), last=NOW, now=LATER)

        assert done.new == done.revised == 0
        assert rebuild(plant) == 0
    assert outcome(told) == before


def test_readings_that_come_after_the_damage_are_taken_in_and_scored(told, new_plant):
    drop(told, "d.parquet", NEWEST)
    flip_values(told.parent / "state" / "panes")
    with opened(told) as plant:
        score(plant, now=LATER)
        found = said(plant.store, without=["revision", "scored_at"])
    files = {f"{name}.parquet": table for name, table in parts().items()}
    clean = new_plant(files | {"d.parquet": NEWEST}, events={"e.parquet": events_table(EVENTS)})
    with opened(clean) as plant:
        score(plant, now=LATER)

        assert found == said(plant.store, without=["revision", "scored_at"])


def test_a_file_that_grew_gives_back_what_its_former_self_brought(new_plant):
    order = TABLE.sort_by("timestamp")
    config = new_plant()
    for rows in (50, 120, len(order)):
        drop(config, "today.parquet", order.slice(0, rows))
        with opened(config) as plant:
            score(plant, now=NOW)
    before = outcome(config)
    remove_all(config.parent / "state" / "panes")
    with opened(config) as plant:
        rebuild(plant)
        backfill(plant, first=NOW - timedelta(days=90), last=NOW, now=LATER)

    assert outcome(config)[:2] == before[:2]


def test_a_file_that_moved_gives_back_what_it_brought(told):
    before = outcome(told)
    (told.parent / "readings" / "a.parquet").rename(told.parent / "readings" / "old-a.parquet")
    with opened(told) as plant:
        score(plant, now=LATER)
    remove_all(told.parent / "state" / "panes")
    with opened(told) as plant:
        assert rebuild(plant) == 3
    after = outcome(told)

    assert (after[0], after[2]) == (before[0], before[2])


@pytest.mark.parametrize("source", ["readings", "events"])
def test_a_batch_whose_file_is_gone_too_is_noted_as_lost_and_the_plant_goes_on(told, source):
    name = {"readings": "c", "events": "e"}[source] + ".parquet"
    folder = told.parent / "state" / {"readings": "panes", "events": "events"}[source]
    content = (told.parent / source / name).read_bytes()
    (told.parent / source / name).unlink()
    remove_all(folder)
    drop(told, "d.parquet", NEWEST)
    with opened(told) as plant:
        before = said(plant.store)
        done = score(plant, now=LATER)
        (row,) = (row for row in plant.store.ledger.batches() if row.name == name)
        noted = sum(row.rows + row.rejected for row in plant.store.ledger.batches())

        assert done.committed.new > 0
        assert (row.status, row.rows, row.segments) == ("lost", 0, ())
        assert "1 of 1 segments lost: its file is no longer there" in row.reason
        assert {r["cutoff"] for r in before} < {r["cutoff"] for r in said(plant.store)}
    (told.parent / source / name).write_bytes(content)
    with opened(told) as plant:
        assert score(plant, now=LATER).ingested.batches == 1
        rows = [row for row in plant.store.ledger.batches() if row.name == name]

        assert [row.status for row in rows] == ["ingested", "lost"]
        assert sum(row.rows + row.rejected for row in rows) == 2 * rows[0].rows
        assert noted > 0


def test_another_length_of_panes_rebuilds_all_and_waits_for_a_model(told, new_plant):
    text = told.read_text(encoding="utf-8").replace('pane = "1h"', 'pane = "30min"')
    told.write_text(text, encoding="utf-8")
    drop(told, "d.parquet", NEWEST)
    with opened(told) as plant:
        before = said(plant.store)
        score(plant, now=LATER)
        fresh = [row for row in said(plant.store) if row not in before]

        assert [row for row in said(plant.store) if row in before] == before
        assert {row["status"] for row in fresh} == {"no_model"}
        assert max(row["cutoff"] for row in fresh).year == 2023
        promote_handmade(plant, at=LATER)
        backfill(plant, first=NOW - timedelta(days=90), last=NOW, now=LATER)
        found = [r for r in said(plant.store, without=["revision", "scored_at"])]
    files = {f"{name}.parquet": table for name, table in parts().items()} | {"d.parquet": NEWEST}
    clean = new_plant(
        files,
        events={"e.parquet": events_table(EVENTS)},
        toml=PLANT_TOML.replace('pane = "1h"', 'pane = "30min"'),
        champion=False,
    )
    with opened(clean) as plant:
        promote_handmade(plant)
        promote_handmade(plant, at=LATER)
        score(plant, now=LATER)
        expected = said(plant.store, without=["revision", "scored_at"])

    keys = {(row["asset_id"], row["cutoff"]) for row in expected}
    assert [row for row in found if (row["asset_id"], row["cutoff"]) in keys] == expected


def test_a_retraining_learns_from_rebuilt_panes(told):
    flip_footers(told.parent / "state" / "panes")
    trainer = FakeTrainer("keep", made=False)
    with opened(told) as plant:
        retrain(plant, now=LATER, trainer=trainer)
        for name in trainer.orders[0].segments:
            plant.history.check(name)


def test_a_segment_that_only_the_trainer_finds_damaged_is_rebuilt_and_learning_begun_again(told):
    trainer = FakeTrainer("keep", made=False)
    panes = told.parent / "state" / "panes"
    before = outcome(told)

    def finds_damage(order_path, answer_path, progress):
        trainer(order_path, answer_path, progress)
        if len(trainer.orders) == 1:
            flip_values(panes)
            damaged = sorted(panes.iterdir())[-1].name
            words = f'"missing_segment","reason":"damaged","missing":"{damaged}"'
            answer_path.write_text(f'{{"decision":{words}}}', encoding="utf-8")

    with opened(told) as plant:
        done = retrain(plant, now=LATER, trainer=finds_damage)

    assert (done.decision, len(trainer.orders)) == ("keep", 2)
    assert outcome(told) == before


def test_damage_that_comes_back_at_once_is_told(told):
    with opened(told) as plant:
        flip_values(plant.history.folder)
        write = plant.history.write

        def spoiling(stem, panes):
            name = write(stem, panes)
            flip_values(plant.history.folder)
            return name

        plant.history.write = spoiling
        with pytest.raises(MissingSegment, match="damaged: row group 0"):
            backfill(plant, first=NOW - timedelta(days=90), last=NOW, now=LATER)


def test_events_are_read_again_by_new_settings_and_what_a_lost_file_gave_stays(tmp_path):
    config = make_plant(tmp_path / "plant", {"a.parquet": readings_table()})
    folder = config.parent / "events"
    for name, code in (("a.csv", "Lager fest"), ("b.csv", "Lager heiß")):
        moment = f"{NOW - timedelta(hours=3):%Y-%m-%dT%H:%MZ}"
        text = f"asset_id,timestamp,kind,code\npump-00,{moment},failure,{code}\n"
        (folder / name).write_text(text, encoding="utf-8")
    with opened(config) as plant:
        ingest(plant, now=NOW)
    (folder / "b.csv").unlink()
    config.write_text(config.read_text() + '\n[events]\ncodes = { "lager*" = "bearing" }\n')

    with opened(config) as plant:
        count, left = reread_events(plant)
        names = segments_of(plant.ledger.ingested_batches("events"))
        codes = plant.event_history.read(names).code.tolist()

    assert (count, left) == (1, ("b.csv: its file is no longer there",))
    assert sorted(codes) == ["Lager heiß", "bearing"]
