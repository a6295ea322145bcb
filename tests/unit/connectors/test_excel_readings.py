"""Readings from Excel files: what the same rows in Parquet would say."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from connectors import auto
from connectors.csv import readings as csv_readings
from connectors.csv import texts
from connectors.csv.readings import CsvReadings
from connectors.events.form import EventsFormat
from connectors.events.source import FileEvents
from connectors.parquet.plan import ReadingsFormat
from pm_app.errors import BadBatch, TornBatch
from pm_app.settings.sources import ReadingsSettings
from pm_app.times import HOUR_NS, to_nanoseconds

openpyxl = pytest.importorskip("openpyxl")
FORM = ReadingsFormat(
    asset_column="Maschine", time_column="Zeit", timezone="Europe/Berlin", dates="auto"
)
START = datetime(2024, 2, 3, 14, 5)  # noqa: DTZ001 - a spreadsheet has no zones
NINE = [
    ["Export of line 3"],
    [],
    ["Maschine", "Zeit", "Druck [bar]", "Läuft", "Faktor", "Bemerkung"],
    [None, None, "bar", None, None, None],
    ["P1", START, 8.01, True, 1.234, "geölt"],
    [],
    ["P1", datetime(2024, 2, 3, 15, 5), "=1/0", False, -12.345, None],  # noqa: DTZ001
    ["P2", date(2024, 2, 4), 1480, None, 1000.5, None],
]


def book(path, rows, *, sheet="Daten", before=()):
    found = openpyxl.Workbook()
    for title in before:
        found.create_sheet(title, 0).append(["Notiz", "von"])
    found.active = found.worksheets[-1]
    found.worksheets[-1].title = sheet
    for row in rows:
        found.worksheets[-1].append(row)
    found.save(path)


def read(folder, form=FORM):
    source = CsvReadings(str(folder), form, kind="excel")
    return list(source.read(next(source.list())))


def test_numbers_times_and_truths_of_cells_are_readings_whatever_stands_above_them(tmp_path):
    book(tmp_path / "a.xlsx", NINE, before=["Deckblatt"])
    (chunk,) = read(tmp_path)
    values = dict(zip(chunk.readings.sensors, chunk.readings.values.tolist(), strict=True))

    # 14:05 in Berlin in winter.
    first = to_nanoseconds(datetime(2024, 2, 3, 13, 5, tzinfo=UTC))
    assert chunk.readings.time.tolist() == [
        first,
        first + HOUR_NS,
        first + 10 * HOUR_NS - 300 * 10**9,
    ]
    assert [chunk.readings.assets[n] for n in chunk.readings.asset.tolist()] == ["P1", "P1", "P2"]
    assert values["Druck [bar]"][0] == 8.01 and values["Druck [bar]"][2] == 1480
    assert values["Faktor"] == [1.234, -12.345, 1000.5]
    assert values["Läuft"][:2] == [1, 0] and np.isnan(values["Läuft"][2])
    assert [each.name for each in chunk.left] == ["Bemerkung"]
    assert any("names units" in each.reason for each in chunk.rejections)


def test_a_formula_that_gave_an_error_is_missing_and_spoils_no_column(tmp_path):
    path = tmp_path / "a.xlsx"
    book(path, [["Maschine", "Zeit", "x"], ["P1", START, 1.5], ["P1", START, "#DIV/0!"]])
    (chunk,) = read(tmp_path)

    values = chunk.readings.values[0]
    assert values[0] == 1.5 and np.isnan(values[1])


def test_rows_come_in_pieces_and_none_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("connectors.excel._BATCH_ROWS", 7)
    hours = [datetime(2024, 2, 1 + n // 24, n % 24) for n in range(50)]  # noqa: DTZ001
    rows = [["P1", hour, number + 0.25] for number, hour in enumerate(hours)]
    book(tmp_path / "a.xlsx", [["Maschine", "Zeit", "x"], *rows])
    source = CsvReadings(str(tmp_path), FORM, kind="excel", most_cells=20)
    batch = next(source.list())
    values = np.concatenate([chunk.readings.values[0] for chunk in source.read(batch)])

    assert values.tolist() == [number + 0.25 for number in range(50)]
    assert source.count(batch) == source.describe(batch).rows == 50
    assert source.describe(batch).written == "sheet 'Daten' of an Excel file"


def test_long_sheets_are_pivoted(tmp_path):
    rows = [["P1", START, "temp", 8.5], ["P1", START, "flow", 3]]
    book(tmp_path / "a.xlsx", [["Maschine", "Zeit", "tag", "value"], *rows])
    form = replace(FORM, layout="long")
    (chunk,) = read(tmp_path, form)

    assert chunk.readings.sensors == ("flow", "temp")
    assert chunk.readings.values.tolist() == [[3.0], [8.5]]


def test_what_is_no_workbook_or_not_whole_yet_is_told_so(tmp_path):
    book(tmp_path / "a.xlsx", NINE)
    content = (tmp_path / "a.xlsx").read_bytes()
    (tmp_path / "a.xlsx").write_bytes(content[: len(content) // 2])
    with pytest.raises(TornBatch, match="a.xlsx: needed a whole Excel file"):
        read(tmp_path)
    (tmp_path / "a.xlsx").write_bytes(b"no workbook")
    with pytest.raises(BadBatch, match="a.xlsx: needed an Excel file"):
        read(tmp_path)
    book(tmp_path / "a.xlsx", [["Maschine", "Zeit", "x"]])
    with pytest.raises(BadBatch, match="a.xlsx: needed rows, got a file with none"):
        read(tmp_path)


def test_a_folder_of_readings_takes_excel_where_it_can_be_read_and_leaves_it_otherwise(
    tmp_path, monkeypatch
):
    book(tmp_path / "a.xlsx", NINE)
    settings = ReadingsSettings(
        asset_column="Maschine", time_column="Zeit", timezone="Europe/Berlin"
    )

    def source():
        return auto.open_readings(settings, uri=str(tmp_path), label_column=None)

    assert [batch.name for batch in source().list()] == ["a.xlsx"]
    assert sum(len(c.readings.time) for c in source().read(next(source().list()))) == 3
    assert source().contents == "Parquet, CSV or Excel files"

    monkeypatch.setattr(texts, "find_spec", lambda name: None)
    assert list(source().list()) == []
    assert [left.name for left in source().left_files()] == ["a.xlsx"]
    assert source().contents == "Parquet or CSV files"


def test_only_excel_files_are_read_where_that_is_asked_for(tmp_path):
    book(tmp_path / "a.xlsx", NINE)
    (tmp_path / "b.csv").write_text("Maschine;Zeit;x\nP1;2024-02-03 14:05;1\n", encoding="utf-8")
    names = {}
    for kind in ("excel", "csv", "auto"):
        source = csv_readings.CsvReadings(str(tmp_path), FORM, kind=kind)
        names[kind] = sorted(batch.name for batch in source.list())

    assert names == {"excel": ["a.xlsx"], "csv": ["b.csv"], "auto": ["a.xlsx", "b.csv"]}


def test_three_decimals_of_a_cell_are_no_thousands_beside_texts_with_commas(tmp_path):
    book(tmp_path / "a.xlsx", [["Maschine", "Zeit", "x", "y"], ["P1", START, 1.234, "8,01"]])
    (chunk,) = read(tmp_path)

    assert dict(zip(chunk.readings.sensors, chunk.readings.values[:, 0], strict=True)) == {
        "x": 1.234,
        "y": 8.01,
    }


def test_a_code_that_is_a_number_stays_as_it_is(tmp_path):
    rows = [["asset_id", "timestamp", "kind", "code"], ["P1", START, "failure", 1.234]]
    book(tmp_path / "a.xlsx", rows)
    source = FileEvents(str(tmp_path), EventsFormat(timezone="UTC"))

    assert source.read(next(source.list()))[0].code.tolist() == ["1.234"]
