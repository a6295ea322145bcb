"""Readings from Parquet files: types, rules, accounting, memory, messages."""

import io
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import by_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.parquet import ParquetReadings, ReadingsFormat
from connectors.parquet.readings import MOST_CELLS
from pm_app.errors import BadBatch, BadSettings, SourceUnavailable
from pm_app.records.readings import Batch, Readings, ReadingsChunk

DAY_NS = 86_400_000_000_000


def stamps(*texts: str | None, unit: str = "ns", tz: str | None = "UTC") -> pa.Array:
    times = [None if t is None else int(np.datetime64(t, unit).astype(np.int64)) for t in texts]
    return pa.array(times, pa.int64()).cast(pa.timestamp(unit, tz))


def hours(count: int) -> pa.Array:
    return pa.array(np.arange(count) * 3_600_000_000_000).cast(pa.timestamp("ns", "UTC"))


def write(folder: Path, table: pa.Table, name: str = "a.parquet", rows: int | None = None) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name, row_group_size=rows)
    return folder


def read(folder: Path, *, most_cells: int = MOST_CELLS, **options: object) -> list[ReadingsChunk]:
    form = ReadingsFormat(**options)  # type: ignore[arg-type]
    source = ParquetReadings(str(folder), form, most_cells=most_cells)
    return [chunk for batch in by_name(source) for chunk in source.read(batch)]


def only(folder: Path, **options: object) -> Readings:
    (chunk,) = read(folder, **options)
    return chunk.readings


def pump(**columns: object) -> pa.Table:
    return pa.table({"asset_id": ["p1"], "timestamp": stamps("2024-01-01"), **columns})


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("tz", ["UTC", "America/New_York", "+05:30"])
def test_times_of_any_unit_and_zone_become_utc_nanoseconds(
    tmp_path: Path, unit: str, tz: str
) -> None:
    table = pa.table(
        {"asset_id": ["p"], "timestamp": stamps("2024-05-01T12:00", unit=unit, tz=tz), "x": [1.0]}
    )

    readings = only(write(tmp_path, table))

    assert readings.time.tolist() == [pd.Timestamp("2024-05-01T12:00Z").value]
    assert readings.time.dtype == np.int64


def test_naive_times_are_placed_by_the_time_zone_given(tmp_path: Path) -> None:
    table = pa.table(
        {"asset_id": ["p"], "timestamp": stamps("2024-07-01T12:00", tz=None), "x": [1.0]}
    )

    readings = only(write(tmp_path, table), timezone="Europe/Berlin")

    assert readings.time.tolist() == [pd.Timestamp("2024-07-01T10:00Z").value]


def test_local_times_that_the_clocks_repeat_or_skip_are_refused(tmp_path: Path) -> None:
    local = stamps("2024-10-27T02:30", "2024-03-31T02:30", "2024-06-01", unit="us", tz=None)
    table = pa.table({"asset_id": ["p"] * 3, "timestamp": local, "x": [1.0, 2.0, 3.0]})

    (chunk,) = read(write(tmp_path, table), timezone="Europe/Berlin")

    assert chunk.readings.values.tolist() == [[3.0]]
    assert chunk.rejections[0].rows == 2
    assert "timestamp is ambiguous or skipped" in chunk.rejections[0].reason
    assert "2024-10-27T02:30:00" in chunk.rejections[0].reason


def test_times_beyond_the_range_are_refused_and_never_wrapped(tmp_path: Path) -> None:
    ticks = pa.array([-1000, 0, 9_223_372_037_000, 2**62, None], pa.int64())
    table = pa.table(
        {"asset_id": ["p"] * 5, "timestamp": ticks.cast(pa.timestamp("ms")), "x": [1.0] * 5}
    )

    (chunk,) = read(write(tmp_path, table), timezone="UTC")

    assert chunk.readings.time.tolist() == [0]
    reasons = {r.reason: r.rows for r in chunk.rejections}
    assert reasons == {
        "timestamp is null": 1,
        "timestamp is before 1970, first 1969-12-31T23:59:59": 1,
        "timestamp is later than 2262-04-11T23:47:16, first 2262-04-11T23:47:17": 2,
    }


