"""`pm-app preview`, and `check`, on the example of the documentation."""

import json
import re
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.docs import read_topic

CSV, TOML = (
    re.search(rf"```{kind}\n(.*?)```", read_topic("work-orders"), re.S) for kind in ("csv", "toml")
)


@pytest.fixture
def plant(tmp_path):
    """A plant with the settings and the export of the example."""
    assert CSV and TOML
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "orders.csv").write_text(CSV[1], encoding="cp1252")
    (tmp_path / "plant.toml").write_text(TOML[1], encoding="utf-8")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def preview(plant, *options):
    return run("preview", plant / "events" / "orders.csv", "-c", plant / "plant.toml", *options)


def test_every_row_of_the_example_becomes_what_its_page_says(plant):
    rows = json.loads(preview(plant, "--json").stdout)["rows"]

    became = [
        (row["order"][-1], row["asset"], row["kind"], row["code"]) for row in rows if row["kind"]
    ]
    assert became == [
        ("2", "pump-01", "maintenance", "bearing replaced"),
        ("3", "pump-02", "failure", "seal"),
        ("4", "pump-02", "maintenance", "lubrication"),
        ("1", "pump-02", "failure", "bearing"),
    ]
    assert [(row["since"], row["until"]) for row in rows if row["kind"]] == [
        ("2024-02-04 00:00", "2024-02-05 00:00"),
        ("2024-10-27 02:30", "2024-10-27 02:30"),
        ("2024-02-05 00:00", "2024-02-06 00:00"),
        ("2024-02-03 14:05", "2024-02-03 14:05"),
    ]
    left = {row["row"]: row["left over"] for row in rows if row["left over"]}
    assert left == {
        1: "replaced by a newer row of the same order",
        5: "Kurztext 'Schild erneuert' matches no pattern of events.codes",
        6: "Kurztext 'Schild gereinigt' matches no pattern of events.codes",
        7: "Datum is '31.03.2024 02:30'; the clocks of Europe/Berlin skip that time",
        9: "left by events.ignore_rows",
    }


def test_what_is_left_over_is_counted_and_patterns_are_suggested(plant):
    found = preview(plant)

    assert found.exit_code == 0
    assert "9 rows, 4 events (failure 2, maintenance 2), 5 left over" in found.stdout
    assert re.search(r"events\.codes +schild\* +2 +Schild erneuert; Schild gereinigt", found.stdout)
    rows = preview(plant, "--rows").stdout
    assert "left over" in rows and "such as" not in rows


def test_a_file_that_is_not_there_or_lacks_a_column_is_named(plant):
    missing = run("preview", plant / "no.csv", "-c", plant / "plant.toml")
    (plant / "plant.toml").write_text('[events]\nasset_column = "Wo"\n')
    lacking = preview(plant)

    assert "needed a file, got none" in str(missing.exception)
    words = str(lacking.exception)
    assert "needed columns 'Wo', 'timestamp' and 'kind', got columns ['Auftrag', 'Equip" in words
    assert (
        'plant.toml names them: events.asset_column = "Equipment", events.time_column = "Datum", '
        'events.kind_column = "Art"?; where all are failures, default_kind = "failure"'
    ) in words


def test_check_names_the_texts_that_no_pattern_knows(plant):
    found = run("check", "--json", "-c", plant / "plant.toml")

    words = [row["finding"] for row in json.loads(found.stdout) if row["what"] == "events"]
    assert any(
        "2 rows that no pattern knows (pm-app preview shows them): 1: Kurztext 'Schild" in each
        for each in words
    ), words
    assert any(
        "2 failures in 'events', 10 needed to learn; 4 rows would be refused: " in each
        for each in words
    )


def test_the_ledger_says_why_rows_were_left(plant):
    from pm_app.jobs.ingest.run import ingest
    from pm_app.settings.plant import read_settings
    from pm_app.wiring import open_plant

    (plant / "readings").mkdir()
    with open_plant(read_settings(plant / "plant.toml")) as opened:
        ingest(opened, now=datetime(2024, 11, 1, tzinfo=UTC))
        (row,) = opened.store.ledger.ingested_batches("events")

    assert (row.rows, row.rejected) == (4, 5)
    assert "1 rows: Kurztext 'Schild erneuert' matches no pattern" in row.reason


def test_without_settings_here_the_plant_around_the_file_says_how_it_is_read(plant, monkeypatch):
    monkeypatch.chdir(plant.parent)

    found = run("preview", plant / "events" / "orders.csv")

    assert "9 rows, 4 events" in found.stdout


def test_times_that_need_a_zone_are_one_line_whatever_they_are(plant):
    settings = plant / "plant.toml"
    lines = settings.read_text(encoding="utf-8").replace('timezone = "Europe/Berlin"', "")
    settings.write_text(lines, encoding="utf-8")

    left = json.loads(preview(plant, "--json").stdout)["left_over"]

    needed = 'needed events.timezone, where their clock stood: "Europe/Berlin", "UTC" or the like'
    assert [row["why"] for row in left if "timezone" in row["why"]] == [
        f"Datum is '03.02.2024 14:05'; {needed}",
        f"Geändert am is '09.02.2024 08:00'; {needed}",
    ]


def test_a_file_below_the_source_is_of_the_machine_that_its_path_names(tmp_path):
    (tmp_path / "readings" / "press 1").mkdir(parents=True)
    file = tmp_path / "readings" / "press 1" / "2026.csv"
    file.write_text("timestamp,load\n2026-01-01T00:00Z,1\n2026-01-01T01:00Z,2\n", encoding="utf-8")
    config = tmp_path / "plant.toml"
    config.write_text('[readings]\nasset_from = "{asset}/*"\n', encoding="utf-8")

    inside = run("preview", file, "-c", config)
    outside = tmp_path / "2026.csv"
    file.rename(outside)
    refused = run("preview", outside, "--readings", "-c", config)

    assert inside.exit_code == 0 and "press 1/2026.csv" in inside.stdout
    assert inside.stdout.count("press 1 ") >= 2
    assert str(refused.exception).endswith(
        'nor does its path fit readings.asset_from = "{asset}/*"'
    )
