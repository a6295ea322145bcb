"""Events and work orders from CSV and Excel files: what each row becomes, and why it does not."""

import gzip
import io
import zipfile
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import excel
from connectors.columns.moments import MomentRules, read_moments
from connectors.events.form import EventsFormat
from connectors.events.patterns import Patterns, suggest_patterns
from connectors.events.source import FileEvents
from pm_app.errors import BadBatch, BadSettings, TornBatch
from pm_app.records.readings import Events
from pm_app.times import HOUR_NS, to_nanoseconds

BERLIN = MomentRules("Europe/Berlin")
HEAD = "Auftrag;Equipment;Art;Code;Kurztext;Datum;Geändert am\n"
ORDERS = {
    "asset_column": "Equipment",
    "time_column": "Datum",
    "kind_column": "Art",
    "code_column": "Code",
    "text_column": "Kurztext",
    "order_column": "Auftrag",
    "changed_column": "Geändert am",
    "timezone": "Europe/Berlin",
    "kinds": (("Stör*", "failure"), ("Wartung", "maintenance")),
    "codes": (("LAG-?", "bearing"), ("*geschmiert*", "lubrication"), ("Lager*", "bearing")),
    "ignore_rows": ("Gerüst*",),
}


def at(text: str) -> int:
    return to_nanoseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")))


def read(folder: Path, rows: str, **changes: object) -> tuple[Events, tuple[str, ...]]:
    (folder / "orders.csv").write_text(HEAD + rows, encoding="utf-8")
    source = FileEvents(str(folder), EventsFormat(**{**ORDERS, **changes}))  # type: ignore[arg-type]
    return source.read(next(source.list()))


@pytest.mark.parametrize(
    ("text", "since", "hours"),
    [
        ("03.02.2024 14:05", "2024-02-03T14:05", 0),
        ("3.2.24 9:05", "2024-02-03T09:05", 0),
        ("2024-02-03 14:05:07", "2024-02-03T14:05:07", 0),
        ("2024-02-03T14:05:00+00:00", "2024-02-03T15:05", 0),
        ("20240203", "2024-02-03", 24),
        ("03.02.2024", "2024-02-03", 24),
        ("13/02/2024 02:05 PM", "2024-02-13T14:05", 0),
        # The days on which clocks change have 23 and 25 hours.
        ("31.03.2024", "2024-03-31", 23),
        ("27.10.2024", "2024-10-27", 25),
        # An hour that comes twice may be either.
        ("27.10.2024 02:30", "2024-10-27T02:30", 1),
    ],
)
def test_times_are_read_as_people_write_them(text, since, hours):
    found = read_moments([text], BERLIN)

    assert found.reason.tolist() == [""]
    assert found.since.tolist() == [at(since)]
    assert found.until.tolist() == [at(since) + hours * HOUR_NS]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("gestern", "is 'gestern'; needed a date like"),
        ("31.03.2024 02:30", "the clocks of Europe/Berlin skip that time"),
        ("30.02.2024", "is '30.02.2024'; day is out of range"),
        ("03/04/2024", "may be two days, as '03/04/2024'; needed events.dates"),
        ("01.01.1960", "is before 1970"),
        ("01.01.2400", "needed a year up to 2261"),
        ("1.1.2024 25:00", "hour must be in 0..23"),
        ("1.1.2024 13:00 PM", "needed hours from 1 to 12"),
    ],
)
def test_a_time_that_cannot_be_says_why(text, why):
    assert why in read_moments([text], BERLIN).reason[0]


def test_dates_with_slashes_are_read_as_the_others_of_the_file_show():
    day = read_moments(["03/04/2024", "13/04/2024"], BERLIN)
    month = read_moments(["03/04/2024", "03/14/2024"], BERLIN)

    assert day.since[0] == at("2024-04-03")
    assert month.since[0] == at("2024-03-04")
    assert read_moments(["03/04/2024"], MomentRules("Europe/Berlin", "day first")).reason[0] == ""


