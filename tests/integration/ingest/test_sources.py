"""Sources by name: columns as plant.toml names them, and formats that other packages bring."""

import importlib.metadata
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from factories import NOW, PLANT_TOML, START, events_table, opened, readings_table, said

from pm_app.errors import BadSettings
from pm_app.jobs.score.run import score
from pm_app.records.readings import (
    Batch,
    BatchDescription,
    Readings,
    ReadingsChunk,
    sort_events,
)
from pm_app.settings.plant import read_settings
from pm_app.store import segments_of
from pm_app.times import HOUR_NS
from pm_app.wiring import events_source, readings_source, watch_sources

READINGS = readings_table()
EVENTS = events_table([("pump-00", 5.5, "failure", "seal"), ("pump-01", 9.0, "maintenance", "")])


def renamed(table, **names):
    return table.rename_columns([names.get(name, name) for name in table.column_names])


def long_form(table):
    """The same readings, a row a value."""
    sensors = [name for name in table.column_names if name.startswith("sensor")]
    parts = [
        pa.table(
            {
                "asset_id": table["asset_id"],
                "timestamp": table["timestamp"],
                "tag": pa.array([sensor] * len(table)),
                "value": table[sensor],
                "quality": pa.array([192] * len(table)),
            }
        )
        for sensor in sensors
    ]
    return pa.concat_tables(parts)


def outcome(config):
    """Predictions, and the kinds and codes of events, of a plant that scores what there is."""
    with opened(config) as plant:
        done = score(plant, now=NOW)
        assert done.ingested.quarantined == 0
        events = plant.event_history.read(
            segments_of(plant.store.ledger.ingested_batches("events"))
        )
        kinds = sorted(zip(events.kind, events.code, strict=True))
        return said(plant.store, without=["scored_at"]), kinds


RENAMED_READINGS = {
    "asset_column": ("wide", "asset_id"),
    "time_column": ("wide", "timestamp"),
    "tag_column": ("long", "tag"),
    "value_column": ("long", "value"),
    "quality_column": ("long", "quality"),
}
RENAMED_EVENTS = {
    "asset_column": "asset_id",
    "time_column": "timestamp",
    "kind_column": "kind",
    "code_column": "code",
}


@pytest.mark.parametrize("key", RENAMED_READINGS)
def test_a_column_of_readings_may_be_called_anything(new_plant, pm_app, key):
    layout, usual = RENAMED_READINGS[key]
    table = READINGS if layout == "wide" else long_form(READINGS)
    toml = f'{PLANT_TOML}\n[readings]\nlayout = "{layout}"\n'
    expected = outcome(new_plant({"a.parquet": table}, toml=toml))
    config = new_plant(
        {"a.parquet": renamed(table, **{usual: "Größe 7"})}, toml=f'{toml}{key} = "Größe 7"\n'
    )

    _, found, _ = pm_app("check", "-c", config)

    assert "quarantined" not in found
    assert f"{len(READINGS)} rows" in found or layout == "long"
    assert outcome(config) == expected
    assert expected[0]


@pytest.mark.parametrize("key", RENAMED_EVENTS)
def test_a_column_of_events_may_be_called_anything(new_plant, pm_app, key):
    files = {"a.parquet": READINGS}
    expected = outcome(new_plant(files, events={"e.parquet": EVENTS}))
    table = renamed(EVENTS, **{RENAMED_EVENTS[key]: "Größe 7"})
    toml = f'{PLANT_TOML}\n[events]\n{key} = "Größe 7"\n'
    config = new_plant(files, events={"e.parquet": table}, toml=toml)

    _, found, _ = pm_app("check", "-c", config)

    assert "1 failures in 'events'" in found and "refused" not in found
    assert outcome(config) == expected
    assert ("failure", "seal") in expected[1]


def test_a_quality_that_is_called_otherwise_still_decides(new_plant):
    table = renamed(long_form(READINGS), quality="Güte")
    bad = table.set_column(4, "Güte", pa.array([0] * len(table)))
    toml = f'{PLANT_TOML}\n[readings]\nlayout = "long"\nquality_column = "Güte"\n'
    config = new_plant({"a.parquet": bad}, toml=toml)

    with opened(config) as plant:
        assert score(plant, now=NOW).ingested.quarantined == 1


def test_files_without_an_asset_column_are_about_the_asset_that_is_named(new_plant):
    one = READINGS.filter(pa.compute.equal(READINGS["asset_id"], "pump-00"))
    event = EVENTS.slice(0, 1)
    expected = outcome(new_plant({"a.parquet": one}, events={"e.parquet": event}))
    toml = f'{PLANT_TOML}\n[readings]\nasset = "pump-00"\n[events]\nasset = "pump-00"\n'
    config = new_plant(
        {"a.parquet": one.drop_columns(["asset_id"])},
        events={"e.parquet": event.drop_columns(["asset_id"])},
        toml=toml,
    )

    assert outcome(config) == expected


