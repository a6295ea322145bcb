"""Tables [sensors."COLUMN"] of plant.toml."""

import tomllib
from math import inf
from pathlib import Path

import pytest

from pm_app.errors import BadSettings
from pm_app.settings.plant import parse_settings
from pm_app.settings.sensors import sensor_text, unknown_sensors


def parse(text):
    return parse_settings(tomllib.loads(text), folder=Path(), origin="plant.toml")


def test_a_sensor_has_a_name_a_unit_and_limits():
    text = '[sensors."Druck [bar]"]\nname = "Pressure"\nunit = "bar"\nlimits = { low = 0 }'
    sensor = parse(text).sensors["Druck [bar]"]

    assert (sensor.name, sensor.unit, sensor.low, sensor.high) == ("Pressure", "bar", 0, inf)
    assert parse(text).digest == parse("").digest


@pytest.mark.parametrize(
    "table, shown",
    [
        ("", "p-01"),
        ('[sensors.p-01]\nunit = "bar"', "p-01 [bar]"),
        ('[sensors.p-01]\nname = "Inlet"', "Inlet"),
        ('[sensors.p-01]\nname = "Inlet"\nunit = "bar"', "Inlet [bar]"),
        ('[sensors.p-01]\nname = "Inlet in bar"\nunit = "bar"', "Inlet in bar"),
    ],
)
def test_people_are_shown_its_name_and_its_unit_once(table, shown):
    assert sensor_text("p-01", parse(table).sensors) == shown


@pytest.mark.parametrize(
    "text, reason",
    [
        ("limits = [0, 16]", "limits are a table like { low = 0, high = 16 }"),
        ("limits = { lo = 0 }", "limits have the ends low and high"),
        ("limits = { low = 5, high = 5 }", "low must lie below high, got 5 and 5"),
        ("limits = { high = nan }", "high must be a number, got nan; leave it out where none is"),
        ("limits = { high = true }", "high must be a number, got True"),
        ("units = 'bar'", "unknown key 'sensors.flow.units' (did you mean 'unit'?)"),
    ],
)
def test_what_is_wrong_with_a_sensor_is_named(text, reason):
    with pytest.raises(BadSettings) as refused:
        parse(f"[sensors.flow]\n{text}")

    assert reason in str(refused.value)


def test_a_key_in_no_table_of_a_sensor_is_refused():
    with pytest.raises(BadSettings, match=r"'unit' stands for no sensor; .* like \[sensors.unit\]"):
        parse('[sensors]\nunit = "bar"')


def test_what_is_no_sensor_is_named_with_the_nearest_name():
    (words,) = unknown_sensors(["Druck [Bar]", "flow"], ["Druck [bar]", "flow"])

    assert words == (
        "[sensors.\"Druck [Bar]\"] names no sensor; there are 2, did you mean 'Druck [bar]'?"
    )
