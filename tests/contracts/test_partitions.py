"""Hive partitions: folders that name the asset of the files in them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from factories import NOW, make_plant, opened

from connectors.parquet import EventsFormat, ParquetEvents, ParquetReadings, ReadingsFormat
from pm_app.errors import BadBatch
from pm_app.jobs.ingest.run import ingest

START = datetime(2023, 1, 1, tzinfo=UTC)
TIMES = pa.array([START + timedelta(hours=n) for n in range(6)], pa.timestamp("us", "UTC"))
PLAIN = pa.table({"timestamp": TIMES, "load": np.arange(6.0)})
WIDE = ReadingsFormat(asset_column="asset")


def put(folder, name, table=PLAIN):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def read(folder, form=WIDE):
    """Rows of each asset, reasons and columns left."""
    source, rows, reasons, left = ParquetReadings(str(folder), form), {}, [], set()
    for batch in source.list():
        for chunk in source.read(batch):
            names = [chunk.readings.assets[at] for at in chunk.readings.asset]
            for name in names:
                rows[name] = rows.get(name, 0) + 1
            reasons += [each.reason for each in chunk.rejections]
            left |= {(each.name, each.cause, each.reason) for each in chunk.left}
    return rows, reasons, left


def test_what_arrow_writes_in_partitions_is_read_with_its_assets(tmp_path):
    names = ["pump-1", "Halle 7/Pumpe=2", "größe", "100%"]
    assets = pa.array([names[n % 4] for n in range(40)])
    times = pa.array([START + timedelta(hours=n) for n in range(40)], pa.timestamp("us", "UTC"))
    dates = pa.array([f"2026-01-0{1 + n % 3}" for n in range(40)])
    table = pa.table({"asset": assets, "date": dates, "timestamp": times, "load": np.arange(40.0)})
    ds.write_dataset(
        table,
        tmp_path,
        format="parquet",
        partitioning=["asset", "date"],
        partitioning_flavor="hive",
    )

    rows, reasons, left = read(tmp_path)

    assert rows == dict.fromkeys(names, 10)
    assert reasons == []
    assert left == {("date", "unused", "stands in the path alone, where only asset is read")}


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_a_partition_names_the_asset_before_the_settings_do(tmp_path, layout):
    table = PLAIN.append_column("tag", pa.array(["x"] * 6)).rename_columns(
        ["timestamp", "value", "tag"]
    )
    put(tmp_path, "asset=pump-1/a.parquet", table)
    put(tmp_path, "b.parquet", table)
    form = ReadingsFormat(layout=layout, asset_column="asset", default_asset="other")

    assert read(tmp_path, form)[0] == {"pump-1": 6, "other": 6}


def test_a_column_of_the_file_counts_before_the_path_and_a_difference_is_told(tmp_path):
    put(tmp_path, "asset=pump-1/a.parquet", PLAIN.append_column("asset", pa.array(["pump-1"] * 6)))
    put(tmp_path, "asset=pump-2/b.parquet", PLAIN.append_column("asset", pa.array(["pump-3"] * 6)))

    rows, reasons, left = read(tmp_path)

    assert (rows, left) == ({"pump-1": 6, "pump-3": 6}, set())
    assert reasons == ["asset is 'pump-2' in its path and 'pump-3' in the file, which counts"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("__HIVE_DEFAULT_PARTITION__", "asset is null in its path; needed the name of an asset"),
        ("", "asset in its path is empty"),
        ("pump-1%E2%80%8B", r"asset in its path is 'pump-1\\u200b'; needed a name without"),
    ],
)
def test_a_path_that_names_no_asset_is_refused(tmp_path, value, words):
    put(tmp_path, f"asset={value}/a.parquet")

    with pytest.raises(BadBatch, match=words):
        read(tmp_path)


def test_keys_that_the_settings_ignore_are_left_without_a_word(tmp_path):
    put(tmp_path, "asset=p/date=2026-01-01/load=7/a.parquet")
    form = ReadingsFormat(asset_column="asset", ignore=("date",))
    source = ParquetReadings(str(tmp_path), form)
    described = source.describe(next(source.list()))

    assert [(each.name, each.cause) for each in described.left] == [("date", "settings")]
    assert described.sensors == ("load",)


def test_events_take_their_asset_from_the_path(tmp_path):
    table = pa.table({"timestamp": TIMES, "kind": ["failure"] * 6, "code": ["seal"] * 6})
    put(tmp_path, "asset=pump%201/day=1/a.parquet", table)
    source = ParquetEvents(str(tmp_path), EventsFormat(asset_column="asset"))
    batch = next(source.list())

    assert set(source.read(batch)[0].asset) == {"pump 1"}
    assert [each.name for each in source.describe(batch).left] == ["day"]


def test_machines_that_send_the_same_bytes_are_both_read(tmp_path):
    config = make_plant(tmp_path)
    for name in ("pump-1", "pump-2"):
        put(config.parent / "readings", f"asset_id={name}/a.parquet")
    with opened(config) as plant:
        done = ingest(plant, now=NOW)
        seen = set(plant.store.ledger.first_seen())

    assert (done.rows, seen) == (12, {"pump-1", "pump-2"})
