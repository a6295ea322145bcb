"""Readings from CSV files as historians and spreadsheets of many countries write them."""

import gzip
import os
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import by_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.auto import open_readings
from connectors.columns.moments import MomentRules, read_moments
from connectors.columns.times import TimeRules, read_times
from connectors.csv import CsvReadings
from connectors.parquet import ParquetReadings, ReadingsFormat
from pm_app.errors import BadBatch, SourceUnavailable, TornBatch
from pm_app.settings.sources import ReadingsSettings
from pm_app.times import to_nanoseconds

GERMAN = (
    "Maschine;Zeit;Druck [bar];Strom;Läuft;Bemerkung\r\n"
    ";;bar;A;;\r\n"
    "P 1;03.02.2024 14:05:00;8,01;1.234,5;WAHR;ölig\r\n"
    "P 1;03.02.2024 14:06:00;;0,123;FALSCH;\r\n"
    "P 2;03.02.2024 14:05:30,5;7,5;-1;;\r\n"
)
GERMAN_FORM = {
    "asset_column": "Maschine",
    "time_column": "Zeit",
    "timezone": "Europe/Berlin",
}


def write(folder: Path, text: str | bytes, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    content = text if isinstance(text, bytes) else text.encode(encoding)
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    os.utime(folder / name, (1e9, 1e9))
    return folder


def source_of(folder: Path, *, most_cells: int = 2_000_000, **options: object) -> CsvReadings:
    form = ReadingsFormat(**{"dates": "auto", **options})  # type: ignore[arg-type]
    return CsvReadings(str(folder), form, most_cells=most_cells)


def read(folder: Path, **options: object):
    source = source_of(folder, **options)
    return [chunk for batch in by_name(source) for chunk in source.read(batch)]


def only(folder: Path, **options: object):
    (chunk,) = read(folder, **options)
    return chunk


def utc(*of: int) -> int:
    return to_nanoseconds(datetime(*of, tzinfo=UTC))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt.gz"])
def test_a_german_export_is_read_as_a_german_would(tmp_path, encoding, name):
    chunk = only(write(tmp_path, GERMAN, name, encoding), **GERMAN_FORM)

    assert chunk.readings.sensors == ("Druck [bar]", "Strom", "Läuft")
    assert [chunk.readings.assets[i] for i in chunk.readings.asset] == ["P 1", "P 1", "P 2"]
    assert chunk.readings.time.tolist() == [
        utc(2024, 2, 3, 13, 5),
        utc(2024, 2, 3, 13, 6),
        utc(2024, 2, 3, 13, 5, 30) + 500_000_000,
    ]
    np.testing.assert_array_equal(
        chunk.readings.values, [[8.01, np.nan, 7.5], [1234.5, 0.123, -1], [1, 0, np.nan]]
    )
    assert [(each.rows, each.reason) for each in chunk.rejections] == [
        (0, "the row under the header names units and holds no values: 'bar', 'A'")
    ]
    assert [(each.name, each.cause) for each in chunk.left] == [("Bemerkung", "text")]


def test_what_lies_beside_decides_whether_a_comma_parts_decimals_or_thousands(tmp_path):
    text = "asset_id;timestamp;x\np;2024-02-03T00:00Z;1,234\n"

    with pytest.raises(BadBatch, match=r"'1,234' in row 1, which may be 1.234 or 1234; say which"):
        read(write(tmp_path, text))

    read_with = {sign: only(tmp_path, decimal=sign).readings.values[0, 0] for sign in (",", ".")}
    assert read_with == {",": 1.234, ".": 1234.0}
    write(tmp_path, text + "p;2024-02-03T00:01Z;0,5\n")
    assert only(tmp_path).readings.values.tolist() == [[1.234, 0.5]]


def test_a_sign_that_shows_late_holds_for_the_whole_file(tmp_path):
    times = np.datetime_as_string(np.datetime64("2024-02-03", "s") + np.arange(9000))
    rows = [f"p;{each}Z;1,234" for each in times]
    text = "\n".join(["asset_id;timestamp;x", *rows, "p;2024-02-04T00:00Z;7,1", ""])

    values = only(write(tmp_path, text)).readings.values

    assert set(values[0].tolist()) == {1.234, 7.1}
    assert values.shape == (1, 9001)


def test_one_number_of_another_country_leaves_its_column_with_a_reason(tmp_path):
    rows = [f"p;2024-02-03T00:{n:02}Z;{n},5;{n}" for n in range(60)]
    rows[40] = "p;2024-02-03T00:40Z;40.5;40"

    chunk = only(write(tmp_path, "\n".join(["asset_id;timestamp;x;y", *rows, ""])))

    assert chunk.readings.sensors == ("y",)
    assert [each.reason for each in chunk.left] == [
        "holds '40.5' in row 41 and '0,5' in row 1, which cannot both be right; say which sign "
        'decimals have: readings.decimal = "," or "."'
    ]


def test_hours_that_clocks_skip_or_go_through_twice_are_refused_and_no_other(tmp_path):
    times = ["31.03.2024 01:59", "31.03.2024 02:30", "31.03.2024 03:00"]
    times += ["27.10.2024 01:59", "27.10.2024 02:00", "27.10.2024 02:59", "27.10.2024 03:00"]
    text = "\n".join(["asset_id;timestamp;x", *(f"p;{each};1" for each in times), ""])

    chunk = only(write(tmp_path, text), timezone="Europe/Berlin")

    assert chunk.readings.time.tolist() == [
        utc(2024, 3, 31, 0, 59),
        utc(2024, 3, 31, 1),
        utc(2024, 10, 26, 23, 59),
        utc(2024, 10, 27, 2),
    ]
    assert sum(each.rows for each in chunk.rejections) == 3
    assert all("skip" in each.reason for each in chunk.rejections)


def test_slashes_are_read_as_the_file_shows_and_refused_where_it_does_not(tmp_path):
    text = "asset_id,timestamp,x\np,03/02/2024 10:00,1\np,13/02/2024 10:00,1\n"
    form = {"timezone": "UTC"}

    assert only(write(tmp_path, text), **form).readings.time[0] == utc(2024, 2, 3, 10)
    write(tmp_path, text.replace("13/02", "02/13"))
    with pytest.raises(BadBatch):
        read(write(tmp_path, text.replace("13/02", "04/02")), **form)
    chunk = only(tmp_path, dates="month first", **form)
    assert chunk.readings.time[0] == utc(2024, 3, 2, 10)


START = datetime(1971, 1, 2, tzinfo=UTC)
# Arrow knows no changes of clocks from 2038 on.
MOMENTS = st.integers(0, 2_000_000_000).map(lambda passed: START + timedelta(seconds=passed))
FORMS = ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%fZ", "%d/%m/%Y %I:%M %p")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.sampled_from(FORMS)), min_size=1, max_size=30))
def test_many_times_at_once_are_what_each_is_by_itself(pairs):
    texts = [moment.strftime(form) for moment, form in pairs]
    rules = TimeRules("Europe/Berlin", None, order="day first")

    at_once = read_times(pa.array(texts), "t", rules)

    alone = read_moments(texts, MomentRules("Europe/Berlin", "day first"))
    good = (alone.reason == "") & (alone.since == alone.until)
    refused = np.zeros(len(texts), dtype=bool)
    for rows, _ in at_once.refused:
        refused |= rows
    np.testing.assert_array_equal(~refused, good)
    np.testing.assert_array_equal(at_once.time[good], alone.since[good])


VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.integers(-999, 999))


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), VALUES, VALUES), min_size=1, max_size=50),
    separator=st.sampled_from(";\t|"),
    comma=st.booleans(),
    cells=st.sampled_from([5, 2_000_000]),
    layout=st.sampled_from(["wide", "long"]),
)
def test_a_csv_file_says_what_the_same_rows_in_parquet_say(
    tmp_path, rows, separator, comma, cells, layout
):
    times = np.arange(len(rows)) // 2 * 60_000_000_000
    names = [["tag", "value"], ["x", "y"]][layout == "wide"]
    first = [f"t{x}" if layout == "long" else x for _, x, _ in rows]
    if layout == "long":
        first = [f"t{number % 3}" for number in range(len(rows))]
    table = pa.table(
        {
            "asset_id": [asset for asset, _, _ in rows],
            "timestamp": pa.array(times).cast(pa.timestamp("ns", "UTC")),
            names[0]: pa.array(first, None if layout == "long" else pa.float64()),
            names[1]: pa.array([y for _, _, y in rows], pa.float64()),
        }
    )
    for kind in ("csv", "parquet"):
        (tmp_path / kind).mkdir(exist_ok=True)
    pq.write_table(table, tmp_path / "parquet" / "a.parquet")
    write(tmp_path / "csv", as_text(table, separator, comma))

    form = {"layout": layout, "decimal": "," if comma else "."}
    parquet = ParquetReadings(str(tmp_path / "parquet"), ReadingsFormat(**form), most_cells=cells)
    csv = source_of(tmp_path / "csv", most_cells=cells, **form)

    assert outcome(csv) == outcome(parquet)


