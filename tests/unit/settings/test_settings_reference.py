"""What the example plant.toml and the reference say, held against the settings themselves."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.daemon.schedule import make_cron
from pm_app.settings.plant import parse_settings
from pm_app.settings.reference import (
    example_toml,
    keys_of,
    named_table,
    reference_markdown,
    settings_sections,
)
from pm_app.settings.sources import EventFileSettings

SECTIONS = settings_sections()
EXAMPLE, REFERENCE = example_toml(), reference_markdown()
KEYS = [(name, key) for name, section in SECTIONS.items() for key in keys_of(section)]
# What an example needs beside it.
TOGETHER = {
    ("target", "column"): {"kind": "column"},
    ("web", "proxy_header"): {"proxy_addresses": ["10.0.0.7"]},
    ("web", "groups_header"): {"proxy_header": "X-User", "proxy_addresses": ["10.0.0.7"]},
    ("web", "certificate"): {"key": "tls/plant.key"},
    ("web", "key"): {"certificate": "tls/plant.crt"},
    ("oidc", "issuer"): {"client": "pm-app"},
}


def parse(tables):
    return parse_settings(tables, folder=Path(), origin="plant.toml")


def test_the_example_is_a_plant_of_defaults_that_can_be_run():
    settings = parse(tomllib.loads(example_toml()))

    make_cron(settings)
    assert settings == parse({})
    assert list(tomllib.loads(example_toml())) == list(SECTIONS)


@pytest.mark.parametrize("section, key", KEYS)
def test_every_key_is_in_the_example_with_a_meaning_and_its_default_or_an_example(section, key):
    field = SECTIONS[section].model_fields[key]
    lines = EXAMPLE.split(f"[{section}]\n")[1].split("\n\n")[0].splitlines()
    given = [line for line in lines if re.match(rf"(# )?{key} = ", line)]

    assert field.description
    assert len(given) == 1
    assert given[0].startswith("#") == (field.default in (None, "", (), {}))
    table = tomllib.loads(given[0].removeprefix("# ")) | TOGETHER.get((section, key), {})
    parse({section: table})


def test_no_line_of_the_example_is_too_long_to_read():
    assert max(map(len, example_toml().splitlines())) <= 100


@given(st.text(min_size=1, max_size=20).filter(str.isprintable))
def test_a_plant_of_any_name_has_an_example(name):
    assert parse(tomllib.loads(example_toml({"plant": {"name": name}}))).plant.name == name


@given(st.text(min_size=1, max_size=20).filter(str.isprintable))
def test_a_table_may_have_any_name(name):
    text = example_toml(named={named_table("events.files", name): {"code_column": name}})
    found = parse(tomllib.loads(text)).events.files

    assert {path: each.code_column for path, each in found.items()} == {name: name}


def test_keys_of_a_table_within_a_section_are_named_in_example_and_reference():
    example = EXAMPLE.split("# [events.files.NAME]\n")[1].split("\n\n")[0].replace("\n# ", " ")
    reference = REFERENCE.split("## [events.files.NAME]\n")[1].split("\n## ")[0]

    assert example == f"# Keys, as in [events]: {', '.join(EventFileSettings.model_fields)}."
    assert all(f"`{key}`" in reference for key in EventFileSettings.model_fields)


@pytest.mark.parametrize("section, key", KEYS)
def test_every_key_has_a_row_of_the_reference_with_what_it_takes(section, key):
    text = REFERENCE.split(f"## [{section}]\n")[1].split("\n## ")[0]
    row = next(line for line in text.splitlines() if line.startswith(f"| `{key}` |"))

    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert len(cells) == 4
    assert all(cells)
