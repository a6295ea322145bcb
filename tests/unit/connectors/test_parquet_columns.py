"""Every column of a Parquet file is a sensor, tells whose row it is, or is left with a reason."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.parquet import EventsFormat, ParquetEvents, ParquetReadings, ReadingsFormat
from pm_app.errors import BadBatch
from pm_app.records.readings import BatchDescription, ReadingsChunk


def moments(rows: int) -> pa.Array:
    return pa.array(np.arange(rows) * 3_600_000_000_000).cast(pa.timestamp("ns", "UTC"))


def write(folder: Path, **columns: object) -> Path:
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]
    table = pa.table({"asset_id": ["p"] * rows, "timestamp": moments(rows), **columns})
    pq.write_table(table, folder / "a.parquet")
    return folder


def read(folder: Path, **options: object) -> ReadingsChunk:
    """The first chunk of a file, the same each time it is read."""
    source = ParquetReadings(str(folder), ReadingsFormat(**options))  # type: ignore[arg-type]
    batch = next(source.list())
    chunks, again = list(source.read(batch)), list(source.read(batch))
    for one, other in zip(chunks, again, strict=True):
        np.testing.assert_array_equal(one.readings.values, other.readings.values)
        assert (one.readings.sensors, one.left) == (other.readings.sensors, other.left)
    return chunks[0]


def describe(folder: Path, **options: object) -> BatchDescription:
    source = ParquetReadings(str(folder), ReadingsFormat(**options))  # type: ignore[arg-type]
    return source.describe(next(source.list()))


def reasons(chunk: ReadingsChunk | BatchDescription) -> dict[str, str]:
    return {each.name: f"{each.cause}: {each.reason}" for each in chunk.left}


# Numbers in text. Of each: the texts, and the numbers they are.
NUMBERS: dict[str, tuple[list[str | None], list[float]]] = {
    "comma": (["8,01", "7,5", "12"], [8.01, 7.5, 12]),
    "point": (["8.01", "7.5", "12"], [8.01, 7.5, 12]),
    "point parts thousands": (["1.234,5", "1.234"], [1234.5, 1234]),
    "comma parts thousands": (["1,234.5", "1,234"], [1234.5, 1234]),
    "many thousands": (["1,234,567", "2,500"], [1_234_567, 2500]),
    "nought before a comma": (["0,123", "1,234"], [0.123, 1.234]),
    "four digits before": (["1234,567", "1,234"], [1234.567, 1.234]),
    "spaces part thousands": (["1 234,5", "1\u00a0234\u202f567"], [1234.5, 1_234_567]),
    "apostrophes part thousands": (["1'234.5", "1\u2019234"], [1234.5, 1234]),
    "a space decides for the comma": (["1 234,567"], [1234.567]),
    "signs": (["-8,5", "+8,5", "\u22128,5"], [-8.5, 8.5, -8.5]),
    "powers of ten": (["1.5e3", "2E-2", "3e+1"], [1500, 0.02, 30]),
    "a power decides": (["1,234e1"], [12.34]),
    "whole": (["1", "-2", "300"], [1, -2, 300]),
    "half": ([".5", "5."], [0.5, 5]),
    "nothing": (["8,5", "", None, "n/a", "NaN", " - ", "null"], [8.5, *[np.nan] * 6]),
    "spaces around": ([" 8,5", "9,5 ", "\u00a07,5"], [8.5, 9.5, 7.5]),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_numbers_in_text_are_read_where_all_agree(tmp_path: Path, name: str, kind: str) -> None:
    texts, numbers = NUMBERS[name]
    column = pa.array(texts, pa.string())
    if kind == "dictionary":
        column = column.dictionary_encode()
    else:
        column = column.cast({"large_string": pa.large_string()}.get(kind, pa.string()))
    chunk = read(write(tmp_path, load=pa.array([1.5] * len(texts)), flow=column))

    assert chunk.readings.sensors == ("load", "flow")
    np.testing.assert_allclose(chunk.readings.values[1], numbers, rtol=1e-12)
    assert chunk.left == ()


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["1,234", "2,500"], "locale: holds '1,234' in row 1, which may be 1.234 or 1234; "),
        (["1.234", "12"], "locale: holds '1.234' in row 1, which may be 1234 or 1.234; "),
        (["8,5", "8.5"], "locale: holds '8.5' in row 2 and '8,5' in row 1, which cannot both be "),
        (["8,5", "run", "stop"], "text: holds 'run' in row 2, which is no number"),
        (["8,5", "12:30"], "text: holds '12:30' in row 2, which is no number"),
        (["8,5", "45 %"], "text: holds '45 %' in row 2, which is no number"),
        (["1,23,456"], "text: holds '1,23,456' in row 1, which is no number"),
        (["1" * 80], f"text: holds '{'1' * 40}...' in row 1, which is no number"),
        (["", None, "n/a"], "empty: holds no value"),
    ],
)
def test_a_text_column_that_is_no_numbers_is_left_with_its_first_bad_value(
    tmp_path: Path, texts: list[str | None], reason: str
) -> None:
    chunk = read(write(tmp_path, load=pa.array([1.5] * len(texts)), flow=pa.array(texts)))

    assert chunk.readings.sensors == ("load",)
    assert reasons(chunk)["flow"].startswith(reason)
    assert chunk.rejections == ()


def test_a_column_that_decides_nothing_is_read_as_the_others_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, flow=["1,234", "2,500"], load=["8,5", "9,5"], count=["1", "2"])
    chunk = read(tmp_path)

    assert chunk.readings.values.tolist() == [[1.234, 2.5], [8.5, 9.5], [1, 2]]


def test_a_column_that_decides_nothing_is_left_where_the_others_disagree(tmp_path: Path) -> None:
    chunk = read(write(tmp_path, flow=["1,234"], load=["8,5"], head=["9.5"]))

    assert chunk.readings.sensors == ("load", "head")
    assert "readings.decimal" in reasons(chunk)["flow"]


@pytest.mark.parametrize(
    ("decimal", "texts", "numbers"),
    [
        (",", ["1,234", "1.234"], [1.234, 1234]),
        (".", ["1,234", "1.234"], [1234, 1.234]),
        (",", ["8,5", "1"], [8.5, 1]),
    ],
)
def test_the_decimal_sign_of_the_settings_counts(
    tmp_path: Path, decimal: str, texts: list[str], numbers: list[float]
) -> None:
    chunk = read(write(tmp_path, flow=texts), decimal=decimal)

    assert chunk.readings.values.tolist() == [numbers]


def test_a_number_of_the_other_sign_is_no_number_by_the_settings(tmp_path: Path) -> None:
    chunk = read(write(tmp_path, load=[1.0], flow=["8.5"]), decimal=",")

    assert reasons(chunk)["flow"] == (
        "text: holds '8.5' in row 1, which is no number by readings.decimal = ','"
    )


@pytest.mark.parametrize("groups", [500, 100_000])
def test_the_last_value_of_a_long_file_decides(tmp_path: Path, groups: int) -> None:
    rows = 9000
    texts = [*["8,5"] * (rows - 1), "broken"]
    table = pa.table({"timestamp": moments(rows), "load": np.ones(rows), "flow": texts})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=groups)
    form = ReadingsFormat(default_asset="p")
    source = ParquetReadings(str(tmp_path), form, most_cells=1000)
    chunks = list(source.read(next(source.list())))

    assert {chunk.readings.sensors for chunk in chunks} == {("load",)}
    assert [len(chunk.left) for chunk in chunks] == [1] + [0] * (len(chunks) - 1)
    assert chunks[0].left[0].reason == "holds 'broken' in row 9,000, which is no number"


# Types. Of each: a column, and what it is called where it is left.
OTHERS = {
    "duration": (pa.array([1, 2], pa.duration("ms")), "is duration[ms]; "),
    "list": (pa.array([[1.0], [2.0]]), "is list<"),
    "struct": (pa.array([{"x": 1}, {"x": 2}]), "is struct<"),
    "map": (pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8())), "is map<"),
    "date": (pa.array([1, 2], pa.date32()), "is date32[day]; "),
    "time": (pa.array([1, 2], pa.time64("us")), "is time64[us]; "),
    "second time": (moments(2), "is timestamp[ns, tz=UTC]; "),
    "binary": (pa.array([b"1", b"\xff"]), "is binary; "),
    "nothing": (pa.nulls(2), "holds no value"),
    "status": (pa.array(["run", "stop"]), "holds 'run' in row 1, which is no number"),
    "bytes in text": (
        pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff1", b"2"]).buffers()),
        "holds '\\\\xff1' in row 1, which is no number",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_column_of_any_other_type_is_left_with_its_reason(tmp_path: Path, name: str) -> None:
    column, reason = OTHERS[name]
    chunk = read(write(tmp_path, load=[1.0, 2.0], other=column))

    assert chunk.readings.sensors == ("load",)
    (left,) = chunk.left
    assert (left.name, left.reason[: len(reason)]) == ("other", reason)


FRAME = pd.DataFrame(
    {
        "asset_id": ["p"] * 4,
        "timestamp": pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC"),
        "load": [1.0, 2.0, 3.0, 4.0],
    }
)
INDEXED = {
    "unnamed": (FRAME.iloc[[0, 2, 3]], "__index_level_0__"),
    "named": (FRAME.set_index(pd.Index([5, 6, 8, 9], name="line")), "line"),
    "two levels": (FRAME.set_index([pd.Index([1, 1, 2, 2], name="shift"), [1, 2, 1, 2]]), "shift"),
}


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_of_pandas_is_no_sensor(tmp_path: Path, name: str) -> None:
    frame, column = INDEXED[name]
    frame.to_parquet(tmp_path / "a.parquet")
    chunk = read(tmp_path)

    assert chunk.readings.sensors == ("load",)
    assert reasons(chunk)[column].startswith("index: numbers the rows (an index of pandas)")
    assert describe(tmp_path).sensors == ("load",)


def test_a_range_index_that_was_kept_is_no_sensor(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "a.parquet", index=True)

    assert read(tmp_path).readings.sensors == ("load",)


@pytest.mark.parametrize("column", ["__index_level_0__", "Unnamed: 0"])
def test_an_index_is_found_where_another_program_dropped_the_metadata(
    tmp_path: Path, column: str
) -> None:
    chunk = read(write(tmp_path, **{column: [0, 1], "load": [1.0, 2.0]}))

    assert chunk.readings.sensors == ("load",)


@pytest.mark.parametrize(
    "metadata", [b"", b"[", b"[]", b"{}", b"[" * 50_000, b'{"index_columns":3}']
)
def test_metadata_that_makes_no_sense_is_no_obstacle(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"asset_id": ["p"], "timestamp": moments(1), "load": [1.0]})
    pq.write_table(table.replace_schema_metadata({"pandas": metadata}), tmp_path / "a.parquet")

    assert read(tmp_path).readings.sensors == ("load",)


def test_an_index_that_is_asset_or_time_is_used_as_such(tmp_path: Path) -> None:
    FRAME.set_index(["asset_id", "timestamp"]).to_parquet(tmp_path / "a.parquet")
    chunk = read(tmp_path)

    assert (chunk.readings.sensors, len(chunk.readings.time), chunk.left) == (("load",), 4, ())


def test_an_index_that_the_settings_name_is_a_sensor(tmp_path: Path) -> None:
    FRAME.set_index(pd.Index([5, 6, 8, 9], name="line")).to_parquet(tmp_path / "a.parquet")

    assert read(tmp_path, sensors=("line", "load")).readings.sensors == ("line", "load")


def test_what_is_ignored_is_no_sensor_and_nobody_has_to_hear_of_it(tmp_path: Path) -> None:
    write(tmp_path, load=[1.0], status=["run"], speed=[2.0], **{"Druck [bar]": [3.0]})
    chunk = read(tmp_path, ignore=("sta*", "sp?ed", "Druck [bar]", "nowhere"))

    assert chunk.readings.sensors == ("load",)
    assert {each.name: each.cause for each in chunk.left} == dict.fromkeys(
        ["status", "speed", "Druck [bar]"], "settings"
    )


def test_a_description_tells_sensors_what_is_undecided_and_what_is_left(tmp_path: Path) -> None:
    write(tmp_path, flow=["8,5"], load=[1.0], day=pa.array([1], pa.date32()), head=[2])
    described = describe(tmp_path)

    assert (described.sensors, described.undecided) == (("load", "head"), ("flow",))
    assert [each.name for each in described.left] == ["day"]


def test_a_file_without_a_sensor_says_why_each_column_is_none(tmp_path: Path) -> None:
    write(tmp_path, status=["run"], day=pa.array([1], pa.date32()))

    with pytest.raises(BadBatch, match=r"'day' is date32\[day\].*'status' holds 'run' in row 1"):
        read(tmp_path)


# Long files.


def write_long(folder: Path, rows: list[tuple[str, object]], **columns: object) -> Path:
    tags, values = zip(*rows, strict=True)
    return write(folder, tag=list(tags), value=list(values), **columns)


def test_texts_of_a_long_file_are_decided_tag_by_tag(tmp_path: Path) -> None:
    rows = [("flow", "8,5"), ("state", "run"), ("load", "1,234"), ("state", "stop"), ("idle", None)]
    chunk = read(write_long(tmp_path, rows), layout="long")
    readings = chunk.readings

    assert readings.sensors == ("flow", "idle", "load")
    np.testing.assert_equal(np.nanmax(readings.values[[0, 2]], axis=1), [8.5, 1.234])
    assert reasons(chunk) == {"state": "text: holds 'run' in row 2, which is no number"}
    assert [(each.rows, each.reason) for each in chunk.rejections] == [
        (2, "tag 'state' holds 'run' in row 2, which is no number")
    ]


def test_tags_of_two_locales_are_read_each_by_its_own(tmp_path: Path) -> None:
    rows = [("flow", "8,5"), ("load", "9.5"), ("flow", "1.234,5"), ("load", "1,234.5")]
    chunk = read(write_long(tmp_path, rows), layout="long")

    np.testing.assert_equal(np.nanmax(chunk.readings.values, axis=1), [1234.5, 1234.5])


def test_columns_that_a_long_file_has_beside_are_left(tmp_path: Path) -> None:
    write_long(tmp_path, [("flow", 1.0)], unit=["bar"], __index_level_0__=[4])
    chunk = read(tmp_path, layout="long")

    assert reasons(chunk) == {
        "unit": "unused: is none of the columns that readings in the long layout are read from",
        "__index_level_0__": "index: numbers the rows (an index of pandas)",
    }


def test_tags_that_are_ignored_are_no_sensors(tmp_path: Path) -> None:
    write_long(tmp_path, [("flow", 1.0), ("Heartbeat.1", 2.0)])
    chunk = read(tmp_path, layout="long", ignore=("Heartbeat*",))

    assert chunk.readings.sensors == ("flow",)
    assert {each.name: each.cause for each in chunk.left} == {"Heartbeat.1": "settings"}
    assert [(r.rows, r.reason) for r in chunk.rejections] == [(1, "tag is ignored by the settings")]


# Events.


def test_columns_of_events_that_nothing_reads_are_left(tmp_path: Path) -> None:
    at = [datetime(2024, 1, 1, tzinfo=UTC)]
    table = {"asset_id": ["p"], "timestamp": at, "kind": ["failure"], "order": [7], "text": ["x"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    source = ParquetEvents(str(tmp_path), EventsFormat(ignore=("te*",)))
    described = source.describe(next(source.list()))

    assert reasons(described) == {
        "order": "unused: is none of the columns that events are read from",
        "text": "settings: is ignored by the settings",
    }


# All of it at once.

TYPES = st.sampled_from(
    [
        *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_()),
        *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()),
        *(pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"), pa.timestamp("s")),
        *(pa.timestamp("us", "UTC"), pa.duration("ns"), pa.null(), pa.binary(3)),
        *(
            pa.decimal128(20, 3),
            pa.decimal256(60, 3),
            pa.list_(pa.int8()),
            pa.list_(pa.string(), 2),
        ),
        *(pa.struct([("x", pa.int8())]), pa.map_(pa.string(), pa.int8())),
        *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int16(), pa.float64())),
        *(pa.dictionary(pa.int8(), pa.large_string()), pa.dictionary(pa.int8(), pa.date32())),
    ]
)
NAMES = st.sampled_from(["load", "flow", "", "a.b", "é", "Unnamed: 0", "__index_level_0__", "line"])
TEXTS = st.sampled_from(["8,5", "1,234", "9.5", "1.234", "7", "run", "", "n/a", "1 000", None])


@st.composite
def files(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 4))
    columns: dict[str, object] = {"asset_id": ["p"] * rows, "timestamp": moments(rows)}
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        kind = draw(TYPES)
        texts = pa.array(draw(st.lists(TEXTS, min_size=rows, max_size=rows)), pa.string())
        try:
            columns[name] = texts.cast(kind)
        except (pa.ArrowException, NotImplementedError):
            columns[name] = pa.nulls(rows, kind)
    table = pa.table(columns)
    if draw(st.booleans()):
        return table.replace_schema_metadata(
            {"pandas": b'{"index_columns": ["line", {"name": 1}]}'}
        )
    return table


@given(table=files(), decimal=st.sampled_from(["auto", ",", "."]), whole=st.booleans())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_column_of_any_type_is_a_sensor_or_left_with_a_reason(
    tmp_path: Path, table: pa.Table, decimal: str, whole: bool
) -> None:
    try:
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=9 if whole else 1)
    except (pa.ArrowException, NotImplementedError):
        return  # not a file that pyarrow itself can write
    try:
        chunk = read(tmp_path, decimal=decimal)
    except BadBatch as error:
        assert "needed a numeric column as a sensor" in str(error)
        return
    left = {"" if each.name == "(without a name)" else each.name for each in chunk.left}
    used = {"asset_id", "timestamp", *chunk.readings.sensors}

    assert used | left == set(table.column_names)
    assert not used & left
    assert all(each.reason for each in chunk.left)
    described = describe(tmp_path, decimal=decimal)
    parts = (*described.sensors, *described.undecided, *(each.name for each in described.left))
    assert len(parts) == len(table.column_names) - 2