def as_text(table, separator, comma):
    lines = [separator.join(table.column_names)]
    for row in table.to_pylist():
        cells = ["" if each is None else each for each in row.values()]
        texts = [each.isoformat() if isinstance(each, datetime) else repr(each) for each in cells]
        texts = [text.strip("'").replace(".", ",") if comma else text.strip("'") for text in texts]
        texts[1] = row["timestamp"].isoformat()
        lines.append(separator.join(texts))
    return "\n".join(lines) + "\n"


def outcome(source):
    """Cells in one order, and rows refused; "bad" where there is nothing."""
    (batch,) = source.list()
    try:
        chunks = list(source.read(batch))
    except BadBatch:
        return "bad", 0
    cells = []
    for chunk in chunks:
        of = chunk.readings
        for sensor, values in zip(of.sensors, of.values, strict=True):
            rows = zip(of.asset.tolist(), of.time.tolist(), values.tolist(), strict=True)
            cells += [(of.assets[i], at, sensor, v) for i, at, v in rows if v == v]
    rejected = sum(each.rows for chunk in chunks for each in chunk.rejections)
    # Where a column of CSV holds no value nothing tells that it is one of numbers.
    return (sorted(cells), rejected) if cells else ("bad", 0)


def test_rows_that_are_none_are_counted_with_a_reason_and_spoil_no_column(tmp_path):
    text = (
        "asset_id;timestamp;x\n"
        "p;2024-02-03T00:00Z;1\n"
        "p;2024-02-03T00:01Z;2;3\n"
        "asset_id;timestamp;x\n"
        "p;not a time;4\n"
        ";2024-02-03T00:03Z;5\n"
        "p;2024-02-03T00:02Z;6\n"
    )

    chunk = only(write(tmp_path, text))

    assert chunk.readings.values.tolist() == [[1, 6]]
    assert {each.reason: each.rows for each in chunk.rejections} == {
        "a row has 4 values where the header names 3": 1,
        "a row repeats the header": 1,
        "timestamp is 'not a time'; needed a date like 2024-02-03 or 03.02.2024 14:05": 1,
        "asset_id is null or empty": 1,
    }
    (batch,) = source_of(tmp_path).list()
    assert source_of(tmp_path).describe(batch).rows == 6


