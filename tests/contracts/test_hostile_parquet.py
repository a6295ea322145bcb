"""Files that would harm whoever reads them: each is refused in words, in bounded memory."""

import logging
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.parquet import ParquetEvents, ParquetReadings, files, listing
from connectors.parquet import events as events_module
from pm_app.errors import BadBatch, SourceUnavailable, TornBatch

DAMAGED = 200
MEGABYTE = 10**6


def times(rows):
    return pa.array(1_700_000_000 + np.arange(rows), pa.timestamp("s", "UTC"))


def readings_table(rows=50, **columns):
    usual = {"asset_id": ["p"] * rows, "timestamp": times(rows), "load": np.arange(rows) / 2}
    return pa.table(usual | columns)


def rows_of(chunks):
    found = []
    for chunk in chunks:
        readings = chunk.readings
        names = [readings.assets[at] for at in readings.asset]
        found += zip(names, readings.time.tolist(), readings.values.T.tolist(), strict=True)
    return found


def read(folder, name="a.parquet", **options):
    """The rows of one file, and how many were refused."""
    source = ParquetReadings(str(folder), **options)
    (batch,) = (batch for batch in source.list() if batch.name == name)
    chunks = list(source.read(batch))
    return rows_of(chunks), sum(r.rows for chunk in chunks for r in chunk.rejections)


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    """Arrow's memory from here on; its peak is `max_memory()`."""
    before = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(counting)
    yield counting
    pa.set_memory_pool(before)


# Bytes that make no sense.


def test_no_cut_and_no_flip_in_the_values_is_read_as_rows(tmp_path):
    rng = np.random.default_rng(0)
    rows = 3000
    table = readings_table(rows, load=rng.normal(size=rows), flow=rng.normal(size=rows))
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    content, footer = path.read_bytes(), pq.ParquetFile(path).metadata
    chunks = [footer.row_group(0).column(at) for at in range(footer.num_columns)]
    # One page a column, so that all but its header is what the checksum covers.
    values = [
        at
        for chunk in chunks
        for at in range(chunk.data_page_offset + 100, chunk.data_page_offset + 100 + rows * 4)
    ]
    damaged = [content[:cut] for cut in np.linspace(0, len(content) - 1, DAMAGED, dtype=int)]
    for at, bit in zip(rng.choice(values, DAMAGED), rng.integers(0, 8, DAMAGED), strict=True):
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        damaged.append(bytes(flipped))

    refused = 0
    for each in damaged:
        path.write_bytes(each)
        with pytest.raises(BadBatch, match="needed a whole Parquet file"):
            read(tmp_path)
        refused += 1

    assert refused == 2 * DAMAGED
    path.write_bytes(content)
    assert len(read(tmp_path)[0]) == rows


