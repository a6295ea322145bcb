"""A plant that an older program learned, scored and left behind is opened, scored and replayed.

`plant_by_0.1.0_at_4a5bbfb.tar.gz` holds twelve simulated pumps over 40 days: the state folder and
database that pm-app 0.1.0 made of the first 36 days, the files of the last four, not read yet, and
what that program said once it had read them.
"""

import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import opened

from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score

BEFORE = Path(__file__).parents[2] / "support" / "fixtures" / "plant_by_0.1.0_at_4a5bbfb.tar.gz"
SCORED_AT = datetime(2024, 2, 10, tzinfo=UTC)


@pytest.fixture
def config(tmp_path):
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "plant.toml"


def test_what_was_said_before_is_said_again(config):
    with opened(config) as plant:
        done = replay(plant, first=SCORED_AT - timedelta(days=60), last=SCORED_AT)

    assert done.rows > 2_000
    assert done.differing == 0


def test_new_files_are_scored_as_they_would_have_been(config):
    expected = pq.read_table(config.parent / "expected.parquet").drop_columns("scored_at")

    with opened(config) as plant:
        done = score(plant, now=SCORED_AT)
        scored = pa.concat_tables(plant.store.tables.predictions()).drop_columns("scored_at")

    assert done.committed.new == 384
    later = ["extrapolated", "mode", "mode_risks", "mode_sensors", "deviation", "deviation_sensors"]
    assert scored.drop_columns([*later, "normal_version"]).equals(expected)
    assert [set(scored[name].to_pylist()) for name in later] == [{None}] * 6
    assert set(scored["normal_version"].to_pylist()) == {0}
