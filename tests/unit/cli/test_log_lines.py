"""Log lines: as text or JSON, of a level, without secrets."""

import json
import logging
import sys

import pytest

from pm_app.cli.output import JsonLines, start_log
from pm_app.errors import StoreUnavailable
from pm_app.settings.plant import parse_settings
from pm_app.store import open_store
from pm_app.wording import nothing_happened


def record(message: str, *values: object, error: bool = False) -> logging.LogRecord:
    trace = sys.exc_info() if error else None
    return logging.LogRecord("pm_app.x", logging.WARNING, "x.py", 1, message, values, trace)


def test_a_json_line_is_one_object_whatever_a_message_holds():
    line = JsonLines().format(record('a "name"\nof %s', "pümp"))

    assert "\n" not in line
    found = json.loads(line)
    assert found | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "pm_app.x",
        "message": 'a "name"\nof pümp',
    }
    assert found["time"].endswith("+00:00")


def test_an_error_is_a_field_of_its_line():
    try:
        raise ValueError("odd")
    except ValueError:
        found = json.loads(JsonLines().format(record("failed", error=True)))

    assert found["error"].startswith("Traceback") and "ValueError: odd" in found["error"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_setting_chooses_form_and_level(form, tmp_path, monkeypatch, capsys):
    tables = {"log": {"format": form, "level": "warning"}}
    settings = parse_settings(tables, folder=tmp_path, origin="plant.toml")
    root = logging.Logger("root", logging.NOTSET)
    monkeypatch.setattr(logging, "root", root)

    start_log(settings.log)
    root.info("nothing new")
    root.warning("waits")

    (line,) = capsys.readouterr().err.splitlines()
    assert line == "WARNING root waits" if form == "text" else json.loads(line)["level"]


def test_a_store_that_cannot_be_reached_is_told_without_its_password():
    address = "postgresql+psycopg://ann:geheim%21@127.0.0.1:1/pm"

    with pytest.raises(StoreUnavailable) as raised:
        open_store(address)
    try:
        raise raised.value
    except StoreUnavailable as error:
        line = JsonLines().format(record("waiting: %s", error, error=True))

    assert "127.0.0.1" in line and "geheim" not in line


@pytest.mark.parametrize(
    ("words", "nothing"),
    [
        ("0 batches read, 0 quarantined, 0 rows rejected; 0 predictions new, 0 revised", True),
        ("10 batches read, 0 quarantined, 0 rows rejected; 0 predictions new, 0 revised", False),
        ("0 batches read, 1 still being written; 0 predictions new", False),
        ("readings, events", False),
        ("keep: the ranking is as it was", False),
    ],
)
def test_a_look_that_found_nothing_is_no_line(words, nothing):
    assert nothing_happened(words) is nothing