def test_a_file_without_its_end_may_still_be_on_its_way(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(readings_table(), path)
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(TornBatch, match="its end is missing"):
        read(tmp_path)


def test_a_file_that_changes_while_it_is_read_is_read_again_later(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(readings_table(5000), path)
    source = ParquetReadings(str(tmp_path), most_cells=1000)
    chunks = source.read(next(source.list()))
    next(chunks)
    os.utime(path, ns=(1, 1))

    with pytest.raises(SourceUnavailable, match=r"a\.parquet: changed while it was read"):
        list(chunks)


# Sizes no plant has.


def test_a_long_name_that_repeats_is_refused_and_held_once(tmp_path, pool):
    table = readings_table(1500, asset_id=["p" * 200_000] * 1500)
    pq.write_table(table, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 50_000
    before = pool.max_memory()

    with pytest.raises(BadBatch, match=r"asset_id is 'p+'\.\.\. of 200,000 characters"):
        read(tmp_path)

    assert pool.max_memory() - before < 20 * MEGABYTE


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MOST_COLUMNS", 2, "at most 2 columns, got 3"),
        ("MOST_ROW_GROUPS", 4, "at most 4 row groups, got 5"),
        ("MOST_FOOTER_BYTES", 100, "a footer of at most 100 bytes, got"),
    ],
)
def test_what_no_plant_writes_is_refused(tmp_path, monkeypatch, limit, value, words):
    monkeypatch.setattr(files, limit, value)
    pq.write_table(readings_table(), tmp_path / "a.parquet", row_group_size=10)

    with pytest.raises(BadBatch, match=words):
        read(tmp_path)


def test_ten_thousand_columns_are_refused_by_their_footer(tmp_path):
    wide = {f"sensor {at}": [1.0] for at in range(10_000)}
    pq.write_table(readings_table(1, **wide), tmp_path / "a.parquet")

    with pytest.raises(BadBatch, match="at most 5,000 columns, got 10,003"):
        read(tmp_path)


def test_a_footer_that_claims_more_than_the_file_is_torn(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + 100 * b"x" + b"\xff\xff\xff\x7f" + b"PAR1")

    with pytest.raises(TornBatch):
        read(tmp_path)


def test_events_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(events_module, "MOST_EVENTS", 5)
    table = pa.table({"asset_id": ["p"] * 6, "timestamp": times(6), "kind": ["failure"] * 6})
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetEvents(str(tmp_path))

    with pytest.raises(BadBatch, match="at most 5 rows, got 6"):
        source.read(next(source.list()))


def test_nesting_is_passed_over_however_deep(tmp_path):
    deep = pa.array([1.0, 2.0])
    for level in range(60):
        deep = pa.StructArray.from_arrays([deep], names=[f"level {level}"])
    pq.write_table(readings_table(2, deep=deep), tmp_path / "a.parquet")

    assert len(read(tmp_path)[0]) == 2


def test_row_groups_without_rows_are_passed_over(tmp_path):
    table = readings_table(4)
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table.slice(0, 2), table.slice(0, 0), table.slice(2, 2)):
            writer.write_table(part)

    assert len(read(tmp_path)[0]) == 4


# Names.


@pytest.mark.parametrize("name", ["pump\x00seven", "pump\n7", "p" * 257, "\x85"])
def test_a_name_that_nobody_can_read_is_refused_by_row(tmp_path, name):
    table = readings_table(3, asset_id=["pump-1", name, None])
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetReadings(str(tmp_path))
    (chunk,) = source.read(next(source.list()))

    assert chunk.readings.assets == ("pump-1",)
    assert [rejection.rows for rejection in chunk.rejections] == [1, 1]
    assert chunk.rejections[0].reason.startswith("asset_id is '")
    assert all(len(rejection.reason) < 200 for rejection in chunk.rejections)


def test_a_file_name_that_is_not_utf8_stops_no_other(tmp_path):
    pq.write_table(readings_table(), tmp_path / "b.parquet")
    os.rename(tmp_path / "b.parquet", os.fsencode(tmp_path) + b"/caf\xe9.parquet")
    pq.write_table(readings_table(), tmp_path / "d.parquet")
    source = ParquetReadings(str(tmp_path))
    odd, fine = sorted(source.list(), key=lambda batch: batch.name)

    assert (odd.name, fine.name) == ("caf\\xe9.parquet", "d.parquet")
    with pytest.raises(BadBatch, match="needed a file name in UTF-8"):
        source.digest(odd)
    assert len(read(tmp_path, "d.parquet")[0]) == 50


# Folders.


def test_links_lead_neither_in_circles_nor_out(tmp_path):
    inside, outside = tmp_path / "readings", tmp_path / "elsewhere"
    for folder in (inside / "sub", outside):
        folder.mkdir(parents=True)
        pq.write_table(readings_table(), folder / "a.parquet")
    (inside / "loop").symlink_to(inside)
    (inside / "away").symlink_to(outside)
    (inside / "secret.parquet").symlink_to(outside / "a.parquet")
    (inside / "gone.parquet").symlink_to(outside / "nothing")
    (inside / "link.parquet").symlink_to(inside / "sub" / "a.parquet")

    found = sorted(batch.name for batch in ParquetReadings(str(inside)).list())

    assert found == ["link.parquet", "sub/a.parquet"]