def test_a_time_without_a_zone_needs_one_in_the_settings():
    assert "needed events.timezone" in read_moments(["1.1.2024"], MomentRules(None)).reason[0]


def test_patterns_know_no_case_spaces_or_umlauts_and_the_first_counts():
    patterns = Patterns({"*geschmiert*": "lubrication", "Lager*": "bearing", "St?rung [A]": "a"})

    assert patterns.find("LAGER  def.") == "bearing"
    assert patterns.find("Lager nachgeschmiert") == "lubrication"
    assert patterns.find("Störung [a]") == "a"
    assert Patterns({"Stör*": "x"}).find("STOERUNG") == "x"
    assert patterns.find("Störung A") is None
    assert patterns.find("") is None


def test_a_pattern_of_many_stars_costs_no_time_over_a_long_text():
    patterns = Patterns({"*a*a*a*a*a*a*a*a*a*a*a*b": "x"})

    assert patterns.find("a" * 100_000) is None


def test_suggestions_group_texts_by_their_first_words():
    texts = {"Gerüst gestellt": 3, "Geruest gestellt": 1, "12 Schild": 2, "Lager a": 1, "n/a": 1}

    found = suggest_patterns("events.codes", texts)

    assert [(each.pattern, each.rows) for each in found] == [
        *(("gerüst*gestellt*", 4), ("*schild*", 2), ("lager*", 1), ("n*", 1)),
    ]
    assert all(Patterns({found[0].pattern: "x"}).find(t) for t in ("Gerüst gestellt",))


def test_codes_come_from_the_code_first_then_from_the_text(tmp_path):
    events, reasons = read(
        tmp_path,
        "1;p1;Störung;LAG-1;irgendwas;3.2.2024 14:05;\n"
        "2;p1;Stoerung;X-9;Lager fest;3.2.2024 15:05;\n"
        "3;p1;Wartung;;Lager nachgeschmiert;3.2.2024 16:05;\n"
        "4;p1;wartung;;;3.2.2024;\n",
    )

    assert reasons == ()
    assert events.kind.tolist() == ["failure", "failure", "maintenance", "maintenance"]
    assert events.code.tolist() == ["bearing", "bearing", "lubrication", ""]
    assert (events.time - events.since).tolist() == [0, 0, 0, 24 * HOUR_NS]


def test_what_no_pattern_knows_is_left_and_counted_by_its_text(tmp_path):
    _, reasons = read(
        tmp_path,
        "1;p1;Störung;;Lager fest;3.2.2024;\n"
        "2;p1;Störung;;Schild lose;3.2.2024;\n"
        "3;p1;Störung;;Schild lose;4.2.2024;\n"
        "4;p1;Putzen;;Lager fest;5.2.2024;\n"
        "5;p1;Wartung;;Gerüst gestellt;5.2.2024;\n"
        "6;;Wartung;;Lager fest;5.2.2024;\n"
        "7;p1;Wartung;;Lager fest\n",
    )

    assert sorted(reasons) == [
        "Art 'Putzen' matches no pattern of events.kinds",
        "Equipment is null or empty",
        "Kurztext 'Schild lose' matches no pattern of events.codes",
        "Kurztext 'Schild lose' matches no pattern of events.codes",
        "a row has 5 values where the header names 7",
        "left by events.ignore_rows",
    ]


def test_a_row_without_a_kind_takes_the_default_and_a_file_may_have_no_kinds(tmp_path):
    (tmp_path / "a.csv").write_text("asset_id,timestamp\np1,2024-02-03T14:05:00Z\n")
    source = FileEvents(str(tmp_path), EventsFormat(default_kind="failure"))

    events, _ = source.read(next(source.list()))

    assert events.kind.tolist() == ["failure"]


