"""Columns that nothing uses: named once in the log, in the ledger, and on the Data page."""

import json
import logging
import re
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from browsing import Table, ask, open_to_all, resources
from factories import (
    NOW,
    PLANT_TOML,
    FakeTrainer,
    drop,
    events_table,
    hour,
    make_plant,
    make_spec,
    opened,
    readings_table,
    said,
)
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.jobs.retrain.run import RetrainingOptions, retrain
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import segments_of
from pm_app.times import to_nanoseconds
from pm_app.web.app import make_app

COUNTER = "__index_level_0__"


def with_columns(table: pa.Table, **columns: object) -> pa.Table:
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def messy(first_hour: int = 0, status: str = "run") -> pa.Table:
    """Readings beside which a program wrote what it had at hand."""
    table = readings_table(hours=6, first_hour=first_hour, missing=0.0, seed=first_hour)
    rows = len(table)
    flow = [f"{8 + number % 3},{number % 100:02d}" for number in range(rows)]
    took = pa.array([5] * rows, pa.duration("s"))
    return with_columns(
        table, Durchfluss=flow, Status=[status] * rows, took=took, **{COUNTER: range(rows)}
    )


@pytest.fixture
def config(tmp_path):
    events = events_table([("pump-00", 3.0, "failure", "seal")])
    return make_plant(
        tmp_path,
        {"a.parquet": messy(), "b.parquet": messy(6, status="stop")},
        events={"a.parquet": with_columns(events, order=[4711])},
    )


def told(caplog) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    return [text for text in found if "is left out" in text]


def test_a_column_is_named_once_in_the_log_however_many_files_have_it(config, caplog):
    caplog.set_level(logging.INFO)
    with opened(config) as plant:
        ingest(plant, now=NOW)
    with opened(config) as plant:
        drop(config, "c.parquet", messy(12))
        ingest(plant, now=NOW)
        (row,) = plant.store.ledger.batches(limit=1)

    a = "a.parquet: column"
    assert sorted(told(caplog)) == [
        f"{a} 'Status' of readings is left out: it holds 'run' in row 1, which is no number",
        f"{a} '{COUNTER}' of readings is left out: it numbers the rows (an index of pandas) and "
        "measures nothing; if it does, name it in readings.sensors",
        f"{a} 'order' of events is left out: it is none of the columns that events are read from",
        f"{a} 'took' of readings is left out: it is duration[s]; a sensor of durations is written "
        "as numbers, such as seconds",
    ]
    assert row.name == "c.parquet"
    assert set(row.left_columns) == {"Status", "took", COUNTER}


def test_numbers_in_text_become_panes_of_a_sensor(config):
    with opened(config) as plant:
        ingest(plant, now=NOW)
        rows = plant.store.ledger.ingested_batches("readings")
        names = {name for each in segments_of(rows) for name in plant.history.sensors(each)}

    assert names == {"sensor-0", "sensor-1", "sensor-2", "Durchfluss"}


def test_the_ledger_counts_the_files_of_each_column_and_cause(config):
    with opened(config) as plant:
        ingest(plant, now=NOW)
        drop(config, "c.parquet", messy(0).slice(0, 9))
        drop(config, "copy of a.parquet", messy())
        ingest(plant, now=NOW)
        rows = plant.store.left_columns.rows()

    assert [(row.source, row.name, row.cause, row.since, row.last, row.files) for row in rows] == [
        ("readings", "Status", "text", "a.parquet", "c.parquet", 3),
        ("readings", COUNTER, "index", "a.parquet", "c.parquet", 3),
        ("readings", "took", "kind", "a.parquet", "c.parquet", 3),
        ("events", "order", "unused", "a.parquet", "a.parquet", 1),
    ]


def test_what_is_ignored_is_named_nowhere(config, caplog):
    config.write_text(
        PLANT_TOML
        + f'\n[readings]\nignore = ["Status", "to?k", "{COUNTER}", "nowhere"]\n'
        + '\n[events]\nignore = ["or*"]\n'
    )
    with opened(config) as plant:
        ingest(plant, now=NOW)
        rows = plant.store.left_columns.rows()
        named = [row.left_columns for row in plant.store.ledger.batches()]

    assert (rows, named, told(caplog)) == ([], [(), (), ()], [])


def page_rows(config) -> list[list[str]]:
    settings = read_settings(config)
    pages = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)
    (table,) = re.findall(
        r'<table class="plain left">(.*?)</table>', ask(pages, "/data").text, re.S
    )
    return Table(table).rows[1:]