def test_a_folder_that_cannot_be_entered_hides_no_other(tmp_path, monkeypatch, caplog):
    for folder in ("closed", "open"):
        (tmp_path / folder).mkdir()
        pq.write_table(readings_table(), tmp_path / folder / "a.parquet")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    with caplog.at_level(logging.WARNING):
        found = [batch.name for batch in ParquetReadings(str(tmp_path)).list()]

    assert found == ["open/a.parquet"]
    assert "closed: cannot be listed" in caplog.text


# Types.


def test_numbers_in_any_dress_are_sensors(tmp_path):
    table = readings_table(
        2,
        dictionary=pa.array([1.5, 2.5]).dictionary_encode(),
        decimal=pa.array([1, 2], pa.decimal128(5, 2)),
        flag=[True, False],
    )
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetReadings(str(tmp_path))
    (chunk,) = source.read(next(source.list()))

    assert chunk.readings.sensors == ("load", "dictionary", "decimal", "flag")
    assert chunk.readings.values[1:].tolist() == [[1.5, 2.5], [1.0, 2.0], [1.0, 0.0]]


def test_numbers_written_as_text_are_told_and_words_are_not(tmp_path):
    table = readings_table(2, flow=["1.5", "2"], operator=["ann", "7"], empty=pa.nulls(2, "str"))
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetReadings(str(tmp_path))
    (chunk,) = source.read(next(source.list()))

    assert [(r.rows, r.reason) for r in chunk.rejections] == [
        (0, "flow is text that holds numbers, not read: write it as numbers")
    ]


@pytest.mark.parametrize("moments", [[1, 2], ["2024-01-01", "2024-01-02"], [1.5, 2.5]])
def test_only_timestamps_are_times(tmp_path, moments):
    table = readings_table(2).set_column(1, "timestamp", pa.array(moments))
    pq.write_table(table, tmp_path / "a.parquet")

    with pytest.raises(BadBatch, match=r"column 'timestamp' is .*; needed a timestamp"):
        read(tmp_path)


KINDS = st.sampled_from(
    [
        pa.int8(),
        pa.uint64(),
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.date32(),
        pa.time64("ns"),
        pa.timestamp("s"),
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns", "Europe/Berlin"),
        pa.duration("ms"),
        pa.decimal128(20, 3),
        pa.decimal256(60, 3),
        pa.null(),
        pa.list_(pa.float64()),
        pa.struct([("x", pa.int8())]),
        pa.map_(pa.string(), pa.int8()),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int16(), pa.float64()),
    ]
)
NAMES = st.sampled_from(
    ["asset_id", "timestamp", "tag", "value", "quality", "kind", "code", "load", "", "é", "a.b"]
)


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 5))
    columns, names = [], []
    for name in draw(st.lists(NAMES, min_size=1, max_size=6)):
        kind = draw(KINDS)
        raw = draw(st.lists(st.integers(0, 100), min_size=rows, max_size=rows))
        try:
            column = pa.array(raw, pa.int64()).cast(pa.string()).cast(kind)
        except (pa.ArrowException, NotImplementedError):
            column = pa.nulls(rows, kind)
        columns.append(column)
        names.append(name)
    return pa.Table.from_arrays(columns, names=names)


@given(table=tables(), groups=st.integers(1, 3))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_schema_gives_anything_but_rows_or_a_reason(tmp_path, table, groups):
    path = tmp_path / "a.parquet"
    try:
        pq.write_table(table, path, row_group_size=groups)
    except (pa.ArrowException, NotImplementedError):
        return  # not a file that pyarrow itself can write
    plain = {"table": True, "default_asset": "p"}
    for options in ({}, plain, {"timezone": "UTC"}):
        try:
            used, refused = read(tmp_path, **options)
        except BadBatch as error:
            assert str(error).startswith("a.parquet: ")
        else:
            assert len(used) + refused == len(table)
    for source in (ParquetReadings(str(tmp_path), layout="long"), ParquetEvents(str(tmp_path))):
        try:
            _drain(source)
        except BadBatch as error:
            assert str(error).startswith("a.parquet: ")


def _drain(source):
    found = source.read(next(source.list()))
    return list(found)