def test_the_newest_row_of_an_order_counts_and_one_of_no_use_takes_it_back(tmp_path):
    events, reasons = read(
        tmp_path,
        "1;p1;Störung;;Lager fest;3.2.2024;\n"
        "2;p1;Störung;;Lager fest;4.2.2024;9.2.2024 10:00\n"
        "1;p2;Störung;;Lager fest;3.2.2024;10.2.2024 10:00\n"
        "2;p2;Störung;;Lager fest;4.2.2024;\n"
        "3;p1;Störung;;Lager fest;5.2.2024;\n"
        "3;p1;Störung;;was anderes;5.2.2024;6.2.2024\n",
    )

    assert events.orders is not None
    assert events.asset.tolist() == ["p1", "p2"]
    assert events.orders.number.tolist() == ["2", "1"]
    assert [number for number, _, _ in events.orders.withdrawn] == ["3"]
    assert reasons.count("replaced by a newer row of the same order") == 3


def test_booked_late_is_an_interval_and_a_day_ends_with_itself(tmp_path):
    events, reasons = read(
        tmp_path,
        "1;p1;Störung;;Lager;3.2.2024 10:00;5.2.2024 08:00\n"
        "2;p1;Störung;;Lager;4.2.2024;9.2.2024 08:00\n"
        "3;p1;Störung;;Lager;6.2.2024;6.2.2024 08:00\n"
        "4;p1;Störung;;Lager;7.2.2024 10:00;1.2.2024 08:00\n",
        until_column="Geändert am",
        changed_column=None,
    )

    assert events.time.tolist() == [
        *(at("2024-02-05"), at("2024-02-05T08:00"), at("2024-02-06T08:00")),
    ]
    assert events.since[1] == at("2024-02-03T10:00") or events.since[0] == at("2024-02-04")
    assert reasons == ("Geändert am is before Datum",)


def test_parquet_files_that_lie_beside_others_are_read_alone(tmp_path):
    read(tmp_path, "1;p1;Störung;;Lager;3.2.2024;\n")
    source = FileEvents(str(tmp_path), EventsFormat())
    assert [batch.name for batch in source.list()] == ["orders.csv"]

    pq.write_table(pa.table({"asset_id": ["p"]}), tmp_path / "a.parquet")

    assert [batch.name for batch in source.list()] == ["a.parquet"]
    assert [left.name for left in source.left_files()] == ["orders.csv"]
    chosen = FileEvents(str(tmp_path), EventsFormat(), kind="csv")
    assert [batch.name for batch in chosen.list()] == ["orders.csv"]


def test_assets_may_be_called_otherwise_than_in_the_readings(tmp_path):
    rows = "1;10004711;Störung;;Lager;3.2.2024;\n2;pump-2;Störung;;Lager;4.2.2024;\n"
    rows += "3;P1  Halle 2;Störung;;Lager;5.2.2024;\n4;;Störung;;Lager;6.2.2024;\n"

    events, reasons = read(tmp_path, rows, assets=(("10004711", "pump-1"), ("p1 *", "pump-1")))

    assert events.asset.tolist() == ["pump-1", "pump-1", "pump-2"]
    assert reasons == ("Equipment is null or empty",)


def test_a_missing_column_is_named_with_those_that_came(tmp_path):
    with pytest.raises(BadBatch, match=r"needed a column 'Wer', got columns \['Auftrag'"):
        read(tmp_path, "1;p1;Störung;;Lager;3.2.2024;\n", asset_column="Wer")


def test_a_file_of_which_nothing_can_be_used_is_refused_whole(tmp_path):
    with pytest.raises(BadBatch, match="none of its 1 rows can be used: Kurztext 'x' matches"):
        read(tmp_path, "1;p1;Störung;;x;3.2.2024;\n", order_column=None, changed_column=None)


