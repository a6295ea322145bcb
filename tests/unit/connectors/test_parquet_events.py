"""Events from Parquet files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.parquet import EventsFormat, ParquetEvents
from pm_app.errors import BadBatch
from pm_app.records.readings import Events


def seconds(*values: int | None) -> pa.Array:
    scaled = [None if v is None else v * 1000 for v in values]
    return pa.array(scaled, pa.int64()).cast(pa.timestamp("ms", "UTC"))


def events_table(**columns: object) -> pa.Table:
    standard = {
        "asset_id": ["p2", "p1"],
        "timestamp": seconds(20, 10),
        "kind": ["failure", "maintenance"],
        "code": ["seal", None],
    }
    return pa.table({**standard, **columns})


def read(folder: Path, table: pa.Table, **options: object) -> tuple[Events, tuple[str, ...]]:
    pq.write_table(table, folder / "a.parquet")
    source = ParquetEvents(str(folder), EventsFormat(**options))  # type: ignore[arg-type]
    return source.read(next(source.list()))


def test_events_come_sorted_with_empty_codes_where_there_are_none(tmp_path: Path) -> None:
    events, reasons = read(tmp_path, events_table())

    assert events.asset.tolist() == ["p1", "p2"]
    assert events.time.tolist() == [10 * 10**9, 20 * 10**9]
    assert events.kind.tolist() == ["maintenance", "failure"]
    assert events.code.tolist() == ["", "seal"]
    assert reasons == ()


def test_codes_may_be_numbers_or_absent(tmp_path: Path) -> None:
    numbered, _ = read(tmp_path, events_table(code=[7, 12]))
    absent, _ = read(tmp_path, events_table().drop_columns(["code"]))

    assert numbered.code.tolist() == ["12", "7"]
    assert absent.code.tolist() == ["", ""]


def test_kinds_are_known_whatever_their_case(tmp_path: Path) -> None:
    events, _ = read(tmp_path, events_table(kind=[" Failure", "ERROR"]))

    assert events.kind.tolist() == ["error", "failure"]


def test_every_refused_row_has_a_reason_that_names_it(tmp_path: Path) -> None:
    table = pa.table(
        {
            "asset_id": ["p", None, "p", "p", "p"],
            "timestamp": seconds(1, 2, None, -4, 5),
            "kind": ["explosion", "failure", "failure", "failure", "failure"],
        }
    )

    events, reasons = read(tmp_path, table)

    assert events.time.tolist() == [5 * 10**9]
    assert len(reasons) == 4
    assert reasons[0].startswith("row 1: kind is 'explosion'; needed one of ('failure',")
    assert reasons[1:] == (
        "row 2: asset_id is null or empty",
        "row 3: timestamp is null",
        "row 4: timestamp is before 1970, first 1969-12-31T23:59:56",
    )


def test_a_row_that_repeats_another_is_counted(tmp_path: Path) -> None:
    table = pa.concat_tables([events_table(), events_table().slice(1, 1)])

    events, reasons = read(tmp_path, table)

    assert (len(events.time), reasons) == (2, ("repeats another row",))


def test_a_file_without_rows_reports_that_nothing_happened(tmp_path: Path) -> None:
    events, reasons = read(tmp_path, events_table().slice(0, 0))

    assert len(events.time) == 0
    assert reasons == ()


def test_an_absent_folder_has_no_events_yet(tmp_path: Path) -> None:
    assert list(ParquetEvents(str(tmp_path / "events")).list()) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (events_table().drop_columns(["kind"]), "a.parquet: needed a column 'kind', got columns"),
        (events_table(timestamp=["x", "y"]), "column 'timestamp' is string; needed a timestamp"),
        (events_table(kind=[1.5, 2.5]), "column 'kind' is double; needed text or whole numbers"),
        (events_table(kind=["x", "y"]), "none of its 2 rows can be used: row 1: kind is 'x'"),
        (
            pa.Table.from_arrays(
                [pa.array(["p"])] * 2 + [seconds(1), pa.array(["failure"])],
                names=["asset_id", "asset_id", "timestamp", "kind"],
            ),
            "column 'asset_id' comes more than once",
        ),
    ],
    ids=["no kind", "text time", "numbers as kind", "no usable row", "names twice"],
)
def test_an_unusable_file_says_why(tmp_path: Path, table: pa.Table, message: str) -> None:
    with pytest.raises(BadBatch, match=message):
        read(tmp_path, table)


def test_an_event_may_have_happened_until_some_time(tmp_path: Path) -> None:
    table = events_table(until=pa.array([30, None], pa.timestamp("s", "UTC")))
    events, reasons = read(tmp_path, table, until_column="until")

    assert events.since.tolist() == [10 * 10**9, 20 * 10**9]
    assert events.time.tolist() == [10 * 10**9, 30 * 10**9]
    assert reasons == ()


def test_a_file_without_the_column_knows_its_times(tmp_path: Path) -> None:
    events, _ = read(tmp_path, events_table(), until_column="until")

    assert events.since.tolist() == events.time.tolist()


def test_an_end_before_the_beginning_is_refused(tmp_path: Path) -> None:
    table = events_table(until=pa.array([19, 11], pa.timestamp("s", "UTC")))
    events, reasons = read(tmp_path, table, until_column="until")

    assert events.asset.tolist() == ["p1"]
    assert reasons == ("row 1: until is before timestamp",)


def test_an_end_that_is_no_time_quarantines_the_file(tmp_path: Path) -> None:
    with pytest.raises(BadBatch, match="column 'until' is string; needed a timestamp"):
        read(tmp_path, events_table(until=["soon", "later"]), until_column="until")


def test_a_missing_column_is_answered_with_its_setting_and_what_may_be_it(tmp_path: Path) -> None:
    table = events_table().rename_columns(["Anlage", "Zeitpunkt", "kind", "code"])

    with pytest.raises(
        BadBatch, match=r'events.time_column in plant.toml names it: "Zeitpunkt"\?$'
    ):
        read(tmp_path, table, asset_column="Anlage")
