"""Files that would harm whoever reads them: each is refused in words, in bounded memory."""

import contextlib
import os
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.parquet import (
    EventsFormat,
    ParquetEvents,
    ParquetReadings,
    ReadingsFormat,
    long,
)
from connectors.parquet import events as events_module
from connectors.parquet.format import footer, pages
from connectors.parquet.readings import MOST_CELLS
from pm_app.errors import BadBatch, SourceUnavailable, TornBatch
from pm_app.features.panes.readings import count_delivered

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
    source = ParquetReadings(str(folder), ReadingsFormat(**options))
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


def bomb(path, column, value, rows, **options):
    """A file one of whose columns repeats a text; written as no reader would want it."""
    table = readings_table(rows, **{column: pa.array([value]).take(pa.array([0] * rows))})
    options = {"compression": "zstd", "write_statistics": False, "store_schema": False} | options
    pq.write_table(table, path, **options)
    assert path.stat().st_size < 300_000


DELTAS = {"use_dictionary": False, "column_encoding": {"asset_id": "DELTA_BYTE_ARRAY"}}


@pytest.mark.parametrize(
    ("size", "rows", "options", "found"),
    [
        (100 * MEGABYTE, 1, {}, "100,000,004"),
        (200_000, 1000, DELTAS, "200,000,000"),
        (200_000, 1000, DELTAS | {"compression": "none"}, "200,000,000"),
        (200_000, 999, DELTAS | {"data_page_version": "2.0", "compression": "gzip"}, "199,800,000"),
    ],
)
def test_a_text_that_unpacks_to_gigabytes_is_not_unpacked(
    tmp_path, pool, size, rows, options, found
):
    bomb(tmp_path / "a.parquet", "asset_id", "p" * size, rows, **options)
    before = pool.max_memory()

    with pytest.raises(
        BadBatch,
        match=f"'asset_id': needed pages of at most 64,000,000 bytes, got one of {found}",
    ):
        read(tmp_path)

    assert pool.max_memory() - before < 20 * MEGABYTE


