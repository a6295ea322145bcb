"""Long readings: tag values pivoted to moments, whatever the order and size of the file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import by_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.parquet import ParquetReadings, ReadingsFormat
from connectors.parquet.readings import MOST_CELLS
from pm_app.errors import BadBatch
from pm_app.records.readings import ReadingsChunk

Row = tuple[str, int, str, float]


def long_table(rows: list[Row], **extra: object) -> pa.Table:
    asset, second, tag, value = zip(*rows, strict=True)
    time = pa.array([s * 1000 for s in second], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    return pa.table(
        {
            "asset_id": pa.array(asset, pa.string()),
            "timestamp": time,
            "tag": pa.array(tag, pa.string()),
            "value": pa.array(value, pa.float64()),
            **extra,
        }
    )


def read(
    folder: Path,
    table: pa.Table,
    *,
    rows: int | None = None,
    most_cells: int = MOST_CELLS,
    **options: object,
) -> list[ReadingsChunk]:
    pq.write_table(table, folder / "a.parquet", row_group_size=rows)
    form = ReadingsFormat(layout="long", **options)  # type: ignore[arg-type]
    source = ParquetReadings(str(folder), form, most_cells=most_cells)
    return [chunk for batch in by_name(source) for chunk in source.read(batch)]


def cells(chunks: list[ReadingsChunk]) -> dict[tuple[str, int, str], float]:
    found: dict[tuple[str, int, str], float] = {}
    for readings in (chunk.readings for chunk in chunks):
        for row, asset in enumerate(readings.asset.tolist()):
            for place, sensor in enumerate(readings.sensors):
                value = float(readings.values[place, row])
                if not np.isnan(value):
                    key = (readings.assets[asset], int(readings.time[row]) // 10**9, sensor)
                    assert key not in found
                    found[key] = value
    return found


def test_values_of_one_moment_share_a_row_and_the_rest_is_missing(tmp_path: Path) -> None:
    table = long_table([("p", 1, "flow", 3.0), ("p", 1, "load", 4.0), ("p", 2, "load", 5.0)])

    (chunk,) = read(tmp_path, table)

    assert chunk.readings.sensors == ("flow", "load")
    assert chunk.readings.time.tolist() == [10**9, 2 * 10**9]
    np.testing.assert_array_equal(chunk.readings.values, [[3.0, np.nan], [4.0, 5.0]])
    assert chunk.rejections == ()


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.integers(0, 8),
            st.sampled_from(["t1", "t2", "t3"]),
            st.floats(-1e6, 1e6),
        ),
        min_size=1,
        max_size=60,
    ),
    most_cells=st.integers(3, 40),
    group=st.integers(1, 30),
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_and_any_chunk_size_give_the_same_cells(
    tmp_path: Path, rows: list[Row], most_cells: int, group: int
) -> None:
    chunks = read(tmp_path, long_table(rows), rows=group, most_cells=most_cells)

    expected = {(asset, second, tag): value for asset, second, tag, value in rows}
    assert cells(chunks) == expected
    assert max(chunk.readings.values.size for chunk in chunks) <= most_cells
    rejected = sum(r.rows for chunk in chunks for r in chunk.rejections)
    assert rejected + len(expected) == len(rows)


def test_a_moment_is_never_torn_apart_in_a_file_sorted_by_tag(tmp_path: Path) -> None:
    rows = [("p", second, tag, float(second)) for tag in ("x", "y") for second in range(200)]

    chunks = read(tmp_path, long_table(rows), rows=50, most_cells=60)

    assert len(chunks) > 3
    assert sum(len(chunk.readings.time) for chunk in chunks) == 200
    assert not any(np.isnan(chunk.readings.values).any() for chunk in chunks)


@pytest.mark.parametrize(
    "quality",
    [
        pa.array(["Good", "Bad", None, "good, local override"]),
        pa.array([192, 0, None, 216], pa.int32()),
        pa.array([True, False, None, True]),
        pa.array(["GOOD", "Uncertain", "", "Good"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_rows_of_bad_quality_are_refused_and_counted(tmp_path: Path, quality: pa.Array) -> None:
    rows = [("p", second, "x", float(second)) for second in range(4)]

    (chunk,) = read(tmp_path, long_table(rows, quality=quality))

    assert chunk.readings.values.tolist() == [[0.0, 3.0]]
    assert [r.rows for r in chunk.rejections] == [2]
    assert chunk.rejections[0].reason.startswith("quality is not good (")


def test_the_last_of_repeated_values_counts_and_the_others_are_counted(tmp_path: Path) -> None:
    rows = [("p", 1, "x", 1.0), ("p", 1, "x", 2.0), ("p", 1, "x", 3.0)]

    (chunk,) = read(tmp_path, long_table(rows))

    assert chunk.readings.values.tolist() == [[3.0]]
    assert [(r.rows, r.reason) for r in chunk.rejections] == [
        (2, "asset, time and tag repeat: the last row counts")
    ]


def test_only_the_tags_named_are_read_in_the_order_named(tmp_path: Path) -> None:
    rows = [("p", 1, tag, value) for tag, value in (("x", 1.0), ("y", 2.0), ("z", 3.0))]

    (chunk,) = read(tmp_path, long_table(rows), sensors=("z", "absent", "x"))

    assert chunk.readings.sensors == ("z", "x")
    assert chunk.readings.values.tolist() == [[3.0], [1.0]]


def test_tags_without_an_asset_column_belong_to_the_default_asset(tmp_path: Path) -> None:
    table = long_table([("p", 1, "x", 1.0)]).drop_columns(["asset_id"])

    (chunk,) = read(tmp_path, table, default_asset="press")

    assert chunk.readings.assets == ("press",)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (
            long_table([("p", 1, "x", 1.0)]).drop_columns(["tag"]),
            {},
            r"a.parquet: needed a column 'tag', got columns \['asset_id', 'timestamp', 'value'\]",
        ),
        (
            long_table([("p", 1, "x", 1.0)]).set_column(3, "value", pa.array(["high"])),
            {},
            r"got none \(1 rows: tag 'x' holds 'high' in row 1, which is no number\)",
        ),
        (
            long_table([("p", 1, "x", 1.0)]),
            {"sensors": ("y",)},
            r"of one of the tags \['y'\], got none \(1 rows: tag is none of the sensors",
        ),
        (
            long_table([("p", 1, "x", 1.0)], quality=pa.array(["Bad"])),
            {},
            r"got none \(1 rows: quality is not good \(Bad\)\)",
        ),
    ],
    ids=["no tag column", "text value", "no such tag", "all bad"],
)
def test_an_unusable_long_file_says_why(
    tmp_path: Path, table: pa.Table, options: dict[str, object], message: str
) -> None:
    with pytest.raises(BadBatch, match=message):
        read(tmp_path, table, **options)
