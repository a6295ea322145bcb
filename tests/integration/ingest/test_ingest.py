"""Law 5: what cannot be used is named and set aside, and everything else goes on."""

import re
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    drop,
    events_table,
    opened,
    readings_table,
    said,
)

from pm_app.errors import BadBatch, SourceUnavailable, StoreUnavailable
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score.run import score
from pm_app.store import segments_of

HOUR = timedelta(hours=1)
GOOD = readings_table()


def said_of(new_plant, files):
    """What is said of these files alone."""
    with opened(new_plant(files)) as plant:
        score(plant, now=NOW)
        return said(plant.store)


def without_zone(table):
    return _replaced(table, "timestamp", table["timestamp"].cast(pa.timestamp("us")))


def _replaced(table, name, column):
    return table.set_column(table.column_names.index(name), name, column)


def _texts(table, text):
    return pa.array([text] * len(table))


BAD_READINGS = {
    "text for time": (
        _replaced(GOOD, "timestamp", _texts(GOOD, "yesterday")),
        r"bad\.parquet: column 'timestamp' is string; needed a timestamp",
    ),
    "no zone": (without_zone(GOOD), r"bad\.parquet: column 'timestamp' .*without a time zone"),
    "no time": (
        GOOD.drop_columns(["timestamp"]),
        r"bad\.parquet: needed a column 'timestamp', got columns \['asset_id', 'sensor-0'",
    ),
    "no asset": (
        GOOD.drop_columns(["asset_id"]),
        r"bad\.parquet: needed a column 'asset_id' naming the asset, got columns \['timestamp'",
    ),
    "numbers for asset": (
        _replaced(GOOD, "asset_id", pa.array([1.5] * len(GOOD))),
        r"bad\.parquet: column 'asset_id' is double; needed text or whole numbers",
    ),
    "no sensor": (
        GOOD.select(["asset_id", "timestamp"]),
        r"bad\.parquet: needed a numeric column as a sensor, got columns \['asset_id', 'timest",
    ),
    "no rows": (GOOD.slice(0, 0), r"bad\.parquet: needed rows, got a Parquet file with none"),
    "no good row": (
        _replaced(GOOD, "asset_id", pa.nulls(len(GOOD), pa.string())),
        r"bad\.parquet: none of its rows can be used: asset_id is null or empty",
    ),
    "no time at all": (
        _replaced(GOOD, "timestamp", pa.nulls(len(GOOD), pa.timestamp("us", "UTC"))),
        r"bad\.parquet: none of its rows can be used: timestamp is null",
    ),
}


@pytest.mark.parametrize("table, reason", BAD_READINGS.values(), ids=BAD_READINGS)
def test_a_bad_file_is_quarantined_by_name_column_and_value_and_the_rest_is_scored(
    new_plant, table, reason
):
    config = new_plant({"a.parquet": GOOD.slice(0, 100), "z.parquet": GOOD.slice(100)})
    drop(config, "bad.parquet", table)

    with opened(config) as plant:
        done = score(plant, now=NOW)
        (row,) = plant.store.ledger.batches(status="quarantined")
        found = said(plant.store)

    assert (row.name, row.rows, row.segments) == ("bad.parquet", 0, ())
    assert re.search(reason, row.reason)
    assert (done.ingested.batches, done.ingested.quarantined) == (3, 1)
    assert done.ingested.rows == len(GOOD)
    assert found == said_of(new_plant, {"a.parquet": GOOD})


@pytest.mark.parametrize("kept", [0, 3, 200, -9, -1])
def test_bytes_that_are_no_whole_parquet_file_are_quarantined(new_plant, kept):
    config = new_plant({"a.parquet": GOOD})
    path = drop(config, "torn.parquet", readings_table(seed=1))
    path.write_bytes(path.read_bytes()[:kept])

    with opened(config) as plant:
        score(plant, now=NOW)
        (row,) = plant.store.ledger.batches(status="quarantined")
        assert said(plant.store) == said_of(new_plant, {"a.parquet": GOOD})

    size = path.stat().st_size
    assert f"torn.parquet: needed a whole Parquet file of {size} bytes" in row.reason