def test_columns_without_a_name_are_left_and_one_more_separator_does_no_harm(tmp_path):
    chunk = only(write(tmp_path, "asset_id;timestamp;x;;\np;2024-02-03T00:00Z;1;;9\n"))
    assert [(each.name, each.cause) for each in chunk.left] == [("(without a name)", "name")]
    chunk = only(write(tmp_path, "asset_id;timestamp;x\np;2024-02-03T00:00Z;1;\n"))
    assert chunk.readings.values.tolist() == [[1]]


def test_a_missing_column_is_asked_for_with_those_that_may_be_meant(tmp_path):
    with pytest.raises(BadBatch, match='readings.time_column in plant.toml names it: "Zeit"'):
        read(write(tmp_path, "Maschine;Zeit;x\np;03.02.2024 00:00;1\n"), asset_column="Maschine")
    with pytest.raises(BadBatch, match="needed readings.timezone, where their clock stood"):
        read(tmp_path, asset_column="Maschine", time_column="Zeit")


def test_a_last_line_without_its_end_is_waited_for_while_it_is_fresh(tmp_path):
    write(tmp_path, "asset_id;timestamp;x\np;2024-02-03T00:00Z;1")
    assert only(tmp_path).readings.values.tolist() == [[1]]
    os.utime(tmp_path / "a.csv", (time.time(), time.time()))

    with pytest.raises(TornBatch, match="its last line has no end"):
        read(tmp_path)


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(rows):
        times = np.datetime_as_string(np.datetime64("2024-01-01", "s") + np.arange(rows))
        text = "\n".join(f"p;{at}Z;{n / 7:.6f}" for n, at in enumerate(times))
        write(tmp_path, f"asset_id;timestamp;x\n{text}\n")
        del times, text
        tracemalloc.start()
        pool, before = pa.default_memory_pool(), pa.total_allocated_bytes()
        most = 0
        source = source_of(tmp_path, most_cells=20_000)
        for batch in source.list():
            for _ in source.read(batch):
                most = max(most, pa.total_allocated_bytes() - before)
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        pool.release_unused()
        return most + traced

    peak(1_000)

    assert peak(240_000) < 1.7 * peak(120_000) + 4_000_000


