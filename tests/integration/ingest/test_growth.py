"""A daemon that runs for years: what lies behind it costs a look nothing."""

import hashlib
import os
import tracemalloc
from dataclasses import asdict
from datetime import timedelta

import pytest
from factories import NOW, PLANT_TOML, drop, opened, readings_table
from sqlalchemy import event, insert

from pm_app.errors import StoreUnavailable
from pm_app.jobs.ingest import run as ingest_module
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score.run import score
from pm_app.records.readings import Batch
from pm_app.store.schema.predictions import batches

FILES = 20_000
# Of each file listed stay eight bytes in memory, and a look brings nothing else.
MOST_BYTES_A_FILE = 12


def age(plant, count):
    """Rows of files that were read and scored long ago, beside what the plant has."""
    (row,) = plant.store.ledger.batches(limit=1)
    values = {**asdict(row), "segments": [], "scored_at": NOW, "settled": 1}
    del values["sequence"]
    old = [
        {
            **values,
            "name": f"old/{number:06d}.parquet",
            "digest": f"{number:024d}",
            "first_time": row.first_time - timedelta(days=900),
            "last_time": row.last_time - timedelta(days=900, seconds=-number),
            "ingested_at": NOW + timedelta(seconds=number),
        }
        for number in range(count)
    ]
    with plant.store._database.writing() as connection:
        connection.execute(insert(batches), old)


def steps_of(plant, look):
    """How many steps SQLite takes for a look, on whichever connections of its pool."""
    count = [0]

    def step():
        count[0] += 1

    def watch(driver, *_):
        driver.set_progress_handler(step, 1)

    engine = plant.store._database.engine
    event.listen(engine, "checkout", watch)
    look()
    event.remove(engine, "checkout", watch)
    assert count[0]
    return count[0]


def test_a_look_asks_as_much_of_a_long_ledger_as_of_a_short_one(new_plant):
    config = new_plant({"a.parquet": readings_table()})
    with opened(config) as plant:

        def look(hours):
            return steps_of(plant, lambda: score(plant, now=NOW + timedelta(hours=hours)))

        score(plant, now=NOW)
        idle = look(1)
        drop(config, "b.parquet", readings_table(first_hour=30, hours=2, seed=1))
        busy = look(2)
        age(plant, 5_000)
        look(3)

        assert look(4) < 1.1 * idle
        drop(config, "c.parquet", readings_table(first_hour=32, hours=2, seed=2))
        assert look(5) < 1.1 * busy


def test_what_a_crash_left_is_looked_for_once_and_again_after_a_look_that_failed(
    new_plant, monkeypatch
):
    config = new_plant({"a.parquet": readings_table(hours=3)})
    with opened(config) as plant:
        left = plant.history.folder / f"{24 * 'a'}-0000.parquet"

        def stays(look):
            left.write_bytes(b"half")
            look()
            return left.exists()

        assert not stays(lambda: ingest(plant, now=NOW))
        assert stays(lambda: ingest(plant, now=NOW))
        drop(config, "b.parquet", readings_table(hours=3, first_hour=3))
        with monkeypatch.context() as patch, pytest.raises(StoreUnavailable):
            patch.setattr(ingest_module, "ingest_batch", _fails)
            ingest(plant, now=NOW)
        assert not stays(lambda: ingest(plant, now=NOW))


def _fails(*arguments):
    raise StoreUnavailable("the disk is full")


def test_files_beyond_what_is_kept_at_once_are_read_in_order_of_name(new_plant, monkeypatch):
    monkeypatch.setattr(ingest_module, "MOST_AT_ONCE", 2)
    pieces = {f"{at}.parquet": readings_table(hours=1, first_hour=at) for at in (3, 1, 4, 0, 2)}
    with opened(new_plant(pieces)) as plant:
        done = ingest(plant, now=NOW)

        names = [row.name for row in plant.store.ledger.ingested_batches("readings")]
        assert done.batches == 5
        assert names == sorted(pieces)


def test_a_folder_of_very_many_files_is_looked_through_in_flat_memory(new_plant):
    config = new_plant(toml=PLANT_TOML)
    folder = config.parent / "readings"
    peaks = []
    with opened(config) as plant:
        ledger = plant.store.ledger
        for first in (0, FILES):
            for number in range(first, first + FILES):
                os.close(os.open(folder / f"line-3_2026-11-23_{number:08d}.parquet", os.O_CREAT))
            note(plant, _new(plant))
            assert not list(ledger.new_files("readings", plant.readings.list()))
            tracemalloc.start()
            assert ingest(plant, now=NOW).batches == 0
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] - peaks[0] < MOST_BYTES_A_FILE * FILES


def _new(plant):
    return list(plant.store.ledger.new_files("readings", plant.readings.list()))


def note(plant, listed: list[Batch]):
    """Rows for files that could not be read."""
    with plant.store._database.writing() as connection:
        connection.execute(
            insert(batches),
            [
                {
                    "source": "readings",
                    "name": batch.name,
                    "digest": hashlib.sha256(b"").hexdigest(),
                    "size_bytes": batch.size_bytes,
                    "modified_ns": batch.modified_ns,
                    "rows": 0,
                    "rejected": 0,
                    "status": "duplicate",
                    "reason": "",
                    "segments": [],
                    "ingested_at": NOW,
                }
                for batch in listed
            ],
        )