def test_a_sensor_that_is_text_is_named_with_what_to_do(new_plant):
    toml = PLANT_TOML + '\n[readings]\nsensors = ["sensor-0", "mode"]\n'
    table = GOOD.append_column("mode", _texts(GOOD, "fast"))
    config = new_plant({"a.parquet": table}, toml=toml)

    with opened(config) as plant:
        score(plant, now=NOW)
        (row,) = plant.store.ledger.batches(status="quarantined")

    assert "a.parquet: column 'mode' holds 'fast' in row 1, which is no number" in row.reason


def test_good_rows_of_a_partly_bad_file_are_kept_and_the_others_counted(new_plant):
    bad = GOOD.slice(7, 5)
    nameless = _replaced(bad.slice(0, 2), "asset_id", pa.nulls(2, pa.string()))
    timeless = _replaced(bad.slice(2), "timestamp", pa.nulls(3, bad["timestamp"].type))
    rest = pa.concat_tables([GOOD.slice(0, 7), GOOD.slice(12)])
    config = new_plant({"a.parquet": pa.concat_tables([rest, nameless, timeless])})

    with opened(config) as plant:
        done = score(plant, now=NOW)
        (row,) = plant.store.ledger.batches()
        found = said(plant.store)

    assert (row.status, row.rows, row.rejected) == ("ingested", len(GOOD) - 5, 5)
    assert row.reason == "3 rows: timestamp is null; 2 rows: asset_id is null or empty"
    assert (done.ingested.rejected, done.ingested.quarantined) == (5, 0)
    assert found == said_of(new_plant, {"a.parquet": rest})