def test_rows_later_than_the_latest_moment_allowed_are_refused(tmp_path: Path) -> None:
    table = pa.table({"asset_id": ["p"] * 3, "timestamp": hours(3), "x": [1.0, 2.0, 3.0]})

    (chunk,) = read(write(tmp_path, table), latest=3_600_000_000_000)

    assert chunk.readings.values.tolist() == [[1.0, 2.0]]
    assert chunk.rejections[0].reason.endswith("1970-01-01T01:00:00, first 1970-01-01T02:00:00")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([3], pa.int8()),
        pa.array([3], pa.uint64()),
        pa.array([3.0], pa.float16()),
        pa.array([3.0], pa.float32()),
        pa.array([Decimal("3.00")], pa.decimal128(9, 2)),
        pa.array([Decimal("3.00")], pa.decimal256(50, 2)),
    ],
    ids=lambda column: str(column.type),
)
def test_every_kind_of_number_is_a_sensor(tmp_path: Path, column: pa.Array) -> None:
    readings = only(write(tmp_path, pump(x=column)))

    assert readings.values.tolist() == [[3.0]]
    assert readings.values.dtype == np.float64


def test_booleans_are_zero_and_one_and_null_is_missing(tmp_path: Path) -> None:
    table = pa.table(
        {"asset_id": ["p"] * 3, "timestamp": hours(3), "on": [True, False, None], "x": [None] * 3}
    )

    readings = only(write(tmp_path, table))

    assert readings.sensors == ("on",)
    np.testing.assert_array_equal(readings.values, [[1.0, 0.0, np.nan]])


@pytest.mark.parametrize("mark", [np.inf, 1e30, 1.7e308])
def test_values_no_sensor_reads_are_missing_and_noted_but_their_rows_are_kept(
    tmp_path: Path, mark: float
) -> None:
    table = pa.table({"asset_id": ["p"] * 3, "timestamp": hours(3), "x": [mark, -mark, 9.9e29]})

    (chunk,) = read(write(tmp_path, table))

    np.testing.assert_array_equal(chunk.readings.values, [[np.nan, np.nan, 9.9e29]])
    assert [(r.rows, r.reason) for r in chunk.rejections] == [
        (0, "x is infinite or beyond 1e+30 in 2 rows kept, taken as missing")
    ]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["b", "a", "b"], pa.string()),
        pa.array(["b", "a", "b"], pa.large_string()),
        pa.array(["b", "a", "b"], pa.string_view()),
        pa.array([b"b", b"a", b"b"], pa.binary()),
        pa.array(["b", "a", "b"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1, 2, 3], pa.int8()), ["zz", "b", "a", "b"]),
    ],
    ids=lambda column: str(column.type),
)
def test_assets_of_any_text_type_are_sorted_distinct_names(
    tmp_path: Path, column: pa.Array
) -> None:
    table = pa.table({"asset_id": column, "timestamp": hours(3), "x": [1.0, 2.0, 3.0]})

    readings = only(write(tmp_path, table))

    assert readings.assets == ("a", "b")
    assert readings.asset.tolist() == [1, 0, 1]


def test_numbered_assets_are_named_by_their_number(tmp_path: Path) -> None:
    table = pa.table({"asset_id": [10, 9], "timestamp": hours(2), "x": [1.0, 2.0]})

    readings = only(write(tmp_path, table))

    assert readings.assets == ("10", "9")
    assert readings.asset.tolist() == [0, 1]


def test_rows_without_an_asset_are_refused_with_a_reason(tmp_path: Path) -> None:
    table = pa.table({"asset_id": [None, "", "p"], "timestamp": hours(3), "x": [1.0, 2.0, 3.0]})

    (chunk,) = read(write(tmp_path, table))

    assert chunk.readings.assets == ("p",)
    assert chunk.readings.asset.tolist() == [0]
    assert [(r.rows, r.reason) for r in chunk.rejections] == [(2, "asset_id is null or empty")]


