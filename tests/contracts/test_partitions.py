"""Paths that name the asset of a file: Hive partitions, and the pattern `asset_from`."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from factories import NOW, make_plant, opened

from connectors.csv.readings import CsvReadings
from connectors.events.source import FileEvents
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


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        ("", "asset_id={}/a.parquet"),
        ('[readings]\nasset_from = "{asset}_*.parquet"\n', "{}_2026.parquet"),
    ],
    ids=["partitions", "a pattern"],
)
def test_machines_that_send_the_same_bytes_are_both_read(tmp_path, toml, name):
    config = make_plant(tmp_path, toml=toml)
    for asset in ("pump-1", "pump-2"):
        put(config.parent / "readings", name.format(asset))
    with opened(config) as plant:
        done = ingest(plant, now=NOW)
        seen = set(plant.store.ledger.first_seen())

    assert (done.rows, seen) == (12, {"pump-1", "pump-2"})


NAMES = {
    "press 1_2026-01.csv": "timestamp,load\n2023-01-01T00:00Z,1\n2023-01-01T01:00Z,2\n",
    "press 1_2026-02.CSV": "timestamp,load\n2023-02-01T00:00Z,1\n",
    "old/Presse_7_2025.csv": "timestamp,load\n2023-01-01T00:00Z,1\n",
    "own_1.csv": "asset_id,timestamp,load\npress 9,2023-01-01T00:00Z,1\n",
}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def assets_by_file(source):
    """Assets and notes of each file, or why it is refused."""
    found = {}
    for batch in source.list():
        try:
            chunks = list(source.read(batch))
        except BadBatch as error:
            found[batch.name] = str(error)
        else:
            (chunk,) = chunks
            notes = [each.reason for each in chunk.rejections]
            found[batch.name] = (set(chunk.readings.assets), notes)
    return found


def test_a_pattern_says_where_paths_name_the_asset(tmp_path):
    write(tmp_path, NAMES)
    form = ReadingsFormat(asset_from="{asset}_20*.csv", dates="auto")

    assert assets_by_file(CsvReadings(str(tmp_path), form)) == {
        "press 1_2026-01.csv": ({"press 1"}, []),
        "press 1_2026-02.CSV": ({"press 1"}, []),
        "old/Presse_7_2025.csv": ({"Presse_7"}, []),
        "own_1.csv": ({"press 9"}, []),
    }


@pytest.mark.parametrize(
    ("pattern", "name", "asset"),
    [
        ("{asset}/*", "line 3/press-1/2026/a.parquet", "2026"),
        ("{asset}/*/*", "line 3/press-1/2026/a.parquet", "press-1"),
        ("*_{asset}.parquet", "2026_03_press-1.parquet", "press-1"),
        ("????-{asset}.parquet", "2026-press-1.parquet", "press-1"),
        ("[x]{asset}.parquet", "[x]press-1.parquet", "press-1"),
        ("{asset}.parquet", "line 3/asset_id=press 2/other.parquet", "press 2"),
    ],
)
def test_levels_signs_and_partitions_of_paths(tmp_path, pattern, name, asset):
    put(tmp_path, name)

    assert read(tmp_path, ReadingsFormat(asset_from=pattern))[0] == {asset: 6}


def test_a_path_that_fits_no_pattern_is_of_the_only_machine_or_refused_in_words(tmp_path):
    put(tmp_path, "summary.parquet")
    form = ReadingsFormat(asset_from="{asset}_*.parquet")
    with pytest.raises(BadBatch) as refused:
        read(tmp_path, form)
    assert str(refused.value).endswith(
        '; nor does its path fit readings.asset_from = "{asset}_*.parquet"'
    )

    only = ReadingsFormat(asset_from="{asset}_*.parquet", default_asset="press 1")
    assert read(tmp_path, only)[0] == {"press 1": 6}


def test_a_file_whose_columns_name_no_machine_is_told_of_its_path(tmp_path):
    write(tmp_path, {"press 1_2026.csv": NAMES["press 1_2026-01.csv"]})
    refused = assets_by_file(CsvReadings(str(tmp_path), ReadingsFormat(dates="auto")))

    assert 'readings.asset_from = "{asset}_*.csv"' in refused["press 1_2026.csv"]


def test_a_file_that_names_another_asset_than_its_name_counts_and_is_told(tmp_path):
    write(tmp_path, {"press-1_a.csv": NAMES["own_1.csv"]})
    source = CsvReadings(str(tmp_path), ReadingsFormat(asset_from="{asset}_*", dates="auto"))

    notes = ["asset_id is 'press-1' in its path and 'press 9' in the file, which counts"]
    assert assets_by_file(source) == {"press-1_a.csv": ({"press 9"}, notes)}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_events_of_the_same_bytes_are_of_the_machines_that_their_paths_name(tmp_path, ending):
    table = pa.table({"timestamp": TIMES[:1], "kind": ["failure"], "code": ["seal"]})
    for name in ("P-1", "P-2"):
        if ending == "parquet":
            put(tmp_path, f"{name} orders.parquet", table)
        else:
            text = "timestamp,kind,code\n2023-01-01T00:00Z,failure,seal\n"
            write(tmp_path, {f"{name} orders.csv": text})
    form = EventsFormat(asset_from="{asset} orders.*", assets=(("P-*1", "pump-1"),))
    source = FileEvents(str(tmp_path), form)
    batches = sorted(source.list(), key=lambda batch: batch.name)

    assert [source.read(batch)[0].asset.tolist() for batch in batches] == [["pump-1"], ["P-2"]]
    assert len({source.digest(batch) for batch in batches}) == 2
