"""What every source of batches must do, run over all of them; every connector is listed."""

import gzip
import hashlib
import io
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import fs

import connectors
from connectors.csv import CsvReadings
from connectors.events.form import EventsFormat
from connectors.events.source import FileEvents
from connectors.files.folder import Folder
from connectors.parquet import ParquetEvents, ParquetReadings, ReadingsFormat
from pm_app.errors import BadBatch, SourceUnavailable
from pm_app.records.readings import Batch

Source = ParquetReadings | ParquetEvents | FileEvents | CsvReadings

CSV_FORMAT = EventsFormat()
LONG = ReadingsFormat(layout="long", dates="auto")


SOURCES: dict[str, Callable[[str], Source]] = {
    "parquet readings, wide": ParquetReadings,
    "parquet readings, long": lambda uri: ParquetReadings(uri, ReadingsFormat(layout="long")),
    "parquet events": ParquetEvents,
    "csv readings, wide": CsvReadings,
    "csv readings, long": lambda uri: CsvReadings(uri, LONG),
    "excel readings": lambda uri: CsvReadings(uri, kind="excel"),
    "events of CSV": lambda uri: FileEvents(uri, CSV_FORMAT, kind="csv"),
    "events of Excel": lambda uri: FileEvents(uri, CSV_FORMAT, kind="excel"),
}
# Connectors that are no source of batches; each has tests of its own.
OTHERS = {
    "auto": "tests/unit/connectors/test_csv_readings.py",
    "columns": "tests/unit/connectors/test_parquet_columns.py",
    "formats": "tests/integration/ingest/test_sources.py",
    "files": "tests/unit/connectors/test_files_watching.py",
    "cmapss": "tests/unit/connectors/test_cmapss.py",
    "proposal": "tests/integration/cli/test_init.py",
    "engines": "tests/integration/score/test_backfill_workers_agree.py",
    "lake": "tests/integration/operations/test_lake.py",
    "mqtt": "tests/unit/connectors/test_mqtt_payloads.py",
    "opcua": "tests/integration/record/test_opcua_recorder.py",
    "delta": "tests/contracts/test_delta_source.py",
    "sql": "tests/contracts/test_sql_sources.py",
    "notifications": "tests/integration/operations/test_notifications.py",
}

every_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())


def test_every_connector_is_listed_here() -> None:
    listed = {name.split()[0] for name in SOURCES} | set(OTHERS)

    assert {module.name for module in pkgutil.iter_modules(connectors.__path__)} == listed


def deliver(folder: Path, name: str, rows: int = 20) -> bytes:
    """A file that every source can read."""
    times = pa.array(np.arange(rows) * 10**9).cast(pa.timestamp("ns", "UTC"))
    columns = {
        "asset_id": ["p"] * rows,
        "timestamp": times,
        "tag": ["x"] * rows,
        "value": np.arange(rows) / 2,
        "kind": ["failure"] * rows,
    }
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.table(columns), path)
    return path.read_bytes()


def write_table(table: pa.Table, path: Path) -> None:
    """A table by the ending of its file."""
    names = [*path.suffixes, ".old"]
    if {".xlsx", ".xlsm"}.intersection(names):
        book = pytest.importorskip("openpyxl").Workbook()
        book.active.append(table.column_names)
        for row in table.to_pylist():
            book.active.append([str(value) for value in row.values()])
        packed = io.BytesIO()
        book.save(packed)
        path.write_bytes(packed.getvalue())
    elif {".csv", ".tsv", ".txt"}.intersection(names):
        times = table.column("timestamp").to_pylist()
        table = table.set_column(1, "timestamp", pa.array([time.isoformat() for time in times]))
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(table, sink)
        content = sink.getvalue().to_pybytes()
        path.write_bytes(gzip.compress(content) if ".gz" in names else content)
    else:
        pq.write_table(table, path)


def named(make: Callable[[str], Source], name: str) -> str:
    """The name with the ending of this source's files."""
    return name.replace(".parquet", make("/nowhere").suffixes[0])