def test_each_file_has_its_own_columns(tmp_path: Path) -> None:
    write(tmp_path, pump(x=[1.0], y=[2.0]), "a.parquet")
    write(tmp_path, pump(y=[3.0], z=[4.0]), "b.parquet")

    first, second = read(tmp_path)

    assert first.readings.sensors == ("x", "y")
    assert second.readings.sensors == ("y", "z")


def test_named_sensors_come_in_the_order_named_and_absent_ones_are_absent(tmp_path: Path) -> None:
    write(tmp_path, pump(x=[1.0], y=[2.0], z=[3.0]))

    readings = only(tmp_path, sensors=("z", "none", "x"))

    assert readings.sensors == ("z", "x")
    assert readings.values.tolist() == [[3.0], [1.0]]


def test_sensor_names_with_dots_are_read_as_they_are(tmp_path: Path) -> None:
    readings = only(write(tmp_path, pump(**{"pump.bearing.temp": [1.0], "pump": ["text"]})))

    assert readings.sensors == ("pump.bearing.temp",)
    assert readings.values.tolist() == [[1.0]]


def test_a_file_about_one_machine_is_named_by_the_default_asset(tmp_path: Path) -> None:
    table = pa.table({"timestamp": hours(2), "x": [1.0, 2.0]})

    readings = only(write(tmp_path, table), default_asset="press")

    assert readings.assets == ("press",)
    assert readings.asset.tolist() == [0, 0]


def test_chunks_stay_small_and_in_file_order_whatever_the_row_groups(tmp_path: Path) -> None:
    table = pa.table(
        {
            "asset_id": ["p"] * 1000,
            "timestamp": hours(1000),
            "x": np.arange(1000.0),
            "y": [0] * 1000,
        }
    )

    for name, rows in (("one group", None), ("many groups", 37)):
        chunks = read(write(tmp_path / name, table, rows=rows), most_cells=100)

        assert max(chunk.readings.values.size for chunk in chunks) <= 100
        x = np.concatenate([chunk.readings.values[0] for chunk in chunks])
        assert x.tolist() == list(range(1000))


def test_memory_does_not_grow_with_the_size_of_a_row_group(tmp_path: Path) -> None:
    peaks = []
    for rows in (150_000, 600_000):
        columns = {f"x{i}": np.random.default_rng(i).normal(size=rows) for i in range(6)}
        table = pa.table({"asset_id": ["p"] * rows, "timestamp": hours(rows), **columns})
        write(tmp_path, table, rows=rows)
        del table, columns
        before = pa.total_allocated_bytes()

        source = ParquetReadings(str(tmp_path), most_cells=60_000)
        chunks = source.read(next(source.list()))
        peaks.append(max(pa.total_allocated_bytes() - before for _ in chunks))

    assert peaks[1] < 1.1 * peaks[0]


def test_reading_twice_gives_the_same_chunks(tmp_path: Path) -> None:
    table = pa.table({"asset_id": ["p"] * 50, "timestamp": hours(50), "x": np.arange(50.0)})
    write(tmp_path, table)

    first, second = read(tmp_path, most_cells=7), read(tmp_path, most_cells=7)

    assert len(first) == len(second) == 8
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.readings.values, other.readings.values)
        assert one.rejections == other.rejections


def test_leading_chunks_without_a_usable_row_keep_their_count(tmp_path: Path) -> None:
    table = pa.table(
        {"asset_id": [None] * 10 + ["p"], "timestamp": hours(11), "x": np.arange(11.0)}
    )

    (chunk,) = read(write(tmp_path, table), most_cells=5)

    assert chunk.readings.values.tolist() == [[10.0]]
    assert sum(r.rows for r in chunk.rejections) == 10


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "", None]),
        st.one_of(st.none(), st.integers(-(2**62), 2**62), st.integers(0, 2_000_000_000)),
        st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
    ),
    min_size=1,
    max_size=40,
)