def test_the_data_page_lists_columns_with_reason_and_files(config):
    with opened(config) as plant:
        score(plant, now=NOW)
    page = page_rows(config)

    assert [(row[0], row[1], row[-1]) for row in page] == [
        ("Status", "readings", "2"),
        (COUNTER, "readings", "2"),
        ("took", "readings", "2"),
        ("order", "events", "1"),
    ]
    assert page[0][2:5] == ["holds 'run' in row 1, which is no number", "a.parquet", "b.parquet"]


def test_the_data_page_hides_what_is_ignored_by_now(config):
    with opened(config) as plant:
        score(plant, now=NOW)
    config.write_text(PLANT_TOML + '\n[readings]\nignore = ["Status"]\n')

    assert "Status" not in [row[0] for row in page_rows(config)]


def test_the_command_of_files_names_what_is_left(config):
    with opened(config) as plant:
        ingest(plant, now=NOW)
    done = CliRunner().invoke(app, ["batches", "--json", "-c", str(config)])

    named = {(row["name"], row["source"]): row["left_columns"] for row in json.loads(done.stdout)}
    assert named["a.parquet", "events"] == "order"
    assert named["b.parquet", "readings"] == f"took, {COUNTER}, Status"


# A plant of before, that has learned from the counter.


def counted(first_hour: int) -> pa.Table:
    """Readings with a counter that pandas wrote, and another index it names in the metadata."""
    table = readings_table(hours=30, first_hour=first_hour, missing=0.0, seed=first_hour)
    frame = table.to_pandas()
    line = pd.Index(range(len(frame)), name="line")
    frame = frame.set_index([line, pd.Index(range(7, len(frame) + 7))])
    return pa.Table.from_pandas(frame, preserve_index=True)


LEARNED = frozenset({COUNTER, "__index_level_1__", "line"})


@pytest.fixture
def of_before(tmp_path):
    """A plant whose champion has learned from two indices, as programs of before did."""
    config = make_plant(tmp_path, {"a.parquet": counted(0)})
    with opened(config) as plant:
        plant.readings.keep(LEARNED)
        ingest(plant, now=hour(30))
        spec = make_spec(plant.settings)
        spec = replace(spec, sensors=("__index_level_1__", "line", *spec.sensors[:1]))
        retrain(plant, now=hour(30), trainer=FakeTrainer("first", spec=spec))
        score(plant, now=hour(31))
    return config


def statuses(plant, since):
    return {row["status"] for row in said(plant.store) if row["cutoff"] > since}


def test_a_champion_that_learned_from_an_index_goes_on_to_score(of_before):
    drop(of_before, "b.parquet", counted(30))
    with opened(of_before) as plant:
        score(plant, now=hour(61))
        done = replay(plant, first=hour(0), last=hour(62))

        assert statuses(plant, hour(40)) == {"scored"}
        assert (done.rows > 100, done.differing) == (True, 0)
        newest = plant.store.ledger.newest_batch("readings")
        (panes,) = plant.history.read(newest.segments)
        assert {"line", "__index_level_1__"} <= set(
            merge_panes([panes], pane_ns=panes.pane_ns).sensors
        )


def test_it_is_told_and_learns_without_at_the_next_retraining(of_before, caplog):
    drop(of_before, "b.parquet", counted(30))
    trainer = FakeTrainer("keep", made=False)
    with opened(of_before) as plant:
        score(plant, now=hour(61))
        retrain(plant, now=hour(62), trainer=trainer, options=RetrainingOptions())
        (request,) = trainer.orders
        source = DatasetSource(
            plant.history,
            request.segments,
            plant.event_history.read(request.event_segments),
            first_seen_ns(plant.ledger),
            indices=request.indices,
        )
        dataset = gather_dataset(source, plant.settings, as_of_ns=to_nanoseconds(hour(62)))

    assert dataset.spec.sensors == ("sensor-0", "sensor-1", "sensor-2")
    reasons = {row[0]: row[2] for row in page_rows(of_before)}
    assert reasons["line"].endswith("read for versions that learned from it, and no later one will")
    assert set(reasons) == {"line", "__index_level_1__"}


def test_a_new_plant_takes_no_index_in(tmp_path):
    config = make_plant(tmp_path, {"a.parquet": counted(0)})
    with opened(config) as plant:
        ingest(plant, now=NOW)
        (row,) = plant.store.ledger.batches()

        assert plant.history.sensors(row.segments[0]) == ("sensor-0", "sensor-1", "sensor-2")
