"""CSV of the command line, as a spreadsheet opens it: no cell is a formula, numbers are numbers."""

import csv

import pyarrow as pa
import pytest

from pm_app.cli.look.predictions import export_predictions
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA

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