def test_a_quarantined_file_is_not_opened_again_and_a_mended_one_is(new_plant):
    config = new_plant()
    path = drop(config, "a.parquet", GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with opened(config) as plant:
        score(plant, now=NOW)
        assert score(plant, now=NOW + HOUR).ingested.batches == 0

        path.write_bytes(whole)
        done = score(plant, now=NOW + HOUR)

        assert done.ingested.rows == len(GOOD)
        assert Counter(row.status for row in plant.store.ledger.batches()) == {
            "retried": 1,
            "ingested": 1,
        }


BAD_EVENTS = {
    "no kind": (
        events_table([("pump-00", 1, "failure", "")]).drop_columns(["kind"]),
        r"bad\.parquet: needed a column 'kind', got columns \['asset_id', 'timestamp', 'code'\]",
    ),
    "unknown kind": (
        events_table([("pump-00", 1, "breakdown", "")]),
        r"bad\.parquet: none of its 1 rows can be used: row 1: kind is 'breakdown'; needed one of",
    ),
    "text for time": (
        _replaced(
            events_table([("pump-00", 1, "failure", "")]), "timestamp", pa.array(["2023-08-14"])
        ),
        r"bad\.parquet: column 'timestamp' is string; needed a timestamp",
    ),
}


@pytest.mark.parametrize("table, reason", BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_bad_events_are_quarantined_and_good_ones_count(new_plant, table, reason):
    good = events_table([("pump-00", 5.5, "failure", ""), ("pump-00", 7, "maintenance", "seal")])
    config = new_plant({"a.parquet": GOOD}, events={"good.parquet": good})
    drop(config, "bad.parquet", table, source="events")

    with opened(config) as plant:
        score(plant, now=NOW)
        (row,) = plant.store.ledger.batches(status="quarantined")
        found = said(plant.store)

    assert (row.source, row.name) == ("events", "bad.parquet")
    assert re.search(reason, row.reason)
    clean = new_plant({"a.parquet": GOOD}, events={"good.parquet": good})
    with opened(clean) as plant:
        score(plant, now=NOW)
        assert found == said(plant.store)


def test_unknown_kinds_among_good_events_are_counted_with_their_row_and_value(new_plant):
    events = events_table([("pump-00", 5, "failure", ""), ("pump-00", 7, "lunch", "")])
    config = new_plant({"a.parquet": GOOD}, events={"e.parquet": events})

    with opened(config) as plant:
        ingest(plant, now=NOW)
        row = plant.store.ledger.batches()[-1]

    assert (row.status, row.rows, row.rejected) == ("ingested", 1, 1)
    assert "row 2: kind is 'lunch'; needed one of" in row.reason


@pytest.mark.parametrize("names", [("a.parquet", "b.parquet"), ("b.parquet", "a.parquet")])
def test_files_with_some_of_the_sensors_each_say_what_one_with_all_says(new_plant, names):
    parts = [GOOD.drop_columns(["sensor-0"]), GOOD.drop_columns(["sensor-1", "sensor-2"])]
    whole = said_of(new_plant, {"a.parquet": GOOD})

    config = new_plant(dict(zip(names, parts, strict=True)))
    with opened(config) as plant:
        score(plant, now=NOW)
        history = plant.history.read(segments_of(plant.store.ledger.ingested_batches("readings")))
        counts = merge_panes(history, pane_ns=plant.history.pane_ns)

        assert [row["cutoff"] for row in said(plant.store)] == [row["cutoff"] for row in whole]

    there = np.array([len(GOOD) - GOOD[name].null_count for name in counts.sensors])
    assert counts.count.sum(axis=0).tolist() == there.tolist()


@pytest.mark.parametrize("late", ["08.parquet", "08 corrected.parquet"])
def test_of_two_files_of_the_same_moments_the_one_called_as_its_correction_counts(new_plant, late):
    before = GOOD.drop_columns(["sensor-1", "sensor-2"])
    after = _replaced(before, "sensor-0", pa.array([7.0] * len(before)))
    files = {"08.parquet": before, "08 corrected.parquet": after}
    config = new_plant({name: table for name, table in files.items() if name != late})
    with opened(config) as plant:
        ingest(plant, now=NOW)
        drop(config, late, files[late])
        ingest(plant, now=NOW)
        history = plant.history.read(segments_of(plant.store.ledger.ingested_batches("readings")))

        panes = merge_panes(history, pane_ns=plant.history.pane_ns)

    assert panes.minimum.tolist() == panes.maximum.tolist() == [[7.0]] * len(panes.pane)


def test_no_files_at_all_are_nothing_to_complain_about(new_plant):
    config = new_plant()
    (config.parent / "events").rmdir()
    with opened(config) as plant:
        done = score(plant, now=NOW)

        assert done.ingested.batches == 0
        assert said(plant.store) == []


def test_a_missing_folder_of_readings_is_named(new_plant):
    config = new_plant()
    (config.parent / "readings").rmdir()
    with opened(config) as plant, pytest.raises(SourceUnavailable, match="readings: cannot be li"):
        score(plant, now=NOW)


class Source:
    """A source whose named batches fail: `fail` is asked at every chunk that is read."""

    watched_folder = None

    def __init__(self, source, fail):
        self.source, self.fail = source, fail

    def list(self):
        return self.source.list()

    def left_files(self):
        return iter(())

    def digest(self, batch):
        self.fail(batch.name, -1)
        return self.source.digest(batch)

    def count(self, batch):
        return self.source.count(batch)

    def read(self, batch):
        for number, chunk in enumerate(self.source.read(batch)):
            self.fail(batch.name, number)
            for start in range(0, len(chunk.readings.time), 50):
                yield replace(chunk, readings=_rows(chunk.readings, start, start + 50))
                self.fail(batch.name, start // 50 + 1)


def _rows(readings, start, stop):
    return replace(
        readings,
        asset=readings.asset[start:stop],
        time=readings.time[start:stop],
        values=readings.values[:, start:stop],
    )


def failing(error, name="b.parquet", *, chunk):
    def fail(batch, number):
        if (batch, number) == (name, chunk):
            raise error

    return fail


def test_a_batch_that_turns_bad_after_some_chunks_leaves_nothing_behind(new_plant):
    config = new_plant({"a.parquet": GOOD.slice(0, 100), "b.parquet": GOOD.slice(100)})
    with opened(config) as plant:
        bad = Source(plant.readings, failing(BadBatch("b.parquet: page 7: rotten"), chunk=2))
        done = score(replace(plant, readings=bad), now=NOW)
        (row,) = plant.store.ledger.batches(status="quarantined")
        on_disk = {path.name for path in plant.history.folder.iterdir()}

        assert on_disk == plant.store.ledger.segments()
        assert said(plant.store) == said_of(new_plant, {"a.parquet": GOOD.slice(0, 100)})
    assert (row.reason, row.rows, row.segments) == ("b.parquet: page 7: rotten", 0, ())
    assert done.ingested.quarantined == 1


@pytest.mark.parametrize("chunk", [-1, 0, 1])
def test_a_file_that_cannot_be_fetched_now_waits_and_the_others_are_scored(new_plant, chunk):
    files = {"a.parquet": GOOD.slice(0, 100), "c.parquet": GOOD.slice(150)}
    config = new_plant({**files, "b.parquet": GOOD.slice(100, 50)})
    with opened(config) as plant:
        away = Source(
            plant.readings,
            failing(SourceUnavailable("b.parquet: cannot be read: gone"), chunk=chunk),
        )
        with pytest.raises(SourceUnavailable, match=r"b\.parquet: cannot be read: gone \(all else"):
            score(replace(plant, readings=away), now=NOW)
        assert said(plant.store) == said_of(new_plant, files)

        score(plant, now=NOW)
        found = said(plant.store, without=("revision",))
        on_disk = {path.name for path in plant.history.folder.iterdir()}
        assert on_disk == plant.store.ledger.segments()
    with opened(new_plant({"all.parquet": GOOD})) as plant:
        score(plant, now=NOW)
        assert found == said(plant.store, without=("revision",))


def test_a_batch_written_again_after_the_store_failed_holds_what_is_known_by_then(new_plant):
    config = new_plant()
    every_other = np.arange(len(GOOD)) % 2 == 0
    drop(config, "b.parquet", GOOD.filter(pa.array(every_other)))
    with opened(config) as plant:
        chunked = replace(plant, readings=Source(plant.readings, lambda name, number: None))

        class Ledger:
            def __getattr__(self, name):
                return getattr(plant.store.ledger, name)

            def record_batch(self, *values, **options):
                raise StoreUnavailable("the disk is full")

        down = replace(chunked, store=replace(plant.store, ledger=Ledger()))
        with pytest.raises(StoreUnavailable):
            score(down, now=NOW)
        drop(config, "a.parquet", GOOD.filter(pa.array(~every_other)))
        score(chunked, now=NOW)
        found = said(plant.store)

    assert found == said_of(new_plant, {"all.parquet": GOOD})


def test_readings_between_those_of_a_file_that_is_gone_are_refused_and_later_ones_kept(new_plant):
    config = new_plant({"a.parquet": GOOD})
    with opened(config) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        (config.parent / "readings" / "a.parquet").unlink()
        shifted = GOOD["timestamp"].cast(pa.int64()).to_numpy() + 1
        first = pa.array(shifted, pa.int64()).cast(GOOD["timestamp"].type)
        late = _replaced(GOOD, "timestamp", first).slice(0, 60)
        drop(config, "b.parquet", late)
        drop(config, "c.parquet", readings_table(first_hour=40, hours=2))
        done = score(plant, now=NOW + HOUR)
        row = next(row for row in plant.store.ledger.batches() if row.name == "b.parquet")
        after = said(plant.store)

    refused = row.rejected if row.status == "ingested" else len(late)
    assert 0 < refused <= len(late)
    assert "fall between earlier ones of a.parquet, no longer there" in row.reason
    assert row.rows + row.rejected == len(late)
    assert done.ingested.rows > 0
    assert [entry for entry in after if entry in before or entry["revision"] > 1]


def test_two_threads_that_ingest_at_once_take_each_batch_in_once(new_plant):
    config = new_plant({f"{at}.parquet": GOOD.slice(30 * at, 30) for at in range(8)})
    with opened(config) as plant:
        chunked = replace(plant, readings=Source(plant.readings, lambda name, number: None))
        done = []
        threads = [
            threading.Thread(target=lambda: done.append(ingest(chunked, now=NOW))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = plant.store.ledger.batches()
        score(plant, now=NOW)
        found = said(plant.store)

    assert [row.status for row in rows] == ["ingested"] * 8
    assert sum(ingested.batches for ingested in done) == 8
    assert found == said_of(new_plant, {"all.parquet": GOOD})


def test_what_a_crash_left_in_the_folders_of_panes_and_events_is_removed(new_plant):
    config = new_plant({"a.parquet": GOOD})
    with opened(config) as plant:
        score(plant, now=NOW)
    with opened(config) as plant:
        named = {path.name for path in plant.history.folder.iterdir()}
        for folder, end in ((plant.history.folder, "-0000"), (plant.event_history.folder, "")):
            for name in (f"{24 * 'a'}{end}.parquet", f".{24 * 'a'}{end}.parquet.tmp", "mine.txt"):
                (folder / name).write_bytes(b"half")
            (folder / "lost+found").mkdir()
        score(plant, now=NOW)

        others = {"mine.txt", "lost+found"}
        assert {path.name for path in plant.history.folder.iterdir()} == named | others
        assert {path.name for path in plant.event_history.folder.iterdir()} == others
