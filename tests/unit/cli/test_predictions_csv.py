"""CSV of the command line, as a spreadsheet opens it: no cell is a formula, numbers are numbers."""

import csv
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pm_app.cli.look.predictions import export_predictions, latest_columns, latest_rows
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA
from pm_app.web.files import to_semicolon_csv

HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1")


def export(path, **columns):
    """What a table of one row with these values is as CSV."""
    filled = {name: None for name in PREDICTIONS_SCHEMA.names} | columns
    table = pa.table({name: pa.array([filled[name]]) for name in PREDICTIONS_SCHEMA.names})
    export_predictions(iter([table]), "csv", path)
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    return row


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("column", ["asset_id", "top_sensors", "status"])
def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path, column, name):
    shown = export(tmp_path / "out.csv", **{column: name})[column]

    assert shown == f"'{name}".replace("\r", "\n")


def test_no_row_begins_in_the_midst_of_a_name(tmp_path):
    assert export(tmp_path / "out.csv", asset_id="pump\r=1+1")["asset_id"] == "pump\n=1+1"


def test_numbers_stay_numbers_below_zero_too(tmp_path):
    row = export(tmp_path / "out.csv", asset_id="pump-1", value=-1.5, rul_hours=-0.0)

    assert (row["asset_id"], row["value"], row["rul_hours"]) == ("pump-1", "-1.5", "-0.0")


def test_watched_assets_come_after_risky_ones_the_most_unusual_first():
    cutoff = datetime(2026, 3, 1, tzinfo=UTC)
    values_of = [
        ("calm", "watched", None, 0.25, "", 1),
        ("odd", "watched", None, 1.5, "heat +9.1 (71 %)", 1),
        ("old", "scored", 0.125, None, None, 0),
    ]
    names = ("asset_id", "status", "risk", "deviation", "deviation_sensors", "normal_version")
    filled = dict.fromkeys(PREDICTIONS_SCHEMA.names) | {"cutoff": cutoff, "horizon_hours": 72.0}
    filled |= {"top_sensors": "", "attention": ""}
    rows = [filled | dict(zip(names, values, strict=True)) for values in values_of]
    table = pa.Table.from_pylist(rows, schema=PREDICTIONS_SCHEMA)

    shown = latest_rows(table, now=cutoff, cap_hours=720)

    assert [row["asset"] for row in shown] == ["old", "odd", "calm"]
    assert {"deviation", "deviates by"} < set(latest_columns(table))
    assert [(row["deviation"], row["deviates by"], row["note"]) for row in shown] == [
        ("-", "", ""),
        ("1.5", "heat +9.1 (71 %)", "watched, no model yet"),
        ("0.2", "", "watched, no model yet"),
    ]
    assert "deviation" not in latest_columns(table.slice(2))


def test_semicolons_and_decimal_commas_are_what_a_german_excel_opens(tmp_path):
    cutoff = datetime(2026, 1, 31, 14, tzinfo=UTC)
    values = {"asset_id": "Pümpe;1", "cutoff": cutoff, "risk": 0.25, "model_version": 3}
    filled = {name: None for name in PREDICTIONS_SCHEMA.names} | values
    table = pa.table({name: pa.array([filled[name]]) for name in PREDICTIONS_SCHEMA.names})

    export_predictions(iter([table]), "csv-semicolon", tmp_path / "out.csv")

    content = (tmp_path / "out.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfasset_id;cutoff;")
    assert to_semicolon_csv([table], PREDICTIONS_SCHEMA) == content
    (row,) = csv.DictReader(content.decode("utf-8-sig").splitlines(), delimiter=";")
    assert [row[name] for name in values] == ["Pümpe;1", "2026-01-31 14:00:00", "0,25", "3"]
    assert row["rul_hours"] == ""


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_with_semicolons_no_cell_is_a_formula_either(tmp_path, name):
    table = pa.table({"asset_id": [name]})

    lines = to_semicolon_csv([table], table.schema).decode("utf-8-sig").split("\n", 1)[1]

    assert lines.lstrip('"').startswith("'")