@pytest.mark.parametrize(
    ("make", "encoding"),
    [(ParquetReadings, "DELTA_BYTE_ARRAY"), (ParquetEvents, "DELTA_LENGTH_BYTE_ARRAY")],
)
def test_long_texts_written_as_deltas_are_held_a_few_at_a_time(tmp_path, pool, encoding, make):
    """Each page is as large as is borne, and there are many of them: 300 MB in 200 KB."""
    rows, pages_of = 6_000, 1_000
    texts = pa.array(["p" * 50_000]).take(pa.array([0] * pages_of))
    table = readings_table(pages_of, asset_id=texts, kind=["failure"] * pages_of)
    options = {"use_dictionary": False, "column_encoding": {"asset_id": encoding}}
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, table.schema, compression="zstd", **options) as writer:
        for _ in range(rows // pages_of):
            writer.write_table(table)
    assert path.stat().st_size < 2 * MEGABYTE
    source = make(str(tmp_path))
    before = pool.max_memory()

    with pytest.raises(BadBatch, match=r"asset_id is 'p+'\.\.\. of 50,000 characters"):
        list(source.read(next(source.list())))

    assert pool.max_memory() - before < 200 * MEGABYTE


def test_a_long_text_that_nobody_reads_costs_nothing(tmp_path, pool):
    """3.8 KB of a remark of 100 MB, twenty times, took 5.6 GB and 20 s."""
    bomb(tmp_path / "a.parquet", "remark", "1" * 50 * MEGABYTE, 20)
    before = pool.max_memory()

    assert len(read(tmp_path)[0]) == 20
    assert pool.max_memory() - before < 20 * MEGABYTE


@pytest.mark.parametrize("kind", ["k" * 256, "failure"])
def test_events_are_held_once_however_long_their_kind(tmp_path, kind):
    rows = 100_000
    kinds = pa.array([kind, "k" * 256]).take(pa.array([0] * (rows - 1) + [1]))
    table = pa.table({"asset_id": ["p"] * rows, "timestamp": times(rows), "kind": kinds})
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetEvents(str(tmp_path))
    tracemalloc.start()

    with contextlib.suppress(BadBatch):
        source.read(next(source.list()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    # A row as a text of its own took a kilobyte.
    assert peak < 600 * rows


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MOST_COLUMNS", 2, "at most 2 columns, got 3"),
        ("MOST_ROW_GROUPS", 4, "at most 4 row groups, got 5"),
        ("MOST_ROWS", 49, "at most 49 rows, got 50"),
        ("MOST_FOOTER_BYTES", 100, "a footer of at most 100 bytes, got"),
        ("MOST_PATH_CHARACTERS", 7, "at most 7 characters in a column's name, got 8"),
        ("MOST_PAGE_BYTES", 79, "column 'timestamp': needed pages of at most 79 bytes, got one of"),
        ("MOST_TEXT_PAGE_BYTES", 4, "column 'asset_id': needed pages of at most 4 bytes, got one"),
    ],
)
def test_what_no_plant_writes_is_refused(tmp_path, monkeypatch, limit, value, words):
    monkeypatch.setattr(pages if "PAGE" in limit else footer, limit, value)
    path = tmp_path / "a.parquet"
    pq.write_table(readings_table(), path, row_group_size=10, compression="none")

    with pytest.raises(BadBatch, match=f"a.parquet: .*{words}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("column", "limit", "words"),
    [
        ("asset_id", "MOST_ASSETS", "at most 3 different asset_id, got more than 3, 'name 0' amo"),
        ("tag", "MOST_COLUMNS", "at most 3 different tag, got more than 3, 'name 0' among them"),
    ],
)
def test_a_long_file_brings_only_so_many_names(tmp_path, monkeypatch, column, limit, words):
    """200,000 tags took 35 s, and four times that for twice as many."""
    names = [f"name {at}" for at in range(4)]
    table = readings_table(4, value=[0.0] * 4, **({"tag": ["x"] * 4} | {column: names}))
    pq.write_table(table, tmp_path / "a.parquet")
    monkeypatch.setattr(long, limit, 3)

    with pytest.raises(BadBatch, match=words):
        read(tmp_path, layout="long")


def test_tags_that_are_not_asked_for_are_not_counted(tmp_path, monkeypatch):
    table = readings_table(9, value=[0.0] * 9, tag=[f"name {at}" for at in range(9)])
    pq.write_table(table, tmp_path / "a.parquet")
    monkeypatch.setattr(long, "MOST_COLUMNS", 3)

    assert len(read(tmp_path, layout="long", sensors=("name 5",))[0]) == 1


# Footers and page headers that lie; written by hand, as no library would.


def number(value):
    """A whole number as Thrift's compact protocol has it."""
    return length(2 * value if value >= 0 else -2 * value - 1)


def length(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def element(name, *, children=0):
    kind = b"" if children else b"\x15" + number(5)
    ends = b"\x15" + number(children) if children else b""
    return kind + bytes([0x38 if kind else 0x48]) + length(len(name)) + name + ends + b"\0"


def many(items, count=None):
    count = len(items) if count is None else count
    return b"\xfc" + length(count) + b"".join(items)


def forged(schema, groups=b"\x0c", rows=1):
    footer = b"\x15\x02\x19" + schema + b"\x16" + number(rows) + b"\x19" + groups + b"\0"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


FLAT = many([element(b"root", children=1), element(b"load")])
CHUNK = b"\x3c\x56" + number(1) + b"\x26" + number(10**9) + b"\x26" + number(4) + b"\0\0"
GROUP = b"\x19" + many([CHUNK]) + b"\x16" + number(1) + b"\x16" + number(1) + b"\0"
FORGED = {
    "a million row groups": (forged(FLAT, many([b"\0"] * 10**6)), "at most 10,000 row groups"),
    "row groups that are not there": (forged(FLAT, many([], 10**9)), "a length of 1000000000"),
    "columns that are not there": (forged(many([], 2**40)), "a length of 1099511627776"),
    "a schema 200,000 levels deep": (
        forged(many([*[element(b"", children=2)] * 200_000, element(b"a")])),
        "needed at most 100 levels",
    ),
    "a column whose name is a novel": (
        forged(many([element(b"root", children=1), element(b"a" * MEGABYTE)])),
        "at most 1,000 characters in a column's name, got 1,000,000",
    ),
    "a million columns": (
        forged(many([element(b"root", children=10**6), *[element(b"a")] * 10**6])),
        "at most 5,000 columns, got 1,000,000",
    ),
    "more rows than its parts": (forged(FLAT, many([]), rows=7), "got 7 and 0 in parts"),
    "rows below none": (forged(FLAT, many([]), rows=-7), "got -7 and 0 in parts"),
    "a column beyond the file": (forged(FLAT, many([GROUP])), "column 'load' beyond the file"),
    "a row group without columns": (forged(FLAT, many([b"\0"])), "0 columns in a row group, 1 in"),
    "a number without end": (forged(b"\xfc" + b"\xff" * 100), "a number of more than 64 bits"),
    "lists in lists in lists": (
        forged(FLAT)[:4] + b"\x19" + b"\x19" * 90 + b"\x5a\0\0\0PAR1",
        "too many levels",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_footer_is_found_out_before_arrow_believes_it(tmp_path, pool, name):
    content, words = FORGED[name]
    (tmp_path / "a.parquet").write_bytes(content)
    before = pool.max_memory()

    with pytest.raises(BadBatch, match=f"a.parquet: .*{words}"):
        read(tmp_path)

    assert pool.max_memory() - before < MEGABYTE


def test_a_page_that_claims_gigabytes_is_not_given_them(tmp_path, pool):
    rows = 40_000
    table = readings_table(rows, load=np.random.default_rng(0).normal(size=rows))
    path = tmp_path / "a.parquet"
    plain = {"use_dictionary": False, "data_page_size": MEGABYTE, "max_rows_per_page": rows}
    pq.write_table(table, path, compression="none", write_statistics=False, **plain)
    content = path.read_bytes()
    # A page header begins with its kind and its size unpacked; this column comes last.
    at = pq.ParquetFile(path).metadata.row_group(0).column(2).data_page_offset + len(b"\x15\0\x15")
    size = number(8 * rows + 8)
    assert content[at:].startswith(size)
    path.write_bytes(content[:at] + number(2**31 - 1) + content[at + len(size) :])
    before = pool.max_memory()

    with pytest.raises(BadBatch, match="at most 256,000,000 bytes, got one of 2,147,483,647"):
        read(tmp_path)

    assert pool.max_memory() - before < 20 * MEGABYTE


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


UNSEEN = [
    "pump-1\u200b",
    "\ufeffpump-1",
    "pump\u00ad-1",
    "pump-1\u202e",
    "pump\u200d-1",
    "p\u2066-1",
]


@pytest.mark.parametrize("layout", ["wide", "long"])
@pytest.mark.parametrize("name", UNSEEN)
def test_a_name_with_characters_that_nobody_sees_is_no_second_machine(tmp_path, name, layout):
    table = readings_table(3, asset_id=["pump-1", name, "pump-1"], tag=["x"] * 3, value=[1.0] * 3)
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetReadings(str(tmp_path), ReadingsFormat(layout=layout))
    chunks = list(source.read(next(source.list())))

    (refused,) = (each for chunk in chunks for each in chunk.rejections)
    assert {asset for chunk in chunks for asset in chunk.readings.assets} == {"pump-1"}
    assert (refused.rows, refused.reason) == (
        1,
        f"asset_id is {ascii(name)}; needed a name without characters that nobody sees",
    )


@pytest.mark.parametrize("name", UNSEEN)
def test_an_event_of_such_a_name_is_refused_and_its_code_may_hold_what_it_likes(tmp_path, name):
    kinds = {"kind": ["failure"] * 2, "code": [name, "seal"]}
    table = readings_table(2, asset_id=["pump-1", name], **kinds)
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetEvents(str(tmp_path))
    events, reasons = source.read(next(source.list()))

    assert (events.asset.tolist(), events.code.tolist()) == (["pump-1"], [name])
    assert reasons == (
        f"row 2: asset_id is {ascii(name)}; needed a name without characters that nobody sees",
    )


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u062e",
        "\u043d\u0430\u0441\u043e\u0441",
        "\U0001f9d1\u200d\U0001f527",
        "Stra\u00dfe 7",
    ],
)
def test_names_of_any_script_are_names(tmp_path, name):
    pq.write_table(readings_table(3, asset_id=[name] * 3), tmp_path / "a.parquet")

    assert {asset for asset, _, _ in read(tmp_path)[0]} == {name}


@pytest.mark.parametrize("layout", ["wide", "long"])
@pytest.mark.parametrize("name", ["pump-1 ", " pump-1", "pump\u00a01", "pump-1\u3000"])
def test_a_name_with_spaces_that_nobody_sees_is_kept_and_told(tmp_path, name, layout):
    table = readings_table(3, asset_id=["pump-1", name, name], tag=["x"] * 3, value=[1.0] * 3)
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetReadings(str(tmp_path), ReadingsFormat(layout=layout))
    (chunk,) = source.read(next(source.list()))

    assert set(chunk.readings.assets) == {"pump-1", name}
    assert [(each.rows, each.reason) for each in chunk.rejections] == [
        (
            0,
            f"asset_id {name!r}, with a space at its end or of another kind, "
            f"is another asset than {' '.join(name.split())!r}",
        )
    ]


@pytest.mark.parametrize("name", ["load\x00", "load\x1b[31m", "l" * 257, ""])
def test_a_sensor_whose_name_nobody_can_read_is_passed_over_and_told(tmp_path, name):
    pq.write_table(readings_table(3, **{name: [1.0, 2.0, 3.0]}), tmp_path / "a.parquet")
    source = ParquetReadings(str(tmp_path))
    (chunk,) = source.read(next(source.list()))

    assert chunk.readings.sensors == ("load",)
    (left,) = chunk.left
    assert (left.cause, left.reason[:16]) == ("name", "has a name that ")
    assert left.name.isprintable() and len(left.name) < 300
    assert len(left.reason) < 200


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


@pytest.mark.parametrize("moments", [[1, 2], ["2024-01-01", "2024-01-02"], [1.5, 2.5]])
def test_only_timestamps_are_times(tmp_path, moments):
    table = readings_table(2).set_column(1, "timestamp", pa.array(moments))
    pq.write_table(table, tmp_path / "a.parquet")

    with pytest.raises(BadBatch, match=r"timestamp'? is .*; needed a time"):
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
    for options in ({}, plain, {"timezone": "UTC"}, {"layout": "long", "timezone": "UTC"}):
        with told_in_words():
            delivered, refused = account(tmp_path, **options)
            assert delivered + refused == len(table)
    events = ParquetEvents(str(tmp_path), EventsFormat(timezone="UTC"))
    with told_in_words():
        found, reasons = events.read(next(events.list()))
        assert len(found.time) + len(reasons) == len(table)
    assert events.count(next(events.list())) == len(table)


@contextlib.contextmanager
def told_in_words():
    """Lets pass only what names the file."""
    try:
        yield
    except BadBatch as error:
        assert str(error).startswith("a.parquet: ")


def account(folder, *, most_cells=MOST_CELLS, **options):
    """Rows of the file in readings, and rows refused."""
    source = ParquetReadings(str(folder), ReadingsFormat(**options), most_cells=most_cells)
    chunks = list(source.read(next(source.list())))
    refused = sum(r.rows for chunk in chunks for r in chunk.rejections)
    return sum(count_delivered(chunk.readings) for chunk in chunks), refused


LONG_ROWS = st.tuples(
    st.sampled_from(["p", "q", None, "q\0"]),
    st.sampled_from([*range(4), None, -1]),
    st.sampled_from(["x", "y", "z", "", None]),
    st.sampled_from([1.0, None, float("nan"), 1e300]),
    st.sampled_from(["Good", "Bad", None]),
)


@given(
    rows=st.lists(LONG_ROWS, min_size=1, max_size=30),
    cells=st.integers(3, 12),
    group=st.integers(1, 9),
    sensors=st.sampled_from([None, ("x",), ("y", "x", "w")]),
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_row_of_a_long_file_is_used_or_refused(tmp_path, rows, cells, group, sensors):
    asset, second, tag, value, quality = zip(*rows, strict=True)
    columns = {
        "asset_id": pa.array(asset, pa.string()),
        "timestamp": pa.array(second, pa.int64()).cast(pa.timestamp("s", "UTC")),
        "tag": pa.array(tag, pa.string()),
        "value": pa.array(value, pa.float64()),
        "quality": pa.array(quality, pa.string()),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=group)
    usable = {
        (a, t, name)
        for a, t, name, _, q in rows
        if a in ("p", "q") and t is not None and t >= 0 and name and q == "Good"
        if sensors is None or name in sensors
    }

    if not usable:
        with pytest.raises(BadBatch, match="got none"):
            account(tmp_path, layout="long", sensors=sensors, most_cells=cells)
        return
    used, refused = account(tmp_path, layout="long", sensors=sensors, most_cells=cells)

    assert (used, refused) == (len(usable), len(rows) - len(usable))
