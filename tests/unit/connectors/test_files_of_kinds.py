"""Events whose files are of one kind each: columns and kinds by the path of a file."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from connectors.events.form import EventsFormat, events_format
from connectors.events.source import FileEvents
from connectors.parquet.events import ParquetEvents
from pm_app.errors import BadBatch
from pm_app.settings.sources import EventsSettings
from pm_app.times import NS, to_nanoseconds

FILES = {
    "failures 2026-01": {"machine": ["p1"], "when": ["2026-01-02T08:00Z"], "part": ["seal"]},
    "errors": {"machine": ["p1"], "raised": ["2026-01-02T07:00Z"], "errorID": ["E7"]},
    "old/maintenance": {"machine": ["p2"], "when": ["2026-01-03T09:00Z"], "Art": ["Wartung"]},
}
KEYS = {
    "asset_column": "machine",
    "time_column": "when",
    "files": {
        "failures*": {"default_kind": "failure", "code_column": "part"},
        "errors.*": {
            "default_kind": "error",
            "code_column": "errorID",
            "time_column": "raised",
        },
        "old/*": {"kind_column": "Art", "kinds": {"Wartung": "maintenance"}},
        "*": {"default_kind": "inspection"},
    },
}


def source_of(folder, ending, form):
    for name, columns in FILES.items():
        path = folder / f"{name}.{ending}"
        path.parent.mkdir(exist_ok=True)
        if ending == "csv":
            pa.csv.write_csv(pa.table(columns), path)
        else:
            pq.write_table(pa.table(columns), path)
    return (ParquetEvents if ending == "parquet" else FileEvents)(str(folder), form)


def rows(source):
    found = {}
    for batch in source.list():
        events, reasons = source.read(batch)
        assert reasons == ()
        row = (events.asset[0], events.kind[0], events.code[0])
        found[batch.name.split(".")[0]] = row
    return found


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_each_file_is_read_by_the_first_table_that_its_path_fits(tmp_path, ending):
    form = events_format(EventsSettings.model_validate(KEYS), texts=True)

    assert rows(source_of(tmp_path, ending, form)) == {
        "errors": ("p1", "error", "E7"),
        "failures 2026-01": ("p1", "failure", "seal"),
        "old/maintenance": ("p2", "maintenance", ""),
    }


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_that_no_table_is_about_is_read_by_the_section_alone(tmp_path, ending):
    tables = {path: each for path, each in KEYS["files"].items() if path != "*"}
    only = EventsSettings.model_validate({**KEYS, "files": {"errors.*": tables["errors.*"]}})
    source = source_of(tmp_path, ending, events_format(only, texts=True))
    refused = {}
    for batch in source.list():
        try:
            source.read(batch)
        except BadBatch as error:
            refused[batch.name.split(".")[0]] = str(error)

    assert set(refused) == {"failures 2026-01", "old/maintenance"}
    assert "needed a column 'kind'" in refused["failures 2026-01"]


def test_the_columns_that_a_file_of_a_kind_has_are_not_told_as_left(tmp_path):
    form = events_format(EventsSettings.model_validate(KEYS))
    source = source_of(tmp_path, "csv", form)

    assert {batch.name: source.describe(batch).left for batch in source.list()} == {
        "errors.csv": (),
        "failures 2026-01.csv": (),
        "old/maintenance.csv": (),
    }


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_lists_of_the_same_bytes_are_two_where_they_are_of_two_kinds(tmp_path, ending):
    columns = {"machine": ["p1"], "when": ["2026-01-02T08:00Z"]}
    for name in ("errors", "failures 1", "failures 2", "old/a"):
        path = tmp_path / f"{name}.{ending}"
        path.parent.mkdir(exist_ok=True)
        if ending == "csv":
            pa.csv.write_csv(pa.table(columns), path)
        else:
            pq.write_table(pa.table(columns), path)
    tables = {path: each for path, each in KEYS["files"].items() if path != "*"}
    tables = {**tables, "errors.*": {"default_kind": "error"}}
    form = events_format(EventsSettings.model_validate({**KEYS, "files": tables}), texts=True)
    source = (ParquetEvents if ending == "parquet" else FileEvents)(str(tmp_path), form)
    digests = {batch.name.split(".")[0]: source.digest(batch) for batch in source.list()}

    assert digests["failures 1"] == digests["failures 2"]
    assert len(set(digests.values())) == 3


def test_paths_may_tell_the_machines_of_some_files_only(tmp_path):
    (tmp_path / "p7 alarms.csv").write_text("timestamp\n2026-01-02T08:00Z\n")
    form = EventsFormat(
        files=(("* alarms.csv", {"asset_from": "{asset} alarms.csv", "default_kind": "error"}),)
    )

    assert rows(FileEvents(str(tmp_path), form)) == {"p7 alarms": ("p7", "error", "")}


STATES = """\
timestamp,status
2026-01-01T00:00Z,BROKEN
2026-01-01T00:01Z,NORMAL
2026-01-01T00:04Z,BROKEN
2026-01-01T00:03Z,BROKEN
2026-01-01T00:05Z,NORMAL
2026-01-01T00:06Z,BROKEN
"""


def test_of_states_that_last_only_what_is_new_happened(tmp_path):
    (tmp_path / "a.csv").write_text(STATES)
    form = EventsFormat(
        kind_column="status",
        kinds=(("BROKEN", "failure"),),
        ignore_rows=("NORMAL",),
        default_asset="press",
        states=True,
    )
    source = FileEvents(str(tmp_path), form)
    events, reasons = source.read(next(source.list()))
    each = replace(form, states=False)
    of_each = FileEvents(str(tmp_path), each)

    start = to_nanoseconds(datetime(2026, 1, 1, tzinfo=UTC))
    assert [(time - start) // (60 * NS) for time in events.time.tolist()] == [3, 6]
    assert Counter(reasons) == {
        "left by events.ignore_rows": 2,
        "goes on with the state of the row before, or begins a file": 2,
    }
    assert len(of_each.read(next(of_each.list()))[0].time) == 4


def test_one_row_a_machine_and_file_tells_what_happened_though_states_are_asked_for(tmp_path):
    (tmp_path / "day.csv").write_text(
        "asset_id,timestamp,failure\np1,2026-01-01,1\np2,2026-01-01,0\n"
    )
    form = EventsFormat(
        kind_column="failure",
        kinds=(("1", "failure"),),
        ignore_rows=("0",),
        timezone="UTC",
        states=True,
    )
    source = FileEvents(str(tmp_path), form)

    assert source.read(next(source.list()))[0].asset.tolist() == ["p1"]
