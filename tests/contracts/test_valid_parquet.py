"""Files as other programs write them: every valid one is read to the value, or refused in words."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files.folder import open_folder
from connectors.parquet import ParquetEvents, ParquetReadings, ReadingsFormat
from connectors.parquet.files import open_parquet
from connectors.parquet.format import pages
from pm_app.errors import BadBatch

DATA = Path(os.environ.get("PM_APP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
CORPUS = DATA / "parquet_testing"
ROWS = 3_000
START = datetime(2026, 1, 1, tzinfo=UTC)
CODECS = ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]


def readings_table(rows=ROWS):
    """Readings of a few assets with long names, some without one."""
    random = np.random.default_rng(0)
    names = [f"line-{n % 7:03d}/pump-{n % 13:05d}" for n in range(rows)]
    return pa.table(
        {
            "asset_id": pa.array([None if n % 50 == 7 else name for n, name in enumerate(names)]),
            "timestamp": pa.array(
                [START + timedelta(minutes=n) for n in range(rows)], pa.timestamp("us", "UTC")
            ),
            "load": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.1),
            "speed": pa.array(random.normal(size=rows).astype(np.float32)),
            "starts": pa.array(random.integers(-(2**40), 2**40, rows)),
            "running": pa.array(random.random(rows) < 0.5),
        }
    )


def rows_of(table):
    """Rows with an asset, as (asset, time, *values); None for missing."""
    time = table["timestamp"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
    values = [table[name].cast(pa.float64()).to_pylist() for name in table.column_names[2:]]
    found = zip(table["asset_id"].to_pylist(), time, *values, strict=True)
    return [row for row in found if row[0] is not None]


def read(folder, **options):
    found = []
    source = ParquetReadings(str(folder), ReadingsFormat(**options), most_cells=700)
    for batch in sorted(source.list(), key=lambda batch: batch.name):
        for chunk in source.read(batch):
            given = chunk.readings
            names = [given.assets[at] for at in given.asset]
            values = np.where(np.isnan(given.values), None, given.values)
            found += zip(names, given.time.tolist(), *values.tolist(), strict=True)
    return found


# Every encoding and codec that Arrow writes.


TEXTS = ["PLAIN", "RLE_DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]
WHOLE_NUMBERS = ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]


def encodings(text, whole, fraction, flag):
    columns = {
        "asset_id": text,
        "timestamp": whole,
        "load": fraction,
        "speed": fraction,
        "starts": whole,
        "running": flag,
    }
    if text != "RLE_DICTIONARY":
        return {"use_dictionary": False, "column_encoding": columns}
    del columns["asset_id"]
    return {"use_dictionary": ["asset_id"], "column_encoding": columns}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("codec", CODECS)
def test_readings_are_those_that_were_written(tmp_path, codec, text, version):
    table = readings_table()
    at = TEXTS.index(text)
    options = encodings(
        text,
        WHOLE_NUMBERS[at % 3],
        ["PLAIN", "BYTE_STREAM_SPLIT"][at % 2],
        ["PLAIN", "RLE"][at % 2],
    )
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        compression=codec,
        data_page_version=version,
        data_page_size=2_000,
        row_group_size=1_300,
        **options,
    )
    written = {
        name
        for at in range(table.num_columns)
        for name in pq.ParquetFile(tmp_path / "a.parquet")
        .metadata.row_group(0)
        .column(at)
        .encodings
    }

    assert text in written
    assert read(tmp_path) == rows_of(table)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("text", TEXTS)
def test_events_and_tags_are_those_that_were_written(tmp_path, text, version):
    rows = 500
    names = pa.array([f"pump-{n % 11:03d}" for n in range(rows)])
    codes = pa.array([f"bearing {n % 5}" if n % 3 else None for n in range(rows)])
    times = pa.array([START + timedelta(hours=n) for n in range(rows)], pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "asset_id": names,
            "timestamp": times,
            "kind": pa.array(["failure"] * rows),
            "code": codes,
            "tag": pa.array([f"sensor {n % 3}" for n in range(rows)]),
            "value": pa.array(np.arange(rows) / 2),
        }
    )
    columns = dict.fromkeys(["asset_id", "kind", "code", "tag"], text)
    options = {"use_dictionary": False, "column_encoding": columns}
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        data_page_version=version,
        **(options if text != "RLE_DICTIONARY" else {}),
    )

    source = ParquetEvents(str(tmp_path))
    events, reasons = source.read(next(source.list()))
    tags = read(tmp_path, layout="long")

    found = zip(events.asset.tolist(), events.code.tolist(), strict=True)
    expected = zip(names.to_pylist(), codes.to_pylist(), strict=True)
    assert reasons == ()
    assert sorted(found) == sorted((name, code or "") for name, code in expected)
    assert len(tags) == rows


# What programs write.


def by_pandas(table, path):
    table.to_pandas().to_parquet(path, index=False)


def by_spark(table, path):
    """As Spark writes by default: INT96 times, snappy, pages of version 1."""
    times = table["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("ns"))
    table = table.set_column(1, "timestamp", times)
    pq.write_table(
        table, path, use_deprecated_int96_timestamps=True, compression="snappy", version="1.0"
    )


def by_spark_with_version_2(table, path):
    """As Spark with `parquet.writer.version` v2: deltas for texts and whole numbers."""
    options = encodings("DELTA_BYTE_ARRAY", "DELTA_BINARY_PACKED", "PLAIN", "RLE")
    pq.write_table(table, path, compression="snappy", data_page_version="2.0", **options)


def by_polars(table, path):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    polars.from_arrow(table).write_parquet(path)


def by_duckdb(table, path, version="V1"):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with duckdb.connect() as connection:
        connection.register("readings", table)
        options = f"FORMAT parquet, PARQUET_VERSION {version}"
        connection.execute(f"COPY (SELECT * FROM readings) TO '{path}' ({options})")


def by_duckdb_with_version_2(table, path):
    by_duckdb(table, path, version="V2")


@pytest.mark.parametrize(
    "write",
    [
        by_pandas,
        by_spark,
        by_spark_with_version_2,
        by_polars,
        by_duckdb,
        by_duckdb_with_version_2,
    ],
)
def test_what_a_program_writes_is_read_to_the_value(tmp_path, write):
    table = readings_table()
    write(table, tmp_path / "a.parquet")

    zone = "UTC" if write is by_spark else None
    assert read(tmp_path, timezone=zone) == rows_of(table)


def test_a_folder_that_spark_wrote_is_read_part_by_part(tmp_path):
    table = readings_table()
    stem = "c0f9a7a0-7e0e-4f4e-9a52-7b1f6a6d9f43-c000.snappy.parquet"
    for part in range(3):
        name = f"part-{part:05d}-{stem}"
        by_spark_with_version_2(table.slice(part * 1000, 1000), tmp_path / name)
        (tmp_path / f".{name}.crc").write_bytes(b"crc")
    for name in ("_SUCCESS", "._SUCCESS.crc", "_metadata", "_common_metadata"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "_temporary" / "0").mkdir(parents=True)
    (tmp_path / "_temporary" / "0" / f"part-00009-{stem}").write_bytes(b"half")

    assert read(tmp_path) == rows_of(table)
    assert list(ParquetReadings(str(tmp_path)).left_files()) == []


# The Apache project's own files, many never seen from Arrow.


def corpus_files():
    found = sorted(CORPUS.rglob("*.parquet")) if CORPUS.is_dir() else []
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=f"needs {CORPUS}"))]


@pytest.mark.parametrize("path", corpus_files(), ids=lambda path: path.stem if path else "absent")
def test_a_file_of_the_apache_corpus_is_read_or_refused_in_words(path, tmp_path):
    (tmp_path / "a.parquet").symlink_to(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").write_bytes(path.read_bytes())
    refused = set()
    for options in ({"asset": "p", "table": True}, {"table": True, "layout": "long"}):
        form = ReadingsFormat(
            default_asset=options.pop("asset", None), timezone="UTC", value_column="a", **options
        )
        source = ParquetReadings(str(tmp_path), form)
        for batch in source.list():
            try:
                described = source.describe(batch)
                rows = sum(
                    len(chunk.readings.time) + sum(each.rows for each in chunk.rejections)
                    for chunk in source.read(batch)
                )
                assert rows == described.rows or form.layout == "long"
            except BadBatch as error:
                refused.add(str(error))

    assert all(words.startswith(("a.parquet: ", "b.parquet: ")) for words in refused)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs {CORPUS}")
@pytest.mark.parametrize("name", ["delta_byte_array", "delta_encoding_optional_column"])
def test_names_in_the_corpus_written_as_deltas_are_those_that_arrow_reads(tmp_path, name):
    path = CORPUS / "data" / f"{name}.parquet"
    (tmp_path / "a.parquet").write_bytes(path.read_bytes())
    source = ParquetReadings(
        str(tmp_path), ReadingsFormat(asset_column="c_customer_id", table=True)
    )
    expected = {name for name in pq.read_table(path)["c_customer_id"].to_pylist() if name}

    names = {name for chunk in source.read(next(source.list())) for name in chunk.readings.assets}

    assert names == expected


# The lengths of delta texts.


def write_deltas(texts, path, **options):
    """A column of these texts, written as deltas."""
    columns = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, **columns, **options)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.one_of(st.none(), st.text(max_size=40)), min_size=1, max_size=400),
    codec=st.sampled_from(CODECS),
    version=st.sampled_from(["1.0", "2.0"]),
)
def test_the_sum_of_lengths_is_that_of_the_texts(tmp_path_factory, texts, codec, version):
    folder = tmp_path_factory.mktemp("page")
    write_deltas(texts, folder / "a.parquet", compression=codec, data_page_version=version)
    bodies = []
    original = pages.text_lengths
    try:
        pages.text_lengths = lambda body: bodies.append(original(body)) or bodies[-1]
        listed = open_folder(str(folder), suffixes=(".parquet",), contents="files")
        (batch,) = listed.batches(absent_is_empty=False)
        with open_parquet(listed, batch) as file:
            file.check(["text"])
    finally:
        pages.text_lengths = original

    there = [text for text in texts if text is not None]
    sizes = [len(text.encode()) for text in there]
    assert sum(found.count for found in bodies) == len(there)
    assert sum(found.total for found in bodies) == sum(sizes)
    assert max(found.longest for found in bodies) >= max(sizes, default=0)