def drain(source: Source, batch: Batch) -> int:
    """Rows used."""
    if isinstance(source, ParquetEvents | FileEvents):
        return len(source.read(batch)[0].time)
    return sum(len(chunk.readings.time) for chunk in source.read(batch))


@every_source
@pytest.mark.parametrize("on_a_disk", [True, False])
def test_batches_come_from_all_folders_each_once(
    tmp_path: Path, make: Callable[[str], Source], on_a_disk: bool
) -> None:
    names = ["b.parquet", "a/z.parquet", "a.parquet", "2024/06/x.parquet", "Z.parquet"]
    names = [named(make, name) for name in names]
    for name in names:
        deliver(tmp_path, name)

    (tmp_path / named(make, "folder.parquet")).mkdir()
    (tmp_path / named(make, "link.parquet")).symlink_to(tmp_path / named(make, "b.parquet"))
    (tmp_path / named(make, "dangling.parquet")).symlink_to(tmp_path / "nowhere")
    source = make(str(tmp_path))
    if not on_a_disk:
        source._folder = Folder(fs.PyFileSystem(FailingStorage(1)), str(tmp_path), source.suffixes)

    listed = list(source.list())

    assert sorted(batch.name for batch in listed) == sorted([*names, named(make, "link.parquet")])
    for batch in listed:
        about = (tmp_path / batch.name).stat()
        assert (batch.size_bytes, batch.modified_ns) == (about.st_size, about.st_mtime_ns)


@every_source
@pytest.mark.parametrize(
    "name",
    [
        ".a.parquet",
        "_a.parquet",
        "_temporary/a.parquet",
        ".hidden/b/a.parquet",
        "a.parquet.tmp",
        "a.parquet.part",
        "a.tmp.parquet",
        "a.log",
    ],
)
def test_hidden_and_unfinished_files_are_passed_over(
    tmp_path: Path, make: Callable[[str], Source], name: str
) -> None:
    deliver(tmp_path, named(make, "whole.parquet"))
    deliver(tmp_path, named(make, name))

    assert [batch.name for batch in make(str(tmp_path)).list()] == [named(make, "whole.parquet")]


@every_source
def test_names_of_batches_end_as_the_source_says(
    tmp_path: Path, make: Callable[[str], Source]
) -> None:
    source = make(str(tmp_path))
    for suffix in source.suffixes:
        deliver(tmp_path, f"a{suffix}")
        deliver(tmp_path, f"a{suffix}.old")

    assert sorted(batch.name for batch in source.list()) == sorted(
        f"a{suffix}" for suffix in source.suffixes
    )
    assert source.contents


@every_source
def test_a_local_folder_is_watched_and_a_bucket_is_not(
    tmp_path: Path, make: Callable[[str], Source]
) -> None:
    assert make(str(tmp_path)).watched_folder == str(tmp_path)
    assert make(tmp_path.as_uri()).watched_folder == str(tmp_path)
    assert make("s3://plant/readings?region=eu-central-1").watched_folder is None


@every_source
def test_a_batch_describes_its_rows_and_columns_without_being_read(
    tmp_path: Path, make: Callable[[str], Source]
) -> None:
    deliver(tmp_path, named(make, "a.parquet"), rows=7)
    (tmp_path / named(make, "b.parquet")).write_bytes(b"not Parquet")
    source = make(str(tmp_path))
    whole, broken = sorted(source.list(), key=lambda batch: batch.name)

    description = source.describe(whole)

    assert description.rows == 7
    assert [name for name, _ in description.columns] == [
        *("asset_id", "timestamp", "tag", "value", "kind"),
    ]
    with pytest.raises(BadBatch, match=named(make, "b.parquet")):
        source.describe(broken)


@every_source
def test_a_batch_carries_size_and_time_stamp_without_being_opened(
    tmp_path: Path, make: Callable[[str], Source]
) -> None:
    (tmp_path / named(make, "a.parquet")).write_bytes(b"not Parquet")
    os.utime(tmp_path / named(make, "a.parquet"), ns=(5, 1_700_000_000_000_000_123))

    assert list(make(str(tmp_path)).list()) == [
        Batch(named(make, "a.parquet"), 11, 1_700_000_000_000_000_123)
    ]


