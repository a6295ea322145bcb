"""What a look at names, sizes and time stamps does not show: exchanged content, other files."""

import os
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from factories import NOW, drop, opened, readings_table, said
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.jobs.ingest import sweep as sweep_module
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score.run import score

MINUTE = timedelta(minutes=1)
FIRST = readings_table(hours=6, missing=0)
SECOND = readings_table(hours=6, missing=0, seed=1)


def write(path, table):
    """A file without anything that makes its size depend on its values."""
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)


def exchange(path, table):
    """Another content under the same size and time stamp."""
    before = path.stat()
    write(path, table)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )


def plant_with(new_plant, name="a.parquet"):
    config = new_plant()
    folder = config.parent / "readings"
    folder.mkdir(exist_ok=True)
    write(folder / name, FIRST)
    return config, folder / name


def test_a_file_exchanged_under_the_same_size_and_time_is_read_as_any_that_was_replaced(
    new_plant, caplog
):
    config, path = plant_with(new_plant)
    with opened(config) as plant:
        score(plant, now=NOW)
        exchange(path, SECOND)
        score(plant, now=NOW + MINUTE)
        found = said(plant.store)
        rows = [(row.name, row.status, row.rows) for row in plant.store.ledger.batches()]

    config, path = plant_with(new_plant)
    with opened(config) as plant:
        score(plant, now=NOW)
        write(path, SECOND)
        os.utime(path, ns=(1, 1))
        score(plant, now=NOW + MINUTE)
        expected = said(plant.store)

    assert rows == [("a.parquet", "ingested", len(SECOND)), ("a.parquet", "ingested", len(FIRST))]
    assert found == expected
    assert "a.parquet has another content than when it was read" in caplog.text


def test_a_file_that_stays_as_it_is_is_not_read_again(new_plant):
    config, _ = plant_with(new_plant)
    with opened(config) as plant:
        looks = [ingest(plant, now=NOW + n * MINUTE).batches for n in range(4)]
        count = plant.store.ledger.count()

    assert (looks, count) == ([1, 0, 0, 0], 1)


def test_every_file_comes_round_within_a_bound_of_bytes_a_minute(new_plant, monkeypatch):
    config, path = plant_with(new_plant, "0.parquet")
    for n in range(1, 7):
        write(path.with_name(f"{n}.parquet"), FIRST.slice(n))
    size = path.stat().st_size
    monkeypatch.setattr(sweep_module, "LEAST_BYTES_A_MINUTE", 2 * size)
    hashed = []
    with opened(config) as plant:
        ingest(plant, now=NOW)
        digest = plant.readings.digest
        monkeypatch.setattr(
            plant.readings, "digest", lambda batch: hashed.append(batch.name) or digest(batch)
        )
        parts = []
        for n in range(1, 5):
            before = len(hashed)
            ingest(plant, now=NOW + n * MINUTE)
            ingest(plant, now=NOW + n * MINUTE + MINUTE / 2)  # not due yet
            parts.append(hashed[before:])

    # The first minute's part was hashed by the first look.
    assert parts[0] == ["2.parquet", "3.parquet"]
    assert max(map(len, parts)) <= 2
    assert sorted({*sum(parts, []), "0.parquet", "1.parquet"}) == [f"{n}.parquet" for n in range(7)]


def test_a_file_larger_than_a_minutes_share_makes_the_next_part_wait(new_plant, monkeypatch):
    config, path = plant_with(new_plant)
    monkeypatch.setattr(sweep_module, "LEAST_BYTES_A_MINUTE", path.stat().st_size / 10)
    hashed = []
    with opened(config) as plant:
        ingest(plant, now=NOW)
        digest = plant.readings.digest
        monkeypatch.setattr(
            plant.readings, "digest", lambda batch: hashed.append(batch.name) or digest(batch)
        )
        for n in range(1, 21):
            ingest(plant, now=NOW + n * MINUTE)

    assert hashed == ["a.parquet"] * 2


def test_a_sweep_goes_on_where_it_was_after_a_restart_and_a_clock_put_back(new_plant, monkeypatch):
    config, path = plant_with(new_plant)
    write(path.with_name("b.parquet"), FIRST.slice(1))
    monkeypatch.setattr(sweep_module, "LEAST_BYTES_A_MINUTE", 1.0)
    with opened(config) as plant:
        ingest(plant, now=NOW)
    exchange(path.with_name("b.parquet"), SECOND.slice(1))
    with opened(config) as plant:
        assert ingest(plant, now=NOW + MINUTE).batches == 0
        assert ingest(plant, now=NOW - timedelta(days=900)).batches == 1


# Other files.


def with_other_files(new_plant):
    config = new_plant({"a.parquet": FIRST})
    for n in range(60):
        (config.parent / "readings" / f"{n:02d}.csv").write_text("asset_id;timestamp;load\n")
    (config.parent / "readings" / "loop.parquet").symlink_to("loop.parquet")
    (config.parent / "events").mkdir(exist_ok=True)
    (config.parent / "events" / "failures.docx").write_bytes(b"PK")
    return config


def test_a_link_in_circles_stops_no_file_and_what_is_left_is_logged_once(new_plant, caplog):
    config = with_other_files(new_plant)
    with opened(config) as plant:
        looks = [ingest(plant, now=NOW + n * MINUTE).rows for n in range(3)]

    lines = [record.getMessage() for record in caplog.records if "not read" in record.message]
    assert looks == [len(FIRST), 0, 0]
    assert [line.split(":")[0] for line in sorted(lines)] == [
        "1 file of events is not read",
        "1 file of readings is not read",
        "60 files of readings are not read",
    ]
    assert "00.csv, 01.csv, 02.csv, 03.csv, 04.csv and 55 more: needed Parquet files" in caplog.text
    assert "loop.parquet: cannot be read: Too many levels of symbolic links" in caplog.text


def test_what_is_left_is_logged_again_when_it_has_become_twice_as_much(new_plant, caplog):
    config = with_other_files(new_plant)
    counts = []
    with opened(config) as plant:
        for n, files in enumerate((60, 61, 119, 120, 121)):
            for more in range(60, files):
                (config.parent / "readings" / f"{more}.csv").touch()
            caplog.clear()
            ingest(plant, now=NOW + n * MINUTE)
            counts += [
                record.message.split()[0] for record in caplog.records if "00.csv" in record.message
            ]

    assert counts == ["60", "120"]


@pytest.mark.parametrize("command", ["status", "check"])
def test_commands_name_what_is_not_read(new_plant, command):
    config = with_other_files(new_plant)
    with opened(config) as plant:
        ingest(plant, now=NOW)

    shown = " ".join(CliRunner().invoke(app, [command, "-c", str(config)]).output.split())

    assert "00.csv, 01.csv, 02.csv, 03.csv, 04.csv and 55 more: needed Parquet files" in shown
    assert "loop.parquet: cannot be read: Too many levels of symbolic links" in shown
    assert "failures.docx: needed Parquet, CSV or Excel files" in shown


def test_a_dropped_file_is_not_missed_in_a_folder_without_any_other(new_plant):
    config = new_plant()
    drop(config, "A.PARQUET", FIRST)
    with opened(config) as plant:
        assert ingest(plant, now=NOW).rows == len(FIRST)
