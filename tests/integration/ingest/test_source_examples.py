"""The examples of `pm-app docs sources`, each run as it stands."""

import importlib.metadata
import re
import sqlite3
import sys
from types import ModuleType

import pytest
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.docs import read_topic


def section(title: str) -> str:
    """A section of the page."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", read_topic("sources"), re.S | re.M)
    assert found, title
    return found[1]


def block(title: str, language: str, number: int = 0) -> str:
    """One of a section's blocks of a language."""
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", section(title), re.S)[number]


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture
def plant(tmp_path):
    """A folder of a plant without settings."""
    for name in ("readings", "events"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_the_example_of_csv_is_read_as_its_page_says(plant):
    file = plant / "readings" / "export.csv"
    file.write_text(block("CSV", "csv"), encoding="cp1252")
    (plant / "plant.toml").write_text(block("CSV", "toml"), encoding="utf-8")

    shown = run("preview", file, "-c", plant / "plant.toml")
    done = run("score", "-c", plant / "plant.toml")

    assert "cp1252, columns parted by semicolons" in shown
    assert re.search(r"Drehzahl +sensor +0 to 1481", shown)
    assert "31.03.2024 02:30:00'; the clocks" in shown or "skipped by the clocks" in shown
    assert "1 batches read (3 readings used, 1 rejected" in done


def test_the_example_of_a_database_is_read_as_its_page_says(plant):
    with sqlite3.connect(plant / "historian.db") as database:
        database.execute("CREATE TABLE samples (machine, at, load, temperature)")
        database.execute("CREATE TABLE stops (id, machine, at, cause)")
        minutes = [("pump", f"2024-03-01 10:{minute:02}:00", 1.5, None) for minute in range(60)]
        database.executemany("INSERT INTO samples VALUES (?, ?, ?, ?)", minutes)
        stops = [(1, "pump", "2024-03-01 11:00:00", "seal"), (2, "pump", "2024-03-02", "planned")]
        database.executemany("INSERT INTO stops VALUES (?, ?, ?, ?)", stops)
    (plant / "plant.toml").write_text(block("Databases", "toml"), encoding="utf-8")

    # Whatever else it finds of the machine.
    checked = CliRunner().invoke(app, ["check", "-c", str(plant / "plant.toml")])
    done = run("score", "-c", plant / "plant.toml")
    again = run("score", "-c", plant / "plant.toml")

    assert not isinstance(checked.exception, Exception), checked
    checked = checked.output
    assert "60 rows, 1 sensor, 1 asset" in " ".join(checked.split())
    assert "'sqlite:///historian.db'" in checked and "pm-app-check-" not in checked
    assert "1 failures in 'sqlite:///historian.db'" in " ".join(checked.split())
    assert "2 batches read (60 readings used, 0 rejected" in done or "61 readings" in done, done
    assert "0 batches read" in again, again
    database.close()


class LoggerPackage(importlib.metadata.Distribution):
    """The package of the example, installed."""

    def read_text(self, filename):
        named = dict(re.findall(r'^(\w+) = "(\w+)"', block("A source of your own", "toml"), re.M))
        lines = [f"{name} = {module}" for name, module in named.items()]
        return {
            "METADATA": "Metadata-Version: 2.1\nName: logger-sources\nVersion: 1.0\n",
            "entry_points.txt": "\n".join(["[pm_app.sources]", *lines]),
        }.get(filename)

    def locate_file(self, path):
        raise FileNotFoundError(path)


class LoggerFinder(importlib.metadata.DistributionFinder):
    """Finds it."""

    def find_spec(self, *_):
        return None

    def find_distributions(self, context=None):
        yield LoggerPackage()


def test_the_example_of_a_package_is_read_as_its_page_says(plant, monkeypatch):
    module = ModuleType("logger_sources")
    exec(
        compile(block("A source of your own", "python"), "logger_sources.py", "exec"), vars(module)
    )
    monkeypatch.setitem(sys.modules, "logger_sources", module)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, LoggerFinder()])
    settings = block("A source of your own", "toml", 1)
    (plant / "plant.toml").write_text(settings, encoding="utf-8")
    for name in ("press-1_20240301T1000", "press-1_20240301T1001", "press-2_20240301T1000"):
        (plant / "readings" / f"{name}.log").write_text("8.5\n")

    done = run("score", "-c", plant / "plant.toml")
    again = run("score", "-c", plant / "plant.toml")

    assert "3 batches read (3 readings used, 0 rejected" in done
    assert "0 batches read" in again