@given(rows=ROWS, unit=st.sampled_from(["ms", "us", "ns"]), most_cells=st.integers(1, 50))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rows_used_and_rows_rejected_add_up_to_the_rows_of_the_file(
    tmp_path: Path,
    rows: list[tuple[str | None, int | None, float | None]],
    unit: str,
    most_cells: int,
) -> None:
    assets, times, values = zip(*rows, strict=True)
    table = pa.table(
        {
            "asset_id": pa.array(assets, pa.string()),
            "timestamp": pa.array(times, pa.int64()).cast(pa.timestamp(unit, "UTC")),
            "x": pa.array(values, pa.float64()),
        }
    )
    limit = (2**63 - 1) // {"ms": 10**6, "us": 1000, "ns": 1}[unit]
    good = [a and t is not None and 0 <= t <= limit for a, t, _ in rows]
    write(tmp_path, table)

    if not any(good):
        with pytest.raises(BadBatch, match="none of its rows can be used"):
            read(tmp_path, most_cells=most_cells)
        return
    chunks = read(tmp_path, most_cells=most_cells)

    used = sum(len(chunk.readings.time) for chunk in chunks)
    assert used == sum(map(bool, good))
    assert used + sum(r.rows for chunk in chunks for r in chunk.rejections) == len(rows)
    names = [c.readings.assets[i] for c in chunks for i in c.readings.asset.tolist()]
    assert names == [a for (a, _, _), ok in zip(rows, good, strict=True) if ok]


def test_a_plain_table_names_each_row_by_file_and_number(tmp_path: Path) -> None:
    table = pa.table({"torque": [1.0, 2.0, 3.0], "type": ["L", "M", "L"]})

    chunks = read(write(tmp_path, table, "june.parquet"), table=True, most_cells=2)

    names = [name for chunk in chunks for name in chunk.readings.assets]
    assert names == ["june:000000000", "june:000000001", "june:000000002"]
    assert all(chunk.readings.sensors == ("torque",) for chunk in chunks)
    assert all((chunk.readings.time == 0).all() for chunk in chunks)


def test_a_table_without_times_may_not_repeat_an_asset(tmp_path: Path) -> None:
    table = pa.table({"asset_id": ["a", "b", "b"], "x": [1.0, 2.0, 3.0]})

    with pytest.raises(BadBatch, match="'asset_id' holds 'b' 2 times; needed each once"):
        read(write(tmp_path, table), table=True)