def test_no_room_for_passing_rows_is_told_and_tried_again(tmp_path, monkeypatch):
    class Full:
        def __init__(self, **_):
            self.closed = False

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

        def tell(self):
            return 0

        def close(self):
            pass

        def flush(self):
            pass

    monkeypatch.setattr("connectors.csv.spool.SpooledTemporaryFile", Full)

    with pytest.raises(SourceUnavailable, match="a.csv: cannot be read: no room .* No space left"):
        read(write(tmp_path, GERMAN), **GERMAN_FORM)


def test_an_asset_in_the_path_is_read_and_makes_files_of_the_same_bytes_two(tmp_path):
    for asset in "ab":
        (tmp_path / f"asset_id={asset}").mkdir()
        write(tmp_path, "timestamp;x\n2024-02-03T00:00Z;1\n", f"asset_id={asset}/1.csv")
    source = source_of(tmp_path)

    batches = by_name(source)

    assert [chunk.readings.assets for b in batches for chunk in source.read(b)] == [("a",), ("b",)]
    assert len({source.digest(batch) for batch in batches}) == 2


def test_whatever_lies_in_the_folder_is_read_parquet_alone_where_there_is_any(tmp_path):
    source = open_readings(ReadingsSettings(), uri=str(tmp_path), label_column=None)
    assert list(source.list()) == []
    write(tmp_path, "asset_id;timestamp;x\np;2024-02-03T00:00Z;1\n")
    (batch,) = source.list()
    assert [chunk.readings.values.tolist() for chunk in source.read(batch)] == [[[1.0]]]
    assert (source.describe(batch).rows, source.count(batch)) == (1, 1)
    assert list(source.left_files()) == []

    times = pa.array([0]).cast(pa.timestamp("ns", "UTC"))
    table = pa.table({"asset_id": ["p"], "timestamp": times, "x": [1.0]})
    pq.write_table(table, tmp_path / "b.parquet")

    assert [each.name for each in source.list()] == ["b.parquet"]
    assert [each.name for each in source.left_files()] == ["a.csv"]


def test_a_real_robot_in_decimal_commas_is_read_whole(open_data):
    folder, form = open_data / "ur3_cobotops", {"time_column": "Timestamp", "default_asset": "ur3"}
    rows = np.concatenate([c.readings.values for c in read(folder, **form)], axis=1)
    first = read(folder, **form)[0]

    assert rows.shape == (23, 7409)
    assert int(np.isnan(rows).sum()) == 1072
    assert first.readings.time[0] == utc(2022, 10, 26, 8, 17, 21) + 847_000_000
    labels = dict(zip(first.readings.sensors, rows, strict=True))
    assert (np.nansum(labels["Robot_ProtectiveStop"]), labels["grip_lost"].sum()) == (278, 243)
    assert [each.name for each in first.left] == ["(without a name)"]


def test_a_real_water_loop_in_packed_files_is_read_whole(open_data):
    chunks = read(
        open_data / "skab",
        time_column="datetime",
        default_asset="loop",
        timezone="Europe/Moscow",
        ignore=("anomaly", "changepoint"),
    )

    assert sum(len(chunk.readings.time) for chunk in chunks) == sum(
        gzip.decompress(path.read_bytes()).count(b"\n") - 1
        for path in (open_data / "skab").rglob("*.gz")
    )
    assert {chunk.readings.sensors for chunk in chunks} == {chunks[0].readings.sensors}
    assert not any(each.rows for chunk in chunks for each in chunk.rejections)


def test_names_of_settings_are_those_that_are_read(tmp_path):
    settings = ReadingsSettings(
        format="csv", timezone="Europe/Berlin", asset_column="Maschine", time_column="Zeit"
    )
    source = csv_readings_of(settings, write(tmp_path, GERMAN))

    (batch,) = source.list()
    described = source.describe(batch)

    assert described.written == "utf-8, columns parted by semicolons"
    assert described.undecided == ("Druck [bar]", "Strom", "Läuft", "Bemerkung")
    assert ("Zeit", "timestamp[text]") in described.columns


def csv_readings_of(settings, folder):
    from connectors.csv import open_readings as open_csv_readings

    return open_csv_readings(settings, uri=str(folder), label_column=None)
