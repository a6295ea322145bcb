"""Which columns of a file may be those that settings name and it does not have."""

import pyarrow as pa
import pytest

from connectors.columns.missing_columns import NeededColumn, likely_columns, missing_columns

EXPORT = pa.schema(
    [("Lfd. Nr.", pa.string()), ("Maschine", pa.string()), ("Datum/Uhrzeit", pa.string())]
    + [(f"Druck {number}", pa.string()) for number in range(12)]
)
TIME = NeededColumn("time", "readings.time_column", "timestamp")
ASSET = NeededColumn("asset", "readings.asset_column", "asset_id")


def test_all_missing_columns_are_named_at_once_with_those_that_may_be_they():
    assert str(missing_columns("a.csv", [TIME, ASSET], EXPORT)).endswith(
        "'Druck 8'] and 3 more; plant.toml names them: "
        'readings.time_column = "Datum/Uhrzeit", readings.asset_column = "Maschine"?'
    )


@pytest.mark.parametrize(
    ("role", "wanted", "names", "likely"),
    [
        ("time", "Zeitstempel", ["Datum", "Zeit_stempel"], ("Zeit_stempel",)),
        (
            "asset",
            "asset_id",
            ["Start", "Gerätenummer", "EquipmentNr"],
            ("Gerätenummer", "EquipmentNr"),
        ),
        ("kind", "kind", ["Artikel", "Meldungsart", "Text"], ("Artikel", "Meldungsart")),
        # Of many columns of texts nothing is said, of few all.
        ("asset", "asset_id", [f"x{number}" for number in range(4)], ()),
        ("asset", "asset_id", ["x", "y"], ("x", "y")),
        ("time", "timestamp", ["x", "y"], ()),
    ],
)
def test_a_column_is_likely_by_its_name_and_else_by_its_type(role, wanted, names, likely):
    schema = pa.schema([(name, pa.string()) for name in names])

    assert likely_columns(role, wanted, schema) == likely