def broken(name: str) -> bytes:
    whole = io.BytesIO()
    table = pa.table({"asset_id": ["p"] * 500, "timestamp": hours(500), "x": np.arange(500.0)})
    pq.write_table(table, whole, write_page_checksum=True)
    content = whole.getvalue()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 1
    return {
        "empty": b"",
        "text": b"asset_id,timestamp,x\np1,2024-01-01,3\n",
        "truncated": content[: len(content) // 2],
        "flipped": bytes(flipped),
    }[name]


@pytest.mark.parametrize("name", ["empty", "text", "truncated", "flipped"])
def test_damaged_files_are_bad_batches_that_name_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.parquet").write_bytes(broken(name))

    with pytest.raises(BadBatch, match=f"{name}.parquet: needed a whole Parquet file of"):
        read(tmp_path)


TIME = stamps("2024-01-01")
BAD_TABLES = {
    "no rows": (
        pump(x=[1.0]).slice(0, 0),
        {},
        r"a.parquet: needed rows, got a Parquet file with none",
    ),
    "text as time": (
        pa.table({"asset_id": ["p"], "timestamp": ["2024-01-01"], "x": [1.0]}),
        {},
        r"a.parquet: column 'timestamp' is string; needed a timestamp",
    ),
    "naive time": (
        pa.table({"asset_id": ["p"], "timestamp": [datetime(2024, 1, 1)], "x": [1.0]}),  # noqa: DTZ001 - naive on purpose
        {},
        r"a.parquet: column 'timestamp' is timestamp\[us\] without a time zone; needed one",
    ),
    "no time": (
        pa.table({"asset_id": ["p"], "x": [1.0]}),
        {},
        r"a.parquet: needed a column 'timestamp', got columns \['asset_id', 'x'\]; "
        r"readings.time_column in plant.toml names it$",
    ),
    "no asset": (
        pa.table({"timestamp": TIME, "x": [1.0]}),
        {},
        r"a.parquet: needed a column 'asset_id' naming the asset, "
        r"got columns \['timestamp', 'x'\]; readings.asset_column in plant.toml names it; files of "
        r"one machine do without by readings.asset = \"its name\", those of several by "
        r"readings.asset_from",
    ),
    "asset a fraction": (
        pa.table({"asset_id": [1.5], "timestamp": TIME, "x": [1.0]}),
        {},
        r"a.parquet: column 'asset_id' is double; needed text or whole numbers",
    ),
    "no sensor": (
        pump(note=["ok"]),
        {},
        r"needed a numeric column as a sensor, got columns \['asset_id', .*; 'note' holds 'ok' in ",
    ),
    "no named sensor": (
        pump(x=[1.0]),
        {"sensors": ("y", "z")},
        r"a.parquet: needed one of \['y', 'z'\] as a sensor, got columns",
    ),
    "names twice": (
        pa.Table.from_arrays([pa.array(["p"]), TIME, pa.array([1]), pa.array([2])],
                             names=["asset_id", "timestamp", "x", "x"]),
        {},
        r"a.parquet: needed distinct column names, got \['x'\] more than once",
    ),
    "nested sensor": (
        pump(x=[[1.0, 2.0]]),
        {"sensors": ("x",)},
        r"a.parquet: column 'x' is list<\w+: double>; needed numbers",
    ),
    "text sensor": (
        pump(mode=["low"]),
        {"sensors": ("mode",)},
        r"column 'mode' holds 'low' in row 1, which is no number; needed numbers: write it as ",
    ),
    "no usable row": (
        pa.table({"asset_id": pa.array([None], pa.string()), "timestamp": TIME, "x": [1.0]}),
        {},
        r"a.parquet: none of its rows can be used: asset_id is null or empty",
    ),
    "many columns": (
        pa.table({f"c{i}": [1.0] for i in range(20)}),
        {},
        r"'c11'\] and 8 more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TABLES)
def test_every_unusable_file_says_what_was_needed_and_what_came(tmp_path: Path, name: str) -> None:
    table, options, message = BAD_TABLES[name]

    with pytest.raises(BadBatch, match=message):
        read(write(tmp_path, table), **options)


def test_a_file_that_went_away_is_asked_for_again_later(tmp_path: Path) -> None:
    source = ParquetReadings(str(tmp_path))
    gone = Batch("gone.parquet", 10, 0)

    with pytest.raises(SourceUnavailable, match="gone.parquet: cannot be opened"):
        list(source.read(gone))
    with pytest.raises(SourceUnavailable, match="gone.parquet: cannot be read"):
        source.digest(gone)


def test_an_absent_folder_is_unavailable_and_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="nowhere: cannot be listed"):
        list(ParquetReadings(str(tmp_path / "nowhere")).list())
    write(tmp_path, pump(x=[1.0]))
    with pytest.raises(BadSettings, match="needed a folder of Parquet files, got a file"):
        list(ParquetReadings(str(tmp_path / "a.parquet")).list())
    with pytest.raises(BadSettings, match="needed a path or an address like s3://bucket/prefix"):
        ParquetReadings("gopher://plant/readings")


def test_a_uri_and_a_path_name_the_same_folder(tmp_path: Path) -> None:
    write(tmp_path, pump(x=[1.0]), "june/a.parquet")

    assert list(ParquetReadings(tmp_path.as_uri()).list()) == list(
        ParquetReadings(str(tmp_path)).list()
    )


def test_a_description_comes_from_the_footer(tmp_path: Path) -> None:
    source = ParquetReadings(str(write(tmp_path, pump(x=[1.0]))))

    described = source.describe(next(source.list()))

    assert described.rows == 1
    assert described.columns == (
        ("asset_id", "string"),
        ("timestamp", "timestamp[ns, tz=UTC]"),
        ("x", "double"),
    )
