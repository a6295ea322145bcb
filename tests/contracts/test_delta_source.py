"""A Delta table as a source: files of the newest version, each once, whatever is done to them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import PLANT_TOML, make_plant

from connectors.auto import open_readings
from connectors.delta import DeltaReadings
from pm_app.errors import SourceUnavailable
from pm_app.jobs.ingest.run import ingest
from pm_app.settings.plant import read_settings
from pm_app.settings.sources import ReadingsSettings
from pm_app.store import segments_of
from pm_app.wiring import open_plant

deltalake = pytest.importorskip("deltalake", reason="needs the extra lake")
NOW = datetime(2024, 3, 1, tzinfo=UTC)


def rows(start: int, asset: str = "p 1") -> pa.Table:
    times = pa.array(1_700_000_000 + 60 * (start + np.arange(10))).cast(pa.timestamp("s", "UTC"))
    times = times.cast(pa.timestamp("us", "UTC"))
    return pa.table({"asset_id": [asset] * 10, "timestamp": times, "x": np.arange(10.0) + start})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two versions, its asset a partition."""
    for start in (0, 10):
        deltalake.write_deltalake(
            tmp_path / "lake", rows(start), mode="append", partition_by=["asset_id"]
        )
    return tmp_path / "lake"


def source_of(table: Path):
    return open_readings(ReadingsSettings(), uri=str(table), label_column=None)


def loads(source) -> list[float]:
    chunks = [chunk for batch in source.list() for chunk in source.read(batch)]
    assert {asset for chunk in chunks for asset in chunk.readings.assets} <= {"p 1"}
    return sorted(value for chunk in chunks for value in chunk.readings.values[0].tolist())


def test_files_of_the_newest_version_are_batches_and_no_others(table):
    source = source_of(table)
    assert isinstance(source, DeltaReadings)
    assert loads(source) == [float(n) for n in range(20)]
    # Of a write that died before its commit.
    pq.write_table(rows(90).drop_columns(["asset_id"]), table / "part-of-nothing.parquet")

    assert loads(source) == [float(n) for n in range(20)]
    deltalake.write_deltalake(table, rows(20), mode="append")
    assert loads(source) == [float(n) for n in range(30)]


def test_a_table_that_is_put_together_anew_says_nothing_twice(table, tmp_path):
    toml = f'{PLANT_TOML}\n[readings]\nuri = "{table}"\n'
    with open_plant(read_settings(make_plant(tmp_path / "plant", toml=toml))) as plant:

        def rows_in_panes() -> int:
            names = segments_of(plant.store.ledger.ingested_batches("readings"))
            parts = plant.history.read(names, assets={"p 1"}, since_pane=0, until_pane=10**12)
            newest: dict[int, int] = {}
            for part in parts:
                newest.update(zip(part.pane.tolist(), part.rows.tolist(), strict=True))
            return sum(newest.values())

        assert ingest(plant, now=NOW).rows == 20
        assert rows_in_panes() == 20
        deltalake.DeltaTable(table).optimize.compact()
        ingest(plant, now=NOW)

        assert rows_in_panes() == 20


def test_a_folder_that_is_no_table_or_one_with_unread_features_is_told(table, tmp_path):
    (tmp_path / "empty" / "_delta_log").mkdir(parents=True)
    with pytest.raises(SourceUnavailable, match="cannot be read as a table"):
        list(source_of(tmp_path / "empty").list())
