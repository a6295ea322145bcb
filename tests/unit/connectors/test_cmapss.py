"""C-MAPSS engines laid out as a plant."""

import gzip
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from factories import by_name

from connectors.cmapss import LIFE_OFFSET_HOURS, SENSORS, import_cmapss
from connectors.parquet import ParquetEvents, ParquetReadings
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.times import HOUR_NS

REPOSITORY = Path(__file__).parents[3]
DATA = Path(os.environ.get("PM_APP_TEST_DATA", REPOSITORY / ".." / "shared" / "data")) / "cmapss"


def engines(*lives: int) -> str:
    lines = [
        " ".join(str(v) for v in (unit, cycle, 0.1, 0.2, 100, *(unit + s for s in range(21))))
        for unit, life in enumerate(lives, start=1)
        for cycle in range(1, life + 1)
    ]
    return "\n".join(lines) + "\n"


def small_source(folder: Path, **files: str) -> Path:
    texts = {
        "train_FD001": engines(5, 300, 4),
        "test_FD001": engines(3, 2),
        "RUL_FD001": "7\n120\n",
        **files,
    }
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_the_last_row_of_a_run_fails_one_offset_after_its_cutoff(tmp_path: Path) -> None:
    import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD001")

    source = ParquetEvents(str(tmp_path / "plant" / "events"))
    events, refused = source.read(next(source.list()))
    last = last_times(tmp_path / "plant" / "readings")
    left = [
        (int(time) - (last[str(asset)] + HOUR_NS)) / HOUR_NS
        for asset, time in zip(events.asset, events.time, strict=True)
    ]
    assert left == [LIFE_OFFSET_HOURS] * 3
    assert refused == ()
    assert set(events.kind) == {"failure"}


def test_the_truth_is_hours_from_the_last_cutoff_to_the_failure(tmp_path: Path) -> None:
    import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD001")

    truth = pq.read_table(tmp_path / "plant" / "later" / "truth.parquet").to_pydict()
    last = last_times(tmp_path / "plant" / "later" / "readings")
    assert truth["asset_id"] == ["test-001", "test-002"]
    assert truth["remaining_cycles"] == [7.0, 120.0]
    assert truth["rul_hours"] == [7.0 + LIFE_OFFSET_HOURS, 120.0 + LIFE_OFFSET_HOURS]
    assert [t.value for t in truth["cutoff"]] == [last[a] + HOUR_NS for a in truth["asset_id"]]


def test_test_engines_enter_service_after_the_last_failure(tmp_path: Path) -> None:
    import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD001")

    failures = pq.read_table(tmp_path / "plant" / "events")["timestamp"].cast("int64").to_pylist()
    later = ParquetReadings(str(tmp_path / "plant" / "later" / "readings"))
    first = min(c.readings.time.min() for b in later.list() for c in later.read(b))
    assert first > max(failures)


def test_files_hold_a_week_each_with_a_unit_for_every_sensor(tmp_path: Path) -> None:
    summary = import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD001")

    files = sorted((tmp_path / "plant" / "readings").iterdir())
    assert len(files) == summary.batches == 3
    assert files[0].name == "2020-01-01.parquet"
    schema = pq.read_schema(files[0])
    units = {field.name: field.metadata[b"unit"].decode() for field in list(schema)[2:]}
    assert units == SENSORS


def test_the_settings_written_are_valid(tmp_path: Path) -> None:
    import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD001")

    settings = read_settings(tmp_path / "plant" / "plant.toml")

    assert settings.target.horizons_hours == (30.0 + LIFE_OFFSET_HOURS,)
    assert settings.target.cap_hours == 125 + LIFE_OFFSET_HOURS


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant" / "mine.txt").write_text("precious")

    with pytest.raises(BadSettings, match="plant: needed a new or empty folder, got one in use"):
        import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD001")

    assert [p.name for p in (tmp_path / "plant").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train_FD001": "1 1 0.1\n"}, "train_FD001.txt: needed 26 columns of numbers, got 3"),
        ({"train_FD001": "a b c\n"}, "train_FD001.txt: needed 26 columns of numbers: could not"),
        ({"train_FD001": ""}, "train_FD001.txt: needed 26 columns of numbers: No columns"),
        ({"RUL_FD001": "7\n"}, "RUL_FD001: needed one line for each of 2 test engines, got 1"),
        ({"test_FD001": engines(3)[len(engines(1)) :]}, "test engines: needed cycles 1, 2, 3"),
        ({"test_FD001": engines(1) + "1 2\n"}, "test_FD001.txt: needed a number in every column"),
    ],
    ids=["too few columns", "text", "empty", "short truth", "cycle gap", "ragged"],
)
def test_malformed_files_are_named_and_nothing_is_written(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    source = small_source(tmp_path / "nasa", **files)

    with pytest.raises(BadSettings, match=message):
        import_cmapss(source, tmp_path / "plant", subset="FD001")

    assert not (tmp_path / "plant").exists()


def test_a_missing_file_and_an_unknown_subset_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="needed train_FD003.txt or train_FD003.txt.gz"):
        import_cmapss(small_source(tmp_path / "nasa"), tmp_path / "plant", subset="FD003")
    with pytest.raises(BadSettings, match="subset must be one of .*'FD004'.*got 'FD005'"):
        import_cmapss(tmp_path, tmp_path / "plant", subset="FD005")


def last_times(folder: Path) -> dict[str, int]:
    table = pq.read_table(folder).group_by("asset_id").aggregate([("timestamp", "max")])
    times = table["timestamp_max"].cast("int64").to_pylist()
    return dict(zip(table["asset_id"].to_pylist(), times, strict=True))


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the C-MAPSS files in ../shared/data")
def test_the_published_fleet_keeps_every_row_and_value(tmp_path: Path) -> None:
    summary = import_cmapss(DATA, tmp_path / "plant", subset="FD001")

    assert (summary.train_engines, summary.train_rows) == (100, 20_631)
    assert (summary.test_engines, summary.test_rows) == (100, 13_096)
    source = ParquetReadings(str(tmp_path / "plant" / "readings"))
    chunks = [chunk for batch in by_name(source) for chunk in source.read(batch)]
    assert sum(len(chunk.readings.time) for chunk in chunks) == 20_631
    assert not any(chunk.rejections for chunk in chunks)
    assert chunks[0].readings.sensors == tuple(SENSORS)
    with gzip.open(DATA / "train_FD001.txt.gz", "rt") as text:
        raw = np.loadtxt(text)
    total = sum(chunk.readings.values.sum(axis=1) for chunk in chunks)
    np.testing.assert_allclose(total, raw[:, 2:].sum(axis=0), rtol=1e-9)