@every_source
def test_the_digest_is_that_of_the_content_whatever_the_name(
    tmp_path: Path, make: Callable[[str], Source]
) -> None:
    content = deliver(tmp_path, named(make, "a.parquet"))
    (tmp_path / "b").mkdir()
    (tmp_path / named(make, "b/c.parquet")).write_bytes(content)
    source = make(str(tmp_path))

    assert {source.digest(b) for b in source.list()} == {hashlib.sha256(content).hexdigest()}


@every_source
def test_all_rows_of_a_good_file_are_used(tmp_path: Path, make: Callable[[str], Source]) -> None:
    deliver(tmp_path, named(make, "a.parquet"), rows=33)
    source = make(str(tmp_path))

    assert drain(source, next(source.list())) == 33


@every_source
def test_a_damaged_file_is_a_bad_batch_that_names_it(
    tmp_path: Path, make: Callable[[str], Source]
) -> None:
    name = named(make, "a.parquet")
    content = deliver(tmp_path, name)
    # A CSV file without its end is still one: its last row is refused.
    (tmp_path / name).write_bytes(b"\0" * 40 if name == "a.csv" else content[:-40])
    source = make(str(tmp_path))

    with pytest.raises(BadBatch, match=named(make, "a.parquet")):
        drain(source, next(source.list()))


class FailingStorage(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow ships no types
    """A local folder whose files answer `healthy` calls and then fail, as a network does."""

    def __init__(self, healthy: int) -> None:
        self.healthy = healthy
        self.local = fs.LocalFileSystem()

    def _file(self, path: str) -> Any:
        storage = self

        class Stream:
            def __init__(self) -> None:
                self.file = storage.local.open_input_file(path)
                self.closed = False

            def read(self, size: int = -1) -> bytes:
                storage.healthy -= 1
                if storage.healthy < 0:
                    raise OSError("AWS Error NETWORK_CONNECTION: connection reset")
                return bytes(self.file.read(None if size < 0 else size))

            def seek(self, offset: int, whence: int = 0) -> int:
                return int(self.file.seek(offset, whence))

            def tell(self) -> int:
                return int(self.file.tell())

            def close(self) -> None:
                self.closed = True
                self.file.close()

            def readable(self) -> bool:
                return True

            def seekable(self) -> bool:
                return True

            def writable(self) -> bool:
                return False

            def flush(self) -> None:
                pass

        return pa.PythonFile(Stream(), mode="r")

    def open_input_file(self, path: str) -> Any:
        return self._file(path)

    def open_input_stream(self, path: str) -> Any:
        return self._file(path)

    def get_file_info(self, paths: list[str]) -> Any:
        return self.local.get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self.local.get_file_info(selector)

    def get_type_name(self) -> str:
        return "failing"

    def _refuse(self, *_: object) -> None:
        raise NotImplementedError

    normalize_path = create_dir = delete_dir = delete_dir_contents = _refuse
    delete_root_dir_contents = delete_file = move = copy_file = _refuse
    open_output_stream = open_append_stream = _refuse


@every_source
@pytest.mark.parametrize("healthy", range(2))
def test_storage_that_fails_while_reading_is_unavailable_and_the_batch_not_bad(
    tmp_path: Path, make: Callable[[str], Source], healthy: int
) -> None:
    source = make(str(tmp_path))
    # Too large to come along with its footer; texts are read in smaller pieces.
    rows = 50_000 if ".parquet" in source.suffixes else 5_000
    deliver(tmp_path, named(make, "a.parquet"), rows=rows)
    batch = next(source.list())
    storage = FailingStorage(healthy)
    source._folder = Folder(fs.PyFileSystem(storage), str(tmp_path), source.suffixes)

    with pytest.raises(SourceUnavailable, match=r"a\.[a-z]+: cannot be .*connection reset"):
        drain(source, batch)

    storage.healthy = 10**6
    assert drain(source, batch) == rows