def workbook(path: Path, *sheets: list[list[object]]) -> None:
    book = pytest.importorskip("openpyxl").Workbook()
    for number, rows in enumerate(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_cells_of_excel_are_read_as_what_they_are(tmp_path):
    head = ["Auftrag", "Equipment", "Art", "Code", "Kurztext", "Datum"]
    path = tmp_path / "a.xlsx"
    workbook(
        path,
        [["nothing"], ["here"]],
        [
            ["Export vom 3.2.2024"],
            head,
            [4711, "p1", "Störung", None, "Lager fest", datetime.fromisoformat("2024-02-03T14:05")],
            [None] * 6,
            [4712.0, "p1", "Störung", "LAG-1", None, "04.02.2024"],
        ],
    )
    source = FileEvents(str(tmp_path), EventsFormat(**ORDERS))  # type: ignore[arg-type]

    events, reasons = source.read(next(source.list()))

    assert reasons == ()
    assert events.since.tolist() == [at("2024-02-03T14:05"), at("2024-02-04")]
    assert (events.time - events.since).tolist() == [0, 24 * HOUR_NS]
    assert events.orders is not None
    assert events.orders.number.tolist() == ["4711", "4712"]


def test_a_date_without_a_time_in_excel_is_a_day(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["asset_id", "timestamp", "kind"])
    book.active.append(["p", datetime.fromisoformat("2024-02-03"), "failure"])
    book.active["B2"].number_format = "DD.MM.YYYY"
    book.save(tmp_path / "a.xlsx")
    source = FileEvents(str(tmp_path), EventsFormat(timezone="UTC"))

    events, _ = source.read(next(source.list()))

    assert (events.time - events.since).tolist() == [24 * HOUR_NS]


def test_an_excel_file_that_claims_more_than_there_can_be_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.xlsx"
    workbook(path, [["asset_id", "timestamp", "kind"], ["p", "3.2.2024", "failure"]])
    source = FileEvents(str(tmp_path), EventsFormat(timezone="UTC"))
    with zipfile.ZipFile(path) as pack:
        parts = {entry.filename: pack.read(entry) for entry in pack.infolist()}
    sheet = "xl/worksheets/sheet1.xml"
    far = parts[sheet].replace(b'r="2"', b'r="99999999999"').replace(b"A1:C2", b"A1:XFD1048576")
    with zipfile.ZipFile(path, "w") as pack:
        for name, content in {**parts, sheet: far}.items():
            pack.writestr(name, content)

    with pytest.raises(BadBatch, match="a.xlsx: needed at most 1,048,576 rows, got more"):
        source.read(next(source.list()))

    monkeypatch.setattr(excel, "MOST_BYTES", 1000)
    with pytest.raises(BadBatch, match="a.xlsx: needed at most 1,000 bytes unpacked"):
        source.read(next(source.list()))


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"PK\x03\x04 cut", TornBatch), (b"none", BadBatch), (gzip.compress(b"x", mtime=0), BadBatch)],
)
def test_what_is_no_excel_file_is_named(tmp_path, content, error):
    pytest.importorskip("openpyxl")
    (tmp_path / "a.xlsx").write_bytes(content)
    source = FileEvents(str(tmp_path), EventsFormat())

    with pytest.raises(error, match="a.xlsx: needed"):
        source.read(next(source.list()))


def test_any_damage_to_an_excel_file_is_a_bad_batch(tmp_path):
    path = tmp_path / "a.xlsx"
    workbook(path, [["asset_id", "timestamp", "kind"], ["p", "3.2.2024", "failure"]])
    with zipfile.ZipFile(path) as pack:
        parts = {entry.filename: pack.read(entry) for entry in pack.infolist()}
    source = FileEvents(str(tmp_path), EventsFormat(timezone="UTC"))
    for damaged in parts:
        for content in (b"", b"<a/>", parts[damaged].replace(b"1", b"x")):
            pack_bytes = io.BytesIO()
            with zipfile.ZipFile(pack_bytes, "w") as pack:
                for name, part in {**parts, damaged: content}.items():
                    pack.writestr(name, part)
            path.write_bytes(pack_bytes.getvalue())
            try:
                events, _ = source.read(next(source.list()))
            except BadBatch as error:
                assert "a.xlsx" in str(error)
            else:
                assert len(events.time) <= 1


def test_excel_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.xlsx").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    source = FileEvents(str(tmp_path), EventsFormat())

    with pytest.raises(BadSettings, match=r"pip install 'pm-app\[excel\]'"):
        source.read(next(source.list()))