def test_another_name_of_a_column_gives_quarantined_files_another_chance(new_plant):
    config = new_plant({"a.parquet": renamed(READINGS, asset_id="Maschine")})
    with opened(config) as plant:
        assert score(plant, now=NOW).ingested.quarantined == 1

    config.write_text(f'{PLANT_TOML}\n[readings]\nasset_column = "Maschine"\n', encoding="utf-8")

    with opened(config) as plant:
        assert score(plant, now=NOW).ingested.rows == len(READINGS)


class MemoryReadings:
    """One batch of readings that is nowhere but here."""

    suffixes = (".memory",)
    contents = "batches"
    watched_folder = None

    def __init__(self, sensors):
        self.sensors = sensors

    def list(self):
        yield Batch("one.memory", 1, 1)

    def left_files(self):
        return iter(())

    def digest(self, batch):
        return "1" * 64

    def count(self, batch):
        return 48

    def describe(self, batch):
        return BatchDescription(48, tuple((name, "double") for name in self.sensors))

    def read(self, batch):
        time = START + np.arange(48, dtype=np.int64) * HOUR_NS // 2
        values = np.random.default_rng(0).normal(50, 10, (len(self.sensors), 48))
        asset = np.zeros(48, dtype=np.int32)
        yield ReadingsChunk(Readings(("pump-00",), asset, time, self.sensors, values), ())


class MemoryEvents(MemoryReadings):
    def read(self, batch):
        one = np.array(["pump-00"], dtype=object)
        kind, code = np.array(["failure"], dtype=object), np.array(["seal"], dtype=object)
        return sort_events(one, np.array([START + HOUR_NS]), kind, code), ()


def open_readings(settings, *, uri, label_column):
    assert settings.format == "memory" and label_column is None
    return MemoryReadings(("sensor-0", "sensor-1", "sensor-2"))


def open_events(settings, *, uri):
    return MemoryEvents(())


class Package(importlib.metadata.Distribution):
    """An installed package of sources; these are its entry points."""

    def read_text(self, filename):
        return {
            "METADATA": "Metadata-Version: 2.1\nName: plant-sources\nVersion: 1.0\n",
            "entry_points.txt": (
                "[pm_app.sources]\nmemory = plant_sources\n"
                "broken = plant_sources_broken\nhalf = plant_sources:MemoryReadings\n"
            ),
        }.get(filename)

    def locate_file(self, path):
        raise FileNotFoundError(path)


class PackageFinder(importlib.metadata.DistributionFinder):
    def find_spec(self, *_):
        return None

    def find_distributions(self, context=None):
        yield Package()


@pytest.fixture
def package(monkeypatch):
    """plant-sources is installed."""
    module = SimpleNamespace(
        open_readings=open_readings, open_events=open_events, MemoryReadings=MemoryReadings
    )
    monkeypatch.setitem(sys.modules, "plant_sources", module)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, PackageFinder()])


def with_format(name):
    return f'{PLANT_TOML}\n[readings]\nformat = "{name}"\n[events]\nformat = "{name}"\n'


def test_a_plant_takes_in_and_scores_what_a_package_of_sources_brings(package, new_plant, pm_app):
    config = new_plant(toml=with_format("memory"))

    predictions, events = outcome(config)
    _, found, _ = pm_app("check", "-c", config)

    assert len(predictions) == 2 * 24
    assert events == [("failure", "seal")]
    assert "one.memory: 48 rows, 3 sensors, 1 asset" in " ".join(found.split())
    with watch_sources(read_settings(config), lambda: None) as watching:
        assert not watching


@pytest.mark.parametrize("source", [readings_source, events_source])
def test_a_format_that_nobody_brings_names_those_there_are(package, new_plant, source):
    ours = r"'csv', 'delta', 'excel', 'half', 'memory', 'parquet', 'sql'"
    choices = rf"\['auto', 'broken', {ours}\]"
    settings = read_settings(new_plant(toml=with_format("parket"), champion=None))

    with pytest.raises(BadSettings, match=f"must be one of {choices}, got 'parket'"):
        source(settings)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "package plant-sources cannot be imported: ModuleNotFoundError"),
        ("half", "package plant-sources needed a function open_readings"),
    ],
)
def test_a_package_that_does_not_work_is_named(package, new_plant, pm_app, name, reason):
    config = new_plant(toml=with_format(name), champion=None)
    with pytest.raises(BadSettings, match=reason):
        readings_source(read_settings(config))

    code, found, _ = pm_app("check", "-c", config)
    assert code == 1 and reason.split(":")[0] in found.replace("\n", " ")
