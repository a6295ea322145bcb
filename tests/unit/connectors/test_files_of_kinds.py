"""Events whose files are of one kind each: columns and kinds by the path of a file."""

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from connectors.events.form import EventsFormat, events_format
from connectors.events.source import FileEvents
from connectors.parquet.events import ParquetEvents
from pm_app.errors import BadBatch
from pm_app.settings.sources import EventsSettings

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


def test_paths_may_tell_the_machines_of_some_files_only(tmp_path):
    (tmp_path / "p7 alarms.csv").write_text("timestamp\n2026-01-02T08:00Z\n")
    form = EventsFormat(
        files=(("* alarms.csv", {"asset_from": "{asset} alarms.csv", "default_kind": "error"}),)
    )

    assert rows(FileEvents(str(tmp_path), form)) == {"p7 alarms": ("p7", "error", "")}
